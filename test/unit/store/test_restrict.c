/* While the ledger cannot be written what takes something away from a key is in force at once, and what gives something is refused
 * (design 3.4, administrative writes): for each thing that can be changed. */
#include "rig.h"

#include <errno.h>

#include "commits.h"
#include "ledger_priv.h"
#include "live_priv.h"

#define KEY_A "aaaaaaaaaaaa"
#define END_S INT64_C(1900000000)

static int setup(void **state)
{
	static struct rig r;

	rig_init(&r);
	rig_open(&r);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	return 0;
}

/* What all changes begin with: two rules, one of them for some models, raised, and every kind of access. */
static void begin(struct rows_scope *k)
{
	struct rows_rule *r;

	rows_limits_init(&k->limits);
	r = rows_limits_add(&k->limits, ROWS_RPM, 100);
	r->raise = 50;
	r->raise_until_s = END_S;
	r = rows_limits_add(&k->limits, ROWS_BUDGET, RIG_DOLLAR);
	r->models = SLICE_LIT("m*");
	r->window.unit = WINDOW_MONTH;
	r->raise = 50;
	r->raise_until_s = END_S;
	r->raise_by_window = true;
	k->expires_s = END_S;
	k->models = SLICE_LIT("m*");
	k->nets_n = 1;
	assert_true(ipnet_parse(SLICE_LIT("10.0.0.0/8"), &k->nets[0]));
	k->flags = 0;
	k->status = ROWS_ACTIVE;
}

#define RPM    (&k->limits.v[0])
#define BUDGET (&k->limits.v[1])
/* Name, whether it takes something away, what it does. */
#define CHANGES                                                                                     \
	CHANGE(lower_limit, true, RPM->limit = 99)                                                  \
	CHANGE(higher_limit, false, RPM->limit = 101)                                               \
	CHANGE(lower_raise, true, RPM->raise = 49)                                                  \
	CHANGE(no_raise, true, RPM->raise = RPM->raise_until_s = 0)                                 \
	CHANGE(higher_raise, false, RPM->raise = 51)                                                \
	CHANGE(raise_ends_earlier, true, RPM->raise_until_s = END_S - 1)                            \
	CHANGE(raise_ends_later, false, RPM->raise_until_s = END_S + 1)                             \
	CHANGE(raise_by_time, true, BUDGET->raise_by_window = false)                                \
	CHANGE(raise_never_ends, false, RPM->raise_until_s = 0)                                     \
	CHANGE(new_rule, true, (void)rows_limits_add(&k->limits, ROWS_TPM, 1000))                   \
	CHANGE(new_shadow_rule, false, rows_limits_add(&k->limits, ROWS_TPM, 1000)->shadow = true)  \
	CHANGE(no_rule, false, rows_limits_remove(&k->limits, 1))                                   \
	CHANGE(rule_in_shadow, false, BUDGET->shadow = true)                                        \
	CHANGE(rule_for_more_models, true, BUDGET->models = SLICE_NONE)                             \
	CHANGE(rule_for_other_models, false, BUDGET->models = SLICE_LIT("n*"))                      \
	CHANGE(rule_for_fewer_models, false, BUDGET->models = SLICE_LIT("m*\n!mx"))                 \
	CHANGE(longer_window, true, BUDGET->window.unit = WINDOW_YEAR)                              \
	CHANGE(shorter_window, false, BUDGET->window.unit = WINDOW_DAY)                             \
	CHANGE(rolling_window, true, BUDGET->window.rolling = true)                                 \
	CHANGE(other_zone, false, BUDGET->zone = SLICE_LIT("Europe/Berlin"))                        \
	CHANGE(earlier_end, true, k->expires_s = END_S - 1)                                         \
	CHANGE(later_end, false, k->expires_s = END_S + 1)                                          \
	CHANGE(no_end, false, k->expires_s = 0)                                                     \
	CHANGE(more_models, false, k->models = SLICE_LIT("m*\nn*"))                                 \
	CHANGE(other_models, false, k->models = SLICE_LIT("n*"))                                    \
	CHANGE(fewer_models, true, k->models = SLICE_LIT("m-*\nmx"))                                \
	CHANGE(denied_models, true, k->models = SLICE_LIT("m*\n!mx"))                               \
	CHANGE(only_denied_models, false, k->models = SLICE_LIT("!mx"))                             \
	CHANGE(all_models, false, k->models = SLICE_NONE)                                           \
	CHANGE(other_addresses, false,                                                              \
	       assert_true(ipnet_parse(SLICE_LIT("11.0.0.0/8"), &k->nets[0])))                      \
	CHANGE(fewer_addresses, true,                                                               \
	       assert_true(ipnet_parse(SLICE_LIT("10.1.0.0/16"), &k->nets[0])))                     \
	CHANGE(wider_addresses, false,                                                              \
	       assert_true(ipnet_parse(SLICE_LIT("8.0.0.0/6"), &k->nets[0])))                       \
	CHANGE(all_addresses, false, k->nets_n = 0)                                                 \
	CHANGE(suspended, true, k->status = ROWS_SUSPENDED)                                         \
	CHANGE(in_shadow, false, k->flags = ROWS_SHADOW)                                            \
	CHANGE(in_shadow_and_suspended, true, (k->flags = ROWS_SHADOW, k->status = ROWS_SUSPENDED)) \
	CHANGE(in_shadow_and_lower, false, (k->flags = ROWS_SHADOW, RPM->limit = 1))                \
	CHANGE(higher_and_lower, false, (RPM->limit = 200, BUDGET->limit = 1))                      \
	CHANGE(lower_and_no_rule, false, (BUDGET->limit = 1, rows_limits_remove(&k->limits, 1)))    \
	CHANGE(lower_and_later_end, false, (RPM->limit = 1, k->expires_s = 0))                      \
	CHANGE(more_models_and_new_rule, false,                                                     \
	       (k->models = SLICE_NONE, (void)rows_limits_add(&k->limits, ROWS_TPM, 1)))            \
	CHANGE(higher_and_suspended, true, (RPM->limit = 200, k->status = ROWS_SUSPENDED))

