#include "rig.h"

#include "agree.h"

#include <stdio.h>

#define KEY_A "aaaaaaaaaaaa"
#define KEY_B "bbbbbbbbbbbb"

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

static void update_key(struct rig *r, const struct rows_scope *k)
{
	bool durable;

	r->by.wall_ms = r->wall_ms;
	assert_int_equal(admin_key_update(&r->admin, &r->by, k, &durable), ERRC_OK);
	assert_true(durable);
	rig_drain(r);
}

static void test_credit_for_exactly_ten(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 10 * r->per_request.request_nusd);
	struct genid ids[16];
	struct rows_account a;
	struct admit_done done;
	struct admit_op op;
	struct rows_scope k;
	struct scan s;
	int granted = 0;

	rig_key(r, acc, KEY_A, &k);
	for (int i = 0; i < 16; i++) {
		struct genid id;

		if (rig_hold(r, acc, KEY_A, &r->per_request, 10, &id, &op)) {
			ids[granted++] = id;
			continue;
		}
		assert_int_equal(op.reason, ADMIT_CREDIT_HELD);
		assert_int_equal(op.refusal.scope, ROWS_ACCOUNT);
		assert_string_equal(op.refusal.scope_name, "acme");
		assert_int_equal(op.refusal.wait_ms, 1000);
	}
	assert_int_equal(granted, 10);
	rig_check(r, &s);
	assert_int_equal(s.holds, 10);
	for (int i = 0; i < granted; i++) {
		rig_settle(r, acc, &ids[i], 10, 10, &done);
		assert_true(done.settled);
		assert_int_equal(done.charge_nusd, r->per_request.request_nusd);
		assert_int_equal(done.outbox_n, i + 1);
	}
	assert_false(rig_hold(r, acc, KEY_A, &r->per_request, 10, &ids[0], &op));
	assert_int_equal(op.reason, ADMIT_CREDIT);
	assert_int_equal(op.refusal.affordable_tokens, 0);
	rig_get_account(r, acc, &a);
	assert_int_equal(a.balance_nusd, 0);
	assert_int_equal(a.settled_nusd, a.granted_nusd);
	rig_check(r, &s);
	assert_int_equal(s.holds, 0);
}

static void test_settle_once(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct rows_account a, b;
	struct admit_done done;
	struct admit_op op;
	struct genid id;
	struct rows_scope k;

	rig_key(r, acc, KEY_A, &k);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 100, &id, &op));
	assert_int_equal(op.grant.hold.hold_nusd, 100 * 1000 + 100 * 2000);
	assert_int_equal(op.grant.hold.cap[0], 100);
	assert_int_equal(op.grant.requests.limit, ROWS_NO_LIMIT);
	rig_get_account(r, acc, &a);
	assert_int_equal(a.held_nusd, 300000);
	assert_int_equal(a.balance_nusd, RIG_DOLLAR - 300000);
	rig_settle(r, acc, &id, 50, 20, &done);
	assert_true(done.settled);
	assert_int_equal(done.charge_nusd, 90000);
	assert_int_equal(done.uncollected_nusd, 0);
	rig_get_account(r, acc, &a);
	rig_settle(r, acc, &id, 50, 20, &done);
	assert_false(done.settled);
	rig_get_account(r, acc, &b);
	assert_true(rig_same(&a, &b));
	assert_int_equal(a.settled_nusd, 90000);
	assert_int_equal(a.held_nusd, 0);
}

static void test_cost_above_hold(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 400000);
	struct rows_account a;
	struct admit_done done;
	struct admit_op op;
	struct genid id;
	struct rows_scope k;
	struct scan s;

	rig_key(r, acc, KEY_A, &k);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 100, &id, &op));
	rig_settle(r, acc, &id, 100, 300, &done);
	assert_int_equal(done.charge_nusd, 400000);
	assert_int_equal(done.uncollected_nusd, 300000);
	rig_get_account(r, acc, &a);
	assert_int_equal(a.balance_nusd, 0);
	assert_int_equal(a.uncollected_nusd, 300000);
	rig_check(r, &s);
}

