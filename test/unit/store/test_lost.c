/* What the ledger has and the live store has lost, row by row, and what only the live store has. */
#include "family.h"

#include "agree.h"
#include "agree_lost.h"
#include "live_states.h"

static const char none[ROWS_ID];

static struct agree_lost lost(bool mend)
{
	struct agree_lost g = {.at = 0};

	while (!g.done)
		assert_int_equal(
			agree_lost_slice(&family.r->admin, &g, mend, family.r->wall_ms / 1000),
			ERRC_OK);
	return g;
}

static uint64_t different(void)
{
	struct agree g = {.done = false};

	while (!g.done)
		assert_int_equal(agree_slice(&family.r->admin, &g), ERRC_OK);
	return g.different + g.missing;
}

static const char *id_of(size_t i, char user[ROWS_ID])
{
	rows_user_id(family.user, user);
	return i == 3 ? user : i == 0 ? none : family.of[i].id;
}

static void drop_row(const struct rows_key_name *name)
{
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
	assert_int_equal(live_row_del(family.r->live, txn, name), ERRC_OK);
	assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
}

static void drop_state(size_t i)
{
	char user[ROWS_ID];
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
	assert_int_equal(live_del_state(family.r->live, txn, family.account, family.of[i].kind,
					id_of(i, user)),
			 ERRC_OK);
	assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
}

static void begin(void)
{
	struct admit_done done;
	struct genid id;

	for (size_t i = 0; i < FAMILY_N; i++)
		family_give_rules(&family.of[i]);
	family_put();
	family_hold(100, &id);
	rig_settle(family.r, family.account, &id, 50, 20, &done);
	family_hold(100, &id); /* runs */
	assert_int_equal(lost(false).lost, 0);
	assert_int_equal(different(), 0);
}

static void test_definitions(void **state)
{
	(void)state;
	begin();
	for (size_t i = 0; i < FAMILY_N; i++) {
		char user[ROWS_ID];
		struct rows_key_name name =
			rows_name_scope(family.account, family.of[i].kind, id_of(i, user));
		struct agree_lost g;
		struct rows_state before, after;
		MDB_txn *txn;
		struct slice v;

		family_state(i, &before);
		drop_row(&name);
		g = lost(false);
		assert_int_equal(g.lost, 1);
		assert_int_equal(g.mended, 0);
		assert_int_equal(g.first_account, family.account);
		g = lost(true);
		assert_int_equal(g.lost, 1);
		assert_int_equal(g.mended, 1);
		assert_int_equal(lost(false).lost, 0);
		assert_int_equal(different(), 0);
		assert_int_equal(live_read_begin(family.r->live, &txn), ERRC_OK);
		assert_int_equal(live_row_get(family.r->live, txn, &name, &v), ERRC_OK);
		live_read_end(family.r->live);
		family_state(i, &after);
		assert_int_equal(after.n, before.n);
		assert_int_equal(after.holds, before.holds);
	}
}

/* The limit that was lost refuses again, at once after a start and with the regular look. */
static void test_a_limit_is_there_again(void **state)
{
	struct admit_refusal why;
	char user[ROWS_ID];

	(void)state;
	rig_limit(&family.of[3], ROWS_RPM, 1);
	family_put();
	family_hold(100, &(struct genid){{0}});
	family_refuse(100, ADMIT_RATE, 3, &why);
	for (int at_start = 0; at_start < 2; at_start++) {
		struct rows_key_name name =
			rows_name_scope(family.account, ROWS_USER, id_of(3, user));

		drop_row(&name);
		family_hold(100, &(struct genid){{0}}); /* nobody knows of it */
		if (at_start) {
			rig_close(family.r);
			rig_open(family.r);
			rig_join(family.r);
			assert_int_equal(family.r->started.outcome, STORE_ACCEPTED);
		} else {
			assert_int_equal(lost(true).mended, 1);
		}
		family_refuse(100, ADMIT_RATE, 3, &why);
	}
}