#define CHANGE(name, takes, does)                       \
	static void change_##name(struct rows_scope *k) \
	{                                               \
		does;                                   \
	}
CHANGES
#undef CHANGE

static const struct change {
	const char *name;
	bool takes;
	void (*fn)(struct rows_scope *k);
} changes[] = {
#define CHANGE(name, takes, does) {#name, takes, change_##name},
	CHANGES
#undef CHANGE
};

static bool is_in_force(struct rig *r, const struct rows_scope *k)
{
	struct rows_scope now;
	struct buf mem, a, b;
	bool same;

	buf_init(&mem, ROWS_MAX);
	buf_init(&a, ROWS_MAX);
	buf_init(&b, ROWS_MAX);
	assert_int_equal(admin_key_get(r->live, KEY_A, &mem, &now, NULL), ERRC_OK);
	now.limits.last_id = k->limits.last_id;
	assert_int_equal(rows_put_scope(&a, &now), ERRC_OK);
	assert_int_equal(rows_put_scope(&b, k), ERRC_OK);
	same = slice_eq(buf_slice(&a), buf_slice(&b));
	buf_fini(&mem);
	buf_fini(&a);
	buf_fini(&b);
	return same;
}

static void update(struct rig *r, const struct rows_scope *k, enum errc rc, bool is_durable)
{
	bool durable = !is_durable;

	assert_int_equal(admin_key_update(&r->admin, &r->by, k, &durable), rc);
	assert_int_equal(durable, is_durable);
}

