/* End users: rules for all or for one, what is left of them after the loss of the live store, and when they are forgotten. */
#include "family.h"

#include <errno.h>
#include <stdio.h>

#include "agree.h"
#include "folder.h"
#include "idle.h"
#include "live_priv.h"
#include "verify.h"

/* The program is linked so that every begin passes here: write transactions can be made to fail. */
int __real_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **out);
int __wrap_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **out);

static bool no_writing;

int __wrap_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **out)
{
	return no_writing && !(flags & MDB_RDONLY) ? ENOMEM
						   : __real_mdb_txn_begin(env, parent, flags, out);
}

/* A start is at the time of the test. */
int64_t __wrap_clock_wall_ms(void);

int64_t __wrap_clock_wall_ms(void)
{
	return family.r ? family.r->wall_ms : INT64_C(1790000000000);
}

/* The keeper looks at all accounts once a second on its loop: how many end users an account has costs it nothing. */
static void test_scan_passes_over_users(void **state)
{
	struct admit_done done;
	struct rows_scope every, one;
	struct scan s;
	struct genid id;
	char tag[16];

	(void)state;
	rig_scope(&every, family.account, ROWS_USER, ROWS_EVERY_USER);
	rig_limit(&every, ROWS_RPM, 100);
	rig_put(family.r, &every);
	for (int i = 0; i < 200; i++) {
		snprintf(tag, sizeof tag, "u%d", i);
		rig_scope(&one, family.account, ROWS_USER, tag);
		rig_limit(&one, ROWS_RPD, 100);
		rig_put(family.r, &one);
		family.user = slice_str(tag);
		family_hold(10, &id);
		if (i < 190)
			rig_settle(family.r, family.account, &id, 1, 1, &done);
	}
	rig_check(family.r, &s);
	assert_int_equal(s.holds, 10);
	/* The account, its key, the first end user's state, and the holds. */
	assert_in_range(s.rows, 10, 20);
}

/* The rules for all end users count for each of them; one with rules of its own has only those. */
static void test_end_users(void **state)
{
	struct rows_scope every;
	struct admit_refusal why;
	struct admit_op op;
	struct genid id;
	bool durable;

	(void)state;
	family_hold(10, &id); /* nobody says anything of end users */
	rig_scope(&every, family.account, ROWS_USER, ROWS_EVERY_USER);
	rig_limit(&every, ROWS_RPM, 1);
	rig_put(family.r, &every);
	family.user = SLICE_LIT("bob");
	family_hold(10, &id);
	assert_false(family_ask(&op, 10, &id));
	assert_int_equal(op.refusal.scope, ROWS_USER);
	assert_string_equal(op.refusal.scope_name, "bob");
	family.user = SLICE_LIT("carol");
	family_hold(10, &id);
	family.user = SLICE_NONE;
	family_hold(10, &id);
	family_hold(10, &id);
	family.user = SLICE_LIT("alice");
	rig_limit(&family.of[3], ROWS_RPM, 3);
	rig_put(family.r, &family.of[3]);
	family_hold(10, &id);
	family_hold(10, &id);
	family_hold(10, &id);
	family_refuse(10, ADMIT_RATE, 3, &why);
	assert_int_equal(admin_user_remove(&family.r->admin, &family.r->by, family.account,
					   family.user, &durable),
			 ERRC_OK);
	rig_drain(family.r);
	family.r->boot_ms += 2 * 60000;
	family_hold(10, &id);
	family_refuse(10, ADMIT_RATE, 3, &why);
	assert_int_equal(why.limit, 1);
	assert_int_equal(admin_user_remove(&family.r->admin, &family.r->by, family.account,
					   family.user, &durable),
			 ERRC_NOTFOUND);
}

