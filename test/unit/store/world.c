#include "world.h"

#include <stdio.h>

#include "death.h"
#include "shrink.h"

#define HOUR_S INT64_C(3600)
/* In May 2033. */
#define BEGIN_MS INT64_C(2000000000000)

const char *const world_models[WORLD_MODELS] = {"m1", "m2"};
const char *const world_tags[WORLD_USERS] = {"own", "bob", "carol"};

struct world world;

uint64_t world_pick(uint64_t n)
{
	return text_rng_next(world.rng) % n;
}

int64_t world_now_s(void)
{
	return world.r.wall_ms / 1000;
}

/* --- the world --- */

static void add_scope(struct model_scope *s, struct rows_scope *def, enum rows_kind kind)
{
	s->def = s->row = def;
	s->kind = kind;
}

bool world_in_shadow(void)
{
	return world.account_def.flags & ROWS_SHADOW;
}

bool world_has_floor(void)
{
	return !world.postpaid && !world_in_shadow();
}

int64_t world_balance(void)
{
	return world.granted - world.settled - world.held;
}

int64_t world_available(void)
{
	return world_balance() + world.overdraft;
}

void world_set_users(void)
{
	struct rows_scope *all = world.every_there ? &world.every_def : &world.no_def;

	for (int i = 0; i < WORLD_USERS; i++)
		world.user[i].def = world.user[i].row = all;
	if (!world.own_there)
		return;
	world.user[0].row = &world.own_def;
	if (world.own_def.limits.n > 0)
		world.user[0].def = &world.own_def;
}

void world_add_key(void)
{
	int i = world.keys_n++;
	char name[32];

	snprintf(name, sizeof name, "keykeykey%03d", i);
	rig_key(&world.r, world.account, name, &world.key_def[i]);
	add_scope(&world.key[i], &world.key_def[i], ROWS_KEY);
	world.team_of[i] = -1;
}

const char *world_begin(uint64_t seed)
{
	memset(&world, 0, sizeof world);
	rig_init(&world.r);
	/* Any time of any year that is later than the real clock, which dates the gap records: else they would let end users seem to be gone
	 * for long. But never that clock's, with which the run would change. */
	world.r.wall_ms = BEGIN_MS + (int64_t)(seed % (365 * 24)) * HOUR_S * 1000;
	rig_open(&world.r);
	rig_join(&world.r);
	world.granted = RIG_DOLLAR / 100;
	world.account = rig_account(&world.r, "acme", world.granted);
	rig_scope(&world.account_def, world.account, ROWS_ACCOUNT, "");
	rig_put(&world.r, &world.account_def);
	add_scope(&world.acc, &world.account_def, ROWS_ACCOUNT);
	for (int i = 0; i < WORLD_TEAMS; i++) {
		rig_scope(&world.team_def[i], world.account, ROWS_TEAM, i ? "team1" : "team0");
		rig_put(&world.r, &world.team_def[i]);
		add_scope(&world.team[i], &world.team_def[i], ROWS_TEAM);
	}
	for (int i = 0; i < WORLD_ACTIVE_KEYS; i++)
		world_add_key();
	rig_scope(&world.no_def, world.account, ROWS_USER, "");
	for (int i = 0; i < WORLD_USERS; i++)
		add_scope(&world.user[i], &world.no_def, ROWS_USER);
	return world.r.dir;
}

/* --- admission --- */

static bool matches(const struct rows_rule *r, int model)
{
	return r->models.n == 0 || slice_is(r->models, world_models[model]);
}

static bool only_counts(const struct model_scope *s, const struct rows_rule *r)
{
	return r->shadow || ((s->def->flags | s->row->flags) & ROWS_SHADOW);
}

struct verdict {
	enum admit_reason reason;
	enum rows_kind scope;
	size_t shadows, rates_n;
	unsigned limits;  /* that refuse it: one bit a reason and scope */
	unsigned budgets; /* that are used up, the same */
	struct {          /* to be, if it is admitted */
		struct use *use;
		struct model_rate rate;
	} rates[ROWS_SCOPES_MAX * ROWS_RULES_MAX];
};

