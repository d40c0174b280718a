/* Bytes that somebody else owns. A slice never owns; its maker says how long it is valid. Not NUL-terminated. */
#ifndef AIGW_SLICE_H
#define AIGW_SLICE_H

#include <string.h>

#include "check.h"

struct slice {
	const char *p;
	size_t n;
};

#define SLICE_LIT(s) ((struct slice){(s), sizeof(s) - 1})
#define SLICE_NONE   ((struct slice){NULL, 0})
#define SLICE_FMT    "%.*s"
#define SLICE_ARG(s) (int)(s).n, (s).p

static inline struct slice slice_of(const void *p, size_t n)
{
	return (struct slice){(const char *)p, n};
}

/* Behind the last byte. Adding 0 to no address at all is undefined. */
static inline const char *slice_end(struct slice s)
{
	return s.n ? s.p + s.n : s.p;
}

/* Valid as long as the string; NULL gives an empty slice. */
static inline struct slice slice_str(const char *s)
{
	return (struct slice){s, s ? strlen(s) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_is(struct slice a, const char *s)
{
	return slice_eq(a, slice_str(s));
}

bool slice_ieq(struct slice a, struct slice b); /* ASCII case ignored */
bool slice_has_prefix(struct slice s, struct slice prefix);
bool slice_has_suffix(struct slice s, struct slice suffix);
struct slice slice_trim(struct slice s);                       /* spaces and tabs at both ends */
struct slice slice_sub(struct slice s, size_t from, size_t n); /* clamped to s */
/* Index of the first `c`, or -1. */
ptrdiff_t slice_chr(struct slice s, char c);
/* Index of the first `needle`, or -1; an empty needle is found at 0. */
ptrdiff_t slice_find(struct slice s, struct slice needle);
/* Cuts *s at the first `sep`: *head is what stands before it, *s what follows. False (and *head = all, *s empty) without. */
bool slice_cut(struct slice *s, char sep, struct slice *head);
/* Byte order, shorter first among equals. <0, 0, >0. */
int slice_cmp(struct slice a, struct slice b);
/* `*` matches any run, `?` one byte. Goes back only to the last star: time is bounded by the product of the lengths. */
bool slice_glob(struct slice pattern, struct slice s);

#endif
