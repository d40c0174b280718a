/* The inside of the live store, for the files of this folder that work on its rows. */
#ifndef AIGW_LIVE_PRIV_H
#define AIGW_LIVE_PRIV_H

#include <pthread.h>

#include "known.h"
#include "live.h"
#include "live_copies.h"
#include "lmdbx.h"
#include "progress_priv.h"
#include "record.h"

#define LIVE_MAGIC 0x11fe5703u

struct live {
	unsigned magic;
	MDB_env *env;
	MDB_dbi rows; /* the tree of hot rows */
	MDB_dbi defs; /* what scopes are: requests only read it, and its rows do not spread those that they write */
	MDB_dbi index; /* key hashes, key ids, names of accounts and teams */
	MDB_dbi idem;  /* claims on idempotency keys */
	struct live_watch watch;
	struct live_head head;
	size_t size_bytes;
	char *dir;
	int owners_fd;
	uint32_t instance;
	struct progress *progress;
	pthread_mutex_t
		write_lock; /* one write transaction a process; guards `scratch`, `several`, `copies`, `priced` */
	pthread_mutex_t read_lock; /* guards `reader`, `copies_read` */
	MDB_txn *reader;           /* reset between uses */
	struct buf scratch;        /* rows on their way into the store */
	struct buf several;        /* the one of several states */
	struct live_copies
		copies; /* of the scopes of a request, and their states twice: a refusal reads them anew */
	struct live_copies copies_read; /* of what a key belongs to */
	struct price_memo priced;       /* of the charges; used inside write transactions only */
	_Atomic(MDB_txn *) writing;     /* the open write transaction */
	struct known *known;
	/* Of the tree of definitions in the open read transaction, in the open write transaction: the number of the transaction that wrote
	 * it last. 0: not looked at yet. */
	uint64_t defs_version[2];
	MDB_cursor *near[2]; /* its last row of hot rows, of definitions: those of one account lie side by side */
	char users_at[ROWS_ID]; /* of idle_find(); used inside write transactions only */
	unsigned test_sleep_us; /* of test builds (AIGW_TEST_HOOKS): inside each write transaction */
};

/* That of the boot that runs. */
MUSTCHECK enum errc live_boot_id(char out[LIVE_BOOT_ID]);

/* A write transaction; the calling thread ends it with one of the other two. Raises the watch's counters. On an error *out is NULL,
 * whatever it was before, and live_txn_abort() does nothing. */
MUSTCHECK enum errc live_txn_begin(struct live *l, MDB_txn **out);
MUSTCHECK enum errc live_txn_commit(struct live *l, MDB_txn **txn);
void live_txn_abort(struct live *l, MDB_txn **txn);
/* A read transaction of at most a millisecond; always ended by live_read_end(). */
MUSTCHECK enum errc live_read_begin(struct live *l, MDB_txn **out);
void live_read_end(struct live *l);

/* Bytes that new rows may take: the map without what is used, what settlements of the running requests need, and what LMDB
 * copies on write while a reader still sees the old pages. 0: none. */
MUSTCHECK enum errc live_room(struct live *l, MDB_txn *txn, size_t *bytes);

static inline struct slice live_name(const struct rows_key_name *n)
{
	return slice_of(n->b, n->n);
}

/* The tree that a row of this name is in. */
static inline MDB_dbi live_tree(const struct live *l, const struct rows_key_name *name)
{
	return rows_name_is_scope(name) ? l->defs : l->rows;
}

/* Rows by name, definitions of scopes as well. In a write transaction the search begins at the row before, for most are neighbours. What is
 * read is valid until the next write. live_row_get(), live_row_del(): ERRC_NOTFOUND. */
MUSTCHECK enum errc live_row_get(struct live *l, MDB_txn *txn, const struct rows_key_name *name,
				 struct slice *out);
MUSTCHECK enum errc live_row_put(struct live *l, MDB_txn *txn, const struct rows_key_name *name,
				 struct slice value, unsigned flags);
MUSTCHECK enum errc live_row_del(struct live *l, MDB_txn *txn, const struct rows_key_name *name);

/* Reads and writes such rows. A row whose id is not that of its key is ERRC_CORRUPT. Slices in what is read are
 * valid until the next write. */
