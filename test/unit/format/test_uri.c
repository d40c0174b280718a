#include "uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mem.h"

#define L(s) SLICE_LIT(s)

static void test_parse(void **state)
{
	static const struct {
		const char *text, *host, *path, *query, *host_header;
		int port;
		bool tls, ipv6;
	} rows[] = {
		{"https://api.openai.com/v1", "api.openai.com", "/v1", "", "api.openai.com", 443,
		 true, false},
		{"http://127.0.0.1:9900/v1/", "127.0.0.1", "/v1", "", "127.0.0.1:9900", 9900, false,
		 false},
		{"HTTP://a", "a", "", "", "a", 80, false, false},
		{"https://a./", "a.", "", "", "a.", 443, true, false},
		{"https://a:443//", "a", "", "", "a", 443, true, false},
		{"https://a_b-c:80?api-version=1/2?", "a_b-c", "", "api-version=1/2?", "a_b-c:80",
		 80, true, false},
		{"http://[::1]/x/y?z", "::1", "/x/y", "z", "[::1]", 80, false, true},
		{"https://[fe80::1]:8443", "fe80::1", "", "", "[fe80::1]:8443", 8443, true, true},
	};
	struct buf b;
	struct uri u;

	buf_init(&b, 100);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(uri_parse(slice_str(rows[i].text), &u), ERRC_OK);
		assert_true(slice_is(u.host, rows[i].host));
		assert_true(slice_is(u.path, rows[i].path));
		assert_true(slice_is(u.query, rows[i].query));
		assert_int_equal(u.port, rows[i].port);
		assert_int_equal(u.tls, rows[i].tls);
		assert_int_equal(u.host_is_ipv6, rows[i].ipv6);
		buf_reset(&b);
		assert_int_equal(uri_put_host(&b, &u), ERRC_OK);
		assert_string_equal(buf_cstr(&b), rows[i].host_header);
		buf_fini(&b);
		for (size_t max = 0; max < strlen(rows[i].host_header); max++) {
			struct buf small;

			buf_init(&small, max);
			assert_int_equal(uri_put_host(&small, &u), ERRC_LIMIT);
			assert_true(buf_is_empty(&small));
			buf_fini(&small);
		}
	}
}

static void test_parse_refuses(void **state)
{
	static const struct {
		struct slice text;
		enum errc rc;
	} rows[] = {
		{L(""), ERRC_INVAL},
		{L("api.openai.com/v1"), ERRC_INVAL},
		{L("ftp://a"), ERRC_INVAL},
		{L("https:/a"), ERRC_INVAL},
		{L("https://user:pw@a/"), ERRC_INVAL},
		{L("https://a/#x"), ERRC_INVAL},
		{L("https://"), ERRC_SYNTAX},
		{L("https:///v1"), ERRC_SYNTAX},
		{L("https://:80"), ERRC_SYNTAX},
		{L("https://a:"), ERRC_SYNTAX},
		{L("https://a:0"), ERRC_SYNTAX},
		{L("https://a:65536"), ERRC_SYNTAX},
		{L("https://a:000080"), ERRC_SYNTAX},
		{L("https://a:8x"), ERRC_SYNTAX},
		{L("https://a b/"), ERRC_SYNTAX},
		{L("https://a..b/"), ERRC_SYNTAX},
		{L("https://.a/"), ERRC_SYNTAX},
		{L("https://a%2eb/"), ERRC_SYNTAX},
		{L("https://a/\xc3\xa9"), ERRC_SYNTAX},
		{L("https://a\0b/"), ERRC_SYNTAX},
		{L("https://[::1"), ERRC_SYNTAX},
		{L("https://[::g]/"), ERRC_SYNTAX},
		{L("https://[::1]x"), ERRC_SYNTAX},
		{L("https://[]/"), ERRC_SYNTAX},
		{L("https://[1111:2222:3333:4444:5555:6666:7777:8888:9999:0000]/"), ERRC_SYNTAX},
		{L("https://::1/"), ERRC_SYNTAX},
		{L("https://"
		   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/"),
		 ERRC_SYNTAX},
	};
	struct uri u;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(uri_parse(rows[i].text, &u), rows[i].rc);
}

static void test_target(void **state)
{
	static const struct {
		const char *text, *path, *query; /* path NULL: refused */
	} rows[] = {
		{"/", "/", NULL},
		{"/v1/x?a=b?c", "/v1/x", "a=b?c"},
		{"/v1/x?", "/v1/x", ""},
		{"//a/b", "//a/b", NULL},
		{"/http://a", "/http://a", NULL},
		{"*", "*", NULL},
		{"http://a:80/v1?x", "/v1", "x"},
		{"HTTPS://a", "/", NULL},
		{"http://a?x", "/", "x"},
		{"http:///v1", NULL, NULL},
		{"", NULL, NULL},
		{"a:443", NULL, NULL},
		{"v1", NULL, NULL},
		{"?x", NULL, NULL},
		{"*x", NULL, NULL},
		{"/a#b", NULL, NULL},
		{"/a b", NULL, NULL},
		{"ftp://a/", NULL, NULL},
	};
	struct uri_target t;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum errc rc = uri_split_target(slice_str(rows[i].text), &t);

		assert_int_equal(rc, rows[i].path ? ERRC_OK : ERRC_SYNTAX);
		if (rc)
			continue;
		assert_true(slice_is(t.path, rows[i].path));
		assert_int_equal(t.query.p != NULL, rows[i].query != NULL);
		assert_true(slice_is(t.query, rows[i].query));
	}
}

