/* alert.c: which share of a budget a charge passes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alert.h"

static void test_passed(void **state)
{
	static const struct {
		int64_t limit, before, after;
		int percent, passed;
	} cases[] = {
		{100, 0, 79, 80, 0},     {100, 79, 80, 80, 80},
		{100, 80, 99, 80, 0},    {100, 99, 100, 80, 100},
		{100, 0, 100, 80, 100},  {100, 100, 120, 80, 0},
		{100, 79, 99, 0, 0},     {100, 79, 100, 0, 100},
		{100, 0, 100, 100, 100}, {0, 0, 0, 80, 0},
		{3, 2, 3, 80, 100},      {MONEY_NUSD_MAX, 0, MONEY_NUSD_MAX / 5 * 4, 80, 80},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct book_use u = {.limit_nusd = cases[i].limit,
					   .before_nusd = cases[i].before,
					   .after_nusd = cases[i].after};

		assert_int_equal(alert_passed(&u, cases[i].percent), cases[i].passed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_passed)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
