/* End users of whom something is said: without a limit they have those for all, with what they have used of them, and the rest by what is said;
 * what they use in all adds up from there in both stores. */
#include "family.h"

#include "alerts.h"
#include "folder.h"
#include "ledger_priv.h"

#define COST 120000 /* of a request: what it holds, and what it is charged */

static const struct window_spec total = {.unit = WINDOW_TOTAL};

static struct rows_scope every;

/* Two requests, and then it is used up. */
static void limit_all(void)
{
	rig_scope(&every, family.account, ROWS_USER, ROWS_EVERY_USER);
	rig_budget(&every, 2 * COST + COST / 2, total);
	rig_put(family.r, &every);
}

static void charge(void)
{
	struct admit_done done;
	struct genid id;

	family_hold(10, &id);
	rig_settle(family.r, family.account, &id, 100, 10, &done);
	assert_int_equal(done.charge_nusd, COST);
}

static void put_status(enum rows_status status)
{
	family.of[3].status = status;
	rig_put(family.r, &family.of[3]);
}

static void lose_live_store(void)
{
	rig_drain(family.r);
	rig_close(family.r);
	folder_remove("%s/live", family.r->dir);
	rig_open(family.r);
	assert_int_equal(family.r->started.outcome, STORE_REBUILT);
	rig_join(family.r);
}

/* The rules that the end user meets, as its key reads them. */
static size_t rules_of(const char *tag, struct auth_usage *u, const struct auth_rule **first)
{
	size_t n = 0;

	assert_int_equal(auth_usage(family.r->live, family.account, FAMILY_KEY, slice_str(tag),
				    family.r->boot_ms, family.r->wall_ms, u),
			 ERRC_OK);
	for (size_t i = 0; i < u->rules_n; i++) {
		if (u->rules[i].scope == ROWS_USER && n++ == 0)
			*first = &u->rules[i];
	}
	return n;
}

static void expect_all(const char *tag, int64_t used, int64_t limit)
{
	const struct auth_rule *r = NULL;
	struct auth_usage u;

	assert_int_equal(rules_of(tag, &u, &r), 1);
	assert_int_equal(r->id, every.limits.v[0].id);
	assert_int_equal(r->now.used, used);
	assert_int_equal(r->now.limit, limit);
}

static void expect_used_up(void)
{
	struct admit_refusal why;

	family_refuse(10, ADMIT_BUDGET, 3, &why);
	assert_int_equal(why.limit, every.limits.v[0].limit);
	expect_all("alice", 2 * COST, every.limits.v[0].limit);
}

/* Who has used up what all may have is let in again, or is told which models: it stays used up, in both stores. */
static void test_suspended_and_let_in_again(void **state)
{
	struct admit_refusal why;
	bool durable;

	(void)state;
	limit_all();
	charge();
	charge();
	expect_used_up();
	put_status(ROWS_SUSPENDED);
	family_refuse(10, ADMIT_USER_SUSPENDED, 3, &why);
	put_status(ROWS_ACTIVE);
	expect_used_up();
	rig_check_books(family.r);
	lose_live_store();
	expect_used_up();
	family.of[3].models = SLICE_LIT("m9");
	rig_put(family.r, &family.of[3]);
	family_refuse(10, ADMIT_MODEL, 3, &why);
	family.of[3].models = SLICE_LIT("m*");
	rig_put(family.r, &family.of[3]);
	expect_used_up();
	assert_int_equal(admin_user_remove(&family.r->admin, &family.r->by, family.account,
					   family.user, &durable),
			 ERRC_OK);
	expect_used_up();
	rig_check_books(family.r);
}

/* What is said of all beside their limits is not said of who has a row: neither models nor that they are suspended. */
static void test_the_rest_is_its_own(void **state)
{
	struct admit_refusal why;
	struct admit_op op;
	struct genid id;

	(void)state;
	limit_all();
	every.models = SLICE_LIT("m9");
	every.status = ROWS_SUSPENDED;
	rig_put(family.r, &every);
	family_refuse(10, ADMIT_USER_SUSPENDED, 3, &why);
	put_status(ROWS_ACTIVE);
	charge();
	expect_all("alice", COST, every.limits.v[0].limit);
	family.user = SLICE_LIT("bob");
	assert_false(family_ask(&op, 10, &id));
	assert_int_equal(op.reason, ADMIT_USER_SUSPENDED);
}

