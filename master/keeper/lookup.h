/* The record of a settled request, for receipts: a worker asks (GET /v1/receipts, /v1/generation), or the operator. Read on the
 * loop's thread pool, the outbox before the ledger: a record is in the ledger before it leaves the outbox, so it is seen in
 * one of them. */
#ifndef AIGW_LOOKUP_H
#define AIGW_LOOKUP_H

#include "ledger.h"

struct keeper_worker;
struct msg_lookup;

struct lookup_found {
	struct buf record;           /* the stored charge */
	uint64_t seq;                /* 0: it is not in the ledger yet */
	uint8_t hash[DIGEST_SHA256]; /* of the chain there */
	struct buf price_bytes;      /* its price row as it is stored; empty: there is none */
	bool priced;                 /* `price` is that row */
	struct price price;
	bool reversed; /* the charge was taken back */
};

/* Answers with FOUND, at once when there are too many. */
void lookup_start(struct keeper_worker *w, const struct msg_lookup *m);

/* The charge with this generation id or provider's id, made by key_id (NULL: any). ERRC_NOTFOUND; ERRC_BUSY: so much waits for the
 * ledger that it cannot be said. *out is to be given to lookup_fini() in any case. Any thread. */
MUSTCHECK enum errc lookup_find(struct live *live, struct ledger *ledger, struct slice id,
				const char *key_id, struct lookup_found *out);
void lookup_fini(struct lookup_found *f);

#endif
