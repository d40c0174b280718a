#include "http1_put.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define L(s) SLICE_LIT(s)

static void test_heads(void **state)
{
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(http1_put_request(&b, L("POST"), L("/v1/x?a=b")), ERRC_OK);
	assert_int_equal(http1_put_header(&b, "host", L("a:80")), ERRC_OK);
	assert_int_equal(http1_put_header_i64(&b, "content-length", 12), ERRC_OK);
	assert_int_equal(http1_put_field(&b, L("X-A"), L("a\tb c")), ERRC_OK);
	assert_int_equal(http1_put_header(&b, "empty", SLICE_NONE), ERRC_OK);
	assert_int_equal(http1_put_end(&b), ERRC_OK);
	assert_string_equal(buf_cstr(&b),
			    "POST /v1/x?a=b HTTP/1.1\r\nhost: a:80\r\ncontent-length: 12\r\n"
			    "X-A: a\tb c\r\nempty: \r\n\r\n");
	buf_reset(&b);
	assert_int_equal(http1_put_status(&b, 404), ERRC_OK);
	assert_int_equal(http1_put_status(&b, 599), ERRC_OK);
	assert_string_equal(buf_cstr(&b), "HTTP/1.1 404 Not Found\r\nHTTP/1.1 599 Unknown\r\n");
	assert_int_equal(http1_put_status(&b, 99), ERRC_INVAL);
	assert_int_equal(http1_put_status(&b, 1000), ERRC_INVAL);
	assert_string_equal(http1_put_reason(-1), "Unknown");
	buf_fini(&b);
}

/* No byte that could end a line, start another field or mean something to somebody else is ever written. */
static void test_refusals(void **state)
{
	struct buf b;

	buf_init(&b, 1000);
	for (int c = 0; c < 256; c++) {
		char s[2] = {'a', (char)c};
		struct slice v = slice_of(s, 2);
		bool value = (c >= ' ' && c <= '~') || c == '\t', visible = c > ' ' && c <= '~';
		bool token = visible && !strchr("\"(),/:;<=>?@[\\]{}", c);

		assert_int_equal(http1_put_header(&b, "x", v), value ? ERRC_OK : ERRC_INVAL);
		assert_int_equal(http1_put_field(&b, v, L("x")), token ? ERRC_OK : ERRC_INVAL);
		assert_int_equal(http1_put_request(&b, v, L("/")), token ? ERRC_OK : ERRC_INVAL);
		assert_int_equal(http1_put_request(&b, L("GET"), v), visible ? ERRC_OK : ERRC_INVAL);
		if (!value)
			assert_true(buf_is_empty(&b));
		buf_reset(&b);
	}
	assert_int_equal(http1_put_field(&b, SLICE_NONE, L("x")), ERRC_INVAL);
	assert_int_equal(http1_put_request(&b, SLICE_NONE, L("/")), ERRC_INVAL);
	assert_int_equal(http1_put_request(&b, L("GET"), SLICE_NONE), ERRC_INVAL);
	assert_true(buf_is_empty(&b));
	buf_fini(&b);
}

static void test_chunks(void **state)
{
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(http1_put_chunk_head(&b, 0x1aF), ERRC_OK);
	assert_int_equal(http1_put_chunk(&b, L("0123456789abcdef")), ERRC_OK);
	assert_int_equal(http1_put_chunk(&b, SLICE_NONE), ERRC_OK);
	assert_int_equal(buf_adds(&b, HTTP1_LAST_CHUNK), ERRC_OK);
	assert_string_equal(buf_cstr(&b), "1af\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
	assert_int_equal(http1_put_chunk_head(&b, 0), ERRC_INVAL);
	buf_reset(&b);
	assert_int_equal(http1_put_chunk_head(&b, SIZE_MAX), ERRC_OK);
	assert_string_equal(buf_cstr(&b), "ffffffffffffffff\r\n");
	buf_fini(&b);
}

static void test_all_or_nothing(void **state)
{
	for (size_t max = 0; max < 15; max++) {
		struct buf b;

		buf_init(&b, max);
		assert_int_equal(http1_put_header(&b, "name", L("value1234")), ERRC_LIMIT);
		assert_int_equal(http1_put_chunk(&b, L("0123456789")), ERRC_LIMIT);
		assert_true(buf_is_empty(&b));
		buf_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_all_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
