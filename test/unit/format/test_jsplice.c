#include "jsplice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "buf.h"
#include "json.h"
#include "mem.h"

static const struct jscan_name known[] = {{"a", true}, {"b", true}, {"c", true}};
static struct jscan_names names;

static int setup(void **state)
{
	jscan_names_init(&names, known, ARRAY_LEN(known));
	return 0;
}

static void scan(struct jscan *s, struct slice body)
{
	jscan_init(s, &names, NULL, NULL);
	assert_int_equal(jscan_push(s, body.p, body.n), ERRC_OK);
	assert_int_equal(jscan_end(s), ERRC_OK);
}

static void expect(struct jsplice *sp, const char *want)
{
	struct slice parts[JSPLICE_SLICES_MAX];
	struct json_doc *doc = NULL;
	unsigned n;
	size_t bytes;
	struct buf b;

	buf_init(&b, 1 << 16);
	assert_int_equal(jsplice_build(sp, parts, &n, &bytes), ERRC_OK);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(buf_adds(&b, parts[i]), ERRC_OK);
	assert_int_equal(b.len, bytes);
	assert_string_equal(buf_cstr(&b), want);
	assert_int_equal(json_parse(buf_slice(&b), NULL, &doc), ERRC_OK);
	json_free(&doc);
	buf_fini(&b);
}

static void test_nothing_is_one_slice(void **state)
{
	struct slice body = SLICE_LIT(" {\"a\": 1 , \"b\":[2]} \n"), parts[JSPLICE_SLICES_MAX];
	struct jsplice sp;
	struct jscan s;
	unsigned n;
	size_t bytes;

	scan(&s, body);
	jsplice_init(&sp, &s, body);
	assert_int_equal(jsplice_build(&sp, parts, &n, &bytes), ERRC_OK);
	assert_int_equal(n, 1);
	assert_true(slice_eq(parts[0], body));
	assert_int_equal(bytes, body.n);
	jscan_fini(&s);
}

static void test_edits(void **state)
{
	struct slice body = SLICE_LIT("{ \"a\": 1 , \"b\":[2, 3],\"c\" :\"x\" }");
	struct jsplice sp;
	struct jscan s;

	scan(&s, body);
	jsplice_init(&sp, &s, body);
	jsplice_set(&sp, jscan_find(&s, 1), SLICE_LIT("\"new\""));
	expect(&sp, "{ \"a\": \"new\" , \"b\":[2, 3],\"c\" :\"x\" }");
	jsplice_append(&sp, SLICE_LIT("\"d\":4"));
	expect(&sp, "{ \"a\": \"new\" , \"b\":[2, 3],\"c\" :\"x\",\"d\":4 }");
	jsplice_remove(&sp, jscan_find(&s, 2));
	expect(&sp, "{ \"a\": \"new\",\"c\" :\"x\",\"d\":4 }");
	jsplice_init(&sp, &s, body);
	jsplice_range(&sp, slice_of(body.p + 19, 1), SLICE_LIT("33"));
	jsplice_range(&sp, slice_of(body.p + 16, 1), SLICE_LIT(""));
	jsplice_range(&sp, slice_of(body.p + 17, 1), SLICE_LIT(""));
	jsplice_set(&sp, jscan_find(&s, 3), SLICE_LIT("{}"));
	expect(&sp, "{ \"a\": 1 , \"b\":[ 33],\"c\" :{} }");
	jscan_fini(&s);
}

/* Every subset of members removed, with and without an appended one. */
static void test_every_removal(void **state)
{
	struct slice body = SLICE_LIT("{\"a\":1,\"b\":2 , \"c\":3}");
	static const char *const want[8] = {
		"{\"a\":1,\"b\":2 , \"c\":3%}",
		"{\"b\":2 , \"c\":3%}",
		"{\"a\":1 , \"c\":3%}",
		"{\"c\":3%}",
		"{\"a\":1,\"b\":2%}",
		"{\"b\":2%}",
		"{\"a\":1%}",
		"{%}",
	};
	struct jscan s;

	scan(&s, body);
	for (unsigned set = 0; set < 8; set++)
		for (int more = 0; more < 2; more++) {
			const char *extra = more ? set == 7 ? "\"z\":0" : ",\"z\":0" : "";
			struct jsplice sp;
			char text[64];
			const char *cut = strchr(want[set], '%');

			jsplice_init(&sp, &s, body);
			for (unsigned i = 0; i < 3; i++)
				if (set >> i & 1)
					jsplice_remove(&sp, jscan_find(&s, i + 1));
			if (more)
				jsplice_append(&sp, SLICE_LIT("\"z\":0"));
			snprintf(text, sizeof text, "%.*s%s%s", (int)(cut - want[set]), want[set],
				 extra, cut + 1);
			expect(&sp, text);
		}
	jscan_fini(&s);
}

static void test_empty_object(void **state)
{
	struct slice body = SLICE_LIT("  { }");
	struct jsplice sp;
	struct jscan s;

	scan(&s, body);
	jsplice_init(&sp, &s, body);
	jsplice_append(&sp, SLICE_LIT("\"a\":1"));
	jsplice_append(&sp, SLICE_LIT("\"b\":2"));
	expect(&sp, "  {\"a\":1,\"b\":2 }");
	jscan_fini(&s);
}

static void test_limits(void **state)
{
	struct slice body = SLICE_LIT("{\"a\":[1,2,3]}"), parts[JSPLICE_SLICES_MAX];
	struct jsplice sp;
	struct jscan s;
	unsigned n;
	size_t bytes;

	scan(&s, body);
	jsplice_init(&sp, &s, body);
	jsplice_set(&sp, jscan_find(&s, 1), SLICE_LIT("0"));
	jsplice_range(&sp, slice_of(body.p + 6, 1), SLICE_LIT("0"));
	assert_int_equal(jsplice_build(&sp, parts, &n, &bytes), ERRC_INVAL);
	jsplice_init(&sp, &s, body);
	for (int i = 0; i < JSPLICE_EDITS_MAX; i++)
		jsplice_append(&sp, SLICE_LIT("\"z\":0"));
	assert_int_equal(jsplice_build(&sp, parts, &n, &bytes), ERRC_OK);
	jsplice_append(&sp, SLICE_LIT("\"z\":0"));
	assert_int_equal(jsplice_build(&sp, parts, &n, &bytes), ERRC_LIMIT);
	jscan_fini(&s);
	assert_int_equal(mem_live_count(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_one_slice),
		cmocka_unit_test(test_edits),
		cmocka_unit_test(test_every_removal),
		cmocka_unit_test(test_empty_object),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
