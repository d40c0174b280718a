/* The credit of an account in shadow: it is counted and told of, and refuses nothing. In shadow is what the rules of the account say,
 * whatever its row goes through; it ends where the balance is not below the floor. */
#include "rig.h"

#include <errno.h>

#include "agree.h"
#include "credit.h"
#include "folder.h"
#include "commits.h"
#include "ledger_priv.h"

#define KEY "aaaaaaaaaaaa"

static struct rig r;
static uint64_t account;
static struct rows_scope rules, key;

static int setup(void **state)
{
	(void)state;
	rig_init(&r);
	rig_open(&r);
	rig_join(&r);
	account = rig_account(&r, "acme", 250000);
	rig_key(&r, account, KEY, &key);
	rig_scope(&rules, account, ROWS_ACCOUNT, "");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_fini(&r);
	return 0;
}

static enum errc try_shadow(bool on, bool *durable)
{
	rules.flags = on ? ROWS_SHADOW : 0;
	return rig_try_put(&r, &rules, durable);
}

static void set_shadow(bool on)
{
	bool durable;

	assert_int_equal(try_shadow(on, &durable), ERRC_OK);
}

/* What both stores say. */
static bool in_shadow(void)
{
	struct agree g = {.done = false};
	struct rows_account a;
	bool is;

	while (!g.done)
		assert_int_equal(agree_slice(&r.admin, &g), ERRC_OK);
	assert_int_equal(g.different, 0);
	rig_get_account(&r, account, &a);
	is = a.flags & ROWS_ACCOUNT_SHADOW;
	assert_int_equal(book_account(ledger_book(r.ledger), account)->flags, a.flags);
	return is;
}

static void expect_balance(int64_t nusd)
{
	struct rows_account a;

	rig_get_account(&r, account, &a);
	assert_int_equal(a.balance_nusd, nusd);
	assert_int_equal(a.uncollected_nusd, 0);
	rig_check_books(&r);
}

/* It holds 100000 for the input and 2000 for each token of output. */
static void hold(int64_t cap, struct genid *id, struct admit_op *op)
{
	assert_true(rig_hold(&r, account, KEY, &r.price, cap, id, op));
	assert_int_equal(op->grant.hold.hold_nusd, 100000 + 2000 * cap);
}

static void expect_counted(const struct admit_op *op, int64_t limit)
{
	const struct admit_shadow_scope *x = &op->grant.shadow.v[0];

	assert_int_equal(op->grant.shadow.n, 1);
	assert_int_equal(x->scope, ROWS_ACCOUNT);
	assert_string_equal(x->what, "credit");
	assert_int_equal(x->n, 1);
	assert_int_equal(x->limit, limit);
	assert_true(x->money);
}

/* Holds and charges are taken in full, also what comes to more than the hold. */
static void test_counts_and_refuses_nothing(void **state)
{
	struct admit_done done;
	struct admit_op op;
	struct genid id;

	(void)state;
	assert_false(rig_hold(&r, account, KEY, &r.price, 100, &id, &op));
	set_shadow(true);
	hold(75, &id, &op); /* which it could pay */
	assert_int_equal(op.grant.shadow.n, 0);
	hold(1, &id, &op);
	expect_counted(&op, 250000);
	expect_balance(-102000);
	rig_settle(&r, account, &id, 100, 300, &done);
	assert_int_equal(done.charge_nusd, 700000);
	assert_int_equal(done.uncollected_nusd, 0);
	expect_balance(250000 - 250000 - 700000);
	assert_true(in_shadow());
}

/* Which leaves an account in shadow as it is: below 0. Nobody but the account itself puts its credit in shadow. */
static void test_who_is_in_shadow(void **state)
{
	struct rows_scope team, user;
	struct admit_done done;
	struct admit_op op;
	struct genid id;
	bool durable;

	(void)state;
	rig_scope(&team, account, ROWS_TEAM, "research");
	rig_scope(&user, account, ROWS_USER, ROWS_EVERY_USER);
	team.flags = user.flags = key.flags = ROWS_SHADOW;
	rig_put(&r, &team);
	memcpy(key.team, team.id, ROWS_ID);
	rig_put(&r, &user);
	rig_put(&r, &key);
	assert_false(in_shadow());
	assert_false(rig_hold(&r, account, KEY, &r.price, 100, &id, &op));
	assert_int_equal(op.reason, ADMIT_CREDIT);
	set_shadow(true);
	hold(100, &id, &op);
	rig_settle(&r, account, &id, 100, 100, &done);
	assert_int_equal(admin_account_take(&r.admin, &r.by, account, 50000, &durable), ERRC_OK);
	expect_balance(-100000);
	hold(100, &id, &op);
	expect_counted(&op, 200000);
}