MUSTCHECK enum errc live_get_account(struct live *l, MDB_txn *txn, uint64_t account,
				     struct rows_account *out);
/* The page that the row lies in, where a request's states lie as well, is read and copied soon. */
void live_expect_page(struct slice row);
MUSTCHECK enum errc live_put_account(struct live *l, MDB_txn *txn, const struct rows_account *a);
MUSTCHECK enum errc live_get_scope(struct live *l, MDB_txn *txn, uint64_t account,
				   enum rows_kind kind, const char id[ROWS_ID],
				   struct rows_scope *out);
/* Whose key has that hash, as far as it is known; the row counts. live_get_key() reads it, where it stands if that is known, and says where it
 * stands: then the key can be made known. */
bool live_known_key(struct live *l, MDB_txn *txn, const uint8_t hash[DIGEST_SHA256],
		    struct known_key *out);
MUSTCHECK enum errc live_get_key(struct live *l, MDB_txn *txn, struct known_key *k,
				 struct rows_scope *out);
void live_know_key(struct live *l, MDB_txn *txn, const uint8_t hash[DIGEST_SHA256],
		   const struct known_key *k);
/* live_get_scope() comes soon: asks for the memory that it will read, where that is known. First of the account, then, with other work between,
 * of each scope. */
void live_expect_scopes(struct live *l, uint64_t account);
void live_expect_scope(struct live *l, MDB_txn *txn, uint64_t account, enum rows_kind kind,
		       const char id[ROWS_ID]);
MUSTCHECK enum errc live_put_scope(struct live *l, MDB_txn *txn, const struct rows_scope *s);

/* The index tree. ERRC_NOTFOUND. */
MUSTCHECK enum errc live_find_hash(struct live *l, MDB_txn *txn, const uint8_t hash[DIGEST_SHA256],
				   uint64_t *account, char id[APIKEY_ID]);
MUSTCHECK enum errc live_find_key(struct live *l, MDB_txn *txn, const char id[APIKEY_ID],
				  uint64_t *account);
MUSTCHECK enum errc live_find_account(struct live *l, MDB_txn *txn, struct slice name,
				      uint64_t *account);
MUSTCHECK enum errc live_find_team(struct live *l, MDB_txn *txn, uint64_t account,
				   struct slice name, char id[ROWS_ID]);
/* Makes an account, a key by its hash and its id, or a team by its name findable; existing entries are replaced. */
MUSTCHECK enum errc live_index_account(struct live *l, MDB_txn *txn, const struct rows_account *a);
MUSTCHECK enum errc live_index_scope(struct live *l, MDB_txn *txn, const struct rows_scope *s);
MUSTCHECK enum errc live_unindex_hash(struct live *l, MDB_txn *txn,
				      const uint8_t hash[DIGEST_SHA256]);

/* Head rows: the last administrative record that is applied here. */
MUSTCHECK enum errc live_get_admin_seq(struct live *l, MDB_txn *txn, uint64_t *seq);
MUSTCHECK enum errc live_put_admin_seq(struct live *l, MDB_txn *txn, uint64_t seq);

/* The outbox. Its tail row remembers the last number that was deleted, so that numbers go on when it is empty. */
MUSTCHECK enum errc live_outbox_base(struct live *l, MDB_txn *txn, uint64_t deleted);
/* The last number used; the oldest row (ERRC_NOTFOUND when empty). */
MUSTCHECK enum errc live_outbox_last(struct live *l, MDB_txn *txn, uint64_t *n);
MUSTCHECK enum errc live_outbox_first(struct live *l, MDB_txn *txn, uint64_t *n, int64_t *boot_ms);
MUSTCHECK enum errc live_outbox_append(struct live *l, MDB_txn *txn, uint64_t n, int64_t boot_ms,
				       const struct record *r);

/* What stands before the record in an outbox row. */
struct live_outbox_head {
	uint8_t version, reversed, reserved[6];
	int64_t boot_ms;
};
/* The number of an outbox row by its key; false: it is none. */
bool live_outbox_number(struct slice key, uint64_t *n);
bool live_outbox_parse(struct slice value, struct live_outbox_head *head, struct slice *record);

#endif
