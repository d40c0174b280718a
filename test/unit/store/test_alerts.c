#include "rig.h"

#include <stdio.h>

#include "alerts.h"
#include "ledger_priv.h"

#define KEY     "aaaaaaaaaaaa"
#define CENT    (RIG_DOLLAR / 100)
#define MONTH_S (31 * 86400)

static int64_t wall_s;

int64_t __wrap_clock_wall_s(void);

int64_t __wrap_clock_wall_s(void)
{
	return wall_s;
}

struct scene {
	struct rig rig;
	struct alerts alerts;
	uint64_t account, charges;
	uint32_t rule;
	struct rows_scope key;
};

static int setup(void **state)
{
	static const struct shares some = {3, {500000, 800000, 1000000}}, most = {1, {900000}};
	static struct scene s;
	bool durable;

	s = (struct scene){.charges = 0};
	wall_s = 1000;
	rig_init(&s.rig);
	rig_open(&s.rig);
	s.account = rig_account(&s.rig, "acme", 10 * RIG_DOLLAR);
	rig_key(&s.rig, s.account, KEY, &s.key);
	rows_limits_add(&s.key.limits, ROWS_BUDGET, RIG_DOLLAR)->window.unit = WINDOW_MONTH;
	s.rule = s.key.limits.v[0].id;
	assert_int_equal(admin_key_update(&s.rig.admin, &s.rig.by, &s.key, &durable), ERRC_OK);
	alerts_init(&s.alerts);
	alerts_set(&s.alerts, &some, &most);
	ledger_watch(s.rig.ledger, &s.alerts);
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	rig_fini(&s->rig);
	alerts_fini(&s->alerts);
	return 0;
}

/* A charge in a window of the key's budget. */
static void charge(struct scene *s, int64_t nusd, int64_t window)
{
	struct record r = {.type = RECORD_CHARGE, .account = s->account, .wall_ms = 1000};
	uint64_t seq;

	memcpy(r.charge.key_id, KEY, APIKEY_ID);
	s->charges++;
	memcpy(r.charge.id.b, &s->charges, sizeof s->charges);
	r.charge.charge_nusd = nusd;
	r.charge.budgets.n = 1;
	r.charge.budgets.v[0] =
		(struct record_budget){.scope = ROWS_KEY, .rule = s->rule, .window = window};
	usage_init(&r.charge.usage);
	assert_int_equal(ledger_begin(s->rig.ledger), ERRC_OK);
	assert_int_equal(ledger_append(s->rig.ledger, &r, &seq), ERRC_OK);
	assert_int_equal(ledger_commit(s->rig.ledger), ERRC_OK);
}

static void checkpoint(struct scene *s)
{
	assert_int_equal(ledger_begin(s->rig.ledger), ERRC_OK);
	assert_int_equal(ledger_checkpoint(s->rig.ledger), ERRC_OK);
	assert_int_equal(ledger_commit(s->rig.ledger), ERRC_OK);
}

static void reopen(struct scene *s)
{
	rig_close(&s->rig);
	rig_open(&s->rig);
	ledger_watch(s->rig.ledger, &s->alerts);
}

/* Exactly one alert is ready, of this share. */
static struct alert one(struct scene *s, int64_t share_ppm)
{
	struct alert a, more;

	checkpoint(s);
	assert_true(alerts_next(&s->alerts, &a));
	assert_int_equal(a.share_ppm, share_ppm);
	assert_false(alerts_next(&s->alerts, &more));
	return a;
}

static void none(struct scene *s)
{
	struct alert a;

	checkpoint(s);
	assert_false(alerts_next(&s->alerts, &a));
}

