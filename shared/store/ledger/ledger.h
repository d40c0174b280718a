/* The ledger: the durable truth about money, an LMDB file in the state folder that only the keeper writes, with fully
 * durable commits. Records are numbered from 1 and chained: each one is stored with SHA-256(hash before it | its bytes).
 * Writing goes through one open transaction: ledger_begin() -> ledger_take()/ledger_append()/ledger_checkpoint() ->
 * ledger_commit(); all of it from one thread. Reading is allowed from any thread. */
#ifndef AIGW_LEDGER_H
#define AIGW_LEDGER_H

#include "book.h"
#include "ledger_opts.h"
#include "live.h"
#include "outbox.h"

struct ledger;

#define LEDGER_RESTORED_MAX 512 /* bytes of the mark */
/* Records are in time order up to the ledger's lag and small corrections of the clock. */
#define LEDGER_SLACK_MS     60000
#define LEDGER_STEP_BACK_MS (LEDGER_SLACK_MS / 2) /* more than this is a clock that was set back */

/* Where the ledger stands. */
struct ledger_state {
	uint8_t id[LIVE_ID];
	uint64_t epoch;                /* raised before a live store is made */
	uint64_t taken_epoch, taken_n; /* the last outbox record that is here */
	uint64_t last_seq, upto_seq; /* the last record; the last one that the checkpoint contains */
	uint64_t admin_seq; /* the last record that did not come through the outbox and that the live store has to follow */
	uint64_t claims_over_seq; /* claims of the records up to this one were over and have left the list */
	uint64_t reload_life,
		reload_number; /* the last reload that was noted: of which master, and its generation there */
	uint32_t steps_back; /* how often the wall clock went back by more than LEDGER_SLACK_MS between two records */
	uint8_t head[DIGEST_SHA256]; /* of the chain */
	char boot_id[40];            /* of the boot in which the epoch began; empty: none did */
};

/* Opens the ledger, made new if there is none and never was, and loads the book from its own read inside a transaction. ERRC_STALE
 * when it has another id; ERRC_CORRUPT, ERRC_VERSION, ERRC_IO, ERRC_NOSPACE. The result is owned by the caller. */
MUSTCHECK enum errc ledger_open(const struct ledger_opts *o, struct ledger **out);
void ledger_close(struct ledger **l);

/* As of the last commit; valid until the next one. Writer thread only. */
const struct ledger_state *ledger_state(const struct ledger *l);
/* How many records the checkpoint lacks. */
static inline uint64_t ledger_tail(const struct ledger *l)
{
	return ledger_state(l)->last_seq - ledger_state(l)->upto_seq;
}
const struct book *ledger_book(const struct ledger *l);

/* From here on each checkpoint looks for alerts. `a` is borrowed until ledger_close(), or until NULL is set. */
struct alerts;
void ledger_watch(struct ledger *l, struct alerts *a);

/* Waits while another process writes. Reads where it continues inside the transaction; ERRC_STALE when another keeper has
 * written since (end, and start anew); ERRC_MOVED: the file was removed or replaced, may be tried again. */
MUSTCHECK enum errc ledger_begin(struct ledger *l);
/* Appends the rows of the outbox of `epoch` that the ledger does not have yet. ERRC_CORRUPT when a number is missing
 * between them and the last one taken, or when a row is no record: nothing is appended. What takes back a charge that was taken
 * back before is passed over, and told. A day that is over by the first row is sealed (seal.h) before it. ERRC_AGAIN: the rows up to the
 * first one of a later day were taken; after a commit the rest can be. */
MUSTCHECK enum errc ledger_take(struct ledger *l, uint64_t epoch, const struct outbox_batch *b);
/* Whether the open transaction has records of a day that is over at that time: it is to be committed before a record of then is appended,
 * so that the day can be sealed, which is done as of a commit. */
bool ledger_ends_day(const struct ledger *l, int64_t wall_ms);
/* Appends an administrative record, behind the seal of a day that is over by it unless ledger_ends_day(); *seq gets its number.
 * ERRC_DUPLICATE: it takes back what was taken back before. */
MUSTCHECK enum errc ledger_append(struct ledger *l, const struct record *r, uint64_t *seq);
/* Writes the book's changed rows and the roll-ups, and the indexes by ids when enough waits for them, as of the last commit.
 * Due every 5 s. */
MUSTCHECK enum errc ledger_checkpoint(struct ledger *l);
/* Makes price rows findable by their hash; known ones cost a look-up. */
MUSTCHECK enum errc ledger_put_prices(struct ledger *l, const struct price *const *prices, size_t n);
/* Begins the epoch of a new live store, the next one, and at least `least`; `gap` (NULL: this is the first) is noted when an
 * old one was lost. */
MUSTCHECK enum errc ledger_raise_epoch(struct ledger *l, const char *boot_id, uint64_t least,
				       struct record *gap);