/* What leads to a key, a team and an account, and what the account says that it has. */
static void test_ways_to_them(void **state)
{
	(void)state;
	begin();
	for (int what = 0; what < 6; what++) {
		struct rows_account a;
		struct agree_lost g;
		struct live *l = family.r->live;
		struct rows_scope def;
		char user[ROWS_ID];
		MDB_txn *txn;

		assert_int_equal(live_txn_begin(l, &txn), ERRC_OK);
		if (what == 0) {
			assert_int_equal(live_get_scope(l, txn, family.account, ROWS_KEY,
							id_of(2, user), &def),
					 ERRC_OK);
			assert_int_equal(live_unindex_hash(l, txn, def.hash), ERRC_OK);
		} else if (what < 4) {
			assert_int_equal(live_get_account(l, txn, family.account, &a), ERRC_OK);
			a.flags ^= (uint8_t)(what == 1   ? ROWS_ACCOUNT_USERS
					     : what == 2 ? ROWS_ACCOUNT_RULES
							 : ROWS_ACCOUNT_SHADOW);
			assert_int_equal(live_put_account(l, txn, &a), ERRC_OK);
		} else {
			/* The index has no other words for being lost: all of it. */
			assert_int_equal(mdb_drop(txn, l->index, 0), 0);
		}
		assert_int_equal(live_txn_commit(l, &txn), ERRC_OK);
		g = lost(true);
		assert_int_equal(g.lost, what < 4 ? 1 : 3);
		assert_int_equal(g.mended, what < 4 ? 1 : 2);
		assert_int_equal(lost(false).lost, what < 4 ? 0 : 1); /* the account's name */
		if (what == 4) {
			assert_int_equal(live_txn_begin(l, &txn), ERRC_OK);
			assert_int_equal(live_get_account(l, txn, family.account, &a), ERRC_OK);
			assert_int_equal(live_index_account(l, txn, &a), ERRC_OK);
			assert_int_equal(live_txn_commit(l, &txn), ERRC_OK);
		}
	}
}

/* They are there, but lead to something else: the account's name, the key's id and secret, both or one of them, the team's name. */
static void test_ways_elsewhere(void **state)
{
	struct live *l = family.r->live;
	uint64_t other = rig_account(family.r, "other", RIG_DOLLAR);

	(void)state;
	begin();
	for (int what = 0; what < 6; what++) {
		struct rows_account a = {.id = what == 0 ? other : family.account,
					 .name = SLICE_LIT("acme")};
		struct rows_scope s = family.of[what == 5 ? 1 : 2], right = s;
		MDB_txn *txn;

		s.hash[0] ^= what == 2;
		right.hash[0] ^= what == 3;
		if (what >= 4)
			memcpy(s.id, "zzzzzzzzzzzz", ROWS_ID);
		else
			s.account = other;
		assert_int_equal(live_txn_begin(l, &txn), ERRC_OK);
		assert_int_equal(live_index_account(l, txn, &a), ERRC_OK);
		if (what > 0)
			assert_int_equal(live_index_scope(l, txn, &s), ERRC_OK);
		if (what == 3)
			assert_int_equal(live_index_scope(l, txn, &right), ERRC_OK);
		assert_int_equal(live_txn_commit(l, &txn), ERRC_OK);
		assert_int_equal(lost(true).lost, 1);
		assert_int_equal(lost(false).lost, what == 0); /* which is not put back */
	}
}

static void unindex(const uint8_t hash[DIGEST_SHA256])
{
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
	assert_int_equal(live_unindex_hash(family.r->live, txn, hash), ERRC_OK);
	assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
}

static bool leads(const uint8_t hash[DIGEST_SHA256])
{
	uint64_t account = 0;
	char id[ROWS_ID];
	MDB_txn *txn;
	enum errc rc;

	assert_int_equal(live_read_begin(family.r->live, &txn), ERRC_OK);
	rc = live_find_hash(family.r->live, txn, hash, &account, id);
	live_read_end(family.r->live);
	assert_true(rc == ERRC_OK || rc == ERRC_NOTFOUND);
	return !rc && account == family.account && memcmp(id, FAMILY_KEY, ROWS_ID) == 0;
}

static bool logs_in(const uint8_t hash[DIGEST_SHA256])
{
	static const uint8_t addr[16];
	enum auth_result result;
	struct auth_key key;

	assert_int_equal(
		auth_lookup(family.r->live, hash, addr, family.r->wall_ms / 1000, &result, &key),
		ERRC_OK);
	return result == AUTH_OK;
}

/* A key was given a new secret: that of before leads to it while it is good, and nobody looks for it any more then. */
static void test_the_secret_before(void **state)
{
	struct rig *r = family.r;
	uint8_t before[DIGEST_SHA256], now[DIGEST_SHA256];
	bool durable = false;
	struct agree_lost g;

	(void)state;
	begin();
	memcpy(before, family.of[2].hash, sizeof before);
	digest_sha256(SLICE_LIT("the next secret"), now);
	assert_int_equal(admin_key_rotate(&r->admin, &r->by, FAMILY_KEY, now, 0,
					  r->wall_ms / 1000 + 60, &durable),
			 ERRC_OK);
	assert_int_equal(lost(false).lost, 0);
	assert_true(logs_in(before));
	for (int what = 0; what < 3; what++) {
		if (what != 1)
			unindex(before);
		if (what != 0)
			unindex(now);
		assert_false(leads(what == 1 ? now : before));
		assert_int_equal(lost(false).lost, 1);
		g = lost(true);
		assert_int_equal(g.lost, 1);
		assert_int_equal(g.mended, 1);
		assert_int_equal(lost(false).lost, 0);
		assert_true(leads(before) && logs_in(before));
		assert_true(leads(now) && logs_in(now));
	}
	unindex(before);
	r->wall_ms += 60000;
	assert_int_equal(lost(true).lost, 0);
	assert_false(logs_in(before));
	assert_true(logs_in(now));
}

