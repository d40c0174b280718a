/* What a record keeps of a provider's usage object. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "json.h"
#include "usage_raw.h"

#define MARK(n) "\"aigw_left_out_bytes\":" #n

static const struct {
	const char *said, *kept;
} rows[] = {
	{"{}", "{}"},
	{"{\"prompt_tokens\":7,\"completion_tokens\":2,\"service_tier\":\"standard\"}", NULL},
	{"{ \"a\" : 1 ,\n\t\"b\" : [ 1 , { } , [ ] ] , \"c\" : { \"d\" : null } }",
	 "{\"a\":1,\"b\":[1,{},[]],\"c\":{\"d\":null}}"},
	{"{\"a\":true,\"b\":false,\"c\":null,\"d\":-0.5,\"e\":1.5e-07,\"f\":0,\"g\":1E+2}", NULL},
	/* Texts: words of at most 32 bytes. */
	{"{\"a\":\"tell me\",\"n\":1}", "{\"a\":\"\",\"n\":1}"},
	{"{\"a\":\"tell\\u0020me\"}", "{\"a\":\"\"}"},
	{"{\"a\":\"\xc3\xa9\"}", "{\"a\":\"\"}"},
	{"{\"a\":\"\"}", NULL},
	{"{\"a\":[\"x:y/z.1\",\"tell me\",{\"b\":\"tell me\"}]}",
	 "{\"a\":[\"x:y/z.1\",\"\",{\"b\":\"\"}]}"},
	{"{\"a\":\"12345678901234567890123456789012\"}", NULL},
	{"{\"a\":\"123456789012345678901234567890123\"}", "{\"a\":\"\"}"},
	/* Numbers: of 32 bytes, in JSON's form. */
	{"{\"a\":12345678901234567890123456789012}", NULL},
	{"{\"a\":123456789012345678901234567890123}", "{\"a\":null}"},
	{"{\"a\":[01,1.,-,1e,1-2,1.5.5,1e+]}", "{\"a\":[null,null,null,null,null,null,null]}"},
	/* Names. */
	{"{\"tell me\":1,\"b\":2}", "{\"b\":2," MARK(11) "}"},
	{"{\"b\":2,\"tell me\":[1,2]}", "{\"b\":2," MARK(15) "}"},
	{"{\"a\":{\"tell me\":{\"b\":1},\"c\":[{\"\":1}]},\"d\":3}",
	 "{\"a\":{\"c\":[{}]},\"d\":3," MARK(21) "}"},
	{"{\"te\\u006cl\":1}", "{" MARK(13) "}"},
	{"{\"aigw_left_out_bytes\":9,\"b\":{\"aigw_left_out_bytes\":9}}",
	 "{\"b\":{\"aigw_left_out_bytes\":9}," MARK(23) "}"},
	/* Too deep. */
	{"{\"a\":[[[[[[[[[\"tell me\"]]]]]]]]]}", "{\"a\":[[[[[[[null]]]]]]]," MARK(13) "}"},
	/* No object. */
	{"", ""},
	{"[1]", ""},
	{"\"tell me\"", ""},
	{"{\"a\":1", ""},
	{"{\"a\":[1}", ""},
	{"{\"a\" 1}", ""},
};

static void objects_are_kept_in_words(void **state)
{
	char out[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = usage_raw_write(slice_str(rows[i].said), 0, out, sizeof(out));

		assert_true(slice_is(slice_of(out, n), rows[i].kept ? rows[i].kept : rows[i].said));
	}
	/* Something was left out before. */
	assert_true(slice_is(slice_of(out, usage_raw_write(SLICE_LIT("{\"a\":1}"), 5, out, 64)),
			     "{\"a\":1," MARK(5) "}"));
	assert_true(slice_is(slice_of(out, usage_raw_write(SLICE_LIT("{}"), 5, out, 50)),
			     "{" MARK(5) "}"));
}

static bool is_json(struct slice s)
{
	struct json_doc *doc = NULL;
	bool ok = json_parse(s, NULL, &doc) == ERRC_OK;

	json_free(&doc);
	return ok;
}