/* Who pays later has no credit of which there could be little. */
static void test_no_credit_no_alert(void **state)
{
	static const struct shares no = {.n = 0}, most = {1, {900000}};
	struct scene *s = *state;
	struct rows_account a;
	struct buf mem;
	bool durable;

	alerts_set(&s->alerts, &no, &most);
	none(s);
	buf_init(&mem, ROWS_MAX);
	for (int prepaid = 0; prepaid < 2; prepaid++) {
		assert_int_equal(admin_account_get(s->rig.live, s->account, &mem, &a), ERRC_OK);
		a.mode = prepaid ? ROWS_PREPAID : ROWS_POSTPAID;
		assert_int_equal(admin_account_update(&s->rig.admin, &s->rig.by, &a, &durable),
				 ERRC_OK);
		if (prepaid) {
			assert_true(one(s, 900000).is_credit);
			break;
		}
		charge(s, 950 * CENT, 100);
		none(s);
	}
	buf_fini(&mem);
}

/* A charge of before the last grant is taken back, and then some of the credit is: the whole is what is left at least. */
static void test_credit_that_came_back(void **state)
{
	static const struct shares no = {.n = 0}, most = {1, {900000}};
	struct scene *s = *state;
	struct record back = {.type = RECORD_REVERSE, .account = s->account, .wall_ms = 1000};
	struct alert a;
	uint64_t seq;
	bool durable;

	alerts_set(&s->alerts, &no, &most);
	charge(s, 400 * CENT, 100);
	none(s);
	assert_int_equal(admin_account_credit(&s->rig.admin, &s->rig.by, s->account,
					      10 * RIG_DOLLAR, &durable),
			 ERRC_OK);
	none(s);
	memcpy(back.change.key_id, KEY, APIKEY_ID);
	memcpy(back.change.id.b, &s->charges, sizeof s->charges);
	back.change.amount_nusd = 400 * CENT;
	assert_int_equal(ledger_begin(s->rig.ledger), ERRC_OK);
	assert_int_equal(ledger_append(s->rig.ledger, &back, &seq), ERRC_OK);
	assert_int_equal(ledger_commit(s->rig.ledger), ERRC_OK);
	assert_int_equal(
		admin_account_take(&s->rig.admin, &s->rig.by, s->account, RIG_DOLLAR, &durable),
		ERRC_OK);
	none(s);
	charge(s, 1710 * CENT, 100); /* 90 % of 19 dollars */
	a = one(s, 900000);
	assert_int_equal(a.limit_nusd, 19 * RIG_DOLLAR);
	assert_int_equal(a.used_nusd, 1710 * CENT);
}

/* Two windows between two looks: the first one's share is told though the second has little, and once, though a charge of
 * nothing has opened that. */
static void test_a_window_that_has_just_ended(void **state)
{
	struct scene *s = *state;

	charge(s, 1 * CENT, 100);
	none(s);
	charge(s, 60 * CENT, 100);
	charge(s, 1 * CENT, 200);
	assert_int_equal(one(s, 500000).window, 100);
	charge(s, 60 * CENT, 200);
	assert_int_equal(one(s, 500000).window, 200);
	charge(s, 0, 300);
	none(s);
	none(s);
	charge(s, 1 * CENT, 200);
	none(s);
}

static void test_each_share_once_a_window(void **state)
{
	struct scene *s = *state;
	struct alert a;

	charge(s, 49 * CENT, 100);
	none(s);
	charge(s, 1 * CENT, 100);
	a = one(s, 500000);
	assert_string_equal(a.account, "acme");
	assert_string_equal(a.name, KEY);
	assert_int_equal(a.scope, ROWS_KEY);
	assert_int_equal(a.used_nusd, 50 * CENT);
	assert_int_equal(a.limit_nusd, RIG_DOLLAR);
	assert_int_equal(a.window, 100);
	charge(s, 10 * CENT, 100);
	none(s);
	reopen(s);
	charge(s, 10 * CENT, 100);
	none(s);
	charge(s, 15 * CENT, 100);
	one(s, 800000);
	none(s);
	/* The next window, both shares at once; and of the one before no more. */
	charge(s, 85 * CENT, 200);
	charge(s, 20 * CENT, 100);
	checkpoint(s);
	assert_true(alerts_next(&s->alerts, &a));
	assert_int_equal(a.window, 100);
	assert_int_equal(a.share_ppm, 1000000);
	assert_int_equal(a.reset_s, 200); /* when the next one began */
	for (int64_t ppm = 500000; ppm <= 800000; ppm += 300000) {
		assert_true(alerts_next(&s->alerts, &a));
		assert_int_equal(a.window, 200);
		assert_int_equal(a.share_ppm, ppm);
	}
	assert_false(alerts_next(&s->alerts, &a));
	charge(s, 5 * CENT, 100);
	none(s);
	reopen(s);
	none(s);
	/* A window of which nothing is told yet keeps the one before told. */
	charge(s, 10 * CENT, 300);
	none(s);
	charge(s, 10 * CENT, 300);
	none(s);
}

