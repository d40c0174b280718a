/* credential.c: order of the places, forms of the value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "credential.h"

#define KEY   "sk-aigw-abcdefghijkl-0123456789012345678901234567890123456789012"
#define OTHER "sk-aigw-mnopqrstuvwx-0123456789012345678901234567890123456789012"

static size_t find(const struct http1_field *fields, size_t n, enum paths_family family,
		   const char *query, struct buf *b, struct credential out[CREDENTIAL_PLACES])
{
	struct http1_head head = {.fields = fields, .field_count = n, .names = UINT64_MAX};
	struct paths_match m = {.family = family, .query = slice_str(query)};

	buf_init(b, 512);
	return credential_find(&head, &m, b, out);
}

static void test_forms(void **state)
{
	static const char *const values[] = {
		"Bearer " KEY,        "bearer " KEY, "BEARER   " KEY " ", KEY,
		"Bearer \"" KEY "\"", " " KEY " ",   "'" KEY "'"};
	struct credential cr[CREDENTIAL_PLACES];
	struct buf b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct http1_field f = {SLICE_LIT("Authorization"), slice_str(values[i])};

		assert_int_equal(find(&f, 1, PATHS_FOR_OPENAI, "", &b, cr), 1);
		assert_true(slice_is(cr[0].value, KEY));
		assert_true(slice_is(cr[0].id, "abcdefghijkl"));
		assert_string_equal(cr[0].where, "authorization");
		buf_fini(&b);
	}
}

static void test_order(void **state)
{
	struct http1_field f[] = {{SLICE_LIT("x-api-key"), SLICE_LIT(OTHER)},
				  {SLICE_LIT("authorization"), SLICE_LIT("Bearer " KEY)}};
	struct credential cr[CREDENTIAL_PLACES];
	struct buf b;

	(void)state;
	assert_int_equal(find(f, 2, PATHS_FOR_OPENAI, "key=" KEY, &b, cr), 3);
	assert_true(slice_is(cr[0].value, KEY));
	assert_true(slice_is(cr[1].value, OTHER));
	assert_string_equal(cr[2].where, "?key=");
	assert_true(slice_is(cr[2].value, KEY));
	buf_fini(&b);
	assert_int_equal(find(f, 2, PATHS_FOR_ANTHROPIC, "", &b, cr), 2);
	assert_true(slice_is(cr[0].value, OTHER));
	assert_string_equal(cr[0].where, "x-api-key");
	buf_fini(&b);
}

static void test_none_and_foreign(void **state)
{
	struct http1_field f[] = {{SLICE_LIT("authorization"), SLICE_LIT("Bearer sk-proj-xyz")},
				  {SLICE_LIT("api-key"), SLICE_LIT("  ")}};
	struct credential cr[CREDENTIAL_PLACES];
	struct buf b;

	(void)state;
	assert_int_equal(find(f, 2, PATHS_FOR_OPENAI, "", &b, cr), 1);
	assert_int_equal(cr[0].id.n, 0);
	buf_fini(&b);
	assert_int_equal(find(NULL, 0, PATHS_FOR_OPENAI, "model=x", &b, cr), 0);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_none_and_foreign),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
