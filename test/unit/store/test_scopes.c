/* Account, team, key and end user together: what each may refuse, that a refusal leaves no trace, and what settlement and edits
 * make of their counters. */
#include "family.h"

#include "live_priv.h"

/* Every row of the account and of its outbox, one after the other. */
static void dump(struct buf *out)
{
	const MDB_dbi trees[] = {family.r->live->rows, family.r->live->defs};
	MDB_cursor *c;
	MDB_txn *txn;
	enum errc rc;

	buf_init(out, 1 << 20);
	assert_int_equal(live_read_begin(family.r->live, &txn), ERRC_OK);
	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		struct rows_key_name from = rows_name(1, ROWS_HEAD, SLICE_NONE);
		struct slice key = live_name(&from), value;

		assert_int_equal(mdb_cursor_open(txn, trees[i], &c), 0);
		for (rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value); !rc;
		     rc = lmdbx_move(c, MDB_NEXT, &key, &value)) {
			assert_int_equal(buf_adds(out, key), ERRC_OK);
			assert_int_equal(buf_adds(out, value), ERRC_OK);
		}
		mdb_cursor_close(c);
	}
	live_read_end(family.r->live);
}

static void assert_nothing_changed(struct buf *before)
{
	struct buf after;

	dump(&after);
	assert_int_equal(after.len, before->len);
	assert_memory_equal(after.p, before->p, after.len);
	buf_fini(&after);
	buf_fini(before);
}

/* The roots of the three other trees stand in the tree of hot rows: behind every account, before the tail. */
static void test_other_trees_stand_behind_accounts(void **state)
{
	struct rows_key_name from = rows_name(ROWS_ACCOUNT_LAST, ROWS_HEAD, SLICE_NONE);
	struct slice key = live_name(&from), value, id;
	enum rows_kind kind;
	uint64_t account;
	MDB_cursor *c;
	MDB_txn *txn;

	(void)state;
	assert_int_equal(live_read_begin(family.r->live, &txn), ERRC_OK);
	assert_int_equal(mdb_cursor_open(txn, family.r->live->rows, &c), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(lmdbx_move(c, i ? MDB_NEXT : MDB_SET_RANGE, &key, &value), ERRC_OK);
		assert_true(rows_name_parse(key, &account, &kind, &id));
		assert_true(account == (i < 3 ? ROWS_ACCOUNT_LAST + 1 : ROWS_ACCOUNT_TAIL));
		assert_int_equal(kind, i < 3 ? ROWS_HEAD : ROWS_TAIL);
	}
	mdb_cursor_close(c);
	live_read_end(family.r->live);
}

/* Row 17 with five scopes (credit, account, team, key, user), each of which is the one that refuses: the others stay as they
 * are, byte for byte, whatever kind of rule it was. */
static void test_one_refuses_and_nothing_changes(void **state)
{
	static const struct {
		enum rows_limit kind;
		int64_t limit;
		enum admit_reason why;
		const char *what;
	} cases[] = {
		{ROWS_RPM, 1, ADMIT_RATE, "requests a minute"},
		{ROWS_TPM, 1, ADMIT_RATE, "tokens a minute"},
		{ROWS_CONCURRENCY, 1, ADMIT_CONCURRENCY, "requests at once"},
		{ROWS_BUDGET, 300000, ADMIT_CREDIT_HELD, "budget per month"},
		{ROWS_BUDGET, 200000, ADMIT_BUDGET, "budget per month"},
		{ROWS_BUDGET, 300000, ADMIT_CREDIT_HELD, "credit"},
		{ROWS_BUDGET, 200000, ADMIT_CREDIT, "credit"},
	};
	struct admit_refusal why;
	struct buf before;
	struct genid id;

	(void)state;
	for (size_t i = 0; i < FAMILY_N; i++)
		family_give_rules(&family.of[i]);
	family_put();
	family_hold(100, &id);
	for (size_t scope = 0; scope < FAMILY_N; scope++) {
		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			struct rows_scope with = family.of[scope];
			struct rows_rule *r =
				rows_limits_add(&with.limits, cases[i].kind, cases[i].limit);
			struct admit_done done;

			assert_non_null(r);
			r->credit = strcmp(cases[i].what, "credit") == 0;
			r->window.unit = r->credit ? WINDOW_TOTAL : WINDOW_MONTH;
			rig_put(family.r, &with);
			if (cases[i].limit != 200000) {
				rig_settle(family.r, family.account, &id, 1, 1, &done);
				family_hold(100, &id); /* takes what there is of the new rule */
			}
			rig_drain(family.r);
			dump(&before);
			family_refuse(100, cases[i].why, scope, &why);
			assert_string_equal(why.what, cases[i].what);
			assert_int_equal(why.limit, cases[i].limit);
			assert_nothing_changed(&before);
			with.limits.n--;
			rig_put(family.r, &with);
			family.of[scope] = with;
		}
	}
	/* And the credit, which comes before them. */
	dump(&before);
	family_refuse(60000000, ADMIT_CREDIT, 0, &why);
	assert_string_equal(why.what, "credit");
	assert_nothing_changed(&before);
}