/* What was used: it is told, for only the live store knows what is held of it. */
static void test_states(void **state)
{
	(void)state;
	begin();
	for (size_t i = 0; i < FAMILY_N; i++) {
		char user[ROWS_ID];
		struct agree_lost g;
		struct rows_state s, less;
		MDB_txn *txn;

		family_state(i, &s);
		drop_state(i);
		g = lost(true);
		assert_int_equal(g.lost, 1);
		assert_int_equal(g.mended, 0);
		less = s;
		less.n--; /* the last rule is a budget */
		for (int whole = 0; whole < 2; whole++) {
			assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
			assert_int_equal(live_put_state(family.r->live, txn, family.account,
							family.of[i].kind, id_of(i, user),
							whole ? &s : &less),
					 ERRC_OK);
			assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
			assert_int_equal(lost(true).lost, whole ? 0 : 1);
		}
	}
}

/* Totals alone: without rules a key and its team have them too, once they were used. */
static void test_states_without_rules(void **state)
{
	struct admit_done done;
	struct genid id;
	char user[ROWS_ID];

	(void)state;
	family_hold(100, &id);
	for (size_t i = 1; i < 3; i++) {
		struct rows_state s;
		MDB_txn *txn;

		family_state(i, &s);
		assert_int_equal(s.requests, i - 1);
		drop_state(i);
		assert_int_equal(lost(true).lost, i - 1);
		assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
		assert_int_equal(live_put_state(family.r->live, txn, family.account,
						family.of[i].kind, id_of(i, user), &s),
				 ERRC_OK);
		assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
		if (i == 1)
			rig_settle(family.r, family.account, &id, 50, 20, &done);
	}
	assert_int_equal(lost(true).lost, 0);
}

/* What an end user has used is swept once all of its windows are over: then it is not lost. */
static void test_states_that_are_over(void **state)
{
	(void)state;
	begin();
	family.r->wall_ms += INT64_C(3) * 86400000;
	drop_state(3);
	assert_int_equal(lost(true).lost, 0);
}

/* What belongs to an account that is lost itself cannot be put back: it is told, and no more. */
static void test_with_their_account(void **state)
{
	struct rows_key_name name;
	struct agree_lost g;

	(void)state;
	begin();
	name = rows_name(family.account, ROWS_ACCOUNT, SLICE_NONE);
	drop_row(&name);
	g = lost(true);
	assert_int_equal(g.lost, 3); /* the account, its rules, its end user */
	assert_int_equal(g.mended, 0);
	assert_int_equal(lost(true).lost, 3);
}

/* Only the live store has them: whoever compares says so. */
static void test_only_live(void **state)
{
	static const enum rows_kind kinds[] = {ROWS_TEAM, ROWS_KEY, ROWS_USER};

	(void)state;
	begin();
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct rows_scope s = family.of[kinds[i] == ROWS_TEAM  ? 1
						: kinds[i] == ROWS_KEY ? 2
								       : 3];
		struct rows_key_name name;
		MDB_txn *txn;

		memcpy(s.id, "zzzzzzzzzzzz", ROWS_ID);
		s.account = family.account;
		name = rows_name_scope(family.account, s.kind, s.id);
		assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
		assert_int_equal(live_put_scope(family.r->live, txn, &s), ERRC_OK);
		assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
		assert_int_equal(different(), 1);
		assert_int_equal(lost(true).lost, 0);
		drop_row(&name);
		assert_int_equal(different(), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_definitions, family_setup, family_teardown),
		cmocka_unit_test_setup_teardown(test_a_limit_is_there_again, family_setup,
						family_teardown),
		cmocka_unit_test_setup_teardown(test_ways_to_them, family_setup, family_teardown),
		cmocka_unit_test_setup_teardown(test_the_secret_before, family_setup,
						family_teardown),
		cmocka_unit_test_setup_teardown(test_ways_elsewhere, family_setup, family_teardown),
		cmocka_unit_test_setup_teardown(test_states, family_setup, family_teardown),
		{"test_states_apart", test_states, family_setup_apart, family_teardown, NULL},
		cmocka_unit_test_setup_teardown(test_states_without_rules, family_setup,
						family_teardown),
		cmocka_unit_test_setup_teardown(test_states_that_are_over, family_setup,
						family_teardown),
		cmocka_unit_test_setup_teardown(test_with_their_account, family_setup,
						family_teardown),
		cmocka_unit_test_setup_teardown(test_only_live, family_setup, family_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
