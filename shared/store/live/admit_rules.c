#include "admit_priv.h"

struct admit_refusal *admit_refuse(struct admit_hold_run *h, enum admit_reason reason,
				   enum rows_kind scope, struct slice name)
{
	struct admit_refusal *r = &h->op->refusal;

	h->op->reason = reason;
	*r = (struct admit_refusal){.scope = scope,
				    .affordable_tokens = -1,
				    .what = "",
				    .requests = {.limit = ROWS_NO_LIMIT},
				    .tokens = {.limit = ROWS_NO_LIMIT}};
	if (name.n)
		memcpy(r->scope_name, name.p, MIN_OF(name.n, sizeof r->scope_name - 1));
	return r;
}

static void refuse(struct admit_hold_run *h, enum admit_reason reason, const struct admit_scope *s)
{
	admit_refuse(h, reason, s->kind, s->name);
}

struct admit_refusal *admit_refuse_rule(struct admit_hold_run *h, enum admit_reason reason,
					const struct admit_scope *s, const struct rows_rule *rule)
{
	struct admit_refusal *r = admit_refuse(h, reason, s->kind, s->name);

	r->what = rows_rule_text(rule);
	rows_rule_models(rule, r->models, sizeof r->models);
	return r;
}

/* Of each scope the first refusal is told, NULL: it is a further one. */
static struct admit_shadow_scope *note_shadow(struct admit_hold_run *h, enum rows_kind scope,
					      const char *what)
{
	struct admit_shadow *x = &h->shadow;

	for (size_t i = 0; i < x->n; i++) {
		if (x->v[i].scope == scope) {
			x->v[i].n++;
			return NULL;
		}
	}
	require(x->n < ROWS_SCOPES_MAX);
	x->v[x->n] = (struct admit_shadow_scope){
		.scope = scope, .n = 1, .what = what, .limit = ROWS_NO_LIMIT};
	return &x->v[x->n++];
}

void admit_note_shadow(struct admit_hold_run *h, const struct admit_scope *s,
		       const struct rows_rule *r, int64_t limit)
{
	struct admit_shadow_scope *x = note_shadow(h, s->kind, rows_rule_text(r));

	if (!x)
		return;
	x->limit = limit;
	x->money = r->kind == ROWS_BUDGET;
}

void admit_note_shadow_credit(struct admit_hold_run *h, int64_t limit)
{
	struct admit_shadow_scope *x = note_shadow(h, ROWS_ACCOUNT, "credit");

	if (!x)
		return;
	x->limit = limit;
	x->money = true;
}

/* Whether the scope refuses nothing; then this is noted. */
static bool only_notes(struct admit_hold_run *h, const struct admit_scope *s, const char *what)
{
	if (!(s->row->flags & ROWS_SHADOW))
		return false;
	(void)note_shadow(h, s->kind, what);
	return true;
}

/* A fallback is another model with a price of its own: every scope must allow it too. True: some candidate is left. */
static bool check_candidates(struct admit_hold_run *h, const struct admit_scope *s)
{
	const struct hold_ask *a = &h->ask->hold;
	bool any = false, allows = false;

	for (size_t i = 0; i < a->n; i++) {
		if (i == 0 || !slice_eq(a->candidates[i].model, a->candidates[i - 1].model))
			allows = rows_models_allow(s->row->models, a->candidates[i].model);
		h->may[i] = h->may[i] && allows;
		any = any || h->may[i];
	}
	return any;
}

static const struct admit_scope *scope_of(const struct admit_hold_run *h, enum rows_kind kind)
{
	for (size_t i = 0; i < h->rows.scopes_n; i++) {
		if (h->rows.scopes[i].kind == kind)
			return &h->rows.scopes[i];
	}
	return NULL;
}

static bool is_over(const struct admit_hold_run *h, const struct admit_scope *s)
{
	return s->row->expires_s != 0 && h->ask->wall_ms / 1000 >= s->row->expires_s;
}

/* The key itself: who it is comes before what it may do. */
static bool check_key(struct admit_hold_run *h)
{
	const struct admit_scope *s = scope_of(h, ROWS_KEY);

	if (s->row->status == ROWS_REVOKED)
		refuse(h, ADMIT_KEY_REVOKED, s);
	else if (is_over(h, s) && !only_notes(h, s, "end"))
		refuse(h, ADMIT_KEY_EXPIRED, s);
	else
		return true;
	return false;
}

static bool check_status(struct admit_hold_run *h)
{
	if (h->rows.account.status != ROWS_ACTIVE) {
		admit_refuse(h, ADMIT_ACCOUNT_SUSPENDED, ROWS_ACCOUNT, h->rows.account.name);
		return false;
	}
	for (size_t i = 0; i < h->rows.scopes_n; i++) {
		const struct admit_scope *s = &h->rows.scopes[i];

		if (s->kind != ROWS_KEY && is_over(h, s) && !only_notes(h, s, "end")) {
			refuse(h, ADMIT_EXPIRED, s);
			return false;
		}
		if (s->row->status == ROWS_ACTIVE)
			continue;
		refuse(h,
		       s->kind == ROWS_KEY    ? ADMIT_KEY_SUSPENDED
		       : s->kind == ROWS_TEAM ? ADMIT_TEAM_SUSPENDED
					      : ADMIT_USER_SUSPENDED,
		       s);
		return false;
	}
	return true;
}

static bool check_nets(struct admit_hold_run *h)
{
	for (size_t i = 0; i < h->rows.scopes_n; i++) {
		const struct rows_scope *s = h->rows.scopes[i].row;

		if (s->nets_n > 0 &&
		    (h->ask->addr_unknown || !ipnet_any_has(s->nets, s->nets_n, h->ask->addr)) &&
		    !only_notes(h, &h->rows.scopes[i], "addresses")) {
			refuse(h, ADMIT_IP, &h->rows.scopes[i]);
			return false;
		}
	}
	return true;
}

