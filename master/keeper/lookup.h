/* A worker asks for the record of a settled request (GET /v1/generation). Read on the loop's thread pool, the outbox before
 * the ledger: a record is in the ledger before it leaves the outbox, so it is seen in one of them. */
#ifndef AIGW_LOOKUP_H
#define AIGW_LOOKUP_H

#include "ledger.h"

struct keeper_worker;
struct msg_lookup;

/* Answers with FOUND, at once when there are too many. */
void lookup_start(struct keeper_worker *w, const struct msg_lookup *m);

/* The stored charge with this generation id or provider's id, made by key_id (NULL: any); appended to `out`. *seq is 0 when it
 * is not in the ledger yet. Any thread. */
MUSTCHECK enum errc lookup_find(struct live *live, struct ledger *ledger, struct slice id,
				const char *key_id, struct buf *out, uint64_t *seq);

#endif
