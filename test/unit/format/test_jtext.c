#include "jtext.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "caps.h"
#include "mem.h"

static void test_members(void **state)
{
	struct slice text =
		SLICE_LIT(" {\"id\":\"x\\n\", \"choices\" : [ {\"delta\":{\"content\":\"}\"}} , "
			  "2,[] ] ,\"us\\u0061ge\":null,\"n\":-1.5e3} ");
	static const char *const path[] = {"usage", NULL}, *const deep[] = {"choices", "delta",
									    NULL};
	struct slice key, val, el;
	struct jtext it = jtext_obj(text);

	assert_int_equal(jtext_obj_next(&it, &key, &val), 1);
	assert_true(slice_is(key, "id") && slice_is(val, "\"x\\n\""));
	assert_int_equal(jtext_obj_next(&it, &key, &val), 1);
	assert_true(slice_is(val, "[ {\"delta\":{\"content\":\"}\"}} , 2,[] ]"));
	it = jtext_arr(val);
	assert_int_equal(jtext_arr_next(&it, &el), 1);
	assert_true(jtext_member(el, "delta", &val) && slice_is(val, "{\"content\":\"}\"}"));
	assert_int_equal(jtext_arr_next(&it, &el), 1);
	assert_true(slice_is(el, "2"));
	assert_int_equal(jtext_arr_next(&it, &el), 1);
	assert_true(slice_is(el, "[]"));
	assert_int_equal(jtext_arr_next(&it, &el), 0);
	assert_int_equal(jtext_arr_next(&it, &el), 0);
	assert_true(jtext_path(text, path, &val) && jtext_is_null(val));
	assert_false(jtext_path(text, deep, &val));
	assert_true(jtext_member(text, "n", &val) && slice_is(val, "-1.5e3"));
	assert_false(jtext_member(text, "none", &val));
}

/* All of it is walked or it is reported, and nothing is read behind the end (the copy is exact, for
 * the sanitizer). */
static int walk(struct slice text)
{
	char *copy = mem_dup(text.p, text.n);
	char *exact = mem_grow(NULL, text.n ? text.n : 1);
	struct jtext it;
	struct slice key, val;
	int r;

	memcpy(exact, copy, text.n);
	it = jtext_obj(slice_of(exact, text.n));
	while ((r = jtext_obj_next(&it, &key, &val)) > 0) {
		struct jtext in = jtext_arr(val);

		while (jtext_type(val) == JSON_ARRAY && jtext_arr_next(&in, &key) > 0)
			;
	}
	assert_int_equal(jtext_obj_next(&it, &key, &val), r);
	mem_free(exact);
	mem_free(copy);
	return r;
}

/* The value that stands next, container by container; 1 or an error. */
static int walk_inner(struct jtext *at)
{
	bool is_object = jtext_peek(at) == JSON_OBJECT;
	struct jtext in = is_object ? jtext_enter_obj(at) : jtext_enter_arr(at);
	struct slice s;
	int r;

	if (!is_object && jtext_peek(at) != JSON_ARRAY)
		return jtext_value(at, &s);
	while ((r = is_object ? jtext_obj_key(&in, &s) : jtext_arr_more(&in)) > 0)
		if ((r = walk_inner(&in)) < 0)
			return r;
	if (r < 0)
		return r;
	jtext_leave(at, &in);
	return 1;
}

/* As walk(), without passing over containers. */
static int walk_halves(struct slice text)
{
	struct jtext it = jtext_obj(text);
	struct slice key;
	int r;

	while ((r = jtext_obj_key(&it, &key)) > 0)
		if ((r = walk_inner(&it)) < 0)
			return r;
	return r;
}

