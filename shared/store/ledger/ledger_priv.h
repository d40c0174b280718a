/* The inside of the ledger, for the files of this folder. */
#ifndef AIGW_LEDGER_PRIV_H
#define AIGW_LEDGER_PRIV_H

#include "alerts.h"
#include "be.h"
#include "idem_tag.h"
#include "ledger.h"
#include "lmdbx.h"
#include "idindex.h"
#include "rollup.h"
#include "trust.h"

#define LEDGER_MAGIC 0x1ed6e201u

struct retain_base;

/* The last seal: up to which record, of which day, and on which day it was made. */
struct ledger_sealed {
	uint64_t seq;
	uint32_t day, on;
};

struct ledger {
	unsigned magic;
	MDB_env *env;
	MDB_dbi records;  /* number -> hash | record */
	MDB_dbi ids;      /* generation id -> number */
	MDB_dbi upstream; /* rows of idindex */
	MDB_dbi prices;   /* hash -> price row */
	MDB_dbi rows;     /* the checkpoint: rows as in the live store */
	MDB_dbi rollups;
	MDB_dbi seals;  /* number of a day's last record -> struct seal, its sums */
	MDB_dbi alerts; /* what alerts.h has told */
	MDB_dbi base;   /* what removed records add up to: rows like the checkpoint's */
	MDB_dbi meta;
	MDB_dbi idem;     /* number -> claim, of charges that had an idempotency key */
	MDB_dbi reversed; /* generation id of a charge that was taken back -> number of the reversal */
	bool read_only;
	struct ledger_state state; /* as of the last commit */
	int64_t newest_ms;         /* the latest time of a record since the clock went back */
	struct book *book;
	pthread_mutex_t
		commits; /* held from a commit until what it made durable is to be found by its id */
	struct idindex idindex;
	struct rollup rollup;
	struct ledger_sealed sealed; /* as of the last commit */
	struct alerts *watch;        /* NULL: nobody wants to know; borrowed */
	struct trust *trust;         /* NULL: times of records are believed; borrowed */
	struct book *base_book;      /* of `base`, while records are being removed; else NULL */
	size_t forget_at;            /* a position in it */
	uint32_t removed_day;        /* the last one that was, while base_book is there */
	/* Of clean.h: a mark is there, and holds; what it says of the live store. */
	bool has_clean, is_clean;
	uint64_t clean_txn;
	/* The open write transaction. */
	MDB_txn *txn;
	struct ledger_state next;
	int64_t next_newest_ms;
	struct ledger_sealed next_sealed;
	bool next_clean; /* this commit makes a mark */
	uint64_t next_clean_txn;
	struct buf pending; /* its records, for the book after the commit: see struct pending */
	bool checkpointed;
	struct buf scratch;
};

MUSTCHECK enum errc ledger_read_begin(struct ledger *l, MDB_txn **txn);
void ledger_read_end(MDB_txn **txn);

/* Keys of the ledger's trees. */
static inline void ledger_put_be(uint64_t v, uint8_t out[8])
{
	be_put(out, 8, v);
}

static inline uint64_t ledger_get_be(const void *p)
{
	return be_get(p, 8);
}

/* What stands before a record's bytes. */
static inline void ledger_chain(const uint8_t before[DIGEST_SHA256], struct slice record,
				uint8_t out[DIGEST_SHA256])
{
	struct digest d;

	digest_init(&d);
	digest_add(&d, slice_of(before, DIGEST_SHA256));
	digest_add(&d, record);
	digest_final(&d, out);
}

