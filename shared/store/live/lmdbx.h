/* LMDB behind our error codes: opening, values as slices. Private to this folder, like lmdb.h itself. */
#ifndef AIGW_LMDBX_H
#define AIGW_LMDBX_H

#include <lmdb.h>

#include "errc.h"
#include "slice.h"

/* Translates an LMDB or errno code. */
enum errc lmdbx_errc(int rc);

struct lmdbx_opts {
	const char *dir; /* must exist */
	uint64_t map_bytes;
	unsigned flags, readers_max, dbs_max;
};
/* False when the file that is open surely has its name no more: what is written to one that was removed or replaced is lost with its last
 * user. A folder that may not be entered just now tells nothing. */
bool lmdbx_is_in_place(MDB_env *env);
/* ERRC_TRUNCATED: the end of the file is missing. */
MUSTCHECK enum errc lmdbx_open(const struct lmdbx_opts *o, MDB_env **out);
/* name NULL: the main tree. */
MUSTCHECK enum errc lmdbx_db(MDB_txn *txn, const char *name, unsigned flags, MDB_dbi *out);

/* mdb_txn_commit(). LMDB says EIO where a file system that is full took only a part: that is ERRC_NOSPACE here. What was not committed
 * is nowhere in use, so it may be tried again. */
MUSTCHECK enum errc lmdbx_commit(MDB_txn *txn);

/* Valid until the next write of the transaction, or its end. ERRC_NOTFOUND. */
MUSTCHECK enum errc lmdbx_get(MDB_txn *txn, MDB_dbi db, struct slice key, struct slice *out);
MUSTCHECK enum errc lmdbx_put(MDB_txn *txn, MDB_dbi db, struct slice key, struct slice value,
			      unsigned flags);
MUSTCHECK enum errc lmdbx_cursor_put(MDB_cursor *c, struct slice key, struct slice value,
				     unsigned flags);
/* ERRC_NOTFOUND. */
MUSTCHECK enum errc lmdbx_del(MDB_txn *txn, MDB_dbi db, struct slice key);

/* Moves a cursor; *key is the argument of MDB_SET_RANGE and MDB_SET_KEY and a result of all. ERRC_NOTFOUND at the end. */
MUSTCHECK enum errc lmdbx_move(MDB_cursor *c, MDB_cursor_op op, struct slice *key,
			       struct slice *value);

/* Bytes of the pages that hold rows of `db`. */
MUSTCHECK enum errc lmdbx_used(MDB_txn *txn, MDB_dbi db, size_t *bytes);

#endif
