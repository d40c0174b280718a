#include "secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

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

static void test_hide(void **state)
{
	static const struct {
		const char *text, *hidden;
	} cases[] = {
		{"", ""},
		{"nothing to hide", "nothing to hide"},
		{"sk-secret-1", "***********"},
		{"wrong key sk-secret-1, twice sk-secret-1sk-secret-1!",
		 "wrong key ***********, twice **********************!"},
		{"cut off: sk-secret-", "cut off: **********"},
		{"cut off: sk-secre", "cut off: ********"},
		{"too little: sk-secr", "too little: sk-secr"},
		{"sk-secret-2 and sk-secret", "sk-secret-2 and *********"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[64];

		snprintf(text, sizeof(text), "%s", cases[i].text);
		secret_hide(text, strlen(text), SLICE_LIT("sk-secret-1"));
		assert_string_equal(text, cases[i].hidden);
	}
	char text[] = "short values are words";

	secret_hide(text, strlen(text), SLICE_LIT("words"));
	secret_hide(text, strlen(text), SLICE_NONE);
	assert_string_equal(text, "short values are words");
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
		cmocka_unit_test(test_hide),
		cmocka_unit_test(test_eq),
		cmocka_unit_test(test_wipe_and_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
