/* Random operations on accounts, teams, keys and end users with rules that come, change and go, against a model that is nothing
 * but sums in memory: which scope refuses and why, what is used and held of every budget, what runs, through edits, moves of
 * keys between teams, days that end, restarts, and the loss of the live store. The seed is printed; AIGW_TEST_SEED and
 * AIGW_TEST_STEPS choose others. */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "agree.h"
#include "clock.h"
#include "text.h"
#include "verify.h"

#define TEAMS   2
#define KEYS    3
#define USERS   3 /* the first has rules of its own, the others those for all */
#define HOLDS   32
#define IDS_MAX 96 /* of the rules that one definition ever has */
#define DAYS    128
#define DAY_MS  INT64_C(86400000)
#define MODELS  2

static const char *const models[MODELS] = {"m1", "m2"};
static const char *const tags[USERS] = {"own", "bob", "carol"};

/* What one scope used of one rule. Totals stand at day 0. */
struct use {
	int64_t used[DAYS], held[DAYS];
	int running;
};

struct model_scope {
	struct rows_scope *def; /* of an end user without a row: that of all */
	enum rows_kind kind;
	int holds;
	struct use use[IDS_MAX];
};

struct model_hold {
	bool used;
	struct genid id;
	int64_t nusd, day;
	size_t n;
	struct {
		struct model_scope *scope;
		size_t n;
		uint16_t rule[ROWS_RULES_MAX];
	} of[ROWS_SCOPES_MAX];
};

static struct {
	struct rig r;
	struct text_rng rng;
	uint64_t account;
	int64_t granted, settled, held, day0;
	struct rows_scope account_def, team_def[TEAMS], key_def[KEYS], own_def, every_def;
	struct model_scope acc, team[TEAMS], key[KEYS], user[USERS];
	int team_of[KEYS]; /* -1: none */
	struct model_hold holds[HOLDS];
	unsigned long refused_n[ADMIT_REASON_COUNT], losses;
} m;

static uint64_t pick(uint64_t n)
{
	return text_rng_next(&m.rng) % n;
}

static int64_t today(void)
{
	return m.r.wall_ms / DAY_MS - m.day0 + 1;
}

static int64_t day_of(const struct rows_rule *r, int64_t day)
{
	return r->window.unit == WINDOW_TOTAL ? 0 : day;
}

static const struct rows_rule *rule_of(const struct model_scope *s, uint16_t id)
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

static void begin(void)
{
	char name[32];

	rig_init(&m.r);
	/* Later than the real clock, which dates the gap records: else they would let end users seem to be gone for long. */
	m.r.wall_ms = clock_wall_ms() + DAY_MS;
	rig_open(&m.r);
	rig_join(&m.r);
	m.day0 = m.r.wall_ms / DAY_MS;
	m.granted = RIG_DOLLAR / 100;
	m.account = rig_account(&m.r, "acme", m.granted);
	rig_scope(&m.account_def, m.account, ROWS_ACCOUNT, "");
	rig_put(&m.r, &m.account_def);
	add_scope(&m.acc, &m.account_def, ROWS_ACCOUNT);
	for (int i = 0; i < TEAMS; i++) {
		rig_scope(&m.team_def[i], m.account, ROWS_TEAM, i ? "team1" : "team0");
		rig_put(&m.r, &m.team_def[i]);
		add_scope(&m.team[i], &m.team_def[i], ROWS_TEAM);
	}
	for (int i = 0; i < KEYS; i++) {
		snprintf(name, sizeof name, "keykeykey%03d", i);
		rig_key(&m.r, m.account, name, &m.key_def[i]);
		add_scope(&m.key[i], &m.key_def[i], ROWS_KEY);
		m.team_of[i] = -1;
	}
	rig_scope(&m.own_def, m.account, ROWS_USER, tags[0]);
	rig_put(&m.r, &m.own_def);
	rig_scope(&m.every_def, m.account, ROWS_USER, ROWS_EVERY_USER);
	rig_put(&m.r, &m.every_def);
	for (int i = 0; i < USERS; i++)
		add_scope(&m.user[i], i ? &m.every_def : &m.own_def, ROWS_USER);
}

/* --- admission --- */