/* What the account may owe is available too, and no more than that. */
static void test_cost_above_hold_in_overdraft(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 400000);
	struct rows_account a;
	struct admit_done done;
	struct admit_op op;
	struct genid id;
	struct rows_scope k;
	struct scan s;
	struct buf mem;
	bool durable;

	rig_key(r, acc, KEY_A, &k);
	buf_init(&mem, ROWS_MAX);
	assert_int_equal(admin_account_get(r->live, acc, &mem, &a), ERRC_OK);
	a.overdraft_nusd = 200000;
	assert_int_equal(admin_account_update(&r->admin, &r->by, &a, &durable), ERRC_OK);
	buf_fini(&mem);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 100, &id, &op));
	rig_settle(r, acc, &id, 100, 300, &done);
	assert_int_equal(done.charge_nusd, 600000);
	assert_int_equal(done.uncollected_nusd, 100000);
	rig_get_account(r, acc, &a);
	assert_int_equal(a.balance_nusd, -200000);
	assert_int_equal(a.uncollected_nusd, 100000);
	rig_check(r, &s);
	/* A refusal tells all that could be used as the limit, as what explains limits does. */
	assert_false(rig_hold(r, acc, KEY_A, &r->price, 100, &id, &op));
	assert_int_equal(op.reason, ADMIT_CREDIT);
	assert_int_equal(op.refusal.limit, 600000);
	assert_int_equal(op.refusal.remaining, 0);
}

static void test_candidates_dropped_and_caps(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 300000);
	struct hold_candidate c[2];
	struct price dear = r->price, gratis;
	struct admit_op op;
	struct rows_scope k;

	rig_key(r, acc, KEY_A, &k);
	dear.pusd[USAGE_OUTPUT] *= 1000;
	rig_ask(r, &op, &c[0], acc, KEY_A, &dear, 100);
	c[1] = c[0];
	c[1].price[0] = &r->price;
	op.ask.hold.candidates = c;
	op.ask.hold.n = 2;
	rig_run(r, &op);
	assert_int_equal(op.reason, ADMIT_NONE);
	assert_false(op.grant.hold.kept[0]);
	assert_true(op.grant.hold.kept[1]);
	assert_int_equal(op.grant.index[0], -1);
	assert_int_equal(op.grant.index[1], 0);
	/* Nothing is left but a free model still goes. */
	price_init(&gratis);
	gratis.free = true;
	assert_int_equal(price_complete(&gratis), ERRC_OK);
	rig_ask(r, &op, &c[0], acc, KEY_A, &gratis, 0);
	rig_run(r, &op);
	assert_int_equal(op.reason, ADMIT_NONE);
	assert_int_equal(op.grant.hold.hold_nusd, 0);
	assert_int_equal(op.grant.hold.cap[0], 4096);
}

static void test_fallbacks_that_the_key_may_not_use(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 100 * RIG_DOLLAR);
	struct hold_candidate c[2];
	struct admit_op op;
	struct rows_scope k;

	rig_key(r, acc, KEY_A, &k);
	k.models = SLICE_LIT("m1");
	update_key(r, &k);
	rig_ask(r, &op, &c[0], acc, KEY_A, &r->price, 100);
	c[1] = c[0];
	c[1].model = SLICE_LIT("m2");
	op.ask.hold.candidates = c;
	op.ask.hold.n = 2;
	rig_run(r, &op);
	assert_int_equal(op.reason, ADMIT_NONE);
	assert_true(op.grant.hold.kept[0] && !op.grant.hold.kept[1]);
	/* Nothing but what it may not use. */
	rig_ask(r, &op, &c[0], acc, KEY_A, &r->price, 100);
	c[0].model = SLICE_LIT("m2");
	rig_run(r, &op);
	assert_int_equal(op.reason, ADMIT_MODEL);
}

