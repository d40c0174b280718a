#include "hint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct slice likest(const char *wanted)
{
	static const char *const names[] = {"account",  "key",   "usage",  "request",
					    "provider", "model", "reload", "completion"};
	struct hint h;

	hint_init(&h, slice_str(wanted));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		hint_add(&h, slice_str(names[i]));
	return h.best;
}

static void test_near_names_are_found(void **state)
{
	assert_true(slice_is(likest("acount"), "account"));
	assert_true(slice_is(likest("accuont"), "account")); /* neighbours swapped */
	assert_true(slice_is(likest("keys"), "key"));
	assert_true(slice_is(likest("usages"), "usage"));
	assert_true(slice_is(likest("completions"), "completion"));
	assert_true(slice_is(likest("relaod"), "reload"));
}

static void test_far_names_are_not(void **state)
{
	char longest[200];

	assert_null(likest("banana").p);
	assert_null(likest("").p);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_null(likest(longest).p);
}

static void test_first_of_equals(void **state)
{
	struct hint h;

	hint_init(&h, SLICE_LIT("lost"));
	hint_add(&h, SLICE_LIT("list"));
	hint_add(&h, SLICE_LIT("last"));
	assert_true(slice_is(h.best, "list"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_near_names_are_found),
		cmocka_unit_test(test_far_names_are_not),
		cmocka_unit_test(test_first_of_equals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