/* The live store is lost: the budgets of all scopes come back from the records, also of users that have no row. */
static void test_budgets_after_a_loss(void **state)
{
	struct verify_result v;
	struct rows_scope every;
	struct admit_done done;
	struct genid id;

	(void)state;
	for (size_t i = 0; i < FAMILY_N; i++)
		family_give_rules(&family.of[i]);
	family_put();
	rig_scope(&every, family.account, ROWS_USER, ROWS_EVERY_USER);
	rig_budget(&every, RIG_DOLLAR, (struct window_spec){.unit = WINDOW_TOTAL});
	rig_put(family.r, &every);
	for (int i = 0; i < 6; i++) {
		family.user = i < 3 ? SLICE_LIT("alice") : SLICE_LIT("bob");
		family_hold(100, &id);
		rig_settle(family.r, family.account, &id, 50, 20, &done);
		if (i == 2) {
			assert_int_equal(ledger_begin(family.r->ledger), ERRC_OK);
			assert_int_equal(ledger_checkpoint(family.r->ledger), ERRC_OK);
			assert_int_equal(ledger_commit(family.r->ledger), ERRC_OK);
		}
	}
	rig_drain(family.r);
	rig_close(family.r);
	folder_remove("%s/live", family.r->dir);
	rig_open(family.r);
	assert_int_equal(family.r->started.outcome, STORE_REBUILT);
	rig_join(family.r);
	family.user = SLICE_LIT("alice");
	for (size_t i = 0; i < FAMILY_N; i++) {
		assert_int_equal(family_look(i, 3).used, i == 3 ? 270000 : 540000);
		assert_int_equal(family_look(i, 4).used, i == 3 ? 270000 : 540000);
	}
	family.user = SLICE_LIT("bob");
	family.of[3] = every;
	assert_int_equal(family_look(3, 0).used, 270000);
	family_hold(100, &id);
	assert_int_equal(family_look(3, 0).held, 300000);
	assert_int_equal(verify_ledger(family.r->ledger, false, NULL, NULL, &v), ERRC_OK);
	assert_true(verify_is_good(&v));
}

/* What the n-th rule that counts for the end user now has used, by the live store. */
static int64_t used_by(const char *tag, size_t n)
{
	struct auth_usage u;
	size_t i = 0;

	assert_int_equal(auth_usage(family.r->live, family.account, FAMILY_KEY, slice_str(tag),
				    family.r->boot_ms, family.r->wall_ms, &u),
			 ERRC_OK);
	while (i < u.rules_n && u.rules[i].scope != ROWS_USER)
		i++;
	assert_true(i + n < u.rules_n);
	return u.rules[i + n].now.used;
}

static void both_agree(void)
{
	struct agree g = {.done = false};

	rig_drain(family.r);
	while (!g.done)
		assert_int_equal(agree_slice(&family.r->admin, &g), ERRC_OK);
	assert_int_equal(g.different, 0);
}

static void charge_alice(void)
{
	struct admit_done done;
	struct genid id;

	family_hold(100, &id);
	rig_settle(family.r, family.account, &id, 50, 20, &done);
	assert_int_equal(done.charge_nusd, 90000);
}

/* Rules of one's own and the rules for all are not the same rules: when one takes the place of the other nothing that
 * was used of it is taken for the other's, nor what still runs, neither in the live store nor in the ledger. */