static void test_rate_limits(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 100 * RIG_DOLLAR);
	struct rows_account a, b;
	struct admit_op op;
	struct genid id;
	struct rows_scope k;

	rig_key(r, acc, KEY_A, &k);
	rig_limit(&k, ROWS_RPM, 5);
	update_key(r, &k);
	for (int i = 0; i < 5; i++) {
		assert_true(rig_hold(r, acc, KEY_A, &r->price, 10, &id, &op));
		assert_int_equal(op.grant.requests.limit, 5);
		assert_int_equal(op.grant.requests.remaining, 4 - i);
	}
	rig_get_account(r, acc, &a);
	assert_false(rig_hold(r, acc, KEY_A, &r->price, 10, &id, &op));
	assert_int_equal(op.reason, ADMIT_RATE);
	assert_string_equal(op.refusal.what, "requests a minute");
	assert_string_equal(op.refusal.scope_name, "a key");
	assert_int_equal(op.refusal.limit, 5);
	assert_true(op.refusal.wait_ms > 0 && op.refusal.wait_ms <= 120000);
	assert_int_equal(op.refusal.reset_wall_ms, r->wall_ms + op.refusal.wait_ms);
	assert_int_equal(op.refusal.requests.limit, 5);
	assert_int_equal(op.refusal.requests.remaining, 0);
	assert_true(op.refusal.requests.reset_ms > 0);
	assert_int_equal(op.refusal.tokens.limit, ROWS_NO_LIMIT);
	rig_get_account(r, acc, &b);
	assert_true(rig_same(&a, &b));
	r->boot_ms += op.refusal.wait_ms - 1;
	assert_false(rig_hold(r, acc, KEY_A, &r->price, 10, &id, &op));
	r->boot_ms += 1;
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 10, &id, &op));
}

static void assert_usage_eq(const struct auth_usage *u, const struct auth_usage *v)
{
	assert_int_equal(u->rules_n, v->rules_n);
	for (size_t i = 0; i < u->rules_n; i++)
		assert_memory_equal(&u->rules[i].now, &v->rules[i].now, sizeof u->rules[i].now);
	assert_int_equal(u->holds, v->holds);
	assert_int_equal(u->balance_nusd, v->balance_nusd);
	assert_int_equal(u->held_nusd, v->held_nusd);
}

/* The limits before the one that refuses must not have been touched. */
static void test_all_or_none(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 250000);
	struct auth_usage u, v;
	struct admit_op op;
	struct genid id;
	struct rows_scope k;

	rig_key(r, acc, KEY_A, &k);
	rig_limit(&k, ROWS_RPM, 100);
	rig_limit(&k, ROWS_TPM, 100000);
	rig_limit(&k, ROWS_CONCURRENCY, 10);
	rig_budget(&k, RIG_DOLLAR, (struct window_spec){.unit = WINDOW_DAY});
	update_key(r, &k);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 10, &id, &op));
	rig_usage(r, acc, KEY_A, &u);
	assert_int_equal(rig_rule(&u, ROWS_RPM).used, 1);
	assert_int_equal(rig_rule(&u, ROWS_BUDGET).held, 120000);
	assert_false(rig_hold(r, acc, KEY_A, &r->price, 100, &id, &op));
	assert_int_equal(op.reason, ADMIT_CREDIT);
	assert_int_equal(op.refusal.requests.remaining, 99);
	assert_int_equal(op.refusal.tokens.limit, 100000);
	assert_int_equal(op.refusal.tokens.remaining, 100000 - rig_rule(&u, ROWS_TPM).used);
	assert_int_equal(op.refusal.affordable_tokens, 15);
	rig_usage(r, acc, KEY_A, &v);
	assert_usage_eq(&u, &v);
}