/* A checkpoint that failed has told nothing; the next one tells. Nor does a restart before it lose anything. */
static void test_failed_and_lost_checkpoints(void **state)
{
	struct scene *s = *state;
	struct alert a;

	charge(s, 60 * CENT, 100);
	assert_int_equal(ledger_begin(s->rig.ledger), ERRC_OK);
	assert_int_equal(ledger_checkpoint(s->rig.ledger), ERRC_OK);
	ledger_abort(s->rig.ledger);
	assert_false(alerts_next(&s->alerts, &a));
	reopen(s);
	one(s, 500000);
}

static void set_limit(struct scene *s, int64_t nusd)
{
	bool durable;

	s->key.limits.v[0].limit = nusd;
	assert_int_equal(admin_key_update(&s->rig.admin, &s->rig.by, &s->key, &durable), ERRC_OK);
}

static void test_edited_limit(void **state)
{
	struct scene *s = *state;

	charge(s, 85 * CENT, 100);
	checkpoint(s);
	alerts_tell(&s->alerts);
	/* Of four dollars nothing has been reached; later half of it is. */
	set_limit(s, 4 * RIG_DOLLAR);
	none(s);
	charge(s, 120 * CENT, 100);
	one(s, 500000);
	/* Lowered: more of it is used. */
	set_limit(s, 2 * RIG_DOLLAR);
	checkpoint(s);
	alerts_tell(&s->alerts);
	none(s);
	/* No shares, no alerts. */
	alerts_set(&s->alerts, &(struct shares){0}, &(struct shares){0});
	charge(s, 9 * RIG_DOLLAR, 300);
	none(s);
}

/* Two changes between two looks: what was reached before each of them is told, once, of the limit that it was reached of. */
static void test_an_edit_before_the_look(void **state)
{
	static const int64_t shares[] = {500000, 800000, 1000000};
	struct scene *s = *state;
	struct alert a;

	charge(s, 1 * RIG_DOLLAR, 100);
	set_limit(s, 4 * RIG_DOLLAR);
	charge(s, 1 * RIG_DOLLAR, 100);
	set_limit(s, 8 * RIG_DOLLAR);
	/* A checkpoint that fails forgets nothing. */
	assert_int_equal(ledger_begin(s->rig.ledger), ERRC_OK);
	assert_int_equal(ledger_checkpoint(s->rig.ledger), ERRC_OK);
	ledger_abort(s->rig.ledger);
	checkpoint(s);
	for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
		assert_true(alerts_next(&s->alerts, &a));
		assert_int_equal(a.share_ppm, shares[i]);
		assert_int_equal(a.limit_nusd, RIG_DOLLAR);
		assert_int_equal(a.used_nusd, RIG_DOLLAR);
	}
	assert_true(alerts_next(&s->alerts, &a));
	assert_int_equal(a.share_ppm, 500000);
	assert_int_equal(a.limit_nusd, 4 * RIG_DOLLAR);
	assert_false(alerts_next(&s->alerts, &a));
	none(s);
	charge(s, 2 * RIG_DOLLAR, 100);
	assert_int_equal(one(s, 500000).limit_nusd, 8 * RIG_DOLLAR);
}

