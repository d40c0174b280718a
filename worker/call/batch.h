/* Operations on the live store, gathered over the calls of a turn and run in write transactions of at most LIMIT_TXN_OPS. An operation that
 * is alone runs alone in the same turn: nothing waits for a batch to fill. */
#ifndef AIGW_BATCH_H
#define AIGW_BATCH_H

#include "admit.h"
#include "turn.h"

struct batch;

/* Embedded in its owner. `op` is filled by the owner before batch_add() and stays its own. */
struct batch_item {
	struct list node;
	struct admit_op op;
	enum errc result; /* ERRC_OK: the op's own results count */
	bool queued;
	void (*done)(struct batch_item *); /* from the turn's hook: records and wakes */
};

MUSTCHECK enum errc batch_new(struct turn *t, struct live *l, struct batch **out);
/* Items still queued are forgotten. */
void batch_free(struct batch **b);
void batch_set_rules(struct batch *b, const struct admit_rules *rules);

/* Queues the item; `done` comes in this turn. */
void batch_add(struct batch *b, struct batch_item *i);
/* Takes a queued item out: it did not happen. False when it ran already. */
bool batch_cancel(struct batch_item *i);

#endif
