/* What has ended and waits in the outbox, for a report that is to be exact before the ledger has it: read first, then the ledger;
 * what that had taken by then is passed over. Costs no commit, and memory for the rows of the one key that asks. */
#ifndef AIGW_REPORT_TAIL_H
#define AIGW_REPORT_TAIL_H

#include "ledger.h"

#define REPORT_TAIL_MAX 32768 /* rows that are looked at: more than wait unless the ledger fails */

struct report_tail {
	uint64_t epoch; /* of the rows */
	struct buf rows;
};

/* Charges and reversals of one key. ERRC_BUSY: more than REPORT_TAIL_MAX rows wait, or 32 MiB of its. *out is to be given to report_tail_fini() in any
 * case. In slices; not for a loop. */
MUSTCHECK enum errc report_tail_read(struct live *live, struct ledger *l, const char *key_id,
				     struct report_tail *out);
void report_tail_fini(struct report_tail *t);
/* Calls `fn` for those that a ledger in this state lacks, in their order, until it gives an error. The record is valid until the
 * end of `t`. */
MUSTCHECK enum errc report_tail_each(const struct report_tail *t, const struct ledger_state *s,
				     enum errc (*fn)(void *arg, struct slice record), void *arg);
/* The charge with this id, taken by the ledger meanwhile or not; empty: it is not there. */
struct slice report_tail_charge(const struct report_tail *t, const struct genid *id);

#endif