static bool matches(const struct rows_rule *r, int model)
{
	return r->models.n == 0 || slice_is(r->models, models[model]);
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

			if (r->kind != ROWS_CONCURRENCY || !matches(r, model) || running < r->limit)
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
	int64_t now = m.granted - m.settled - m.held, later = m.granted - m.settled;
	bool fits_later = nusd <= later, fits_now = nusd <= now;
	enum rows_kind first_now = ROWS_ACCOUNT, first_later = ROWS_ACCOUNT;
	bool budget_later = false;

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < of[i]->def->limits.n; k++) {
			const struct rows_rule *r = &of[i]->def->limits.v[k];
			const struct use *u = &of[i]->use[r->id];
			int64_t d = day_of(r, today()), left = r->limit - u->used[d];

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
			s->use[r->id].held[day_of(r, today())] += nusd;
		else
			s->use[r->id].running++;
	}
	h->n++;
}

static struct model_hold *free_hold(void)
{
	for (size_t i = 0; i < HOLDS; i++) {
		if (!m.holds[i].used)
			return &m.holds[i];
	}
	return NULL;
}

static void do_admit(void)
{
	int k = (int)pick(KEYS), u = (int)pick(USERS + 1) - 1, model = (int)pick(MODELS);
	int64_t cap = 1 + (int64_t)pick(300), nusd = 100 * 1000 + cap * 2000;
	struct model_hold *h = free_hold();
	struct model_scope *of[ROWS_SCOPES_MAX];
	struct verdict v = {.reason = ADMIT_NONE};
	struct hold_candidate c;
	struct admit_op op;
	size_t n = 0;

	if (!h)
		return;
	of[n++] = &m.acc;
	if (m.team_of[k] >= 0)
		of[n++] = &m.team[m.team_of[k]];
	of[n++] = &m.key[k];
	if (u >= 0)
		of[n++] = &m.user[u];
	if (!over_concurrency(of, n, model, &v))
		over_money(of, n, model, nusd, &v);
	rig_ask(&m.r, &op, &c, m.account, m.key_def[k].id, &m.r.price, cap);
	op.ask.model = slice_str(models[model]);
	if (u >= 0)
		op.ask.user = slice_str(tags[u]);
	rig_run(&m.r, &op);
	assert_int_equal(op.rc, ERRC_OK);
	assert_int_equal(op.reason, v.reason);
	m.refused_n[v.reason]++;
	if (v.reason != ADMIT_NONE) {
		assert_int_equal(op.refusal.scope, v.scope);
		return;
	}
	assert_int_equal(op.grant.shadow.n, v.shadows);
	*h = (struct model_hold){.used = true, .id = op.ask.id, .nusd = nusd, .day = today()};
	for (size_t i = 0; i < n; i++)
		take(h, of[i], model, nusd);
	m.held += nusd;
}

/* --- ends --- */

/* `charge` -1: the hold is lost with the live store. */
static void end_hold(struct model_hold *h, int64_t charge)
{
	for (size_t i = 0; i < h->n; i++) {
		struct model_scope *s = h->of[i].scope;

		s->holds--;
		for (size_t k = 0; k < h->of[i].n; k++) {
			const struct rows_rule *r = rule_of(s, h->of[i].rule[k]);
			int64_t d;

			if (!r)
				continue;
			if (r->kind == ROWS_CONCURRENCY) {
				s->use[r->id].running--;
				continue;
			}
			d = day_of(r, h->day);
			s->use[r->id].held[d] -= h->nusd;
			s->use[r->id].used[d] += MAX_OF(charge, 0);
		}
	}
	m.held -= h->nusd;
	m.settled += MAX_OF(charge, 0);
	h->used = false;
}

static void reverse(const struct model_hold *h, uint64_t outbox_n, int64_t charge)
{
	struct admit_op op;

	rig_settle_op(&m.r, &op, m.account, &h->id, 0, 0);
	op.kind = ADMIT_REVERSE;
	op.outbox_n = outbox_n;
	rig_run(&m.r, &op);
	assert_true(op.done.settled);
	m.settled -= charge;
	for (size_t i = 0; i < h->n; i++) {
		for (size_t k = 0; k < h->of[i].n; k++) {
			const struct rows_rule *r = rule_of(h->of[i].scope, h->of[i].rule[k]);

			if (r && r->kind == ROWS_BUDGET)
				h->of[i].scope->use[r->id].used[day_of(r, h->day)] -= charge;
		}
	}
}

