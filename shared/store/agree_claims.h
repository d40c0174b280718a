/* Whether the claims on idempotency keys that the live store keeps are what the records say (design 3.5): each that is completed is of a
 * charge of the ledger that was not taken back, and each that runs is of a hold. In slices; ledger thread only. Claims that the live
 * store had no room for are no matter. */
#ifndef AIGW_AGREE_CLAIMS_H
#define AIGW_AGREE_CLAIMS_H

#include "admin.h"
#include "idem.h"

struct agree_claims {
	struct idem_at at; /* at.n = 0 to begin */
	uint64_t claims, different;
	bool done;
};

/* Takes over the outbox, then goes on with the round. */
MUSTCHECK enum errc agree_claims_slice(struct admin *a, struct agree_claims *g);

#endif
