/* What the ledger thread does to the stores, step by step and without the thread, on a disk that may be full. */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "commits.h"
#include "intake.h"
#include "ledger_priv.h"
#include "live_priv.h"
#include "seal.h"
#include "writer.h"

#define KEY       "aaaaaaaaaaaa"
#define LEDGER_ID "0123456789abcdef0123456789abcdef"
#define ROWS_N    100 /* more than are deleted in one transaction */

static int64_t clock_ms;
int64_t __wrap_clock_boot_ms(void);

int64_t __wrap_clock_boot_ms(void)
{
	return clock_ms;
}

struct scene {
	struct rig rig;
	uint64_t account, last_n; /* of the outbox */
	struct page *page;
	struct heritage h;
	struct intake in;
};

static struct scene s;

static int setup(void **state)
{
	char path[160];
	struct rows_scope k;

	clock_ms = 1000000;
	s = (struct scene){.h.workers = 1};
	commits_work();
	rig_init(&s.rig);
	rig_open(&s.rig);
	rig_join(&s.rig);
	s.account = rig_account(&s.rig, "acme", 1000 * RIG_DOLLAR);
	rig_key(&s.rig, s.account, KEY, &k);
	snprintf(path, sizeof path, "%s/page", s.rig.dir);
	assert_int_equal(page_make(path, LEDGER_ID, &s.page), ERRC_OK);
	s.h.worker_bell_fds[0] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_int_equal(intake_init(&s.in, &s.h, s.page, SETTINGS_DURABILITY_SETTLE), ERRC_OK);
	pace_init(&s.in.pace, s.in.durability, clock_ms, 0);
	intake_opened(&s.in, s.rig.live, s.rig.ledger);
	assert_int_equal(intake_round(&s.in, clock_ms), ERRC_OK);
	(void)state;
	return 0;
}

static int teardown(void **state)
{
	intake_fini(&s.in);
	page_unmap(&s.page);
	close(s.h.worker_bell_fds[0]);
	rig_fini(&s.rig);
	(void)state;
	return 0;
}

static void charge(int n)
{
	struct admit_done done;
	struct admit_op op;
	struct genid id;

	for (int i = 0; i < n; i++) {
		assert_true(rig_hold(&s.rig, s.account, KEY, &s.rig.price, 100, &id, &op));
		rig_settle(&s.rig, s.account, &id, 10, 10, &done);
		s.last_n = done.outbox_n;
	}
}

static size_t outbox(void)
{
	assert_int_equal(outbox_read(s.rig.live, 0, &s.rig.batch), ERRC_OK);
	return s.rig.batch.n;
}

static bool is_durable(void)
{
	return page_durable_has(s.page, live_head(s.rig.live)->epoch, s.last_n);
}

static bool is_rung(void)
{
	eventfd_t n;

	return eventfd_read(s.h.worker_bell_fds[0], &n) == 0;
}

static void next_round(int64_t ms)
{
	clock_ms += ms;
	assert_int_equal(intake_round(&s.in, clock_ms), ERRC_OK);
}

static uint64_t page_state(void)
{
	return atomic_load(page_gauge(s.page, PAGE_LEDGER_STATE));
}

/* --- jobs --- */

static enum errc make_account(struct writer_job *j, struct admin *a)
{
	struct admin_account_spec spec = {
		.name = SLICE_LIT("other"), .mode = ROWS_PREPAID, .credit_nusd = RIG_DOLLAR};
	uint64_t account;
	bool durable;

	(void)j;
	return admin_account_create(a, &s.rig.by, &spec, &account, &durable);
}

static enum errc give_up(struct writer_job *j, struct admin *a)
{
	(void)j;
	a->not_durable = ERRC_NOSPACE;
	return ERRC_OK;
}

static bool is_there(void)
{
	uint64_t account;
	enum errc rc = admin_account_find(s.rig.live, SLICE_LIT("other"), &account);

	assert_true(rc == ERRC_OK || rc == ERRC_NOTFOUND);
	return rc == ERRC_OK;
}

/* --- rounds --- */

