#include "admit_priv.h"

#include "credit.h"

static struct hold_purse account_purse(const struct rows_account *a)
{
	return (struct hold_purse){credit_available(a), a->held_nusd};
}

/* A budget of a scope that counts for this request. */
static bool is_budget(const struct admit_scope *s, size_t i)
{
	return s->row->limits.v[i].kind == ROWS_BUDGET && admit_matches(s, i);
}

static struct hold_purse budget_purse(const struct admit_hold_run *h, const struct admit_scope *s,
				      size_t i)
{
	int64_t wall_s = h->ask->wall_ms / 1000;
	const struct rows_rule *r = &s->row->limits.v[i];
	const struct rows_counter *c = &s->state->counters[i];
	const struct window_sum *cur = &c->budget.cur;
	int64_t limit = rows_rule_limit(r, c, wall_s);
	struct hold_purse p = {window_budget_left(&c->budget, r->window, wall_s, limit), 0};

	/* Only holds of the window that lasts can come back to it. */
	if (p.available_nusd == limit - cur->used_nusd - cur->held_nusd)
		p.pending_nusd = cur->held_nusd;
	return p;
}

static struct hold_purse purse_of(const struct admit_hold_run *h, const struct rows_account *a)
{
	struct hold_purse all = account_purse(a);
	int64_t later = all.available_nusd + all.pending_nusd;

	for (size_t n = 0; n < h->rows.scopes_n; n++) {
		const struct admit_scope *s = &h->rows.scopes[n];

		for (size_t i = 0; i < s->row->limits.n; i++) {
			struct hold_purse p;

			if (!is_budget(s, i) || s->row->limits.v[i].shadow)
				continue;
			p = budget_purse(h, s, i);
			all.available_nusd = MIN_OF(all.available_nusd, p.available_nusd);
			later = MIN_OF(later, p.available_nusd + p.pending_nusd);
		}
	}
	all.pending_nusd = later - all.available_nusd;
	return all;
}

struct hold_purse admit_purse(const struct admit_hold_run *h)
{
	return purse_of(h, &h->rows.account);
}

/* A lower cap or a candidate less is no refusal. */
void admit_note_credit(struct admit_hold_run *h, const struct hold_offer *o)
{
	const struct rows_account *a = &h->rows.account;
	const struct rows_account own = credit_out_of_shadow(a);
	struct hold_purse purse;
	struct hold_offer counted;

	if (!(a->flags & ROWS_ACCOUNT_SHADOW) || o->hold_nusd <= credit_available(&own))
		return;
	purse = purse_of(h, &own);
	hold_decide(&h->ask->hold, h->may, &purse, &counted);
	if (!counted.any)
		admit_note_shadow_credit(h, credit_limit(&own));
}

static bool purse_refuses(struct hold_purse p, const struct hold_offer *o)
{
	return o->needed_nusd >
	       (o->fits_later ? p.available_nusd : p.available_nusd + p.pending_nusd);
}

static void refuse_budget(struct admit_hold_run *h, const struct admit_scope *s, size_t i,
			  struct hold_purse p, const struct hold_offer *o)
{
	int64_t wall_s = h->ask->wall_ms / 1000, reset_s;
	const struct rows_rule *rule = &s->row->limits.v[i];
	const struct rows_counter *c = &s->state->counters[i];
	enum admit_reason why = rule->credit ? ADMIT_CREDIT : ADMIT_BUDGET;
	struct admit_refusal *r =
		admit_refuse_rule(h, o->fits_later ? ADMIT_CREDIT_HELD : why, s, rule);

	r->money = true;
	r->limit = rows_rule_limit(rule, c, wall_s);
	r->remaining = MAX_OF(p.available_nusd, 0);
	r->affordable_tokens = o->affordable_tokens;
	reset_s = window_budget_reset_s(&c->budget, rule->window, wall_s);
	if (reset_s != WINDOW_NEVER && reset_s > wall_s) {
		r->reset_wall_ms = reset_s * 1000;
		r->wait_ms = r->reset_wall_ms - h->ask->wall_ms;
	} else {
		r->wait_ms = WINDOW_NEVER;
	}
	if (o->fits_later)
		r->wait_ms = 1000;
}

/* A further one: as of limits, the one that lasts longer stays. What holds will give back is the same wait for all. */
static void refuse_next(struct admit_hold_run *h, const struct admit_scope *s, size_t i,
			struct hold_purse p, const struct hold_offer *o)
{
	struct admit_refusal first = h->op->refusal;
	enum admit_reason why = h->op->reason;

	refuse_budget(h, s, i, p, o);
	if (h->op->refusal.wait_ms > first.wait_ms)
		return;
	h->op->refusal = first;
	h->op->reason = why;
}

