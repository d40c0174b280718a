/* The outbox: records that were committed in the live store and are not yet known to be in the ledger, numbered from 1 in
 * each epoch without gaps. Workers append (admit.h), the keeper takes: outbox_read() -> ledger_take() -> ledger_commit() ->
 * outbox_delete(). A crash between any two of these loses nothing and doubles nothing, because ledger_take() skips what
 * the ledger has. */
#ifndef AIGW_OUTBOX_H
#define AIGW_OUTBOX_H

#include "live.h"
#include "record.h"

#define OUTBOX_DELETE_MAX 64
#define OUTBOX_FIND_MAX   8192 /* some milliseconds */

struct outbox_row {
	uint64_t n;
	int64_t boot_ms;     /* when it was written */
	bool reversed;       /* a charge that was taken back by a later row */
	struct slice record; /* into the batch */
};

struct outbox_batch {
	struct outbox_row *rows;
	size_t n, rows_max;
	struct buf bytes;
};

/* Room for `rows_max` records a batch, all memory taken at once. Owned by the caller until outbox_batch_fini(). */
MUSTCHECK enum errc outbox_batch_init(struct outbox_batch *b, size_t rows_max);
void outbox_batch_fini(struct outbox_batch *b);

/* Copies what follows number `after`, as much as fits and one read transaction may take; b->n = 0: there is nothing. The
 * rows are valid until the next call. */
MUSTCHECK enum errc outbox_read(struct live *l, uint64_t after, struct outbox_batch *b);
/* Deletes rows up to `upto`, at most OUTBOX_DELETE_MAX in one transaction; *more: call again. */
MUSTCHECK enum errc outbox_delete(struct live *l, uint64_t upto, bool *more);
/* The numbers that are there; empty: *first = *last + 1. */
MUSTCHECK enum errc outbox_range(struct live *l, uint64_t *first, uint64_t *last);
/* The settled request with this generation id (or, when id is NULL, the provider's id), if `key_id` made it (NULL: any).
 * ERRC_NOTFOUND; ERRC_BUSY: it is not among the newest OUTBOX_FIND_MAX, and there are older ones, which the ledger may have by
 * now. Its record is appended to `out`; *reversed: it was taken back, also where only that is found, for the ledger has the charge
 * (by the generation id alone). Reads in slices; meant for the keeper, not for a loop. */
MUSTCHECK enum errc outbox_find(struct live *l, const struct genid *id, struct slice upstream_id,
				const char *key_id, struct buf *out, bool *reversed);

#endif