static void test_a_grant_before_the_look(void **state)
{
	struct scene *s = *state;
	struct alert a;
	bool durable;

	alerts_set(&s->alerts, &(struct shares){0}, &(struct shares){2, {500000, 1000000}});
	charge(s, 10 * RIG_DOLLAR, 100);
	for (int i = 0; i < 2; i++)
		assert_int_equal(admin_account_credit(&s->rig.admin, &s->rig.by, s->account,
						      5 * RIG_DOLLAR, &durable),
				 ERRC_OK);
	checkpoint(s);
	for (int64_t ppm = 500000; ppm <= 1000000; ppm += 500000) {
		assert_true(alerts_next(&s->alerts, &a));
		assert_int_equal(a.share_ppm, ppm);
		assert_int_equal(a.limit_nusd, 10 * RIG_DOLLAR);
	}
	/* The whole is what was given: nothing of it is used. */
	assert_false(alerts_next(&s->alerts, &a));
	charge(s, 499 * CENT, 100);
	none(s);
	charge(s, 1 * CENT, 100);
	assert_int_equal(one(s, 500000).limit_nusd, 10 * RIG_DOLLAR);
}

/* What an edited limit makes of a window that is over is no news: only what is charged to it since is. */
static void test_an_edit_is_not_told_of_what_is_over(void **state)
{
	struct scene *s = *state;

	charge(s, 40 * CENT, 100);
	none(s);
	charge(s, 1 * CENT, 200);
	none(s);
	set_limit(s, 60 * CENT); /* two thirds of it were used in the one before */
	none(s);
	charge(s, 1 * CENT, 200);
	none(s);
	charge(s, 10 * CENT, 100);
	assert_int_equal(one(s, 800000).window, 100);
	charge(s, 30 * CENT, 200);
	assert_int_equal(one(s, 500000).window, 200);
	/* Nothing has opened another one yet, but the month has ended. */
	wall_s = MONTH_S;
	set_limit(s, 10 * CENT);
	none(s);
	charge(s, 6 * CENT, MONTH_S);
	assert_int_equal(one(s, 500000).window, MONTH_S);
}

/* A window that is over when it is looked at has the limit that was raised for it, and ended when it ended. */
static void test_raise_of_a_window_that_is_over(void **state)
{
	struct scene *s = *state;
	struct alert a;
	bool durable;

	s->key.limits.v[0].raise = 2 * RIG_DOLLAR;
	s->key.limits.v[0].raise_until_s = 150;
	s->key.limits.v[0].raise_by_window = true;
	s->key.limits.v[0].window.rolling = true;
	assert_int_equal(admin_key_update(&s->rig.admin, &s->rig.by, &s->key, &durable), ERRC_OK);
	charge(s, 120 * CENT, 100);
	none(s);
	charge(s, 40 * CENT, 100);
	a = one(s, 500000);
	assert_int_equal(a.limit_nusd, 3 * RIG_DOLLAR);
	assert_int_equal(a.reset_s, 100 + 30 * 86400);
	charge(s, 60 * CENT, 200);
	a = one(s, 500000);
	assert_int_equal(a.limit_nusd, RIG_DOLLAR);
	assert_int_equal(a.window, 200);
}

