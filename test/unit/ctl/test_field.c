#include "field.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "mem.h"

static void expect_json(struct control_field f, const char *unit, const char *want)
{
	struct control_field all[] = {f, CONTROL_S("unit", slice_str(unit))};
	struct ask_row r = {.f = all, .n = 2};
	struct json_out o;
	struct buf b;

	buf_init(&b, 4096);
	json_out_init(&o, &b);
	json_out_obj(&o);
	field_json(&o, &r, &f);
	json_out_obj_end(&o);
	assert_int_equal(json_out_end(&o), ERRC_OK);
	assert_string_equal(buf_cstr(&b), want);
	buf_fini(&b);
}

static void expect_text(struct control_field f, const char *label, const char *want)
{
	struct ask_row r = {.f = &f, .n = 1};
	struct put p;

	put_init(&p);
	field_label(&p, f.name);
	put_z(&p, "|");
	field_text(&p, &r, &f, 0);
	put_s(&p, slice_of("", 1));
	assert_true(slice_has_prefix(buf_slice(&p.b), slice_str(label)));
	assert_string_equal(p.b.p + strlen(label) + 1, want);
	put_fini(&p);
}

static void test_money_is_exact(void **state)
{
	expect_json(CONTROL_I("balance_nusd", 1), "", "{\"balance_usd\":0.000000001}");
	expect_json(CONTROL_I("balance_nusd", 0), "", "{\"balance_usd\":0.0}");
	expect_json(CONTROL_I("balance_nusd", -1500000000), "", "{\"balance_usd\":-1.5}");
	expect_json(CONTROL_I("balance_nusd", INT64_C(4000000000000000000)), "",
		    "{\"balance_usd\":4000000000.0}");
	expect_json(CONTROL_I("balance_nusd", INT64_C(3999999999999999999)), "",
		    "{\"balance_usd\":3999999999.999999999}");
	expect_json(CONTROL_N("available_nusd"), "", "{\"available_usd\":null}");
	expect_json(CONTROL_I("input_pusd", 1750000), "", "{\"input_usd_per_million\":1.75}");
	expect_text(CONTROL_I("balance_nusd", 4999980000), "balance", "4.99998");
	expect_text(CONTROL_I("balance_nusd", -1), "balance", "-0.000000001");
	expect_text(CONTROL_I("input_pusd", 1750000), "input", "1.75");
	expect_text(CONTROL_N("available_nusd"), "available", "no limit");
}

static void test_units_come_from_the_row(void **state)
{
	expect_json(CONTROL_I("max", 5), "nusd", "{\"max\":0.000000005}");
	expect_json(CONTROL_I("max", 5), "requests", "{\"max\":5}");
}

static void test_times(void **state)
{
	expect_json(CONTROL_I("created_s", 1764063000), "",
		    "{\"created_at\":\"2025-11-25T09:30:00Z\"}");
	expect_json(CONTROL_I("admitted_ms", 1764063000123), "",
		    "{\"admitted_at\":\"2025-11-25T09:30:00.123Z\"}");
	expect_json(CONTROL_N("expires_s"), "", "{\"expires_at\":null}");
	expect_text(CONTROL_N("expires_s"), "expires", "never");
	expect_text(CONTROL_I("used_s", 0), "last used", "1970-01-01T00:00:00Z");
}

static void test_spans_and_sizes(void **state)
{
	expect_json(CONTROL_I("uptime_ms", 90000), "", "{\"uptime_ms\":90000}");
	expect_text(CONTROL_I("uptime_ms", 999), "uptime", "999 ms");
	expect_text(CONTROL_I("uptime_ms", 2500), "uptime", "2.5 s");
	expect_text(CONTROL_I("uptime_ms", 200000), "uptime", "3m 20s");
	expect_text(CONTROL_I("uptime_ms", 14700000), "uptime", "4h 05m");
	expect_text(CONTROL_I("uptime_ms", 273600000), "uptime", "3d 04h");
	expect_text(CONTROL_I("live_bytes", 1023), "live store", "1023 B");
	expect_text(CONTROL_I("live_bytes", 1536), "live store", "1.5 KiB");
	expect_text(CONTROL_I("live_bytes", 134217728), "live store", "128.0 MiB");
	expect_text(CONTROL_I("live_bytes", INT64_MAX), "live store", "838860.7 TiB");
}

static void test_words(void **state)
{
	expect_json(CONTROL_B("rolling", true), "", "{\"rolling\":true}");
	expect_text(CONTROL_B("rolling", true), "rolling", "yes");
	expect_text(CONTROL_B("rolling", false), "rolling", "no");
	expect_text(CONTROL_S("models", SLICE_LIT("")), "models", "all");
	expect_text(CONTROL_S("hold_out", SLICE_LIT("a\tb")), "hold out", "a?b");
	expect_text(CONTROL_N("rpm"), "requests/min", "no limit");
	expect_json(CONTROL_S("text", SLICE_LIT("a\"\n")), "", "{\"text\":\"a\\\"\\n\"}");
}

static int no_leaks(void **state)
{
	assert_int_equal(mem_live_count(), 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_money_is_exact),
		cmocka_unit_test(test_units_come_from_the_row),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_spans_and_sizes),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, no_leaks);
}
