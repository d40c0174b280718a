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
#include "text.h"

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
	assert_int_equal(atomic_load(&page_proc(page, a)->state), PAGE_CLAIMED);
	page_join(page, a);
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

static void end_key(unsigned n)
{
	char id[APIKEY_ID + 1];

	snprintf(id, sizeof(id), "key%09u", n);
	page_end_key(page, id);
}

static unsigned ended(const char id[APIKEY_ID])
{
	uint64_t n;

	assert_memory_equal(id, "key", 3);
	assert_true(text_u64(slice_of(id + 3, APIKEY_ID - 3), &n));
	return (unsigned)n;
}

/* Each is found once by everybody who looks, in order, but by none that began later. */
static void test_ended_keys(void **state)
{
	uint64_t one = page_ended_now(page), other = one, late;
	char id[APIKEY_ID];

	assert_false(page_ended_next(page, &one, id));
	end_key(1);
	end_key(2);
	late = page_ended_now(page);
	for (unsigned i = 1; i <= 2; i++) {
		assert_true(page_ended_next(page, &one, id));
		assert_int_equal(ended(id), i);
	}
	assert_false(page_ended_next(page, &one, id));
	assert_true(page_ended_next(page, &other, id));
	assert_int_equal(ended(id), 1);
	assert_false(page_ended_next(page, &late, id));
	/* Who has not looked for long finds the last ones. */
	for (unsigned i = 3; i < PAGE_ENDED_MAX + 10; i++)
		end_key(i);
	for (unsigned i = 11; i < PAGE_ENDED_MAX + 10; i++) {
		assert_true(page_ended_next(page, &other, id));
		assert_int_equal(ended(id), i);
	}
	assert_false(page_ended_next(page, &other, id));
}

/* A slow reader may miss some, and never finds one that is not there: halves of two. */
static void test_ended_keys_are_never_mixed(void **state)
{
	uint64_t seen = page_ended_now(page);
	unsigned last = 0;
	char id[APIKEY_ID];
	pid_t pid = fork();
	int st;

	if (pid == 0) {
		for (unsigned i = 1; i < 200000; i++) {
			snprintf(id, sizeof(id), "%011u", i);
			id[APIKEY_ID - 1] = id[0] = (char)('a' + i % 26);
			page_end_key(page, id);
		}
		_exit(0);
	}
	while (waitpid(pid, &st, WNOHANG) == 0) {
		while (page_ended_next(page, &seen, id)) {
			uint64_t n;

			assert_true(text_u64(slice_of(id + 1, APIKEY_ID - 2), &n));
			assert_true(n > last);
			last = (unsigned)n;
			assert_int_equal(id[0], 'a' + last % 26);
			assert_int_equal(id[APIKEY_ID - 1], id[0]);
		}
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
		T(test_ended_keys),
		T(test_ended_keys_are_never_mixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
