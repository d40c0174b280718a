#include "script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static struct script parsed(const char *model)
{
	struct script s;
	struct slice bad = {0};

	assert_int_equal(script_parse(slice_str(model), &s, &bad), ERRC_OK);
	return s;
}

static void refused(const char *model, const char *part)
{
	struct script s;
	struct slice bad = {0};

	assert_int_equal(script_parse(slice_str(model), &s, &bad), ERRC_SYNTAX);
	assert_true(slice_is(bad, part));
}

static void test_any_name_has_defaults(void **state)
{
	struct script s = parsed("gpt-5.2");

	assert_int_equal(s.tokens, 16);
	assert_int_equal(s.input, -1);
	assert_int_equal(s.status, 200);
	assert_int_equal(s.done, 1);
	assert_int_equal(s.kind, SCRIPT_NONE);
	assert_string_equal(s.usage, "");
}

static void test_parameters(void **state)
{
	struct script s = parsed(
		"sim?tokens=3&input=0&delay=20ms&first=1s&usage=twice&bad_key=old&fault=rst@3");

	assert_int_equal(s.tokens, 3);
	assert_int_equal(s.input, 0);
	assert_int_equal(s.delay, 20);
	assert_int_equal(s.first, 1000);
	assert_string_equal(s.usage, "twice");
	assert_string_equal(s.bad_key, "old");
	assert_int_equal(s.kind, SCRIPT_RST);
	assert_int_equal(s.at, 3);
}

static void test_every_fault_has_its_word(void **state)
{
	static const char *const words[] = {
#define SCRIPT_FAULT(id, word, text) word,
#include "script_fault_tbl.h"
#undef SCRIPT_FAULT
	};
	char model[80];

	for (size_t i = 1; i < ARRAY_LEN(words); i++) {
		snprintf(model, sizeof(model), "x?fault=%s", words[i]);
		assert_int_equal((size_t)parsed(model).kind, i);
		assert_int_equal(parsed(model).at, 0);
	}
}

static void test_what_it_refuses(void **state)
{
	refused("sim?token=3", "token=3");
	refused("sim?tokens=three", "tokens=three");
	refused("sim?tokens=1&nonsense", "nonsense");
	refused("sim?usage=0123456789012345678901234567890123456789012345678",
		"usage=0123456789012345678901234567890123456789012345678");
	refused("sim?fault=nothing_like_it", "fault=nothing_like_it");
	refused("sim?fault=cut@x", "fault=cut@x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_name_has_defaults),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_every_fault_has_its_word),
		cmocka_unit_test(test_what_it_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
