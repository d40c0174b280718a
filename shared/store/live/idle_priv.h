/* States that are to be taken away, for admission too. */
#ifndef AIGW_IDLE_PRIV_H
#define AIGW_IDLE_PRIV_H

#include "idle.h"
#include "live_priv.h"

struct idle_found {
	size_t n,
		bytes; /* bytes: of the room for end users without a definition, which they give back */
	struct {
		uint64_t account;
		char id[ROWS_ID];
	} of[LIMIT_TXN_OPS];
};

/* End users of whom nothing counts, which give back so many bytes if there are enough, among some of the account: each call goes on where the
 * last one came to. Of whom a budget was used stays, for whether that is over is the keeper's to say, by a clock that it believes. Reads
 * only, in a write transaction. `every`: the account's rules for all. */
MUSTCHECK enum errc idle_find(struct live *l, MDB_txn *txn, const struct rows_scope *every,
			      size_t bytes, int64_t boot_ms, struct idle_found *out);
/* In the same write transaction, where nothing has come to them since. */
MUSTCHECK enum errc idle_take(struct live *l, MDB_txn *txn, const struct idle_found *f);

#endif