/* Hold, settle, release and reverse move the same in all of them. */
static void test_all_count(void **state)
{
	struct admit_done done;
	struct genid id;
	struct rows_state s;

	(void)state;
	for (size_t i = 0; i < FAMILY_N; i++)
		family_give_rules(&family.of[i]);
	family_put();
	family_hold(100, &id);
	for (size_t i = 0; i < FAMILY_N; i++) {
		assert_int_equal(family_look(i, 0).used, 1);
		assert_int_equal(family_look(i, 1).used, 150);
		assert_int_equal(family_look(i, 2).used, 1);
		assert_int_equal(family_look(i, 3).held, 300000);
		assert_int_equal(family_look(i, 4).held, 300000);
	}
	rig_settle(family.r, family.account, &id, 50, 20, &done);
	for (size_t i = 0; i < FAMILY_N; i++) {
		assert_int_equal(family_look(i, 0).used, 1);
		assert_int_equal(family_look(i, 1).used, 70);
		assert_int_equal(family_look(i, 2).used, 0);
		assert_int_equal(family_look(i, 3).held, 0);
		assert_int_equal(family_look(i, 4).used, 90000);
		family_state(i, &s);
		assert_int_equal(s.charged_nusd, 90000);
		assert_int_equal(s.requests, 1);
	}
	rig_reverse(family.r, family.account, &id, done.outbox_n);
	family_hold(100, &id);
	rig_release(family.r, family.account, &id);
	for (size_t i = 0; i < FAMILY_N; i++) {
		assert_int_equal(family_look(i, 0).used, 1);
		assert_int_equal(family_look(i, 1).used, 70);
		assert_int_equal(family_look(i, 3).used, 0);
		assert_int_equal(family_look(i, 4).held, 0);
		family_state(i, &s);
		assert_int_equal(s.charged_nusd, 0);
		assert_int_equal(s.holds, 0);
	}
}

static void test_access_of_every_scope(void **state)
{
	static const enum admit_reason suspended[FAMILY_N] = {
		ADMIT_ACCOUNT_SUSPENDED, ADMIT_TEAM_SUSPENDED, ADMIT_KEY_SUSPENDED,
		ADMIT_USER_SUSPENDED};
	struct admit_refusal why;
	struct genid id;

	(void)state;
	family_put();
	family_hold(10, &id);
	for (size_t i = 0; i < FAMILY_N; i++) {
		struct rows_scope with = family.of[i];

		with.models = SLICE_LIT("m*\n!m1");
		rig_put(family.r, &with);
		family_refuse(10, ADMIT_MODEL, i, &why);
		with = family.of[i];
		with.nets_n = 1;
		assert_true(ipnet_parse(SLICE_LIT("10.0.0.0/8"), &with.nets[0]));
		rig_put(family.r, &with);
		family_refuse(10, ADMIT_IP, i, &why);
		with = family.of[i];
		with.expires_s = family.r->wall_ms / 1000;
		rig_put(family.r, &with);
		family_refuse(10, i == 2 ? ADMIT_KEY_EXPIRED : ADMIT_EXPIRED, i, &why);
		if (i > 0) {
			with = family.of[i];
			with.status = ROWS_SUSPENDED;
			rig_put(family.r, &with);
			family_refuse(10, suspended[i], i, &why);
		}
		rig_put(family.r, &family.of[i]);
		family_hold(10, &id);
	}
}

