/* Account, team, key and end user together: what each may refuse, that a refusal leaves no trace, and what settlement, edits
 * and the loss of the live store make of their counters. */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "live_priv.h"
#include "verify.h"

#define KEY_A  "aaaaaaaaaaaa"
#define SCOPES 4

static const char none[ROWS_ID];

/* One account with rules of its own, a team, a key in it, an end user. */
struct family {
	struct rig *r;
	uint64_t account;
	struct rows_scope of[SCOPES]; /* account, team, key, user */
	struct slice user;
};

static struct family f;

static int setup(void **state)
{
	static struct rig r;

	rig_init(&r);
	rig_open(&r);
	rig_join(&r);
	f = (struct family){.r = &r, .user = SLICE_LIT("alice")};
	f.account = rig_account(&r, "acme", 100 * RIG_DOLLAR);
	rig_scope(&f.of[0], f.account, ROWS_ACCOUNT, "");
	rig_scope(&f.of[1], f.account, ROWS_TEAM, "growth");
	rig_put(&r, &f.of[1]);
	rig_key(&r, f.account, KEY_A, &f.of[2]);
	memcpy(f.of[2].team, f.of[1].id, ROWS_ID);
	rig_put(&r, &f.of[2]);
	rig_scope(&f.of[3], f.account, ROWS_USER, "alice");
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_fini(f.r);
	return 0;
}

static void put_all(void)
{
	for (size_t i = 0; i < SCOPES; i++)
		rig_put(f.r, &f.of[i]);
}

/* Some of each kind, far from being used up. */
static void give_rules(struct rows_scope *s)
{
	struct rows_rule *rolling;

	rig_limit(s, ROWS_RPM, 1000);
	rig_limit(s, ROWS_TPD, 1000000);
	rig_limit(s, ROWS_CONCURRENCY, 100);
	rig_budget(s, 10 * RIG_DOLLAR, (struct window_spec){.unit = WINDOW_DAY});
	rolling = rows_limits_add(&s->limits, ROWS_BUDGET, 20 * RIG_DOLLAR);
	rolling->window = (struct window_spec){.unit = WINDOW_HOUR, .rolling = true};
}

static bool ask(struct admit_op *op, int64_t cap, struct genid *id)
{
	struct hold_candidate c;

	rig_ask(f.r, op, &c, f.account, KEY_A, &f.r->price, cap);
	op->ask.user = f.user;
	*id = op->ask.id;
	rig_run(f.r, op);
	assert_int_equal(op->rc, ERRC_OK);
	return op->reason == ADMIT_NONE;
}

static void hold(int64_t cap, struct genid *id)
{
	struct admit_op op;

	if (!ask(&op, cap, id))
		fail_msg("%s: %s of %s", admit_reason_text(op.reason), op.refusal.what,
			 op.refusal.scope_name);
}

static void refuse(int64_t cap, enum admit_reason why, size_t scope, struct admit_refusal *out)
{
	static const char *const names[SCOPES] = {"acme", "growth", "a key", "alice"};
	static const enum rows_kind kinds[SCOPES] = {ROWS_ACCOUNT, ROWS_TEAM, ROWS_KEY, ROWS_USER};
	struct admit_op op;
	struct genid id;

	assert_false(ask(&op, cap, &id));
	assert_int_equal(op.reason, why);
	assert_int_equal(op.refusal.scope, kinds[scope]);
	assert_string_equal(op.refusal.scope_name, names[scope]);
	*out = op.refusal;
}

static void state_id(size_t scope, char id[ROWS_ID])
{
	if (scope == 3)
		rows_user_id(f.user, id);
	else
		memcpy(id, scope == 0 ? none : f.of[scope].id, ROWS_ID);
}

static void get_state(size_t scope, struct rows_state *out)
{
	char id[ROWS_ID];
	MDB_txn *txn;

	state_id(scope, id);
	assert_int_equal(live_read_begin(f.r->live, &txn), ERRC_OK);
	assert_int_equal(live_get_state(f.r->live, txn, f.account, f.of[scope].kind, id, out),
			 ERRC_OK);
	live_read_end(f.r->live);
}

