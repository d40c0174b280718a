#include "control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mem.h"

static void test_fields_round_trip(void **state)
{
	const struct control_field in[] = {
		CONTROL_S("name", SLICE_LIT("acme")), CONTROL_I("balance_nusd", -5),
		CONTROL_B("suspended", true),         CONTROL_N("note"),
		CONTROL_S("empty", SLICE_LIT("")),    CONTROL_I("big", INT64_MAX),
	};
	struct control_field out[8];
	struct slice s;
	struct buf b;
	int64_t v;
	size_t n;

	buf_init(&b, 4096);
	assert_int_equal(control_encode(in, ARRAY_LEN(in), &b), ERRC_OK);
	assert_int_equal(control_decode(buf_slice(&b), out, ARRAY_LEN(out), &n), ERRC_OK);
	assert_int_equal(n, ARRAY_LEN(in));
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(out[i].type, in[i].type);
		assert_true(slice_eq(out[i].name, in[i].name));
	}
	assert_true(control_get_str(out, n, "name", &s) && slice_is(s, "acme"));
	assert_true(control_get_i64(out, n, "balance_nusd", &v) && v == -5);
	assert_true(control_get_i64(out, n, "big", &v) && v == INT64_MAX);
	assert_true(control_get_bool(out, n, "suspended"));
	assert_false(control_get_bool(out, n, "name"));
	assert_false(control_get_str(out, n, "balance_nusd", &s));
	assert_false(control_get_str(out, n, "nothing", &s));
	assert_int_equal(control_decode(buf_slice(&b), out, 5, &n), ERRC_LIMIT);
	for (size_t cut = 0; cut < b.len; cut++)
		assert_int_equal(control_decode(slice_of(b.p, cut), out, 8, &n), ERRC_PROTOCOL);
	buf_fini(&b);
	assert_int_equal(mem_live_count(), 0);
}

static void test_nested_values_are_refused(void **state)
{
	static const char array[] = "\x81\xa1x\x90", floating[] = "\x81\xa1x\xcb\0\0\0\0\0\0\0\0";
	struct control_field out[2];
	size_t n;

	assert_int_equal(control_decode(slice_of(array, 4), out, 2, &n), ERRC_PROTOCOL);
	assert_int_equal(control_decode(slice_of(floating, 12), out, 2, &n), ERRC_PROTOCOL);
}

/* Lists in a list come out as they went in; cut anywhere, only whole ones do. */
static void test_pack(void **state)
{
	const struct control_field in[] = {CONTROL_S("account", SLICE_LIT("acme")),
					   CONTROL_I("rpm", 60), CONTROL_B("clamp", true)};
	struct control_field f[CONTROL_FIELDS_MAX];
	size_t ends[4] = {0}, n;
	struct slice left, fields;
	uint32_t number;
	struct buf b;

	buf_init(&b, 4096);
	for (uint32_t i = 1; i <= 3; i++) {
		assert_int_equal(control_pack(10 * i, in, i, &b), ERRC_OK);
		ends[i] = b.len;
	}
	for (size_t cut = 0; cut <= b.len; cut++) {
		size_t whole = cut >= ends[3] ? 3 : cut >= ends[2] ? 2 : cut >= ends[1] ? 1 : 0;

		left = slice_of(b.p, cut);
		for (size_t i = 1; i <= whole; i++) {
			assert_true(control_unpack(&left, &number, &fields));
			assert_int_equal(number, 10 * i);
			assert_int_equal(control_decode(fields, f, CONTROL_FIELDS_MAX, &n), ERRC_OK);
			assert_int_equal(n, i);
			assert_true(slice_is(f[0].s, "acme"));
		}
		assert_false(control_unpack(&left, &number, &fields));
		assert_int_equal(left.n, cut - ends[whole]);
	}
	buf_fini(&b);
	buf_init(&b, 16); /* no room */
	assert_int_equal(control_pack(1, in, 3, &b), ERRC_LIMIT);
	buf_fini(&b);
	(void)state;
}

static void test_verbs(void **state)
{
	assert_int_equal(control_verb_named(SLICE_LIT("account create")), CONTROL_DO_ACCOUNT_CREATE);
	assert_int_equal(control_verb_named(SLICE_LIT("account")), CONTROL_VERB_COUNT);
	assert_int_equal(control_verb_row(CONTROL_DO_STATUS)->server, CONTROL_BY_MASTER);
	assert_int_equal(control_verb_row(CONTROL_DO_KEY_REVOKE)->right, CONTROL_MAY_WRITE);
	for (unsigned v = 0; v < CONTROL_VERB_COUNT; v++)
		assert_int_equal(
			control_verb_named(slice_str(control_verb_row((enum control_verb)v)->text)),
			v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields_round_trip),
		cmocka_unit_test(test_nested_values_are_refused),
		cmocka_unit_test(test_pack),
		cmocka_unit_test(test_verbs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