static void test_concurrency(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct genid a, b, c;
	struct admit_done done;
	struct admit_op op;
	struct rows_scope k;

	rig_key(r, acc, KEY_A, &k);
	rig_limit(&k, ROWS_CONCURRENCY, 2);
	update_key(r, &k);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 10, &a, &op));
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 10, &b, &op));
	assert_false(rig_hold(r, acc, KEY_A, &r->price, 10, &c, &op));
	assert_int_equal(op.reason, ADMIT_CONCURRENCY);
	rig_settle(r, acc, &a, 1, 1, &done);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 10, &c, &op));
}

static void test_budget_window(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 100 * RIG_DOLLAR);
	struct admit_done done;
	struct auth_usage u;
	struct admit_op op;
	struct genid id, late;
	struct rows_scope k;

	rig_key(r, acc, KEY_A, &k);
	rig_budget(&k, 500000, (struct window_spec){.unit = WINDOW_HOUR});
	update_key(r, &k);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 100, &id, &op)); /* holds 300,000 */
	assert_false(rig_hold(r, acc, KEY_A, &r->price, 100, &late, &op));
	assert_int_equal(op.reason, ADMIT_CREDIT_HELD);
	assert_string_equal(op.refusal.what, "budget per hour");
	rig_settle(r, acc, &id, 100, 100, &done);
	assert_false(rig_hold(r, acc, KEY_A, &r->price, 100, &late, &op));
	assert_int_equal(op.reason, ADMIT_BUDGET);
	assert_int_equal(op.refusal.limit, 500000);
	assert_int_equal(op.refusal.remaining, 200000);
	assert_int_equal(op.refusal.affordable_tokens, 50);
	assert_int_equal(op.refusal.reset_wall_ms % 3600000, 0);
	/* A hold of this hour that is settled in the next is charged to this one. */
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 50, &late, &op));
	r->wall_ms = (r->by.wall_ms / 3600000 + 1) * 3600000 + 5000;
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 200, &id, &op));
	rig_settle(r, acc, &late, 100, 50, &done);
	rig_usage(r, acc, KEY_A, &u);
	assert_int_equal(rig_rule(&u, ROWS_BUDGET).used, 0);
	assert_int_equal(rig_rule(&u, ROWS_BUDGET).held, 500000);
	/* Editing keeps what is used. */
	rig_limit(&k, ROWS_BUDGET, 600000);
	update_key(r, &k);
	rig_usage(r, acc, KEY_A, &u);
	assert_int_equal(rig_rule(&u, ROWS_BUDGET).remaining, 100000);
}

static void refuses(struct rig *r, uint64_t acc, enum admit_reason why)
{
	struct admit_op op;
	struct genid id;

	assert_false(rig_hold(r, acc, KEY_A, &r->price, 10, &id, &op));
	assert_int_equal(op.reason, why);
}

static void test_access(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct admit_op op;
	struct genid id;
	struct rows_scope k;
	bool durable;

	refuses(r, acc, ADMIT_KEY_UNKNOWN);
	rig_key(r, acc, KEY_A, &k);
	k.models = SLICE_LIT("m*\n!m1");
	update_key(r, &k);
	refuses(r, acc, ADMIT_MODEL);
	k.models = SLICE_LIT("m1");
	assert_true(ipnet_parse(SLICE_LIT("10.0.0.0/8"), &k.nets[0]));
	k.nets_n = 1;
	update_key(r, &k);
	refuses(r, acc, ADMIT_IP);
	k.nets_n = 0;
	k.expires_s = r->wall_ms / 1000;
	update_key(r, &k);
	refuses(r, acc, ADMIT_KEY_EXPIRED);
	k.expires_s = 0;
	update_key(r, &k);
	assert_int_equal(admin_account_set_status(&r->admin, &r->by, acc, ROWS_SUSPENDED, &durable),
			 ERRC_OK);
	refuses(r, acc, ADMIT_ACCOUNT_SUSPENDED);
	assert_int_equal(admin_account_set_status(&r->admin, &r->by, acc, ROWS_ACTIVE, &durable),
			 ERRC_OK);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 10, &id, &op));
	assert_int_equal(admin_key_revoke(&r->admin, &r->by, KEY_A, false, &durable), ERRC_OK);
	refuses(r, acc, ADMIT_KEY_REVOKED);
	assert_int_equal(admin_key_update(&r->admin, &r->by, &k, &durable), ERRC_STATE);
}