/* A lower cap, or a candidate less, would be no refusal; and none of it is done. */
static void test_what_would_be_less(void **state)
{
	struct price dear = r.price, gratis;
	struct hold_candidate c[2];
	struct admit_op op;

	(void)state;
	set_shadow(true);
	rig_ask(&r, &op, c, account, KEY, &r.price, 0);
	c[0].min_output = 10;
	rig_run(&r, &op);
	assert_int_equal(op.reason, ADMIT_NONE);
	assert_int_equal(op.grant.hold.cap[0], 4096);
	assert_int_equal(op.grant.shadow.n, 0);
	expect_balance(250000 - 100000 - 4096 * 2000);
	assert_int_equal(admin_account_credit(&r.admin, &r.by, account, 4096 * 2000 + 100000,
					      &(bool){false}),
			 ERRC_OK);
	dear.pusd[USAGE_OUTPUT] *= 1000;
	rig_ask(&r, &op, c, account, KEY, &dear, 10);
	c[1] = c[0];
	c[1].price[0] = &r.price;
	op.ask.hold.n = 2;
	rig_run(&r, &op);
	assert_int_equal(op.reason, ADMIT_NONE);
	assert_true(op.grant.hold.kept[0] && op.grant.hold.kept[1]);
	assert_int_equal(op.grant.shadow.n, 0);
	/* What is free needs no credit, however far below 0 the balance is. */
	price_init(&gratis);
	gratis.free = true;
	assert_int_equal(price_complete(&gratis), ERRC_OK);
	rig_ask(&r, &op, c, account, KEY, &gratis, 10);
	rig_run(&r, &op);
	assert_int_equal(op.reason, ADMIT_NONE);
	assert_int_equal(op.grant.shadow.n, 0);
}

/* Held money counts, as where an overdraft is lowered. Nothing changes; the missing nano-dollar makes the difference. */
static void test_ends_at_the_floor(void **state)
{
	struct admit_done done;
	struct rows_account a;
	struct admit_op op;
	struct genid id;
	struct buf mem;
	bool durable;

	(void)state;
	set_shadow(true);
	hold(100, &id, &op); /* 50000 more than there is */
	for (int held = 1; held >= 0; held--) {
		assert_int_equal(try_shadow(false, &durable), ERRC_STATE);
		rules.flags = ROWS_SHADOW;
		rig_limit(&rules, ROWS_RPM, 100);
		rules.flags = 0;
		assert_int_equal(rig_try_put(&r, &rules, &durable), ERRC_STATE);
		rig_limit(&rules, ROWS_RPM, ROWS_NO_LIMIT);
		assert_true(in_shadow());
		if (held)
			rig_settle(&r, account, &id, 100, 100, &done);
	}
	assert_int_equal(admin_account_credit(&r.admin, &r.by, account, 49999, &durable), ERRC_OK);
	assert_int_equal(try_shadow(false, &durable), ERRC_STATE);
	assert_int_equal(admin_account_credit(&r.admin, &r.by, account, 1, &durable), ERRC_OK);
	assert_int_equal(try_shadow(false, &durable), ERRC_OK);
	assert_true(durable);
	assert_false(in_shadow());
	assert_false(rig_hold(&r, account, KEY, &r.price, 1, &id, &op));
	assert_int_equal(op.reason, ADMIT_CREDIT);
	/* An overdraft lowers the floor, and without one nothing is in the way; the floor that is not asked for may be anywhere. */
	set_shadow(true);
	hold(100, &id, &op);
	rig_settle(&r, account, &id, 100, 100, &done);
	buf_init(&mem, ROWS_MAX);
	assert_int_equal(admin_account_get(r.live, account, &mem, &a), ERRC_OK);
	a.overdraft_nusd = 299999;
	assert_int_equal(admin_account_update(&r.admin, &r.by, &a, &durable), ERRC_OK);
	assert_int_equal(try_shadow(false, &durable), ERRC_STATE);
	a.mode = ROWS_POSTPAID;
	assert_int_equal(admin_account_update(&r.admin, &r.by, &a, &durable), ERRC_OK);
	set_shadow(false);
	a.mode = ROWS_PREPAID;
	assert_int_equal(admin_account_update(&r.admin, &r.by, &a, &durable), ERRC_STATE);
	set_shadow(true);
	assert_int_equal(admin_account_update(&r.admin, &r.by, &a, &durable), ERRC_OK);
	a.overdraft_nusd = 300000;
	assert_int_equal(admin_account_update(&r.admin, &r.by, &a, &durable), ERRC_OK);
	set_shadow(false);
	buf_fini(&mem);
	expect_balance(-300000);
	assert_false(in_shadow());
}