static void test_lookup_knows_the_owners(void **state)
{
	const uint8_t addr[16] = {0};
	uint8_t hash[DIGEST_SHA256];
	enum auth_result result;
	struct rows_scope with;
	struct auth_key key;

	(void)state;
	family.of[0].models = SLICE_LIT("m*");
	family.of[1].models = SLICE_LIT("!m3");
	family.of[2].models = SLICE_LIT("m1\nm3");
	family_put();
	digest_sha256(SLICE_LIT(FAMILY_KEY), hash);
	assert_int_equal(
		auth_lookup(family.r->live, hash, addr, family.r->wall_ms / 1000, &result, &key),
		ERRC_OK);
	assert_int_equal(result, AUTH_OK);
	assert_string_equal(key.team_name, "growth");
	assert_memory_equal(key.team, family.of[1].id, ROWS_ID);
	assert_true(rows_lists_allow(slice_of(key.models, key.models_n), SLICE_LIT("m1")));
	assert_false(rows_lists_allow(slice_of(key.models, key.models_n), SLICE_LIT("m2")));
	assert_false(rows_lists_allow(slice_of(key.models, key.models_n), SLICE_LIT("m3")));
	for (size_t i = 0; i < 3; i++) {
		with = family.of[i];
		with.expires_s = 1;
		rig_put(family.r, &with);
		assert_int_equal(auth_lookup(family.r->live, hash, addr, family.r->wall_ms / 1000,
					     &result, &key),
				 ERRC_OK);
		assert_int_equal(result, i == 2 ? AUTH_EXPIRED : AUTH_OVER);
		assert_int_equal(key.refused_by, family.of[i].kind);
		rig_put(family.r, &family.of[i]);
	}
}

/* A limit that is lowered, raised, made a shadow or given another window keeps what is used of it; a new one begins at 0. */
static void test_edit_keeps_usage(void **state)
{
	struct admit_refusal why;
	struct admit_done done;
	struct rows_scope *team = &family.of[1];
	struct genid id;

	(void)state;
	rig_limit(team, ROWS_RPM, 3);
	rig_budget(team, 500000, (struct window_spec){.unit = WINDOW_DAY});
	family_put();
	family_hold(100, &id);
	rig_settle(family.r, family.account, &id, 100, 100, &done);
	assert_int_equal(done.charge_nusd, 300000);
	team->limits.v[0].limit = 1;
	rig_put(family.r, team);
	family_refuse(10, ADMIT_RATE, 1, &why);
	assert_int_equal(why.remaining, 0);
	team->limits.v[0].limit = 2;
	team->limits.v[1].limit = 250000;
	rig_put(family.r, team);
	family_refuse(10, ADMIT_BUDGET, 1, &why);
	assert_int_equal(why.limit, 250000);
	assert_int_equal(family_look(1, 1).used, 300000);
	assert_int_equal(family_look(1, 0).used, 1);
	team->limits.v[1].window = window_change(team->limits.v[1].window,
						 (struct window_spec){.unit = WINDOW_MINUTE},
						 family.r->wall_ms / 1000);
	rig_put(family.r, team);
	assert_int_equal(family_look(1, 1).used, 300000);
	family_refuse(10, ADMIT_BUDGET, 1, &why);
	/* The same limit as another rule: nothing is used of it. */
	rows_limits_remove(&team->limits, team->limits.v[0].id);
	assert_non_null(rows_limits_add(&team->limits, ROWS_RPM, 1));
	team->limits.v[0].limit = 500000;
	rig_put(family.r, team);
	assert_int_equal(team->limits.v[1].id, 3);
	assert_int_equal(family_look(1, 1).used, 0);
	family_hold(10, &id);
	assert_int_equal(family_look(1, 1).used, 1);
	assert_int_equal(family_look(1, 0).used, 300000);
}

