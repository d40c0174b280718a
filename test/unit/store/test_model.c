/* Random operations on both stores against a model that is nothing but sums in memory: money, shadow, budgets by the day,
 * concurrency, restarts, and the loss of the live store. A run that fails is shortened; see shrink.h. */
#include "rig.h"

#include <stdio.h>

#include "folder.h"
#include "shrink.h"
#include "sweep.h"
#include "verify.h"

#define ACCOUNTS 4
#define KEYS     2  /* of an account */
#define HOLDS    24 /* that the model remembers at once */
#define DAYS     4000
#define DAY_MS   INT64_C(86400000)
#define STEP_MS  INT64_C(300000)

struct model_hold {
	bool used;
	struct genid id;
	int account, key;
	int64_t nusd, day;
	bool in_budget;
};

struct model_key {
	struct rows_scope row;
	bool revoked;
	int64_t held[DAYS], spent[DAYS];
	int holds;
};

struct model_account {
	uint64_t id;
	bool suspended;
	struct rows_scope rules; /* which say whether it is in shadow */
	int64_t granted, settled, held, uncollected;
	struct model_key keys[KEYS];
};

struct model {
	struct rig r;
	struct text_rng *rng; /* of the step */
	unsigned long number; /* of the last one */
	uint64_t verified;    /* the last record, when the ledger was verified */
	struct model_account accounts[ACCOUNTS];
	struct model_hold holds[HOLDS];
	int64_t day0;
	unsigned long refused, granted, settled, restarts, losses, counted, shadows, stays;
};

static struct model m;

static uint64_t pick(uint64_t n)
{
	return text_rng_next(m.rng) % n;
}

static int64_t today(void)
{
	return m.r.wall_ms / DAY_MS - m.day0;
}

static void key_name(int a, int k, char out[APIKEY_ID])
{
	memset(out, 'k', APIKEY_ID);
	out[0] = (char)('a' + a);
	out[1] = (char)('a' + k);
}

static const char *begin(void)
{
	memset(&m, 0, sizeof m);
	rig_init(&m.r);
	rig_open(&m.r);
	rig_join(&m.r);
	m.day0 = m.r.wall_ms / DAY_MS;
	for (int a = 0; a < ACCOUNTS; a++) {
		char name[16];

		snprintf(name, sizeof name, "acc%d", a);
		m.accounts[a].granted = RIG_DOLLAR / 200;
		m.accounts[a].id = rig_account(&m.r, name, m.accounts[a].granted);
		rig_scope(&m.accounts[a].rules, m.accounts[a].id, ROWS_ACCOUNT, "");
		for (int k = 0; k < KEYS; k++) {
			char id[APIKEY_ID];

			key_name(a, k, id);
			rig_key(&m.r, m.accounts[a].id, id, &m.accounts[a].keys[k].row);
		}
	}
	return m.r.dir;
}

static int64_t balance(const struct model_account *a)
{
	return a->granted - a->settled - a->held;
}

static bool in_shadow(const struct model_account *a)
{
	return a->rules.flags & ROWS_SHADOW;
}

/* What the model says of a request: the hold, or why not. */
static enum admit_reason judge(const struct model_account *a, const struct model_key *k,
			       int64_t nusd)
{
	int64_t at_once = rows_limits_get(&k->row.limits, ROWS_CONCURRENCY),
		budget = rows_limits_get(&k->row.limits, ROWS_BUDGET);
	int64_t d = today();
	bool now = in_shadow(a) || nusd <= balance(a),
	     later = in_shadow(a) || nusd <= balance(a) + a->held;

	if (k->revoked)
		return ADMIT_KEY_REVOKED;
	if (a->suspended)
		return ADMIT_ACCOUNT_SUSPENDED;
	if (budget != ROWS_NO_LIMIT) {
		bool fits_now = nusd <= budget - k->spent[d] - k->held[d];
		bool fits_later = nusd <= budget - k->spent[d];

		if (later && !fits_later)
			return ADMIT_BUDGET;
		now = now && fits_now;
		later = later && fits_later;
	}
	if (!later)
		return ADMIT_CREDIT;
	if (at_once != ROWS_NO_LIMIT && k->holds >= at_once)
		return ADMIT_CONCURRENCY;
	return now ? ADMIT_NONE : ADMIT_CREDIT_HELD;
}