/* How the n-th rule of a scope stands. */
static struct rows_rule_now look(size_t scope, size_t n)
{
	const struct rows_rule *r = &f.of[scope].limits.v[n];
	struct rows_rule_now now;
	struct rows_state s;

	get_state(scope, &s);
	rows_rule_look(r, rows_state_counter(&s, r), s.holds, f.r->boot_ms, f.r->wall_ms, &now);
	return now;
}

/* Every row of the account and of its outbox, one after the other. */
static void dump(struct buf *out)
{
	struct rows_key_name from = rows_name(1, ROWS_HEAD, SLICE_NONE);
	struct slice key = live_name(&from), value;
	MDB_cursor *c;
	MDB_txn *txn;
	enum errc rc;

	buf_init(out, 1 << 20);
	assert_int_equal(live_read_begin(f.r->live, &txn), ERRC_OK);
	assert_int_equal(mdb_cursor_open(txn, f.r->live->rows, &c), 0);
	for (rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value); !rc;
	     rc = lmdbx_move(c, MDB_NEXT, &key, &value)) {
		assert_int_equal(buf_adds(out, key), ERRC_OK);
		assert_int_equal(buf_adds(out, value), ERRC_OK);
	}
	mdb_cursor_close(c);
	live_read_end(f.r->live);
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
	};
	struct admit_refusal why;
	struct buf before;
	struct genid id;

	(void)state;
	for (size_t i = 0; i < SCOPES; i++)
		give_rules(&f.of[i]);
	put_all();
	hold(100, &id);
	for (size_t scope = 0; scope < SCOPES; scope++) {
		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			struct rows_scope with = f.of[scope];
			struct admit_done done;

			assert_non_null(
				rows_limits_add(&with.limits, cases[i].kind, cases[i].limit));
			rig_put(f.r, &with);
			if (cases[i].why != ADMIT_BUDGET) {
				rig_settle(f.r, f.account, &id, 1, 1, &done);
				hold(100, &id); /* takes what there is of the new rule */
			}
			rig_drain(f.r);
			dump(&before);
			refuse(100, cases[i].why, scope, &why);
			assert_string_equal(why.what, cases[i].what);
			assert_int_equal(why.limit, cases[i].limit);
			assert_nothing_changed(&before);
			with.limits.n--;
			rig_put(f.r, &with);
			f.of[scope] = with;
		}
	}
	/* And the credit, which comes before them. */
	dump(&before);
	refuse(60000000, ADMIT_CREDIT, 0, &why);
	assert_string_equal(why.what, "credit");
	assert_nothing_changed(&before);
}

/* Hold, settle, release and reverse move the same in all of them. */
static void test_all_count(void **state)
{
	struct admit_done done;
	struct admit_op op;
	struct genid id;
	struct rows_state s;

	(void)state;
	for (size_t i = 0; i < SCOPES; i++)
		give_rules(&f.of[i]);
	put_all();
	hold(100, &id);
	for (size_t i = 0; i < SCOPES; i++) {
		assert_int_equal(look(i, 0).used, 1);
		assert_int_equal(look(i, 1).used, 150);
		assert_int_equal(look(i, 2).used, 1);
		assert_int_equal(look(i, 3).held, 300000);
		assert_int_equal(look(i, 4).held, 300000);
	}
	rig_settle(f.r, f.account, &id, 50, 20, &done);
	for (size_t i = 0; i < SCOPES; i++) {
		assert_int_equal(look(i, 0).used, 1);
		assert_int_equal(look(i, 1).used, 70);
		assert_int_equal(look(i, 2).used, 0);
		assert_int_equal(look(i, 3).held, 0);
		assert_int_equal(look(i, 4).used, 90000);
		get_state(i, &s);
		assert_int_equal(s.charged_nusd, 90000);
		assert_int_equal(s.requests, 1);
	}
	rig_settle_op(f.r, &op, f.account, &id, 0, 0);
	op.kind = ADMIT_REVERSE;
	op.outbox_n = done.outbox_n;
	rig_run(f.r, &op);
	assert_true(op.done.settled);
	hold(100, &id);
	rig_settle_op(f.r, &op, f.account, &id, 0, 0);
	op.kind = ADMIT_RELEASE;
	rig_run(f.r, &op);
	assert_true(op.done.settled);
	for (size_t i = 0; i < SCOPES; i++) {
		assert_int_equal(look(i, 0).used, 1);
		assert_int_equal(look(i, 1).used, 70);
		assert_int_equal(look(i, 3).used, 0);
		assert_int_equal(look(i, 4).held, 0);
		get_state(i, &s);
		assert_int_equal(s.charged_nusd, 0);
		assert_int_equal(s.holds, 0);
	}
}

