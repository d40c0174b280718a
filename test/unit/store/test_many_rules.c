/* As many rules as there may be, in all four scopes of a request at once. */
#include "family.h"

#include "folder.h"
#include "ledger.h"
#include "verify.h"

#define CHARGE 90000 /* 50 tokens in, 20 out */
#define HELD   300000

static const enum window_unit units[] = {WINDOW_TOTAL, WINDOW_YEAR, WINDOW_QUARTER, WINDOW_MONTH};

/* Budgets alone, for they are what a record lists, each ten dollars more than the one before; the last is the least. */
static void fill(struct rows_scope *s)
{
	for (size_t i = 0; i < ROWS_RULES_MAX; i++) {
		struct rows_rule *r = rows_limits_add(&s->limits, ROWS_BUDGET,
						      (int64_t)(10 * (i + 1)) * RIG_DOLLAR);

		assert_non_null(r);
		r->window.unit = units[i % ARRAY_LEN(units)];
		if (i % 2)
			r->models = SLICE_LIT("*");
	}
	s->limits.v[ROWS_RULES_MAX - 1].limit = RIG_DOLLAR;
	assert_null(rows_limits_add(&s->limits, ROWS_BUDGET, 1));
}

static void fill_all(void)
{
	for (size_t i = 0; i < FAMILY_N; i++)
		fill(&family.of[i]);
	family_put();
}

/* Each budget of each scope says the same. */
static void expect(int64_t used, int64_t held)
{
	struct rows_rule_now now;
	struct rows_state s;

	for (size_t i = 0; i < FAMILY_N; i++) {
		family_state(i, &s);
		for (size_t k = 0; k < ROWS_RULES_MAX; k++) {
			const struct rows_rule *r = &family.of[i].limits.v[k];

			rows_rule_look(r, rows_state_counter(&s, r), s.holds, family.r->boot_ms,
				       family.r->wall_ms, &now);
			assert_int_equal(now.used, used);
			assert_int_equal(now.held, held);
		}
	}
}

static void settle(const struct genid *id, struct admit_done *done)
{
	rig_settle(family.r, family.account, id, 50, 20, done);
	assert_true(done->settled);
	assert_int_equal(done->charge_nusd, CHARGE);
}

static void lose_live_store(void)
{
	rig_close(family.r);
	folder_remove("%s/live", family.r->dir);
	rig_open(family.r);
	assert_int_equal(family.r->started.outcome, STORE_REBUILT);
	rig_join(family.r);
}

static void expect_record(uint64_t seq)
{
	struct record r;
	struct buf b;

	buf_init(&b, RECORD_MAX);
	assert_int_equal(ledger_get(family.r->ledger, seq, &b), ERRC_OK);
	assert_int_equal(record_decode(buf_slice(&b), &r), ERRC_OK);
	assert_int_equal(r.type, RECORD_CHARGE);
	assert_int_equal(r.charge.budgets.n, RECORD_BUDGETS_MAX);
	for (size_t i = 0; i < RECORD_BUDGETS_MAX; i++)
		assert_int_equal(r.charge.budgets.v[i].rule,
				 family.of[i / ROWS_RULES_MAX].limits.v[i % ROWS_RULES_MAX].id);
	buf_fini(&b);
}

/* Held, released, settled and taken back in every one; the record lists them all, and from the records they come back. */
static void test_one_request_in_all(void **state)
{
	struct admit_done done;
	struct genid id;

	(void)state;
	fill_all();
	family_hold(100, &id);
	expect(0, HELD);
	rig_release(family.r, family.account, &id);
	expect(0, 0);
	family_hold(100, &id);
	settle(&id, &done);
	expect(CHARGE, 0);
	rig_reverse(family.r, family.account, &id, done.outbox_n);
	expect(0, 0);
	family_hold(100, &id);
	settle(&id, &done);
	rig_check_books(family.r);
	expect_record(ledger_state(family.r->ledger)->last_seq);
	lose_live_store();
	expect(CHARGE, 0);
	rig_check_books(family.r);
}

/* The last rule of a scope counts like the first: it refuses, is named, and keeps its use when it is changed. */
static void test_the_last_one(void **state)
{
	struct admit_refusal why;
	struct admit_done done;
	struct genid id;

	(void)state;
	fill_all();
	for (size_t i = 0; i < FAMILY_N; i++) {
		struct rows_rule *last = &family.of[i].limits.v[ROWS_RULES_MAX - 1];

		family_hold(100, &id);
		settle(&id, &done);
		last->limit = family_look(i, ROWS_RULES_MAX - 1).used;
		family_put();
		family_refuse(100, ADMIT_BUDGET, i, &why);
		assert_int_equal(why.limit, last->limit);
		assert_string_equal(why.what, "budget per month");
		assert_string_equal(why.models, "*");
		last->limit = RIG_DOLLAR;
		family_put();
	}
	rig_check_books(family.r);
}

