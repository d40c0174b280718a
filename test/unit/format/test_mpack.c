#include "mpack_quick.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "caps.h"
#include "json.h"
#include "mem.h"
#include "text.h"

static void write_all(struct mpack_out *o)
{
	mpack_map(o, 8);
	mpack_strz(o, "s");
	mpack_strz(o, "text");
	mpack_strz(o, "none");
	mpack_strz(o, NULL);
	mpack_strz(o, "e");
	mpack_str(o, SLICE_NONE);
	mpack_strz(o, "b");
	mpack_bin(o, SLICE_LIT("\x00\x01\xff"));
	mpack_strz(o, "i");
	mpack_i64(o, INT64_MIN);
	mpack_strz(o, "t");
	mpack_bool(o, true);
	mpack_strz(o, "u");
	mpack_u64(o, UINT64_MAX);
	mpack_strz(o, "a");
	mpack_arr(o, 4);
	mpack_nil(o);
	mpack_bool(o, false);
	mpack_map(o, 1);
	mpack_i64(o, 7);
	mpack_arr(o, 0);
	mpack_u64(o, 5);
}

static void test_round_trip(void **state)
{
	struct mpack_out o;
	struct mpack_in r, v;
	struct slice s;
	uint8_t three[3];
	uint32_t n, m;
	uint64_t u;
	int64_t i;
	bool t;
	struct buf b;

	buf_init(&b, 1 << 16);
	mpack_out_init(&o, &b);
	write_all(&o);
	assert_int_equal(mpack_out_end(&o), ERRC_OK);
	mpack_in_init(&r, buf_slice(&b));
	assert_int_equal(mpack_peek(&r), MPACK_MAP);
	assert_int_equal(mpack_read_map(&r, &n), ERRC_OK);
	assert_int_equal(n, 8);
	assert_int_equal(mpack_find(&r, n, "s", &v), ERRC_OK);
	assert_int_equal(mpack_read_i64(&v, &i), ERRC_INVAL);
	assert_int_equal(mpack_read_str(&v, &s), ERRC_OK);
	assert_true(slice_is(s, "text"));
	assert_int_equal(mpack_find(&r, n, "none", &v), ERRC_OK);
	assert_int_equal(mpack_read_nil(&v), ERRC_OK);
	assert_int_equal(mpack_find(&r, n, "e", &v), ERRC_OK);
	assert_int_equal(mpack_read_str(&v, &s), ERRC_OK);
	assert_int_equal(s.n, 0);
	assert_int_equal(mpack_find(&r, n, "b", &v), ERRC_OK);
	assert_int_equal(mpack_read_fixed(&v, three, 2), ERRC_INVAL);
	assert_int_equal(mpack_read_fixed(&v, three, 3), ERRC_OK);
	assert_memory_equal(three, "\x00\x01\xff", 3);
	assert_int_equal(mpack_find(&r, n, "i", &v), ERRC_OK);
	assert_int_equal(mpack_read_u64(&v, &u), ERRC_RANGE);
	assert_int_equal(mpack_read_i64(&v, &i), ERRC_OK);
	assert_true(i == INT64_MIN);
	assert_int_equal(mpack_find(&r, n, "t", &v), ERRC_OK);
	assert_int_equal(mpack_read_bool(&v, &t), ERRC_OK);
	assert_true(t);
	assert_int_equal(mpack_find(&r, n, "u", &v), ERRC_OK);
	assert_int_equal(mpack_read_i64(&v, &i), ERRC_RANGE);
	assert_int_equal(mpack_read_u64(&v, &u), ERRC_OK);
	assert_true(u == UINT64_MAX);
	assert_int_equal(mpack_find(&r, n, "a", &v), ERRC_OK);
	assert_int_equal(mpack_read_arr(&v, &m), ERRC_OK);
	assert_int_equal(m, 4);
	assert_int_equal(mpack_find(&r, n, "z", &v), ERRC_NOTFOUND);
	for (uint32_t k = 0; k < n * 2; k++)
		assert_int_equal(mpack_skip(&r, k == 1 ? &s : NULL), ERRC_OK);
	assert_true(slice_is(s, "\xa4text"));
	assert_true(mpack_is_end(&r));
	assert_int_equal(mpack_peek(&r), MPACK_END);
	buf_fini(&b);
}