/* A hold gives back what it took, to the rules that it took it of: not to newer ones, and to the team that the key was in. */
static void test_settled_after_edits(void **state)
{
	struct rows_scope other;
	struct admit_done done;
	struct genid id;

	(void)state;
	rig_limit(&family.of[1], ROWS_TPM, 10000);
	rig_budget(&family.of[1], RIG_DOLLAR, (struct window_spec){.unit = WINDOW_DAY});
	rig_limit(&family.of[2], ROWS_TPM, 10000);
	family_put();
	family_hold(100, &id);
	rows_limits_remove(&family.of[2].limits, 1);
	assert_non_null(rows_limits_add(&family.of[2].limits, ROWS_TPM, 10000));
	rig_scope(&other, family.account, ROWS_TEAM, "ops");
	rig_put(family.r, &other);
	memcpy(family.of[2].team, other.id, ROWS_ID);
	rig_put(family.r, &family.of[2]);
	rig_settle(family.r, family.account, &id, 50, 20, &done);
	assert_true(done.settled);
	assert_int_equal(family_look(1, 0).used, 70);
	assert_int_equal(family_look(1, 1).used, 90000);
	assert_int_equal(family_look(2, 0).used, 0);
	family_hold(100, &id);
	assert_int_equal(family_look(1, 0).used, 70);
	assert_int_equal(family_look(2, 0).used, 150);
}

/* Rules for some models count and refuse only what asks for those. */
static void test_rules_by_model(void **state)
{
	struct rows_scope *key = &family.of[2];
	struct admit_refusal why;
	struct hold_candidate c;
	struct admit_op op;
	struct genid id;

	(void)state;
	assert_non_null(rows_limits_add(&key->limits, ROWS_RPM, 2));
	key->limits.v[0].models = SLICE_LIT("m1\nx*");
	assert_non_null(rows_limits_add(&key->limits, ROWS_CONCURRENCY, 5));
	key->limits.v[1].models = SLICE_LIT("!m1");
	assert_non_null(rows_limits_add(&key->limits, ROWS_BUDGET, 500000));
	key->limits.v[2].models = SLICE_LIT("m2");
	family_put();
	family_hold(10, &id);
	family_hold(10, &id);
	family_refuse(10, ADMIT_RATE, 2, &why);
	assert_string_equal(why.models, "m1, x*");
	assert_int_equal(why.requests.limit, 2);
	for (int i = 0; i < 2; i++) {
		rig_ask(family.r, &op, &c, family.account, FAMILY_KEY, &family.r->price, 10);
		op.ask.model = SLICE_LIT("m2");
		rig_run(family.r, &op);
		assert_int_equal(op.reason, ADMIT_NONE);
		assert_int_equal(op.grant.requests.limit, ROWS_NO_LIMIT);
	}
	assert_int_equal(family_look(2, 0).used, 2);
	assert_int_equal(family_look(2, 1).used, 2);
	assert_int_equal(family_look(2, 2).held, 2 * 120000);
	rig_ask(family.r, &op, &c, family.account, FAMILY_KEY, &family.r->price, 100);
	op.ask.model = SLICE_LIT("m2");
	rig_run(family.r, &op);
	assert_int_equal(op.reason, ADMIT_CREDIT_HELD);
	assert_string_equal(op.refusal.models, "m2");
}

static void expect_shadow(const struct admit_op *op, size_t at, enum rows_kind scope, size_t n,
			  const char *what, int64_t limit)
{
	const struct admit_shadow_scope *x = &op->grant.shadow.v[at];

	assert_int_equal(x->scope, scope);
	assert_int_equal(x->n, n);
	assert_string_equal(x->what, what);
	assert_int_equal(x->limit, limit);
	assert_false(x->money);
}

/* A shadow rule counts beyond its limit, says so, and refuses nothing; headers do not speak of it. */
static void test_shadow(void **state)
{
	struct rows_scope *key = &family.of[2], *team = &family.of[1];
	struct admit_op op;
	struct genid id;

	(void)state;
	rig_limit(key, ROWS_RPM, 1);
	rig_limit(key, ROWS_CONCURRENCY, 1);
	rig_budget(key, 200000, (struct window_spec){.unit = WINDOW_DAY});
	rig_limit(team, ROWS_TPM, 100);
	for (size_t i = 0; i < key->limits.n; i++)
		key->limits.v[i].shadow = true;
	team->limits.v[0].shadow = true;
	family_put();
	assert_true(family_ask(&op, 10, &id));
	assert_int_equal(op.grant.shadow.n, 0);
	assert_int_equal(op.grant.requests.limit, ROWS_NO_LIMIT);
	assert_true(family_ask(&op, 10, &id));
	assert_int_equal(op.grant.shadow.n, 2);
	expect_shadow(&op, 0, ROWS_TEAM, 1, "tokens a minute", 100);
	expect_shadow(&op, 1, ROWS_KEY, 3, "requests a minute", 1);
	assert_int_equal(family_look(2, 0).used, 2);
	assert_int_equal(family_look(2, 2).held, 240000);
	assert_int_equal(family_look(2, 2).remaining, 0);
	assert_int_equal(family_look(1, 0).used, 300);
	/* Once it is in earnest, what was counted counts. */
	key->limits.v[0].shadow = false;
	rig_put(family.r, key);
	assert_false(family_ask(&op, 10, &id));
	assert_int_equal(op.reason, ADMIT_RATE);
}