/* Which of them are about a request is known of each one: those of another model take no part, wherever they stand. */
static void test_some_of_them(void **state)
{
	struct admit_done done;
	struct genid id;

	(void)state;
	for (size_t i = 0; i < FAMILY_N; i++) {
		fill(&family.of[i]);
		for (size_t k = 0; k < ROWS_RULES_MAX; k++)
			family.of[i].limits.v[k].models = (k * 7 + i) % 3 ? SLICE_LIT("another")
									  : SLICE_NONE;
	}
	family_put();
	family_hold(100, &id);
	settle(&id, &done);
	family_hold(100, &id);
	for (size_t i = 0; i < FAMILY_N; i++) {
		for (size_t k = 0; k < ROWS_RULES_MAX; k++) {
			struct rows_rule_now now = family_look(i, k);

			assert_int_equal(now.used, (k * 7 + i) % 3 ? 0 : CHARGE);
			assert_int_equal(now.held, (k * 7 + i) % 3 ? 0 : HELD);
		}
	}
	rig_check_books(family.r);
}

/* One more cannot be stored by any way. */
static void test_one_too_many(void **state)
{
	struct rows_limits *l = &family.of[1].limits;
	struct buf b;
	bool durable;

	(void)state;
	fill_all();
	l->n++; /* as nobody can with rows_limits_add() */
	assert_false(rows_limits_are_valid(l));
	assert_int_equal(rig_try_put(family.r, &family.of[1], &durable), ERRC_INVAL);
	buf_init(&b, ROWS_MAX);
	assert_int_equal(rows_put_scope(&b, &family.of[1]), ERRC_LIMIT);
	buf_fini(&b);
	l->n--;
	family_put();
}

/* An end user that had the rules for all, as many as there may be, and then as many of its own: what is used of both is kept. */
static void test_own_beside_those_for_all(void **state)
{
	struct rows_scope every;
	struct admit_done done;
	struct rows_state s;
	struct genid first, id;

	(void)state;
	rig_scope(&every, family.account, ROWS_USER, ROWS_EVERY_USER);
	fill(&every);
	rig_put(family.r, &every);
	family.user = SLICE_LIT("bob");
	family_hold(100, &first);
	rig_scope(&family.of[3], family.account, ROWS_USER, "bob");
	fill(&family.of[3]);
	rig_put(family.r, &family.of[3]);
	assert_int_equal(family.of[3].limits.v[0].id, ROWS_RULES_MAX + 1);
	family_hold(100, &id);
	settle(&id, &done);
	family_state(3, &s);
	assert_int_equal(s.n, ROWS_COUNTERS_MAX);
	for (size_t i = 0; i < s.n; i++) {
		assert_int_equal(s.counters[i].of_all, i >= ROWS_RULES_MAX);
		assert_int_equal(s.counters[i].budget.cur.used_nusd,
				 i < ROWS_RULES_MAX ? CHARGE : 0);
		assert_int_equal(s.counters[i].budget.cur.held_nusd, i < ROWS_RULES_MAX ? 0 : HELD);
	}
	settle(&first, &done);
	rig_check_books(family.r);
	lose_live_store();
	family_state(3, &s);
	assert_int_equal(s.n, ROWS_COUNTERS_MAX);
	for (size_t i = 0; i < s.n; i++)
		assert_int_equal(s.counters[i].budget.cur.used_nusd, CHARGE);
}

/* GET /v1/key and `limit explain` have room for all. */
static void test_all_are_told(void **state)
{
	static struct auth_usage u;

	(void)state;
	fill_all();
	assert_int_equal(auth_usage(family.r->live, family.account, FAMILY_KEY, family.user,
				    family.r->boot_ms, family.r->wall_ms, &u),
			 ERRC_OK);
	assert_int_equal(u.rules_n, ROWS_SCOPES_MAX * ROWS_RULES_MAX);
	for (size_t i = 0; i < u.rules_n; i++)
		assert_int_equal(u.rules[i].id,
				 family.of[i / ROWS_RULES_MAX].limits.v[i % ROWS_RULES_MAX].id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, family_setup, family_teardown)
		T(test_one_request_in_all),
		T(test_the_last_one),
		T(test_some_of_them),
		T(test_one_too_many),
		T(test_own_beside_those_for_all),
		T(test_all_are_told),
#undef T
		cmocka_unit_test_setup_teardown(test_one_request_in_all, family_setup_apart,
						family_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
