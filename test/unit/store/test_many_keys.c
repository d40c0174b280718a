/* An account of a hundred thousand keys: whatever looks through it does so in short read transactions, for what others write behind
 * one takes new pages until it ends; and it finds what is wrong of any one of them. */
#include "rig.h"

#include <stdio.h>

#include "agree.h"
#include "live_states.h"

#define KEYS        100000
#define A_COMMIT    10000
#define NTH         64  /* moves of a reader's cursor between two requests of somebody else */
#define BEHIND_MOST 128 /* of their commits in one read transaction, two a request */

/* The program is linked so that every move passes here. */
int __real_mdb_cursor_get(MDB_cursor *c, MDB_val *key, MDB_val *value, MDB_cursor_op op);
int __wrap_mdb_cursor_get(MDB_cursor *c, MDB_val *key, MDB_val *value, MDB_cursor_op op);

static struct {
	struct rig rig;
	uint64_t large, busy;
	bool on; /* others are at work */
	size_t moves, requests, behind;
} scene;

#define BUSY_KEY "bbbbbbbbbbbb"

static void others(void)
{
	struct admit_done done;
	struct admit_op op;
	struct genid id;

	assert_true(rig_hold(&scene.rig, scene.busy, BUSY_KEY, &scene.rig.price, 100, &id, &op));
	rig_settle(&scene.rig, scene.busy, &id, 10, 5, &done);
	scene.requests++;
}

static size_t last_commit(void)
{
	MDB_envinfo info;

	assert_int_equal(mdb_env_info(scene.rig.live->env, &info), 0);
	return info.me_last_txnid;
}

int __wrap_mdb_cursor_get(MDB_cursor *c, MDB_val *key, MDB_val *value, MDB_cursor_op op)
{
	MDB_txn *reader = scene.on ? scene.rig.live->reader : NULL;

	if (reader && mdb_cursor_txn(c) == reader && ++scene.moves % NTH == 0) {
		scene.on = false;
		others();
		scene.on = true;
		scene.behind = MAX_OF(scene.behind, last_commit() - mdb_txn_id(reader));
	}
	return __real_mdb_cursor_get(c, key, value, op);
}

static void id_of(int n, char id[ROWS_ID + 1])
{
	snprintf(id, ROWS_ID + 1, "k%011d", n);
}

/* Into the ledger alone, many with one commit. */
static void make_keys(struct ledger *l)
{
	struct rows_scope k = {.kind = ROWS_KEY, .account = scene.large, .name = SLICE_LIT("k")};
	char id[ROWS_ID + 1];
	struct buf row;
	uint64_t seq;

	buf_init(&row, ROWS_MAX);
	rows_limits_init(&k.limits);
	for (int i = 0; i < KEYS; i++) {
		struct record r = {.type = RECORD_KEY, .account = scene.large, .wall_ms = 1};

		id_of(i, id);
		memcpy(k.id, id, ROWS_ID);
		digest_sha256(slice_of(id, ROWS_ID), k.hash);
		buf_reset(&row);
		assert_int_equal(rows_put_scope(&row, &k), ERRC_OK);
		r.change.row = buf_slice(&row);
		if (i % A_COMMIT == 0)
			assert_int_equal(ledger_begin(l), ERRC_OK);
		assert_int_equal(ledger_append(l, &r, &seq), ERRC_OK);
		if (i % A_COMMIT == A_COMMIT - 1)
			assert_int_equal(ledger_commit(l), ERRC_OK);
	}
	buf_fini(&row);
}

static int setup(void **state)
{
	struct rows_scope k;

	(void)state;
	rig_init(&scene.rig);
	scene.rig.opts.live_bytes = 160 << 20;
	rig_open(&scene.rig);
	scene.large = rig_account(&scene.rig, "large", 1000 * RIG_DOLLAR);
	scene.busy = rig_account(&scene.rig, "busy", 1000 * RIG_DOLLAR);
	rig_key(&scene.rig, scene.busy, BUSY_KEY, &k);
	make_keys(scene.rig.ledger);
	rig_close(&scene.rig);
	assert_int_equal(live_remove(scene.rig.started.live_dir), ERRC_OK);
	rig_open(&scene.rig);
	rig_join(&scene.rig);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_fini(&scene.rig);
	return 0;
}

