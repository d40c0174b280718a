#include "json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "caps.h"
#include "mem.h"

static void test_access(void **state)
{
	struct slice text =
		SLICE_LIT("{\"s\":\"a\\u0000b\",\"n\":1.50,\"i\":-7,\"f\":3.0,\"t\":true,\"z\":"
			  "null,\"a\":[1,\"x\",[]],\"o\":{\"k\":{\"v\":9}}}");
	struct json_doc *doc = NULL;
	const struct json *root;
	int64_t v = 0;
	bool t = false;

	assert_int_equal(json_parse(text, NULL, &doc), ERRC_OK);
	root = json_root(doc);
	assert_true(json_is_obj(root));
	assert_int_equal(json_count(root), 8);
	assert_true(slice_eq(json_str(json_obj_get(root, "s")), SLICE_LIT("a\0b")));
	assert_true(slice_is(json_num(json_obj_get(root, "n")), "1.50"));
	assert_false(json_i64(json_obj_get(root, "n"), &v));
	assert_true(json_i64(json_obj_get(root, "i"), &v) && v == -7);
	assert_true(json_i64(json_obj_get(root, "f"), &v) && v == 3);
	assert_false(json_i64(json_obj_get(root, "s"), &v));
	assert_int_equal(json_decimal(json_obj_get(root, "n"), 9, &v), ERRC_OK);
	assert_int_equal(v, 1500000000);
	assert_int_equal(json_decimal(json_obj_get(root, "s"), 9, &v), ERRC_INVAL);
	assert_true(json_bool(json_obj_get(root, "t"), &t) && t);
	assert_false(json_bool(json_obj_get(root, "z"), &t));
	assert_true(json_is_null(json_obj_get(root, "z")));
	assert_true(slice_is(json_str(json_arr_at(json_obj_get(root, "a"), 1)), "x"));
	assert_null(json_arr_at(json_obj_get(root, "a"), 3));
	assert_true(
		json_i64(json_obj_get(json_obj_get(json_obj_gets(root, SLICE_LIT("o")), "k"), "v"),
			 &v) &&
		v == 9);
	/* Wrong types and nothing give nothing. */
	assert_null(json_obj_get(NULL, "x"));
	assert_null(json_obj_get(json_obj_get(root, "a"), "x"));
	assert_int_equal(json_type_of(NULL), JSON_NONE);
	assert_int_equal(json_count(NULL), 0);
	assert_int_equal(json_count(json_obj_get(root, "s")), 0);
	assert_null(json_str(NULL).p);
	assert_null(json_num(json_obj_get(root, "t")).p);
	json_free(&doc);
	assert_null(doc);
	json_free(&doc);
	assert_int_equal(mem_live_count(), 0);
}

static void test_iteration(void **state)
{
	struct json_doc *doc = NULL;
	unsigned n = 0;
	int64_t v;

	assert_int_equal(json_parse(SLICE_LIT("{\"a\":[1,2,3],\"b\":[],\"c\":{}}"), NULL, &doc),
			 ERRC_OK);
	json_obj_each (it, json_root(doc)) {
		static const char *const keys[] = {"a", "b", "c"};

		assert_true(slice_is(it.key, keys[it.i]));
		json_arr_each (el, it.val) {
			assert_true(json_i64(el.val, &v) && v == (int64_t)el.i + 1);
			n++;
		}
	}
	assert_int_equal(n, 3);
	json_arr_each (it, json_root(doc))
		fail();
	json_obj_each (it, NULL)
		fail();
	json_free(&doc);
}

static void test_strict(void **state)
{
	static const struct {
		const char *text;
		size_t offset;
	} bad[] = {{"", 0},      {"{\"a\":1,}", 6}, {"[01]", 1},  {"nul", 0},
		   {"[1] x", 4}, {"\"\x80\"", 1},   {"[NaN]", 1}, {"/**/1", 0}};
	struct json_error err;
	struct json_opts o = {.error = &err};
	struct json_doc *doc = NULL;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		err = (struct json_error){999, NULL};
		assert_int_equal(json_parse(slice_str(bad[i].text), &o, &doc), ERRC_SYNTAX);
		assert_in_range(err.offset, bad[i].offset, bad[i].offset + 3);
		assert_non_null(err.text);
	}
	assert_null(doc);
}

static void test_depth(void **state)
{
	struct json_error err;
	struct json_opts o = {.error = &err};
	struct json_doc *doc = NULL;
	struct buf b;

	buf_init(&b, 1 << 22);
	assert_int_equal(buf_addz(&b, "[\"]]\\\"[[\","), ERRC_OK);
	for (unsigned i = 1; i < 1000000; i++)
		assert_int_equal(buf_addc(&b, '['), ERRC_OK);
	assert_int_equal(json_parse(buf_slice(&b), &o, &doc), ERRC_DEPTH);
	assert_int_equal(err.offset, LIMIT_JSON_DEPTH + 9);
	buf_reset(&b);
	for (unsigned i = 0; i < LIMIT_JSON_DEPTH; i++)
		assert_int_equal(buf_addc(&b, '['), ERRC_OK);
	for (unsigned i = 0; i < LIMIT_JSON_DEPTH; i++)
		assert_int_equal(buf_addc(&b, ']'), ERRC_OK);
	assert_int_equal(json_parse(buf_slice(&b), &o, &doc), ERRC_OK);
	json_free(&doc);
	o.depth_max = LIMIT_JSON_DEPTH - 1;
	assert_int_equal(json_parse(buf_slice(&b), &o, &doc), ERRC_DEPTH);
	buf_fini(&b);
}

static void test_raw_keeps_numbers(void **state)
{
	struct slice text = SLICE_LIT("{\"a\":[1.500,1e400,123456789012345678901234567890,-0.0],"
				      "\"b\":\"x\\n\\\"\xc3\xa9\",\"c\":{},\"d\":[null,true]}");
	struct json_doc *doc = NULL;
	struct buf b;

	buf_init(&b, 1 << 16);
	assert_int_equal(json_parse(text, NULL, &doc), ERRC_OK);
	assert_int_equal(json_raw(json_root(doc), &b), ERRC_OK);
	assert_true(slice_eq(buf_slice(&b), text));
	assert_int_equal(json_raw(NULL, &b), ERRC_INVAL);
	json_free(&doc);
	buf_fini(&b);
}

static void test_out_of_memory(void **state)
{
	enum errc e = ERRC_NOMEM;

	for (unsigned n = 1; e; n++) {
		struct json_doc *doc = NULL;
		struct buf b;

		buf_init(&b, 1000);
		mem_fail_after(n);
		e = json_parse(SLICE_LIT("{\"a\":[1,2]}"), NULL, &doc);
		if (!e)
			e = json_raw(json_root(doc), &b);
		mem_fail_after(0);
		assert_true(e == ERRC_OK || e == ERRC_NOMEM);
		json_free(&doc);
		buf_fini(&b);
		assert_int_equal(mem_live_count(), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_access),
		cmocka_unit_test(test_iteration),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_raw_keeps_numbers),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
