/* Day seals. Once a UTC day is over, what the ledger took since the seal before is sealed: first and last record, the chain's
 * hash behind the last one, and what every account's records added up to by then. A day is over when a record of a later one comes
 * (ledger_take(), ledger_append()), however long both have waited, or when the clock says so and none waits; so each day that has records
 * has a seal. A record that comes behind its day's seal is in the next one. The records of a sealed day may be removed (retain.h): seals
 * stay for ever, and what they say is what the chain that is left begins with. */
#ifndef AIGW_SEAL_H
#define AIGW_SEAL_H

#include "ledger.h"

#define SEAL_SUMS_MAX ((size_t)1 << 31) /* bytes of the sums of one seal */

struct seal {
	uint32_t day; /* since 1970: that of the newest record */
	uint32_t on; /* the day by which it was over: that of the record behind it, or on which it was made */
	uint64_t first, last;
	uint8_t head[DIGEST_SHA256]; /* of the chain behind `last` */
	uint64_t accounts_n;
};

/* One account's sums over all records up to the seal. */
struct seal_sums {
	uint64_t account;
	int64_t granted_nusd, settled_nusd, uncollected_nusd;
};

/* Whether a day is over by the clock that is not sealed; and seals it, with the transaction open and nothing appended in it. What waits
 * in the outbox may be of that day. */
bool seal_is_due(const struct ledger *l, int64_t wall_ms);
MUSTCHECK enum errc seal_day(struct ledger *l, int64_t wall_ms);

/* The first seal that has record `seq` or a later one; `sums` (may be NULL) gets its struct seal_sums, in order of account.
 * ERRC_NOTFOUND. Any thread. */
MUSTCHECK enum errc seal_from(struct ledger *l, uint64_t seq, struct seal *out, struct buf *sums);

/* Whether a seal can be of its day when its last record is of that time: the newest one may be some seconds later. */
bool seal_is_of_day(const struct seal *s, int64_t last_ms);

/* Seals are hashed in turn as records are: SHA-256(hash before | row), zeros before the first. The record of a day's removal
 * has it in `row`, so that what the seals said by then stands in the ledger's chain. */
struct seal_chain {
	uint64_t seq; /* last record of the last seal that is in it */
	uint8_t head[DIGEST_SHA256];
};

/* Carries it on up to the seal that ends with record `upto`. ERRC_NOTFOUND, ERRC_CORRUPT: there is no such seal behind it. Any
 * thread. */
MUSTCHECK enum errc seal_chain_to(struct ledger *l, uint64_t upto, struct seal_chain *c);

#endif