static void test_integers(void **state)
{
	static const int64_t edges[] = {
		0,         1,      127,    128,        255,
		256,       65535,  65536,  UINT32_MAX, (int64_t)UINT32_MAX + 1,
		INT64_MAX, -1,     -32,    -33,        -128,
		-129,      -32768, -32769, INT32_MIN,  (int64_t)INT32_MIN - 1,
		INT64_MIN};
	struct buf b;

	buf_init(&b, 100);
	for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
		struct mpack_out o;
		struct mpack_in r;
		int64_t v;

		buf_reset(&b);
		mpack_out_init(&o, &b);
		mpack_i64(&o, edges[i]);
		mpack_in_init(&r, buf_slice(&b));
		assert_int_equal(mpack_read_i64(&r, &v), ERRC_OK);
		assert_true(v == edges[i] && mpack_is_end(&r));
		/* Cut anywhere it is truncated, and the cursor stays. */
		for (size_t n = 0; n < b.len; n++) {
			mpack_in_init(&r, slice_of(b.p, n));
			assert_int_equal(mpack_read_i64(&r, &v), ERRC_TRUNCATED);
			assert_int_equal(r.end - r.p, n);
		}
	}
	buf_fini(&b);
}

static void test_lengths(void **state)
{
	static const size_t lengths[] = {0, 31, 32, 255, 256, 65535, 65536, 70000};
	struct buf b;

	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		char *text = mem_new(lengths[i] + 1);
		struct mpack_out o;
		struct mpack_in r;
		struct slice s;

		buf_reset(&b);
		mpack_out_init(&o, &b);
		mpack_str(&o, slice_of(text, lengths[i]));
		mpack_bin(&o, slice_of(text, lengths[i]));
		mpack_in_init(&r, buf_slice(&b));
		assert_int_equal(mpack_read_str(&r, &s), ERRC_OK);
		assert_int_equal(s.n, lengths[i]);
		assert_int_equal(mpack_read_str(&r, &s), ERRC_INVAL);
		assert_int_equal(mpack_read_bin(&r, &s), ERRC_OK);
		assert_int_equal(s.n, lengths[i]);
		assert_true(mpack_is_end(&r));
		mem_free(text);
	}
	buf_fini(&b);
}

static void test_lies_about_size(void **state)
{
	static const struct slice lies[] = {
		SLICE_LIT("\xdd\xff\xff\xff\xff"),
		SLICE_LIT("\xdf\x7f\xff\xff\xff\x01"),
		SLICE_LIT("\xdf\xff\xff\xff\xff"),
		SLICE_LIT("\xdb\xff\xff\xff\xff"),
		SLICE_LIT("\xc6\x00\x00\x00\x02\x01"),
		SLICE_LIT("\xdc\x00\x03\x01\x01"),
		SLICE_LIT("\x82\x01\x01\x01"),
		SLICE_LIT("\x92\x91\x91"),
		SLICE_LIT("\xc7\x01\x01"),
		SLICE_LIT("\xd8"),
		SLICE_LIT("\xcb\x01"),
		SLICE_LIT(""),
	};
	uint32_t n;
	struct slice s;

	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct mpack_in r;

		mpack_in_init(&r, lies[i]);
		assert_int_equal(mpack_skip(&r, NULL), ERRC_TRUNCATED);
		assert_int_equal(r.end - r.p, lies[i].n);
		assert_true(mpack_read_arr(&r, &n) != ERRC_OK || lies[i].p[0] == '\x92');
		assert_true(mpack_read_str(&r, &s) != ERRC_OK);
	}
}

static void test_deep_nesting(void **state)
{
	struct mpack_in r;
	struct buf b, out;

	buf_init(&b, 1 << 21);
	buf_init(&out, 1 << 21);
	for (int i = 0; i < 1000000; i++)
		assert_int_equal(buf_addc(&b, '\x91'), ERRC_OK);
	assert_int_equal(buf_addc(&b, '\x01'), ERRC_OK);
	mpack_in_init(&r, buf_slice(&b));
	assert_int_equal(mpack_to_json(&r, &out), ERRC_DEPTH);
	assert_int_equal(out.len, 0);
	assert_int_equal(mpack_skip(&r, NULL), ERRC_OK);
	assert_true(mpack_is_end(&r));
	mpack_in_init(&r, slice_of(b.p + 1000000 - LIMIT_JSON_DEPTH, LIMIT_JSON_DEPTH + 1));
	assert_int_equal(mpack_to_json(&r, &out), ERRC_OK);
	assert_int_equal(out.len, 2 * LIMIT_JSON_DEPTH + 1);
	buf_fini(&out);
	buf_fini(&b);
}

