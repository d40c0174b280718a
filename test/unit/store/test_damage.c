/* Rows of the live store that cannot be read: what looks through it tells of them, passes them over, and finds and mends everything else. */
#include "family.h"

#include <stdio.h>

#include "agree.h"
#include "agree_lost.h"
#include "idle.h"
#include "live_states.h"

#define KEY_O "oooooooooooo"

static const char none[ROWS_ID];
static uint64_t other;

static int set_up(void **state, bool apart)
{
	struct admit_done done;
	struct rows_scope k;
	struct genid id;

	if ((apart ? family_setup_apart : family_setup)(state))
		return -1;
	for (size_t i = 0; i < FAMILY_N; i++)
		family_give_rules(&family.of[i]);
	family_put();
	family_hold(100, &id);
	rig_settle(family.r, family.account, &id, 50, 20, &done);
	other = rig_account(family.r, "other", RIG_DOLLAR);
	rig_key(family.r, other, KEY_O, &k);
	return 0;
}

static int setup(void **state)
{
	return set_up(state, false);
}

/* What scopes have used is in rows of their own. */
static int setup_apart(void **state)
{
	return set_up(state, true);
}

/* --- rows --- */

static const char *id_of(size_t scope, char user[ROWS_ID])
{
	rows_user_id(family.user, user);
	return scope == 3 ? user : scope == 0 ? none : family.of[scope].id;
}

static struct rows_key_name definition_of(size_t scope)
{
	char user[ROWS_ID];

	return rows_name_scope(family.account, family.of[scope].kind, id_of(scope, user));
}

static struct rows_key_name state_of(size_t scope)
{
	char user[ROWS_ID];

	return rows_name_state(family.account, family.of[scope].kind, id_of(scope, user));
}

/* n SIZE_MAX: nothing is written. What was there before, in `room`. */
static struct slice exchange(const struct rows_key_name *name, const char *p, size_t n,
			     char room[ROWS_MAX])
{
	struct slice before;
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
	assert_int_equal(live_row_get(family.r->live, txn, name, &before), ERRC_OK);
	memcpy(room, before.p, before.n);
	if (n != SIZE_MAX)
		assert_int_equal(live_row_put(family.r->live, txn, name, slice_of(p, n), 0),
				 ERRC_OK);
	assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
	return slice_of(room, before.n);
}

/* Cut by a byte (what: 0), or of another version. */
static struct slice damage(const struct rows_key_name *name, int what, char room[ROWS_MAX])
{
	struct slice before = exchange(name, NULL, SIZE_MAX, room);
	char bad[ROWS_MAX], same[ROWS_MAX];

	memcpy(bad, before.p, before.n);
	bad[0] = (char)(bad[0] ^ (what ? 0x41 : 0));
	(void)exchange(name, bad, before.n - (what ? 0 : 1), same);
	return before;
}

static void restore(const struct rows_key_name *name, struct slice row)
{
	char bad[ROWS_MAX];

	(void)exchange(name, row.p, row.n, bad);
}

static void drop_row(const struct rows_key_name *name)
{
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
	assert_int_equal(live_row_del(family.r->live, txn, name), ERRC_OK);
	assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
}

static void skew_other(int64_t by)
{
	struct rows_account a;
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
	assert_int_equal(live_get_account(family.r->live, txn, other, &a), ERRC_OK);
	a.balance_nusd += by;
	a.granted_nusd += 2 * by;
	assert_int_equal(live_put_account(family.r->live, txn, &a), ERRC_OK);
	assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
}

/* --- those who look --- */

static struct agree_lost lost(bool mend)
{
	struct agree_lost g = {.at = 0};

	while (!g.done)
		assert_int_equal(
			agree_lost_slice(&family.r->admin, &g, mend, family.r->wall_ms / 1000),
			ERRC_OK);
	return g;
}