static void test_own_rules_come_and_go(void **state)
{
	const struct window_spec total = {.unit = WINDOW_TOTAL};
	struct rows_scope every;
	struct admit_done done;
	struct genid running;
	bool durable;

	(void)state;
	rig_scope(&every, family.account, ROWS_USER, ROWS_EVERY_USER);
	rig_budget(&every, RIG_DOLLAR, total);
	rig_put(family.r, &every);
	rig_limit(&family.of[3], ROWS_BUDGET, ROWS_NO_LIMIT);
	rig_budget(&family.of[3], RIG_DOLLAR, total);
	rig_put(family.r, &family.of[3]);
	charge_alice();
	assert_int_equal(used_by("alice", 0), 90000);
	family_hold(100, &running);
	assert_int_equal(admin_user_remove(&family.r->admin, &family.r->by, family.account,
					   SLICE_LIT("alice"), &durable),
			 ERRC_OK);
	assert_int_equal(used_by("alice", 0), 0);
	both_agree();
	charge_alice();
	assert_int_equal(used_by("alice", 0), 90000);
	rig_settle(family.r, family.account, &running, 50, 20, &done);
	assert_int_equal(used_by("alice", 0), 90000);
	both_agree();
	family_hold(100, &running);
	family.of[3].limits.last_id = 0;
	family.of[3].limits.v[0].id = ++family.of[3].limits.last_id;
	rig_put(family.r, &family.of[3]);
	assert_int_equal(used_by("alice", 0), 0);
	rig_settle(family.r, family.account, &running, 50, 20, &done);
	both_agree();
	charge_alice();
	assert_int_equal(used_by("alice", 0), 90000);
	both_agree();
	rig_close(family.r);
	rig_open(family.r);
	assert_int_equal(used_by("alice", 0), 90000);
}

static uint64_t forget_round(struct idle *it)
{
	uint64_t before = it->removed;

	do
		assert_int_equal(
			idle_slice(family.r->live, it, family.r->boot_ms, family.r->wall_ms),
			ERRC_OK);
	while (it->at.n > 0);
	return it->removed - before;
}

static void checkpoint(void)
{
	rig_drain(family.r);
	assert_int_equal(ledger_begin(family.r->ledger), ERRC_OK);
	assert_int_equal(ledger_checkpoint(family.r->ledger), ERRC_OK);
	assert_int_equal(ledger_commit(family.r->ledger), ERRC_OK);
}

static const struct book_scope *in_book(const char *tag)
{
	char id[ROWS_ID];

	rows_user_id(slice_str(tag), id);
	return book_scope(ledger_book(family.r->ledger), ROWS_USER, family.account, id);
}

/* What is used and held of the first rule of a definition, by dave. */
static void expect_dave(struct rows_scope *def, int64_t used, int64_t held)
{
	struct rows_scope was = family.of[3];

	family.of[3] = *def;
	assert_int_equal(family_look(3, 0).used, used);
	assert_int_equal(family_look(3, 0).held, held);
	family.of[3] = was;
}

static void lose_live_store(void)
{
	checkpoint();
	rig_close(family.r);
	folder_remove("%s/live", family.r->dir);
	rig_open(family.r);
	rig_join(family.r);
}

static void agrees(void)
{
	struct agree g = {.done = false};
	struct verify_result v;
	struct scan s;

	rig_check(family.r, &s);
	while (!g.done)
		assert_int_equal(agree_slice(&family.r->admin, &g), ERRC_OK);
	assert_int_equal(g.different, 0);
	checkpoint();
	assert_int_equal(verify_ledger(family.r->ledger, false, NULL, NULL, &v), ERRC_OK);
	assert_true(verify_is_good(&v));
}

static void remove_dave(void)
{
	bool durable;

	assert_int_equal(admin_user_remove(&family.r->admin, &family.r->by, family.account,
					   SLICE_LIT("dave"), &durable),
			 ERRC_OK);
}

static void spend(int64_t cents, struct genid *running)
{
	struct admit_done done;

	if (genid_eq(running, &(struct genid){{0}}))
		family_hold(10, running);
	rig_settle(family.r, family.account, running, 0, cents, &done);
	*running = (struct genid){{0}};
}

/* A user whom the rules of `*` hold gets its own, loses them and gets others: what it used of each is neither lost nor taken for that of
 * another, whose id was the same in its definition; nor is what a hold of before gives back. `lost`: the live store is, in between. */