static void expect_json(struct slice in, enum errc want, const char *text)
{
	struct mpack_in r;
	struct buf out;

	buf_init(&out, 1000);
	mpack_in_init(&r, in);
	assert_int_equal(mpack_to_json(&r, &out), want);
	assert_string_equal(buf_cstr(&out), want ? "" : text);
	buf_fini(&out);
}

static void test_json(void **state)
{
	struct mpack_out o;
	struct buf b;

	buf_init(&b, 1 << 16);
	mpack_out_init(&o, &b);
	write_all(&o);
	expect_json(buf_slice(&b), ERRC_OK,
		    "{\"s\":\"text\",\"none\":null,\"e\":\"\",\"b\":\"AAH/"
		    "\",\"i\":-9223372036854775808,\"t\":true,"
		    "\"u\":18446744073709551615,\"a\":[null,false,{\"7\":[]},5]}");
	expect_json(SLICE_LIT("\xcb\x3f\xf8\0\0\0\0\0\0"), ERRC_OK, "1.5");
	expect_json(SLICE_LIT("\xca\xbf\xc0\0\0"), ERRC_OK, "-1.5");
	expect_json(SLICE_LIT("\xcb\x7f\xf8\0\0\0\0\0\0"), ERRC_OK, "null");
	expect_json(SLICE_LIT("\xd0\xff"), ERRC_OK, "-1");
	expect_json(SLICE_LIT("\xe0"), ERRC_OK, "-32");
	expect_json(SLICE_LIT("\xa2\xc3("), ERRC_OK, "\"\xef\xbf\xbd(\"");
	expect_json(SLICE_LIT("\x81\xc0\x01"), ERRC_INVAL, NULL);
	expect_json(SLICE_LIT("\x81\x90\x01"), ERRC_INVAL, NULL);
	expect_json(SLICE_LIT("\xd4\x01\x01"), ERRC_INVAL, NULL);
	expect_json(SLICE_LIT("\xc1"), ERRC_SYNTAX, NULL);
	expect_json(SLICE_LIT("\x92\x01"), ERRC_TRUNCATED, NULL);
	buf_fini(&b);
}

static void test_error_sticks(void **state)
{
	struct mpack_out o;
	struct buf b;

	buf_init(&b, 3);
	mpack_out_init(&o, &b);
	mpack_str(&o, SLICE_LIT("abcdef"));
	mpack_i64(&o, 1);
	assert_int_equal(mpack_out_end(&o), ERRC_LIMIT);
	buf_fini(&b);
	for (unsigned n = 1; n < 4; n++) {
		struct mpack_in r;
		struct buf out;

		buf_init(&out, 1000);
		mpack_in_init(&r, SLICE_LIT("\xc4\x02xx"));
		mem_fail_after(n);
		(void)!mpack_to_json(&r, &out);
		mem_fail_after(0);
		buf_fini(&out);
	}
	assert_int_equal(mem_live_count(), 0);
}

static void test_peek(void **state)
{
	static const struct {
		const char *byte;
		enum mpack_type type;
	} rows[] = {
		{"\x05", MPACK_INT}, {"\x81", MPACK_MAP},   {"\x91", MPACK_ARR},
		{"\xa1", MPACK_STR}, {"\xff", MPACK_INT},   {"\xc0", MPACK_NIL},
		{"\xc1", MPACK_BAD}, {"\xc3", MPACK_BOOL},  {"\xc4", MPACK_BIN},
		{"\xc9", MPACK_EXT}, {"\xcb", MPACK_FLOAT}, {"\xcf", MPACK_INT},
		{"\xd3", MPACK_INT}, {"\xd8", MPACK_EXT},   {"\xdb", MPACK_STR},
		{"\xdd", MPACK_ARR}, {"\xdf", MPACK_MAP},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct mpack_in r;

		mpack_in_init(&r, slice_of(rows[i].byte, 1));
		assert_int_equal(mpack_peek(&r), rows[i].type);
	}
}