/* At every size whole members in their order, the mark where any is missing, and never a byte too many. */
static void what_does_not_fit(void **state)
{
	static const char said[] =
		"{\"a\":1,\"b\":{\"c\":[1,2,3,4,5,6,7,8,9],\"d\":{\"e\":12345678}},"
		"\"f\":2,\"g\":[{\"h\":1},{\"h\":2},{\"h\":3}],\"i\":\"standard\",\"j\":3}";
	static const char least[] = "{\"a\":1,\"f\":2,\"j\":3," MARK(91) "}";
	char out[512];

	(void)state;
	for (size_t cap = USAGE_RAW_MARK + 2; cap < sizeof(said) + 60; cap++) {
		size_t n;

		memset(out, '#', sizeof(out));
		n = usage_raw_write(slice_str(said), 0, out, cap);
		assert_in_range(n, 1, cap);
		assert_int_equal(out[cap], '#');
		assert_true(is_json(slice_of(out, n)));
		if (cap >= sizeof(said) - 1)
			assert_true(slice_is(slice_of(out, n), said));
		else
			assert_true(slice_find(slice_of(out, n), SLICE_LIT("," MARK())) > 0 ||
				    cap < USAGE_RAW_MARK + 8);
		if (cap == USAGE_RAW_MARK + sizeof("{\"a\":1,\"f\":2,\"j\":3}") - 1)
			assert_true(slice_is(slice_of(out, n), least));
	}
}

static void parts_make_a_list(void **state)
{
	struct usage_raw u = {0};

	(void)state;
	usage_raw_add(&u, SLICE_LIT("{\"a\":1"));
	assert_int_equal(u.n, 0);
	usage_raw_add(&u, SLICE_LIT("{\"a\":1}"));
	assert_true(slice_is(slice_of(u.p, u.n), "{\"a\":1}"));
	usage_raw_add(&u, SLICE_LIT("{\"a\":1"));
	assert_true(slice_is(slice_of(u.p, u.n), "{\"a\":1}"));
	usage_raw_add(&u, SLICE_LIT("{\"a\":2}"));
	assert_true(slice_is(slice_of(u.p, u.n), "[{\"a\":1},{\"a\":2}]"));
	usage_raw_add(&u, SLICE_LIT("{\"a\":1"));
	usage_raw_add(&u, SLICE_LIT("{\"a\":3,\"b\":\"tell me\"}"));
	assert_true(slice_is(slice_of(u.p, u.n), "[{\"a\":1},{\"a\":2},{\"a\":3,\"b\":\"\"}]"));
}

/* However many come, and however long they are, the first and the last are there. */
static void parts_without_end(void **state)
{
	static const int lengths[] = {1, 10, 100, 400, 900, 1200};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		struct usage_raw u = {0};
		char part[2600], last[32];

		for (int k = 0; k < 200; k++) {
			size_t n = (size_t)snprintf(part, sizeof(part), "{\"k\":%d,\"x\":[0", k);

			for (int c = 0; c < lengths[i]; c++, n += 2)
				memcpy(part + n, ",1", 2);
			snprintf(part + n, sizeof(part) - n, "]}");
			if (k == 150)
				n = 3; /* a broken one */
			usage_raw_add(&u, slice_of(part, k == 150 ? n : strlen(part)));
			assert_in_range(u.n, 1, sizeof(u.p));
			assert_true(is_json(slice_of(u.p, u.n)));
			assert_true(slice_find(slice_of(u.p, u.n), SLICE_LIT("{\"k\":0,")) >= 0);
			snprintf(last, sizeof(last), "{\"k\":%d,", k);
			if (k != 150)
				assert_true(slice_find(slice_of(u.p, u.n), slice_str(last)) >= 0);
		}
		assert_true(slice_find(slice_of(u.p, u.n), SLICE_LIT("aigw_left_out_bytes")) > 0);
	}
}

/* However many short parts came, a long one still finds room. */
static void short_parts_before_a_long_one(void **state)
{
	char part[400] = "{\"x\":[0";
	size_t n = strlen(part);

	(void)state;
	for (; n < 150; n += 2)
		memcpy(part + n, ",1", 2);
	snprintf(part + n, sizeof(part) - n, "],\"z\":1}");
	for (int shorts = 0; shorts < 400; shorts++) {
		struct usage_raw u = {0};

		for (int k = 0; k < shorts; k++)
			usage_raw_add(&u, SLICE_LIT("{}"));
		usage_raw_add(&u, slice_str(part));
		assert_in_range(u.n, 1, sizeof(u.p));
		assert_true(is_json(slice_of(u.p, u.n)));
		assert_true(slice_find(slice_of(u.p, u.n), SLICE_LIT("\"z\":1")) > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_kept_in_words),
		cmocka_unit_test(what_does_not_fit),
		cmocka_unit_test(parts_make_a_list),
		cmocka_unit_test(parts_without_end),
		cmocka_unit_test(short_parts_before_a_long_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
