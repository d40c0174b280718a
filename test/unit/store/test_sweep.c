#include "rig.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live_priv.h"
#include "rows_cost.h"
#include "sweep.h"

#define KEY_A "aaaaaaaaaaaa"

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

/* A worker that dies with holds: in a process of its own, since its lock must go with it. */
/* A process that dies with 20 requests under way, half of which have brought so many pieces. */
static void die_with_holds(struct rig *r, uint64_t acc, uint32_t pieces)
{
	pid_t pid;
	int status;

	rig_close(r);
	pid = fork();
	if (pid == 0) {
		rig_open(r);
		rig_join(r);
		for (int i = 0; i < 20; i++) {
			struct hold_candidate c;
			struct admit_op op;
			struct progress *p = live_progress(r->live);

			rig_ask(r, &op, &c, acc, KEY_A, &r->price, 100);
			op.ask.slot = progress_take(p, acc, &op.ask.id);
			rig_run(r, &op);
			progress_attempt(progress_at(p, op.ask.slot), 0);
			if (i % 2 == 0)
				progress_seen(progress_at(p, op.ask.slot), pieces);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	rig_open(r);
}

static void test_sweep(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct sweep_result sw;
	struct rows_account a;
	struct rows_scope k;
	struct scan s;
	int settled = 0;

	rig_key(r, acc, KEY_A, &k);
	die_with_holds(r, acc, 7);
	rig_check(r, &s);
	assert_int_equal(s.holds, 20);
	do {
		assert_int_equal(sweep_run(r->live, r->boot_ms, r->wall_ms, &sw), ERRC_OK);
		settled += (int)sw.settled;
		assert_true(sw.settled <= LIMIT_TXN_OPS);
	} while (sw.more);
	assert_int_equal(settled, 20);
	assert_int_equal(sw.instances, 1);
	rig_get_account(r, acc, &a);
	assert_int_equal(a.settled_nusd, 10 * 7 * 2000);
	assert_int_equal(a.held_nusd, 0);
	assert_int_equal(sweep_run(r->live, r->boot_ms, r->wall_ms, &sw), ERRC_OK);
	assert_int_equal(sw.settled + sw.instances, 0);
	assert_int_equal(rig_drain(r), 20);
	rig_check_books(r);
}

/* Two are dead: who sweeps until there is no more has settled the holds of both. */
static void test_sweep_of_two(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct sweep_result sw;
	struct rows_scope k;
	uint32_t settled = 0, instances = 0;

	rig_key(r, acc, KEY_A, &k);
	die_with_holds(r, acc, 7);
	r->ids += 20; /* theirs */
	die_with_holds(r, acc, 7);
	do {
		assert_int_equal(sweep_run(r->live, r->boot_ms, r->wall_ms, &sw), ERRC_OK);
		assert_true(sw.settled <= LIMIT_TXN_OPS);
		settled += sw.settled;
		instances += sw.instances;
	} while (sw.more);
	assert_int_equal(settled, 40);
	assert_int_equal(instances, 2);
	assert_int_equal(rig_drain(r), 40);
	rig_check_books(r);
}

/* What a dead worker has seen of a request is never charged above its hold, however much that was. */
static void test_sweep_charges_no_more_than_the_hold(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 100 * RIG_DOLLAR);
	int64_t hold = 100 * 1000 + 100 * 2000;
	struct sweep_result sw;
	struct rows_account a;
	struct rows_scope k;

	rig_key(r, acc, KEY_A, &k);
	die_with_holds(r, acc, 1000);
	rig_get_account(r, acc, &a);
	assert_int_equal(a.held_nusd, 20 * hold);
	do
		assert_int_equal(sweep_run(r->live, r->boot_ms, r->wall_ms, &sw), ERRC_OK);
	while (sw.more);
	rig_get_account(r, acc, &a);
	assert_int_equal(a.settled_nusd, 10 * hold);
	assert_int_equal(a.uncollected_nusd, 0);
	assert_int_equal(rig_drain(r), 20);
	rig_check_books(r);
}

/* As many damaged holds as a transaction takes, in front of the others: those are settled all the same. */
static void test_sweep_past_damage(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct sweep_result sw;
	struct rows_scope k;
	MDB_txn *txn = NULL;
	int settled = 0;

	rig_key(r, acc, KEY_A, &k);
	die_with_holds(r, acc, 7);
	assert_int_equal(live_txn_begin(r->live, &txn), ERRC_OK);
	for (int i = 0; i < LIMIT_TXN_OPS; i++) {
		struct genid id = rig_id(r);
		struct rows_key_name name = rows_name(acc, ROWS_HOLD, slice_of(id.b, GENID_BYTES));
		struct slice row;
		char version;

		assert_int_equal(live_row_get(r->live, txn, &name, &row), ERRC_OK);
		/* A row of this version that ends there. */
		version = row.p[0];
		assert_int_equal(live_row_put(r->live, txn, &name, slice_of(&version, 1), 0),
				 ERRC_OK);
	}
	assert_int_equal(live_txn_commit(r->live, &txn), ERRC_OK);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(sweep_run(r->live, r->boot_ms, r->wall_ms, &sw), ERRC_CORRUPT);
		settled += (int)sw.settled;
		assert_int_equal(sw.instances, 0);
	}
	assert_int_equal(settled, 20 - LIMIT_TXN_OPS);
}