static void refuse(struct verdict *v, enum admit_reason why, enum rows_kind scope)
{
	v->reason = why;
	v->scope = scope;
}

/* The key that is no more; the account; then each scope. */
static bool is_stopped(struct model_scope *const *of, size_t n, struct verdict *v)
{
	for (size_t i = 0; i < n; i++) {
		if (of[i]->row->status == ROWS_REVOKED)
			refuse(v, ADMIT_KEY_REVOKED, ROWS_KEY);
	}
	if (!v->reason && world.suspended)
		refuse(v, ADMIT_ACCOUNT_SUSPENDED, ROWS_ACCOUNT);
	for (size_t i = 0; i < n && !v->reason; i++) {
		if (of[i]->row->status == ROWS_SUSPENDED)
			refuse(v,
			       of[i]->kind == ROWS_KEY    ? ADMIT_KEY_SUSPENDED
			       : of[i]->kind == ROWS_TEAM ? ADMIT_TEAM_SUSPENDED
							  : ADMIT_USER_SUSPENDED,
			       of[i]->kind);
	}
	return v->reason != ADMIT_NONE;
}

/* Tokens are let in while any are left, by an estimate. */
static bool over_rate(struct use *u, const struct rows_rule *r, struct verdict *v)
{
	int64_t len = world_use_len_ms(r->kind), limit = world_limit_of(r, u);
	struct model_rate now = world_use_rate(u, len);
	int64_t used = world_use_sum(&now, len),
		more = world_use_is_tokens(r->kind) ? RIG_ESTIMATE : 1;
	bool over = world_use_is_tokens(r->kind) ? used >= limit : used + 1 > limit;

	now.now += more;
	v->rates[v->rates_n].use = u;
	v->rates[v->rates_n++].rate = now;
	return over;
}

static unsigned bit_of(enum admit_reason why, enum rows_kind scope)
{
	return 1u << ((why == ADMIT_RATE || why == ADMIT_CREDIT ? 16 : 0) + scope);
}

/* All that do: which of them lasts longest test_scopes.c knows. */
static void over_limits(struct model_scope *const *of, size_t n, int model, struct verdict *v)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < of[i]->def->limits.n; k++) {
			const struct rows_rule *r = &of[i]->def->limits.v[k];
			struct use *u = world_use(of[i], r->id);
			bool over;

			if (r->kind == ROWS_BUDGET || !matches(r, model))
				continue;
			over = r->kind == ROWS_CONCURRENCY
				       ? (r->models.n ? u->running : of[i]->holds) >=
						 world_limit_of(r, u)
				       : over_rate(u, r, v);
			v->shadows += over && only_counts(of[i], r);
			if (!over || only_counts(of[i], r))
				continue;
			v->limits |=
				bit_of(r->kind == ROWS_CONCURRENCY ? ADMIT_CONCURRENCY : ADMIT_RATE,
				       of[i]->kind);
		}
	}
}

/* The credit, then every budget: what each has now, and once its holds have come back. Of those that are used up any may be told, which of
 * them lasts longest test_scopes.c knows. */
static void over_money(struct model_scope *const *of, size_t n, int model, int64_t nusd,
		       struct verdict *v)
{
	int64_t now = world_available(), later = now + world.held;
	bool free = !world_has_floor(), fits_later = free || nusd <= later,
	     fits_now = free || nusd <= now;
	enum rows_kind first_now = ROWS_ACCOUNT;
	enum admit_reason why_later = ADMIT_CREDIT;

