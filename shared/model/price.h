/* The price of a model as the client pays it, and the two sums that hang on it: the charge of a
 * usage and the hold before it. For every usage within its bound, charge <= hold. A price row is
 * complete (every class has its price) and says where it counts, so that a stored row can be
 * recomputed, and its choice checked, alone; its SHA-256 names it in receipts. Which of a model's
 * rows count is tariff.h. Pure. */
#ifndef AIGW_PRICE_H
#define AIGW_PRICE_H

#include "digest.h"
#include "money.h"
#include "usage.h"

#define PRICE_UNSET   INT64_C(-1)
#define PRICE_PPM     INT64_C(1000000)
#define PRICE_PPM_MAX (INT64_C(1000) * PRICE_PPM)

/* Where a row counts: the moment of admission, the tokens of the whole input and the tier as they are
 * reported. All zero: always. */
struct price_when {
	int64_t prompt_above, prompt_upto; /* above < input <= upto; 0: no such end */
	int64_t from_s, until_s;           /* wall time, from <= t < until; 0: no such end */
	/* Of the UTC day, from <= m < until; until below from: over midnight; equal: all day. */
	int64_t minute_from, minute_until;
	int64_t tier; /* enum usage_tier that the provider ran it at; 0: any */
};
#define PRICE_WHEN_N 7

struct price {
	int64_t pusd[USAGE_COUNT]; /* a token or piece; PRICE_UNSET only before price_complete() */
	int64_t request_nusd;      /* once a request */
	int64_t mult_ppm; /* what the account's group makes of the whole, 1,000,000 = as listed */
	bool free;        /* costs nothing, by decision: no hold, no credit check */
	struct price_when when;
};

/* Nothing priced yet: all classes PRICE_UNSET, no request price, multiplier 1. */
void price_init(struct price *p);
/* Gives every class that has no price that of its fallback class (usage_tbl.h). ERRC_INVAL: neither
 * free nor a price of its own for input and output, unless it has a request price (then what is
 * missing is 0); ERRC_RANGE: a number outside of its range; all prices 0 without `free`. */
MUSTCHECK
enum errc price_complete(struct price *p);
bool price_eq(const struct price *a, const struct price *b);

/* Whether the row counts for a request admitted then; for an input of so many tokens at that tier. */
bool price_counts_at(const struct price *p, int64_t wall_s);
bool price_counts_for(const struct price *p, int64_t input, enum usage_tier tier);

/* The members of `when` by number, for those who print them all: "prompt_above" and so on. i < PRICE_WHEN_N. */
const char *price_when_name(unsigned i);
int64_t price_when_get(const struct price *p, unsigned i);
/* The same in words: "prompts of more than 200000 tokens, 16:30-00:30 UTC, from 2026-12-01T00:00:00Z"; "always".
 * `out` holds PRICE_WHEN_TEXT_MAX bytes; returns the length. */
#define PRICE_WHEN_TEXT_MAX 256
size_t price_when_print(const struct price *p, char *out);

/* What may be used at most. */
struct price_bound {
	int64_t input;            /* tokens read */
	int64_t output;           /* tokens generated: the cap, times n and best_of */
	int64_t requests;         /* 1; more when one request counts several times */
	int64_t images, searches; /* pieces, all requests together */
};

/* The charge, rounded up once; 0 when free. Saturates at MONEY_NUSD_MAX. */
int64_t price_cost(const struct price *p, const struct usage *u);
/* The hold: every input token at the dearest input class, every output token at the dearest output
 * class, every piece at its price. */
int64_t price_hold(const struct price *p, const struct price_bound *b);
/* The most output tokens, up to `max`, whose hold beside everything else of the bound `avail_nusd` covers; -1 when not
 * even 0 fits. */
int64_t price_affordable(const struct price *p, const struct price_bound *beside,
			 int64_t avail_nusd, int64_t max);
/* The dearest of a side, in pico-dollars. */
int64_t price_dearest(const struct price *p, enum usage_side side);

/* The canonical form: version, flags, classes, numbers, all of fixed width, big-endian; where it counts only
 * if that is not always. Returns how many bytes that is. */
#define PRICE_BYTES_MAX (4 + 8 * (USAGE_COUNT + 2 + PRICE_WHEN_N))
size_t price_encode(const struct price *p, uint8_t out[PRICE_BYTES_MAX]);
/* The bytes of the row that begins there, by its head; 0 when there is no head. */
size_t price_size(struct slice bytes);
/* ERRC_VERSION, ERRC_CORRUPT. Rows with fewer classes than today's are completed. */
MUSTCHECK
enum errc price_decode(struct slice bytes, struct price *p);
void price_hash(const struct price *p, uint8_t out[DIGEST_SHA256]);

/* Hashes that were computed before: the same few prices are settled over and over. Begins zeroed. */
#define PRICE_MEMO 64 /* a power of two */
struct price_memo {
	struct {
		struct price price;
		uint8_t hash[DIGEST_SHA256];
		bool is_known;
	} rows[PRICE_MEMO];
};
/* As price_hash(). */
void price_hash_memo(struct price_memo *m, const struct price *p, uint8_t out[DIGEST_SHA256]);

#endif