static void test_access_of_every_scope(void **state)
{
	static const enum admit_reason suspended[SCOPES] = {
		ADMIT_ACCOUNT_SUSPENDED, ADMIT_TEAM_SUSPENDED, ADMIT_KEY_SUSPENDED,
		ADMIT_USER_SUSPENDED};
	struct admit_refusal why;
	struct genid id;

	(void)state;
	put_all();
	hold(10, &id);
	for (size_t i = 0; i < SCOPES; i++) {
		struct rows_scope with = f.of[i];

		with.models = SLICE_LIT("m*\n!m1");
		rig_put(f.r, &with);
		refuse(10, ADMIT_MODEL, i, &why);
		with = f.of[i];
		with.nets_n = 1;
		assert_true(ipnet_parse(SLICE_LIT("10.0.0.0/8"), &with.nets[0]));
		rig_put(f.r, &with);
		refuse(10, ADMIT_IP, i, &why);
		with = f.of[i];
		with.expires_s = f.r->wall_ms / 1000;
		rig_put(f.r, &with);
		refuse(10, i == 2 ? ADMIT_KEY_EXPIRED : ADMIT_EXPIRED, i, &why);
		if (i > 0) {
			with = f.of[i];
			with.status = ROWS_SUSPENDED;
			rig_put(f.r, &with);
			refuse(10, suspended[i], i, &why);
		}
		rig_put(f.r, &f.of[i]);
		hold(10, &id);
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
	f.of[0].models = SLICE_LIT("m*");
	f.of[1].models = SLICE_LIT("!m3");
	f.of[2].models = SLICE_LIT("m1\nm3");
	put_all();
	digest_sha256(SLICE_LIT(KEY_A), hash);
	assert_int_equal(auth_lookup(f.r->live, hash, addr, f.r->wall_ms / 1000, &result, &key),
			 ERRC_OK);
	assert_int_equal(result, AUTH_OK);
	assert_string_equal(key.team_name, "growth");
	assert_memory_equal(key.team, f.of[1].id, ROWS_ID);
	assert_true(rows_lists_allow(slice_of(key.models, key.models_n), SLICE_LIT("m1")));
	assert_false(rows_lists_allow(slice_of(key.models, key.models_n), SLICE_LIT("m2")));
	assert_false(rows_lists_allow(slice_of(key.models, key.models_n), SLICE_LIT("m3")));
	for (size_t i = 0; i < 3; i++) {
		with = f.of[i];
		with.expires_s = 1;
		rig_put(f.r, &with);
		assert_int_equal(
			auth_lookup(f.r->live, hash, addr, f.r->wall_ms / 1000, &result, &key),
			ERRC_OK);
		assert_int_equal(result, i == 2 ? AUTH_EXPIRED : AUTH_SUSPENDED);
		assert_int_equal(key.refused_by, f.of[i].kind);
		rig_put(f.r, &f.of[i]);
	}
}

/* A limit that is lowered, raised, made a shadow or given another window keeps what is used of it; a new one begins at 0. */
static void test_edit_keeps_usage(void **state)
{
	struct admit_refusal why;
	struct admit_done done;
	struct rows_scope *team = &f.of[1];
	struct genid id;

	(void)state;
	rig_limit(team, ROWS_RPM, 3);
	rig_budget(team, 500000, (struct window_spec){.unit = WINDOW_DAY});
	put_all();
	hold(100, &id);
	rig_settle(f.r, f.account, &id, 100, 100, &done);
	assert_int_equal(done.charge_nusd, 300000);
	team->limits.v[0].limit = 1;
	rig_put(f.r, team);
	refuse(10, ADMIT_RATE, 1, &why);
	assert_int_equal(why.remaining, 0);
	team->limits.v[0].limit = 2;
	team->limits.v[1].limit = 250000;
	rig_put(f.r, team);
	refuse(10, ADMIT_BUDGET, 1, &why);
	assert_int_equal(why.limit, 250000);
	assert_int_equal(look(1, 1).used, 300000);
	assert_int_equal(look(1, 0).used, 1);
	/* The same limit as another rule: nothing is used of it. */
	rows_limits_remove(&team->limits, team->limits.v[0].id);
	assert_non_null(rows_limits_add(&team->limits, ROWS_RPM, 1));
	team->limits.v[0].limit = 500000;
	rig_put(f.r, team);
	assert_int_equal(team->limits.v[1].id, 3);
	assert_int_equal(look(1, 1).used, 0);
	hold(10, &id);
	assert_int_equal(look(1, 1).used, 1);
	assert_int_equal(look(1, 0).used, 300000);
}

/* A hold gives back what it took, to the rules that it took it of: not to newer ones, and to the team that the key was in. */
static void test_settled_after_edits(void **state)
{
	struct rows_scope other;
	struct admit_done done;
	struct genid id;

	(void)state;
	rig_limit(&f.of[1], ROWS_TPM, 10000);
	rig_budget(&f.of[1], RIG_DOLLAR, (struct window_spec){.unit = WINDOW_DAY});
	rig_limit(&f.of[2], ROWS_TPM, 10000);
	put_all();
	hold(100, &id);
	rows_limits_remove(&f.of[2].limits, 1);
	assert_non_null(rows_limits_add(&f.of[2].limits, ROWS_TPM, 10000));
	rig_scope(&other, f.account, ROWS_TEAM, "ops");
	rig_put(f.r, &other);
	memcpy(f.of[2].team, other.id, ROWS_ID);
	rig_put(f.r, &f.of[2]);
	rig_settle(f.r, f.account, &id, 50, 20, &done);
	assert_true(done.settled);
	assert_int_equal(look(1, 0).used, 70);
	assert_int_equal(look(1, 1).used, 90000);
	assert_int_equal(look(2, 0).used, 0);
	hold(100, &id);
	assert_int_equal(look(1, 0).used, 70);
	assert_int_equal(look(2, 0).used, 150);
}

/* Rules for some models count and refuse only what asks for those. */
static void test_rules_by_model(void **state)
{
	struct rows_scope *key = &f.of[2];
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
	put_all();
	hold(10, &id);
	hold(10, &id);
	refuse(10, ADMIT_RATE, 2, &why);
	assert_string_equal(why.models, "m1, x*");
	assert_int_equal(why.requests.limit, 2);
	for (int i = 0; i < 2; i++) {
		rig_ask(f.r, &op, &c, f.account, KEY_A, &f.r->price, 10);
		op.ask.model = SLICE_LIT("m2");
		rig_run(f.r, &op);
		assert_int_equal(op.reason, ADMIT_NONE);
		assert_int_equal(op.grant.requests.limit, ROWS_NO_LIMIT);
	}
	assert_int_equal(look(2, 0).used, 2);
	assert_int_equal(look(2, 1).used, 2);
	assert_int_equal(look(2, 2).held, 2 * 120000);
	rig_ask(f.r, &op, &c, f.account, KEY_A, &f.r->price, 100);
	op.ask.model = SLICE_LIT("m2");
	rig_run(f.r, &op);
	assert_int_equal(op.reason, ADMIT_CREDIT_HELD);
	assert_string_equal(op.refusal.models, "m2");
}

/* A shadow rule counts beyond its limit, says so, and refuses nothing; headers do not speak of it. */
static void test_shadow(void **state)
{
	struct rows_scope *key = &f.of[2], *team = &f.of[1];
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
	put_all();
	assert_true(ask(&op, 10, &id));
	assert_int_equal(op.grant.shadow.n, 0);
	assert_int_equal(op.grant.requests.limit, ROWS_NO_LIMIT);
	assert_true(ask(&op, 10, &id));
	assert_int_equal(op.grant.shadow.n, 4);
	assert_int_equal(op.grant.shadow.scopes, 1u << ROWS_KEY | 1u << ROWS_TEAM);
	assert_int_equal(op.grant.shadow.scope, ROWS_TEAM);
	assert_string_equal(op.grant.shadow.scope_name, "growth");
	assert_string_equal(op.grant.shadow.what, "tokens a minute");
	assert_int_equal(op.grant.shadow.limit, 100);
	assert_int_equal(look(2, 0).used, 2);
	assert_int_equal(look(2, 2).held, 240000);
	assert_int_equal(look(2, 2).remaining, 0);
	assert_int_equal(look(1, 0).used, 300);
	/* Once it is in earnest, what was counted counts. */
	key->limits.v[0].shadow = false;
	rig_put(f.r, key);
	assert_false(ask(&op, 10, &id));
	assert_int_equal(op.reason, ADMIT_RATE);
}

/* Five dollars more for two windows: this one and the next, whatever is used of them. */
static void test_raise_for_some_windows(void **state)
{
	struct rows_scope *key = &f.of[2];
	struct rows_rule *b;
	struct admit_refusal why;
	struct admit_done done;
	struct genid id;
	int64_t day = f.r->wall_ms / 86400000;

	(void)state;
	rig_budget(key, 400000, (struct window_spec){.unit = WINDOW_DAY});
	put_all();
	hold(100, &id);
	rig_settle(f.r, f.account, &id, 100, 100, &done);
	refuse(100, ADMIT_BUDGET, 2, &why);
	b = &key->limits.v[0];
	b->raise = 300000;
	b->raise_until_s = (day + 2) * 86400;
	rig_put(f.r, key);
	assert_int_equal(look(2, 0).limit, 700000);
	assert_int_equal(look(2, 0).used, 300000);
	hold(100, &id);
	refuse(100, ADMIT_CREDIT_HELD, 2, &why);
	assert_int_equal(why.limit, 700000);
	rig_settle(f.r, f.account, &id, 100, 100, &done);
	f.r->wall_ms = (day + 1) * 86400000 + 1000;
	hold(280, &id);
	f.r->wall_ms = (day + 2) * 86400000 + 1000;
	assert_int_equal(look(2, 0).limit, 400000);
	refuse(280, ADMIT_BUDGET, 2, &why);
	assert_int_equal(why.limit, 400000);
	/* Until it is taken back. */
	b->raise_until_s = 0;
	rig_put(f.r, key);
	hold(280, &id);
	b->raise = 0;
	rig_put(f.r, key);
	refuse(10, ADMIT_CREDIT_HELD, 2, &why);
	assert_int_equal(look(2, 0).held, 660000);
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
	hold(10, &id); /* nobody says anything of end users */
	rig_scope(&every, f.account, ROWS_USER, ROWS_EVERY_USER);
	rig_limit(&every, ROWS_RPM, 1);
	rig_put(f.r, &every);
	f.user = SLICE_LIT("bob");
	hold(10, &id);
	assert_false(ask(&op, 10, &id));
	assert_int_equal(op.refusal.scope, ROWS_USER);
	assert_string_equal(op.refusal.scope_name, "bob");
	f.user = SLICE_LIT("carol");
	hold(10, &id);
	f.user = SLICE_NONE;
	hold(10, &id);
	hold(10, &id);
	f.user = SLICE_LIT("alice");
	rig_limit(&f.of[3], ROWS_RPM, 3);
	rig_put(f.r, &f.of[3]);
	hold(10, &id);
	hold(10, &id);
	hold(10, &id);
	refuse(10, ADMIT_RATE, 3, &why);
	assert_int_equal(admin_user_remove(&f.r->admin, &f.r->by, f.account, f.user, &durable),
			 ERRC_OK);
	rig_drain(f.r);
	f.r->boot_ms += 2 * 60000;
	hold(10, &id);
	refuse(10, ADMIT_RATE, 3, &why);
	assert_int_equal(why.limit, 1);
	assert_int_equal(admin_user_remove(&f.r->admin, &f.r->by, f.account, f.user, &durable),
			 ERRC_NOTFOUND);
}

/* The live store is lost: the budgets of all scopes come back from the records, also of users that have no row. */
static void test_budgets_after_a_loss(void **state)
{
	struct verify_result v;
	struct rows_scope every;
	struct admit_done done;
	struct genid id;
	char cmd[300];

	(void)state;
	for (size_t i = 0; i < SCOPES; i++)
		give_rules(&f.of[i]);
	put_all();
	rig_scope(&every, f.account, ROWS_USER, ROWS_EVERY_USER);
	rig_budget(&every, RIG_DOLLAR, (struct window_spec){.unit = WINDOW_TOTAL});
	rig_put(f.r, &every);
	for (int i = 0; i < 6; i++) {
		f.user = i < 3 ? SLICE_LIT("alice") : SLICE_LIT("bob");
		hold(100, &id);
		rig_settle(f.r, f.account, &id, 50, 20, &done);
		if (i == 2) {
			assert_int_equal(ledger_begin(f.r->ledger), ERRC_OK);
			assert_int_equal(ledger_checkpoint(f.r->ledger), ERRC_OK);
			assert_int_equal(ledger_commit(f.r->ledger), ERRC_OK);
		}
	}
	rig_drain(f.r);
	rig_close(f.r);
	snprintf(cmd, sizeof cmd, "rm -rf '%s/live'", f.r->dir);
	assert_int_equal(system(cmd), 0);
	rig_open(f.r);
	assert_int_equal(f.r->started.outcome, STORE_REBUILT);
	rig_join(f.r);
	f.user = SLICE_LIT("alice");
	for (size_t i = 0; i < SCOPES; i++) {
		assert_int_equal(look(i, 3).used, i == 3 ? 270000 : 540000);
		assert_int_equal(look(i, 4).used, i == 3 ? 270000 : 540000);
	}
	f.user = SLICE_LIT("bob");
	f.of[3] = every;
	assert_int_equal(look(3, 0).used, 270000);
	hold(100, &id);
	assert_int_equal(look(3, 0).held, 300000);
	assert_int_equal(verify_ledger(f.r->ledger, false, NULL, NULL, &v), ERRC_OK);
	assert_true(verify_is_good(&v));
}

static void test_names_and_ids(void **state)
{
	struct rows_scope team, key = f.of[2];
	char id[ROWS_ID];
	bool durable;

	(void)state;
	rig_scope(&team, f.account, ROWS_TEAM, "growth");
	assert_int_equal(admin_team_create(&f.r->admin, &f.r->by, &team, &durable), ERRC_EXISTS);
	team.name = SLICE_LIT("two words");
	assert_int_equal(admin_team_create(&f.r->admin, &f.r->by, &team, &durable), ERRC_INVAL);
	team.name = SLICE_LIT("x");
	team.account = 77;
	assert_int_equal(admin_team_create(&f.r->admin, &f.r->by, &team, &durable), ERRC_NOTFOUND);
	assert_int_equal(admin_team_find(f.r->live, f.account, SLICE_LIT("growth"), id), ERRC_OK);
	assert_memory_equal(id, f.of[1].id, ROWS_ID);
	assert_int_equal(admin_team_find(f.r->live, f.account, slice_of(id, ROWS_ID), id), ERRC_OK);
	assert_int_equal(admin_team_find(f.r->live, 2, SLICE_LIT("growth"), id), ERRC_NOTFOUND);
	memcpy(key.team, "nosuchteam00", ROWS_ID);
	assert_int_equal(admin_key_update(&f.r->admin, &f.r->by, &key, &durable), ERRC_NOTFOUND);
	key = f.of[2];
	assert_non_null(rows_limits_add(&key.limits, ROWS_RPM, 1));
	key.limits.v[0].id = 9;
	assert_int_equal(admin_key_update(&f.r->admin, &f.r->by, &key, &durable), ERRC_INVAL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_one_refuses_and_nothing_changes),
		T(test_all_count),
		T(test_access_of_every_scope),
		T(test_lookup_knows_the_owners),
		T(test_edit_keeps_usage),
		T(test_settled_after_edits),
		T(test_rules_by_model),
		T(test_shadow),
		T(test_raise_for_some_windows),
		T(test_end_users),
		T(test_budgets_after_a_loss),
		T(test_names_and_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