static void change_rules(bool lost)
{
	const struct window_spec week = {.unit = WINDOW_WEEK};
	struct rows_scope every, own, next;
	struct genid before, none = {{0}};

	family.user = SLICE_LIT("dave");
	rig_scope(&every, family.account, ROWS_USER, ROWS_EVERY_USER);
	rig_budget(&every, RIG_DOLLAR, week);
	rig_put(family.r, &every);
	spend(7, &none);
	family_hold(10, &before);
	expect_dave(&every, 14000, 120000);
	rig_scope(&own, family.account, ROWS_USER, "dave");
	rig_budget(&own, 2 * RIG_DOLLAR, week);
	rig_put(family.r, &own);
	assert_int_not_equal(own.limits.v[0].id, every.limits.v[0].id);
	spend(5, &none);
	expect_dave(&own, 10000, 0);
	spend(1, &before); /* of the rules of before */
	expect_dave(&own, 10000, 0);
	expect_dave(&every, 16000, 0);
	agrees();
	if (lost)
		lose_live_store();
	expect_dave(&own, 10000, 0);
	expect_dave(&every, 16000, 0);
	family_hold(10, &before);
	remove_dave();
	spend(2, &none);
	expect_dave(&every, 20000, 0);
	rig_scope(&next, family.account, ROWS_USER, "dave");
	rig_budget(&next, 3 * RIG_DOLLAR, week);
	rig_put(family.r, &next);
	assert_int_not_equal(next.limits.v[0].id, own.limits.v[0].id);
	spend(3, &none);
	spend(4, &before); /* of rules that nobody has any more */
	expect_dave(&next, 6000, 0);
	agrees();
	if (lost)
		lose_live_store();
	expect_dave(&next, 6000, 0);
	expect_dave(&every, 20000, 0);
	remove_dave();
	spend(1, &none);
	expect_dave(&every, 22000, 0);
	agrees();
}

static void test_own_rules_and_back(void **state)
{
	(void)state;
	change_rules(false);
}

static void test_own_rules_and_back_with_a_loss(void **state)
{
	(void)state;
	change_rules(true);
}

/* The rules of all users are taken away and come again: others, that nobody has used. */
static void test_rules_of_all_come_again(void **state)
{
	const struct window_spec week = {.unit = WINDOW_WEEK};
	struct rows_scope first, again;
	struct genid none = {{0}};
	bool durable;

	(void)state;
	family.user = SLICE_LIT("dave");
	rig_scope(&first, family.account, ROWS_USER, ROWS_EVERY_USER);
	rig_budget(&first, RIG_DOLLAR, week);
	rig_put(family.r, &first);
	spend(7, &none);
	assert_int_equal(admin_user_remove(&family.r->admin, &family.r->by, family.account,
					   SLICE_LIT(ROWS_EVERY_USER), &durable),
			 ERRC_OK);
	rig_scope(&again, family.account, ROWS_USER, ROWS_EVERY_USER);
	rig_budget(&again, RIG_DOLLAR, week);
	rig_put(family.r, &again);
	spend(1, &none);
	expect_dave(&again, 2000, 0);
	agrees();
	lose_live_store();
	expect_dave(&again, 2000, 0);
}

/* The rules of all users were changed as often as the ledger counts for a user. A new live store, which knows of those that are in force alone,
 * forgets none of them when the user gets rules of its own. */
static void test_rules_of_all_change_often(void **state)
{
	const struct window_spec week = {.unit = WINDOW_WEEK};
	struct rows_scope every, own;
	struct genid none = {{0}};

	(void)state;
	family.user = SLICE_LIT("dave");
	rig_scope(&every, family.account, ROWS_USER, ROWS_EVERY_USER);
	for (int i = 0; i < ROWS_COUNTERS_MAX; i++) {
		if (i > 0)
			rows_limits_remove(&every.limits, every.limits.v[0].id);
		assert_non_null(rows_limits_add(&every.limits, ROWS_BUDGET, RIG_DOLLAR));
		every.limits.v[0].window = week;
		rig_put(family.r, &every);
		spend(7, &none);
	}
	rig_drain(family.r);
	assert_int_equal(in_book("dave")->counters_n, ROWS_COUNTERS_MAX);
	lose_live_store();
	expect_dave(&every, 14000, 0);
	rig_scope(&own, family.account, ROWS_USER, "dave");
	rig_budget(&own, RIG_DOLLAR, week);
	rig_put(family.r, &own);
	spend(1, &none);
	expect_dave(&own, 2000, 0);
	expect_dave(&every, 14000, 0);
	remove_dave();
	spend(2, &none);
	expect_dave(&every, 18000, 0);
	agrees();
}

