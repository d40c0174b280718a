/* Whether the list of claims on idempotency keys is what the records say, for verify: each charge that has a claim stands in it
 * unless it was taken back or its claim is over, and nothing else does. The keeper may write meanwhile: a claim that is not
 * there although its charge is may have been taken back since, by a record that the walk has not come to. Memory grows with
 * those only. */
#ifndef AIGW_CLAIMCHECK_H
#define AIGW_CLAIMCHECK_H

#include "ledger_priv.h"

struct claimcheck {
	struct ledger *l;
	struct ledger_claim_at
		at; /* what was seen of the list last; it holds for records up to at.upto_seq */
	struct buf lacking; /* numbers of charges without their claim, that no reversal has explained so far */
	uint64_t over_seq;  /* as it was when the walk began to go on */
	uint64_t over_seen; /* the last charge that was it as the walk came by; 0: none */
	int64_t over_ms,
		newest_ms; /* of the charge over_seen; the latest of all charges with claims */
	bool closing;
	uint64_t bad_seq; /* the first record that the list does not agree with; 0: none */
};

void claimcheck_init(struct claimcheck *c, struct ledger *l);
void claimcheck_fini(struct claimcheck *c);
/* The walk goes on to the end that this state tells; it has come to that of the state before. */
void claimcheck_go_on(struct claimcheck *c, const struct ledger_state *s);
/* Each record in turn. */
MUSTCHECK enum errc claimcheck_add(struct claimcheck *c, uint64_t seq, const struct record *r);
/* A record that takes back charge `at`, after claimcheck_add(). */
MUSTCHECK enum errc claimcheck_taken_back(struct claimcheck *c, uint64_t at);
/* The walk is at its end. True: claims are lacking that what was written meanwhile may explain; it is to go on once more, and only
 * for that. */
bool claimcheck_waits(struct claimcheck *c);
/* c->bad_seq is what was found. */
void claimcheck_end(struct claimcheck *c);

#endif