static void do_end(void)
{
	struct model_hold *h = &m.holds[pick(HOLDS)];
	int64_t in = (int64_t)pick(100),
		out = (int64_t)pick((uint64_t)((h->nusd - 99999) / 2000 + 1)),
		charge = in * 1000 + out * 2000;
	struct admit_done done;
	struct admit_op op;

	if (!h->used)
		return;
	if (pick(8) == 0) {
		rig_settle_op(&m.r, &op, m.account, &h->id, 0, 0);
		op.kind = ADMIT_RELEASE;
		rig_run(&m.r, &op);
		assert_true(op.done.settled);
		end_hold(h, 0);
		return;
	}
	rig_settle(&m.r, m.account, &h->id, in, out, &done);
	assert_true(done.settled);
	assert_int_equal(done.charge_nusd, charge);
	end_hold(h, charge);
	if (pick(16) == 0)
		reverse(h, done.outbox_n, charge);
}

/* --- edits --- */

static void add_rule(struct rows_scope *def)
{
	struct rows_rule *r;

	if (def->limits.n >= 6 || def->limits.last_id >= IDS_MAX - 1)
		return;
	r = rows_limits_add(&def->limits, pick(2) ? ROWS_BUDGET : ROWS_CONCURRENCY, 0);
	assert_non_null(r);
	r->limit = r->kind == ROWS_BUDGET ? (int64_t)pick(60000000) : (int64_t)pick(30);
	r->window.unit = pick(3) ? WINDOW_DAY : WINDOW_TOTAL;
	if (r->kind == ROWS_BUDGET && r->window.unit == WINDOW_TOTAL)
		r->limit *= 10;
	if (pick(3) == 0)
		r->models = slice_str(models[pick(MODELS)]);
	r->shadow = pick(5) == 0;
}

static void change_rule(struct rows_scope *def)
{
	struct rows_rule *r;

	if (def->limits.n == 0)
		return;
	r = &def->limits.v[pick(def->limits.n)];
	if (pick(3) == 0)
		rows_limits_remove(&def->limits, r->id);
	else if (pick(4) == 0)
		r->shadow = !r->shadow;
	else
		r->limit = r->kind == ROWS_BUDGET ? (int64_t)pick(100000000) : (int64_t)pick(30);
}

static void move_key(void)
{
	static const char none[ROWS_ID];
	int k = (int)pick(KEYS);

	m.team_of[k] = (int)pick(TEAMS + 1) - 1;
	memcpy(m.key_def[k].team, m.team_of[k] < 0 ? none : m.team_def[m.team_of[k]].id, ROWS_ID);
	rig_put(&m.r, &m.key_def[k]);
}

static void do_edit(void)
{
	struct rows_scope *defs[] = {&m.account_def, &m.team_def[0], &m.team_def[1], &m.key_def[0],
				     &m.key_def[1],  &m.key_def[2],  &m.own_def,     &m.every_def};
	struct rows_scope *def = defs[pick(ARRAY_LEN(defs))];

	if (pick(6) == 0) {
		move_key();
		return;
	}
	if (pick(2))
		add_rule(def);
	else
		change_rule(def);
	rig_put(&m.r, def);
}

/* The keeper ends and starts again, sometimes without its live store: then what ran is gone, charges are not. */
static void do_restart(void)
{
	bool lose = pick(2) == 0;
	char cmd[300];

	if (lose)
		rig_drain(&m.r);
	rig_close(&m.r);
	if (lose) {
		snprintf(cmd, sizeof cmd, "rm -rf '%s/live'", m.r.dir);
		assert_int_equal(system(cmd), 0);
		for (size_t i = 0; i < HOLDS; i++) {
			if (m.holds[i].used)
				end_hold(&m.holds[i], -1);
		}
		m.losses++;
	}
	rig_open(&m.r);
	assert_int_equal(m.r.started.outcome, lose ? STORE_REBUILT : STORE_ACCEPTED);
	rig_join(&m.r);
}

