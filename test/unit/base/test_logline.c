#include "logline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

static const char *line_of(struct logline l)
{
	static char out[LOGLINE_MAX + 1];
	size_t n;

	l.wall_ms = INT64_C(1795599000123);
	n = logline_write(&l, out);
	assert_in_range(n, 1, LOGLINE_MAX);
	assert_int_equal(out[n - 1], '\n');
	for (size_t i = 0; i + 1 < n; i++)
		assert_in_range(out[i], ' ', '~');
	out[n - 1] = '\0';
	return out;
}

static const struct log_field all[] = {
	{.name = "s", .type = LOG_T_STR, .s = {"v", 1}},
	{.name = "i", .type = LOG_T_I64, .i = INT64_MIN},
	{.name = "u", .type = LOG_T_U64, .u = UINT64_MAX},
	{.name = "ms", .type = LOG_T_MS, .i = 1234567},
	{.name = "c", .type = LOG_T_NUSD, .i = 15000},
	{.name = "b", .type = LOG_T_BOOL, .i = 1},
};

static void test_every_type(void **state)
{
	struct logline l = {.level = LOG_INFO,
			    .process = "worker-1",
			    .event = "request",
			    .fields = all,
			    .field_count = ARRAY_LEN(all)};

	assert_string_equal(
		line_of(l),
		"time=2026-11-25T09:30:00.123Z level=info process=worker-1 event=request s=v "
		"i=-9223372036854775808 u=18446744073709551615 ms=1234.567 c=0.000015 b=true");
	l.format = LOG_JSON;
	assert_string_equal(line_of(l),
			    "{\"time\":\"2026-11-25T09:30:00.123Z\",\"level\":\"info\","
			    "\"process\":\"worker-1\",\"event\":\"request\",\"s\":\"v\","
			    "\"i\":-9223372036854775808,\"u\":18446744073709551615,"
			    "\"ms\":1234.567,\"c\":0.000015,\"b\":true}");
}

static void test_nothing_raw_gets_in(void **state)
{
	static const struct {
		struct slice in;
		const char *text, *json;
	} rows[] = {
		{{"", 0}, "\"\"", "\"\""},
		{{"a b", 3}, "\"a b\"", "\"a b\""},
		{{"a=b", 3}, "\"a=b\"", "\"a=b\""},
		{{"a\"\\", 3}, "\"a\\\"\\\\\"", "\"a\\\"\\\\\""},
		{{"\r\n\t\0\x7f", 5}, "\"\\r\\n\\t\\x00\\x7f\"", "\"\\r\\n\\t\\u0000\\u007f\""},
		{{"\xc3\xa9", 2}, "\"\\xc3\\xa9\"", "\"\\u00e9\""},
		{{"\xe2\x82\xac", 3}, "\"\\xe2\\x82\\xac\"", "\"\\u20ac\""},
		{{"\xf0\x9f\x98\x80", 4}, "\"\\xf0\\x9f\\x98\\x80\"", "\"\\ud83d\\ude00\""},
		/* no UTF-8: cut, overlong, a surrogate, too large, a lone continuation */
		{{"\xc3", 1}, "\"\\xc3\"", "\"\\\\xc3\""},
		{{"\xc0\x8a", 2}, "\"\\xc0\\x8a\"", "\"\\\\xc0\\\\x8a\""},
		{{"\xed\xa0\x80", 3}, "\"\\xed\\xa0\\x80\"", "\"\\\\xed\\\\xa0\\\\x80\""},
		{{"\xf4\x90\x80\x80", 4},
		 "\"\\xf4\\x90\\x80\\x80\"",
		 "\"\\\\xf4\\\\x90\\\\x80\\\\x80\""},
		{{"\xff\x80", 2}, "\"\\xff\\x80\"", "\"\\\\xff\\\\x80\""},
	};
	char want[200];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct log_field f = LOG_S("v", rows[i].in);
		struct logline l = {.level = LOG_WARN, .fields = &f, .field_count = 1};

		snprintf(want, sizeof(want), "time=2026-11-25T09:30:00.123Z level=warn v=%s",
			 rows[i].text);
		assert_string_equal(line_of(l), want);
		l.format = LOG_JSON;
		snprintf(want, sizeof(want),
			 "{\"time\":\"2026-11-25T09:30:00.123Z\",\"level\":\"warn\",\"v\":%s}",
			 rows[i].json);
		assert_string_equal(line_of(l), want);
	}
}

static void test_every_byte_in_both_formats(void **state)
{
	for (int format = LOG_TEXT; format <= LOG_JSON; format++)
		for (int c = 0; c < 256; c++)
			for (int d = 0; d < 256; d += 5) {
				char s[2] = {(char)c, (char)d};

				line_of((struct logline){.format = (enum log_format)format,
							 .message = slice_of(s, 2)});
			}
}

static void test_too_long(void **state)
{
	static char big[3000];
	struct log_field f[40];
	const char *line;

	memset(big, '\n', sizeof(big));
	for (size_t i = 0; i < ARRAY_LEN(f); i++)
		f[i] = LOG_S("name", slice_of(big, sizeof(big)));
	for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
		struct logline l = {.format = (enum log_format)format,
				    .message = slice_of(big, sizeof(big)),
				    .fields = f,
				    .field_count = ARRAY_LEN(f)};

		line = line_of(l);
		assert_non_null(strstr(line, "\\n...\""));
		assert_non_null(strstr(line, format == LOG_JSON ? "\",\"truncated\":true}"
								: "\" truncated=true"));
	}
}

/* Whatever the size of the last field, the line ends well. */
static void test_every_border(void **state)
{
	static char big[LOGLINE_VALUE_MAX];
	struct log_field f[8];

	memset(big, 'x', sizeof(big));
	for (size_t n = 0; n <= sizeof(big); n++) {
		for (size_t i = 0; i < ARRAY_LEN(f); i++)
			f[i] = LOG_S("name", slice_of(big, i + 1 < ARRAY_LEN(f) ? sizeof(big) : n));
		for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
			const char *line =
				line_of((struct logline){.format = (enum log_format)format,
							 .fields = f,
							 .field_count = ARRAY_LEN(f)});

			if (format == LOG_JSON)
				assert_int_equal(line[strlen(line) - 1], '}');
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_type),
		cmocka_unit_test(test_nothing_raw_gets_in),
		cmocka_unit_test(test_every_byte_in_both_formats),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_every_border),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