static void test_changes_without_the_ledger(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct rows_scope base, k;

	rig_key(r, acc, KEY_A, &base);
	begin(&base);
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		const struct change *c = &changes[i];

		update(r, &base, ERRC_OK, true);
		k = base;
		c->fn(&k);
		commits_fail(r->ledger->env, 0, COMMITS_ALL, ENOSPC);
		update(r, &k, c->takes ? ERRC_OK : ERRC_NOSPACE, false);
		commits_work();
		if (is_in_force(r, &k) != c->takes || (!c->takes && !is_in_force(r, &base)))
			fail_msg("%s", c->name);
		/* With a ledger all are the same. */
		update(r, &k, ERRC_OK, true);
		assert_true(is_in_force(r, &k));
		rig_check_books(r);
	}
}

/* Nor is one that is suspended let in again by a command that lowers a limit with it. */
static void test_resumed_and_lower_without_the_ledger(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct rows_scope k, base;

	rig_key(r, acc, KEY_A, &base);
	begin(&base);
	base.status = ROWS_SUSPENDED;
	update(r, &base, ERRC_OK, true);
	k = base;
	k.status = ROWS_ACTIVE;
	k.limits.v[0].limit = 1;
	commits_fail(r->ledger->env, 0, COMMITS_ALL, ENOSPC);
	update(r, &k, ERRC_NOSPACE, false);
	commits_work();
	assert_true(is_in_force(r, &base));
	rig_check_books(r);
}

static void account_row(struct rig *r, uint64_t acc, struct buf *mem, struct rows_account *a)
{
	assert_int_equal(admin_account_get(r->live, acc, mem, a), ERRC_OK);
}

/* Nor may an account be given bounds that its balance is beyond. */
static void test_account_without_the_ledger(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 400000);
	struct rows_account a, now;
	struct admit_done done;
	struct admit_op op;
	struct rows_scope k;
	struct genid id;
	struct buf mem;
	bool durable;

	buf_init(&mem, ROWS_MAX);
	rig_key(r, acc, KEY_A, &k);
	rig_join(r);
	account_row(r, acc, &mem, &a);
	a.mode = ROWS_POSTPAID;
	commits_fail(r->ledger->env, 0, COMMITS_ALL, ENOSPC);
	assert_int_equal(admin_account_update(&r->admin, &r->by, &a, &durable), ERRC_NOSPACE);
	commits_work();
	assert_int_equal(admin_account_update(&r->admin, &r->by, &a, &durable), ERRC_OK);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 200, &id, &op));
	rig_settle(r, acc, &id, 100, 200, &done);
	rig_get_account(r, acc, &now);
	assert_int_equal(now.balance_nusd, -100000);
	account_row(r, acc, &mem, &a);
	a.mode = ROWS_PREPAID;
	a.overdraft_nusd = 99999;
	assert_int_equal(admin_account_update(&r->admin, &r->by, &a, &durable), ERRC_STATE);
	rig_get_account(r, acc, &now);
	assert_int_equal(now.mode, ROWS_POSTPAID);
	assert_int_equal(now.overdraft_nusd, 0);
	a.overdraft_nusd = 100001;
	commits_fail(r->ledger->env, 0, COMMITS_ALL, ENOSPC);
	assert_int_equal(admin_account_update(&r->admin, &r->by, &a, &durable), ERRC_OK);
	assert_false(durable);
	commits_work();
	a.overdraft_nusd = 100000;
	assert_int_equal(admin_account_update(&r->admin, &r->by, &a, &durable), ERRC_OK);
	a.overdraft_nusd = 99999;
	assert_int_equal(admin_account_update(&r->admin, &r->by, &a, &durable), ERRC_STATE);
	assert_int_equal(admin_account_take(&r->admin, &r->by, acc, 1, &durable), ERRC_STATE);
	rig_get_account(r, acc, &now);
	assert_int_equal(now.overdraft_nusd, 100000);
	rig_check_books(r);
	buf_fini(&mem);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_changes_without_the_ledger),
		T(test_resumed_and_lower_without_the_ledger),
		T(test_account_without_the_ledger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
