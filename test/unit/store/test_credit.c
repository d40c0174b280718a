/* credit.c, and the two ends of a request: of an account that comes near the end of what can be counted, and by clocks that differ. */
#include "rig.h"

#include "credit.h"

#define KEY_A  "aaaaaaaaaaaa"
#define KEY_B  "bbbbbbbbbbbb"
#define MOST   MONEY_NUSD_MAX
#define SHADOW ROWS_ACCOUNT_SHADOW

static int setup(void **state)
{
	static struct rig r;

	rig_init(&r);
	rig_open(&r);
	rig_join(&r);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	return 0;
}

static void test_credit(void **state)
{
	static const struct {
		enum rows_mode mode;
		uint8_t flags;
		int64_t granted, held, settled, overdraft, limit, available;
		bool is_limited;
	} cases[] = {
		{ROWS_PREPAID, 0, 10, 4, 3, 0, 10, 3, true},
		{ROWS_PREPAID, 0, 10, 4, 9, 5, 15, 2, true},
		{ROWS_PREPAID, 0, 10, 4, 9, 0, 10, -3, true},
		{ROWS_PREPAID, 0, MOST, 1, 2, 9, MOST, MOST - 3, true},
		{ROWS_PREPAID, 0, 0, MOST, MOST, 0, 0, -MOST, true},
		{ROWS_POSTPAID, 0, 0, 0, 0, 0, MOST, MOST, false},
		{ROWS_POSTPAID, 0, 5, 0, MOST / 2, 3, MOST, MOST / 2, false},
		{ROWS_POSTPAID, 0, 5, 1, MOST / 2, 3, MOST, MOST / 2 - 1, true},
		{ROWS_POSTPAID, 0, -7, 1, 1, 0, MOST - 7, MOST - 9, false},
		{ROWS_POSTPAID, 0, -MOST, 0, 0, 0, 0, 0, true},
		{ROWS_PREPAID, SHADOW, 10, 4, 9, 5, MOST, MOST - 13, false},
		{ROWS_PREPAID, SHADOW, -MOST, 0, 0, 0, 0, 0, true},
		{ROWS_POSTPAID, SHADOW, 5, 1, MOST / 2, 3, MOST, MOST / 2 - 1, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rows_account a = {.mode = cases[i].mode,
					 .flags = cases[i].flags,
					 .granted_nusd = cases[i].granted,
					 .held_nusd = cases[i].held,
					 .settled_nusd = cases[i].settled,
					 .overdraft_nusd = cases[i].overdraft};

		assert_int_equal(credit_limit(&a), cases[i].limit);
		assert_int_equal(credit_available(&a), cases[i].available);
		assert_int_equal(credit_is_limited(&a), cases[i].is_limited);
	}
}

/* What is counted in shadow may be less than nothing. */
static void test_out_of_shadow(void **state)
{
	struct rows_account a = {.flags = SHADOW | ROWS_ACCOUNT_USERS,
				 .granted_nusd = 10,
				 .held_nusd = 4,
				 .settled_nusd = 9,
				 .overdraft_nusd = 1};
	struct rows_account own = credit_out_of_shadow(&a);

	(void)state;
	assert_int_equal(own.flags, ROWS_ACCOUNT_USERS);
	assert_int_equal(credit_limit(&own), 11);
	assert_int_equal(credit_available(&own), -2);
	assert_true(credit_has_floor(&own) && !credit_has_floor(&a));
	own.mode = ROWS_POSTPAID;
	assert_false(credit_has_floor(&own));
}

static void make_postpaid(struct rig *r, uint64_t account)
{
	struct rows_account a;
	struct buf mem;
	bool durable;

	buf_init(&mem, ROWS_MAX);
	assert_int_equal(admin_account_get(r->live, account, &mem, &a), ERRC_OK);
	a.mode = ROWS_POSTPAID;
	assert_int_equal(admin_account_update(&r->admin, &r->by, &a, &durable), ERRC_OK);
	buf_fini(&mem);
}

static bool hold_request(struct rig *r, uint64_t acc, const char *key, int64_t nusd,
			 struct genid *id, struct admit_op *op)
{
	struct price p;

	price_init(&p);
	p.request_nusd = nusd;
	assert_int_equal(price_complete(&p), ERRC_OK);
	return rig_hold(r, acc, key, &p, 0, id, op);
}

static void expect_refused_at_the_end(struct rig *r, uint64_t acc, const char *key, int64_t nusd,
				      enum admit_reason why, int64_t left)
{
	struct admit_op op;
	struct genid id;

	assert_false(hold_request(r, acc, key, nusd, &id, &op));
	assert_int_equal(op.rc, ERRC_OK);
	assert_int_equal(op.reason, why);
	assert_int_equal(op.refusal.scope, ROWS_ACCOUNT);
	assert_string_equal(op.refusal.what, "credit");
	assert_true(op.refusal.money);
	assert_int_equal(op.refusal.limit, MOST);
	assert_int_equal(op.refusal.remaining, left);
}

/* Credit beside what was charged before moves no end: what was charged is counted too. */
static void test_postpaid_up_to_the_end_of_what_counts(void **state)
{
	struct rig *r = *state;

	for (int granted = 0; granted < 2; granted++) {
		const char *key = granted ? KEY_B : KEY_A;
		uint64_t acc = rig_account(r, granted ? "rich" : "poor", granted * RIG_DOLLAR);
		int64_t most = MOST / 4 * 3, rest = MOST - most;
		struct rows_account a;
		struct admit_done done;
		struct admit_op op;
		struct genid id;
		struct rows_scope k;
		struct scan s;

		make_postpaid(r, acc);
		rig_key(r, acc, key, &k);
		assert_true(hold_request(r, acc, key, most, &id, &op));
		expect_refused_at_the_end(r, acc, key, most, ADMIT_CREDIT_HELD, rest);
		rig_settle(r, acc, &id, 0, 1, &done);
		assert_int_equal(done.charge_nusd, most);
		expect_refused_at_the_end(r, acc, key, rest + 1, ADMIT_CREDIT, rest);
		assert_true(hold_request(r, acc, key, rest, &id, &op));
		expect_refused_at_the_end(r, acc, key, 1, ADMIT_CREDIT_HELD, 0);
		rig_settle(r, acc, &id, 0, 1, &done);
		assert_int_equal(done.charge_nusd, rest);
		assert_int_equal(done.uncollected_nusd, 0);
		expect_refused_at_the_end(r, acc, key, 1, ADMIT_CREDIT, 0);
		rig_get_account(r, acc, &a);
		assert_int_equal(a.balance_nusd, granted * RIG_DOLLAR - MOST);
		rig_check(r, &s);
	}
}

/* The same for what the provider reports beyond the hold, of every mode: the hold ends, and what cannot be counted was not collected. */
static void test_cost_above_hold_at_the_end_of_what_counts(void **state)
{
	struct rig *r = *state;

	for (int postpaid = 0; postpaid < 2; postpaid++) {
		const char *key = postpaid ? KEY_B : KEY_A;
		uint64_t acc = rig_account(r, postpaid ? "post" : "pre", postpaid ? 0 : MOST);
		struct rows_account a;
		struct admit_done done;
		struct admit_op op;
		struct genid id;
		struct rows_scope k;
		struct scan s;

		if (postpaid)
			make_postpaid(r, acc);
		rig_key(r, acc, key, &k);
		assert_true(hold_request(r, acc, key, MOST - 300000, &id, &op));
		rig_settle(r, acc, &id, 0, 1, &done);
		assert_true(rig_hold(r, acc, key, &r->price, 100, &id, &op));
		rig_settle(r, acc, &id, 100, 300, &done);
		assert_int_equal(done.charge_nusd, 300000);
		assert_int_equal(done.uncollected_nusd, 400000);
		rig_get_account(r, acc, &a);
		assert_int_equal(a.settled_nusd, MOST);
		assert_int_equal(a.uncollected_nusd, 400000);
		rig_check(r, &s);
	}
}

static void test_more_accounts_than_a_number_holds(void **state)
{
	static const char *const names[] = {"a", "b", "c"};
	struct rig *r = *state;
	struct scan s = {.done = false};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)rig_account(r, names[i], MOST);
	while (!s.done)
		assert_int_equal(scan_slice(r->live, &s, 64), ERRC_OK);
	assert_int_equal(s.balance_nusd, INT64_MAX);
	assert_int_equal(scan_off(&s), 0);
}