static void test_what_is_taken_leaves_the_outbox(void **state)
{
	(void)state;
	(void)is_rung();
	charge(ROWS_N);
	assert_int_equal(outbox(), ROWS_N);
	assert_false(is_durable());
	next_round(50);
	assert_int_equal(ledger_state(s.rig.ledger)->taken_n, s.last_n);
	assert_true(is_durable());
	assert_true(is_rung());
	assert_int_equal(outbox(), 0);
	next_round(50);
	assert_false(is_rung()); /* nothing new */
	charge(1);
	next_round(50);
	assert_int_equal(outbox(), 0);
}

/* The next commit comes first; what is left is deleted behind it, though that takes nothing. */
static void test_rest_is_deleted_later(void **state)
{
	size_t left;

	(void)state;
	charge(ROWS_N);
	assert_int_equal(intake_round(&s.in, clock_ms - 1000), ERRC_OK); /* it has taken long */
	assert_true(is_durable());
	left = outbox();
	assert_in_range(left, 1, ROWS_N - 1);
	next_round(50);
	assert_int_equal(outbox(), 0);
}

static void test_no_space_for_a_while(void **state)
{
	(void)state;
	charge(1);
	for (int i = 0; i < 2; i++) {
		commits_fail(s.rig.ledger->env, 0, 1, ENOSPC);
		next_round(PACE_RETRY_MS);
		assert_int_equal(page_state(), PAGE_LEDGER_FAILED);
		assert_int_equal(outbox(), 1);
		assert_false(is_durable());
	}
	next_round(PACE_RETRY_MS);
	assert_int_equal(page_state(), PAGE_LEDGER_GOOD);
	assert_true(is_durable());
	assert_int_equal(outbox(), 0);
	charge(1);
	commits_fail(s.rig.ledger->env, 0, 1, EIO);
	assert_int_equal(intake_round(&s.in, clock_ms), ERRC_IO);
	assert_false(is_durable());
}

/* Nothing waits: whether the disk takes something again is tried all the same. */
static void test_good_only_when_written(void **state)
{
	(void)state;
	intake_failed(&s.in, ERRC_NOSPACE);
	assert_int_equal(page_state(), PAGE_LEDGER_FAILED);
	commits_fail(s.rig.ledger->env, 0, 1, ENOSPC);
	next_round(PACE_RETRY_MS);
	assert_int_equal(commits_left(s.rig.ledger->env), 0);
	assert_int_equal(page_state(), PAGE_LEDGER_FAILED);
	next_round(PACE_RETRY_MS);
	assert_int_equal(page_state(), PAGE_LEDGER_GOOD);
}

/* --- days --- */

static bool is_sealed(uint64_t seq)
{
	struct seal seal;
	enum errc rc = seal_from(s.rig.ledger, seq, &seal, NULL);

	assert_true(rc == ERRC_OK || rc == ERRC_NOTFOUND);
	return rc == ERRC_OK && seal.last == seq;
}

/* What waits over midnight is taken day by day, at once, with the seal of each between them; and no seal comes before what waits. */
static void test_records_wait_over_midnight(void **state)
{
	const struct ledger_state *l = ledger_state(s.rig.ledger);
	uint64_t seq = l->last_seq;

	(void)state;
	charge(1);
	s.rig.wall_ms += ROLLUP_DAY_MS;
	charge(1);
	assert_true(seal_is_due(s.rig.ledger, s.rig.wall_ms));
	assert_int_equal(intake_seal(&s.in, s.rig.wall_ms), ERRC_OK);
	assert_false(is_sealed(seq));
	next_round(50);
	assert_int_equal(l->last_seq, seq + 1);
	assert_int_equal(intake_seal(&s.in, s.rig.wall_ms), ERRC_OK);
	assert_false(is_sealed(seq + 1));
	assert_true(pace_is_due(&s.in.pace, clock_ms));
	next_round(0);
	assert_int_equal(l->last_seq, seq + 2);
	assert_true(is_sealed(seq + 1));
	assert_true(is_durable());
	assert_false(pace_is_due(&s.in.pace, clock_ms));
	assert_int_equal(intake_seal(&s.in, s.rig.wall_ms), ERRC_OK);
	assert_false(is_sealed(seq + 2));
	assert_int_equal(intake_seal(&s.in, s.rig.wall_ms + ROLLUP_DAY_MS), ERRC_OK);
	assert_true(is_sealed(seq + 2));
}

