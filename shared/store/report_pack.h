/* A report's rows as bytes, on the way from the keeper to a worker that tells a client what its key has used: one msgpack
 * array a row, names and numbers, the total last. What requests cost us is left out. Pure. */
#ifndef AIGW_REPORT_PACK_H
#define AIGW_REPORT_PACK_H

#include "report_page.h"

/* Appends as many rows of the page as `out` has room for beside the total; the page ends with them then. */
MUSTCHECK enum errc report_pack(const struct report *r, size_t by_n, struct report_page *page,
				struct buf *out);
/* The next row: 1 = *row is filled, its names point into the bytes; 0 = that was all; <0 = -errc. *is_total: it is the
 * total, which has no names. */
MUSTCHECK int report_unpack(struct mpack_in *in, size_t by_n, struct report_row *row,
			    bool *is_total);

#endif
