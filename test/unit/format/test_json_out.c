#include "json_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "json.h"
#include "mem.h"

static void test_whole(void **state)
{
	struct json_out o;
	struct buf b;

	buf_init(&b, 1 << 16);
	json_out_init(&o, &b);
	json_out_obj(&o);
	json_out_kstrz(&o, "s", "x");
	json_out_kstrz(&o, "none", NULL);
	json_out_kstr(&o, "e", SLICE_NONE);
	json_out_ki64(&o, "i", INT64_MIN);
	json_out_kbool(&o, "t", true);
	json_out_knull(&o, "z");
	json_out_kraw(&o, "r", SLICE_LIT("[1]"));
	json_out_key(&o, "a");
	json_out_arr(&o);
	json_out_obj(&o);
	json_out_obj_end(&o);
	json_out_arr(&o);
	json_out_arr_end(&o);
	json_out_u64(&o, UINT64_MAX);
	json_out_bool(&o, false);
	json_out_arr_end(&o);
	json_out_key(&o, "c");
	json_out_decimal(&o, 15000, 9, 1);
	json_out_key(&o, "c0");
	json_out_decimal(&o, 0, 9, 1);
	json_out_key(&o, "cs");
	json_out_decimal_str(&o, -1750, 9, 1);
	json_out_obj_end(&o);
	assert_int_equal(json_out_end(&o), ERRC_OK);
	assert_string_equal(buf_cstr(&b), "{\"s\":\"x\",\"none\":null,\"e\":\"\",\"i\":-"
					  "9223372036854775808,\"t\":true,\"z\":null,\"r\":[1],"
					  "\"a\":[{},[],18446744073709551615,false],\"c\":0.000015,"
					  "\"c0\":0.0,\"cs\":\"-0.00000175\"}");
	buf_fini(&b);
}

static void test_misuse_is_an_error(void **state)
{
	for (int i = 0; i < 9; i++) {
		struct json_out o;
		struct buf b;

		buf_init(&b, 1 << 16);
		json_out_init(&o, &b);
		if (i == 0)
			json_out_obj_end(&o);
		if (i == 1)
			json_out_key(&o, "a");
		if (i == 2) {
			json_out_i64(&o, 1);
			json_out_i64(&o, 2);
		}
		if (i >= 3 && i < 8)
			json_out_obj(&o);
		if (i == 3)
			json_out_i64(&o, 1);
		if (i == 4)
			json_out_arr_end(&o);
		if (i == 5) {
			json_out_key(&o, "a");
			json_out_obj_end(&o);
		}
		if (i == 6) {
			json_out_key(&o, "a");
			json_out_key(&o, "b");
		}
		if (i == 8)
			for (int d = 0; d <= LIMIT_JSON_DEPTH; d++)
				json_out_arr(&o);
		assert_int_equal(json_out_end(&o), i == 8 ? ERRC_DEPTH : ERRC_STATE);
		buf_fini(&b);
	}
}

/* Whatever the bytes, the text is valid JSON, and valid text comes back as it was. */
static void test_escaping(void **state)
{
	struct slice all =
		SLICE_LIT("\x01\x1f\"\\/\b\f\n\r\t\x7f ab\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 "
			  "0123456789abcdefghij\"");
	struct json_doc *doc = NULL;
	struct json_out o;
	struct buf b;

	buf_init(&b, 1 << 16);
	for (size_t from = 0; from <= all.n; from++)
		for (size_t n = 0; from + n <= all.n; n++) {
			bool cut = (all.p[from] & 0xc0) == 0x80 ||
				   (from + n < all.n && (all.p[from + n] & 0xc0) == 0x80);

			buf_reset(&b);
			json_out_init(&o, &b);
			json_out_str(&o, slice_of(all.p + from, n));
			assert_int_equal(json_out_end(&o), ERRC_OK);
			assert_int_equal(json_parse(buf_slice(&b), NULL, &doc), ERRC_OK);
			if (!cut)
				assert_true(slice_eq(json_str(json_root(doc)),
						     slice_of(all.p + from, n)));
			json_free(&doc);
		}
	buf_reset(&b);
	assert_int_equal(json_out_escape(&b, SLICE_LIT("a\x80z\xe2\x82\x01")), ERRC_OK);
	assert_string_equal(buf_cstr(&b), "a\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\\u0001");
	buf_fini(&b);
}

static void test_ceiling_sticks(void **state)
{
	struct json_out o;
	struct buf b;

	buf_init(&b, 4);
	json_out_init(&o, &b);
	json_out_arr(&o);
	json_out_str(&o, SLICE_LIT("abcdef"));
	json_out_i64(&o, 1);
	json_out_arr_end(&o);
	assert_int_equal(json_out_end(&o), ERRC_LIMIT);
	buf_fini(&b);
	buf_init(&b, 100);
	mem_fail_after(1);
	json_out_init(&o, &b);
	json_out_null(&o);
	assert_int_equal(json_out_end(&o), ERRC_NOMEM);
	mem_fail_after(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_misuse_is_an_error),
		cmocka_unit_test(test_escaping),
		cmocka_unit_test(test_ceiling_sticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
