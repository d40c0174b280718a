/* Which charge has an id: the generation id, or the provider's own for GET /v1/generation?id=. Generation ids begin with the time
 * of admission, so that a long stream's comes late; providers' ids are at random places: trees that took each as it comes would
 * have a page or two to write for each. So the newest entries wait in memory and go into the ledger some thousands at once:
 * generation ids sorted, so that many share a page; of the others a row for every slice of their hashes. The records are the
 * truth: what waits in memory is read from them again on start, and a hash only says where to look.
 *
 * Written by the ledger's writer; the searches may run on any thread. */
#ifndef AIGW_IDINDEX_H
#define AIGW_IDINDEX_H

#include <pthread.h>

#include "lmdbx.h"
#include "record.h"

#define IDINDEX_ROWS_MIN   2048 /* entries that are worth their pages with a checkpoint */
#define IDINDEX_ROWS_MAX   8192 /* entries that do not wait for one */

#define IDINDEX_GROUP_BITS 20 /* numbers of a group of rows: some pages a slice, read in one go */
#define IDINDEX_GROUP      (UINT64_C(1) << IDINDEX_GROUP_BITS)

/* What is kept of a provider's id and of the key that made the charge. */
struct idindex_name {
	uint32_t hash;
	uint16_t tag; /* of the key */
	uint8_t slice;
	bool none; /* the provider gave no id */
};

struct idindex_entry {
	struct genid id;
	uint64_t seq;
	struct idindex_name name;
};

struct idindex {
	pthread_mutex_t lock; /* guards entries and slots (the pointers), the slots and durable_n */
	uint8_t seed[16];
	struct idindex_entry *entries; /* by number; owned */
	size_t n, cap;
	uint32_t *slots; /* 2 * cap: the durable entries by generation id, positions + 1, 0 = empty; owned */
	size_t durable_n; /* those whose records are committed, to be found; after them the open transaction's */
	size_t written_n; /* those that the open transaction has written */
};

void idindex_init(struct idindex *ix);
void idindex_fini(struct idindex *ix);
/* The same ids have other hashes in every ledger. Before all that follows. */
void idindex_seed(struct idindex *ix, const uint8_t seed[16]);

/* A charge of the open transaction, newer than all before it. */
MUSTCHECK enum errc idindex_add(struct idindex *ix, uint64_t seq, const struct record_charge *c);
/* Writes the entries of committed charges, once a transaction at most: `ids` maps generation ids to numbers, `upstream` has the
 * rows of the others. */
MUSTCHECK enum errc idindex_write(struct idindex *ix, MDB_txn *txn, MDB_dbi ids, MDB_dbi upstream);
/* Removes rows that lead only to charges up to `seq`, `max` of them; *more: call again. */
MUSTCHECK enum errc idindex_forget(MDB_txn *txn, MDB_dbi upstream, uint64_t seq, size_t max,
				   bool *more);
/* The open transaction ended: what it added is found from now on, and what it wrote no longer here; or it never was. */
void idindex_committed(struct idindex *ix);
void idindex_aborted(struct idindex *ix);

/* The newest charge in memory with this generation id. If there is none it is to be sought in the ledger, with a transaction that
 * begins afterwards. */
bool idindex_find(struct idindex *ix, const struct genid *id, uint64_t *seq);

/* A search by a provider's id, from the newest charge back. */
struct idindex_search {
	struct idindex_name name;
	bool any_key;
	uint64_t before; /* goes on below this number */
};
void idindex_search_init(const struct idindex *ix, struct slice upstream_id, const char *key_id,
			 struct idindex_search *s);
/* The next charge in memory that may be meant: *seq. To be followed by idindex_stored() with a transaction that began after
 * the last false: so nothing is missed that moves from the one to the other meanwhile. */
bool idindex_recent(struct idindex *ix, struct idindex_search *s, uint64_t *seq);
/* The next one in the ledger. ERRC_NOTFOUND: there is none. ERRC_AGAIN: the transaction has lasted long enough, to be called
 * again with another. */
MUSTCHECK enum errc idindex_stored(MDB_txn *txn, MDB_dbi db, struct idindex_search *s,
				   uint64_t *seq);

/* All that is kept of a record's provider id in one number, for who compares the rows with the records; 0: nothing, for it has
 * none. */
uint64_t idindex_mark(const struct idindex *ix, const struct record *r);
#define IDINDEX_MARK_BAD UINT64_MAX /* that of no record */
/* What the rows of a group say: marks[i], which are 0 before, is of number (group << IDINDEX_GROUP_BITS) + i, for the first n of
 * them. *bad: a row of the group has another form, another number, or is where a search would not look for it. */
MUSTCHECK enum errc idindex_marks(MDB_txn *txn, MDB_dbi db, uint64_t group, uint64_t *marks,
				  size_t n, bool *bad);

#endif