/* A scope in shadow refuses by nothing but its status, and says what it would have refused. */
static void test_shadow_of_a_scope(void **state)
{
	const uint8_t addr[16] = {0};
	uint8_t hash[DIGEST_SHA256];
	struct admit_refusal why;
	enum auth_result result;
	struct auth_key key;
	struct admit_op op;
	struct genid id;

	(void)state;
	family_put();
	digest_sha256(SLICE_LIT(FAMILY_KEY), hash);
	for (size_t i = 0; i < FAMILY_N; i++) {
		struct rows_scope with = family.of[i];

		with.models = SLICE_LIT("!m1\nm*");
		with.nets_n = 1;
		assert_true(ipnet_parse(SLICE_LIT("10.0.0.0/8"), &with.nets[0]));
		with.expires_s = family.r->wall_ms / 1000;
		rig_limit(&with, ROWS_CONCURRENCY, 0);
		rig_put(family.r, &with);
		family_refuse(10, i == 2 ? ADMIT_KEY_EXPIRED : ADMIT_EXPIRED, i, &why);
		with.flags |= ROWS_SHADOW;
		rig_put(family.r, &with);
		assert_true(family_ask(&op, 10, &id));
		assert_int_equal(op.grant.shadow.n, 1);
		expect_shadow(&op, 0, with.kind, 4, "end", ROWS_NO_LIMIT);
		assert_int_equal(auth_lookup(family.r->live, hash, addr, family.r->wall_ms / 1000,
					     &result, &key),
				 ERRC_OK);
		assert_int_equal(result, AUTH_OK);
		assert_true(rows_lists_allow(slice_of(key.models, key.models_n), SLICE_LIT("m1")));
		with.expires_s = 0;
		with.nets_n = 0;
		rig_put(family.r, &with);
		assert_true(family_ask(&op, 10, &id));
		assert_int_equal(op.grant.shadow.n, 1);
		expect_shadow(&op, 0, with.kind, 2, "models", ROWS_NO_LIMIT);
		with.status = ROWS_SUSPENDED;
		if (i > 0) {
			rig_put(family.r, &with);
			assert_false(family_ask(&op, 10, &id));
		}
		rig_put(family.r, &family.of[i]);
		family_hold(10, &id);
	}
}

/* Five dollars more for two windows: this one and the next, whatever is used of them. */
static void test_raise_for_some_windows(void **state)
{
	struct rows_scope *key = &family.of[2];
	struct rows_rule *b;
	struct admit_refusal why;
	struct admit_done done;
	struct genid id;
	int64_t day = family.r->wall_ms / 86400000;

	(void)state;
	rig_budget(key, 400000, (struct window_spec){.unit = WINDOW_DAY});
	family_put();
	family_hold(100, &id);
	rig_settle(family.r, family.account, &id, 100, 100, &done);
	family_refuse(100, ADMIT_BUDGET, 2, &why);
	b = &key->limits.v[0];
	b->raise = 300000;
	b->raise_until_s = (day + 2) * 86400;
	rig_put(family.r, key);
	assert_int_equal(family_look(2, 0).limit, 700000);
	assert_int_equal(family_look(2, 0).used, 300000);
	family_hold(100, &id);
	family_refuse(100, ADMIT_CREDIT_HELD, 2, &why);
	assert_int_equal(why.limit, 700000);
	rig_settle(family.r, family.account, &id, 100, 100, &done);
	family.r->wall_ms = (day + 1) * 86400000 + 1000;
	family_hold(280, &id);
	family.r->wall_ms = (day + 2) * 86400000 + 1000;
	assert_int_equal(family_look(2, 0).limit, 400000);
	family_refuse(280, ADMIT_BUDGET, 2, &why);
	assert_int_equal(why.limit, 400000);
	/* Until it is taken back. */
	b->raise_until_s = 0;
	rig_put(family.r, key);
	family_hold(280, &id);
	b->raise = 0;
	rig_put(family.r, key);
	family_refuse(10, ADMIT_CREDIT_HELD, 2, &why);
	assert_int_equal(family_look(2, 0).held, 660000);
}