/* Workers read the clock once a turn: one may admit with a reading before that of the one who opened the bucket. */
static void test_rates_of_a_clock_behind(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct admit_done done;
	struct genid ids[3];
	struct auth_usage u;
	struct admit_op op;
	struct rows_scope k;

	rig_key(r, acc, KEY_A, &k);
	rig_limit(&k, ROWS_RPM, 100);
	rig_limit(&k, ROWS_TPM, 100000);
	rig_put(r, &k);
	for (int64_t minute = 0; minute < 2; minute++) {
		for (size_t i = 0; i < 3; i++) {
			assert_true(rig_hold(r, acc, KEY_A, &r->price, 10, &ids[i], &op));
			r->boot_ms -= i == 0 ? 5 : 0;
		}
		rig_settle(r, acc, &ids[0], 100, 10, &done);
		rig_settle(r, acc, &ids[1], 100, 10, &done);
		rig_release(r, acc, &ids[2]);
		r->boot_ms += 30004;
		rig_usage(r, acc, KEY_A, &u);
		/* Half of the minute before counts. */
		assert_int_equal(rig_rule(&u, ROWS_RPM).used, 2 + minute);
		assert_int_equal(rig_rule(&u, ROWS_TPM).used, 220 + 110 * minute);
		r->boot_ms += 30001;
		(void)rig_drain(r);
	}
	rig_check_books(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_credit),
		cmocka_unit_test(test_out_of_shadow),
		cmocka_unit_test_setup_teardown(test_postpaid_up_to_the_end_of_what_counts, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_cost_above_hold_at_the_end_of_what_counts,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_rates_of_a_clock_behind, setup, teardown),
		cmocka_unit_test_setup_teardown(test_more_accounts_than_a_number_holds, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