static void expect_agree(uint64_t damaged, uint64_t different)
{
	struct agree g = {.done = false};

	while (!g.done)
		assert_int_equal(agree_slice(&family.r->admin, &g), ERRC_OK);
	assert_int_equal(g.accounts, 2);
	assert_int_equal(g.missing, 0);
	assert_int_equal(g.damaged, damaged);
	assert_int_equal(g.first_damaged, damaged ? family.account : 0);
	assert_int_equal(g.different, different);
	assert_int_equal(g.first_different, different ? other : 0);
}

static void expect_scan(uint64_t damaged, int64_t imbalance)
{
	struct scan s = {.done = false};

	while (!s.done)
		assert_int_equal(scan_slice(family.r->live, &s, 1), ERRC_OK);
	assert_int_equal(s.damaged, damaged);
	assert_int_equal(s.first_damaged, damaged ? family.account : 0);
	assert_int_equal(s.imbalance_nusd, imbalance);
	assert_int_equal(s.broken_accounts, imbalance != 0);
	assert_int_equal(scan_off(&s), imbalance ? imbalance : (int64_t)damaged);
	assert_int_equal(s.first_broken, imbalance ? other : 0);
}

/* --- the tests --- */

/* Cut, and of another version; `states` scopes cannot be read then. */
static void expect_the_rest(const struct rows_key_name *name, bool in_sums, uint64_t states)
{
	struct rows_key_name definition = rows_name_scope(other, ROWS_KEY, KEY_O);

	for (int what = 0; what < 2; what++) {
		char room[ROWS_MAX];
		struct slice good = damage(name, what, room);
		struct agree_lost g;

		drop_row(&definition);
		g = lost(false);
		assert_int_equal(g.damaged, states);
		assert_int_equal(g.first_damaged, family.account);
		assert_int_equal(g.lost, 1);
		assert_int_equal(g.first_account, other);
		assert_int_equal(lost(true).mended, 1);
		g = lost(true);
		assert_int_equal(g.lost, 0);
		assert_int_equal(g.damaged, states);
		expect_agree(1, 0);
		expect_scan(in_sums, 0);
		skew_other(5);
		expect_agree(1, 1);
		expect_scan(in_sums, 5);
		skew_other(-5);
		restore(name, good);
		assert_int_equal(lost(true).damaged, 0);
		expect_agree(0, 0);
		expect_scan(0, 0);
	}
}

/* The account, and what its scopes have used. */
static void test_everything_else_is_found(void **state)
{
	struct rows_key_name account = rows_name(family.account, ROWS_ACCOUNT, SLICE_NONE),
			     states = rows_name_states(family.account);

	(void)state;
	expect_agree(0, 0);
	expect_scan(0, 0);
	expect_the_rest(&account, true, 1);
	expect_the_rest(&states, true, FAMILY_N);
}

/* One of them alone, in the row of several. */
static void test_one_state_of_a_row(void **state)
{
	struct rows_key_name name = rows_name_states(family.account);
	char room[ROWS_MAX], bad[ROWS_MAX], same[ROWS_MAX];
	struct slice good = exchange(&name, NULL, SIZE_MAX, room);
	struct rows_states w;

	(void)state;
	assert_int_equal(rows_states_begin(&w, SLICE_NONE, good), ERRC_OK);
	for (size_t i = 0; i < FAMILY_N; i++) {
		assert_int_equal(rows_states_next(&w), ERRC_OK);
		memcpy(bad, good.p, good.n);
		bad[w.state.p - good.p] ^= 0x41; /* its version */
		(void)exchange(&name, bad, good.n, same);
		assert_int_equal(lost(true).damaged, 1);
		expect_agree(1, 0);
		expect_scan(w.kind == ROWS_KEY, 0);
		skew_other(5);
		expect_agree(1, 1);
		expect_scan(w.kind == ROWS_KEY, 5);
		skew_other(-5);
	}
	restore(&name, good);
	expect_agree(0, 0);
	expect_scan(0, 0);
}

