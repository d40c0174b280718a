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

void put_i(struct put *p, int64_t v)
{
	if (!p->err)
		p->err = buf_addi(&p->b, v);
}

void put_repeat(struct put *p, char c, size_t n)
{
	for (; n && !p->err; n--)
		p->err = buf_addc(&p->b, c);
}

/* Characters that a terminal draws in two places, or over the one before. */
static const struct range {
	uint32_t from, to;
	uint8_t width;
} ranges[] = {
	{0x300, 0x36f, 0},     {0x1100, 0x115f, 2},   {0x200b, 0x200f, 0}, {0x2e80, 0x303e, 2},
	{0x3041, 0xa4cf, 2},   {0xac00, 0xd7a3, 2},   {0xf900, 0xfaff, 2}, {0xfe00, 0xfe0f, 0},
	{0xfe30, 0xfe6f, 2},   {0xff00, 0xff60, 2},   {0xffe0, 0xffe6, 2}, {0x1f300, 0x1f64f, 2},
	{0x1f900, 0x1f9ff, 2}, {0x20000, 0x3fffd, 2},
};

#define BROKEN 0x80 /* a control character, for what is no character */

/* The character that `s`, not empty, begins with, and its length. */
static uint32_t decode(struct slice s, size_t *n)
{
	unsigned char first = (unsigned char)s.p[0];
	uint32_t c = first < 0xc0   ? first
		     : first < 0xe0 ? first & 0x1f
		     : first < 0xf0 ? first & 0xf
				    : first & 7;

	size_t most = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	for (*n = 1; *n < most && *n < s.n && ((unsigned char)s.p[*n] & 0xc0) == 0x80; ++*n)
		c = c << 6 | ((unsigned char)s.p[*n] & 0x3f);
	return *n < most || (most == 1 && c >= 0x80) ? BROKEN : c;
}

/* C0, DEL and C1. */
static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

/* Separators of lines and paragraphs, and what turns the direction of the text. */
static bool is_misleading(uint32_t c)
{
	return c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

/* How many bytes at the begin are ASCII that is seen: most texts are nothing else. */
static size_t plain_n(struct slice s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] >= 0x20 && s.p[n] < 0x7f)
		n++;
	return n;
}

void put_safe(struct put *p, struct slice s)
{
	size_t n = plain_n(s);

	put_s(p, slice_sub(s, 0, n));
	for (s = slice_sub(s, n, s.n); s.n && !p->err; s = slice_sub(s, n, s.n)) {
		uint32_t c = decode(s, &n);

		put_s(p, is_control(c) || is_misleading(c) ? SLICE_LIT("?") : slice_sub(s, 0, n));
	}
}

void put_lines(struct put *p, struct slice s)
{
	size_t n;

	for (; s.n && !p->err; s = slice_sub(s, n, s.n)) {
		uint32_t c = decode(s, &n);
		bool good = !is_control(c) || c == '\n' || c == '\t';

		put_s(p, good ? slice_sub(s, 0, n) : SLICE_LIT("?"));
	}
}

void put_wrapped(struct put *p, struct slice text, size_t at, size_t indent, size_t width)
{
	struct slice word;
	bool fresh = true;

	while (text.n) {
		(void)slice_cut(&text, ' ', &word);
		if (!fresh && at + 1 + put_width(word) > width) {
			put_z(p, "\n");
			put_repeat(p, ' ', indent);
			at = indent;
			fresh = true;
		}
		if (!fresh)
			put_z(p, " ");
		put_s(p, word);
		at += put_width(word) + !fresh;
		fresh = false;
	}
	put_z(p, "\n");
}

size_t put_char(struct slice s, size_t *width)
{
	size_t n;
	uint32_t c = decode(s, &n);

	*width = 1;
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		if (c >= ranges[i].from && c <= ranges[i].to)
			*width = ranges[i].width;
	}
	return n;
}

size_t put_width(struct slice s)
{
	size_t n = plain_n(s), width;

	for (s = slice_sub(s, n, s.n); s.n; n += width)
		s = slice_sub(s, put_char(s, &width), s.n);
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