	v->shadows += world_in_shadow() && !world.postpaid && nusd > now;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < of[i]->def->limits.n; k++) {
			const struct rows_rule *r = &of[i]->def->limits.v[k];
			const struct use *u = world_use(of[i], r->id);
			struct model_window w = world_look(u, world_window_of(r, u));
			int64_t left = world_limit_of(r, u) - w.used;

			if (r->kind != ROWS_BUDGET || !matches(r, model))
				continue;
			if (only_counts(of[i], r)) {
				v->shadows += nusd > left - w.held;
				continue;
			}
			if (nusd > left && (fits_later || v->budgets)) {
				fits_later = false;
				why_later = r->credit ? ADMIT_CREDIT : ADMIT_BUDGET;
				v->budgets |= bit_of(why_later, of[i]->kind);
			}
			if (nusd > left - w.held && fits_now) {
				fits_now = false;
				first_now = of[i]->kind;
			}
		}
	}
	if (fits_now)
		return;
	refuse(v, fits_later ? ADMIT_CREDIT_HELD : why_later, fits_later ? first_now : ROWS_ACCOUNT);
}

static void take(struct model_hold *h, struct model_scope *s, int model, int64_t nusd)
{
	if (s->def->limits.n == 0 && s->kind != ROWS_KEY && s->kind != ROWS_TEAM)
		return; /* it has nothing to count with */
	h->of[h->n].scope = s;
	h->of[h->n].n = 0;
	s->holds++;
	for (size_t k = 0; k < s->def->limits.n; k++) {
		const struct rows_rule *r = &s->def->limits.v[k];
		struct model_taken *t = &h->of[h->n].of[h->of[h->n].n];
		struct use *u = world_use(s, r->id);

		if (!matches(r, model))
			continue;
		*t = (struct model_taken){.rule = r->id, .kind = r->kind};
		h->of[h->n].n++;
		if (r->kind == ROWS_CONCURRENCY)
			u->running++;
		if (r->kind != ROWS_BUDGET)
			continue;
		t->window = world_window_of(r, u);
		world_use_open(u, t->window)->held += nusd;
	}
	h->n++;
}

static struct model_hold *free_hold(void)
{
	for (size_t i = 0; i < WORLD_HOLDS; i++) {
		if (!world.holds[i].used)
			return &world.holds[i];
	}
	return NULL;
}

/* True: somebody died in it. */
static bool ask(struct admit_op *op, const struct verdict *v)
{
	struct progress *p = live_progress(world.r.live);
	size_t shadows = 0;

	if (world_pick(2)) {
		op->ask.slot = progress_take(p, world.account, &op->ask.id);
		assert_int_not_equal(op->ask.slot, PROGRESS_NO_SLOT);
	}
	if (death_run(op)) {
		assert_true(v->reason == ADMIT_NONE || !death_has_hold(&op->ask.id));
		return true;
	}
	world.refused_n[op->reason]++;
	if (v->limits) {
		assert_true(op->reason == ADMIT_RATE || op->reason == ADMIT_CONCURRENCY);
		assert_true(v->limits & bit_of(op->reason, op->refusal.scope));
	} else if (v->budgets) {
		assert_true(op->reason == ADMIT_BUDGET || op->reason == ADMIT_CREDIT);
		assert_true(v->budgets & bit_of(op->reason, op->refusal.scope));
	} else {
		assert_int_equal(op->reason, v->reason);
	}
	if (v->reason == ADMIT_NONE) {
		for (size_t i = 0; i < op->grant.shadow.n; i++)
			shadows += op->grant.shadow.v[i].n;
		assert_int_equal(shadows, v->shadows);
		return false;
	}
	if (!v->limits && !v->budgets)
		assert_int_equal(op->refusal.scope, v->scope);
	if (op->ask.slot != PROGRESS_NO_SLOT)
		progress_give(p, op->ask.slot);
	return false;
}

