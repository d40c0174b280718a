/* Bytes that we own and grow. The ceiling is given at init and never passed: what would pass it fails with ERRC_LIMIT and
 * leaves the buffer as it was. Invariants: len <= cap <= max; p is NULL only when cap is 0. */
#ifndef AIGW_BUF_H
#define AIGW_BUF_H

#include <stdarg.h>

#include "errc.h"
#include "slice.h"

struct buf {
	char *p;
	size_t len, cap, max;
};

/* No memory is taken until the first byte. */
void buf_init(struct buf *b, size_t max);
/* Frees; the buffer may be used again with its old ceiling. */
void buf_fini(struct buf *b);
/* Keeps the memory. */
void buf_reset(struct buf *b);
static inline bool buf_is_empty(const struct buf *b)
{
	return b->len == 0;
}
/* Valid until the next change of b. */
static inline struct slice buf_slice(const struct buf *b)
{
	return (struct slice){b->p, b->len};
}

/* Makes room for n more bytes; *out points to them, valid until the next change. Write, then buf_commit(). */
MUSTCHECK enum errc buf_reserve(struct buf *b, size_t n, char **out);
void buf_commit(struct buf *b, size_t n);
/* buf_add() where the bytes may not fit yet. */
MUSTCHECK enum errc buf_add_more(struct buf *b, const void *p, size_t n);
static inline MUSTCHECK enum errc buf_add(struct buf *b, const void *p, size_t n)
{
	if (UNLIKELY(n == 0 || n > b->cap - b->len))
		return buf_add_more(b, p, n);
	memcpy(b->p + b->len, p, n);
	b->len += n;
	return ERRC_OK;
}
static inline MUSTCHECK enum errc buf_adds(struct buf *b, struct slice s)
{
	return buf_add(b, s.p, s.n);
}
static inline MUSTCHECK enum errc buf_addz(struct buf *b, const char *s) /* without its NUL */
{
	return buf_add(b, s, strlen(s));
}
static inline MUSTCHECK enum errc buf_addc(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}
MUSTCHECK enum errc buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
MUSTCHECK enum errc buf_addvf(struct buf *b, const char *fmt, va_list ap);
MUSTCHECK enum errc buf_addi(struct buf *b, int64_t v); /* decimal */
/* Drops n bytes at the front (moves the rest) or all beyond `len`. */
void buf_drop_front(struct buf *b, size_t n);
void buf_truncate(struct buf *b, size_t len);
/* A NUL-terminated view, valid until the next change; the NUL is not counted. NULL when there is no memory. */
const char *buf_cstr(struct buf *b);

#endif