/* A scope of which nothing is told is passed over until what it uses, its definition or the shares change that. */
static void test_what_was_far_comes_near(void **state)
{
	static const struct shares fifth = {1, {200000}};
	struct scene *s = *state;

	charge(s, 10 * CENT, 100);
	none(s);
	charge(s, 1 * CENT, 100);
	none(s);
	/* Another rule, of which nothing is counted. */
	rows_limits_add(&s->key.limits, ROWS_BUDGET, 20 * CENT)->window.unit = WINDOW_TOTAL;
	set_limit(s, RIG_DOLLAR);
	charge(s, 1 * CENT, 100);
	none(s);
	set_limit(s, 24 * CENT);
	one(s, 500000);
	none(s);
	set_limit(s, RIG_DOLLAR);
	none(s);
	charge(s, 8 * CENT, 100);
	none(s);
	alerts_set(&s->alerts, &fifth, &(struct shares){0});
	charge(s, 0, 100);
	one(s, 200000);
	/* The window before it as well as the one that runs. */
	charge(s, 1 * CENT, 200);
	none(s);
	charge(s, 1 * CENT, 200);
	none(s);
	charge(s, 70 * CENT, 100);
	none(s);
	set_limit(s, 5 * CENT);
	one(s, 200000);
}

/* A rule of which nothing was counted before keeps the others from nothing, and is told of when it is used. */
static void test_first_use_of_a_rule(void **state)
{
	struct scene *s = *state;
	const struct ledger *l = s->rig.ledger;
	struct rows_rule *small;
	struct alert a;
	uint32_t id;

	small = rows_limits_add(&s->key.limits, ROWS_BUDGET, 20 * CENT);
	small->window.unit = WINDOW_TOTAL;
	id = small->id;
	set_limit(s, RIG_DOLLAR);
	charge(s, 1 * CENT, 100);
	none(s);
	assert_int_equal(book_scope(ledger_book(l), ROWS_KEY, s->account, KEY)->untold_nusd,
			 20 * CENT);
	s->rule = id;
	charge(s, 9 * CENT, 0);
	none(s);
	charge(s, 1 * CENT, 0);
	a = one(s, 500000);
	assert_int_equal(a.rule, id);
	assert_int_equal(a.limit_nusd, 20 * CENT);
	assert_int_equal(book_scope(ledger_book(l), ROWS_KEY, s->account, KEY)->untold_nusd, 0);
}

/* Of an end user whom only the rules for all limit the ledger's book keeps no name: the recent charges have it. */
static void test_end_users(void **state)
{
	struct record r = {.type = RECORD_CHARGE, .wall_ms = 1000};
	struct scene *s = *state;
	struct rows_rule *rule;
	struct rows_scope every = {
		.kind = ROWS_USER, .account = s->account, .name = SLICE_LIT(ROWS_EVERY_USER)};
	struct alert a;
	uint64_t seq;
	bool durable;

	rows_limits_init(&every.limits);
	rule = rows_limits_add(&every.limits, ROWS_BUDGET, RIG_DOLLAR);
	rule->window.unit = WINDOW_TOTAL;
	rule->models = SLICE_LIT("gpt-*");
	assert_int_equal(admin_user_set(&s->rig.admin, &s->rig.by, &every, &durable), ERRC_OK);
	r.account = s->account;
	memcpy(r.charge.key_id, KEY, APIKEY_ID);
	r.charge.user = SLICE_LIT("bob");
	r.charge.charge_nusd = 60 * CENT;
	r.charge.budgets.n = 1;
	r.charge.budgets.v[0] = (struct record_budget){.scope = ROWS_USER, .rule = rule->id};
	usage_init(&r.charge.usage);
	assert_int_equal(ledger_begin(s->rig.ledger), ERRC_OK);
	assert_int_equal(ledger_append(s->rig.ledger, &r, &seq), ERRC_OK);
	assert_int_equal(ledger_commit(s->rig.ledger), ERRC_OK);
	a = one(s, 500000);
	assert_string_equal(a.name, "bob");
	assert_string_equal(a.models, "gpt-*");
	assert_string_equal(a.what, "budget in total");
	assert_int_equal(a.scope, ROWS_USER);
}