/* One operation of a batch that is refused, one that fails, and the others commit. */
static void test_batch(void **state)
{
	static const struct admit_rules rules = {.ledger_lag_max_ms = 10000};
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 2 * r->per_request.request_nusd);
	struct admit_op op[LIMIT_TXN_OPS], *ops[LIMIT_TXN_OPS];
	struct hold_candidate c[LIMIT_TXN_OPS];
	struct rows_scope k;
	struct scan s;

	rig_key(r, acc, KEY_A, &k);
	for (size_t i = 0; i < LIMIT_TXN_OPS; i++) {
		rig_ask(r, &op[i], &c[i], acc, KEY_A, &r->per_request, 10);
		ops[i] = &op[i];
	}
	op[1].ask.id = op[0].ask.id;
	assert_int_equal(admit_batch(r->live, &rules, ops, LIMIT_TXN_OPS), ERRC_OK);
	assert_int_equal(op[0].reason, ADMIT_NONE);
	assert_int_equal(op[1].rc, ERRC_EXISTS);
	assert_int_equal(op[2].reason, ADMIT_NONE);
	for (size_t i = 3; i < LIMIT_TXN_OPS; i++)
		assert_int_equal(op[i].reason, ADMIT_CREDIT_HELD);
	rig_check(r, &s);
	assert_int_equal(s.holds, 2);
}

static void test_release_and_reverse(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct rows_account a;
	struct admit_done done;
	struct auth_usage u;
	struct admit_op op;
	struct genid id;
	struct rows_scope k;
	struct scan s;

	rig_key(r, acc, KEY_A, &k);
	rig_limit(&k, ROWS_RPM, 100);
	rig_limit(&k, ROWS_TPM, 100000);
	update_key(r, &k);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 10, &id, &op));
	rig_usage(r, acc, KEY_A, &u);
	assert_int_equal(rig_rule(&u, ROWS_RPM).used, 1);
	assert_int_equal(rig_rule(&u, ROWS_TPM).used, 150);
	rig_release(r, acc, &id);
	rig_usage(r, acc, KEY_A, &u);
	assert_int_equal(rig_rule(&u, ROWS_RPM).used, 0);
	assert_int_equal(rig_rule(&u, ROWS_TPM).used, 0);
	assert_int_equal(u.balance_nusd, RIG_DOLLAR);
	assert_int_equal(u.requests, 0);

	assert_true(rig_hold(r, acc, KEY_A, &r->price, 10, &id, &op));
	rig_settle(r, acc, &id, 100, 10, &done);
	rig_settle_op(r, &op, acc, &id, 0, 0);
	op.kind = ADMIT_REVERSE;
	op.outbox_n = done.outbox_n;
	rig_run(r, &op);
	assert_true(op.done.settled);
	assert_int_equal(op.done.charge_nusd, done.charge_nusd);
	rig_run(r, &op);
	assert_false(op.done.settled);
	rig_get_account(r, acc, &a);
	assert_int_equal(a.balance_nusd, RIG_DOLLAR);
	assert_int_equal(a.settled_nusd, 0);
	assert_int_equal(rig_drain(r), 2);
	assert_int_equal(book_account(ledger_book(r->ledger), acc)->balance_nusd, RIG_DOLLAR);
	rig_check(r, &s);
}

