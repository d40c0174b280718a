/* Takes away what end users have used that have no definition of their own, once it says nothing any more: no hold, and by the
 * rules for all end users nothing used in any window that has not been over for IDLE_S; without such rules, no hold, and no
 * request for as long. Where their room
 * becomes short (userroom.h) it goes once nothing counts. Without it every tag that a client ever sent would keep its row. For the
 * keeper, and for admission where it finds no room; the ledger's book forgets them likewise. */
#ifndef AIGW_IDLE_H
#define AIGW_IDLE_H

#include "live.h"
#include "rows.h"

/* So long after its last request and the end of its windows: the wall clock may be set back a little. */
#define IDLE_S       86400
#define IDLE_SHORT_S 600 /* where room is short, after the end of its windows */

struct idle {
	struct rows_key_name at; /* where the round goes on; n = 0 to begin */
	uint64_t removed;        /* rows, ever */
};

/* Goes on with the round: looks at some rows in one read transaction, and takes away at most LIMIT_TXN_OPS in one write
 * transaction. At the end it begins anew. Rows that cannot be read stay, like what they are needed for. `wall_ms`: as far as it is to be
 * believed (trust.h). */
MUSTCHECK enum errc idle_slice(struct live *l, struct idle *it, int64_t boot_ms, int64_t wall_ms);

/* Whether anything of the state counts at this time: a hold, or what is used by the rules for all. NULL: there are none. */
bool idle_counts(const struct rows_state *s, const struct rows_scope *every, int64_t boot_ms,
		 int64_t wall_s);
/* Whether the state of an end user without a row of its own may go where there is room enough. */
bool idle_may_go(const struct rows_state *s, const struct rows_scope *every, int64_t boot_ms,
		 int64_t wall_s);

#endif
