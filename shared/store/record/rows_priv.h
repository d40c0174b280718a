/* What the files of rows share: a cursor over the bytes of a row, every take of which is checked. */
#ifndef AIGW_ROWS_PRIV_H
#define AIGW_ROWS_PRIV_H

#include "rows.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "stored rows are little-endian and copied as they are: a codec is needed for this machine"
#endif

#define ROWS_VERSION 2

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

#endif
