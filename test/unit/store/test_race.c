/* Several processes on one live store: credit for exactly ten, and workers that are killed wherever they are, also in the
 * middle of a transaction. */
#include "rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
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

/* Holds all it can and exits with the number. */
static void race(struct rig *r, uint64_t acc)
{
	int granted = 0;

	for (int i = 0; i < ASKED; i++) {
		struct admit_op op;
		struct genid id;

		if (rig_hold(r, acc, KEY_A, &r->per_request, 10, &id, &op))
			granted++;
		else
			require(op.reason == ADMIT_CREDIT_HELD);
	}
	_exit(granted);
}

static void test_exactly_ten(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 10 * r->per_request.request_nusd);
	char dir[256];
	uint8_t ledger_id[LIVE_ID];
	int granted = 0, status;
	struct rows_key k;
	struct scan s;

	rig_key(r, acc, KEY_A, &k);
	memcpy(dir, r->started.live_dir, sizeof dir);
	memcpy(ledger_id, live_head(r->live)->ledger_id, LIVE_ID);
	rig_close(r);
	for (int i = 0; i < WORKERS; i++) {
		if (fork() == 0) {
			open_as_worker(r, dir, ledger_id, i);
			race(r, acc);
		}
	}
	for (int i = 0; i < WORKERS; i++) {
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status));
		granted += WEXITSTATUS(status);
	}
	assert_int_equal(granted, 10);
	rig_open(r);
	rig_check(r, &s);
	assert_int_equal(s.holds, 10);
	assert_int_equal(s.balance_nusd, 0);
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
		struct admit_done done;
		struct admit_op op;

		r->boot_ms = clock_boot_ms();
		if (n >= ARRAY_LEN(flights)) {
			rig_settle(r, acc, &f->id, 20, 10, &done);
			require(done.settled);
			progress_give(p, f->slot);
		}
		rig_ask(r, &op, &c, acc, KEY_A, &r->price, 100);
		op.ask.slot = progress_take(p, acc, &op.ask.id);
		rig_run(r, &op);
		require(op.rc == ERRC_OK && op.reason == ADMIT_NONE);
		*f = (struct rig_flight){op.ask.id, op.ask.slot};
		progress_attempt(progress_at(p, f->slot), 0);
		progress_content(progress_at(p, f->slot), n % 5, 0);
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

static void sweep_all(struct rig *r)
{
	struct sweep_result sw;

	do
		assert_int_equal(sweep_run(r->live, clock_boot_ms(), r->wall_ms, &sw), ERRC_OK);
	while (sw.more);
	assert_int_equal(live_readers_check(r->live, NULL), ERRC_OK);
}

static void check(struct rig *r, uint64_t acc)
{
	struct verify_result v;
	struct rows_account a;
	struct scan s;

	rig_drain(r);
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
	struct rows_key k;

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
		sweep_all(r);
		rig_drain(r);
		pids[victim] = start_worker(r, dir, ledger_id, acc, 10 + i);
	}
	for (int i = 0; i < 3; i++) {
		kill(pids[i], SIGKILL);
		assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
	}
	sweep_all(r);
	check(r, acc);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(test_exactly_ten), T(test_killed_workers)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