/* On ERRC_OK everything since ledger_begin() is on disk and in the book; else nothing of it is. ERRC_NOSPACE may be tried
 * again; after ERRC_IO the keeper must end: what the disk holds is unknown until a new start has read it. */
MUSTCHECK enum errc ledger_commit(struct ledger *l);
void ledger_abort(struct ledger *l);

/* Reading, from any thread. Every call is one short read transaction of its own. */
MUSTCHECK enum errc ledger_read_state(struct ledger *l, struct ledger_state *out);
MUSTCHECK enum errc ledger_get(struct ledger *l, uint64_t seq,
			       struct buf *record); /* appends; ERRC_NOTFOUND */
/* The chain's hash at that record. ERRC_NOTFOUND. */
MUSTCHECK enum errc ledger_hash(struct ledger *l, uint64_t seq, uint8_t out[DIGEST_SHA256]);
MUSTCHECK enum errc ledger_find(struct ledger *l, const struct genid *id, uint64_t *seq);
/* The reversal of the charge with this id. ERRC_NOTFOUND: it was not taken back. */
MUSTCHECK enum errc ledger_find_reversal(struct ledger *l, const struct genid *id, uint64_t *seq);
/* ledger_find() of a record that was seen by now: waits for the commit that made it, which may not have come to its end. Any thread but the
 * writer's. */
MUSTCHECK enum errc ledger_find_seen(struct ledger *l, const struct genid *id, uint64_t *seq);
/* By the provider's id: the newest charge that has it, made by key_id (NULL: any). */
MUSTCHECK enum errc ledger_find_upstream(struct ledger *l, struct slice upstream_id,
					 const char *key_id, uint64_t *seq);
/* ERRC_NOTFOUND; ERRC_CORRUPT: what is stored is no price, or another one. */
MUSTCHECK enum errc ledger_price(struct ledger *l, const uint8_t hash[DIGEST_SHA256],
				 struct price *out);
/* The same row as it is stored, appended, unchecked: ledger_price_is() says whether its SHA-256 is the hash. */
MUSTCHECK enum errc ledger_price_bytes(struct ledger *l, const uint8_t hash[DIGEST_SHA256],
				       struct buf *out);
bool ledger_price_is(struct slice row, const uint8_t hash[DIGEST_SHA256]);
/* What the records up to out_state->upto_seq add up to, as the ledger keeps it, and the state of the same instant. *book is
 * owned by the caller. */
MUSTCHECK enum errc ledger_read_book(struct ledger *l, struct book **book,
				     struct ledger_state *out_state);
/* A record before which all are older than `wall_ms`; last_seq + 1 when all of them are. `*in_order`: those that follow are in
 * time order up to LEDGER_SLACK_MS; false when the clock has been set back: then the search begins at the first record. */
MUSTCHECK enum errc ledger_seek(struct ledger *l, int64_t wall_ms, uint64_t *seq, bool *in_order);

/* Writes the whole file, as of one commit, to `fd`: a ledger that can be opened. Any thread but a loop, also while the keeper
 * writes; what it frees meanwhile makes the file grow. `fd` may be a pipe; it must take 64 KiB without waiting. */
MUSTCHECK enum errc ledger_copy(struct ledger *l, int fd);
/* Of such a copy now. */
MUSTCHECK enum errc ledger_copy_bytes(struct ledger *l, uint64_t *bytes);

/* Whether the ledger in this state folder was restored from a backup and has not begun its new epoch (restored.h); that it
 * has. */
bool ledger_is_restored(const char *state_dir);
/* Who put it there, when, and of when it is, as far as that is told; points into `mem`. */
struct ledger_restored {
	struct slice who, made, put;
};
void ledger_restored_read(const char *state_dir, char mem[LEDGER_RESTORED_MAX],
			  struct ledger_restored *out);
MUSTCHECK enum errc ledger_restored_done(const char *state_dir);

/* A charged request that had an idempotency key; the tag is valid during the call. */
struct ledger_claim {
	char key_id[APIKEY_ID];
	struct genid id;
	struct slice tag; /* IDEM_TAG bytes */
	int64_t made_ms;
};
/* Calls `fn` for those of the 24 hours before `wall_ms`, the last `max`, oldest first, until it gives an error. */
MUSTCHECK enum errc ledger_each_claim(struct ledger *l, int64_t wall_ms, size_t max,
				      enum errc (*fn)(void *arg, const struct ledger_claim *),
				      void *arg);

struct ledger_item {
	uint64_t seq;
	const uint8_t *hash; /* DIGEST_SHA256 bytes */
	struct slice record;
};
/* Calls `fn` for records from *seq on, in slices of at most 20 ms a read transaction, until `fn` gives an error (which is
 * returned), the end, or `upto`; *seq is the next one. The item is valid during the call. */
MUSTCHECK enum errc ledger_walk(struct ledger *l, uint64_t *seq, uint64_t upto,
				enum errc (*fn)(void *arg, const struct ledger_item *), void *arg);

#endif
