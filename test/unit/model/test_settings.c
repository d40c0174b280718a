#include "settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "log.h"

static const struct settings_row *row(const char *path)
{
	for (size_t i = 0; i < settings_rows_n; i++) {
		if (strcmp(settings_rows[i].path, path) == 0)
			return &settings_rows[i];
	}
	fail_msg("no setting %s", path);
	return NULL;
}

static void defaults_are_in_range_and_print_back(void **state)
{
	struct settings s, back;
	struct buf b;

	settings_defaults(&s);
	settings_defaults(&back);
	for (size_t i = 0; i < settings_rows_n; i++) {
		const struct settings_row *r = &settings_rows[i];

		assert_true(r->min <= r->max);
		assert_true(strlen(r->sentence) > 10);
		assert_true(settings_equal(r, &s, &back));
		buf_init(&b, 4096);
		assert_int_equal(settings_print(r, &s, &b), ERRC_OK);
		if (r->type != SETTINGS_LIST) {
			const char *z = buf_cstr(&b);

			assert_int_equal(settings_parse(r, slice_str(z), &back), ERRC_OK);
			assert_true(settings_equal(r, &s, &back));
		}
		buf_reset(&b);
		assert_int_equal(settings_expected(r, &b), ERRC_OK);
		assert_true(b.len > 3);
		buf_fini(&b);
	}
}

static void contract_defaults(void **state)
{
	struct settings s;

	settings_defaults(&s);
	assert_int_equal(s.workers, 0);
	assert_int_equal(s.durability, SETTINGS_DURABILITY_GROUP);
	assert_int_equal(s.live_size_bytes, 128 << 20);
	assert_int_equal(s.limit_request_line_bytes, 8 << 10);
	assert_int_equal(s.limit_head_bytes, 64 << 10);
	assert_int_equal(s.limit_body_bytes, 32 << 20);
	assert_int_equal(s.limit_json_depth, 128);
	assert_int_equal(s.timeout_idle_ms, 75000);
	assert_int_equal(s.timeout_connect_ms, 5000);
	assert_int_equal(s.timeout_first_byte_ms, 120000);
	assert_int_equal(s.timeout_first_byte_whole_ms, 590000);
	assert_int_equal(s.timeout_total_ms, 3600000);
	assert_int_equal(s.drain_timeout_ms, 600000);
	assert_int_equal(s.uncapped_share_ppm, 125000);
	assert_int_equal(s.retry_share_ppm, 200000);
	assert_int_equal(s.cors_origins.n, 1);
	assert_int_equal((int)SETTINGS_LOG_FORMAT_JSON, (int)LOG_JSON);
	assert_int_equal((int)SETTINGS_LOG_LEVEL_DEBUG, (int)LOG_DEBUG);
}

struct value {
	const char *path, *text;
	enum errc rc;
	int64_t v;
};

static void reads_values(void **state)
{
	static const struct value values[] = {
		{"workers", "auto", ERRC_OK, 0},
		{"workers", "4", ERRC_OK, 4},
		{"workers", "four", ERRC_SYNTAX, 0},
		{"workers", "-1", ERRC_RANGE, 0},
		{"limits.body", "64MiB", ERRC_OK, 64 << 20},
		{"limits.body", "1048576", ERRC_OK, 1 << 20},
		{"limits.body", "2GiB", ERRC_RANGE, 0},
		{"limits.body", "1 MiB x", ERRC_SYNTAX, 0},
		{"timeouts.idle", "90s", ERRC_OK, 90000},
		{"timeouts.idle", "2m", ERRC_OK, 120000},
		{"timeouts.idle", "30", ERRC_OK, 30000},
		{"timeouts.keepalive", "off", ERRC_OK, 0},
		{"timeouts.idle", "off", ERRC_RANGE, 0},
		{"uncapped_share", "1/8", ERRC_OK, 125000},
		{"uncapped_share", "12.5%", ERRC_OK, 125000},
		{"uncapped_share", "0.25", ERRC_OK, 250000},
		{"uncapped_share", "1/0", ERRC_SYNTAX, 0},
		{"uncapped_share", "2", ERRC_RANGE, 0},
		{"uncapped_share", "0.1234567", ERRC_SYNTAX, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		const struct settings_row *r = row(values[i].path);
		struct settings s;

		settings_defaults(&s);
		assert_int_equal(settings_parse(r, slice_str(values[i].text), &s), values[i].rc);
		if (values[i].rc == ERRC_OK)
			assert_int_equal(*(int64_t *)(void *)((char *)&s + r->offset), values[i].v);
	}
}

static void reads_words(void **state)
{
	struct settings s;

	settings_defaults(&s);
	assert_int_equal(settings_parse(row("durability"), SLICE_LIT("settle"), &s), ERRC_OK);
	assert_int_equal(s.durability, SETTINGS_DURABILITY_SETTLE);
	assert_int_equal(settings_parse(row("durability"), SLICE_LIT("async"), &s), ERRC_OK);
	assert_int_equal(s.durability, SETTINGS_DURABILITY_ASYNC);
	assert_int_equal(settings_parse(row("durability"), SLICE_LIT("asyn"), &s), ERRC_SYNTAX);
	assert_int_equal(settings_parse(row("durability"), SLICE_LIT(""), &s), ERRC_SYNTAX);
	assert_int_equal(settings_parse(row("log.access"), SLICE_LIT("off"), &s), ERRC_OK);
	assert_false(s.log_access);
	assert_int_equal(settings_parse(row("log.access"), SLICE_LIT("yes"), &s), ERRC_OK);
	assert_true(s.log_access);
	assert_int_equal(settings_parse(row("log.access"), SLICE_LIT("1"), &s), ERRC_SYNTAX);
	assert_int_equal(settings_parse(row("region"), SLICE_LIT("no"), &s), ERRC_OK);
	assert_true(slice_is(s.region, "no"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_in_range_and_print_back),
		cmocka_unit_test(contract_defaults),
		cmocka_unit_test(reads_values),
		cmocka_unit_test(reads_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