static void do_admit(void)
{
	int ai = (int)pick(ACCOUNTS), ki = (int)pick(KEYS), slot = 0;
	struct model_account *a = &m.accounts[ai];
	struct model_key *k = &a->keys[ki];
	int64_t cap = 1 + (int64_t)pick(600), nusd = 100 * 1000 + cap * 2000;
	enum admit_reason want = judge(a, k, nusd);
	struct admit_op op;
	struct genid id;

	while (slot < HOLDS && m.holds[slot].used)
		slot++;
	if (slot == HOLDS)
		return;
	shrink_note("account %d, key %d ask for %lld, are %s", ai, ki, (long long)nusd,
		    admit_reason_text(want));
	rig_hold(&m.r, a->id, k->row.id, &m.r.price, cap, &id, &op);
	assert_int_equal(op.reason, want);
	if (want != ADMIT_NONE) {
		m.refused++;
		return;
	}
	m.granted++;
	m.counted += nusd > balance(a);
	assert_int_equal(op.grant.shadow.n, nusd > balance(a));
	assert_int_equal(op.grant.hold.hold_nusd, nusd);
	m.holds[slot] = (struct model_hold){true,
					    id,
					    ai,
					    ki,
					    nusd,
					    today(),
					    rows_limits_find(&k->row.limits, ROWS_BUDGET) != NULL};
	a->held += nusd;
	k->holds++;
	if (m.holds[slot].in_budget)
		k->held[today()] += nusd;
}

/* Windows before the last one are forgotten by the store. */
static void end_hold(struct model_hold *h, int64_t charge, int64_t lost)
{
	struct model_account *a = &m.accounts[h->account];
	struct model_key *k = &a->keys[h->key];

	a->held -= h->nusd;
	a->settled += charge;
	a->uncollected += lost;
	k->holds--;
	if (h->in_budget) {
		k->held[h->day] -= h->nusd;
		k->spent[h->day] += charge;
	}
	h->used = false;
}

static void do_settle(void)
{
	struct model_hold *h = &m.holds[pick(HOLDS)];
	int64_t in = (int64_t)pick(120), out = (int64_t)pick(700), due = in * 1000 + out * 2000,
		charge = due;
	struct model_account *a = &m.accounts[h->account];
	struct admit_done done, again;

	if (!h->used)
		return;
	shrink_note("a hold of %lld of account %d is settled, due are %lld", (long long)h->nusd,
		    h->account, (long long)due);
	if (due > h->nusd && !in_shadow(a))
		charge = MIN_OF(due, h->nusd + MAX_OF(balance(a), 0));
	rig_settle(&m.r, a->id, &h->id, in, out, &done);
	assert_true(done.settled);
	assert_int_equal(done.charge_nusd, charge);
	assert_int_equal(done.uncollected_nusd, due - charge);
	end_hold(h, charge, due - charge);
	m.settled++;
	if (pick(8) == 0) {
		rig_settle(&m.r, a->id, &h->id, in, out, &again);
		assert_false(again.settled);
	}
	if (pick(16) == 0) {
		struct admit_op op;

		rig_settle_op(&m.r, &op, a->id, &h->id, 0, 0);
		op.kind = ADMIT_REVERSE;
		op.outbox_n = done.outbox_n;
		rig_run(&m.r, &op);
		assert_true(op.done.settled);
		a->settled -= charge;
		a->uncollected -= due - charge;
		if (h->in_budget)
			a->keys[h->key].spent[h->day] -= charge;
	}
}