/* Three requests that die with what they brought: 60 tokens in, 7 out. What the first costs depends on the size of its prompt; the second
 * costs its price, of which its account's group pays half; the third brought nothing.
 * Two have given up an attempt before. */
static void note_tries(struct progress *p, uint32_t slot, bool lost, bool head)
{
	const struct progress_try first = {.status = 200, .failed = true, .start_ms = 1, .ms = 40},
				  runs = {.status = head ? 200 : 0, .start_ms = 50, .ms = -1};

	if (lost)
		progress_note_try(p, slot, 0, &first);
	progress_note_try(p, slot, lost, &runs);
}

static void expect_attempts(const struct record_charge *c, bool lost, bool head, int64_t lost_nusd)
{
	const struct record_attempt *a = c->attempts;

	assert_int_equal(c->attempts_n, 1 + lost);
	if (lost) {
		assert_true(slice_is(a->provider, "mock") && slice_is(a->error, "failed"));
		assert_int_equal(a->status, 200);
		assert_int_equal(a->start_ms, 1);
		assert_int_equal(a->ms, 40);
		assert_int_equal(a->cost_nusd, lost_nusd);
		a++;
	}
	assert_true(slice_is(a->provider, "mock") && slice_is(a->upstream, "up-m1"));
	assert_true(slice_is(a->error, "worker_died"));
	assert_int_equal(a->status, head ? 200 : 0);
	assert_int_equal(a->start_ms, 50);
	assert_int_equal(a->ms, -1);
	assert_int_equal(a->cost_nusd, c->cost_nusd - (lost ? lost_nusd : 0));
}

static void die_with_costs(struct rig *r, uint64_t acc)
{
	struct price small = r->price, large = r->price, half = r->price;
	const struct price *const rows[] = {&small, &large};
	uint8_t packed[ROWS_COST_MAX];
	pid_t pid;
	int status;

	small.when.prompt_upto = large.when.prompt_above = 50;
	large.pusd[USAGE_INPUT] = 300000;
	large.pusd[USAGE_OUTPUT] = 500001;
	half.mult_ppm = PRICE_PPM / 2;
	rig_close(r);
	pid = fork();
	if (pid == 0) {
		rig_open(r);
		rig_join(r);
		for (int i = 0; i < 3; i++) {
			struct progress *p = live_progress(r->live);
			struct hold_candidate c;
			struct admit_op op;
			struct usage in;

			rig_ask(r, &op, &c, acc, KEY_A, i == 1 ? &half : &r->price, 100);
			if (i != 1)
				c.cost = slice_of(packed, rows_cost_pack(rows, 2, packed));
			op.ask.group = i == 1 ? SLICE_LIT("gold") : SLICE_NONE;
			op.ask.slot = progress_take(p, acc, &op.ask.id);
			rig_run(r, &op);
			note_tries(p, op.ask.slot, i != 1, i < 2);
			if (i != 1)
				progress_lose(progress_at(p, op.ask.slot), 900 + i);
			progress_attempt(progress_at(p, op.ask.slot), 0);
			usage_init(&in);
			usage_set(&in, USAGE_INPUT, 60);
			progress_usage(progress_at(p, op.ask.slot), &in, false);
			if (i < 2)
				progress_seen(progress_at(p, op.ask.slot), 7);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	rig_open(r);
}

/* What a dead worker's requests cost us is no less known than what they are charged: the margin is right. Nor is where they were sent. */
static void test_sweep_knows_the_cost(void **state)
{
	static const int64_t want[3][2] = {{60 * 1000 + 7 * 2000, 900 + 60 * 300 + 3501},
					   {(60 * 1000 + 7 * 2000) / 2, 60 * 1000 + 7 * 2000},
					   {0, 902}};
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct sweep_result sw;
	struct rows_scope k;
	struct buf b;

	rig_key(r, acc, KEY_A, &k);
	die_with_costs(r, acc);
	assert_int_equal(sweep_run(r->live, r->boot_ms, r->wall_ms, &sw), ERRC_OK);
	assert_int_equal(sw.settled, 3);
	assert_int_equal(rig_drain(r), 3);
	buf_init(&b, RECORD_MAX);
	for (int i = 0; i < 3; i++) {
		struct genid id = rig_id(r);
		struct record rec;
		uint64_t seq;

		buf_reset(&b);
		assert_int_equal(ledger_find(r->ledger, &id, &seq), ERRC_OK);
		assert_int_equal(ledger_get(r->ledger, seq, &b), ERRC_OK);
		assert_int_equal(record_decode(buf_slice(&b), &rec), ERRC_OK);
		assert_int_equal(rec.charge.charge_nusd, want[i][0]);
		assert_int_equal(rec.charge.cost_nusd, want[i][1]);
		expect_attempts(&rec.charge, i != 1, i < 2, 900 + i);
	}
	buf_fini(&b);
	rig_check_books(r);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_sweep),
		T(test_sweep_of_two),
		T(test_sweep_charges_no_more_than_the_hold),
		T(test_sweep_past_damage),
		T(test_sweep_knows_the_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
