#include "world.h"

#include <stdio.h>
#include <time.h>

#include "clock.h"
#include "shrink.h"

#define DAY_S  INT64_C(86400)
#define HOUR_S INT64_C(3600)

const char *const world_models[WORLD_MODELS] = {"m1", "m2"};
const char *const world_tags[WORLD_USERS] = {"own", "bob", "carol"};

struct world world;

uint64_t world_pick(uint64_t n)
{
	return text_rng_next(world.rng) % n;
}

/* --- days --- */

int64_t world_now_s(void)
{
	return world.r.wall_ms / 1000;
}

/* The n-th Sunday of a month, and then this hour of UTC. */
static int64_t sunday_s(int year, int month, int n, int hour)
{
	struct tm t = {.tm_year = year, .tm_mon = month, .tm_mday = 1, .tm_hour = hour};

	(void)timegm(&t); /* tells the weekday */
	t.tm_mday += (7 - t.tm_wday) % 7 + 7 * (n - 1);
	return timegm(&t);
}

/* Seconds that New York is behind UTC. */
static int64_t behind_s(int64_t wall_s)
{
	time_t at = (time_t)wall_s;
	struct tm t;

	gmtime_r(&at, &t);
	return wall_s >= sunday_s(t.tm_year, 2, 2, 7) && wall_s < sunday_s(t.tm_year, 10, 1, 6)
		       ? 4 * HOUR_S
		       : 5 * HOUR_S;
}

/* Which window of a rule a moment belongs to. */
int64_t world_day_of(const struct rows_rule *r, int64_t wall_s)
{
	if (r->window.unit == WINDOW_TOTAL)
		return 0;
	return (wall_s - (r->zone.n ? behind_s(wall_s) : 0)) / DAY_S - world.day0 + 2;
}

static int64_t begin_s(const struct rows_rule *r, int64_t wall_s)
{
	int64_t local = wall_s - (r->zone.n ? behind_s(wall_s) : 0),
		midnight = local - local % DAY_S;

	/* The clock changes after midnight: what counts then is how far behind it is at midnight. */
	return r->zone.n ? midnight + behind_s(midnight + 5 * HOUR_S) : midnight;
}

/* With its raise: that of a budget counts in windows that begin before its end. */
int64_t world_limit_of(const struct rows_rule *r)
{
	int64_t from = r->kind == ROWS_BUDGET && r->window.unit == WINDOW_DAY
			       ? begin_s(r, world_now_s())
			       : world_now_s();

	return r->limit + (r->raise_until_s == 0 || from < r->raise_until_s ? r->raise : 0);
}

const struct rows_rule *world_rule_of(const struct model_scope *s, uint32_t id)
{
	for (size_t i = 0; i < s->def->limits.n; i++) {
		if (s->def->limits.v[i].id == id)
			return &s->def->limits.v[i];
	}
	return NULL;
}

static void add_scope(struct model_scope *s, struct rows_scope *def, enum rows_kind kind)
{
	s->def = def;
	s->kind = kind;
}

const char *world_begin(void)
{
	char name[32];

	memset(&world, 0, sizeof world);
	rig_init(&world.r);
	/* Later than the real clock, which dates the gap records: else they would let end users seem to be gone for long. */
	world.r.wall_ms = clock_wall_ms() + WORLD_DAY_MS;
	rig_open(&world.r);
	rig_join(&world.r);
	world.day0 = world.r.wall_ms / WORLD_DAY_MS;
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
	for (int i = 0; i < WORLD_KEYS; i++) {
		snprintf(name, sizeof name, "keykeykey%03d", i);
		rig_key(&world.r, world.account, name, &world.key_def[i]);
		add_scope(&world.key[i], &world.key_def[i], ROWS_KEY);
		world.team_of[i] = -1;
	}
	rig_scope(&world.own_def, world.account, ROWS_USER, world_tags[0]);
	rig_put(&world.r, &world.own_def);
	rig_scope(&world.every_def, world.account, ROWS_USER, ROWS_EVERY_USER);
	rig_put(&world.r, &world.every_def);
	for (int i = 0; i < WORLD_USERS; i++)
		add_scope(&world.user[i], i ? &world.every_def : &world.own_def, ROWS_USER);
	return world.r.dir;
}

