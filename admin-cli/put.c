#include "put.h"

#include <errno.h>
#include <unistd.h>

void put_init(struct put *p)
{
	p->err = ERRC_OK;
	buf_init(&p->b, PUT_BYTES_MAX);
}

void put_fini(struct put *p)
{
	buf_fini(&p->b);
}

void put_fail(struct put *p, enum errc e)
{
	if (!p->err)
		p->err = e;
}

void put_s(struct put *p, struct slice s)
{
	if (!p->err)
		p->err = buf_adds(&p->b, s);
}

void put_z(struct put *p, const char *s)
{
	put_s(p, slice_str(s));
}

void put_f(struct put *p, const char *fmt, ...)
{
	va_list ap;

	if (p->err)
		return;
	va_start(ap, fmt);
	p->err = buf_addvf(&p->b, fmt, ap);
	va_end(ap);
}

void put_repeat(struct put *p, char c, size_t n)
{
	for (; n && !p->err; n--)
		p->err = buf_addc(&p->b, c);
}

void put_safe(struct put *p, struct slice s)
{
	for (size_t i = 0; i < s.n && !p->err; i++) {
		unsigned char c = (unsigned char)s.p[i];

		p->err = buf_addc(&p->b, c < 0x20 || c == 0x7f ? '?' : s.p[i]);
	}
}

size_t put_width(struct slice s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

enum errc put_flush(struct put *p, int fd)
{
	struct slice left = buf_slice(&p->b);

	while (left.n && !p->err) {
		ssize_t n = write(fd, left.p, left.n);

		if (n > 0)
			left = slice_sub(left, (size_t)n, left.n);
		else if (errno != EINTR)
			p->err = errc_from_errno(errno);
	}
	buf_reset(&p->b);
	return p->err;
}
