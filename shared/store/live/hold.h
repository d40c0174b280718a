/* The arithmetic of a hold before a request and of its charge after it: which candidates the credit covers, what cap each
 * gets, how much is held; whether an end is charged. Pure: no store, no clock. `price.h` has the sums themselves. */
#ifndef AIGW_HOLD_H
#define AIGW_HOLD_H

#include "caps.h"
#include "tariff.h"

/* One way the request may be served, as the worker sees it; everything borrowed during the call. */
struct hold_candidate {
	/* The rows of its tariff that count now, smallest prompts of the standard tier first: which one it is, the usage decides. */
	const struct price *price[TARIFF_TIERS];
	size_t tiers; /* >= 1 */
	uint64_t offer;
	struct slice provider, model, upstream; /* names, for the record */
	struct slice cost; /* for the sweep: rows_cost_pack() of what it costs us, empty where that is its price */
	int64_t input_bound; /* tokens */
	int64_t max_output;  /* the model's; 0: the operation has no output tokens (embeddings) */
	int64_t beside; /* output tokens a choice that its provider's cap does not bound: reasoning */
	int64_t min_output; /* what an uncapped request gets at least: min_output, more for reasoning, thinking budget + 1 */
};

struct hold_ask {
	const struct hold_candidate *candidates; /* in the order of preference */
	size_t n;                                /* <= LIMIT_CANDIDATES */
	int64_t cap;    /* output tokens a choice as the client gave them; 0: not given */
	bool clamp;     /* lower a given cap to what is affordable instead of refusing */
	int64_t beside; /* output tokens a choice that no cap bounds: a prediction that is rejected */
	int64_t choices;  /* n or best_of: multiplies the output; >= 1 */
	int64_t requests; /* times the request price counts; 1 */
	int64_t images;   /* in the request */
	int64_t searches; /* that the provider may run */
	unsigned tiers;   /* bits of enum usage_tier: which it may run at; 0: any */
	int64_t uncapped_share_ppm;
};

/* The row that counts for an input of so many tokens at that tier. */
const struct price *hold_price(const struct hold_candidate *c, int64_t input, enum usage_tier tier);

/* What the money scopes have: the tightest of them. HOLD_AMPLE: all that can be counted, no cap is lowered. */
#define HOLD_AMPLE MONEY_NUSD_MAX
struct hold_purse {
	int64_t available_nusd; /* now, overdraft included */
	int64_t pending_nusd;   /* in holds of running requests: may come back */
};

struct hold_offer {
	bool kept[LIMIT_CANDIDATES]; /* false: the credit does not cover this candidate, or the key may not use it */
	int64_t cap[LIMIT_CANDIDATES]; /* 0 where there is no output */
	int64_t hold_nusd; /* the dearest of those that are kept; 0 when all of them are free */
	bool any;          /* at least one is kept */
	bool fits_later; /* none is kept now, one would be once running requests release their holds */
	int64_t affordable_tokens; /* none is kept: output tokens that the purse pays at the cheapest candidate; >= 0 */
	int64_t needed_nusd; /* none is kept: the smallest hold that would be needed */
};

/* Free candidates are always kept; those that `may` denies never, they are as if they were not there. */
void hold_decide(const struct hold_ask *ask, const bool may[LIMIT_CANDIDATES],
		 const struct hold_purse *purse, struct hold_offer *out);

/* How a request came to its end, as far as the charge depends on it. */
struct hold_outcome {
	bool reported; /* the provider reported usage above 0 */
	bool finish;   /* it gave a finish reason */
	bool content;  /* some output was received */
	bool provider_fault; /* no answer, an HTTP error, a failure before commit, or an error item that the provider caused */
};

/* Design 3.3: reported usage or any finish reason is charged, however empty the text; free are, without reported usage, the
 * faults of providers and a generation with neither output nor finish reason. */
bool hold_is_charged(const struct hold_outcome *o);

#endif
