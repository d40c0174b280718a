/* What the ledger has and the live store has lost (design 3.5), the other direction of agree.h: accounts, the definitions of teams, keys
 * and end users and what finds them (a key's secret of before too, while it is good), and what is used of their budgets. A limit whose definition is lost would refuse nobody any more:
 * definitions are put back from the ledger, those that cannot be read too; the rest is for who verifies. In slices; ledger thread only. */
#ifndef AIGW_AGREE_LOST_H
#define AIGW_AGREE_LOST_H

#include "admin.h"

#define AGREE_LOST_SLICE 256 /* looked for in one read transaction */

struct agree_lost {
	size_t at;                    /* accounts first, then scopes; 0 to begin */
	uint64_t lost, first_account; /* so far in this round */
	uint64_t mended;              /* of these: what is there again */
	/* Of what else there is: what cannot be told, for rows that cannot be read, and the account of the first of it. */
	uint64_t damaged, first_damaged;
	bool done; /* the round is complete */
};

/* Takes over the outbox, then goes on with the round. mend: puts back definitions that are lost, at most LIMIT_TXN_OPS in a
 * transaction. Rows that cannot be read keep it from nothing else. */
MUSTCHECK enum errc agree_lost_slice(struct admin *a, struct agree_lost *g, bool mend,
				     int64_t wall_s);
/* After a round that mends: an error in the log where something was lost. */
void agree_lost_tell(const struct agree_lost *g);

#endif