/* With the charge that is taken back goes what of it could not be collected. */
static void test_reverse_of_an_uncollected_charge(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 200000);
	struct agree g = {.done = false};
	struct rows_account a;
	struct admit_done done;
	struct admit_op op;
	struct genid id;
	struct rows_scope k;
	struct scan s;

	rig_key(r, acc, KEY_A, &k);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 10, &id, &op));
	rig_settle(r, acc, &id, 100, 1000, &done);
	assert_int_equal(done.charge_nusd, 200000);
	assert_int_equal(done.uncollected_nusd, 1900000);
	rig_reverse(r, acc, &id, done.outbox_n);
	rig_get_account(r, acc, &a);
	assert_int_equal(a.balance_nusd, 200000);
	assert_int_equal(a.uncollected_nusd, 0);
	while (!g.done)
		assert_int_equal(agree_slice(&r->admin, &g), ERRC_OK);
	assert_int_equal(g.different, 0);
	assert_int_equal(book_account(ledger_book(r->ledger), acc)->uncollected_nusd, 0);
	rig_check(r, &s);
}

static bool is_open(struct rig *r)
{
	const struct admit_rules rules = {.ledger_lag_max_ms = 10000};

	return admit_is_open(r->live, &rules, r->boot_ms);
}

static void test_ledger_gate(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct admit_done done;
	struct admit_op op;
	struct genid id;
	struct rows_scope k;

	rig_key(r, acc, KEY_A, &k);
	progress_set_ledger_failed(live_progress(r->live), true);
	refuses(r, acc, ADMIT_LEDGER);
	assert_false(is_open(r));
	progress_set_ledger_failed(live_progress(r->live), false);
	assert_true(is_open(r));
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 10, &id, &op));
	rig_settle(r, acc, &id, 10, 10, &done);
	r->boot_ms += 10000;
	assert_true(is_open(r));
	r->boot_ms += 1;
	refuses(r, acc, ADMIT_LEDGER);
	assert_false(is_open(r));
	assert_int_equal(rig_drain(r), 1);
	assert_true(is_open(r));
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 10, &id, &op));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static enum auth_result look_up(struct rig *r, const char *secret)
{
	const uint8_t addr[16] = {0};
	uint8_t hash[DIGEST_SHA256];
	enum auth_result result;
	struct auth_key key;

	digest_sha256(slice_str(secret), hash);
	assert_int_equal(auth_lookup(r->live, hash, addr, r->wall_ms / 1000, &result, &key),
			 ERRC_OK);
	return result;
}

/* The old secret stays good for its grace, no longer; a second rotation ends it at once. */
static void test_rotation(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	uint8_t hash[DIGEST_SHA256];
	struct rows_scope k;
	bool durable;

	rig_key(r, acc, KEY_A, &k);
	digest_sha256(SLICE_LIT("second"), hash);
	assert_int_equal(admin_key_rotate(&r->admin, &r->by, KEY_A, hash, 2, r->wall_ms / 1000 + 60,
					  &durable),
			 ERRC_OK);
	assert_true(durable);
	assert_int_equal(look_up(r, KEY_A), AUTH_OK);
	assert_int_equal(look_up(r, "second"), AUTH_OK);
	/* An edit in between changes nothing of that. */
	k.name = SLICE_LIT("renamed");
	update_key(r, &k);
	assert_int_equal(look_up(r, KEY_A), AUTH_OK);
	r->wall_ms += 60000;
	assert_int_equal(look_up(r, KEY_A), AUTH_UNKNOWN);
	assert_int_equal(look_up(r, "second"), AUTH_OK);
	digest_sha256(SLICE_LIT("third"), hash);
	assert_int_equal(admin_key_rotate(&r->admin, &r->by, KEY_A, hash, 2, 0, &durable), ERRC_OK);
	assert_int_equal(look_up(r, "second"), AUTH_UNKNOWN);
	assert_int_equal(look_up(r, "third"), AUTH_OK);
	assert_int_equal(admin_key_revoke(&r->admin, &r->by, KEY_A, false, &durable), ERRC_OK);
	assert_int_equal(admin_key_rotate(&r->admin, &r->by, KEY_A, hash, 2, 0, &durable),
			 ERRC_STATE);
	assert_int_equal(look_up(r, "third"), AUTH_REVOKED);
}

