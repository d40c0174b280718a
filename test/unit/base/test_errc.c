#include "errc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

static void test_names(void **state)
{
	assert_int_equal(ERRC_OK, 0);
	for (unsigned i = 0; i < ERRC_COUNT; i++) {
		assert_string_not_equal(errc_name((enum errc)i), "unknown");
		assert_string_not_equal(errc_text((enum errc)i), "");
	}
	assert_string_equal(errc_name(ERRC_TOOBIG), "TOOBIG");
	assert_string_equal(errc_text(ERRC_COUNT), "unknown");
	assert_string_equal(errc_name((enum errc) - 1), "unknown");
}

static void test_errno(void **state)
{
	assert_int_equal(errc_from_errno(0), ERRC_OK);
	assert_int_equal(errc_from_errno(ENOSPC), ERRC_NOSPACE);
	assert_int_equal(errc_from_errno(ECONNRESET), ERRC_CONNRESET);
	assert_int_equal(errc_from_errno(EWOULDBLOCK), ERRC_AGAIN);
	assert_string_equal(errc_text(errc_from_errno(EISDIR)), "a folder, not a file");
	assert_string_equal(errc_text(errc_from_errno(ENOTDIR)), "not a folder");
	assert_int_equal(errc_from_errno(ENOTTY), ERRC_SYSTEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
