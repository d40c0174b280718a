/* Recomputes the ledger from its records, those that are kept on top of what removed ones added up to: the hash chain, the sums of every account and scope against the checkpoint, the roll-ups, the seals, the list of claims on idempotency keys, that of providers' ids, the hashes of the price rows, and with
 * `charges` each charge from its usage and price row. Memory grows with accounts and scopes only. */
#ifndef AIGW_VERIFY_H
#define AIGW_VERIFY_H

#include "ledger.h"
#include "rollup.h"

struct verify_result {
	uint64_t first_seq, records, charges,
		seals; /* first_seq: of the first record that is kept; seals: all of them, those of removed days too */
	uint64_t bad_chain_seq;  /* first record whose hash is wrong; 0: none */
	uint64_t bad_record_seq; /* first record that cannot be read, contradicts those before it, is a second charge of a request, takes back what its charge was not, or what was taken back before */
	uint64_t bad_charge_seq; /* first charge that does not follow from its usage and price, or whose price counts for another moment or prompt */
	uint64_t bad_account;    /* first account whose checkpoint is not the sum of its records */
	uint64_t bad_accounts_n;
	uint32_t bad_day; /* first day since 1970 whose roll-ups are not the sum of its records; ROLLUP_DAY_MAX: none */
	uint64_t bad_seal_seq; /* last record of the first day whose seal says something else than the records, or than the record of their removal, or does not follow the seal before */
	uint64_t bad_claim_seq; /* first record that the list of claims on idempotency keys does not agree with */
	uint64_t bad_id_seq; /* first record that what finds charges by their provider's id does not agree with */
	uint64_t bad_prices_n;            /* price rows that are not what their hash says */
	uint8_t bad_price[DIGEST_SHA256]; /* the first of them */
	bool bad_head;                    /* the chain does not end at the stored head */
	bool bad_base; /* what removed records came to cannot be read: nothing else was looked at */
	int64_t granted_nusd, settled_nusd,
		uncollected_nusd; /* sums over all accounts; INT64_MAX where they are more */
};

/* ERRC_OK: it could be read to its end; whether it is right stands in the result. Any thread but a loop, also while the keeper
 * writes. `progress` (may be NULL) is called now and
 * then with the share done in per mille. */
MUSTCHECK enum errc verify_ledger(struct ledger *l, bool charges,
				  void (*progress)(void *arg, int permille), void *arg,
				  struct verify_result *out);
/* Opens the ledger in `dir` for reading and verifies all but the charges. ERRC_CORRUPT: it is not in order; `fault`
 * as in ledger_opts. */
MUSTCHECK enum errc verify_folder(const char *dir, enum ledger_fault *fault);
static inline bool verify_is_good(const struct verify_result *r)
{
	return !r->bad_chain_seq && !r->bad_record_seq && !r->bad_charge_seq && !r->bad_account &&
	       !r->bad_seal_seq && !r->bad_claim_seq && !r->bad_id_seq && !r->bad_prices_n &&
	       r->bad_day == ROLLUP_DAY_MAX && !r->bad_head && !r->bad_base;
}

#endif