/* Tags that come once do not stay for ever; those with rules of their own, with something running, or with something used in
 * a window that lasts do. */
static void test_idle_users_are_forgotten(void **state)
{
	static const char *const tags[] = {"bob", "carol", "alice", "dave"};
	struct idle it = {.removed = 0};
	struct verify_result v;
	struct rows_scope every;
	struct admit_done done;
	struct genid id, running;

	(void)state;
	rig_scope(&every, family.account, ROWS_USER, ROWS_EVERY_USER);
	rig_limit(&every, ROWS_RPD, 10);
	rig_budget(&every, RIG_DOLLAR, (struct window_spec){.unit = WINDOW_WEEK});
	rig_put(family.r, &every);
	rig_budget(&family.of[3], RIG_DOLLAR, (struct window_spec){.unit = WINDOW_DAY});
	rig_put(family.r, &family.of[3]);
	family.r->wall_ms = family.r->wall_ms / (7 * 86400000LL) * 7 * 86400000LL +
			    5 * 86400000LL; /* a Tuesday */
	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		family.user = slice_str(tags[i]);
		family_hold(10, &id);
		if (i == 3)
			running = id;
		else
			rig_settle(family.r, family.account, &id, 10, 10, &done);
	}
	assert_int_equal(forget_round(&it), 0);
	checkpoint();
	assert_non_null(in_book("bob"));
	/* Two days on the rates are idle, the week's budget is not. */
	family.r->wall_ms += 2 * 86400000LL;
	family.r->boot_ms += 2 * 86400000LL;
	assert_int_equal(forget_round(&it), 0);
	family.r->wall_ms += 7 * 86400000LL;
	family.r->boot_ms += 7 * 86400000LL;
	no_writing = true; /* then nothing happens at all */
	assert_int_equal(idle_slice(family.r->live, &it, family.r->boot_ms, family.r->wall_ms),
			 ERRC_NOMEM);
	no_writing = false;
	it.at.n = 0;
	assert_int_equal(forget_round(&it), 2);
	rig_settle(family.r, family.account, &running, 10, 10, &done);
	checkpoint();
	checkpoint();
	assert_null(in_book("bob"));
	assert_null(in_book("carol"));
	assert_non_null(in_book("alice"));
	assert_int_equal(verify_ledger(family.r->ledger, false, NULL, NULL, &v), ERRC_OK);
	assert_true(verify_is_good(&v));
	family.user = SLICE_LIT("bob");
	family_hold(10, &id);
	rig_settle(family.r, family.account, &id, 10, 10, &done);
	checkpoint();
	assert_int_equal(in_book("bob")->requests, 1);
	assert_int_equal(verify_ledger(family.r->ledger, false, NULL, NULL, &v), ERRC_OK);
	assert_true(verify_is_good(&v));
	rig_close(family.r);
	rig_open(family.r);
	assert_int_equal(family.r->started.outcome, STORE_ACCEPTED);
	assert_non_null(in_book("bob"));
	assert_null(in_book("carol"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, family_setup, family_teardown)
	const struct CMUnitTest tests[] = {
		T(test_scan_passes_over_users),   T(test_end_users),
		T(test_budgets_after_a_loss),     T(test_own_rules_come_and_go),
		T(test_own_rules_and_back),       T(test_own_rules_and_back_with_a_loss),
		T(test_rules_of_all_come_again),  T(test_rules_of_all_change_often),
		T(test_idle_users_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
