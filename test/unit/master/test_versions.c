#include "versions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_compare(void **state)
{
	assert_int_equal(versions_compare("3.6.6", "3.6.6"), 0);
	assert_int_equal(versions_compare("3.6.10", "3.6.6"), 1);
	assert_int_equal(versions_compare("3.6.5", "3.6.6"), -1);
	assert_int_equal(versions_compare("6", "6.0.0"), 0);
	assert_int_equal(versions_compare("1.44.2", "1.44"), 1);
	assert_int_equal(versions_compare("1.3.1-beta", "1.3.1"), 0);
	assert_int_equal(versions_compare("", "0"), 0);
	assert_int_equal(versions_compare("4", "3.6.6"), 1);
}

static void test_this_build_is_good(void **state)
{
	FILE *f = tmpfile();

	assert_true(versions_print(f));
	assert_true(ftell(f) > 50);
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_compare),
					   cmocka_unit_test(test_this_build_is_good)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