/* --- checks --- */

static void check_scope(const struct model_scope *s, const char *tag)
{
	struct rows_state st;
	char id[ROWS_ID];

	if (tag)
		rows_user_id(slice_str(tag), id);
	else
		memcpy(id, s->def->id, ROWS_ID);
	rig_state(&m.r, m.account, s->kind, id, &st);
	for (size_t i = 0; i < s->def->limits.n; i++) {
		const struct rows_rule *r = &s->def->limits.v[i];
		const struct use *u = &s->use[r->id];
		int64_t d = day_of(r, today());
		struct rows_rule_now now;

		rows_rule_look(r, rows_state_counter(&st, r), st.holds, m.r.boot_ms, m.r.wall_ms,
			       &now);
		if (r->kind == ROWS_BUDGET) {
			assert_int_equal(now.used, u->used[d]);
			assert_int_equal(now.held, u->held[d]);
		} else {
			assert_int_equal(now.used, r->models.n ? u->running : s->holds);
		}
	}
}

static void check_all(void)
{
	struct verify_result v;
	struct agree g = {.done = false};
	struct rows_account a;
	struct scan s;

	rig_get_account(&m.r, m.account, &a);
	assert_int_equal(a.settled_nusd, m.settled);
	assert_int_equal(a.held_nusd, m.held);
	check_scope(&m.acc, NULL);
	for (int i = 0; i < TEAMS; i++)
		check_scope(&m.team[i], NULL);
	for (int i = 0; i < KEYS; i++)
		check_scope(&m.key[i], NULL);
	for (int i = 0; i < USERS; i++)
		check_scope(&m.user[i], tags[i]);
	rig_drain(&m.r);
	rig_check(&m.r, &s);
	while (!g.done)
		assert_int_equal(agree_slice(&m.r.admin, &g), ERRC_OK);
	assert_int_equal(g.different, 0);
	assert_int_equal(ledger_begin(m.r.ledger), ERRC_OK);
	assert_int_equal(ledger_checkpoint(m.r.ledger), ERRC_OK);
	assert_int_equal(ledger_commit(m.r.ledger), ERRC_OK);
	assert_int_equal(verify_ledger(m.r.ledger, false, NULL, NULL, &v), ERRC_OK);
	assert_true(verify_is_good(&v));
}

static void step(void)
{
	uint64_t what = pick(1000);

	m.r.wall_ms += (int64_t)pick(60000);
	m.r.boot_ms += (int64_t)pick(50);
	if (what < 480)
		do_admit();
	else if (what < 900)
		do_end();
	else if (what < 960)
		do_edit();
	else if (what < 996)
		rig_drain(&m.r);
	else if (pick(4) == 0)
		do_restart();
}

static void top_up(void)
{
	int64_t more = (int64_t)pick(1500000) + 1;
	bool durable;

	assert_int_equal(admin_account_credit(&m.r.admin, &m.r.by, m.account, more, &durable),
			 ERRC_OK);
	m.granted += more;
}

static unsigned long from_env(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : otherwise;
}

static void test_against_model(void **state)
{
	unsigned long seed = from_env("AIGW_TEST_SEED", 20261125),
		      steps = from_env("AIGW_TEST_STEPS", 40000);

	(void)state;
	printf("# seed %lu, %lu steps\n", seed, steps);
	fflush(stdout);
	m.rng = (struct text_rng){{seed, seed ^ UINT64_C(0x9e3779b97f4a7c15)}};
	begin();
	for (unsigned long i = 0; i < steps && today() < DAYS - 1; i++) {
		step();
		if (i % 64 == 63)
			top_up();
		if (i % 200 == 199)
			check_all();
	}
	check_all();
	printf("# %lu granted, refused: %lu at once, %lu budget, %lu credit, %lu held; %lu "
	       "losses\n",
	       m.refused_n[ADMIT_NONE], m.refused_n[ADMIT_CONCURRENCY], m.refused_n[ADMIT_BUDGET],
	       m.refused_n[ADMIT_CREDIT], m.refused_n[ADMIT_CREDIT_HELD], m.losses);
	assert_true(m.refused_n[ADMIT_NONE] > steps / 50);
	rig_fini(&m.r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_model)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