static bool check_models(struct admit_hold_run *h)
{
	for (size_t i = 0; i < LIMIT_CANDIDATES; i++)
		h->may[i] = true;
	for (size_t i = 0; i < h->rows.scopes_n; i++) {
		const struct admit_scope *s = &h->rows.scopes[i];
		bool allows = s->row->models.n == 0 ||
			      rows_models_allow(s->row->models, h->ask->model);

		if (s->row->models.n == 0 || (!allows && only_notes(h, s, "models")) ||
		    (s->row->flags & ROWS_SHADOW))
			continue;
		if (!allows || !check_candidates(h, s)) {
			refuse(h, ADMIT_MODEL, s);
			return false;
		}
	}
	return true;
}

bool admit_check_access(struct admit_hold_run *h)
{
	return check_key(h) && check_status(h) && check_nets(h) && check_models(h);
}

static bool take_rate(const struct rows_rule *r, struct rows_counter *c, int64_t limit,
		      const struct admit_ask *ask)
{
	int64_t len_ms = rows_limit_len_ms(r->kind);

	if (rows_limit_is_tokens(r->kind))
		return window_rate_take_open(&c->rate, len_ms, ask->boot_ms, limit,
					     ask->tokens_estimate);
	return window_rate_take(&c->rate, len_ms, ask->boot_ms, limit, 1);
}

static void refuse_rate(struct admit_hold_run *h, const struct admit_scope *s,
			const struct rows_rule *rule, const struct rows_counter *c, int64_t limit)
{
	int64_t len = rows_limit_len_ms(rule->kind), now = h->ask->boot_ms;
	struct admit_refusal *r = admit_refuse_rule(h, ADMIT_RATE, s, rule);

	r->limit = limit;
	r->remaining = MAX_OF(limit - window_rate_used(&c->rate, len, now), 0);
	r->wait_ms = window_rate_wait_ms(&c->rate, len, now, limit, 1);
	if (r->wait_ms != WINDOW_NEVER)
		r->reset_wall_ms = h->ask->wall_ms + r->wait_ms;
}

static bool check_rate(struct admit_hold_run *h, struct admit_scope *s, size_t i, int64_t limit)
{
	const struct rows_rule *r = &s->row->limits.v[i];
	struct rows_counter *c = &s->state->counters[i];

	if (take_rate(r, c, limit, h->ask))
		return true;
	if (!r->shadow) {
		refuse_rate(h, s, r, c, limit);
		return false;
	}
	admit_note_shadow(h, s, r, limit);
	return take_rate(r, c, INT64_MAX, h->ask);
}

static bool check_concurrency(struct admit_hold_run *h, struct admit_scope *s, size_t i,
			      int64_t limit)
{
	const struct rows_rule *r = &s->row->limits.v[i];
	int64_t running = r->models.n ? s->state->counters[i].running : s->state->holds;
	struct admit_refusal *out;

	if (running < limit)
		return true;
	if (r->shadow) {
		admit_note_shadow(h, s, r, limit);
		return true;
	}
	out = admit_refuse_rule(h, ADMIT_CONCURRENCY, s, r);
	out->limit = limit;
	out->wait_ms = limit > 0 ? 1000 : WINDOW_NEVER;
	return false;
}

static bool check_limit(struct admit_hold_run *h, struct admit_scope *s, size_t i)
{
	const struct rows_rule *r = &s->row->limits.v[i];
	int64_t limit = rows_rule_limit(r, &s->state->counters[i], h->ask->wall_ms / 1000);

	return r->kind == ROWS_CONCURRENCY ? check_concurrency(h, s, i, limit)
					   : check_rate(h, s, i, limit);
}

/* Of two refusals the one that lasts longer stays: a client that comes back earlier would be refused by the other. */
static void check_next(struct admit_hold_run *h, struct admit_scope *s, size_t i)
{
	struct admit_refusal first = h->op->refusal;
	enum admit_reason why = h->op->reason;

	if (check_limit(h, s, i) || h->op->refusal.wait_ms > first.wait_ms)
		return;
	h->op->refusal = first;
	h->op->reason = why;
}

bool admit_check_limits(struct admit_hold_run *h)
{
	bool good = true;

	for (size_t n = 0; n < h->rows.scopes_n; n++) {
		struct admit_scope *s = &h->rows.scopes[n];

		for (size_t i = 0; i < s->row->limits.n; i++) {
			if (!admit_matches(s, i) || s->row->limits.v[i].kind == ROWS_BUDGET)
				continue;
			if (good)
				good = check_limit(h, s, i);
			else
				check_next(h, s, i);
		}
	}
	return good;
}

struct admit_remaining admit_tightest(const struct admit_hold_run *h, bool tokens)
{
	struct admit_remaining out = {.limit = ROWS_NO_LIMIT};

	for (size_t n = 0; n < h->rows.scopes_n; n++) {
		const struct admit_scope *s = &h->rows.scopes[n];

		for (size_t i = 0; i < s->row->limits.n; i++) {
			const struct rows_rule *r = &s->row->limits.v[i];
			struct rows_rule_now now;

			if (!admit_matches(s, i) || r->shadow || r->kind >= ROWS_LIMIT_COUNT ||
			    rows_limit_is_tokens(r->kind) != tokens)
				continue;
			rows_rule_look(r, &s->state->counters[i], s->state->holds, h->ask->boot_ms,
				       h->ask->wall_ms, &now);
			if (out.limit == ROWS_NO_LIMIT || now.remaining < out.remaining)
				out = (struct admit_remaining){now.limit, now.remaining,
							       now.reset_ms};
		}
	}
	return out;
}
