/* Room for what end users have used that have no definition of their own: whoever has a key makes as many of them as he likes. They have three
 * eighths of the live store, and of that each account as much as it leaves to all others: so there is always some left for another account.
 * Each state says what was noted for it (rows_state.noted), and the sums stand in the tree of the index. A state that is there stays, and so does
 * one that says anything; only a new one may find no room. */
#ifndef AIGW_USERROOM_H
#define AIGW_USERROOM_H

#include "live_priv.h"

/* What is noted of a state with so many counters: about what its row takes, with what pages of many such rows waste. */
uint16_t userroom_bytes(size_t counters);

/* A state is new, has changed or is gone: so much more of the account's, or less. In a write transaction. */
MUSTCHECK enum errc userroom_note(struct live *l, MDB_txn *txn, uint64_t account, int64_t bytes);

/* New ones of the account find no room up to this second: there was none for those that count in a new store, and nobody knows which they
 * are. INT64_MAX: as long as the store lasts. */
MUSTCHECK enum errc userroom_close(struct live *l, MDB_txn *txn, uint64_t account, int64_t until_s);

struct userroom {
	uint64_t account, all, share; /* bytes */
	int64_t closed_until_s;
	bool is_tight; /* the store has little room for anything: one may only come where another goes */
};
MUSTCHECK enum errc userroom_look(struct live *l, MDB_txn *txn, uint64_t account,
				  struct userroom *out);
/* Whether one of so many bytes finds room once others of the account have gone, which took `freed`. */
bool userroom_has(const struct userroom *u, size_t bytes, size_t freed, int64_t wall_s);
/* Whether it may have been there before, in a store of this size: for those of a new store, which come in another order. */
bool userroom_had(const struct userroom *u, size_t bytes);
/* How many of so many bytes the account may have as things are. */
int64_t userroom_most(const struct userroom *u, size_t bytes);
/* A quarter of the share is taken, half of what one account may have: what says nothing need not stay. */
bool userroom_is_short(const struct userroom *u);

#endif
