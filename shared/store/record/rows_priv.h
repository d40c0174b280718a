/* What the files of rows share: a cursor over the bytes of a row, every take of which is checked. */
#ifndef AIGW_ROWS_PRIV_H
#define AIGW_ROWS_PRIV_H

#include "rows.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "stored rows are little-endian and copied as they are: a codec is needed for this machine"
#endif

#define ROWS_VERSION 4

struct rows_reader {
	const char *p;
	size_t left;
};

static inline bool rows_take(struct rows_reader *r, void *out, size_t n)
{
	if (r->left < n)
		return false;
	memcpy(out, r->p, n);
	r->p += n;
	r->left -= n;
	return true;
}

static inline bool rows_take_slice(struct rows_reader *r, struct slice *out, size_t n)
{
	if (r->left < n)
		return false;
	*out = slice_of(r->p, n);
	r->p += n;
	r->left -= n;
	return true;
}

/* The fixed part of a row, after a look at its version. */
static inline enum errc rows_take_head(struct rows_reader *r, struct slice bytes, void *out,
				       size_t n)
{
	*r = (struct rows_reader){bytes.p, bytes.n};
	if (bytes.n > 0 && (uint8_t)bytes.p[0] != ROWS_VERSION)
		return ERRC_VERSION;
	return rows_take(r, out, n) ? ERRC_OK : ERRC_CORRUPT;
}

/* Numbers in as many bytes as they need, behind their widths, four bits each: most are small, and rows that are small share pages of the
 * store, each of which costs a copy in every transaction that changes one of them. */
#define ROWS_PACKED_MAX(n) (((n) + 1) / 2 + 8 * (n))

/* A number takes at least `least` bytes: while it changes the row keeps its size and is overwritten where it stands. How many bytes of
 * `to` are written, of the ROWS_PACKED_MAX(n) that it has. */
static inline size_t rows_pack(uint8_t *to, const int64_t *v, const uint8_t *least, size_t n)
{
	uint8_t *p = to + (n + 1) / 2;

	memset(to, 0, (n + 1) / 2);
	for (size_t i = 0; i < n; i++) {
		uint64_t u = (uint64_t)v[i];
		unsigned width = u ? (71 - (unsigned)__builtin_clzll(u)) / 8 : 0;

		width = MAX_OF(width, (unsigned)least[i]);
		to[i / 2] |= (uint8_t)(width << i % 2 * 4);
		memcpy(p, &u, sizeof u);
		p += width;
	}
	return (size_t)(p - to);
}

static inline bool rows_unpack(struct rows_reader *r, int64_t *v, size_t n)
{
	struct slice widths;

	if (!rows_take_slice(r, &widths, (n + 1) / 2))
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned width = (uint8_t)widths.p[i / 2] >> i % 2 * 4 & 15;
		uint64_t u = 0;

		if (width > sizeof u || r->left < width)
			return false;
		if (width > 0 && r->left >= sizeof u) {
			memcpy(&u, r->p, sizeof u);
			u &= UINT64_MAX >> (64 - 8 * width);
		} else {
			memcpy(&u, r->p, width);
		}
		v[i] = (int64_t)u;
		r->p += width;
		r->left -= width;
	}
	return n % 2 == 0 || (uint8_t)widths.p[n / 2] >> 4 == 0;
}

#endif