static const char *const malformed[] = {
	"",
	" ",
	"[]",
	"{",
	"{\"",
	"{\"a",
	"{\"a\"",
	"{\"a\":",
	"{\"a\":}",
	"{\"a\":1",
	"{\"a\":1,",
	"{\"a\":1,}",
	"{\"a\" 1}",
	"{\"a\":1 \"b\":2}",
	"{\"a\":[1}",
	"{\"a\":[1}]",
	"{\"a\":tru}",
	"{\"a\":1x}",
	"{\"a\":\"\\",
	"{\"a\":\"\n\"}",
	"{\"a\":1}}",
	"{\"a\":1} x",
	"{a:1}",
	"{\"a\":{]}",
	"{\"a\":nulL}",
	"{\"a\":]}",
	"{\"a\":\"x\x80\"}",
	"{\"a\":\"\xc3\"}",
	"{\"a\":\"\xc0\xaf\"}",
	"{\"a\":\"\xed\xa0\x80\"}",
	"{\"a\":\"\xf4\x90\x80\x80\"}",
	"{\"a\":[{\"b\":\"\\\xc3\xa9\"}]}",
	"{\"\xe2\x82\":1}",
	"{\"a\":[1 2]}",
	"{\"a\":[1,]}",
	"{\"a\":[,1]}",
	"{\"a\":[1,,2]}",
	"{\"a\":[1:2]}",
	"{\"a\":[\"b\" \"c\"]}",
	"{\"a\":[\"b\"1]}",
	"{\"a\":[[1][2]]}",
	"{\"a\":{\"b\"}}",
	"{\"a\":{\"b\" 1}}",
	"{\"a\":{\"b\"::1}}",
	"{\"a\":{\"b\":1,}}",
	"{\"a\":{\"b\":1 \"c\":2}}",
	"{\"a\":{\"b\":1,2}}",
	"{\"a\":{1:2}}",
	"{\"a\":{[]:2}}",
	"{\"a\":{\"b\":[],\"c\":x}}",
	"{\"a\":{\"b\":\xce\"c\"}}",
};

static void test_malformed(void **state)
{
	struct slice good = SLICE_LIT("{\"a\":[1,{\"b\":\"c\\\"\"}],\"d\":false}");
	struct slice foreign = SLICE_LIT("{\"\xc3\xa9\":\"\xe4\xb8\xad\xe6\x96\x87 and more of it, "
					 "\xf0\x9f\x98\x80\\n\xc3\xa9\"}");

	for (size_t i = 0; i < ARRAY_LEN(malformed); i++)
		assert_int_equal(walk(slice_str(malformed[i])), -ERRC_SYNTAX);
	for (size_t i = 0; i < ARRAY_LEN(malformed); i++)
		assert_int_equal(walk_halves(slice_str(malformed[i])), -ERRC_SYNTAX);
	assert_int_equal(walk_halves(good), 0);
	for (size_t n = 0; n < good.n; n++)
		assert_int_equal(walk_halves(slice_of(good.p, n)), -ERRC_SYNTAX);
	assert_int_equal(walk(good), 0);
	assert_int_equal(walk(foreign), 0);
	assert_int_equal(walk(SLICE_LIT("{\"a\" : [ ] , \"b\" : { } , \"c\" : [ [ ] , { \"d\" : [ "
					"1 , true , null , -1.5e3 ] , "
					"\"e\" : \"\" } ] }")),
			 0);
	for (size_t n = 0; n < good.n; n++)
		assert_int_equal(walk(slice_of(good.p, n)), -ERRC_SYNTAX);
}

static void test_depth(void **state)
{
	struct buf b;

	buf_init(&b, 1 << 22);
	for (unsigned n = LIMIT_JSON_DEPTH; n <= 1000000; n += 999872) {
		buf_reset(&b);
		assert_int_equal(buf_addz(&b, "{\"a\":"), ERRC_OK);
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(buf_addc(&b, '['), ERRC_OK);
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(buf_addc(&b, ']'), ERRC_OK);
		assert_int_equal(buf_addc(&b, '}'), ERRC_OK);
		assert_int_equal(walk(buf_slice(&b)), n == LIMIT_JSON_DEPTH ? 0 : -ERRC_DEPTH);
	}
	buf_fini(&b);
}