static void do_release(void)
{
	struct model_hold *h = &m.holds[pick(HOLDS)];
	struct admit_op op;

	if (!h->used)
		return;
	rig_settle_op(&m.r, &op, m.accounts[h->account].id, &h->id, 0, 0);
	op.kind = ADMIT_RELEASE;
	rig_run(&m.r, &op);
	assert_true(op.done.settled);
	end_hold(h, 0, 0);
}

static void do_credit(void)
{
	struct model_account *a = &m.accounts[pick(ACCOUNTS)];
	int64_t nusd = 1 + (int64_t)pick(20000000);
	bool durable, fits;

	if (pick(3) > 0) {
		assert_int_equal(admin_account_credit(&m.r.admin, &m.r.by, a->id, nusd, &durable),
				 ERRC_OK);
		a->granted += nusd;
		return;
	}
	fits = in_shadow(a) || nusd <= balance(a);
	assert_int_equal(admin_account_take(&m.r.admin, &m.r.by, a->id, nusd, &durable),
			 fits ? ERRC_OK : ERRC_STATE);
	if (fits)
		a->granted -= nusd;
}

/* Whoever owes stays in shadow, until it is granted, to the nano-dollar. */
static void change_shadow(struct model_account *a)
{
	bool durable, stays = in_shadow(a) && balance(a) < 0;

	shrink_note("account %d is%s in shadow", (int)(a - m.accounts), in_shadow(a) ? " not" : "");
	a->rules.flags ^= ROWS_SHADOW;
	assert_int_equal(admin_rules_set(&m.r.admin, &m.r.by, &a->rules, &durable),
			 stays ? ERRC_STATE : ERRC_OK);
	m.shadows++;
	if (!stays)
		return;
	m.stays++;
	a->rules.flags ^= ROWS_SHADOW;
	if (pick(2) == 0)
		return;
	assert_int_equal(admin_account_credit(&m.r.admin, &m.r.by, a->id, -balance(a), &durable),
			 ERRC_OK);
	a->granted -= balance(a);
	change_shadow(a);
}

static void do_edit(void)
{
	struct model_account *a = &m.accounts[pick(ACCOUNTS)];
	struct model_key *k = &a->keys[pick(KEYS)];
	bool durable;

	if (pick(4) == 0) {
		a->suspended = !a->suspended && pick(3) == 0;
		assert_int_equal(admin_account_set_status(
					 &m.r.admin, &m.r.by, a->id,
					 a->suspended ? ROWS_SUSPENDED : ROWS_ACTIVE, &durable),
				 ERRC_OK);
		return;
	}
	if (pick(4) == 0) {
		change_shadow(a);
		return;
	}
	if (k->revoked)
		return;
	rig_limit(&k->row, ROWS_CONCURRENCY, pick(2) ? ROWS_NO_LIMIT : (int64_t)pick(12));
	/* Once there is a budget it stays, larger or smaller: what is spent without one is not counted. */
	if (rows_limits_find(&k->row.limits, ROWS_BUDGET) || pick(2))
		rig_budget(&k->row, (int64_t)pick(60000000),
			   (struct window_spec){.unit = WINDOW_DAY});
	assert_int_equal(admin_key_update(&m.r.admin, &m.r.by, &k->row, &durable), ERRC_OK);
}

static void forget_holds(void)
{
	for (size_t i = 0; i < HOLDS; i++) {
		if (m.holds[i].used)
			end_hold(&m.holds[i], 0, 0);
	}
}

/* The keeper ends and starts again, sometimes without its live store: then holds that ran are gone, charges are not. */
static void do_restart(void)
{
	bool lose = pick(3) == 0;

	shrink_note("restart%s", lose ? ", and the live store is lost" : "");
	if (lose)
		rig_drain(&m.r);
	rig_close(&m.r);
	if (lose) {
		folder_remove("%s/live", m.r.dir);
		forget_holds();
		m.losses++;
	}
	rig_open(&m.r);
	assert_int_equal(m.r.started.outcome, lose ? STORE_REBUILT : STORE_ACCEPTED);
	if (!lose) {
		struct sweep_result sw;

		/* The holds of the instance before have no progress: they stay, its region goes back. */
		assert_int_equal(sweep_run(m.r.live, m.r.boot_ms, m.r.wall_ms, &sw), ERRC_OK);
		assert_int_equal(sw.settled, 0);
	}
	rig_join(&m.r);
	m.restarts++;
}