/* Credit of a key has the shares of credit, of what was granted: the overdraft is beside it. A grant tells anew what is reached again. */
static void test_credit_of_a_key(void **state)
{
	struct scene *s = *state;
	struct rows_rule *r = &s->key.limits.v[0];
	struct alert a;

	r->window.unit = WINDOW_TOTAL;
	r->credit = true;
	r->raise = RIG_DOLLAR;
	set_limit(s, RIG_DOLLAR);
	alerts_set(&s->alerts, &(struct shares){0}, &(struct shares){1, {900000}});
	charge(s, 89 * CENT, 0);
	none(s);
	charge(s, 1 * CENT, 0);
	a = one(s, 900000);
	assert_true(a.is_credit && a.rule == r->id && a.scope == ROWS_KEY);
	assert_string_equal(a.name, KEY);
	assert_int_equal(a.used_nusd, 90 * CENT);
	assert_int_equal(a.limit_nusd, RIG_DOLLAR);
	reopen(s);
	charge(s, 10 * CENT, 0);
	none(s);
	set_limit(s, 2 * RIG_DOLLAR);
	none(s);
	charge(s, 80 * CENT, 0);
	a = one(s, 900000);
	assert_int_equal(a.limit_nusd, 2 * RIG_DOLLAR);
	none(s);
	/* The shares of budgets are not for it. */
	alerts_set(&s->alerts, &(struct shares){1, {1000000}}, &(struct shares){0});
	charge(s, 20 * CENT, 0);
	none(s);
}

/* What was used of a budget goes on in the credit that it becomes, but for the windows that were over: those are not told of as credit. */
static void test_credit_that_was_a_budget(void **state)
{
	struct scene *s = *state;
	struct rows_rule *r = &s->key.limits.v[0];

	charge(s, 45 * CENT, 100);
	charge(s, 1 * CENT, 200);
	none(s);
	r->window.unit = WINDOW_TOTAL;
	r->credit = true;
	set_limit(s, 50 * CENT);
	none(s);
	charge(s, 44 * CENT, 200);
	assert_int_equal(one(s, 900000).used_nusd, 45 * CENT);
	none(s);
}

static void test_credit(void **state)
{
	struct scene *s = *state;
	struct alert a;
	bool durable;

	alerts_set(&s->alerts, &(struct shares){0}, &(struct shares){1, {900000}});
	charge(s, 8 * RIG_DOLLAR, 100);
	none(s);
	charge(s, 1 * RIG_DOLLAR, 100);
	a = one(s, 900000);
	assert_true(a.is_credit);
	assert_string_equal(a.account, "acme");
	assert_int_equal(a.used_nusd, 9 * RIG_DOLLAR);
	assert_int_equal(a.limit_nusd, 10 * RIG_DOLLAR);
	reopen(s);
	charge(s, 50 * CENT, 100);
	none(s);
	/* A grant begins anew: of 20.50 dollars, not of 30. */
	assert_int_equal(admin_account_credit(&s->rig.admin, &s->rig.by, s->account,
					      20 * RIG_DOLLAR, &durable),
			 ERRC_OK);
	none(s);
	charge(s, 18 * RIG_DOLLAR, 100);
	none(s);
	charge(s, 50 * CENT, 100);
	a = one(s, 900000);
	assert_int_equal(a.limit_nusd, 2050 * CENT);
	/* What is taken away was not used. */
	assert_int_equal(admin_account_credit(&s->rig.admin, &s->rig.by, s->account,
					      18 * RIG_DOLLAR, &durable),
			 ERRC_OK);
	none(s);
	assert_int_equal(admin_account_take(&s->rig.admin, &s->rig.by, s->account, 19 * RIG_DOLLAR,
					    &durable),
			 ERRC_OK);
	none(s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Rows of what has been told. */
static size_t told_n(struct scene *s)
{
	struct ledger *l = s->rig.ledger;
	MDB_stat st;
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn), 0);
	assert_int_equal(mdb_stat(txn, l->alerts, &st), 0);
	mdb_txn_abort(txn);
	return st.ms_entries;
}