/* Every format, passed alone, with others, and cut anywhere: the cursor stays then. */
static void test_skip(void **state)
{
	static const struct slice values[] = {
		SLICE_LIT("\x7f"),
		SLICE_LIT("\xe0"),
		SLICE_LIT("\xc0"),
		SLICE_LIT("\xc3"),
		SLICE_LIT("\xcc\xff"),
		SLICE_LIT("\xcd\1\2"),
		SLICE_LIT("\xce\1\2\3\4"),
		SLICE_LIT("\xcf\1\2\3\4\5\6\7\x08"),
		SLICE_LIT("\xd0\1"),
		SLICE_LIT("\xd1\1\2"),
		SLICE_LIT("\xd2\1\2\3\4"),
		SLICE_LIT("\xd3\1\2\3\4\5\6\7\x08"),
		SLICE_LIT("\xca\1\2\3\4"),
		SLICE_LIT("\xcb\1\2\3\4\5\6\7\x08"),
		SLICE_LIT("\xa0"),
		SLICE_LIT("\xa3xyz"),
		SLICE_LIT("\xd9\3xyz"),
		SLICE_LIT("\xda\0\3xyz"),
		SLICE_LIT("\xdb\0\0\0\3xyz"),
		SLICE_LIT("\xc4\3xyz"),
		SLICE_LIT("\xc5\0\3xyz"),
		SLICE_LIT("\xc6\0\0\0\3xyz"),
		SLICE_LIT("\xd4\1x"),
		SLICE_LIT("\xd5\1xx"),
		SLICE_LIT("\xd6\1xxxx"),
		SLICE_LIT("\xd7\1xxxxxxxx"),
		SLICE_LIT("\xd8\1xxxxxxxxxxxxxxxx"),
		SLICE_LIT("\xc7\2\1xx"),
		SLICE_LIT("\x80"),
		SLICE_LIT("\x90"),
		SLICE_LIT("\x93\1\xa1x\x91\x92\2\3"),
		SLICE_LIT("\xdc\0\2\1\2"),
		SLICE_LIT("\x82\1\2\3\x90"),
		SLICE_LIT("\xde\0\1\1\2"),
	};
	uint8_t all[256];
	struct mpack_in r;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct slice raw;

		mpack_in_init(&r, values[i]);
		assert_int_equal(mpack_skip(&r, &raw), ERRC_OK);
		assert_true(mpack_is_end(&r) && slice_eq(raw, values[i]));
		for (size_t cut = 0; cut < values[i].n; cut++) {
			mpack_in_init(&r, slice_sub(values[i], 0, cut));
			assert_int_equal(mpack_skip(&r, NULL), ERRC_TRUNCATED);
			assert_int_equal(r.end - r.p, cut);
		}
		memcpy(all + n, values[i].p, values[i].n);
		n += values[i].n;
	}
	mpack_in_init(&r, slice_of(all, n));
	assert_int_equal(mpack_skip_n(&r, ARRAY_LEN(values) + 1), ERRC_TRUNCATED);
	assert_int_equal(r.end - r.p, n);
	assert_int_equal(mpack_skip_n(&r, ARRAY_LEN(values) - 1), ERRC_OK);
	assert_int_equal(r.end - r.p, 5);
	assert_int_equal(mpack_skip_n(&r, 0), ERRC_OK);
	assert_int_equal(mpack_skip_n(&r, 1), ERRC_OK);
	assert_true(mpack_is_end(&r));
}

/* A value that is taken quickly ends where skipping it ends, and is printed as what was read; if it is not, the cursor stays. */
static void assert_taken(bool taken, const struct mpack_in *from, const struct mpack_in *q,
			 const char *text)
{
	struct mpack_in skipped = *from, r = *from;
	struct buf out;

	if (!taken) {
		assert_ptr_equal(q->p, from->p);
		return;
	}
	assert_int_equal(mpack_skip(&skipped, NULL), ERRC_OK);
	assert_ptr_equal(q->p, skipped.p);
	if (!text)
		return;
	buf_init(&out, 4096);
	assert_int_equal(mpack_to_json(&r, &out), ERRC_OK);
	assert_true(slice_is(buf_slice(&out), text));
	buf_fini(&out);
}

static unsigned quick_numbers(struct mpack_in from)
{
	struct mpack_in q[3] = {from, from, from};
	bool taken[3], flag = false;
	char text[24];
	uint64_t u = 0;
	int64_t i = 0;

	taken[0] = mpack_quick_u64(&q[0], &u);
	snprintf(text, sizeof text, "%llu", (unsigned long long)u);
	assert_taken(taken[0], &from, &q[0], text);
	taken[1] = mpack_quick_i64(&q[1], &i);
	snprintf(text, sizeof text, "%lld", (long long)i);
	assert_taken(taken[1], &from, &q[1], text);
	taken[2] = mpack_quick_bool(&q[2], &flag);
	assert_taken(taken[2], &from, &q[2], flag ? "true" : "false");
	return taken[0] + taken[1] + taken[2];
}