/* The row of a new key whose secret is its id. */
static void make_row(uint64_t account, const char *id, struct buf *out)
{
	struct rows_scope k;

	rig_scope(&k, account, ROWS_KEY, "imported");
	memcpy(k.id, id, APIKEY_ID);
	digest_sha256(slice_str(id), k.hash);
	assert_int_equal(rows_put_scope(out, &k), ERRC_OK);
}

#define MANY 21 /* some transactions of the live store, the last of them not full */

/* Many keys: one that cannot be made is told by its place, and none is made; or all, in one commit. */
static void test_many_keys(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR), seq;
	struct admin_key_new keys[MANY];
	char ids[MANY][APIKEY_ID + 1];
	struct buf rows[MANY], again;
	bool durable;
	size_t at;

	for (size_t i = 0; i < MANY; i++) {
		snprintf(ids[i], sizeof ids[i], "keyaaaaaaa%02zu", i);
		buf_init(&rows[i], ROWS_MAX);
		make_row(acc, ids[i], &rows[i]);
		keys[i].row = buf_slice(&rows[i]);
	}
	seq = ledger_state(r->ledger)->last_seq;
	/* Twice the same, somebody else's account, no row at all. */
	keys[MANY - 2].row = buf_slice(&rows[3]);
	assert_int_equal(admin_keys_create(&r->admin, &r->by, keys, MANY, &at, &durable),
			 ERRC_EXISTS);
	assert_int_equal(at, MANY - 2);
	buf_init(&again, ROWS_MAX);
	make_row(acc + 1, ids[MANY - 2], &again);
	keys[MANY - 2].row = buf_slice(&again);
	assert_int_equal(admin_keys_create(&r->admin, &r->by, keys, MANY, &at, &durable),
			 ERRC_NOTFOUND);
	assert_int_equal(at, MANY - 2);
	keys[MANY - 2].row = SLICE_LIT("no row");
	assert_int_equal(admin_keys_create(&r->admin, &r->by, keys, MANY, &at, &durable),
			 ERRC_INVAL);
	keys[MANY - 2].row = buf_slice(&rows[MANY - 2]);
	assert_int_equal(ledger_state(r->ledger)->last_seq, seq);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(look_up(r, ids[i]), AUTH_UNKNOWN);

	assert_int_equal(admin_keys_create(&r->admin, &r->by, keys, MANY, &at, &durable), ERRC_OK);
	assert_true(durable);
	assert_int_equal(ledger_state(r->ledger)->last_seq, seq + MANY);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < MANY; i++)
			assert_int_equal(look_up(r, ids[i]), AUTH_OK);
		rig_close(r);
		rig_open(r);
	}
	assert_int_equal(admin_keys_create(&r->admin, &r->by, keys, MANY, &at, &durable),
			 ERRC_EXISTS);
	assert_int_equal(at, 0);
	for (size_t i = 0; i < MANY; i++)
		buf_fini(&rows[i]);
	buf_fini(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_credit_for_exactly_ten),
		T(test_settle_once),
		T(test_cost_above_hold),
		T(test_cost_above_hold_in_overdraft),
		T(test_candidates_dropped_and_caps),
		T(test_fallbacks_that_the_key_may_not_use),
		T(test_rate_limits),
		T(test_all_or_none),
		T(test_concurrency),
		T(test_budget_window),
		T(test_access),
		T(test_rotation),
		T(test_many_keys),
		T(test_batch),
		T(test_release_and_reverse),
		T(test_reverse_of_an_uncollected_charge),
		T(test_ledger_gate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
