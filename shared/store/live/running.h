/* Requests that run while a limit of requests at once comes into force, or reaches to other models: they count in it as if it had been there
 * when they were admitted, and settlement gives back what they take now. Of a key and a team the states know at any time how many run;
 * in what is for some models, and in what an account or an end user has for all, those are counted that are not yet. */
#ifndef AIGW_RUNNING_H
#define AIGW_RUNNING_H

#include "live_priv.h"

/* Whether the definition has such a limit. `was`: the one before; NULL: there was none. */
bool running_is_due(const struct rows_scope *was, const struct rows_scope *def);

/* Counts them, in the write transaction that sets the definition, behind that. Twice is no more than once. Reads every hold of the account
 * and writes those that change, which takes some microseconds each. A hold of which the scope took as many rules as there may be, some of them
 * gone since, takes no more. The definition's slices may not lie in the store. */
MUSTCHECK enum errc running_count(struct live *l, MDB_txn *txn, const struct rows_scope *def);
/* An end user has lost the limits of its own: those for all, if there are any, hold it again. */
MUSTCHECK enum errc running_count_user(struct live *l, MDB_txn *txn, uint64_t account,
				       const char id[ROWS_ID]);

#endif