/* --- what a job leaves to be done --- */

static void test_job_takes_the_outbox_along(void **state)
{
	struct writer_job j = {.run = make_account};

	(void)state;
	charge(1);
	intake_run(&s.in, &j);
	assert_int_equal(j.result, ERRC_OK);
	assert_true(is_durable());
	assert_true(is_rung());
	assert_int_equal(intake_ran(&s.in, j.result), ERRC_OK);
	next_round(50);
	assert_int_equal(outbox(), 0);
}

/* No charge need come for it. */
static void test_job_is_in_the_next_checkpoint(void **state)
{
	struct writer_job j = {.run = make_account};
	const struct ledger_state *l = ledger_state(s.rig.ledger);
	uint64_t upto = l->upto_seq;

	(void)state;
	next_round(PACE_CHECKPOINT_MS);
	assert_int_equal(l->upto_seq, upto); /* nothing came in */
	intake_run(&s.in, &j);
	assert_int_equal(intake_ran(&s.in, j.result), ERRC_OK);
	next_round(1);
	assert_int_equal(ledger_tail(s.rig.ledger), 0);
}

/* The ledger has the change and the live store does not take it: it is put there right behind the job, before the next one reads. */
static void test_behind_a_job(void **state)
{
	struct writer_job j = {.run = make_account};

	(void)state;
	commits_fail(s.rig.live->env, 0, 1, ENOSPC);
	intake_run(&s.in, &j);
	assert_int_equal(j.result, ERRC_NOSPACE);
	assert_false(is_there());
	assert_int_equal(intake_ran(&s.in, j.result), ERRC_OK);
	assert_true(is_there());
}

/* Or, when it cannot yet, behind one of the next rounds. */
static void test_behind_a_round(void **state)
{
	struct writer_job j = {.run = make_account}, nothing = {.run = give_up};

	(void)state;
	commits_fail(s.rig.live->env, 0, 3, ENOSPC);
	intake_run(&s.in, &j);
	assert_int_equal(intake_ran(&s.in, j.result), ERRC_OK);
	intake_run(&s.in, &nothing);
	assert_int_equal(intake_ran(&s.in, nothing.result), ERRC_OK);
	assert_int_equal(commits_left(s.rig.live->env), 0);
	assert_false(is_there());
	next_round(50);
	assert_true(is_there());
	rig_check_books(&s.rig);
}

/* A result, or that a restriction is not durable, may say that the keeper cannot go on. */
static void test_what_ends_the_keeper(void **state)
{
	static const enum errc ends[] = {ERRC_IO, ERRC_CORRUPT, ERRC_STALE, ERRC_VERSION};
	static const enum errc passes[] = {ERRC_OK, ERRC_NOTFOUND, ERRC_FULL, ERRC_NOSPACE,
					   ERRC_NOMEM};
	struct writer_job refused = {.run = give_up}, good = {.run = make_account};

	(void)state;
	intake_run(&s.in, &refused);
	assert_int_equal(s.in.admin.not_durable, ERRC_NOSPACE);
	intake_run(&s.in, &good);
	assert_int_equal(s.in.admin.not_durable, ERRC_OK); /* that was another one's */
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		assert_int_equal(intake_ran(&s.in, ends[i]), ends[i]);
		s.in.admin.not_durable = ends[i];
		assert_int_equal(intake_ran(&s.in, ERRC_OK), ends[i]);
		s.in.admin.not_durable = ERRC_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(passes); i++) {
		assert_int_equal(intake_ran(&s.in, passes[i]), ERRC_OK);
		s.in.admin.not_durable = passes[i];
		assert_int_equal(intake_ran(&s.in, ERRC_OK), ERRC_OK);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_what_is_taken_leaves_the_outbox),
		T(test_rest_is_deleted_later),
		T(test_no_space_for_a_while),
		T(test_good_only_when_written),
		T(test_records_wait_over_midnight),
		T(test_job_takes_the_outbox_along),
		T(test_job_is_in_the_next_checkpoint),
		T(test_behind_a_job),
		T(test_behind_a_round),
		T(test_what_ends_the_keeper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
