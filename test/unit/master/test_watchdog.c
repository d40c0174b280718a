#include "watchdog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct watchdog_row rows[3];
static enum watchdog_reason why;

static int setup(void **state)
{
	for (int i = 0; i < 3; i++)
		rows[i] = (struct watchdog_row){.alive = true, .beats = true};
	return 0;
}

/* One tick in which every loop turns. */
static int tick(bool on_time)
{
	for (int i = 0; i < 3; i++)
		rows[i].heartbeat_ms++;
	return watchdog_tick(rows, 3, on_time, &why);
}

static int ticks(int n)
{
	int victim = -1;

	for (int i = 0; i < n && victim < 0; i++)
		victim = tick(true);
	return victim;
}

static void test_nothing_happens_when_all_move(void **state)
{
	for (int i = 0; i < 100; i++) {
		rows[i % 3].wants++;
		rows[i % 3].has++;
		rows[i % 3].done++;
		assert_int_equal(tick(true), -1);
	}
}

static void test_holder_after_three_ticks(void **state)
{
	rows[1].wants = rows[1].has = 1;
	assert_int_equal(ticks(3), -1); /* the first one sees the change */
	assert_int_equal(tick(true), 1);
	assert_int_equal(why, WATCHDOG_HOLDS_LOCK);
}

static void test_late_ticks_do_not_count(void **state)
{
	rows[1].wants = rows[1].has = 1;
	for (int i = 0; i < 20; i++)
		assert_int_equal(tick(i % 3 == 0 ? false : true), -1);
}

static void test_holder_that_moves_is_left_alone(void **state)
{
	rows[1].wants = rows[1].has = 1;
	for (int i = 0; i < 50; i++) {
		if (i % 3 == 0) {
			rows[1].done++;
			rows[1].wants++;
			rows[1].has++;
		}
		assert_int_equal(tick(true), -1);
	}
}

static void test_waiters_are_not_killed_for_the_holder(void **state)
{
	rows[0].wants = 1;
	rows[2].wants = 1;
	assert_int_equal(ticks(1), -1);
	rows[1].wants = rows[1].has = 1;
	assert_int_equal(ticks(10), 1);
	assert_int_equal(why, WATCHDOG_HOLDS_LOCK);
}

static void test_all_only_want(void **state)
{
	rows[0].wants = 1;
	assert_int_equal(ticks(2), -1);
	rows[2].wants = 1;
	assert_int_equal(ticks(10), 0); /* the longest */
	assert_int_equal(why, WATCHDOG_BLOCKS_LOCK);
	(void)setup(NULL);
	rows[0].wants = 1;
	rows[2].wants = 1;
	rows[2].stopped = true;
	assert_int_equal(ticks(10), 2); /* the stopped one */
}

static void test_who_waits_is_nudged_before(void **state)
{
	rows[0].wants = 1;
	assert_int_equal(ticks(1), -1); /* sees the change */
	assert_false(watchdog_nudges(&rows[0]));
	assert_int_equal(ticks(1), -1);
	assert_true(watchdog_nudges(&rows[0]));
	assert_false(watchdog_nudges(&rows[1]));
	rows[0].has = 1;
	assert_int_equal(ticks(1), -1);
	assert_false(watchdog_nudges(&rows[0]));
}

static void test_loop_that_stands_still(void **state)
{
	rows[2].heartbeat_ms = 1; /* the first tick sees the change */
	for (int i = 0; i < WATCHDOG_BEAT_TICKS; i++) {
		rows[0].heartbeat_ms++;
		rows[1].heartbeat_ms++;
		assert_int_equal(watchdog_tick(rows, 3, true, &why), -1);
	}
	rows[0].heartbeat_ms++;
	rows[1].heartbeat_ms++;
	assert_int_equal(watchdog_tick(rows, 3, true, &why), 2);
	assert_int_equal(why, WATCHDOG_NO_BEAT);
}

static void test_who_is_not_ready_or_dead_is_left_alone(void **state)
{
	rows[0].beats = false;
	rows[1].alive = false;
	rows[1].wants = rows[1].has = 5;
	for (int i = 0; i < 100; i++) {
		rows[2].heartbeat_ms++;
		assert_int_equal(watchdog_tick(rows, 3, true, &why), -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_nothing_happens_when_all_move, setup),
		cmocka_unit_test_setup(test_holder_after_three_ticks, setup),
		cmocka_unit_test_setup(test_late_ticks_do_not_count, setup),
		cmocka_unit_test_setup(test_holder_that_moves_is_left_alone, setup),
		cmocka_unit_test_setup(test_waiters_are_not_killed_for_the_holder, setup),
		cmocka_unit_test_setup(test_all_only_want, setup),
		cmocka_unit_test_setup(test_who_waits_is_nudged_before, setup),
		cmocka_unit_test_setup(test_loop_that_stands_still, setup),
		cmocka_unit_test_setup(test_who_is_not_ready_or_dead_is_left_alone, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