/* --- admission --- */

static bool matches(const struct rows_rule *r, int model)
{
	return r->models.n == 0 || slice_is(r->models, world_models[model]);
}

struct verdict {
	enum admit_reason reason;
	enum rows_kind scope;
	size_t shadows;
};

static bool over_concurrency(struct model_scope *const *of, size_t n, int model, struct verdict *v)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < of[i]->def->limits.n; k++) {
			const struct rows_rule *r = &of[i]->def->limits.v[k];
			int running = r->models.n ? of[i]->use[r->id].running : of[i]->holds;

			if (r->kind != ROWS_CONCURRENCY || !matches(r, model) ||
			    running < world_limit_of(r))
				continue;
			v->shadows += r->shadow;
			if (r->shadow)
				continue;
			v->reason = ADMIT_CONCURRENCY;
			v->scope = of[i]->kind;
			return true;
		}
	}
	return false;
}

/* The credit, then every budget in order: what each has now, and once its holds have come back. */
static void over_money(struct model_scope *const *of, size_t n, int model, int64_t nusd,
		       struct verdict *v)
{
	int64_t now = world.granted - world.settled - world.held,
		later = world.granted - world.settled;
	bool fits_later = nusd <= later, fits_now = nusd <= now;
	enum rows_kind first_now = ROWS_ACCOUNT, first_later = ROWS_ACCOUNT;
	bool budget_later = false;

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < of[i]->def->limits.n; k++) {
			const struct rows_rule *r = &of[i]->def->limits.v[k];
			const struct use *u = &of[i]->use[r->id];
			int64_t d = world_day_of(r, world_now_s()),
				left = world_limit_of(r) - u->used[d];

			if (r->kind != ROWS_BUDGET || !matches(r, model))
				continue;
			if (r->shadow) {
				v->shadows += nusd > left - u->held[d];
				continue;
			}
			if (nusd > left && fits_later) {
				fits_later = false;
				budget_later = true;
				first_later = of[i]->kind;
			}
			if (nusd > left - u->held[d] && fits_now) {
				fits_now = false;
				first_now = of[i]->kind;
			}
		}
	}
	if (fits_now)
		return;
	v->scope = fits_later ? first_now : first_later;
	v->reason = fits_later ? ADMIT_CREDIT_HELD : budget_later ? ADMIT_BUDGET : ADMIT_CREDIT;
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

		if (!matches(r, model))
			continue;
		h->of[h->n].rule[h->of[h->n].n++] = r->id;
		if (r->kind == ROWS_BUDGET)
			s->use[r->id].held[world_day_of(r, world_now_s())] += nusd;
		else
			s->use[r->id].running++;
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

void world_admit(void)
{
	int k = (int)world_pick(WORLD_KEYS), u = (int)world_pick(WORLD_USERS + 1) - 1,
	    model = (int)world_pick(WORLD_MODELS);
	int64_t cap = 1 + (int64_t)world_pick(300), nusd = 100 * 1000 + cap * 2000;
	struct model_hold *h = free_hold();
	struct model_scope *of[ROWS_SCOPES_MAX];
	struct verdict v = {.reason = ADMIT_NONE};
	struct hold_candidate c;
	struct admit_op op;
	size_t n = 0;

	if (!h)
		return;
	of[n++] = &world.acc;
	if (world.team_of[k] >= 0)
		of[n++] = &world.team[world.team_of[k]];
	of[n++] = &world.key[k];
	if (u >= 0)
		of[n++] = &world.user[u];
	if (!over_concurrency(of, n, model, &v))
		over_money(of, n, model, nusd, &v);
	shrink_note("key %d, user %d, model %s asks for %lld, is %s", k, u, world_models[model],
		    (long long)nusd, admit_reason_text(v.reason));
	rig_ask(&world.r, &op, &c, world.account, world.key_def[k].id, &world.r.price, cap);
	op.ask.model = slice_str(world_models[model]);
	if (u >= 0)
		op.ask.user = slice_str(world_tags[u]);
	rig_run(&world.r, &op);
	assert_int_equal(op.rc, ERRC_OK);
	assert_int_equal(op.reason, v.reason);
	world.refused_n[v.reason]++;
	if (v.reason != ADMIT_NONE) {
		assert_int_equal(op.refusal.scope, v.scope);
		return;
	}
	assert_int_equal(op.grant.shadow.n, v.shadows);
	*h = (struct model_hold){
		.used = true, .id = op.ask.id, .nusd = nusd, .wall_s = world_now_s()};
	for (size_t i = 0; i < n; i++)
		take(h, of[i], model, nusd);
	world.held += nusd;
}

