#include "page.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "breaker.h"
#include "ipc_page.h"
#include "mem.h"

static void test_outlives_its_maker(void **state)
{
	page_raise(page, 7);
	page_unmap(&page);
	assert_int_equal(page_make(page_path, IPC_PAGE_LEDGER, &page), ERRC_OK);
	assert_int_equal(page_generation(page), 7);
}

static void test_another_ledger_gets_a_new_one(void **state)
{
	page_raise(page, 7);
	page_unmap(&page);
	assert_int_equal(page_make(page_path, "ffffffffffffffffffffffffffffffff", &page), ERRC_OK);
	assert_int_equal(page_generation(page), 0);
	page_unmap(&page);
	assert_int_equal(page_make(page_path, "short", &page), ERRC_INVAL);
	assert_int_equal(page_make("/nonexistent-folder/page", IPC_PAGE_LEDGER, &page),
			 ERRC_NOTFOUND);
	assert_int_equal(page_make(page_path, IPC_PAGE_LEDGER, &page), ERRC_OK);
}

static void test_broken_files_are_replaced(void **state)
{
	page_raise(page, 7);
	page_unmap(&page);
	assert_int_equal(truncate(page_path, 100), 0);
	assert_int_equal(page_make(page_path, IPC_PAGE_LEDGER, &page), ERRC_OK);
	assert_int_equal(page_generation(page), 0);
}

static void test_child_maps_the_same(void **state)
{
	struct page *other;
	int fd = dup(page_fd(page));

	assert_int_equal(page_map(fd, &other), ERRC_OK);
	page_master_beat(page, 1234);
	assert_int_equal(page_master_seen_ms(other), 1234);
	page_set_draining(page, 3);
	assert_true(page_is_draining(other, 3));
	assert_false(page_is_draining(other, 4));
	page_unmap(&other);
	assert_int_equal(page_map(open("/dev/null", O_RDWR), &other), ERRC_VERSION);
}

static void test_rows_of_the_living_are_not_given_away(void **state)
{
	unsigned a, b, c;
	pid_t pid;
	int st;

	assert_int_equal(page_claim(page, 1, 0, 1, &a), ERRC_OK);
	assert_int_equal(page_claim(page, 2, 0, 1, &b), ERRC_OK);
	assert_int_not_equal(a, b);
	assert_int_equal(page_slots_high(page), 2);
	pid = fork();
	if (pid == 0) {
		page_join(page, b);
		pause();
		_exit(0);
	}
	while (atomic_load(&page_proc(page, b)->pid) != (uint32_t)pid)
		;
	assert_true(page_is_alive(page, b));
	assert_int_equal(page_claim(page, 2, 1, 1, &c), ERRC_OK);
	assert_int_equal(c, 2);
	kill(pid, SIGKILL);
	waitpid(pid, &st, 0);
	assert_false(page_is_alive(page, b));
	assert_int_equal(page_claim(page, 2, 5, 2, &c), ERRC_OK);
	assert_int_equal(c, b);
	assert_int_equal(atomic_load(&page_proc(page, b)->slot), 5);
	/* A pid that was reused: alive, but begun at another time. */
	atomic_fetch_add(&page_proc(page, b)->start_ticks, 1);
	assert_false(page_is_alive(page, b));
}

static void test_clear_takes_the_dead_ones_counts(void **state)
{
	struct breaker_provider *pr = breaker_provider(page, 42);
	unsigned a, b;

	assert_int_equal(page_claim(page, 2, 0, 1, &a), ERRC_OK);
	assert_int_equal(page_claim(page, 2, 1, 1, &b), ERRC_OK);
	assert_true(breaker_inflight_take(pr, a, 2));
	assert_true(breaker_inflight_take(pr, b, 2));
	assert_false(breaker_inflight_take(pr, b, 2));
	atomic_store(&page_proc(page, a)->inflight, 9);
	page_clear(page, a);
	assert_int_equal(breaker_inflight(pr), 1);
	assert_int_equal(atomic_load(&page_proc(page, a)->inflight), 0);
	assert_int_equal(atomic_load(&page_proc(page, a)->state), PAGE_STARTING);
	breaker_inflight_give(pr, b);
}

static void test_durable_mark(void **state)
{
	assert_false(page_durable_has(page, 1, 1));
	page_durable_set(page, 1, 10);
	assert_true(page_durable_has(page, 1, 10));
	assert_false(page_durable_has(page, 1, 11));
	page_durable_set(page, 2, 3);
	assert_true(page_durable_has(page, 2, 3));
	assert_false(page_durable_has(page, 2, 4));
	assert_false(page_durable_has(page, 1, 1));
}

/* A writer that jumps between epochs never makes a reader believe what was not so: (odd, n) is only ever set to n <= 5,
 * (even, n) to n <= 1000. */
static void test_durable_mark_is_never_mixed(void **state)
{
	pid_t pid = fork();
	int st;

	if (pid == 0) {
		for (uint64_t i = 1; i < 200000; i++)
			page_durable_set(page, i, i % 2 ? i % 6 : i % 1001);
		_exit(0);
	}
	while (waitpid(pid, &st, WNOHANG) == 0) {
		for (uint64_t e = 1; e < 200000; e += 1999)
			assert_false(page_durable_has(page, e | 1, 6));
	}
	assert_int_equal(st, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, ipc_page_setup, ipc_page_teardown)
	const struct CMUnitTest tests[] = {
		T(test_outlives_its_maker),
		T(test_another_ledger_gets_a_new_one),
		T(test_broken_files_are_replaced),
		T(test_child_maps_the_same),
		T(test_rows_of_the_living_are_not_given_away),
		T(test_clear_takes_the_dead_ones_counts),
		T(test_durable_mark),
		T(test_durable_mark_is_never_mixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
