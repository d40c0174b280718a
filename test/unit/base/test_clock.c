#include "clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

static void test_format(void **state)
{
	char t[CLOCK_TEXT_MAX];

	assert_int_equal(clock_format_s(0, t), 20);
	assert_string_equal(t, "1970-01-01T00:00:00Z");
	assert_int_equal(clock_format_ms(INT64_C(1795599000123), t), 24);
	assert_string_equal(t, "2026-11-25T09:30:00.123Z");
	clock_format_s(-5, t);
	assert_string_equal(t, "1970-01-01T00:00:00Z");
	clock_format_s(INT64_MAX, t);
	assert_string_equal(t, "9999-12-31T23:59:59Z");
	clock_format_ms(INT64_MAX, t);
	assert_string_equal(t, "9999-12-31T23:59:59.999Z");
}

static void test_format_agrees_with_libc(void **state)
{
	for (int64_t s = 0; s < INT64_C(253402300799); s += INT64_C(86400) * 97 + 3723) {
		char ours[CLOCK_TEXT_MAX], theirs[64];
		time_t t = (time_t)s;
		struct tm tm;
		int64_t back;

		gmtime_r(&t, &tm);
		strftime(theirs, sizeof(theirs), "%Y-%m-%dT%H:%M:%SZ", &tm);
		clock_format_s(s, ours);
		assert_string_equal(ours, theirs);
		assert_true(clock_parse(slice_str(ours), &back));
		assert_int_equal(back, s * 1000);
	}
}

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{"1970-01-02", 86400000},
		{"2026-11-25T09:30:00Z", INT64_C(1795599000000)},
		{"2026-11-25t09:30:00.1234567z", INT64_C(1795599000123)},
		{"2026-11-25 10:30:00.5+01:00", INT64_C(1795599000500)},
		{"2026-11-25T04:00:00-05:30", INT64_C(1795599000000)},
		{"2000-02-29", INT64_C(951782400000)},
	};
	static const char *const bad[] = {
		"",
		"2026",
		"2026-1-1",
		"2026-13-01",
		"2026-00-01",
		"2026-04-31",
		"2100-02-29",
		"2026-11-25T09:30:00",
		"2026-11-25T24:00:00Z",
		"2026-11-25T09:60:00Z",
		"2026-11-25T09:30:00.Z",
		"2026-11-25T09:30:00.1234567890Z",
		"2026-11-25T09:30:00Zx",
		"2026-11-25T09:30:00+1:00",
		"1969-12-31",
		"2026-11-25T",
		"-2026-11-2",
	};
	int64_t ms;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(clock_parse(slice_str(good[i].text), &ms));
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(clock_parse(slice_str(bad[i]), &ms));
}

static void test_clocks_go(void **state)
{
	int64_t a = clock_boot_ns(), b = clock_boot_ns();

	assert_true(a > 0 && b >= a);
	assert_in_range(clock_boot_ms(), a / CLOCK_NS_MS, a / CLOCK_NS_MS + 10000);
	assert_true(clock_wall_ns() > INT64_C(1700000000) * CLOCK_NS_S);
	assert_in_range(clock_wall_ms() / 1000, clock_wall_s() - 1, clock_wall_s() + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_format_agrees_with_libc),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_clocks_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
