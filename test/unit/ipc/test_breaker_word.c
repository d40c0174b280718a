#include "breaker_word.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_window_counts_the_last_results(void **state)
{
	uint64_t w = 0;

	for (int i = 0; i < 100; i++)
		w = breaker_word_push(w, 10, 60000, 1000 + i, i % 2);
	assert_int_equal(breaker_word_failures(w, 10), 5);
	for (int i = 0; i < 10; i++)
		w = breaker_word_push(w, 10, 60000, 2000, false);
	assert_int_equal(breaker_word_failures(w, 10), 0);
	for (int i = 0; i < 40; i++)
		w = breaker_word_push(w, 32, 60000, 3000, true);
	assert_int_equal(breaker_word_failures(w, 32), 32);
}

static void test_window_forgets(void **state)
{
	uint64_t w = 0;

	for (int i = 0; i < 4; i++)
		w = breaker_word_push(w, 10, 60000, 1000, true);
	assert_int_equal(breaker_word_failures(breaker_word_push(w, 10, 60000, 60000, true), 10), 5);
	assert_int_equal(breaker_word_failures(breaker_word_push(w, 10, 60000, 62000, true), 10), 1);
	/* Across the wrap of the stored time. */
	w = breaker_word_push(0, 10, 60000, ((INT64_C(1) << 26) << 8) - 300, true);
	w = breaker_word_push(w, 10, 60000, ((INT64_C(1) << 26) << 8) + 300, true);
	assert_int_equal(breaker_word_failures(w, 10), 2);
}

static void test_until(void **state)
{
	uint64_t w = breaker_word_until(INT64_C(123456789012), 7);

	assert_int_equal(breaker_word_until_ms(w), INT64_C(123456789012));
	assert_int_equal(breaker_word_times(w), 7);
	assert_int_equal(breaker_word_times(breaker_word_until(1, 1000)), 255);
}

static void test_delay_doubles_within_bounds(void **state)
{
	for (uint64_t rnd = 0; rnd < 5000; rnd += 7) {
		int64_t first = breaker_word_delay_ms(1000, 60000, 1, rnd);
		int64_t third = breaker_word_delay_ms(1000, 60000, 3, rnd);
		int64_t last = breaker_word_delay_ms(1000, 60000, 200, rnd);

		assert_in_range(first, 800, 1200);
		assert_in_range(third, 3200, 4800);
		assert_in_range(last, 48000, 72000);
	}
	assert_int_equal(breaker_word_delay_ms(0, 60000, 5, 99), 0);
	assert_in_range(breaker_word_delay_ms(5000, 1000, 5, 99), 800, 1200);
}

static void test_rate_slides(void **state)
{
	uint64_t w = 0;

	for (int i = 0; i < 60; i++)
		w = breaker_word_count(w, 30000, 1);
	assert_int_equal(breaker_word_rate(w, 59999), 60);
	assert_int_equal(breaker_word_rate(w, 60000), 60);
	assert_int_equal(breaker_word_rate(w, 90000), 30);
	assert_int_equal(breaker_word_rate(w, 119000), 1);
	assert_int_equal(breaker_word_rate(w, 120000), 0);
	w = breaker_word_count(w, 90000, 10);
	assert_int_equal(breaker_word_rate(w, 90000), 40);
	for (int i = 0; i < 10; i++)
		w = breaker_word_count(w, 90000, 1u << 21);
	assert_int_equal(breaker_word_rate(w, 90000), (1 << 22) - 1 + 30);
}

static void test_smooth(void **state)
{
	uint64_t w = breaker_word_smooth(0, 800, 80);

	assert_int_equal(w >> 32, 800);
	assert_int_equal(w & 0xffffffff, 80);
	w = breaker_word_smooth(w, 1600, 0);
	assert_int_equal(w >> 32, 900);
	assert_int_equal(w & 0xffffffff, 70);
	for (int i = 0; i < 2000; i++)
		w = breaker_word_smooth(w, 5, UINT32_MAX);
	assert_int_equal(w >> 32, 5);
	assert_int_equal(w & 0xffffffff, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window_counts_the_last_results),
		cmocka_unit_test(test_window_forgets),
		cmocka_unit_test(test_until),
		cmocka_unit_test(test_delay_doubles_within_bounds),
		cmocka_unit_test(test_rate_slides),
		cmocka_unit_test(test_smooth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