void world_admit(void)
{
	int k = (int)world_pick((uint64_t)world.keys_n), u = (int)world_pick(WORLD_USERS + 1) - 1,
	    model = (int)world_pick(WORLD_MODELS);
	int64_t cap = 1 + (int64_t)world_pick(300), nusd = 100 * 1000 + cap * 2000;
	struct model_hold *h = free_hold();
	struct model_scope *of[ROWS_SCOPES_MAX];
	struct verdict v = {.reason = ADMIT_NONE};
	struct hold_candidate c;
	struct admit_op op;
	size_t n = 0;
	bool died;

	if (!h)
		return;
	if (world.key_def[k].status == ROWS_REVOKED && world_pick(10))
		k = world.keys_n - 1; /* never all of them are */
	of[n++] = &world.acc;
	if (world.team_of[k] >= 0)
		of[n++] = &world.team[world.team_of[k]];
	of[n++] = &world.key[k];
	if (u >= 0)
		of[n++] = &world.user[u];
	if (!is_stopped(of, n, &v)) {
		over_limits(of, n, model, &v);
		over_money(of, n, model, nusd, &v);
	}
	/* Money that is gone comes before a limit, and that before money that others hold. */
	if (v.reason == ADMIT_BUDGET || v.reason == ADMIT_CREDIT)
		v.limits = 0;
	else if (v.limits)
		v.reason = ADMIT_RATE;
	shrink_note("key %d, user %d, model %s asks for %lld, is %s", k, u, world_models[model],
		    (long long)nusd, admit_reason_text(v.reason));
	rig_ask(&world.r, &op, &c, world.account, world.key_def[k].id, &world.r.price, cap);
	op.ask.model = slice_str(world_models[model]);
	if (u >= 0)
		op.ask.user = slice_str(world_tags[u]);
	died = ask(&op, &v);
	if (died ? !death_has_hold(&op.ask.id) : op.reason != ADMIT_NONE)
		return;
	*h = (struct model_hold){.used = true,
				 .orphan = died && op.ask.slot != PROGRESS_NO_SLOT,
				 .slot = op.ask.slot,
				 .id = op.ask.id,
				 .key = k,
				 .user = u,
				 .model = model,
				 .nusd = nusd,
				 .boot_ms = world.r.boot_ms};
	for (size_t i = 0; i < v.rates_n; i++)
		v.rates[i].use->rate = v.rates[i].rate;
	for (size_t i = 0; i < n; i++)
		take(h, of[i], model, nusd);
	world.held += nusd;
}

/* --- limits that come --- */

static bool is_met(const struct model_scope *s, const struct rows_rule *r, int model)
{
	return r->kind == ROWS_CONCURRENCY && matches(r, model) &&
	       (r->models.n || (s->kind != ROWS_KEY && s->kind != ROWS_TEAM));
}

/* Where the hold counts in the scope, from now on if it did not; h->n: nowhere. */
static size_t place_of(struct model_hold *h, struct model_scope *s)
{
	size_t i = 0;

	while (i < h->n && h->of[i].scope != s)
		i++;
	for (size_t k = 0; i == h->n && k < s->def->limits.n; k++) {
		if (!is_met(s, &s->def->limits.v[k], h->model))
			continue;
		h->of[h->n].scope = s;
		h->of[h->n++].n = 0;
		s->holds++;
		break;
	}
	return i;
}

static bool has_taken(const struct model_hold *h, size_t at, uint32_t rule)
{
	for (size_t i = 0; i < h->of[at].n; i++) {
		if (h->of[at].of[i].rule == rule)
			return true;
	}
	return false;
}

static void count_in(struct model_hold *h, struct model_scope *s)
{
	size_t at = place_of(h, s);

	for (size_t k = 0; at < h->n && k < s->def->limits.n; k++) {
		const struct rows_rule *r = &s->def->limits.v[k];

		if (!r->models.n || !is_met(s, r, h->model) || has_taken(h, at, r->id) ||
		    h->of[at].n == ROWS_RULES_MAX)
			continue;
		h->of[at].of[h->of[at].n++] =
			(struct model_taken){.rule = r->id, .kind = ROWS_CONCURRENCY};
		world_use(s, r->id)->running++;
	}
}

void world_count_running(void)
{
	for (size_t i = 0; i < WORLD_HOLDS; i++) {
		struct model_hold *h = &world.holds[i];

		if (!h->used)
			continue;
		count_in(h, &world.acc);
		for (size_t k = 0; k < h->n; k++) {
			if (h->of[k].scope->kind == ROWS_TEAM)
				count_in(h, h->of[k].scope);
		}
		count_in(h, &world.key[h->key]);
		if (h->user >= 0)
			count_in(h, &world.user[h->user]);
	}
}