/* The budget that stands in the way for longest; false: none does. */
static bool refuse_budgets(struct admit_hold_run *h, const struct hold_offer *o)
{
	bool any = false;

	for (size_t n = 0; n < h->rows.scopes_n; n++) {
		const struct admit_scope *s = &h->rows.scopes[n];

		for (size_t i = 0; i < s->row->limits.n; i++) {
			struct hold_purse p;

			if (!is_budget(s, i) || s->row->limits.v[i].shadow)
				continue;
			p = budget_purse(h, s, i);
			if (!purse_refuses(p, o))
				continue;
			if (any)
				refuse_next(h, s, i, p, o);
			else
				refuse_budget(h, s, i, p, o);
			any = true;
		}
	}
	return any;
}

void admit_refuse_money(struct admit_hold_run *h, const struct hold_offer *o)
{
	struct rows_account *a = &h->rows.account;
	struct hold_purse p = account_purse(a);
	struct admit_refusal *r;

	if (!purse_refuses(p, o) && refuse_budgets(h, o))
		return;
	r = admit_refuse(h, o->fits_later ? ADMIT_CREDIT_HELD : ADMIT_CREDIT, ROWS_ACCOUNT, a->name);
	r->what = "credit";
	r->money = true;
	r->limit = credit_limit(a);
	r->remaining = MAX_OF(p.available_nusd, 0);
	r->affordable_tokens = o->affordable_tokens;
	r->wait_ms = o->fits_later ? 1000 : WINDOW_NEVER;
}

/* A budget that only counts takes what it is given. */
static enum errc take_budget(struct admit_hold_run *h, struct admit_scope *s, size_t i,
			     int64_t hold, struct rows_taken *t)
{
	int64_t wall_s = h->ask->wall_ms / 1000;
	const struct rows_rule *r = &s->row->limits.v[i];
	struct rows_counter *c = &s->state->counters[i];
	int64_t limit = rows_rule_limit(r, c, wall_s);

	if (r->shadow && hold > window_budget_left(&c->budget, r->window, wall_s, limit)) {
		admit_note_shadow(h, s, r, limit);
		limit = INT64_MAX;
	}
	t->budget = true;
	return window_budget_hold(&c->budget, r->window, wall_s, limit, hold, &t->window)
		       ? ERRC_OK
		       : ERRC_INTERNAL;
}

/* What can only be free has no budget to count in; what holds nothing, for nothing bounds it, may still be charged. */
static bool may_cost(const struct rows_hold *row)
{
	bool any = row->hold_nusd > 0;

	for (size_t i = 0; !any && i < row->prices_n; i++)
		any = !row->prices[i].free;
	return any;
}

/* A rate was taken from a bucket that a clock a little ahead of this one may have opened. The hold says when that was, or its correction would
 * go into the bucket before. */
static enum errc take_scope(struct admit_hold_run *h, struct admit_scope *s, struct rows_hold *row,
			    struct rows_held *out)
{
	bool budgets = may_cost(row);
	enum errc rc = ERRC_OK;

	out->kind = s->kind;
	memcpy(out->id, s->id, ROWS_ID);
	out->n = 0;
	s->state->holds++;
	s->state->used_s = h->ask->wall_ms / 1000;
	for (size_t i = 0; !rc && i < s->row->limits.n; i++) {
		const struct rows_rule *r = &s->row->limits.v[i];
		struct rows_taken *t = &out->taken[out->n];

		if (!admit_matches(s, i) || (r->kind == ROWS_BUDGET && !budgets))
			continue;
		*t = (struct rows_taken){.rule = r->id};
		if (r->kind == ROWS_BUDGET)
			rc = take_budget(h, s, i, row->hold_nusd, t);
		else if (r->kind == ROWS_CONCURRENCY)
			s->state->counters[i].running++;
		else
			row->admitted_boot_ms =
				MAX_OF(row->admitted_boot_ms, s->state->counters[i].rate.start_ms);
		out->n++;
	}
	return rc;
}

enum errc admit_take(struct admit_hold_run *h, struct rows_hold *row)
{
	struct rows_account *a = &h->rows.account;
	int64_t hold = row->hold_nusd;
	enum errc rc = ERRC_OK;

	if (!money_sub(a->balance_nusd, hold, &a->balance_nusd) ||
	    !money_add(a->held_nusd, hold, &a->held_nusd))
		return ERRC_RANGE;
	a->holds++;
	row->scopes_n = 0;
	for (size_t n = 0; !rc && n < h->rows.scopes_n; n++) {
		struct admit_scope *s = &h->rows.scopes[n];

		if (s->counts)
			rc = take_scope(h, s, row, &row->scopes[row->scopes_n++]);
	}
	return rc;
}
