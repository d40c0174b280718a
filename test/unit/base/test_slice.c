#include "slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define S(s) SLICE_LIT(s)

static void test_compare(void **state)
{
	assert_true(slice_eq(SLICE_NONE, S("")));
	assert_true(slice_ieq(S("Content-Length"), S("content-lENGTH")));
	assert_false(slice_ieq(S("a["), S("A{")));
	assert_false(slice_ieq(S("abc"), S("ab")));
	assert_true(slice_cmp(S("a"), S("b")) < 0);
	assert_true(slice_cmp(S("ab"), S("a")) > 0);
	assert_true(slice_cmp(S("\xff"), S("a")) > 0);
	assert_int_equal(slice_cmp(SLICE_NONE, S("")), 0);
	assert_true(slice_has_prefix(S("abc"), S("ab")));
	assert_true(slice_has_suffix(S("abc"), S("bc")));
	assert_true(slice_has_suffix(S("abc"), SLICE_NONE));
	assert_false(slice_has_prefix(S("a"), S("ab")));
	assert_false(slice_has_suffix(S("a"), S("ba")));
}

static void test_parts(void **state)
{
	struct slice s = S("a=b=c"), head;

	assert_true(slice_is(slice_trim(S(" \ta b\t ")), "a b"));
	assert_int_equal(slice_trim(S("  ")).n, 0);
	assert_true(slice_is(slice_sub(S("abcdef"), 2, 3), "cde"));
	assert_true(slice_is(slice_sub(S("abcdef"), 4, 30), "ef"));
	assert_int_equal(slice_sub(S("abc"), 9, 1).n, 0);
	assert_int_equal(slice_chr(s, '='), 1);
	assert_int_equal(slice_chr(SLICE_NONE, '='), -1);
	assert_int_equal(slice_find(s, S("=c")), 3);
	assert_int_equal(slice_find(s, S("")), 0);
	assert_int_equal(slice_find(s, S("a=b=c=")), -1);
	assert_true(slice_cut(&s, '=', &head));
	assert_true(slice_is(head, "a") && slice_is(s, "b=c"));
	assert_true(slice_cut(&s, '=', &head));
	assert_false(slice_cut(&s, '=', &head));
	assert_true(slice_is(head, "c") && s.n == 0);
}

static void test_glob(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool match;
	} rows[] = {
		{"", "", true},
		{"*", "", true},
		{"*", "abc", true},
		{"gpt-5*", "gpt-5.2", true},
		{"gpt-5*", "gpt-4", false},
		{"*-preview", "x-preview", true},
		{"a*b*c", "aXbYc", true},
		{"a*b*c", "aXbY", false},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"*a*a*a*b", "aaaaaaaaaa", false},
		{"a**", "a", true},
		{"", "a", false},
		{"abc", "abcd", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(slice_glob(slice_str(rows[i].pattern), slice_str(rows[i].text)),
				 rows[i].match);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_glob),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
