#include "buf.h"

#include <stdio.h>

#include "mem.h"

#define FIRST_BYTES 64

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = MIN_OF(max, SIZE_MAX / 4)};
}

void buf_fini(struct buf *b)
{
	mem_free(b->p);
	*b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
	b->len = 0;
}

/* Makes cap at least `want`, which is within max. One byte more is allocated for buf_cstr(). */
static enum errc grow(struct buf *b, size_t want)
{
	size_t cap = b->cap ? b->cap * 2 : FIRST_BYTES;
	char *p;

	cap = MIN_OF(MAX_OF(cap, want), b->max);
	p = mem_grow(b->p, cap + 1);
	if (!p)
		return ERRC_NOMEM;
	b->p = p;
	b->cap = cap;
	return ERRC_OK;
}

enum errc buf_reserve(struct buf *b, size_t n, char **out)
{
	if (n > b->cap - b->len) {
		enum errc rc;

		if (n > b->max - b->len)
			return ERRC_LIMIT;
		rc = grow(b, b->len + n);
		if (rc)
			return rc;
	}
	*out = b->p ? b->p + b->len : NULL; /* NULL only for n == 0 */
	return ERRC_OK;
}

void buf_commit(struct buf *b, size_t n)
{
	require(n <= b->cap - b->len);
	b->len += n;
}

enum errc buf_add_more(struct buf *b, const void *p, size_t n)
{
	char *at;
	enum errc rc;

	if (n == 0)
		return ERRC_OK;
	rc = buf_reserve(b, n, &at);
	if (rc)
		return rc;
	memcpy(at, p, n);
	b->len += n;
	return ERRC_OK;
}

enum errc buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	enum errc rc;

	va_start(ap, fmt);
	rc = buf_addvf(b, fmt, ap);
	va_end(ap);
	return rc;
}

/* The byte that buf_cstr() may use takes vsnprintf's NUL, so a text that fits exactly is written at
 * once. */
enum errc buf_addvf(struct buf *b, const char *fmt, va_list ap)
{
	size_t room = b->p ? b->cap - b->len + 1 : 0;
	char *at;
	va_list again;
	enum errc rc = ERRC_OK;
	int n;

	va_copy(again, ap);
	n = vsnprintf(room ? b->p + b->len : NULL, room, fmt, ap);
	if (n < 0) {
		rc = ERRC_INVAL;
		goto out;
	}
	if ((size_t)n >= room && n > 0) {
		rc = buf_reserve(b, (size_t)n, &at);
		if (rc)
			goto out;
		vsnprintf(at, (size_t)n + 1, fmt, again);
	}
	b->len += (size_t)n;
out:
	va_end(again);
	return rc;
}

enum errc buf_addi(struct buf *b, int64_t v)
{
	char digits[20], *at = digits + sizeof(digits);
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do
		*--at = (char)('0' + u % 10);
	while (u /= 10);
	if (v < 0)
		*--at = '-';
	return buf_add(b, at, (size_t)(digits + sizeof(digits) - at));
}

void buf_drop_front(struct buf *b, size_t n)
{
	require(n <= b->len);
	b->len -= n;
	if (b->len && n)
		memmove(b->p, b->p + n, b->len);
}

void buf_truncate(struct buf *b, size_t len)
{
	require(len <= b->len);
	b->len = len;
}

const char *buf_cstr(struct buf *b)
{
	if (!b->p && grow(b, 0) != ERRC_OK)
		return NULL;
	b->p[b->len] = '\0';
	return b->p;
}
