#include "shares.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static bool read_list(const char *const *texts, size_t n, struct shares *out)
{
	struct slice v[SHARES_MAX + 1];

	for (size_t i = 0; i < n; i++)
		v[i] = slice_str(texts[i]);
	return shares_read(&(struct settings_list){v, n}, out);
}

static void test_read(void **state)
{
	static const char *const good[] = {"1", "80%", "0.5", "1/2", "1.5"};
	static const char *const bad[] = {"0", "-1", "x", "11", "", "1/0"};
	struct shares s;

	assert_true(read_list(good, 5, &s));
	assert_int_equal(s.n, 4);
	assert_int_equal(s.ppm[0], 500000);
	assert_int_equal(s.ppm[1], 800000);
	assert_int_equal(s.ppm[2], 1000000);
	assert_int_equal(s.ppm[3], 1500000);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(read_list(&bad[i], 1, &s));
	assert_true(read_list(NULL, 0, &s));
	assert_int_equal(s.n, 0);
	for (size_t n = SHARES_MAX; n <= SHARES_MAX + 1; n++) {
		struct slice v[SHARES_MAX + 1];

		for (size_t i = 0; i < n; i++)
			v[i] = SLICE_LIT("1");
		assert_int_equal(shares_read(&(struct settings_list){v, n}, &s), n <= SHARES_MAX);
	}
}

static void test_reached(void **state)
{
	const struct shares s = {3, {500000, 800000, 1000000}};

	assert_int_equal(shares_reached(&s, 0, 10), 0);
	assert_int_equal(shares_reached(&s, 4, 10), 0);
	assert_int_equal(shares_reached(&s, 5, 10), 500000);
	assert_int_equal(shares_reached(&s, 9, 10), 800000);
	assert_int_equal(shares_reached(&s, 10, 10), 1000000);
	assert_int_equal(shares_reached(&s, INT64_MAX, 1), 1000000);
	assert_int_equal(shares_reached(&s, INT64_MAX - 1, INT64_MAX), 800000);
	assert_int_equal(shares_reached(&s, -5, INT64_MAX), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_read),
					   cmocka_unit_test(test_reached)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
