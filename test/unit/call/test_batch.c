/* Operations of one turn: one that fails alone is told so, and one that spoils the transaction of all fails alone. */
#include "rig.h"

#include "batch.h"
#include "idem.h"
#include "live_priv.h"

#define KEY_A "aaaaaaaaaaaa"
#define N     3

static struct scene {
	struct rig rig;
	uv_loop_t loop;
	struct turn *turn;
	struct batch *batch;
	uint64_t account;
	struct batch_item items[N];
	struct hold_candidate candidates[N];
	size_t done;
} scene;

static int setup(void **state)
{
	static const struct admit_rules rules = {.ledger_lag_max_ms = 10000};
	struct rows_scope k;

	(void)state;
	rig_init(&scene.rig);
	rig_open(&scene.rig);
	rig_join(&scene.rig);
	scene.account = rig_account(&scene.rig, "acme", RIG_DOLLAR);
	rig_key(&scene.rig, scene.account, KEY_A, &k);
	assert_int_equal(uv_loop_init(&scene.loop), 0);
	assert_int_equal(turn_new(&scene.loop, &scene.turn), ERRC_OK);
	assert_int_equal(batch_new(scene.turn, scene.rig.live, &scene.batch), ERRC_OK);
	batch_set_rules(scene.batch, &rules);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	batch_free(&scene.batch);
	turn_free(&scene.turn);
	uv_run(&scene.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&scene.loop), 0);
	rig_fini(&scene.rig);
	return 0;
}

static void on_done(struct batch_item *i)
{
	(void)i;
	scene.done++;
}

static void ask(size_t i)
{
	scene.items[i] = (struct batch_item){.done = on_done};
	rig_ask(&scene.rig, &scene.items[i].op, &scene.candidates[i], scene.account, KEY_A,
		&scene.rig.price, 100);
}

static void run_all(void)
{
	scene.done = 0;
	for (size_t i = 0; i < N; i++)
		batch_add(scene.batch, &scene.items[i]);
	turn_step(scene.turn);
	assert_int_equal(scene.done, N);
}

/* A hold whose row cannot be read is not settled, and nobody may think so. */
static void test_one_fails(void **state)
{
	struct rows_key_name name;
	struct genid ids[N];
	MDB_txn *txn = NULL;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		ask(i);
		ids[i] = scene.items[i].op.ask.id;
	}
	run_all();
	name = rows_name(scene.account, ROWS_HOLD, slice_of(ids[1].b, GENID_BYTES));
	assert_int_equal(live_txn_begin(scene.rig.live, &txn), ERRC_OK);
	assert_int_equal(live_row_put(scene.rig.live, txn, &name, SLICE_LIT("\3"), 0), ERRC_OK);
	assert_int_equal(live_txn_commit(scene.rig.live, &txn), ERRC_OK);
	for (size_t i = 0; i < N; i++) {
		scene.items[i] = (struct batch_item){.done = on_done};
		rig_settle_op(&scene.rig, &scene.items[i].op, scene.account, &ids[i], 10, 10);
	}
	run_all();
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(scene.items[i].result != ERRC_OK, i == 1);
		assert_int_equal(scene.items[i].op.done.settled, i != 1);
	}
}

/* The second has made its claim when it finds a hold of its number: what was written is undone, and done again for the others. */
static void test_one_spoils_all(void **state)
{
	static const uint8_t tag[IDEM_TAG] = {1};
	struct rows_account a;
	struct scan s;

	(void)state;
	for (size_t i = 0; i < N; i++)
		ask(i);
	scene.items[1].op.ask.id = scene.items[0].op.ask.id;
	scene.items[1].op.ask.idem = slice_of(tag, sizeof tag);
	run_all();
	for (size_t i = 0; i < N; i++)
		assert_int_equal(scene.items[i].result, i == 1 ? ERRC_EXISTS : ERRC_OK);
	rig_get_account(&scene.rig, scene.account, &a);
	assert_int_equal(a.holds, 2);
	assert_int_equal(a.held_nusd, 2 * scene.items[0].op.grant.hold.hold_nusd);
	rig_check(&scene.rig, &s);
	assert_int_equal(s.holds, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_one_fails),
		T(test_one_spoils_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
