/* Reading roll-ups row by row: the rows of one cut, and beside them the end users' rows that each of them has. In a read transaction
 * of the caller, on any thread. A row's numbers are taken apart only where they are asked for: most rows of a large report are
 * passed over. */
#ifndef AIGW_ROLLUP_READ_H
#define AIGW_ROLLUP_READ_H

#include "rollup_key.h"

/* `name` is that of the row, valid until the next, and walk.numbers are its sums; the rest is its own. */
struct rollup_read {
	struct rollup_name name;
	struct runs_walk walk;
	struct rollup_ask ask;
	struct rollup_key from; /* where the rows of the day that are asked for begin */
	size_t user_at;         /* in the key */
	bool begun;
};

/* `ask` is copied, but not the key's id. */
MUSTCHECK enum errc rollup_read_open(struct rollup_read *r, MDB_txn *txn, MDB_dbi db,
				     const struct rollup_ask *ask);
void rollup_read_close(struct rollup_read *r);
/* In order of day, account, key. ERRC_NOTFOUND: that was all. */
MUSTCHECK enum errc rollup_read_next(struct rollup_read *r);

/* Of the row at hand walk.numbers are its sums; the rest is its own. */
struct rollup_read_users {
	struct runs_walk walk;
	const struct runs_walk *of; /* borrowed: its key is what those that are asked for begin with */
	enum rollup_cut cut;        /* theirs is another */
	size_t user_at;             /* in the key */
	bool here;                  /* the walk stands at a row that has not been given, */
	bool is_of;                 /* which is one of these */
	bool begun, over;
};

/* Beside rows of this cut: ROLLUP_DAYS, ROLLUP_PAYERS or ROLLUP_KEYS. Users' rows are in no other's order. */
MUSTCHECK enum errc rollup_read_users_open(struct rollup_read_users *u, MDB_txn *txn, MDB_dbi db,
					   enum rollup_cut beside);
void rollup_read_users_close(struct rollup_read_users *u);
/* What comes next are the rows of the users of this row, borrowed until they have come; each row that is asked about stands behind the
 * one before. */
MUSTCHECK enum errc rollup_read_users_of(struct rollup_read_users *u, const struct rollup_read *row);
/* The end user of the next one, valid until the next call. ERRC_NOTFOUND: that was all. */
MUSTCHECK enum errc rollup_read_users_next(struct rollup_read_users *u, struct slice *tag);

#endif
