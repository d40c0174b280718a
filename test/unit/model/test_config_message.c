#include "config_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void expect(struct slice *left, const char *level, const char *file, uint64_t line,
		   uint64_t column, const char *text)
{
	struct config_message m;

	assert_true(config_message_next(left, &m));
	assert_true(slice_is(m.level, level));
	assert_true(slice_is(m.file, file));
	assert_int_equal(m.line, line);
	assert_int_equal(m.column, column);
	assert_true(slice_is(m.text, text));
}

static void test_messages_are_taken_apart(void **state)
{
	struct slice left =
		SLICE_LIT("/etc/aigw.yaml:3:7: unknown key `prise` (did you mean `price`?)\n"
			  "/etc/a:1/b.yaml:12:1: warning: env:KEY is not set\n\n"
			  "(default): warning: no provider\n"
			  "worker-1 did not answer: 2 s\n");
	struct config_message m;

	expect(&left, "error", "/etc/aigw.yaml", 3, 7,
	       "unknown key `prise` (did you mean `price`?)");
	expect(&left, "warning", "/etc/a:1/b.yaml", 12, 1, "env:KEY is not set");
	expect(&left, "warning", "", 0, 0, "no provider");
	expect(&left, "error", "", 0, 0, "worker-1 did not answer: 2 s");
	assert_false(config_message_next(&left, &m));
}

static void test_first_error_is_no_warning(void **state)
{
	struct config_message m;

	assert_true(config_message_first_error(SLICE_LIT("a:1:1: warning: x\na:2:1: y\na:3:1: z\n"),
					       &m));
	assert_int_equal(m.line, 2);
	assert_false(config_message_first_error(SLICE_LIT("a:1:1: warning: x\n"), &m));
	assert_false(config_message_first_error(SLICE_NONE, &m));
}

static void test_last_line_is_cut_off(void **state)
{
	struct slice left = SLICE_LIT("a:1:1: warning: x\na: ok, 1 provider\n");

	assert_true(slice_is(config_message_cut_last(&left), "a: ok, 1 provider"));
	assert_true(slice_is(left, "a:1:1: warning: x\n"));
	assert_true(slice_is(config_message_cut_last(&left), "a:1:1: warning: x"));
	assert_int_equal(left.n, 0);
	assert_int_equal(config_message_cut_last(&left).n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages_are_taken_apart),
		cmocka_unit_test(test_first_error_is_no_warning),
		cmocka_unit_test(test_last_line_is_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