static void test_everything_else_is_found_apart(void **state)
{
	(void)state;
	for (size_t of = 0; of < FAMILY_N; of++) {
		struct rows_key_name name = state_of(of);

		expect_the_rest(&name, family.of[of].kind == ROWS_KEY, 1);
	}
}

/* The ledger has them: they are put back as those that are not there. */
static void test_definitions_are_put_back(void **state)
{
	struct genid id;

	(void)state;
	for (size_t i = 0; i < 2 * FAMILY_N; i++) {
		struct rows_key_name name = definition_of(i / 2);
		char room[ROWS_MAX], again[ROWS_MAX];
		struct slice good = damage(&name, i % 2, room);
		struct agree_lost g;

		expect_agree(1, 0);
		g = lost(false);
		assert_int_equal(g.lost, 1);
		assert_int_equal(g.damaged, 0);
		assert_int_equal(lost(true).mended, 1);
		assert_true(slice_eq(exchange(&name, NULL, SIZE_MAX, again), good));
		assert_int_equal(lost(true).lost, 0);
		expect_agree(0, 0);
		family_hold(100, &id);
	}
}

/* What leads to a key. */
static void test_a_way_is_put_back(void **state)
{
	static uint8_t addr[16];
	struct live *l = family.r->live;
	enum auth_result result;
	struct auth_key key;
	MDB_cursor *c;
	MDB_val k, v;
	MDB_txn *txn;
	uint64_t n = 0;

	(void)state;
	assert_int_equal(live_txn_begin(l, &txn), ERRC_OK);
	assert_int_equal(mdb_cursor_open(txn, l->index, &c), 0);
	while (mdb_cursor_get(c, &k, &v, MDB_NEXT) == 0) {
		MDB_val bad = {3, (char[]){1, 2, 3}};
		char name[ROWS_NAME_MAX + 64]; /* its page is written to */

		assert_true(k.mv_size <= sizeof name);
		memcpy(name, k.mv_data, k.mv_size);
		k.mv_data = name;
		assert_int_equal(mdb_cursor_put(c, &k, &bad, MDB_CURRENT), 0);
		n++;
	}
	mdb_cursor_close(c);
	assert_int_equal(live_txn_commit(l, &txn), ERRC_OK);
	assert_int_equal(n, 2 + 2 + 2 + 1); /* accounts, keys, secrets, a team */
	assert_int_equal(lost(true).mended, 3);
	assert_int_equal(lost(true).damaged, 2); /* the accounts' names */
	assert_int_equal(
		auth_lookup(l, family.of[2].hash, addr, family.r->wall_ms / 1000, &result, &key),
		ERRC_OK);
	assert_int_equal(result, AUTH_OK);
}

/* Those of an account that is not there, or cannot be read, cannot be put back; those of others in the same transaction are. */
static void test_the_rest_of_a_transaction_is_put_back(void **state)
{
	struct rows_key_name account = rows_name(family.account, ROWS_ACCOUNT, SLICE_NONE),
			     definition = rows_name_scope(other, ROWS_KEY, KEY_O),
			     user = definition_of(3);
	char room[ROWS_MAX];
	struct slice good;
	struct agree_lost g;

	(void)state;
	drop_row(&definition);
	drop_row(&user);
	good = damage(&account, 0, room);
	g = lost(true);
	assert_int_equal(g.lost, 2);
	assert_int_equal(g.mended, 1);
	g = lost(true);
	assert_int_equal(g.lost, 1);
	assert_int_equal(g.first_account, family.account);
	restore(&account, good);
	assert_int_equal(lost(true).mended, 1);
	drop_row(&definition);
	drop_row(&account);
	g = lost(true);
	assert_int_equal(g.lost, 4); /* the account, its rules, its end user, the other's key */
	assert_int_equal(g.mended, 1);
	assert_int_equal(lost(true).lost, 3);
}

