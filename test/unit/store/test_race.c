/* Several processes on one live store: credit for exactly ten, and workers that are killed wherever they are, also in the
 * middle of a transaction. */
#include "rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "live_priv.h"
#include "sweep.h"
#include "text.h"
#include "verify.h"

#define KEY_A   "aaaaaaaaaaaa"
#define WORKERS 4
#define ASKED   500 /* requests of each worker */
#define KILLS   120

static int setup(void **state)
{
	static struct rig r;

	rig_init(&r);
	r.opts.live_bytes = 64 << 20;
	rig_open(&r);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	return 0;
}

static void open_as_worker(struct rig *r, const char *dir, const uint8_t id[LIVE_ID], int number)
{
	struct live_opts o = {.dir = dir, .any_filesystem = true};

	memcpy(o.ledger_id, id, LIVE_ID);
	require(live_open(&o, &r->live) == ERRC_OK);
	require(live_join(r->live) == ERRC_OK);
	r->ids = (uint64_t)(number + 1) << 32;
}

/* In a child nothing of cmocka may run: a failed assertion would go on with the tests there. A reader that is kept from
 * the processor in its transaction keeps pages, so the store may be full for a moment. */
static void run_in_child(struct rig *r, struct admit_op *op)
{
	static const struct admit_rules rules = {.ledger_lag_max_ms = INT64_MAX};
	enum errc rc;

	while ((rc = admit_batch(r->live, &rules, &op, 1)) == ERRC_NOSPACE)
		usleep(1000);
	require(rc == ERRC_OK && op->rc == ERRC_OK);
}

/* Holds all it can and exits with the number. */
static void race(struct rig *r, uint64_t acc, enum admit_reason refusal)
{
	int granted = 0;

	for (int i = 0; i < ASKED; i++) {
		struct hold_candidate c;
		struct admit_op op;

		rig_ask(r, &op, &c, acc, KEY_A, &r->per_request, 10);
		run_in_child(r, &op);
		granted += op.reason == ADMIT_NONE;
		require(op.reason == ADMIT_NONE || op.reason == refusal);
	}
	_exit(granted);
}

/* All workers at once; the number that they were granted together. */
static int race_all(struct rig *r, uint64_t acc, enum admit_reason refusal)
{
	uint8_t ledger_id[LIVE_ID];
	int granted = 0, status;
	char dir[256];

	memcpy(dir, r->started.live_dir, sizeof dir);
	memcpy(ledger_id, live_head(r->live)->ledger_id, LIVE_ID);
	rig_drain(r);
	rig_close(r);
	for (int i = 0; i < WORKERS; i++) {
		if (fork() == 0) {
			open_as_worker(r, dir, ledger_id, i);
			race(r, acc, refusal);
		}
	}
	for (int i = 0; i < WORKERS; i++) {
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status));
		granted += WEXITSTATUS(status);
	}
	rig_open(r);
	return granted;
}

static void test_exactly_ten(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 10 * r->per_request.request_nusd);
	struct rows_scope k;
	struct scan s;

	rig_key(r, acc, KEY_A, &k);
	assert_int_equal(race_all(r, acc, ADMIT_CREDIT_HELD), 10);
	rig_check(r, &s);
	assert_int_equal(s.holds, 10);
	assert_int_equal(s.balance_nusd, 0);
}

static void test_exact_rate(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 1000 * RIG_DOLLAR);
	struct rows_scope k;
	bool durable;

	rig_key(r, acc, KEY_A, &k);
	rig_limit(&k, ROWS_RPM, 200);
	assert_int_equal(admin_key_update(&r->admin, &r->by, &k, &durable), ERRC_OK);
	assert_int_equal(race_all(r, acc, ADMIT_RATE), 200);
}

/* Works until it is killed. */
static void work(struct rig *r, uint64_t acc)
{
	struct progress *p = live_progress(r->live);
	struct rig_flight {
		struct genid id;
		uint32_t slot;
	} flights[8] = {0};

	for (unsigned n = 0;; n++) {
		struct rig_flight *f = &flights[n % ARRAY_LEN(flights)];
		struct hold_candidate c;
		struct admit_op op;

		r->boot_ms = clock_boot_ms();
		if (n >= ARRAY_LEN(flights)) {
			rig_settle_op(r, &op, acc, &f->id, 20, 10);
			run_in_child(r, &op);
			require(op.done.settled);
			progress_give(p, f->slot);
		}
		do {
			rig_ask(r, &op, &c, acc, KEY_A, &r->price, 100);
			op.ask.slot = progress_take(p, acc, &op.ask.id);
			run_in_child(r, &op);
			if (op.reason != ADMIT_NONE) {
				require(op.reason == ADMIT_LEDGER || op.reason == ADMIT_SPACE);
				progress_give(p, op.ask.slot);
				usleep(1000);
			}
		} while (op.reason != ADMIT_NONE);
		*f = (struct rig_flight){op.ask.id, op.ask.slot};
		progress_attempt(progress_at(p, f->slot), 0);
		progress_seen(progress_at(p, f->slot), n % 5);
	}
}

