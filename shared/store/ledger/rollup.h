/* Roll-ups: the charges of the ledger added up by UTC day, so that a report reads some thousands of rows and not ten million
 * records. Each charge counts in a row of every cut: the day's, the model's, the payer's, the model's of a key, and, if the
 * request named an end user, the user's of a key and model, and the user's. The cuts with few rows answer most questions; a
 * report by user takes what the users' rows say from the others and has what nobody named.
 *
 * Memory is bounded: what is kept here is not the sums but what came to them since it was last written, which waits for the
 * checkpoint, every 5 s, unless it has become so many rows that the commit that writes them would take long (rollup_is_full()):
 * ROLLUP_ROWS_MAX where rows are neighbours on disk, as those of all keys in use are, and ROLLUP_ROWS_MIN where each stands
 * alone, as those of end users without number do. The rows in the ledger are on disk in runs (runs.h) without bound, and go with
 * their day's records (users) or stay (the rest). The records are the truth: what is not written yet is read from them on start,
 * and by reports.
 *
 * Belongs to the ledger's writer; rollup_walk() runs on any thread in a read transaction of its caller. */
#ifndef AIGW_ROLLUP_H
#define AIGW_ROLLUP_H

#include "lmdbx.h"
#include "record.h"

#define ROLLUP_ROWS_MIN 8192 /* changed rows that wait for the checkpoint, at least and at most */
#define ROLLUP_ROWS_MAX 32768
#define ROLLUP_RUNS     4096 /* that a commit may write for them */
#define ROLLUP_DAY_MS   INT64_C(86400000)
#define ROLLUP_DAY_MAX  UINT32_MAX
/* Bytes of names that tell rows apart: keys of runs have 511. */
#define ROLLUP_MODEL_MAX    200
#define ROLLUP_PROVIDER_MAX 100

/* The order is that of the rows. */
enum rollup_cut {
	ROLLUP_DAYS = 1, /* no names */
	ROLLUP_MODELS,   /* model, provider */
	ROLLUP_PAYERS,   /* account, key, team */
	ROLLUP_KEYS,     /* account, key, team, model, provider */
	ROLLUP_TAGS,     /* the same and the end user; only requests that have one */
	ROLLUP_USERS,    /* the end user alone, likewise */
};

/* What the name of a row has in common with the one before, in a walk. */
enum rollup_same {
	ROLLUP_SAME_NOTHING,
	ROLLUP_SAME_KEY,   /* day, account, key and team */
	ROLLUP_SAME_MODEL, /* all but the end user */
};

/* What a row is about; members that the cut does not have are 0 or empty. Slices point into the bytes they were read from. */
struct rollup_name {
	uint32_t day; /* since 1970, by the time of the settlement */
	uint64_t account;
	char key_id[APIKEY_ID], team[ROWS_ID]; /* team: all 0 for none */
	struct slice model, provider, tag;
	enum rollup_same same;
};

struct rollup_sums {
	uint64_t first_seq, last_seq; /* all records that count here are among these */
	int64_t requests, failed;
	int64_t input, cached, output, reasoning; /* tokens */
	int64_t charge_nusd, uncollected_nusd, cost_nusd;
};

struct rollup_entry;
struct rollup_slot;

struct rollup {
	struct buf names; /* keys of the entries, one after the other */
	struct rollup_entry *entries;
	size_t n, cap;
	size_t full;               /* rows that do not wait for the checkpoint */
	struct rollup_slot *slots; /* 2 * cap, by hash of the key */
	uint64_t seed[2];          /* of the hash: clients choose what end users are called */
	struct buf pending;        /* of the open transaction */
	bool written;              /* the open transaction has written the entries */
};

void rollup_init(struct rollup *r);
void rollup_fini(struct rollup *r);

uint32_t rollup_day_of(int64_t wall_ms);
/* What a charge is about and what it adds; for reports that read records themselves. The name is valid as long as the record. */
void rollup_name_of(const struct record *charge, struct rollup_name *out);
struct rollup_sums rollup_sums_of(uint64_t seq, const struct record *charge);
/* What a reversal adds, which is less, where its charge counts. The request itself stays counted. */
struct rollup_sums rollup_sums_of_reverse(uint64_t seq, const struct record *reverse);
void rollup_sums_add(struct rollup_sums *to, const struct rollup_sums *more);
/* Without the sequence numbers, which stay as they are. */
void rollup_sums_plus(struct rollup_sums *to, const struct rollup_sums *more);
void rollup_sums_sub(struct rollup_sums *from, const struct rollup_sums *less);

/* A record of the open transaction; those that are no charge and no reversal count nowhere. */
MUSTCHECK enum errc rollup_add(struct rollup *r, uint64_t seq, const struct record *rec);
/* Whether what is here is to be written without waiting for the checkpoint. */
bool rollup_is_full(const struct rollup *r);
/* Adds what committed records came to to the rows, once a transaction at most. */
MUSTCHECK enum errc rollup_write(struct rollup *r, MDB_txn *txn, MDB_dbi db);
/* The open transaction ended: what it wrote is forgotten here, what it added counts. `find` reads the charge that a reversal
 * takes back into `b`; ERRC_NOTFOUND: then it counts nowhere. */
MUSTCHECK enum errc rollup_committed(struct rollup *r,
				     enum errc (*find)(void *arg, const struct genid *id,
						       struct buf *b),
				     void *arg);
void rollup_aborted(struct rollup *r);

/* The tag of the end user with this id (rows_user_id()) of the account, if a charge that is not in the rows yet named it; valid until
 * the next change. Looks at all that is in memory. */
bool rollup_find_tag(const struct rollup *r, uint64_t account, const char id[ROWS_ID],
		     struct slice *tag);

/* Rows to be read: of one cut, from day to day, of one account or all, of one of its keys or all. */
struct rollup_ask {
	enum rollup_cut cut;
	uint32_t from, to;  /* from <= day <= to */
	uint64_t account;   /* 0: all */
	const char *key_id; /* with an account only; NULL: all */
};
/* In order of day, account, key. Name and sums are valid during the call; the first error of `fn` ends it. */
MUSTCHECK enum errc rollup_walk(MDB_txn *txn, MDB_dbi db, const struct rollup_ask *ask,
				enum errc (*fn)(void *arg, const struct rollup_name *,
						const struct rollup_sums *),
				void *arg);
/* Removes the end users' rows of days up to `day`, `max` runs of them (runs.h); *more: call again. */
MUSTCHECK enum errc rollup_forget_tags(MDB_txn *txn, MDB_dbi db, uint32_t day, size_t max,
				       bool *more);

#endif