#define WINDOWS   1000
#define A_WINDOW  3 /* end users who come, use their budget and are not seen again */
#define TOLD_MOST 64

static void charge_user(struct scene *s, const char *tag, uint32_t rule, int64_t day)
{
	struct record r = {.type = RECORD_CHARGE, .account = s->account, .wall_ms = day * 86400000};
	uint64_t seq;

	memcpy(r.charge.key_id, KEY, APIKEY_ID);
	s->charges++;
	memcpy(r.charge.id.b, &s->charges, sizeof s->charges);
	r.charge.admitted_ms = r.wall_ms;
	r.charge.user = slice_str(tag);
	r.charge.charge_nusd = CENT;
	r.charge.budgets.n = 1;
	r.charge.budgets.v[0] =
		(struct record_budget){.scope = ROWS_USER, .rule = rule, .window = day * 86400};
	usage_init(&r.charge.usage);
	assert_int_equal(ledger_begin(s->rig.ledger), ERRC_OK);
	assert_int_equal(ledger_append(s->rig.ledger, &r, &seq), ERRC_OK);
	assert_int_equal(ledger_commit(s->rig.ledger), ERRC_OK);
}

static size_t take_all(struct scene *s)
{
	struct alert a;
	size_t n = 0;

	checkpoint(s);
	while (alerts_next(&s->alerts, &a))
		n += !a.is_credit;
	return n;
}

/* Windows that are over, of users who are gone. */
static void test_what_is_told_is_forgotten(void **state)
{
	struct scene *s = *state;
	struct rows_scope every;
	char tag[32];
	size_t alerts = 0, most = 0;

	rig_scope(&every, s->account, ROWS_USER, ROWS_EVERY_USER);
	rows_limits_add(&every.limits, ROWS_BUDGET, CENT)->window.unit = WINDOW_DAY;
	rig_put(&s->rig, &every);
	for (int w = 0; w < WINDOWS; w++) {
		for (int i = 0; i < A_WINDOW; i++) {
			snprintf(tag, sizeof tag, "user-%d-%d", w, i);
			charge_user(s, tag, every.limits.v[0].id, 20000 + w);
		}
		alerts += take_all(s);
		most = MAX_OF(most, told_n(s));
	}
	assert_int_equal(alerts, 3 * WINDOWS * A_WINDOW); /* each share of each, once */
	print_message("# at most %zu rows\n", most);
	assert_in_range(most, 1, TOLD_MOST);
}

/* A rule that is removed takes what was told of it with it. */
static void test_removed_rules(void **state)
{
	struct scene *s = *state;
	size_t most = 0;
	bool durable;

	for (int i = 0; i < 200; i++) {
		charge(s, 60 * CENT, 100);
		assert_int_equal(take_all(s), 1);
		most = MAX_OF(most, told_n(s));
		rows_limits_remove(&s->key.limits, s->rule);
		s->rule = rows_limits_add(&s->key.limits, ROWS_BUDGET, RIG_DOLLAR)->id;
		s->key.limits.v[0].window.unit = WINDOW_MONTH;
		assert_int_equal(admin_key_update(&s->rig.admin, &s->rig.by, &s->key, &durable),
				 ERRC_OK);
	}
	assert_in_range(most, 1, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_credit_that_came_back),
		T(test_no_credit_no_alert),
		T(test_a_window_that_has_just_ended),
		T(test_each_share_once_a_window),
		T(test_failed_and_lost_checkpoints),
		T(test_edited_limit),
		T(test_an_edit_before_the_look),
		T(test_a_grant_before_the_look),
		T(test_an_edit_is_not_told_of_what_is_over),
		T(test_raise_of_a_window_that_is_over),
		T(test_what_was_far_comes_near),
		T(test_first_use_of_a_rule),
		T(test_end_users),
		T(test_credit_of_a_key),
		T(test_credit_that_was_a_budget),
		T(test_credit),
		T(test_what_is_told_is_forgotten),
		T(test_removed_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
