/* The mark of a clean stop: all that was charged is in the ledger, no hold is out, and no process may charge any more. It stands in the
 * commit that makes it so and is gone, durably, with the next one of any kind; a start begins with one before any worker is there. So
 * a live store that is not there any more, or cannot be read, had nothing that the ledger lacks. */
#ifndef AIGW_CLEAN_H
#define AIGW_CLEAN_H

#include "ledger.h"

/* With the transaction open; it counts for this commit. `live_txn`: live_last_txn() of the live store. */
void clean_mark(struct ledger *l, uint64_t live_txn);
/* Whether the ledger's last commit was such a one, of its epoch; *live_txn as it was given then. Writer thread only. */
bool clean_is_marked(const struct ledger *l, uint64_t *live_txn);
/* A commit that takes the mark away, if it is there. */
MUSTCHECK enum errc clean_forget(struct ledger *l);

#endif
