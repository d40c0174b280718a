#include "options.h"

#include <getopt.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static enum errc parse(struct options *o, int n, const char *const *words)
{
	char *argv[8] = {(char *)"aigwd"};

	for (int i = 0; i < n; i++)
		argv[i + 1] = (char *)(uintptr_t)words[i];
	argv[n + 1] = NULL;
	optind = 0;
	opterr = 0;
	return options_parse(n + 1, argv, o);
}
#define PARSE(o, ...)                                                    \
	parse(o, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), \
	      (const char *[]){__VA_ARGS__})

static void test_lines(void **state)
{
	struct options o;

	assert_int_equal(parse(&o, 0, NULL), ERRC_OK);
	assert_int_equal(o.action, OPTIONS_RUN);
	assert_null(o.config);
	assert_int_equal(PARSE(&o, "-t", "--strict", "-c", "x.yaml"), ERRC_OK);
	assert_int_equal(o.action, OPTIONS_CHECK);
	assert_true(o.strict);
	assert_string_equal(o.config, "x.yaml");
	assert_int_equal(PARSE(&o, "-T", "--origin"), ERRC_OK);
	assert_int_equal(o.action, OPTIONS_PRINT);
	assert_true(o.origin);
	assert_int_equal(PARSE(&o, "-V"), ERRC_OK);
	assert_int_equal(o.action, OPTIONS_VERSIONS);
	assert_int_equal(PARSE(&o, "--version"), ERRC_OK);
	assert_int_equal(o.action, OPTIONS_VERSION);
	assert_int_equal(PARSE(&o, "-c"), ERRC_INVAL);
	assert_int_equal(PARSE(&o, "-x"), ERRC_INVAL);
	assert_int_equal(PARSE(&o, "word"), ERRC_INVAL);
	assert_int_equal(PARSE(&o, "-T", "--strict"), ERRC_INVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
