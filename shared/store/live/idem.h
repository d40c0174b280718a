/* Claims on idempotency keys (contract A8): an API key's word stands for one request for 24 hours, and until the sweep comes to it. A claim is made in the transaction of the
 * hold, completed or freed in that of its settlement, so it can neither outlive nor precede its charge. They stand in a tree of the live store of
 * their own, by API key and hash of the word, and beside in the order of their making, so that those that are over can go. No other goes: where
 * there is no room for a new one, that request is refused. All together have a quarter of the store; one API key has no more than it leaves
 * to the others. */
#ifndef AIGW_IDEM_H
#define AIGW_IDEM_H

#include "apikey.h"
#include "genid.h"
#include "idem_tag.h"

#define IDEM_LASTS_MS INT64_C(86400000)
#define IDEM_SHARE    4   /* of the store, as a divisor */
#define IDEM_BYTES    200 /* of the store that a claim takes, about */

enum idem_result {
	IDEM_NEW,
	IDEM_RUNNING,   /* the request that has it has not come to its end */
	IDEM_COMPLETED, /* it was charged */
	IDEM_MISMATCH,  /* it stands for another request */
};

struct live;

/* By which clock claims are over, trust_now_ms(), and the wall clock, by which they are made. */
struct idem_now {
	int64_t believed_ms, wall_ms;
};
/* Removes claims that are over: at most LIMIT_TXN_OPS * 8 in one transaction, going round the API keys from where the last call came to. One
 * that is later than the wall clock, which was ahead as it was made, is as old as the moment in which it stands first, and counts as
 * removed there. Keeper only; begins zeroed. */
struct idem_sweep {
	char at[APIKEY_ID];
};
MUSTCHECK enum errc idem_sweep(struct live *l, const struct idem_now *now, struct idem_sweep *s,
			       uint32_t *removed);

/* A claim as it stands. */
struct idem_row {
	char key_id[APIKEY_ID];
	struct genid id;
	uint8_t tag[IDEM_TAG];
	bool completed;
};
/* Where a walk goes on; n = 0: at the first, and when it is over. */
struct idem_at {
	size_t n;
	char b[APIKEY_ID + 1 + IDEM_TAG / 2];
};

#endif