/* --- ends --- */

void world_drain(void)
{
	rig_drain(&world.r);
	world_drained();
}

/* For each budget window that a hold is in, as far as it is known. */
static void each_window(const struct model_hold *h,
			void (*fn)(struct model_window *w, int64_t nusd), int64_t nusd)
{
	for (size_t i = 0; i < h->n; i++) {
		for (size_t k = 0; k < h->of[i].n; k++) {
			const struct model_taken *t = &h->of[i].of[k];
			struct use *u = world_use_known(h->of[i].scope, t->rule);
			struct model_window *w =
				u && t->kind == ROWS_BUDGET ? world_use_find(u, t->window) : NULL;

			if (w)
				fn(w, nusd);
		}
	}
}

static void add_used(struct model_window *w, int64_t nusd)
{
	w->used += nusd;
}

static void add_held(struct model_window *w, int64_t nusd)
{
	w->held += nusd;
}

static void make_durable(struct model_window *w, int64_t nusd)
{
	(void)nusd;
	w->durable = true;
}

static void use_budgets(const struct model_hold *h, int64_t nusd)
{
	world.settled += nusd;
	each_window(h, add_used, nusd);
}

/* A charge opens its windows in the ledger, what takes one back does not. */
void world_drained(void)
{
	for (size_t i = 0; i < world.fresh_n; i++) {
		if (world.fresh[i].nusd >= 0)
			each_window(&world.fresh[i].hold, make_durable, 0);
	}
	world.fresh_n = 0;
}

static void charge_hold(const struct model_hold *h, int64_t nusd, int64_t lost)
{
	use_budgets(h, nusd);
	world.uncollected += lost;
	world.fresh[world.fresh_n].hold = *h;
	world.fresh[world.fresh_n].lost = lost;
	world.fresh[world.fresh_n++].nusd = nusd;
	if (world.fresh_n == WORLD_FRESH)
		world_drain();
}

static void give_back(struct model_hold *h)
{
	for (size_t i = 0; i < h->n; i++) {
		h->of[i].scope->holds--;
		for (size_t k = 0; k < h->of[i].n; k++) {
			const struct model_taken *t = &h->of[i].of[k];
			struct use *u = world_use_known(h->of[i].scope, t->rule);

			if (u && t->kind == ROWS_CONCURRENCY)
				u->running--;
		}
	}
	each_window(h, add_held, -h->nusd);
	world.held -= h->nusd;
	h->used = false;
}

/* What was estimated is corrected. A request that is not charged was none. */
static void correct_rates(const struct model_hold *h, int64_t requests, int64_t tokens)
{
	for (size_t i = 0; i < h->n; i++) {
		for (size_t k = 0; k < h->of[i].n; k++) {
			const struct model_taken *t = &h->of[i].of[k];

			struct use *u = world_use_known(h->of[i].scope, t->rule);

			if (u && t->kind < ROWS_LIMIT_COUNT)
				world_use_correct(u, t->kind, h->boot_ms,
						  world_use_is_tokens(t->kind)
							  ? tokens - RIG_ESTIMATE
							  : requests);
		}
	}
}

void world_end_hold(struct model_hold *h, const struct model_done *done, int64_t tokens)
{
	correct_rates(h, 0, tokens);
	give_back(h);
	charge_hold(h, done->charge, done->lost);
}

/* Of a scope's uses, those that only the live store had. */
static void forget(struct model_scope *s)
{
	for (size_t i = 0; i < WORLD_IDS; i++) {
		struct use *u = &s->use[i];
		size_t to = 0;

		for (size_t k = 0; k < u->n; k++) {
			if (u->w[k].durable)
				u->w[to++] = u->w[k];
		}
		u->n = to;
		u->rate = (struct model_rate){0};
	}
}

