/* What scopes have used. A request reads and writes the states of several scopes: of each account as many as ROWS_STATES_MAX has room for are
 * in one row (rows_states.h), and the others in rows of their own. A state is in one place, and who reads or writes one need not know where.
 * What is read is valid until the next write. */
#ifndef AIGW_LIVE_STATES_H
#define AIGW_LIVE_STATES_H

#include "live_priv.h"
#include "rows_states.h"

struct live_state {
	enum rows_kind kind;
	const char *id;                 /* ROWS_ID bytes */
	const struct rows_state *state; /* NULL: it goes */
};
/* A zeroed state when there is none. */
MUSTCHECK enum errc live_get_state(struct live *l, MDB_txn *txn, uint64_t account,
				   enum rows_kind kind, const char id[ROWS_ID],
				   struct rows_state *out);
/* The same for more than one: the row of several (empty: there is none), valid until the next write, then each. */
MUSTCHECK enum errc live_get_states(struct live *l, MDB_txn *txn, uint64_t account,
				    struct slice *several);
MUSTCHECK enum errc live_get_state_of(struct live *l, MDB_txn *txn, uint64_t account,
				      struct slice several, enum rows_kind kind,
				      const char id[ROWS_ID], struct rows_state *out);
/* As it is stored. ERRC_NOTFOUND. */
MUSTCHECK enum errc live_state_row(struct live *l, MDB_txn *txn, uint64_t account,
				   enum rows_kind kind, const char id[ROWS_ID], struct slice *out);
/* Up to ROWS_SCOPES_MAX, all different; live_put_state(): one. */
MUSTCHECK enum errc live_put_states(struct live *l, MDB_txn *txn, uint64_t account,
				    const struct live_state *of, size_t n);
MUSTCHECK enum errc live_put_state(struct live *l, MDB_txn *txn, uint64_t account,
				   enum rows_kind kind, const char id[ROWS_ID],
				   const struct rows_state *s);
/* No error when there is none. */
MUSTCHECK enum errc live_del_state(struct live *l, MDB_txn *txn, uint64_t account,
				   enum rows_kind kind, const char id[ROWS_ID]);

#endif
