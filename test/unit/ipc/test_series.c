#include "series.h"

#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ipc_page.h"
#include "mem.h"

static page_u64 *cell(const char *model, const char *provider)
{
	const struct slice v[] = {slice_str(model), slice_str(provider)};
	char text[SERIES_LABELS_MAX];

	return series_cell(page, SERIES_CHARGED,
			   slice_of(text, series_labels(SERIES_CHARGED, v, 2, text)));
}

static void printed(struct buf *b)
{
	buf_init(b, 8 << 20);
	assert_int_equal(series_print(page, b), ERRC_OK);
	assert_non_null(buf_cstr(b));
}

static bool has(struct buf *b, const char *line)
{
	return slice_find(buf_slice(b), slice_str(line)) >= 0;
}

static void test_found_again_and_printed(void **state)
{
	struct buf b;

	series_add(cell("gpt", "openai"), 1500000000);
	series_add(cell("gpt", "openai"), 250);
	series_add(cell("a\"b\\c\nd", "x"), 1);
	assert_ptr_equal(cell("gpt", "openai"), cell("gpt", "openai"));
	assert_ptr_not_equal(cell("gpt", "openai"), cell("gpt", "azure"));
	printed(&b);
	assert_true(has(&b, "# TYPE aigw_charged_usd_total counter\n"));
	assert_true(
		has(&b, "aigw_charged_usd_total{model=\"gpt\",provider=\"openai\"} 1.50000025\n"));
	assert_true(has(
		&b,
		"aigw_charged_usd_total{model=\"a\\\"b\\\\c\\nd\",provider=\"x\"} 0.000000001\n"));
	assert_true(has(&b, "\naigw_ledger_imbalance_nanousd 0\n"));
	assert_true(has(&b, "aigw_build_info{version=\""));
	buf_fini(&b);
	assert_int_equal(mem_live_count(), 1);
}

static void test_long_values_are_cut_between_characters(void **state)
{
	char text[SERIES_LABELS_MAX], longer[400];
	struct slice v[4];
	size_t n;

	for (size_t len = 1; len < sizeof(longer); len++) {
		memset(longer, len % 2 ? '"' : 'x', sizeof(longer));
		for (size_t i = 0; i + 1 < len; i += 2)
			memcpy(longer + i, "\xc3\xa9", 2);
		for (int i = 0; i < 4; i++)
			v[i] = slice_of(longer, len);
		n = series_labels(SERIES_REQUESTS, v, 4, text);
		assert_in_range(n, 30, SERIES_LABELS_MAX);
		assert_int_equal(text[n - 1], '"');
		assert_true(slice_find(slice_of(text, n), SLICE_LIT("\xc3\"")) < 0);
	}
}

/* What is cut stays another series: two models must not be counted as one. */
static void test_cut_values_differ(void **state)
{
	static const char *const names[] = {
		"accounts/fireworks/models/a-rather-long-name-of-a-model-instruct",
		"accounts/fireworks/models/a-rather-long-name-of-a-model-instruct-128k",
		"accounts/fireworks/models/a-rather-long-name-of-a-model-\xc3\xa9",
		"accounts/fireworks/models/a-rather-long-name-of-a-model-\"\\\n"};
	char text[ARRAY_LEN(names)][SERIES_LABELS_MAX];
	size_t n[ARRAY_LEN(names)];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct slice v[] = {SLICE_LIT("chat.completions"), slice_str(names[i]),
					  SLICE_LIT("fireworks"), SLICE_LIT("200")};

		n[i] = series_labels(SERIES_REQUESTS, v, 4, text[i]);
		assert_true(slice_find(slice_of(text[i], n[i]),
				       SLICE_LIT("model=\"accounts/fireworks/models/")) > 0);
		for (size_t k = 0; k < i; k++)
			assert_false(slice_eq(slice_of(text[i], n[i]), slice_of(text[k], n[k])));
	}
}