void world_lose(void)
{
	for (size_t i = 0; i < WORLD_HOLDS; i++) {
		if (world.holds[i].used)
			give_back(&world.holds[i]);
	}
	while (world.fresh_n > 0) {
		world.fresh_n--;
		use_budgets(&world.fresh[world.fresh_n].hold, -world.fresh[world.fresh_n].nusd);
		world.uncollected -= world.fresh[world.fresh_n].lost;
	}
	forget(&world.acc);
	for (int i = 0; i < WORLD_TEAMS; i++)
		forget(&world.team[i]);
	for (int i = 0; i < world.keys_n; i++)
		forget(&world.key[i]);
	for (int i = 0; i < WORLD_USERS; i++)
		forget(&world.user[i]);
	world.losses++;
}

/* True: the operation is done. Who died in it has left all of it or nothing. */
static bool end(struct model_hold *h, struct admit_op *op)
{
	if (death_run(op))
		return !death_has_hold(&h->id);
	assert_true(op->done.settled);
	if (h->slot != PROGRESS_NO_SLOT)
		progress_give(live_progress(world.r.live), h->slot);
	return true;
}

void world_reverse(struct model_hold *h, const struct model_done *done)
{
	struct rows_account a;
	struct admit_op op;
	bool died;

	rig_settle_op(&world.r, &op, world.account, &h->id, 0, 0);
	op.kind = ADMIT_REVERSE;
	op.outbox_n = done->outbox_n;
	died = death_run(&op);
	assert_true(died || op.done.settled);
	rig_get_account(&world.r, world.account, &a);
	if (died && a.settled_nusd == world.settled)
		return;
	charge_hold(h, -done->charge, -done->lost);
	if (died)
		world_drained(); /* by the start */
}

void world_release(struct model_hold *h)
{
	struct admit_op op;

	rig_settle_op(&world.r, &op, world.account, &h->id, 0, 0);
	op.kind = ADMIT_RELEASE;
	shrink_note("a hold of %lld is released", (long long)h->nusd);
	if (!end(h, &op))
		return;
	correct_rates(h, -1, 0);
	give_back(h);
}

/* Within the hold, or beyond it as far as the account has anything left; the credit of others is overdrawn by it. */
static struct model_done due_of(const struct model_hold *h, int64_t due)
{
	int64_t more = due - h->nusd, left = MAX_OF(world_available(), 0);

	if (more <= left || !world_has_floor())
		return (struct model_done){.charge = due};
	world.unpaid++;
	return (struct model_done){.charge = h->nusd + left, .lost = more - left};
}

bool world_settle(struct model_hold *h, struct model_done *done)
{
	int64_t in = (int64_t)world_pick(100),
		out = (int64_t)world_pick((uint64_t)((h->nusd - 99999) / 2000 + 1));
	unsigned long deaths = world.deaths;
	struct admit_op op;

	if (world_pick(8) == 0)
		out += (int64_t)world_pick(600);
	*done = due_of(h, in * 1000 + out * 2000);
	rig_settle_op(&world.r, &op, world.account, &h->id, in, out);
	shrink_note("a hold of %lld is settled: %lld", (long long)h->nusd, (long long)done->charge);
	if (!end(h, &op))
		return false;
	world_end_hold(h, done, in + out);
	if (world.deaths == deaths) {
		assert_int_equal(op.done.charge_nusd, done->charge);
		assert_int_equal(op.done.uncollected_nusd, done->lost);
		done->outbox_n = op.done.outbox_n;
		return true;
	}
	world_drained(); /* by the start */
	rig_run(&world.r, &op);
	assert_false(op.done.settled);
	return false;
}

void world_end_one(void)
{
	struct model_hold *h = &world.holds[world_pick(WORLD_HOLDS)];
	struct model_done done;

	if (!h->used || h->orphan)
		return;
	if (world_pick(8) == 0)
		world_release(h);
	else if (world_settle(h, &done) && world_pick(16) == 0)
		world_reverse(h, &done);
}