/* One limit of its own, and those for all count no more; without it they count again, with what was used of them. */
static void test_a_limit_of_its_own(void **state)
{
	const struct auth_rule *r = NULL;
	struct auth_usage u;

	(void)state;
	limit_all();
	put_status(ROWS_ACTIVE);
	charge();
	charge();
	expect_used_up();
	rig_limit(&family.of[3], ROWS_RPM, 3);
	rig_put(family.r, &family.of[3]);
	charge();
	assert_int_equal(rules_of("alice", &u, &r), 1);
	assert_int_equal(r->kind, ROWS_RPM);
	assert_int_equal(r->now.used, 1);
	rig_check_books(family.r);
	rig_limit(&family.of[3], ROWS_RPM, ROWS_NO_LIMIT);
	rig_put(family.r, &family.of[3]);
	expect_used_up();
	rig_check_books(family.r);
	lose_live_store();
	expect_used_up();
}

/* Rules for all that change while it has none of its own. */
static void test_the_limits_for_all_change(void **state)
{
	const struct auth_rule *r = NULL;
	struct auth_usage u;
	bool durable;

	(void)state;
	put_status(ROWS_ACTIVE);
	charge();
	assert_int_equal(rules_of("alice", &u, &r), 0);
	limit_all();
	charge();
	expect_all("alice", COST, every.limits.v[0].limit);
	every.limits.v[0].limit = COST;
	rig_put(family.r, &every);
	expect_all("alice", COST, COST);
	rig_check_books(family.r);
	assert_int_equal(admin_user_remove(&family.r->admin, &family.r->by, family.account,
					   SLICE_LIT(ROWS_EVERY_USER), &durable),
			 ERRC_OK);
	charge();
	assert_int_equal(rules_of("alice", &u, &r), 0);
	rig_check_books(family.r);
}

static void expect_only_counts(bool yes)
{
	const struct auth_rule *r = NULL;
	struct admit_op op;
	struct auth_usage u;
	struct genid id;

	assert_int_equal(family_ask(&op, 10, &id), yes);
	if (yes) {
		assert_int_equal(op.grant.shadow.n, 1);
		assert_int_equal(op.grant.shadow.v[0].scope, ROWS_USER);
		rig_release(family.r, family.account, &id);
	}
	assert_int_equal(rules_of("alice", &u, &r), 1);
	assert_int_equal(r->shadow, yes);
}

/* Whoever of the two is in shadow, the limits only count. Models are those of its row, in whose shadow they are. */
static void test_shadow(void **state)
{
	struct admit_refusal why;

	(void)state;
	limit_all();
	put_status(ROWS_ACTIVE);
	charge();
	charge();
	expect_only_counts(false);
	every.flags = ROWS_SHADOW;
	rig_put(family.r, &every);
	expect_only_counts(true);
	family.of[3].models = SLICE_LIT("m9");
	rig_put(family.r, &family.of[3]);
	family_refuse(10, ADMIT_MODEL, 3, &why);
	family.of[3].models = SLICE_NONE;
	every.flags = 0;
	rig_put(family.r, &every);
	put_status(ROWS_ACTIVE);
	expect_only_counts(false);
	family.of[3].flags = ROWS_SHADOW;
	rig_put(family.r, &family.of[3]);
	expect_only_counts(true);
}

/* As many rules of every scope as there may be, and a row beside them. */
static void test_all_rules_there_may_be(void **state)
{
	struct admit_refusal why;

	(void)state;
	rig_scope(&every, family.account, ROWS_USER, ROWS_EVERY_USER);
	for (size_t i = 0; i < ROWS_RULES_MAX; i++) {
		for (size_t n = 0; n < 3; n++)
			rows_limits_add(&family.of[n].limits, ROWS_BUDGET, RIG_DOLLAR)->window =
				total;
		rows_limits_add(&every.limits, ROWS_BUDGET, COST)->window = total;
	}
	family_put();
	rig_put(family.r, &every);
	charge();
	family_refuse(10, ADMIT_BUDGET, 3, &why);
	rig_check_books(family.r);
}