static void test_histogram(void **state)
{
	struct series_histo *h = series_histo(page, SERIES_GATEWAY_DURATION, SLICE_NONE);
	struct buf b;

	assert_ptr_equal(h, series_histo(page, SERIES_GATEWAY_DURATION, SLICE_NONE));
	series_observe_us(h, 100);
	series_observe_us(h, 101);
	series_observe_us(h, UINT64_C(400000000));
	printed(&b);
	assert_true(has(&b, "aigw_gateway_duration_seconds_bucket{le=\"0.0001\"} 1\n"));
	assert_true(has(&b, "aigw_gateway_duration_seconds_bucket{le=\"0.00025\"} 2\n"));
	assert_true(has(&b, "aigw_gateway_duration_seconds_bucket{le=\"300\"} 2\n"));
	assert_true(has(&b, "aigw_gateway_duration_seconds_bucket{le=\"+Inf\"} 3\n"));
	assert_true(has(&b, "aigw_gateway_duration_seconds_sum 400.000201\n"));
	assert_true(has(&b, "aigw_gateway_duration_seconds_count 3\n"));
	buf_fini(&b);
}

static void test_computed_line(void **state)
{
	const struct slice v[] = {SLICE_LIT("gpt"), SLICE_LIT("openai")};
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(series_put(&b, SERIES_OFFER_STATE, true, v, 2, 3), ERRC_OK);
	assert_int_equal(series_put(&b, SERIES_OFFER_STATE, false, v, 2, 0), ERRC_OK);
	assert_true(has(&b, "# TYPE aigw_offer_state "
			    "gauge\naigw_offer_state{model=\"gpt\",provider=\"openai\"} 3\n"));
	assert_true(has(&b, "3\naigw_offer_state{model=\"gpt\",provider=\"openai\"} 0\n"));
	buf_fini(&b);
}

static void test_full_table_spills(void **state)
{
	char name[32];
	page_u64 *first = cell("m0", "p"), *c;
	struct buf b;

	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "m%d", i);
		c = cell(name, "p");
		series_add(c, 1);
	}
	assert_ptr_equal(cell("m19999", "p"), cell("another", "p"));
	assert_ptr_equal(cell("m0", "p"), first);
	printed(&b);
	assert_false(has(&b, "aigw_series_dropped_total 0\n"));
	assert_false(has(&b, "m19999"));
	buf_fini(&b);
}

/* Four processes find the same series at once and count: nothing is lost and nothing is there twice. */
static void test_many_processes(void **state)
{
	enum { PROCS = 4, SERIES_N = 200, ROUNDS = 50 };
	struct buf b;
	char name[32];
	int st;

	for (int p = 0; p < PROCS; p++) {
		if (fork())
			continue;
		for (int r = 0; r < ROUNDS; r++) {
			for (int i = 0; i < SERIES_N; i++) {
				snprintf(name, sizeof(name), "m%d", i);
				series_add(cell(name, "p"), 1);
			}
			series_observe_us(series_histo(page, SERIES_GATEWAY_DURATION, SLICE_NONE),
					  1);
		}
		_exit(0);
	}
	for (int p = 0; p < PROCS; p++) {
		assert_true(wait(&st) > 0);
		assert_int_equal(st, 0);
	}
	for (int i = 0; i < SERIES_N; i++) {
		snprintf(name, sizeof(name), "m%d", i);
		assert_int_equal(atomic_load(cell(name, "p")), PROCS * ROUNDS);
	}
	printed(&b);
	assert_true(has(&b, "aigw_gateway_duration_seconds_count 200\n"));
	buf_fini(&b);
}

static void test_no_memory(void **state)
{
	struct buf b;

	series_add(cell("gpt", "openai"), 1);
	buf_init(&b, 8 << 20);
	mem_fail_after(1);
	assert_int_equal(series_print(page, &b), ERRC_NOMEM);
	mem_fail_after(0);
	buf_fini(&b);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, ipc_page_setup, ipc_page_teardown)
	const struct CMUnitTest tests[] = {
		T(test_found_again_and_printed), T(test_long_values_are_cut_between_characters),
		T(test_cut_values_differ),       T(test_histogram),
		T(test_computed_line),           T(test_full_table_spills),
		T(test_many_processes),          T(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
