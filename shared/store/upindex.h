/* From a provider's own id to the charges that have it, for GET /v1/generation?id=. Such ids are at random places: a tree that
 * takes each as it comes writes a page for each. So the newest entries wait in memory and go into the ledger some thousands at
 * once, a row for every slice of their hashes: a page holds many, however large the ledger is. The records are the truth: an
 * entry only says where to look, and what waits in memory is read from them again on start.
 *
 * Written by the ledger's writer; the searches may run on any thread. */
#ifndef AIGW_UPINDEX_H
#define AIGW_UPINDEX_H

#include <pthread.h>

#include "apikey.h"
#include "lmdbx.h"

#define UPINDEX_ROWS_MIN 2048  /* entries that are worth their pages with a checkpoint */
#define UPINDEX_ROWS_MAX 32768 /* entries that do not wait for one */

/* What is kept of an id and of the key that made the charge. */
struct upindex_name {
	uint32_t hash;
	uint16_t tag; /* of the key */
	uint8_t slice;
};

struct upindex_entry {
	uint64_t seq;
	struct upindex_name name;
};

struct upindex {
	pthread_mutex_t lock; /* guards entries (the pointer) and durable_n */
	uint8_t seed[16];
	struct upindex_entry *entries; /* by number; owned */
	size_t n, cap;
	size_t durable_n; /* those whose records are committed, to be found; after them the open transaction's */
	size_t written_n; /* those that the open transaction has written */
};

void upindex_init(struct upindex *ix);
void upindex_fini(struct upindex *ix);
/* The same ids have other hashes in every ledger. Before all that follows. */
void upindex_seed(struct upindex *ix, const uint8_t seed[16]);

/* A charge of the open transaction, newer than all before it. */
MUSTCHECK enum errc upindex_add(struct upindex *ix, uint64_t seq, struct slice upstream_id,
				const char key_id[APIKEY_ID]);
/* Writes the entries of committed charges, once a transaction at most. */
MUSTCHECK enum errc upindex_write(struct upindex *ix, MDB_txn *txn, MDB_dbi db);
/* The open transaction ended: what it added is found from now on, and what it wrote no longer here; or it never was. */
void upindex_committed(struct upindex *ix);
void upindex_aborted(struct upindex *ix);

/* A search from the newest charge back. */
struct upindex_search {
	struct upindex_name name;
	bool any_key;
	uint64_t before; /* goes on below this number */
};
void upindex_search_init(const struct upindex *ix, struct slice upstream_id, const char *key_id,
			 struct upindex_search *s);
/* The next charge in memory that may be meant: *seq. To be followed by upindex_stored() with a transaction that began after
 * the last false: so nothing is missed that moves from the one to the other meanwhile. */
bool upindex_recent(struct upindex *ix, struct upindex_search *s, uint64_t *seq);
/* The next one in the ledger. ERRC_NOTFOUND: there is none. ERRC_AGAIN: the transaction has lasted long enough, to be called
 * again with another. */
MUSTCHECK enum errc upindex_stored(MDB_txn *txn, MDB_dbi db, struct upindex_search *s,
				   uint64_t *seq);

#endif