static void look_through(struct scan *s, struct agree *g)
{
	bool more = true;

	scene.requests = scene.moves = scene.behind = 0;
	while (more) {
		scene.on = true;
		if (s)
			assert_int_equal(scan_slice(scene.rig.live, s, 64), ERRC_OK);
		else
			assert_int_equal(agree_slice(&scene.rig.admin, g), ERRC_OK);
		scene.on = false;
		more = s ? !s->done : !g->done;
		rig_drain(&scene.rig);
	}
	print_message("# %zu requests meanwhile, at most %zu commits behind\n", scene.requests,
		      scene.behind);
	assert_true(scene.requests >= KEYS / NTH);
	assert_in_range(scene.behind, 1, BEHIND_MOST);
}

static void test_scan(void **state)
{
	struct scan s = {0};

	(void)state;
	look_through(&s, NULL);
	assert_int_equal(s.accounts, 2);
	assert_int_equal(s.broken_accounts, 0);
	assert_int_equal(s.imbalance_nusd, 0);
	assert_true(s.rows > KEYS);
}

static void test_agree(void **state)
{
	struct agree g = {.done = false};

	(void)state;
	look_through(NULL, &g);
	assert_int_equal(g.accounts, 2);
	assert_int_equal(g.different, 0);
	assert_int_equal(g.missing, 0);
}

static void set_state(int key, uint32_t holds, uint64_t requests)
{
	struct rows_state st;
	char id[ROWS_ID + 1];
	MDB_txn *txn;

	id_of(key, id);
	assert_int_equal(live_txn_begin(scene.rig.live, &txn), ERRC_OK);
	assert_int_equal(live_get_state(scene.rig.live, txn, scene.large, ROWS_KEY, id, &st),
			 ERRC_OK);
	st.holds = holds;
	st.requests = requests;
	assert_int_equal(live_put_state(scene.rig.live, txn, scene.large, ROWS_KEY, id, &st),
			 ERRC_OK);
	assert_int_equal(live_txn_commit(scene.rig.live, &txn), ERRC_OK);
}

static void expect_broken(uint64_t n)
{
	struct scan s = {0};

	while (!s.done)
		assert_int_equal(scan_slice(scene.rig.live, &s, 64), ERRC_OK);
	assert_int_equal(s.broken_accounts, n);
	assert_int_equal(s.first_broken, n ? scene.large : 0);
}

static void expect_different(uint64_t n)
{
	struct agree g = {.done = false};

	while (!g.done)
		assert_int_equal(agree_slice(&scene.rig.admin, &g), ERRC_OK);
	assert_int_equal(g.accounts, 2);
	assert_int_equal(g.different, n);
	assert_int_equal(g.first_different, n ? scene.large : 0);
}

/* A key that says it had a hold, in whatever slice it is; two at once are one account. */
static void test_one_of_them(void **state)
{
	static const int keys[] = {0, 2047, 2048, KEYS / 2, KEYS - 1};
	char id[ROWS_ID + 1];
	struct admit_done done;
	struct admit_op op;
	struct genid hold[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		set_state(keys[i], 1, 0);
		expect_broken(1);
		set_state(keys[i], 0, 1);
		expect_broken(0);
		expect_different(1);
		set_state(keys[i], 0, 0);
	}
	set_state(1, 1, 1);
	set_state(KEYS - 2, 1, 1);
	expect_broken(1);
	expect_different(1);
	set_state(1, 0, 0);
	set_state(KEYS - 2, 0, 0);
	for (int i = 0; i < 3; i++) { /* two of them of one key */
		id_of(i == 2 ? 5 : KEYS - 5, id);
		assert_true(rig_hold(&scene.rig, scene.large, id, &scene.rig.price, 100, &hold[i],
				     &op));
	}
	expect_broken(0);
	set_state(KEYS - 5, 1, 0);
	expect_broken(1);
	set_state(KEYS - 5, 0, 0);
	expect_broken(1);
	set_state(KEYS - 5, 2, 0);
	expect_broken(0);
	for (int i = 0; i < 3; i++)
		rig_settle(&scene.rig, scene.large, &hold[i], 10, 5, &done);
	expect_broken(0);
	expect_different(0);
}

#define T(f) cmocka_unit_test(f)

int main(void)
{
	const struct CMUnitTest tests[] = {T(test_scan), T(test_agree), T(test_one_of_them)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
