#include "reload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_changes_are_taken_one_by_one(void **state)
{
	static const char text[] = "20region\0"
				   "21workers\0"
				   "00listen 1:2";
	struct slice left = slice_of(text, sizeof(text)), path;
	enum config_change_kind kind;
	bool waits;

	assert_true(reload_next_change(&left, &kind, &waits, &path));
	assert_true(slice_is(path, "region") && kind == CONFIG_CHANGED && !waits);
	assert_true(reload_next_change(&left, &kind, &waits, &path));
	assert_true(slice_is(path, "workers") && waits);
	assert_true(reload_next_change(&left, &kind, &waits, &path));
	assert_true(slice_is(path, "listen 1:2") && kind == CONFIG_ADDED);
	assert_false(reload_next_change(&left, &kind, &waits, &path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_changes_are_taken_one_by_one)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