static void test_percent(void **state)
{
	static const char *const bad[] = {"%", "%4", "a%4", "%4g", "%g4", "%%41", "%00", "a%2"};
	struct buf b, back;

	buf_init(&b, 2000);
	buf_init(&back, 2000);
	assert_int_equal(uri_decode(&b, L("a%2Fb%2fc%25%34%31+")), ERRC_OK);
	assert_string_equal(buf_cstr(&b), "a/b/c%41+");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(uri_decode(&b, slice_str(bad[i])), ERRC_SYNTAX);
		assert_int_equal(b.len, 9);
	}
	buf_reset(&b);
	for (int c = 1; c < 256; c++) {
		char ch = (char)c;

		assert_int_equal(buf_addc(&back, ch), ERRC_OK);
		assert_int_equal(uri_encode(&b, slice_of(&ch, 1)), ERRC_OK);
	}
	assert_true(slice_chr(buf_slice(&b), '/') < 0 && slice_chr(buf_slice(&b), '?') < 0);
	{
		struct buf again;

		buf_init(&again, 2000);
		assert_int_equal(uri_decode(&again, buf_slice(&b)), ERRC_OK);
		assert_true(slice_eq(buf_slice(&again), buf_slice(&back)));
		buf_fini(&again);
	}
	buf_fini(&b);
	buf_fini(&back);
	mem_fail_after(1);
	assert_int_equal(uri_decode(&b, L("a")), ERRC_NOMEM);
	assert_int_equal(uri_encode(&b, L("a")), ERRC_NOMEM);
	assert_int_equal(uri_decode(&b, SLICE_NONE), ERRC_OK);
	mem_fail_after(0);
}

static void test_query(void **state)
{
	struct slice q = L("a=1&&b&c=x%20y+z&a=2&=5&d=%zz"), name, value;
	struct buf b;
	int n = 0;

	buf_init(&b, 100);
	assert_int_equal(uri_query_get(q, "a", &b), ERRC_OK);
	assert_int_equal(uri_query_get(q, "b", &b), ERRC_OK);
	assert_string_equal(buf_cstr(&b), "1");
	assert_int_equal(uri_query_get(q, "c", &b), ERRC_OK);
	assert_string_equal(buf_cstr(&b), "1x y z");
	assert_int_equal(uri_query_get(q, "d", &b), ERRC_SYNTAX);
	assert_int_equal(uri_query_get(q, "e", &b), ERRC_NOTFOUND);
	assert_int_equal(uri_query_get(SLICE_NONE, "e", &b), ERRC_NOTFOUND);
	while (uri_query_next(&q, &name, &value))
		n++;
	assert_int_equal(n, 6);
	buf_fini(&b);
	assert_int_equal(mem_live_count(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),  cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_target), cmocka_unit_test(test_percent),
		cmocka_unit_test(test_query),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
