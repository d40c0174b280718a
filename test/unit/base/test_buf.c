#include "buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mem.h"

static void test_grows_and_keeps_order(void **state)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	assert_true(buf_is_empty(&b));
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(buf_addi(&b, i), ERRC_OK);
		assert_int_equal(buf_addc(&b, ','), ERRC_OK);
	}
	assert_int_equal(b.len, 10 + 180 + 2700 + 1000);
	assert_memory_equal(b.p + b.len - 8, "998,999,", 8);
	buf_fini(&b);
	assert_int_equal(mem_live_count(), 0);
}

static void test_ceiling_leaves_it_as_it_was(void **state)
{
	struct buf b;
	char *at;

	buf_init(&b, 5);
	assert_int_equal(buf_addz(&b, "abc"), ERRC_OK);
	assert_int_equal(buf_addz(&b, "def"), ERRC_LIMIT);
	assert_int_equal(buf_addf(&b, "%d", 123), ERRC_LIMIT);
	assert_int_equal(buf_reserve(&b, SIZE_MAX, &at), ERRC_LIMIT);
	assert_true(slice_is(buf_slice(&b), "abc"));
	assert_int_equal(buf_addf(&b, "%d", 12), ERRC_OK);
	assert_string_equal(buf_cstr(&b), "abc12");
	assert_int_equal(buf_addc(&b, 'x'), ERRC_LIMIT);
	buf_fini(&b);
}

static void test_formats(void **state)
{
	struct buf b;

	buf_init(&b, 1000);
	assert_string_equal(buf_cstr(&b), "");
	assert_int_equal(buf_addf(&b, "%s", ""), ERRC_OK);
	for (int n = 0; n < 200; n++) {
		buf_reset(&b);
		assert_int_equal(buf_addf(&b, "%0*d", n + 1, 7), ERRC_OK);
		assert_int_equal(b.len, n + 1);
		assert_int_equal(b.p[n], '7');
	}
	buf_reset(&b);
	assert_int_equal(buf_addi(&b, INT64_MIN), ERRC_OK);
	assert_int_equal(buf_addi(&b, 0), ERRC_OK);
	assert_int_equal(buf_addi(&b, INT64_MAX), ERRC_OK);
	assert_string_equal(buf_cstr(&b), "-922337203685477580809223372036854775807");
	buf_fini(&b);
}

static void test_cuts(void **state)
{
	struct buf b;

	buf_init(&b, 100);
	assert_int_equal(buf_adds(&b, SLICE_LIT("abcdef")), ERRC_OK);
	buf_drop_front(&b, 2);
	assert_string_equal(buf_cstr(&b), "cdef");
	buf_truncate(&b, 1);
	assert_string_equal(buf_cstr(&b), "c");
	buf_drop_front(&b, 1);
	assert_true(buf_is_empty(&b));
	buf_drop_front(&b, 0);
	buf_fini(&b);
}

static void test_no_memory(void **state)
{
	struct buf b;
	char *at;

	buf_init(&b, 1000);
	mem_fail_after(1);
	assert_int_equal(buf_addz(&b, "x"), ERRC_NOMEM);
	assert_int_equal(buf_addf(&b, "%d", 1), ERRC_NOMEM);
	assert_int_equal(buf_reserve(&b, 1, &at), ERRC_NOMEM);
	assert_null(buf_cstr(&b));
	mem_fail_after(0);
	assert_true(buf_is_empty(&b));
	assert_int_equal(buf_addz(&b, "x"), ERRC_OK);
	mem_fail_after(1);
	assert_int_equal(buf_addf(&b, "%0100d", 1), ERRC_NOMEM);
	mem_fail_after(0);
	assert_string_equal(buf_cstr(&b), "x");
	buf_fini(&b);
	assert_int_equal(mem_live_count(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows_and_keeps_order),
		cmocka_unit_test(test_ceiling_leaves_it_as_it_was),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