/* Of budgets that are used up the one that lasts longest is told, whichever scope it is of; of two that last as long the first. */
static void test_the_longest_budget_is_told(void **state)
{
	static const struct {
		enum window_unit first, second; /* of the team, of the key */
		bool credit;                    /* the second one is */
		size_t told;
	} rows[] = {
		{WINDOW_MINUTE, WINDOW_YEAR, false, 2}, {WINDOW_YEAR, WINDOW_MINUTE, false, 1},
		{WINDOW_MONTH, WINDOW_MONTH, false, 1}, {WINDOW_MONTH, WINDOW_TOTAL, false, 2},
		{WINDOW_TOTAL, WINDOW_TOTAL, false, 1}, {WINDOW_DAY, WINDOW_TOTAL, true, 2},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const enum window_unit units[] = {rows[i].first, rows[i].second};
		bool credit = rows[i].told == 2 && rows[i].credit;
		struct admit_refusal why;

		for (size_t k = 0; k < 2; k++) {
			rig_budget(&family.of[1 + k], 1, (struct window_spec){.unit = units[k]});
			family.of[1 + k].limits.v[0].credit = k == 1 && rows[i].credit;
			rig_put(family.r, &family.of[1 + k]);
		}
		family_refuse(10, credit ? ADMIT_CREDIT : ADMIT_BUDGET, rows[i].told, &why);
		assert_string_equal(why.what, rows_rule_text(&family.of[rows[i].told].limits.v[0]));
		assert_int_equal(why.reset_wall_ms == 0, units[rows[i].told - 1] == WINDOW_TOTAL);
		for (size_t k = 0; k < 2; k++)
			rows_limits_remove(&family.of[1 + k].limits,
					   family.of[1 + k].limits.v[0].id);
	}
}

static void add(size_t scope, enum rows_limit kind, int64_t limit)
{
	struct rows_rule *r = rows_limits_add(&family.of[scope].limits, kind, limit);

	assert_non_null(r);
	if (kind == ROWS_BUDGET)
		r->window.unit = WINDOW_MONTH;
	rig_put(family.r, &family.of[scope]);
}

/* Of several that refuse the one is told that lasts longest, wherever it stands; money that is gone before any of them, but not what running
 * requests hold. */
static void test_the_last_obstacle_is_told(void **state)
{
	struct admit_refusal why;
	struct admit_done done;
	struct genid id;

	(void)state;
	add(0, ROWS_CONCURRENCY, 1);
	family_hold(100, &id);
	family_refuse(100, ADMIT_CONCURRENCY, 0, &why);
	add(1, ROWS_RPM, 1);
	family_refuse(100, ADMIT_CONCURRENCY, 0, &why); /* nothing is counted of the new one yet */
	rig_settle(family.r, family.account, &id, 1, 1, &done);
	family_hold(100, &id);
	family_refuse(100, ADMIT_RATE, 1, &why);
	assert_true(why.wait_ms > 1000);
	add(3, ROWS_RPD, 0);
	family_refuse(100, ADMIT_RATE, 3, &why);
	assert_int_equal(why.wait_ms, WINDOW_NEVER);
	add(2, ROWS_BUDGET, 300000);
	family_refuse(100, ADMIT_RATE, 3,
		      &why); /* as much again fits into the budget, but for what is held */
	add(2, ROWS_BUDGET, 200000);
	family_refuse(100, ADMIT_BUDGET, 2, &why);
	rig_settle(family.r, family.account, &id, 1, 1, &done);
}

