/* Claims inside the transactions of the live store, for the files of this folder. `tag` is IDEM_TAG bytes. */
#ifndef AIGW_IDEM_PRIV_H
#define AIGW_IDEM_PRIV_H

#include "idem.h"
#include "live_priv.h"

/* What the word stands for now; *other is the request that has it unless it is IDEM_NEW. A claim of any age is one while it is there: of
 * ages only idem_sweep() judges, by a clock that has not jumped. */
MUSTCHECK enum errc idem_look(struct live *l, MDB_txn *txn, const char key_id[APIKEY_ID],
			      struct slice tag, enum idem_result *result, struct genid *other);
/* Claims what was looked at and is IDEM_NEW. ERRC_FULL when there is no room: nothing was written. */
MUSTCHECK enum errc idem_claim(struct live *l, MDB_txn *txn, const char key_id[APIKEY_ID],
			       struct slice tag, const struct genid *id, int64_t wall_ms);
/* After ERRC_FULL: how many claims the API key has, and when there may be room again. */
MUSTCHECK enum errc idem_full(struct live *l, MDB_txn *txn, const char key_id[APIKEY_ID],
			      int64_t wall_ms, int64_t *claims, int64_t *wait_ms);
/* One that was charged, whatever room there is for new ones: into a new store. */
MUSTCHECK enum errc idem_restore(struct live *l, MDB_txn *txn, const char key_id[APIKEY_ID],
				 struct slice tag, const struct genid *id, int64_t made_ms);
/* The end of request `id`: completed when it was charged, else the word is free again. Nothing happens when the claim is another's. Takes no
 * new room. */
MUSTCHECK enum errc idem_end(struct live *l, MDB_txn *txn, const char key_id[APIKEY_ID],
			     struct slice tag, const struct genid *id, bool charged);

/* The next `max` claims at most; ERRC_CORRUPT when one is none. */
MUSTCHECK enum errc idem_rows(struct live *l, MDB_txn *txn, struct idem_at *at,
			      struct idem_row *out, size_t max, size_t *n);

/* Into a new live store of the keeper's: the charged claims of the last 24 hours, from the ledger. A store that is smaller than the one
 * before may have no room for all: it gets the newest, and that is told. */
struct ledger;
MUSTCHECK enum errc idem_fill(struct live *l, struct ledger *ledger, int64_t wall_ms);

#endif
