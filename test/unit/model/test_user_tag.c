#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "user_tag.h"

static void test_good(void **state)
{
	static const char *const good[] = {"a",
					   "alice@example.org",
					   "John Smith",
					   "user-\xc3\xa4\xe6\xbc\xa2",
					   "\xf0\x9f\x90\xac",
					   "\xc2\xa0x",
					   "*"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!user_tag_is_good(slice_str(good[i])))
			fail_msg("%s", good[i]);
}

static void test_bad(void **state)
{
	static const char *const bad[] = {"",
					  " a",
					  "a ",
					  "a\tb",
					  "a\nb",
					  "\x7f",
					  "a\x1b[0m",
					  "\xff",
					  "\xc3",
					  "a\xe6\xbc",
					  "\xc2\x85",
					  "\xc3\xa4\xc2\x9f",
					  "\xed\xa0\x80",
					  "\xc0\x80"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (user_tag_is_good(slice_str(bad[i])))
			fail_msg("row %zu", i);
	assert_false(user_tag_is_good(slice_of("a\0b", 3)));
}

static void test_length(void **state)
{
	char text[USER_TAG_MAX + 1];

	(void)state;
	memset(text, 'x', sizeof text);
	assert_true(user_tag_is_good(slice_of(text, USER_TAG_MAX)));
	assert_false(user_tag_is_good(slice_of(text, USER_TAG_MAX + 1)));
	memcpy(text + USER_TAG_MAX - 2, "\xe6\xbc\xa2", 3); /* cut inside of a character */
	assert_false(user_tag_is_good(slice_of(text, USER_TAG_MAX)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad),
					   cmocka_unit_test(test_length)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