static void do_checkpoint(void)
{
	assert_int_equal(ledger_begin(m.r.ledger), ERRC_OK);
	assert_int_equal(ledger_checkpoint(m.r.ledger), ERRC_OK);
	assert_int_equal(ledger_commit(m.r.ledger), ERRC_OK);
}

static void check_accounts(void)
{
	for (int i = 0; i < ACCOUNTS; i++) {
		const struct model_account *want = &m.accounts[i];
		struct rows_account a;

		rig_get_account(&m.r, want->id, &a);
		assert_int_equal(a.granted_nusd, want->granted);
		assert_int_equal(a.settled_nusd, want->settled);
		assert_int_equal(a.held_nusd, want->held);
		assert_int_equal(a.balance_nusd, balance(want));
		assert_int_equal(a.uncollected_nusd, want->uncollected);
		assert_int_equal((a.flags & ROWS_ACCOUNT_SHADOW) != 0, in_shadow(want));
	}
}

static void check_all(bool last)
{
	struct verify_result v;
	struct scan s;

	rig_drain(&m.r);
	rig_check(&m.r, &s);
	for (int i = 0; i < ACCOUNTS; i++) {
		const struct rows_account *b =
			book_account(ledger_book(m.r.ledger), m.accounts[i].id);

		assert_int_equal(b->granted_nusd, m.accounts[i].granted);
		assert_int_equal(b->settled_nusd, m.accounts[i].settled);
		assert_int_equal(b->uncollected_nusd, m.accounts[i].uncollected);
		assert_int_equal((b->flags & ROWS_ACCOUNT_SHADOW) != 0, in_shadow(&m.accounts[i]));
	}
	/* Which takes the longer the more there is. */
	if (!last && ledger_state(m.r.ledger)->last_seq < m.verified + m.verified / 8)
		return;
	m.verified = ledger_state(m.r.ledger)->last_seq;
	assert_int_equal(verify_ledger(m.r.ledger, false, NULL, NULL, &v), ERRC_OK);
	assert_true(verify_is_good(&v));
}

static void step(struct text_rng *rng, unsigned long number)
{
	uint64_t what;

	m.rng = rng;
	what = pick(1000);
	m.r.wall_ms += (int64_t)(number - m.number) * STEP_MS;
	m.number = number;
	m.r.boot_ms += (int64_t)pick(50);
	m.r.by.wall_ms = m.r.wall_ms;
	m.r.by.boot_ms = m.r.boot_ms;
	if (what < 450)
		do_admit();
	else if (what < 850)
		do_settle();
	else if (what < 890)
		do_release();
	else if (what < 930)
		do_credit();
	else if (what < 950)
		do_edit();
	else if (what < 994)
		rig_drain(&m.r);
	else if (what < 997)
		do_checkpoint();
	else if (pick(10) == 0)
		do_restart();
	check_accounts();
	assert_true(today() < DAYS - 2);
}

static void end(void)
{
	rig_fini(&m.r);
}

static struct shrink run = {.begin = begin,
			    .step = step,
			    .check = check_all,
			    .end = end,
			    .seed = 20261125,
			    .steps = 100000,
			    .every = 1000};

static void test_against_model(void **state)
{
	(void)state;
	shrink_run(&run);
	printf("# %lu granted, %lu refused, %lu settled, %lu restarts, %lu losses, %lu counted "
	       "in shadow, which began or ended %lu times and not %lu times\n",
	       m.granted, m.refused, m.settled, m.restarts, m.losses, m.counted,
	       m.shadows - m.stays, m.stays);
	assert_true(run.n < 1000 || (m.granted > run.n / 20 && m.refused > run.n / 100));
}

static int teardown(void **state)
{
	(void)state;
	shrink_failed(&run);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(test_against_model, teardown)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