/* What it has used in all since it has a row, in both stores, and in a new live store. */
static void expect_totals(uint64_t requests)
{
	struct rows_state s, again;

	rig_check_books(family.r);
	family_state(3, &s);
	assert_int_equal(s.requests, requests);
	assert_int_equal(s.tokens, 110 * requests);
	assert_int_equal(s.charged_nusd, (int64_t)requests * COST);
	assert_int_equal(s.used_s, requests ? family.r->wall_ms / 1000 : 0);
	lose_live_store();
	rig_check_books(family.r);
	family_state(3, &again);
	assert_int_equal(again.requests, s.requests);
	assert_int_equal(again.tokens, s.tokens);
	assert_int_equal(again.charged_nusd, s.charged_nusd);
	assert_int_equal(again.used_s, s.used_s);
}

static void remove_alice(void)
{
	bool durable;

	assert_int_equal(admin_user_remove(&family.r->admin, &family.r->by, family.account,
					   SLICE_LIT("alice"), &durable),
			 ERRC_OK);
}

/* Whatever its row says, and whatever it has used before under the limits for all, which the outbox may still hold. */
static void test_totals(void **state)
{
	(void)state;
	limit_all();
	charge();
	put_status(ROWS_ACTIVE);
	expect_totals(0);
	charge();
	expect_totals(1);
	rig_limit(&family.of[3], ROWS_RPM, 100);
	rig_put(family.r, &family.of[3]);
	charge();
	expect_totals(2);
	remove_alice();
	rig_budget(&family.of[3], RIG_DOLLAR, total);
	rig_put(family.r, &family.of[3]);
	charge();
	charge();
	expect_totals(2);
}

static void test_totals_without_any_limit(void **state)
{
	(void)state;
	charge();
	family.of[3].models = SLICE_LIT("m*");
	rig_put(family.r, &family.of[3]);
	charge();
	charge();
	expect_totals(2);
}

/* Its row comes, and comes again, while requests run that did not count in it or in another of it. */
static void test_totals_of_what_ran(void **state)
{
	struct admit_done done;
	struct genid id[3];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		family_hold(10, &id[i]);
		if (i > 0)
			remove_alice();
		put_status(ROWS_ACTIVE);
	}
	for (size_t i = 0; i < 2; i++)
		rig_settle(family.r, family.account, &id[i], 100, 10, &done);
	rig_release(family.r, family.account, &id[2]);
	expect_totals(2);
}

static void checkpoint(void)
{
	rig_drain(family.r);
	assert_int_equal(ledger_begin(family.r->ledger), ERRC_OK);
	assert_int_equal(ledger_checkpoint(family.r->ledger), ERRC_OK);
	assert_int_equal(ledger_commit(family.r->ledger), ERRC_OK);
}

/* They are told of by their tag, which the row has, and by the limit that all have then, whose change is none of the row. */
static void test_alerts(void **state)
{
	static const struct shares half = {1, {500000}}, none = {.n = 0};
	struct alerts alerts;
	struct alert a;

	(void)state;
	alerts_init(&alerts);
	alerts_set(&alerts, &half, &none);
	ledger_watch(family.r->ledger, &alerts);
	limit_all();
	every.limits.v[0].limit = RIG_DOLLAR;
	rig_put(family.r, &every);
	put_status(ROWS_ACTIVE);
	charge();
	checkpoint();
	assert_false(alerts_next(&alerts, &a));
	every.limits.v[0].limit = 3 * COST;
	rig_put(family.r, &every);
	charge();
	checkpoint();
	assert_true(alerts_next(&alerts, &a));
	assert_string_equal(a.name, "alice");
	assert_int_equal(a.scope, ROWS_USER);
	assert_int_equal(a.rule, every.limits.v[0].id);
	assert_int_equal(a.limit_nusd, 3 * COST);
	assert_false(alerts_next(&alerts, &a));
	ledger_watch(family.r->ledger, NULL);
	alerts_fini(&alerts);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, family_setup, family_teardown)
	const struct CMUnitTest tests[] = {
		T(test_suspended_and_let_in_again),
		T(test_the_rest_is_its_own),
		T(test_a_limit_of_its_own),
		T(test_the_limits_for_all_change),
		T(test_shadow),
		T(test_all_rules_there_may_be),
		T(test_totals),
		T(test_totals_without_any_limit),
		T(test_totals_of_what_ran),
		T(test_alerts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
