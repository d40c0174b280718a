#include "secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mem.h"

static void test_life(void **state)
{
	struct secret s;

	assert_int_equal(secret_init(&s, SLICE_LIT("hush")), ERRC_OK);
	assert_true(slice_is(secret_reveal(&s), "hush"));
	secret_fini(&s);
	secret_fini(&s);
	assert_null(s.p);
	mem_fail_after(1);
	assert_int_equal(secret_init(&s, SLICE_LIT("hush")), ERRC_NOMEM);
	mem_fail_after(0);
	assert_int_equal(secret_reveal(&s).n, 0);
	assert_int_equal(mem_live_count(), 0);
}

static void test_eq(void **state)
{
	assert_true(secret_eq(SLICE_LIT("abc"), SLICE_LIT("abc")));
	assert_false(secret_eq(SLICE_LIT("abc"), SLICE_LIT("abd")));
	assert_false(secret_eq(SLICE_LIT("abc"), SLICE_LIT("abcd")));
	assert_true(secret_eq(SLICE_NONE, SLICE_NONE));
}

static void test_wipe_and_random(void **state)
{
	static const unsigned char zero[512];
	unsigned char a[512] = {0}, b[512];

	secret_random(a, sizeof(a));
	secret_random(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	secret_wipe(a, sizeof(a));
	assert_memory_equal(a, zero, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_eq),
		cmocka_unit_test(test_wipe_and_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
