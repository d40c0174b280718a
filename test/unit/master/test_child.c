#include "child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_backoff(void **state)
{
	static const int64_t want[] = {0,    0,    100,   200,   400,   800,  1600,
				       3200, 6400, 12800, 25600, 30000, 30000};

	for (unsigned i = 0; i < ARRAY_LEN(want); i++)
		assert_int_equal(child_backoff_ms(i), want[i]);
	assert_int_equal(child_backoff_ms(UINT32_MAX), 30000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_backoff)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