static unsigned quick_bytes(struct mpack_in from)
{
	bool is_str = mpack_peek(&from) == MPACK_STR, is_bin = mpack_peek(&from) == MPACK_BIN;
	struct mpack_in q[3] = {from, from, from};
	bool taken[3];
	struct slice s;
	uint32_t n;

	taken[0] = mpack_quick_str(&q[0], &s);
	assert_taken(taken[0], &from, &q[0], NULL);
	assert_true(!taken[0] || (is_str && slice_end(s) == (const char *)q[0].p &&
				  s.p - (const char *)from.p == (from.p[0] == 0xd9 ? 2 : 1)));
	taken[1] = mpack_quick_bin(&q[1], &s);
	assert_taken(taken[1], &from, &q[1], NULL);
	assert_true(!taken[1] || (is_bin && slice_end(s) == (const char *)q[1].p &&
				  s.p - (const char *)from.p == 2));
	taken[2] = mpack_quick_arr(&q[2], &n);
	assert_true(!taken[2] ||
		    (mpack_peek(&from) == MPACK_ARR && n <= (size_t)(from.end - q[2].p)));
	if (taken[2] && mpack_skip_n(&q[2], n) == ERRC_OK)
		assert_taken(true, &from, &q[2], NULL);
	return taken[0] + taken[1] + taken[2];
}

static unsigned quick_passes(struct mpack_in from)
{
	enum mpack_type type = mpack_peek(&from);
	struct mpack_in q[4] = {from, from, from, from};
	const bool taken[] = {mpack_pass_int(&q[0]), mpack_pass_str(&q[1]), mpack_pass_bin(&q[2]),
			      mpack_pass_fixed(&q[3], 4)};
	const enum mpack_type types[] = {MPACK_INT, MPACK_STR, MPACK_BIN, MPACK_BIN};
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
		assert_taken(taken[i], &from, &q[i], NULL);
		assert_true(!taken[i] || type == types[i]);
		n += taken[i];
	}
	assert_true(!taken[3] || from.p[1] == 4);
	return n;
}

/* Every first byte, with a length behind it that may be that of the rest, cut anywhere, in memory that ends where the bytes do
 * (the sanitizer watches): also where a length byte is missing, or all, behind a value that was taken before. */
static void test_quick(void **state)
{
	unsigned numbers = 0, bytes = 0, passes = 0;

	(void)state;
	for (unsigned at = 0; at < 256 * 3 * 48; at++) {
		size_t n = at % 48;
		uint8_t *block = mem_new(1 + n), *p = block + 1;
		struct mpack_in r;

		memset(p, 5, n);
		if (n > 0)
			p[0] = (uint8_t)(at / 48);
		if (n > 1)
			p[1] = (uint8_t)(at / (256 * 48) * 4);
		if (n > 2)
			p[2] = 0xb1;
		mpack_in_init(&r, slice_of(block, 1 + n));
		r.p = p;
		numbers += quick_numbers(r);
		bytes += quick_bytes(r);
		passes += quick_passes(r);
		mem_free(block);
	}
	/* As many as there are: that a form goes the general way would show in times alone. */
	assert_int_equal(numbers, 37314);
	assert_int_equal(bytes, 5172);
	assert_int_equal(passes, 26916);
}

/* Any bytes: skip and print agree on where a value ends and never pass the end (the sanitizer watches). */
static void test_garbage(void **state)
{
	struct text_rng rng = {{3, 4}};
	struct buf out;

	buf_init(&out, 1 << 16);
	for (unsigned round = 0; round < 50000; round++) {
		size_t n = text_rng_next(&rng) % 24;
		uint8_t *bytes = mem_grow(NULL, n ? n : 1);
		struct mpack_in a, b;
		enum errc e;

		for (size_t i = 0; i < n; i++)
			bytes[i] = (uint8_t)text_rng_next(&rng);
		mpack_in_init(&a, slice_of(bytes, n));
		b = a;
		buf_reset(&out);
		e = mpack_skip(&a, NULL);
		if (mpack_to_json(&b, &out) == ERRC_OK) {
			struct json_doc *doc = NULL;

			assert_int_equal(e, ERRC_OK);
			assert_ptr_equal(a.p, b.p);
			assert_int_equal(json_parse(buf_slice(&out), NULL, &doc), ERRC_OK);
			json_free(&doc);
		}
		mem_free(bytes);
	}
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_integers),
		cmocka_unit_test(test_lengths),      cmocka_unit_test(test_lies_about_size),
		cmocka_unit_test(test_deep_nesting), cmocka_unit_test(test_json),
		cmocka_unit_test(test_error_sticks), cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_peek),         cmocka_unit_test(test_skip),
		cmocka_unit_test(test_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