static void test_names_and_ids(void **state)
{
	struct rows_scope team, key = family.of[2];
	char id[ROWS_ID];
	bool durable;

	(void)state;
	rig_scope(&team, family.account, ROWS_TEAM, "growth");
	assert_int_equal(admin_team_create(&family.r->admin, &family.r->by, &team, &durable),
			 ERRC_EXISTS);
	team.name = SLICE_LIT("two words");
	assert_int_equal(admin_team_create(&family.r->admin, &family.r->by, &team, &durable),
			 ERRC_INVAL);
	team.name = SLICE_LIT("acme/growth"); /* what reports would take for growth of acme */
	assert_int_equal(admin_team_create(&family.r->admin, &family.r->by, &team, &durable),
			 ERRC_INVAL);
	/* Names are labels of metrics: one that is not UTF-8 would spoil all of /metrics. */
	assert_true(admin_is_name(SLICE_LIT("grün")));
	assert_false(admin_is_name(SLICE_LIT("gr\xfcn")));
	assert_false(admin_is_name(SLICE_LIT("gr\xc3")));
	assert_false(admin_is_name(SLICE_LIT("a\xc2\x85"
					     "b")));
	assert_false(admin_is_name(SLICE_LIT("a\x7f"
					     "b")));
	assert_false(admin_is_name(SLICE_LIT("a\tb")));
	assert_false(admin_is_name(SLICE_LIT("")));
	team.name = SLICE_LIT("x");
	team.account = 77;
	assert_int_equal(admin_team_create(&family.r->admin, &family.r->by, &team, &durable),
			 ERRC_NOTFOUND);
	assert_int_equal(admin_team_find(family.r->live, family.account, SLICE_LIT("growth"), id),
			 ERRC_OK);
	assert_memory_equal(id, family.of[1].id, ROWS_ID);
	assert_int_equal(admin_team_find(family.r->live, family.account, slice_of(id, ROWS_ID), id),
			 ERRC_OK);
	assert_int_equal(admin_team_find(family.r->live, 2, SLICE_LIT("growth"), id), ERRC_NOTFOUND);
	memcpy(key.team, "nosuchteam00", ROWS_ID);
	assert_int_equal(admin_key_update(&family.r->admin, &family.r->by, &key, &durable),
			 ERRC_NOTFOUND);
	key = family.of[2];
	assert_non_null(rows_limits_add(&key.limits, ROWS_RPM, 1));
	key.limits.v[0].id = 9;
	assert_int_equal(admin_key_update(&family.r->admin, &family.r->by, &key, &durable),
			 ERRC_INVAL);
}

/* What is bounded by nothing, and so holds nothing, is no less charged: it counts in the budgets. */
static void test_charge_of_an_empty_hold(void **state)
{
	struct rig *r = family.r;
	struct rows_rule_now now;
	struct hold_candidate c;
	struct admit_done done;
	struct admit_op op;
	struct genid id;

	(void)state;
	for (size_t i = 0; i < FAMILY_N; i++)
		family_give_rules(&family.of[i]);
	family_put();
	rig_ask(r, &op, &c, family.account, FAMILY_KEY, &r->price, 0);
	op.ask.user = family.user;
	c.input_bound = 0;
	c.max_output = 0;
	id = op.ask.id;
	rig_run(r, &op);
	assert_int_equal(op.rc, ERRC_OK);
	assert_int_equal(op.reason, ADMIT_NONE);
	assert_int_equal(op.grant.hold.hold_nusd, 0);
	rig_settle(r, family.account, &id, 5, 0, &done);
	assert_int_equal(done.charge_nusd, 5000);
	for (size_t i = 0; i < FAMILY_N; i++) {
		now = family_look(i, 3);
		assert_int_equal(now.used, 5000);
		assert_int_equal(now.held, 0);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, family_setup, family_teardown)
	const struct CMUnitTest tests[] = {
		T(test_other_trees_stand_behind_accounts),
		T(test_one_refuses_and_nothing_changes),
		T(test_all_count),
		T(test_access_of_every_scope),
		T(test_lookup_knows_the_owners),
		T(test_edit_keeps_usage),
		T(test_settled_after_edits),
		T(test_rules_by_model),
		T(test_shadow),
		T(test_shadow_of_a_scope),
		T(test_charge_of_an_empty_hold),
		T(test_raise_for_some_windows),
		T(test_the_last_obstacle_is_told),
		T(test_names_and_ids),
		T(test_the_longest_budget_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
