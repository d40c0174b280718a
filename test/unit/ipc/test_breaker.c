#include "breaker.h"

#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ipc_page.h"

static const struct breaker_opts opts = {.failures = 3,
					 .of = 10,
					 .window_ms = 60000,
					 .open_ms = 1000,
					 .open_max_ms = 8000,
					 .probe_ms = 5000,
					 .slow_start_ms = 10000};

static void failures(struct breaker *b, int64_t now_ms, int times)
{
	for (int i = 0; i < times; i++)
		(void)breaker_report(b, &opts, now_ms, false, false, 0);
}

static void test_opens_probes_closes(void **state)
{
	struct breaker *b = breaker_offer(page, 1);
	bool probe;

	assert_ptr_equal(b, breaker_offer(page, 1));
	failures(b, 1000, 2);
	assert_true(breaker_admit(b, &opts, 1000, 1, 0, &probe) && !probe);
	assert_true(breaker_report(b, &opts, 1000, false, false, 0));
	assert_int_equal(breaker_state(b, &opts, 1000), BREAKER_OPEN);
	assert_int_equal(breaker_wait_ms(b, 1000), 800);
	assert_false(breaker_admit(b, &opts, 1500, 1, 0, &probe));
	/* Half open: one probe for the node. */
	assert_int_equal(breaker_state(b, &opts, 1800), BREAKER_HALF_OPEN);
	assert_true(breaker_admit(b, &opts, 1800, 1, 0, &probe) && probe);
	assert_false(breaker_admit(b, &opts, 1800, 2, 0, &probe));
	assert_false(breaker_report(b, &opts, 1900, true, true, 0));
	assert_int_equal(breaker_state(b, &opts, 1900), BREAKER_SLOW_START);
	assert_false(breaker_admit(b, &opts, 1900, 1, 50, &probe));
	assert_true(breaker_admit(b, &opts, 1900, 1, 5, &probe));
	assert_true(breaker_admit(b, &opts, 1900 + 6000, 1, 50, &probe) && !probe);
	assert_int_equal(breaker_state(b, &opts, 12000), BREAKER_CLOSED);
}

static void test_failed_probes_double_the_wait(void **state)
{
	struct breaker *b = breaker_offer(page, 1);
	int64_t now = 1000, want[] = {800, 1600, 3200, 6400, 6400};
	bool probe;

	failures(b, now, 3);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_int_equal(breaker_wait_ms(b, now), want[i]);
		now += want[i];
		assert_true(breaker_admit(b, &opts, now, 1, 0, &probe) && probe);
		assert_true(breaker_report(b, &opts, now, false, true, 0));
	}
	/* Opened again soon after it closed: the count goes on. */
	now += 6400;
	assert_true(breaker_admit(b, &opts, now, 1, 0, &probe) && probe);
	assert_false(breaker_report(b, &opts, now, true, true, 0));
	failures(b, now + 100, 3);
	assert_int_equal(breaker_wait_ms(b, now + 100), 6400);
	/* Long after: from the start. */
	now += 6500;
	assert_true(breaker_admit(b, &opts, now, 1, 0, &probe) && probe);
	assert_false(breaker_report(b, &opts, now, true, true, 0));
	failures(b, now + 60000, 3);
	assert_int_equal(breaker_wait_ms(b, now + 60000), 800);
}

static void test_lost_probe(void **state)
{
	struct breaker *b = breaker_offer(page, 1);
	bool probe;

	failures(b, 1000, 3);
	assert_true(breaker_admit(b, &opts, 2000, 1, 0, &probe) && probe);
	assert_false(breaker_admit(b, &opts, 6999, 2, 0, &probe));
	assert_true(breaker_admit(b, &opts, 7000, 2, 0, &probe) && probe);
	breaker_probe_release(b, 1);
	assert_false(breaker_admit(b, &opts, 7001, 3, 0, &probe));
	breaker_probe_release(b, 2);
	assert_true(breaker_admit(b, &opts, 7001, 3, 0, &probe) && probe);
}

static void test_late_reports_say_nothing(void **state)
{
	struct breaker *b = breaker_offer(page, 1);

	failures(b, 1000, 3);
	assert_false(breaker_report(b, &opts, 1100, false, false, 0));
	assert_false(breaker_report(b, &opts, 1100, true, false, 0));
	assert_int_equal(breaker_wait_ms(b, 1000), 800);
}