/* At once after a start too. */
static void test_start(void **state)
{
	struct rows_key_name name = rows_name_states(family.account),
			     definition = rows_name_scope(other, ROWS_KEY, KEY_O);
	char room[ROWS_MAX];

	(void)state;
	(void)damage(&name, 0, room);
	drop_row(&definition);
	rig_close(family.r);
	rig_open(family.r);
	assert_int_equal(family.r->started.outcome, STORE_ACCEPTED);
	assert_int_equal(lost(false).lost, 0);
	assert_int_equal(lost(false).damaged, FAMILY_N);
}

/* What is held is not known then: no account is called broken for it. */
static void test_holds(void **state)
{
	struct rows_key_name name;
	struct genid id;
	char room[ROWS_MAX];
	struct slice good;

	(void)state;
	family_hold(100, &id);
	name = rows_name(family.account, ROWS_HOLD, slice_of(id.b, GENID_BYTES));
	for (int what = 0; what < 2; what++) {
		good = damage(&name, what, room);
		expect_scan(1, 0);
		skew_other(5);
		expect_scan(1, 5);
		skew_other(-5);
		restore(&name, good);
		expect_scan(0, 0);
	}
}

static const char *const tags[] = {"bob", "carol", "dora"};

/* They are held by the rules for all, and then nobody is heard of for nine days. */
static void use_and_wait(void)
{
	struct rows_scope every;

	rig_scope(&every, family.account, ROWS_USER, ROWS_EVERY_USER);
	rig_limit(&every, ROWS_RPD, 10);
	rig_put(family.r, &every);
	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		struct admit_done done;
		struct genid id;

		family.user = slice_str(tags[i]);
		family_hold(10, &id);
		rig_settle(family.r, family.account, &id, 10, 10, &done);
	}
	family.r->wall_ms += 9 * 86400000LL;
	family.r->boot_ms += 9 * 86400000LL;
}

static uint64_t idle_round(void)
{
	struct idle it = {.removed = 0};

	do
		assert_int_equal(
			idle_slice(family.r->live, &it, family.r->boot_ms, family.r->wall_ms),
			ERRC_OK);
	while (it.at.n > 0);
	return it.removed;
}

static bool is_used(const char *tag)
{
	char user[ROWS_ID];
	struct slice row;
	MDB_txn *txn;
	enum errc rc;

	rows_user_id(slice_str(tag), user);
	assert_int_equal(live_read_begin(family.r->live, &txn), ERRC_OK);
	rc = live_state_row(family.r->live, txn, family.account, ROWS_USER, user, &row);
	live_read_end(family.r->live);
	assert_true(rc == ERRC_OK || rc == ERRC_NOTFOUND);
	return rc == ERRC_OK;
}

/* End users of whom nobody can say that they are idle stay; the others go. */
static void test_idle_users(void **state)
{
	struct rows_key_name name;
	char user[ROWS_ID], room[ROWS_MAX];

	(void)state;
	use_and_wait();
	rows_user_id(SLICE_LIT("bob"), user);
	name = rows_name_state(family.account, ROWS_USER, user);
	(void)damage(&name, 0, room);
	assert_true(idle_round() >= 2);
	assert_true(is_used("bob") && !is_used("carol") && !is_used("dora"));
	assert_int_equal(idle_round(), 0);
}

static void put_idle(uint64_t account, enum rows_kind kind, const char *id)
{
	static const struct rows_state idle = {.n = 0};
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
	assert_int_equal(live_put_state(family.r->live, txn, account, kind, id, &idle), ERRC_OK);
	assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
}

/* More than go at once, in the row of several and in rows of their own: all of them, and nothing but end users. Once more when that row is
 * gone. */
static void test_idle_users_in_both_places(void **state)
{
	struct rows_state s;
	char id[32]; /* ROWS_ID of them count */

	(void)state;
	(void)idle_round();
	for (int round = 0; round < 2; round++) {
		put_idle(family.account, ROWS_TEAM, "tttttttttttt");
		for (int i = 0; i < 30; i++) {
			snprintf(id, sizeof id, "idle%08d", i);
			put_idle(family.account, ROWS_USER, id);
		}
		assert_int_equal(idle_round(), 30);
		assert_int_equal(idle_round(), 0);
		family_state(1, &s);
		assert_int_equal(s.requests, 1);
		family_state(2, &s);
		assert_int_equal(s.requests, 1);
		family_state(3, &s);
		assert_int_equal(s.requests, 1);
	}
}

