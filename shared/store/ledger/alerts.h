/* Alerts: a budget of which a share was used, or an account's credit that ran low, each told once a window and share. They are
 * found with a checkpoint among what changed since the one before, put down in its transaction, and told when that is on disk: a
 * restart tells none twice and, but for those of the moment, none is lost. What an edited limit has not reached any more may be
 * reached again; what it had reached is told first.
 *
 * A budget's share is of its limit, in its window. Credit is that of a prepaid account behind the last grant, and its share what
 * has been used of it since; that of a team, a key or an end user is all that it was granted. The overdraft counts in neither. */
#ifndef AIGW_ALERTS_H
#define AIGW_ALERTS_H

#include <pthread.h>

#include "lmdbx.h"
#include "alerts_past.h"
#include "book.h"
#include "rollup.h"
#include "shares.h"

/* The key of a row of what has been told. */
struct alerts_row {
	size_t n;
	uint8_t b[sizeof((struct rows_key_name *)0)->b + 4];
};

struct alerts {
	pthread_mutex_t lock; /* guards the shares */
	struct shares budget, credit;
	/* The ledger's writer alone. */
	struct alerts_past past;
	struct buf found;     /* struct alert after struct alert: of the open transaction, */
	struct buf ready;     /* and those that are on disk */
	struct alerts_row at; /* where the look goes on for what need not be remembered any longer */
};

struct alert {
	bool is_credit;
	uint32_t rule; /* 0: it is the account's credit */
	enum rows_kind scope;
	/* Name of the account and of the scope (of a key its id); "budget per day"; patterns, "gpt-*, o1", cut (empty: all). */
	char account[ROWS_NAME_MAX + 1], name[ROWS_TAG_MAX + 1], what[64], models[64];
	int64_t share_ppm, used_nusd, limit_nusd;
	int64_t window, reset_s; /* of a budget */
};

void alerts_init(struct alerts *a);
void alerts_fini(struct alerts *a);
/* Any thread. */
void alerts_set(struct alerts *a, const struct shares *budget, const struct shares *credit);

/* Before the book applies a record that may be a change of credit or limits, and once it has. */
static inline void alerts_note(struct alerts *a, const struct book *b, const struct record *r,
			       bool is_after)
{
	alerts_past_note(&a->past, b, r, is_after);
}

/* Where alerts_look() looks; all borrowed. */
struct alerts_place {
	struct book *book;
	const struct rollup *recent; /* has the names of end users whom the book knows by their ids */
	MDB_txn *txn;
	MDB_dbi told; /* remembers what has been told */
	MDB_dbi rows; /* the checkpoint before, which the book's changes are not in yet */
	int64_t wall_s;
};
/* Which of the book's changes are to be told. What was told of rules and scopes that are gone, and of windows before the last two, is
 * forgotten, some of it each time. */
MUSTCHECK enum errc alerts_look(struct alerts *a, const struct alerts_place *at);
/* The transaction ended. */
void alerts_committed(struct alerts *a);
void alerts_aborted(struct alerts *a);
/* The next one that is on disk; false: there is none. */
bool alerts_next(struct alerts *a, struct alert *out);
/* All of them into the log. */
void alerts_tell(struct alerts *a);

#endif
