/* Alerts: a budget of which a share was used, or an account's credit that ran low, each told once a window and share. They are
 * found with a checkpoint among what changed since the one before, put down in its transaction, and told when that is on disk: a
 * restart tells none twice and, but for those of the moment, none is lost. What an edited limit has not reached any more may be
 * reached again.
 *
 * A budget's share is of its limit, in its window. Credit is that of a prepaid account behind the last grant, and its share what
 * has been used of it since. */
#ifndef AIGW_ALERTS_H
#define AIGW_ALERTS_H

#include <pthread.h>

#include "lmdbx.h"
#include "book.h"
#include "shares.h"

struct alerts {
	pthread_mutex_t lock; /* guards the shares */
	struct shares budget, credit;
	/* The ledger's writer alone. */
	struct buf found; /* struct alert after struct alert: of the open transaction, */
	struct buf ready; /* and those that are on disk */
};

struct alert {
	bool is_credit;
	uint16_t rule;
	enum rows_kind scope;
	char account[ROWS_NAME_MAX + 1], name[ROWS_TAG_MAX + 1], what[64];
	int64_t share_ppm, used_nusd, limit_nusd;
	int64_t window, reset_s; /* of a budget */
};

void alerts_init(struct alerts *a);
void alerts_fini(struct alerts *a);
/* Any thread. */
void alerts_set(struct alerts *a, const struct shares *budget, const struct shares *credit);

/* What of the book's changes is to be told; `db` remembers what has been, `rows` is the checkpoint before, which the changes are
 * not in yet. */
MUSTCHECK enum errc alerts_look(struct alerts *a, struct book *b, MDB_txn *txn, MDB_dbi db,
				MDB_dbi rows, int64_t wall_s);
/* The transaction ended. */
void alerts_committed(struct alerts *a);
void alerts_aborted(struct alerts *a);
/* The next one that is on disk; false: there is none. */
bool alerts_next(struct alerts *a, struct alert *out);
/* All of them into the log. */
void alerts_tell(struct alerts *a);

#endif