/* The state of an end user in a row of its own goes also where the row of several went with others before. */
static void test_idle_users_behind_an_empty_row(void **state)
{
	(void)state;
	use_and_wait();
	assert_true(idle_round() >= ARRAY_LEN(tags));
	for (size_t i = 0; i < ARRAY_LEN(tags); i++)
		assert_false(is_used(tags[i]));
	family.user = SLICE_LIT("erin");
	put_idle(family.account, ROWS_USER, "idle00000000");
	assert_int_equal(idle_round(), 1);
}

/* What cannot be read of one account keeps no other's users. */
static void test_idle_users_of_others(void **state)
{
	struct rows_key_name name = rows_name_states(family.account);
	struct rows_scope every;
	char room[ROWS_MAX];

	(void)state;
	rig_scope(&every, other, ROWS_USER, ROWS_EVERY_USER);
	rig_limit(&every, ROWS_RPD, 10);
	rig_put(family.r, &every);
	put_idle(other, ROWS_USER, "idle00000000");
	(void)damage(&name, 0, room); /* behind all of its idle users */
	assert_int_equal(idle_round(), 1);
}

/* Damage behind what an operation reads fails that operation alone, before anything of its batch is written. */
static void test_the_rest_of_a_batch(void **state)
{
	static const struct admit_rules rules = {.ledger_lag_max_ms = INT64_MAX};
	struct rows_key_name name = rows_name_states(family.account);
	struct admit_op a, b, *ops[] = {&a, &b};
	struct hold_candidate of_a, of_b;
	char room[ROWS_MAX], same[ROWS_MAX];
	struct slice good = exchange(&name, NULL, SIZE_MAX, room);

	(void)state;
	room[good.n] = 9;
	(void)exchange(&name, room, good.n + 1, same);
	rig_ask(family.r, &a, &of_a, family.account, FAMILY_KEY, &family.r->price, 10);
	rig_ask(family.r, &b, &of_b, other, KEY_O, &family.r->price, 10);
	assert_int_equal(admit_batch(family.r->live, &rules, ops, 2), ERRC_OK);
	assert_int_equal(a.rc, ERRC_CORRUPT);
	assert_int_equal(b.rc, ERRC_OK);
	assert_int_equal(b.reason, ADMIT_NONE);
}

/* Of a row of several that cannot be read nobody goes, and it keeps nothing waiting. */
static void test_idle_users_of_one_row(void **state)
{
	struct rows_key_name name = rows_name_states(family.account);
	char room[ROWS_MAX];

	(void)state;
	use_and_wait();
	for (int what = 0; what < 2; what++) {
		struct slice good = damage(&name, what, room);

		assert_int_equal(idle_round(), 0);
		restore(&name, good);
	}
	assert_int_equal(idle_round(), ARRAY_LEN(tags));
	for (size_t i = 0; i < ARRAY_LEN(tags); i++)
		assert_false(is_used(tags[i]));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, family_teardown)
#define A(f) cmocka_unit_test_setup_teardown(f, setup_apart, family_teardown)
	const struct CMUnitTest tests[] = {
		T(test_everything_else_is_found),
		T(test_one_state_of_a_row),
		A(test_everything_else_is_found_apart),
		T(test_definitions_are_put_back),
		T(test_a_way_is_put_back),
		T(test_the_rest_of_a_transaction_is_put_back),
		T(test_start),
		T(test_holds),
		A(test_idle_users),
		T(test_idle_users_of_one_row),
		T(test_idle_users_in_both_places),
		A(test_idle_users_behind_an_empty_row),
		A(test_idle_users_of_others),
		T(test_the_rest_of_a_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