/* --- ends --- */

void world_drain(void)
{
	rig_drain(&world.r);
	world.fresh_n = 0;
}

void world_use_budgets(const struct model_hold *h, int64_t nusd)
{
	world.settled += nusd;
	for (size_t i = 0; i < h->n; i++) {
		for (size_t k = 0; k < h->of[i].n; k++) {
			const struct rows_rule *r = world_rule_of(h->of[i].scope, h->of[i].rule[k]);

			if (r && r->kind == ROWS_BUDGET)
				h->of[i].scope->use[r->id].used[world_day_of(r, h->wall_s)] += nusd;
		}
	}
}

static void charge_hold(const struct model_hold *h, int64_t nusd)
{
	world_use_budgets(h, nusd);
	if (world.fresh_n == WORLD_FRESH)
		world_drain();
	world.fresh[world.fresh_n].hold = *h;
	world.fresh[world.fresh_n++].nusd = nusd;
}

/* Without a charge also where the hold is lost with the live store. */
void world_end_hold(struct model_hold *h, int64_t charge)
{
	for (size_t i = 0; i < h->n; i++) {
		struct model_scope *s = h->of[i].scope;

		s->holds--;
		for (size_t k = 0; k < h->of[i].n; k++) {
			const struct rows_rule *r = world_rule_of(s, h->of[i].rule[k]);

			if (!r)
				continue;
			if (r->kind == ROWS_CONCURRENCY) {
				s->use[r->id].running--;
				continue;
			}
			s->use[r->id].held[world_day_of(r, h->wall_s)] -= h->nusd;
		}
	}
	world.held -= h->nusd;
	if (charge > 0)
		charge_hold(h, charge);
	h->used = false;
}

static void reverse(const struct model_hold *h, uint64_t outbox_n, int64_t charge)
{
	struct admit_op op;

	rig_settle_op(&world.r, &op, world.account, &h->id, 0, 0);
	op.kind = ADMIT_REVERSE;
	op.outbox_n = outbox_n;
	rig_run(&world.r, &op);
	assert_true(op.done.settled);
	charge_hold(h, -charge);
}

void world_release(struct model_hold *h)
{
	struct admit_op op;

	rig_settle_op(&world.r, &op, world.account, &h->id, 0, 0);
	op.kind = ADMIT_RELEASE;
	rig_run(&world.r, &op);
	assert_true(op.done.settled);
	shrink_note("a hold of %lld is released", (long long)h->nusd);
	world_end_hold(h, 0);
}

void world_end_one(void)
{
	struct model_hold *h = &world.holds[world_pick(WORLD_HOLDS)];
	int64_t in, out, charge;
	struct admit_done done;

	if (!h->used)
		return;
	if (world_pick(8) == 0) {
		world_release(h);
		return;
	}
	in = (int64_t)world_pick(100);
	out = (int64_t)world_pick((uint64_t)((h->nusd - 99999) / 2000 + 1));
	charge = in * 1000 + out * 2000;
	rig_settle(&world.r, world.account, &h->id, in, out, &done);
	assert_true(done.settled);
	assert_int_equal(done.charge_nusd, charge);
	shrink_note("a hold of %lld is settled: %lld", (long long)h->nusd, (long long)charge);
	world_end_hold(h, charge);
	if (world_pick(16) == 0)
		reverse(h, done.outbox_n, charge);
}