/* When the record was made. */
MUSTCHECK enum errc ledger_time_of(struct ledger *l, MDB_txn *txn, uint64_t seq, int64_t *wall_ms);
MUSTCHECK enum errc ledger_get_state(struct ledger *l, MDB_txn *txn, struct ledger_state *s);
/* Writes the index entries of committed charges, all those up to record `upto`, with a word that they are there. */
MUSTCHECK enum errc ledger_write_index(struct ledger *l, MDB_txn *txn, uint64_t upto);
/* Up to which record the stored index goes. ERRC_NOTFOUND: there is none, or one of another form. */
MUSTCHECK enum errc ledger_indexed_upto(struct ledger *l, MDB_txn *txn, uint64_t *seq);
/* Keeps the list of ledger_each_claim() as record `seq` is appended. */
MUSTCHECK enum errc ledger_note_claim(struct ledger *l, uint64_t seq, const struct record *r);
/* Whether the record has a claim that belongs into the list. */
bool ledger_has_claim(const struct record *r);
/* That record `seq`, which is about to be appended, takes back a charge. ERRC_DUPLICATE: another one did. */
MUSTCHECK enum errc ledger_note_reversal(struct ledger *l, uint64_t seq, const struct record *r);
/* The reversal `seq` is removed. */
MUSTCHECK enum errc ledger_forget_reversal(struct ledger *l, uint64_t seq, const struct record *r);

/* The list at one instant: its first claim of a record from the asked one on. */
struct ledger_claim_at {
	uint64_t seq;                /* UINT64_MAX: there is none */
	uint64_t last;               /* of the whole list; 0: it is empty */
	uint64_t upto_seq, over_seq; /* the ledger's last record then; claims_over_seq */
	int64_t made_ms, charged_ms;
	char key_id[APIKEY_ID];
	struct genid id;
	uint8_t tag[IDEM_TAG];
};
/* ERRC_CORRUPT: what stands at out->seq is no claim. */
MUSTCHECK enum errc ledger_claim_from(struct ledger *l, uint64_t seq, struct ledger_claim_at *out);
/* Puts into memory, and on disk while there are many, what the stored indexes lack. Alone, as the writer. */
MUSTCHECK enum errc ledger_catch_up_index(struct ledger *l);
/* Writes what committed records add to the roll-ups, all those up to record `upto`, with a word that they are there. */
MUSTCHECK enum errc ledger_write_rollups(struct ledger *l, MDB_txn *txn, uint64_t upto);
/* Up to which record the stored roll-ups go; 0: none are there. */
MUSTCHECK enum errc ledger_rolled_upto(struct ledger *l, MDB_txn *txn, uint64_t *seq);
/* Puts into memory, and on disk while there are many, what the stored roll-ups lack. Alone, as the writer; once the indexes
 * are there. */
MUSTCHECK enum errc ledger_catch_up_rollups(struct ledger *l);
/* The transaction was committed: see rollup_committed(). */
MUSTCHECK enum errc ledger_count_rollups(struct ledger *l);
/* The last seal into l->sealed. */
MUSTCHECK enum errc ledger_load_sealed(struct ledger *l, MDB_txn *txn);
/* A record of that time is about to be appended: a day that is over by it is sealed first. ERRC_AGAIN: see ledger_ends_day(). */
MUSTCHECK enum errc ledger_seal_before(struct ledger *l, int64_t wall_ms);
/* The mark of clean.h: read; put, or taken away, with the transaction that is about to be committed; it was. */
MUSTCHECK enum errc ledger_load_clean(struct ledger *l, MDB_txn *txn);
MUSTCHECK enum errc ledger_put_clean(struct ledger *l);
void ledger_clean_committed(struct ledger *l);
/* What has been removed (retain.h). */
MUSTCHECK enum errc ledger_get_base(struct ledger *l, MDB_txn *txn, struct retain_base *out);
/* A checkpoint's rows into a book; and a book's changed rows into such a tree. */
MUSTCHECK enum errc ledger_load_rows(MDB_txn *txn, MDB_dbi db, struct book *b);
MUSTCHECK enum errc ledger_put_rows(MDB_txn *txn, MDB_dbi db, struct book *b);
/* Takes out who book_each_idle() chooses. */
MUSTCHECK enum errc ledger_forget_rows(MDB_txn *txn, MDB_dbi db, struct book *b, int64_t wall_s);

#endif
