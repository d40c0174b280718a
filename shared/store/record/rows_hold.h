/* The row of a running request: what was taken of every scope, and the prices that it will be charged at. Pure. */
#ifndef AIGW_ROWS_HOLD_H
#define AIGW_ROWS_HOLD_H

#include "idem_tag.h"
#include "rows.h"
#include "rows_cost.h"

/* Bytes of the name of a model or provider in a hold, and so in the record of its charge. */
#define ROWS_HOLD_NAME_MAX 1024

/* One way a held request may be served. Its prices, by the size of the prompt, are `tiers` of the hold's from `price` on. */
struct rows_candidate {
	uint64_t offer;
	uint8_t price, tiers;
	int64_t cap; /* output tokens a choice; 0 where the operation has none */
	struct slice provider, model, upstream;
	struct slice cost; /* what it costs us, packed; empty: its price, whatever share of that the account's group pays */
};

/* What a request took of a rule: settlement and release undo exactly that, however the rules were edited meanwhile. */
struct rows_taken {
	uint32_t rule;
	bool budget;    /* `window` counts */
	int64_t window; /* id of the budget window that the hold is in */
};

struct rows_held {
	enum rows_kind kind; /* ROWS_ACCOUNT, ROWS_TEAM, ROWS_KEY, ROWS_USER */
	char id[ROWS_ID];
	size_t n;
	struct rows_taken taken[ROWS_RULES_MAX];
};

enum {
	ROWS_HOLD_STREAM = 1 << 0,
	ROWS_HOLD_IDEM = 1 << 1, /* it has a claim on an idempotency key: `idem` */
};

struct rows_hold {
	uint64_t account;
	struct genid id;
	char key_id[APIKEY_ID];
	uint32_t instance, slot; /* who holds it; its progress */
	uint8_t front, flags;
	int64_t hold_nusd;
	int64_t tokens_estimate, input_bound;
	int64_t admitted_boot_ms, admitted_wall_ms;
	struct slice model_asked, user, group; /* tag of the end user; the account's group then */
	struct slice idem;                     /* IDEM_TAG bytes, or empty */
	size_t scopes_n, candidates_n, prices_n;
	struct rows_candidate candidates[LIMIT_CANDIDATES];
	struct price prices[LIMIT_HOLD_PRICES];
	struct rows_held scopes[ROWS_SCOPES_MAX]; /* those with a state: others have nothing to count */
};

size_t rows_hold_budgets(const struct rows_hold *h); /* that it counts in */

/* Pages of the store that the record of its charge may need beyond the one that each has: it counts in more budgets than there is room for
 * beside the rest. The same from admission to settlement, whatever limits come to it between. */
static inline unsigned rows_hold_pages(const struct rows_hold *h)
{
	size_t n = 0;

	for (size_t i = 0; i < h->scopes_n; i++)
		n += h->scopes[i].n;
	return n > 64 && rows_hold_budgets(h) > 64;
}

/* What so much usage of its candidate costs us. ERRC_CORRUPT. */
MUSTCHECK enum errc rows_hold_cost(const struct rows_hold *h, const struct rows_candidate *c,
				   const struct usage *u, int64_t *nusd);
/* Its price for that. */
const struct price *rows_hold_price(const struct rows_hold *h, const struct rows_candidate *c,
				    const struct usage *u);

MUSTCHECK enum errc rows_put_hold(struct buf *out, const struct rows_hold *h);
/* As the readers of rows.h. */
MUSTCHECK enum errc rows_get_hold(struct slice bytes, struct rows_hold *h);

#endif
