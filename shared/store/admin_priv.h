/* Applying administrative records to the live store: for admin.c and for a keeper's start. */
#ifndef AIGW_ADMIN_PRIV_H
#define AIGW_ADMIN_PRIV_H

#include "admin.h"
#include "live_priv.h"

/* Does what the record says to the rows: definitions are set, grants are added. Sums and usage that are there are kept. */
MUSTCHECK enum errc admin_apply(struct live *l, MDB_txn *txn, const struct record *r);
/* Fills an empty live store with everything of the book, up to `seq`. */
MUSTCHECK enum errc admin_fill(struct live *l, const struct book *b, uint64_t seq);

#endif
