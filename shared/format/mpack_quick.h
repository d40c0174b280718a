/* The common forms of msgpack values, for decoders of stored rows, of which a report reads a million: taken in the caller's own code, with a
 * cursor that stays in a register as long as its address goes nowhere else. True: the value is passed. False: it is of another form or
 * type, or not all there, and the cursor stays; the function of mpack.h takes it, or says what is wrong. */
#ifndef AIGW_MPACK_QUICK_H
#define AIGW_MPACK_QUICK_H

#include <endian.h>

#include "mpack.h"

#define MPACK_QUICK static inline __attribute__((always_inline)) bool

static inline size_t mpack_quick_left(const struct mpack_in *r)
{
	return (size_t)(r->end - r->p);
}

MPACK_QUICK mpack_quick_step(struct mpack_in *r, size_t n)
{
	if (n > mpack_quick_left(r))
		return false;
	r->p += n;
	return true;
}

/* Eight bytes are read where there are as many, whatever follows. */
MPACK_QUICK mpack_quick_u64(struct mpack_in *r, uint64_t *out)
{
	const uint8_t *p = r->p;
	size_t left = mpack_quick_left(r);
	unsigned width;
	uint64_t v;

	if (left > 0 && p[0] < 0x80) {
		*out = p[0];
		r->p++;
		return true;
	}
	if (left <= sizeof v || p[0] < 0xcc || p[0] > 0xcf)
		return false;
	width = 1u << (p[0] - 0xcc);
	memcpy(&v, p + 1, sizeof v);
	*out = be64toh(v) >> (64 - 8 * width);
	r->p += 1 + width;
	return true;
}

/* None below 0. */
MPACK_QUICK mpack_quick_i64(struct mpack_in *r, int64_t *out)
{
	struct mpack_in at = *r;
	uint64_t v;

	if (!mpack_quick_u64(&at, &v) || v > INT64_MAX)
		return false;
	*out = (int64_t)v;
	*r = at;
	return true;
}

MPACK_QUICK mpack_quick_bool(struct mpack_in *r, bool *out)
{
	if (mpack_quick_left(r) == 0 || (r->p[0] & 0xfe) != 0xc2)
		return false;
	*out = *r->p++ & 1;
	return true;
}

/* No more values than bytes that are left. */
MPACK_QUICK mpack_quick_arr(struct mpack_in *r, uint32_t *n)
{
	const uint8_t *p = r->p;
	size_t left = mpack_quick_left(r), head = 1;

	if (left == 0)
		return false;
	if ((p[0] & 0xf0) == 0x90) {
		*n = p[0] & 15;
	} else if (p[0] == 0xdc && left > 2) {
		*n = (uint32_t)p[1] << 8 | p[2];
		head = 3;
	} else {
		return false;
	}
	return *n <= left - head && mpack_quick_step(r, head);
}

MPACK_QUICK mpack_quick_str(struct mpack_in *r, struct slice *out)
{
	const uint8_t *p = r->p;
	size_t left = mpack_quick_left(r), head = 1, n;

	if (left == 0)
		return false;
	if ((p[0] & 0xe0) == 0xa0) {
		n = p[0] & 31;
	} else if (p[0] == 0xd9 && left > 1) {
		n = p[1];
		head = 2;
	} else {
		return false;
	}
	*out = slice_of(p + head, n);
	return mpack_quick_step(r, head + n);
}

MPACK_QUICK mpack_quick_bin(struct mpack_in *r, struct slice *out)
{
	const uint8_t *p = r->p;

	if (mpack_quick_left(r) < 2 || p[0] != 0xc4 || !mpack_quick_step(r, 2 + (size_t)p[1]))
		return false;
	*out = slice_of(p + 2, p[1]);
	return true;
}

/* --- values that nobody wants --- */

MPACK_QUICK mpack_pass_int(struct mpack_in *r)
{
	uint8_t c = mpack_quick_left(r) > 0 ? r->p[0] : 0xc1;

	if (c < 0x80 || c >= 0xe0)
		return mpack_quick_step(r, 1);
	return c >= 0xcc && c <= 0xd3 && mpack_quick_step(r, 1 + ((size_t)1 << (c & 3)));
}

MPACK_QUICK mpack_pass_str(struct mpack_in *r)
{
	struct slice s;

	return mpack_quick_str(r, &s);
}

MPACK_QUICK mpack_pass_bin(struct mpack_in *r)
{
	struct slice s;

	return mpack_quick_bin(r, &s);
}

/* A bin of n bytes: the processor goes on with the next value before it has read that it is. */
MPACK_QUICK mpack_pass_fixed(struct mpack_in *r, uint8_t n)
{
	return mpack_quick_left(r) > 1 && r->p[0] == 0xc4 && r->p[1] == n &&
	       mpack_quick_step(r, 2 + (size_t)n);
}

#endif
