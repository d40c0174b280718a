#include "money.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_checked(void **state)
{
	int64_t v = 7;

	assert_true(money_add(MONEY_NUSD_MAX - 1, 1, &v) && v == MONEY_NUSD_MAX);
	assert_false(money_add(MONEY_NUSD_MAX, 1, &v));
	assert_false(money_add(INT64_MAX, INT64_MAX, &v));
	assert_false(money_add(INT64_MIN, -1, &v));
	assert_true(v == MONEY_NUSD_MAX);
	assert_true(money_sub(5, 8, &v) && v == -3);
	assert_false(money_sub(-MONEY_NUSD_MAX, 1, &v));
	assert_false(money_sub(0, INT64_MIN, &v));
}

static void test_rounds_up(void **state)
{
	assert_int_equal(money_from_pusd(0), 0);
	assert_int_equal(money_from_pusd(1), 1);
	assert_int_equal(money_from_pusd(1000), 1);
	assert_int_equal(money_from_pusd(1001), 2);
	for (int64_t d = -2; d <= 2; d++) { /* around what 64 bits hold */
		money_wide pusd = (money_wide)INT64_MAX + d;

		assert_true(money_from_pusd(pusd) == (int64_t)((pusd + 999) / 1000));
	}
	assert_true(money_from_pusd((money_wide)MONEY_NUSD_MAX * 1000) == MONEY_NUSD_MAX);
	assert_true(money_from_pusd((money_wide)MONEY_NUSD_MAX * 1000 + 1) == MONEY_NUSD_MAX);
	assert_true(money_from_pusd((money_wide)1 << 126) == MONEY_NUSD_MAX);
}

static void test_text(void **state)
{
	char out[MONEY_TEXT_MAX];
	int64_t v = 0;

	assert_int_equal(money_print(4999980000, 1, out), 7);
	assert_string_equal(out, "4.99998");
	money_print(0, 1, out);
	assert_string_equal(out, "0.0");
	money_print(-1, 0, out);
	assert_string_equal(out, "-0.000000001");
	assert_int_equal(money_parse(SLICE_LIT("5"), &v), ERRC_OK);
	assert_true(v == 5 * MONEY_NUSD_DOLLAR);
	assert_int_equal(money_parse(SLICE_LIT("0.0000000001"), &v), ERRC_RANGE);
	assert_int_equal(money_parse(SLICE_LIT("5000000000"), &v), ERRC_RANGE);
	assert_int_equal(money_parse(SLICE_LIT("$5"), &v), ERRC_SYNTAX);
	assert_true(v == 5 * MONEY_NUSD_DOLLAR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checked),
		cmocka_unit_test(test_rounds_up),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