/* It gives, so that the ledger has it first; its end takes, and is in force at once. */
static void test_without_the_ledger(void **state)
{
	struct admit_op op;
	struct genid id;
	bool durable;

	(void)state;
	commits_fail(r.ledger->env, 0, COMMITS_ALL, ENOSPC);
	assert_int_equal(try_shadow(true, &durable), ERRC_NOSPACE);
	commits_work();
	assert_false(in_shadow());
	set_shadow(true);
	commits_fail(r.ledger->env, 0, COMMITS_ALL, ENOSPC);
	assert_int_equal(try_shadow(false, &durable), ERRC_OK);
	assert_false(durable);
	assert_false(rig_hold(&r, account, KEY, &r.price, 100, &id, &op));
	commits_work();
	assert_false(in_shadow());
}

static void restart(bool lose)
{
	rig_close(&r);
	if (lose)
		folder_remove("%s/live", r.dir);
	rig_open(&r);
	assert_int_equal(r.started.outcome, lose ? STORE_REBUILT : STORE_ACCEPTED);
	rig_join(&r);
}

static void checkpoint(void)
{
	assert_int_equal(ledger_begin(r.ledger), ERRC_OK);
	assert_int_equal(ledger_checkpoint(r.ledger), ERRC_OK);
	assert_int_equal(ledger_commit(r.ledger), ERRC_OK);
}

/* Starts, a live store made anew, of the log and of a checkpoint, and definitions of the account keep it. */
static void test_stays(void **state)
{
	struct admit_done done;
	struct rows_account a;
	struct admit_op op;
	struct genid id;
	struct buf mem;
	bool durable;

	(void)state;
	buf_init(&mem, ROWS_MAX);
	set_shadow(true);
	hold(100, &id, &op);
	rig_settle(&r, account, &id, 100, 100, &done);
	for (int i = 0; i < 6; i++) {
		bool on = i < 4;

		assert_int_equal(admin_account_get(r.live, account, &mem, &a), ERRC_OK);
		a.overdraft_nusd++;
		assert_int_equal(admin_account_update(&r.admin, &r.by, &a, &durable), ERRC_OK);
		assert_int_equal(admin_account_set_status(&r.admin, &r.by, account, ROWS_SUSPENDED,
							  &durable),
				 ERRC_OK);
		assert_int_equal(
			admin_account_set_status(&r.admin, &r.by, account, ROWS_ACTIVE, &durable),
			ERRC_OK);
		assert_int_equal(in_shadow(), on);
		restart(i % 2);
		assert_int_equal(in_shadow(), on);
		expect_balance(on ? -50000 : 1);
		if (i % 2 == 0)
			checkpoint();
		if (i < 3)
			continue;
		if (i == 3) {
			assert_int_equal(
				admin_account_credit(&r.admin, &r.by, account, 50001, &durable),
				ERRC_OK);
			set_shadow(false);
		}
	}
	buf_fini(&mem);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_counts_and_refuses_nothing), T(test_who_is_in_shadow),
		T(test_what_would_be_less),         T(test_ends_at_the_floor),
		T(test_without_the_ledger),         T(test_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
