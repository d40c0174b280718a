#include "tariff.h"

#define EDGES_MAX (2 * TARIFF_RULES)

size_t tariff_tiers(const struct tariff *t, int64_t wall_s, const struct price *out[TARIFF_TIERS])
{
	size_t n = 0;

	for (size_t i = 0; i < t->n && n < TARIFF_TIERS; i++)
		if (price_counts_at(t->rows[i], wall_s))
			out[n++] = t->rows[i];
	require(n > 0);
	return n;
}

const struct price *tariff_pick(const struct tariff *t, int64_t wall_s, int64_t input,
				enum usage_tier tier)
{
	const struct price *tiers[TARIFF_TIERS];
	size_t n = tariff_tiers(t, wall_s, tiers), i = 0;

	while (i + 1 < n && !price_counts_for(tiers[i], input, tier))
		i++;
	return tiers[i];
}

/* ---- cutting ---- */

/* Where something changes along one axis, ascending, each once. */
struct edges {
	int64_t at[EDGES_MAX];
	size_t n;
};

static void add_edge(struct edges *e, int64_t v)
{
	size_t i = 0;

	while (i < e->n && e->at[i] < v)
		i++;
	if (i < e->n && e->at[i] == v)
		return;
	require(e->n < EDGES_MAX);
	memmove(&e->at[i + 1], &e->at[i], (e->n - i) * sizeof(e->at[0]));
	e->at[i] = v;
	e->n++;
}

/* The i-th of the n + 1 stretches of an axis; 0 stands for no end. */
static void stretch(const struct edges *e, size_t i, int64_t *from, int64_t *until)
{
	*from = i > 0 ? e->at[i - 1] : 0;
	*until = i < e->n ? e->at[i] : 0;
}

struct cutting {
	const struct price *rules;
	size_t rules_n;
	struct edges prompts, dates, minutes;
	bool tiers; /* some rule is for one of them */
	struct price *rows;
	size_t *from;
	size_t n;
};

static void find_edges(struct cutting *c)
{
	for (size_t i = 0; i < c->rules_n; i++) {
		const struct price_when *w = &c->rules[i].when;

		if (w->prompt_above)
			add_edge(&c->prompts, w->prompt_above);
		if (w->prompt_upto)
			add_edge(&c->prompts, w->prompt_upto);
		if (w->from_s)
			add_edge(&c->dates, w->from_s);
		if (w->until_s)
			add_edge(&c->dates, w->until_s);
		if (w->minute_from != w->minute_until) {
			add_edge(&c->minutes, w->minute_from);
			add_edge(&c->minutes, w->minute_until);
		}
		c->tiers |= w->tier != 0;
	}
}

/* No rule changes inside of a box, so that any point of it tells which one counts: here its lower corner. */
static size_t rule_of(const struct cutting *c, const struct price_when *box)
{
	int64_t day = box->from_s - box->from_s % 86400;
	size_t i = 0;

	for (; i < c->rules_n; i++) {
		struct price rule = c->rules[i];

		if ((rule.when.from_s && rule.when.from_s > box->from_s) ||
		    (rule.when.until_s && rule.when.until_s <= box->from_s))
			continue;
		rule.when.from_s = rule.when.until_s = 0;
		if (price_counts_at(&rule, day + box->minute_from * 60) &&
		    price_counts_for(&rule, box->prompt_above + 1, (enum usage_tier)box->tier))
			break;
	}
	return i;
}

/* The prompts of one tier; neighbours of one rule are one row. `first` is the first row of that moment. */
static enum errc cut_prompts(struct cutting *c, struct price_when box, size_t first)
{
	size_t last = SIZE_MAX;

	for (size_t i = 0; i <= c->prompts.n; i++) {
		size_t rule;

		stretch(&c->prompts, i, &box.prompt_above, &box.prompt_upto);
		rule = rule_of(c, &box);
		if (rule == c->rules_n)
			return ERRC_INVAL;
		if (rule == last) {
			c->rows[c->n - 1].when.prompt_upto = box.prompt_upto;
			continue;
		}
		if (c->n == TARIFF_ROWS || c->n - first == TARIFF_TIERS)
			return ERRC_LIMIT;
		c->rows[c->n] = c->rules[rule];
		c->rows[c->n].when = box;
		c->from[c->n++] = last = rule;
	}
	return ERRC_OK;
}

/* The rows of one stretch of dates and hours. Where no rule is for a tier, a row counts for all of them. */
static enum errc cut_tiers(struct cutting *c, struct price_when box)
{
	size_t first = c->n;
	enum errc rc = ERRC_OK;

	if (!c->tiers)
		return cut_prompts(c, box, first);
	for (box.tier = USAGE_TIER_STANDARD; !rc && box.tier < USAGE_TIER_COUNT; box.tier++)
		rc = cut_prompts(c, box, first);
	return rc;
}

enum errc tariff_cut(const struct price *rules, size_t n, struct price rows[TARIFF_ROWS],
		     size_t from[TARIFF_ROWS], size_t *rows_n)
{
	struct cutting c = {.rules = rules, .rules_n = n, .rows = rows, .from = from};
	enum errc rc = ERRC_OK;

	require(n <= TARIFF_RULES);
	find_edges(&c);
	for (size_t d = 0; !rc && d <= c.dates.n; d++) {
		struct price_when box = {0};

		stretch(&c.dates, d, &box.from_s, &box.until_s);
		/* The day is a circle: as many stretches as edges, the last one over midnight. */
		for (size_t m = 0; !rc && m < MAX_OF(c.minutes.n, (size_t)1); m++) {
			if (c.minutes.n) {
				box.minute_from = c.minutes.at[m];
				box.minute_until = c.minutes.at[(m + 1) % c.minutes.n];
			}
			rc = cut_tiers(&c, box);
		}
	}
	*rows_n = c.n;
	return rc;
}
