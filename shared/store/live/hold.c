#include "hold.h"

/* What comes of a choice whatever its cap. */
static int64_t beside_of(const struct hold_ask *ask, const struct hold_candidate *c)
{
	return MIN_OF(ask->beside, USAGE_MAX) + MIN_OF(c->beside, USAGE_MAX);
}

static int64_t output_of(const struct hold_ask *ask, const struct hold_candidate *c, int64_t cap)
{
	int64_t each = MIN_OF(cap, USAGE_MAX) + beside_of(ask, c);

	return each > USAGE_MAX / ask->choices ? USAGE_MAX : each * ask->choices;
}

/* Whether a prompt within its bound, run at a tier that was asked for, can come to the row. */
static bool reaches(const struct hold_ask *ask, const struct hold_candidate *c, size_t i)
{
	const struct price_when *w = &c->price[i]->when;

	return (w->prompt_above == 0 || w->prompt_above < c->input_bound) &&
	       (w->tier == 0 || ask->tiers == 0 || (ask->tiers >> w->tier & 1));
}

/* The input at most of a prompt for which the row counts. */
static int64_t input_of(const struct hold_candidate *c, size_t tier, int64_t input)
{
	int64_t upto = c->price[tier]->when.prompt_upto;

	return upto ? MIN_OF(input, upto) : input;
}

/* What is the same for all rows and caps. */
static struct price_bound bound_of(const struct hold_ask *ask)
{
	return (struct price_bound){
		.requests = ask->requests, .images = ask->images, .searches = ask->searches};
}

/* The dearest of the rows that may count. `input` is the bound, or 0 to leave the input out. */
static int64_t hold_with(const struct hold_ask *ask, const struct hold_candidate *c, int64_t input,
			 int64_t cap)
{
	struct price_bound b = bound_of(ask);
	int64_t nusd = 0;

	b.output = output_of(ask, c, cap);
	for (size_t i = 0; i < c->tiers; i++) {
		if (!reaches(ask, c, i))
			continue;
		b.input = input_of(c, i, input);
		nusd = MAX_OF(nusd, price_hold(c->price[i], &b));
	}
	return nusd;
}

static int64_t hold_of(const struct hold_ask *ask, const struct hold_candidate *c, int64_t cap)
{
	return hold_with(ask, c, c->input_bound, cap);
}

static bool is_free(const struct hold_candidate *c)
{
	for (size_t i = 0; i < c->tiers; i++)
		if (!c->price[i]->free)
			return false;
	return true;
}

/* Output tokens a choice that `nusd` pays beside the input, the request and its pieces; -1: not even those. */
static int64_t paid_by(const struct hold_ask *ask, const struct hold_candidate *c, int64_t input,
		       int64_t nusd, int64_t max)
{
	struct price_bound b = bound_of(ask);
	int64_t n = output_of(ask, c, max);

	if (hold_with(ask, c, input, 0) > nusd)
		return -1;
	for (size_t i = 0; i < c->tiers; i++) {
		if (!reaches(ask, c, i))
			continue;
		b.input = input_of(c, i, input);
		n = price_affordable(c->price[i], &b, nusd, n);
	}
	return MAX_OF(n / ask->choices - beside_of(ask, c), 0);
}

/* The cap of a request that gave none: output that the share of the credit pays for, no more than all of it pays beside the
 * input, and at least `floor`. */
static int64_t cap_uncapped(const struct hold_ask *ask, const struct hold_candidate *c,
			    int64_t available, int64_t floor)
{
	int64_t share =
		(int64_t)((money_wide)MAX_OF(available, 0) * ask->uncapped_share_ppm / 1000000);
	int64_t cap;

	cap = paid_by(ask, c, 0, share, c->max_output);
	cap = MIN_OF(cap, paid_by(ask, c, c->input_bound, available, c->max_output));
	return MIN_OF(MAX_OF(cap, floor), c->max_output);
}

/* The cap that this candidate would get with so much credit, and the least that it must get. */
static int64_t cap_of(const struct hold_ask *ask, const struct hold_candidate *c, int64_t available)
{
	int64_t floor;

	if (c->max_output <= 0)
		return 0;
	if (ask->cap > 0) {
		if (!ask->clamp || hold_of(ask, c, ask->cap) <= available)
			return ask->cap;
		floor = MIN_OF(ask->cap, c->min_output);
		return MAX_OF(paid_by(ask, c, c->input_bound, available, ask->cap), floor);
	}
	floor = MIN_OF(c->min_output, c->max_output);
	if (is_free(c) || available >= HOLD_AMPLE)
		return c->max_output;
	return cap_uncapped(ask, c, available, floor);
}

static void consider(const struct hold_ask *ask, const struct hold_purse *purse, size_t i,
		     struct hold_offer *out)
{
	const struct hold_candidate *c = &ask->candidates[i];
	int64_t later = purse->available_nusd > HOLD_AMPLE - purse->pending_nusd
				? HOLD_AMPLE
				: purse->available_nusd + purse->pending_nusd;
	int64_t cap = cap_of(ask, c, purse->available_nusd);
	int64_t need = hold_of(ask, c, cap);

	if (is_free(c) || need <= purse->available_nusd) {
		out->kept[i] = true;
		out->cap[i] = cap;
		out->hold_nusd = MAX_OF(out->hold_nusd, need);
		out->any = true;
		return;
	}
	if (hold_of(ask, c, cap_of(ask, c, later)) <= later)
		out->fits_later = true;
	if (out->needed_nusd == 0 || need < out->needed_nusd)
		out->needed_nusd = need;
	out->affordable_tokens =
		MAX_OF(out->affordable_tokens,
		       paid_by(ask, c, c->input_bound, purse->available_nusd, USAGE_MAX));
}

const struct price *hold_price(const struct hold_candidate *c, int64_t input, enum usage_tier tier)
{
	size_t i = 0;

	while (i + 1 < c->tiers && !price_counts_for(c->price[i], input, tier))
		i++;
	return c->price[i];
}

void hold_decide(const struct hold_ask *ask, const bool may[LIMIT_CANDIDATES],
		 const struct hold_purse *purse, struct hold_offer *out)
{
	require(ask->n <= LIMIT_CANDIDATES && ask->choices >= 1 && ask->requests >= 1 &&
		ask->beside >= 0);
	require(purse->pending_nusd >= 0);
	*out = (struct hold_offer){0};
	for (size_t i = 0; i < ask->n; i++)
		if (may[i])
			consider(ask, purse, i, out);
	if (out->any) {
		out->fits_later = false;
		out->needed_nusd = 0;
		out->affordable_tokens = 0;
	}
}

bool hold_is_charged(const struct hold_outcome *o)
{
	if (o->reported || o->finish)
		return true;
	return o->content && !o->provider_fault;
}
