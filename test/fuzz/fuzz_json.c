/* The tree parser and the writers: what was parsed is written and parsed again to the same text; any bytes make a valid string; the text
 * iterators stay inside whatever they are given. */
#include "fuzz.h"
#include "json.h"
#include "json_out.h"
#include "jtext.h"

static void check_tree(struct slice in)
{
	struct json_error err = {0};
	struct json_opts o = {.error = &err};
	struct json_doc *doc = NULL;
	struct buf a, b;
	enum errc e = json_parse(in, &o, &doc);

	if (e) {
		require(err.text && err.offset <= in.n);
		return;
	}
	buf_init(&a, 8 * in.n + 64);
	buf_init(&b, 8 * in.n + 64);
	require(json_raw(json_root(doc), &a) == ERRC_OK);
	json_free(&doc);
	require(json_parse(buf_slice(&a), NULL, &doc) == ERRC_OK);
	require(json_raw(json_root(doc), &b) == ERRC_OK);
	require(slice_eq(buf_slice(&a), buf_slice(&b)));
	json_free(&doc);
	buf_fini(&a);
	buf_fini(&b);
}

static void check_string(struct slice in)
{
	struct json_doc *doc = NULL;
	struct json_out o;
	struct buf b, plain;

	buf_init(&b, 6 * in.n + 64);
	buf_init(&plain, 6 * in.n + 64);
	json_out_init(&o, &b);
	json_out_str(&o, in);
	require(json_out_end(&o) == ERRC_OK);
	require(json_parse(buf_slice(&b), NULL, &doc) == ERRC_OK);
	require(jtext_str(buf_slice(&b), &plain) == ERRC_OK);
	require(slice_eq(json_str(json_root(doc)), buf_slice(&plain)));
	json_free(&doc);
	buf_fini(&plain);
	buf_fini(&b);
}

static void check_walk(struct slice in)
{
	struct jtext obj = jtext_obj(in), arr = jtext_arr(in);
	struct slice key, val;
	struct buf b;

	buf_init(&b, in.n + 64);
	while (jtext_obj_next(&obj, &key, &val) > 0) {
		require(val.n > 0 && val.p >= in.p && val.p + val.n <= in.p + in.n);
		(void)jtext_key_is(key, "model");
		(void)!jtext_str(val, &b);
		buf_reset(&b);
	}
	while (jtext_arr_next(&arr, &val) > 0)
		require(val.n > 0 && val.p >= in.p && val.p + val.n <= in.p + in.n);
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = {(const char *)data, n};

	check_tree(in);
	check_string(in);
	check_walk(in);
	return 0;
}