static pid_t start_worker(struct rig *r, const char *dir, const uint8_t ledger_id[LIVE_ID],
			  uint64_t acc, int number)
{
	pid_t pid = fork();

	if (pid == 0) {
		r->live = NULL;
		open_as_worker(r, dir, ledger_id, number);
		work(r, acc);
	}
	return pid;
}

/* What the keeper does at a death; when the store is full for a moment it tries again. */
static void keep(struct rig *r)
{
	struct sweep_result sw = {.more = true};
	enum errc rc = ERRC_OK;
	uint64_t taken;

	while (rc == ERRC_NOSPACE || sw.more) {
		assert_int_equal(live_readers_check(r->live, NULL), ERRC_OK);
		rc = sweep_run(r->live, clock_boot_ms(), r->wall_ms, &sw);
		assert_true(rc == ERRC_OK || rc == ERRC_NOSPACE);
	}
	do
		rc = store_drain_outbox(r->live, r->ledger, &r->batch, &taken);
	while (rc == ERRC_NOSPACE);
	assert_int_equal(rc, ERRC_OK);
}

static void check(struct rig *r, uint64_t acc)
{
	struct verify_result v;
	struct rows_account a;
	struct scan s;

	rig_check(r, &s);
	assert_int_equal(s.holds, 0);
	rig_get_account(r, acc, &a);
	assert_true(a.balance_nusd >= 0);
	assert_int_equal(a.held_nusd, 0);
	assert_int_equal(book_account(ledger_book(r->ledger), acc)->settled_nusd, a.settled_nusd);
	assert_int_equal(verify_ledger(r->ledger, false, NULL, NULL, &v), ERRC_OK);
	assert_true(verify_is_good(&v));
	assert_true(v.charges > KILLS);
}

static void test_killed_workers(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 1000 * RIG_DOLLAR);
	struct text_rng rng = {{7, 8}};
	uint8_t ledger_id[LIVE_ID];
	pid_t pids[3];
	char dir[256];
	struct rows_scope k;

	rig_key(r, acc, KEY_A, &k);
	memcpy(dir, r->started.live_dir, sizeof dir);
	memcpy(ledger_id, live_head(r->live)->ledger_id, LIVE_ID);
	for (int i = 0; i < 3; i++)
		pids[i] = start_worker(r, dir, ledger_id, acc, i);
	for (int i = 0; i < KILLS; i++) {
		size_t victim = text_rng_next(&rng) % 3;

		usleep((useconds_t)(text_rng_next(&rng) % 8000));
		assert_int_equal(kill(pids[victim], SIGKILL), 0);
		assert_int_equal(waitpid(pids[victim], NULL, 0), pids[victim]);
		keep(r);
		pids[victim] = start_worker(r, dir, ledger_id, acc, 10 + i);
	}
	for (int i = 0; i < 3; i++) {
		kill(pids[i], SIGKILL);
		assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
	}
	keep(r);
	check(r, acc);
}

/* A reader that died in its transaction keeps every page that becomes free; the store must not stay full of them. */
static void test_dead_reader(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 1000 * RIG_DOLLAR);
	struct admit_done done;
	struct live_space space;
	struct rows_scope k;
	uint8_t ledger_id[LIVE_ID];
	char dir[256];
	int go[2], status;
	pid_t pid;

	rig_key(r, acc, KEY_A, &k);
	memcpy(dir, r->started.live_dir, sizeof dir);
	memcpy(ledger_id, live_head(r->live)->ledger_id, LIVE_ID);
	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		MDB_txn *txn;

		r->live = NULL;
		open_as_worker(r, dir, ledger_id, 0);
		require(live_read_begin(r->live, &txn) == ERRC_OK);
		require(write(go[1], "x", 1) == 1);
		pause();
	}
	assert_int_equal(read(go[0], dir, 1), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	rig_join(r);
	for (int i = 0; i < 20000; i++) {
		struct admit_op op;
		struct genid id;

		assert_true(rig_hold(r, acc, KEY_A, &r->price, 100, &id, &op));
		rig_settle(r, acc, &id, 10, 10, &done);
		assert_true(done.settled);
		if (i % 50 == 0)
			rig_drain(r);
	}
	assert_int_equal(live_space(r->live, r->boot_ms, &space), ERRC_OK);
	assert_true(space.used_bytes < (1 << 20));
	close(go[0]);
	close(go[1]);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(test_exactly_ten), T(test_exact_rate),
					   T(test_killed_workers), T(test_dead_reader)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