static void test_keys(void **state)
{
	struct breaker_key *k = breaker_key(page, 9);
	enum breaker_rest why;

	assert_int_equal(breaker_key_wait_ms(k, 1000, &why), 0);
	assert_int_equal(why, BREAKER_READY);
	breaker_key_cool(k, 5000, false);
	breaker_key_cool(k, 3000, true);
	assert_int_equal(breaker_key_wait_ms(k, 1000, &why), 4000);
	assert_int_equal(why, BREAKER_LIMITED);
	breaker_key_cool(k, 6000, true);
	assert_int_equal(breaker_key_wait_ms(k, 1000, &why), 5000);
	assert_int_equal(why, BREAKER_OVERLOADED);
	assert_int_equal(breaker_key_wait_ms(k, 6000, &why), 0);
	assert_int_equal(why, BREAKER_READY);
	breaker_key_out(k, 1000, 401);
	breaker_key_out(k, 1001, 401);
	assert_int_equal(breaker_key_wait_ms(k, 1000, &why), 60000);
	assert_int_equal(why, BREAKER_OUT);
	breaker_key_out(k, 61000, 401);
	assert_int_equal(breaker_key_wait_ms(k, 61000, &why), 120000);
	breaker_keys_forgive(page);
	assert_int_equal(breaker_key_wait_ms(k, 61000, &why), 0);
	breaker_key_learn(k, 0, -1, 63000);
	assert_int_equal(breaker_key_wait_ms(k, 61000, &why), 2000);
	assert_int_equal(why, BREAKER_LIMITED);
	breaker_key_learn(k, 5, -1, 63000);
	assert_int_equal(breaker_key_wait_ms(k, 61000, NULL), 0);
}

static void test_retry_budget(void **state)
{
	struct breaker_provider *p = breaker_provider(page, 3);
	int n = 0;

	while (n < 100 && breaker_retry_take(p, 1000, 200000, 10))
		n++;
	assert_int_equal(n, 10);
	for (int i = 0; i < 1000; i++)
		breaker_request_count(p, 1000);
	while (n < 1000 && breaker_retry_take(p, 1000, 200000, 10))
		n++;
	assert_int_equal(n, 200);
	assert_true(breaker_retry_take(p, 200000, 200000, 10));
}

static void test_tables_fill_up(void **state)
{
	uint64_t last = 0;

	for (uint64_t id = 1; id < 10000 && breaker_key(page, id * 0x9e3779b97f4a7c15); id++)
		last = id;
	assert_int_equal(last, 4096 - 512);
	assert_non_null(breaker_key(page, 0x9e3779b97f4a7c15));
}

/* Eight processes, one half-open breaker after another: exactly one probe each; running requests never above the limit. */
static void test_many_processes(void **state)
{
	enum { PROCS = 8, OFFERS = 500 };
	page_u64 *probes = page_gauge(page, PAGE_HOLDS), *over = page_gauge(page, PAGE_HELD_NUSD);
	struct breaker_provider *pr = breaker_provider(page, 3);
	int st;

	for (uint64_t i = 1; i <= OFFERS; i++)
		failures(breaker_offer(page, i), 1000, 3);
	for (unsigned p = 0; p < PROCS; p++) {
		if (fork())
			continue;
		for (uint64_t i = 1; i <= OFFERS; i++) {
			bool probe;

			if (breaker_admit(breaker_offer(page, i), &opts, 2000, p, 0, &probe))
				atomic_fetch_add(probes, 1);
			if (breaker_inflight_take(pr, p, 3)) {
				if (breaker_inflight(pr) > PROCS)
					atomic_fetch_add(over, 1);
				breaker_inflight_give(pr, p);
			}
		}
		_exit(0);
	}
	for (int p = 0; p < PROCS; p++) {
		assert_true(wait(&st) > 0);
		assert_int_equal(st, 0);
	}
	assert_int_equal(atomic_load(probes), OFFERS);
	assert_int_equal(atomic_load(over), 0);
	assert_int_equal(breaker_inflight(pr), 0);
}

/* Reports of many processes at once open a breaker exactly once. */
static void test_opened_once(void **state)
{
	enum { PROCS = 4 };
	struct breaker *b = breaker_offer(page, 1);
	page_u64 *opened = page_gauge(page, PAGE_HOLDS);
	int st;

	for (int p = 0; p < PROCS; p++) {
		if (fork())
			continue;
		for (int i = 0; i < 1000; i++)
			atomic_fetch_add(opened, breaker_report(b, &opts, 1000, false, false, 0));
		_exit(0);
	}
	for (int p = 0; p < PROCS; p++)
		assert_true(wait(&st) > 0);
	assert_int_equal(atomic_load(opened), 1);
	assert_int_equal(atomic_load(&b->opened), 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, ipc_page_setup, ipc_page_teardown)
	const struct CMUnitTest tests[] = {
		T(test_opens_probes_closes),
		T(test_failed_probes_double_the_wait),
		T(test_lost_probe),
		T(test_late_reports_say_nothing),
		T(test_keys),
		T(test_retry_budget),
		T(test_tables_fill_up),
		T(test_many_processes),
		T(test_opened_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