static void test_values(void **state)
{
	struct slice s;
	int64_t v;

	assert_true(jtext_i64(SLICE_LIT("42"), &v) && v == 42);
	assert_true(jtext_i64(SLICE_LIT("-1.0"), &v) && v == -1);
	assert_true(jtext_i64(SLICE_LIT("1e3"), &v) && v == 1000);
	assert_false(jtext_i64(SLICE_LIT("1.5"), &v));
	assert_false(jtext_i64(SLICE_LIT("99999999999999999999"), &v));
	assert_false(jtext_i64(SLICE_LIT("\"1\""), &v));
	assert_false(jtext_i64(SLICE_LIT("null"), &v));
	assert_true(jtext_is_true(SLICE_LIT("true")));
	assert_true(jtext_plain(SLICE_LIT("\"ab\""), &s) && slice_is(s, "ab"));
	assert_true(jtext_plain(SLICE_LIT("\"\""), &s) && s.n == 0);
	assert_false(jtext_plain(SLICE_LIT("\"a\\n\""), &s));
	assert_false(jtext_plain(SLICE_LIT("\""), &s));
	assert_false(jtext_plain(SLICE_LIT("12"), &s));
	assert_int_equal(jtext_type(SLICE_LIT(" -1")), JSON_NUMBER);
	assert_int_equal(jtext_type(SLICE_LIT("\"x\"")), JSON_STRING);
	assert_int_equal(jtext_type(SLICE_LIT("\n{}")), JSON_OBJECT);
	assert_int_equal(jtext_type(SLICE_LIT("[]")), JSON_ARRAY);
	assert_int_equal(jtext_type(SLICE_LIT("")), JSON_NONE);
	assert_int_equal(jtext_type(SLICE_LIT("?")), JSON_NONE);
	assert_true(jtext_key_is(SLICE_LIT("\\u0075sage"), "usage"));
	assert_false(jtext_key_is(SLICE_LIT("\\u0075sag"), "usage"));
	assert_false(jtext_key_is(SLICE_LIT("\\q"), "q"));
	assert_true(jtext_key_is(SLICE_LIT(""), ""));
}

static void test_unescape(void **state)
{
	static const char *const bad[] = {"\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"",
					  "\"a\\u\""};
	struct buf b;

	buf_init(&b, 1 << 16);
	assert_int_equal(
		jtext_str(SLICE_LIT("\"a\\n\\/\\u00e9\\ud83d\\ude00\\ud83d\\u0041\\udc00z\""), &b),
		ERRC_OK);
	assert_string_equal(buf_cstr(&b), "a\n/\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd"
					  "A\xef\xbf\xbdz");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		buf_reset(&b);
		assert_int_equal(buf_addc(&b, 'k'), ERRC_OK);
		assert_int_equal(jtext_str(slice_str(bad[i]), &b), ERRC_SYNTAX);
		assert_string_equal(buf_cstr(&b), "k");
	}
	assert_int_equal(jtext_str(SLICE_LIT("12"), &b), ERRC_INVAL);
	buf_fini(&b);
	mem_fail_after(1);
	assert_int_equal(jtext_str(SLICE_LIT("\"a\""), &b), ERRC_NOMEM);
	mem_fail_after(0);
	assert_int_equal(mem_live_count(), 0);
}

/* As long as what jtext_unescape() makes of it. */
static void test_unescaped_len(void **state)
{
	static const char *const good[] = {
		"",
		"ab\xc3\xa9",
		"\\n",
		"a\\\"\\\\\\/b",
		"\\\\u0041",
		"\\u0000",
		"\\u007f\\u0080\\u07ff\\u0800\\uffff",
		"\\u044f \\u0434\\u0443\\u043c\\u0430\\u044e",
		"\\ud83d\\ude00",
		"\\ud83d",
		"\\ud83dx\\ude00",
		"\\ud83d\\u0041\\udc00z",
	};
	static const struct {
		const char *in;
		size_t n;
	} bad[] = {{"\\", 1}, {"\\x", 1}, {"\\u12", 3}, {"a\\u", 2}, {"\\u12g4\\n", 6}};
	struct buf b;

	buf_init(&b, 1 << 16);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		buf_reset(&b);
		assert_int_equal(jtext_unescape(slice_str(good[i]), &b), ERRC_OK);
		assert_int_equal(jtext_unescaped_len(slice_str(good[i])), b.len);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(jtext_unescaped_len(slice_str(bad[i].in)), bad[i].n);
	assert_int_equal(jtext_unescaped_len(SLICE_NONE), 0);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members),  cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_depth),    cmocka_unit_test(test_values),
		cmocka_unit_test(test_unescape), cmocka_unit_test(test_unescaped_len),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
