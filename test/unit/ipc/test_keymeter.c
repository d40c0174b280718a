#include "keymeter.h"

#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ipc_page.h"
#include "mem.h"

static struct keymeter *row(const char *key)
{
	return keymeter_of(page, slice_str(key), SLICE_LIT("ac\"me"));
}

static void printed(struct buf *b)
{
	buf_init(b, 8 << 20);
	assert_int_equal(keymeter_print(page, b), ERRC_OK);
	assert_non_null(buf_cstr(b));
}

static bool is(struct buf *b, const char *text)
{
	return slice_is(buf_slice(b), text);
}

static bool has(struct buf *b, const char *text)
{
	return slice_find(buf_slice(b), slice_str(text)) >= 0;
}

static void test_printed_by_metric(void **state)
{
	struct buf b;

	printed(&b);
	assert_int_equal(b.len, 0);
	buf_fini(&b);
	keymeter_add(row("aaaaaaaaaaaa"), keymeter_of_status(200), 2);
	keymeter_add(row("bbbbbbbbbbbb"), keymeter_of_status(429), 1);
	keymeter_add(row("aaaaaaaaaaaa"), KEYMETER_CHARGED, 1500);
	keymeter_add(row("aaaaaaaaaaaa"), (enum keymeter_cell)(KEYMETER_TOKENS + USAGE_CACHE_READ),
		     7);
	assert_ptr_equal(row("aaaaaaaaaaaa"), row("aaaaaaaaaaaa"));
	printed(&b);
	assert_true(is(
		&b,
		"# HELP aigw_key_requests_total Requests by API key\n"
		"# TYPE aigw_key_requests_total counter\n"
		"aigw_key_requests_total{account=\"ac\\\"me\",key=\"aaaaaaaaaaaa\",code=\"2xx\"} "
		"2\n"
		"aigw_key_requests_total{account=\"ac\\\"me\",key=\"bbbbbbbbbbbb\",code=\"4xx\"} "
		"1\n"
		"# HELP aigw_key_charged_usd_total What API keys were charged, dollars\n"
		"# TYPE aigw_key_charged_usd_total counter\n"
		"aigw_key_charged_usd_total{account=\"ac\\\"me\",key=\"aaaaaaaaaaaa\"} 0.0000015\n"
		"# HELP aigw_key_tokens_total Tokens by API key and class\n"
		"# TYPE aigw_key_tokens_total counter\n"
		"aigw_key_tokens_total{account=\"ac\\\"me\",key=\"aaaaaaaaaaaa\",class=\"cache_"
		"read\"} "
		"7\n"));
	buf_fini(&b);
}

static void test_status(void **state)
{
	assert_int_equal(keymeter_of_status(0), KEYMETER_REQUESTS_GONE);
	assert_int_equal(keymeter_of_status(200), KEYMETER_REQUESTS_2XX);
	assert_int_equal(keymeter_of_status(304), KEYMETER_REQUESTS_2XX);
	assert_int_equal(keymeter_of_status(404), KEYMETER_REQUESTS_4XX);
	assert_int_equal(keymeter_of_status(599), KEYMETER_REQUESTS_5XX);
}

static void test_many_keys_share_the_last_row(void **state)
{
	enum { MORE = 100 };
	char name[16];
	size_t rows = 0;
	struct buf b;
	struct slice left;

	for (int i = 0; i < KEYMETER_KEYS_MAX + MORE; i++) {
		snprintf(name, sizeof(name), "key%09d", i);
		keymeter_add(row(name), KEYMETER_REQUESTS_2XX, 1);
	}
	assert_ptr_equal(row("cccccccccccc"), row("dddddddddddd"));
	printed(&b);
	assert_true(has(
		&b, "aigw_key_requests_total{account=\"other\",key=\"other\",code=\"2xx\"} 100\n"));
	left = buf_slice(&b);
	for (struct slice line; left.n; rows++)
		(void)slice_cut(&left, '\n', &line);
	assert_int_equal(rows, 2 + KEYMETER_KEYS_MAX + 1);
	buf_fini(&b);
}

/* Processes that meet the same new keys at once lose nothing and make no row twice. */
static void test_many_processes(void **state)
{
	enum { PROCS = 4, KEYS = 300, ROUNDS = 50 };
	char name[16];
	int st;

	for (int p = 0; p < PROCS; p++) {
		if (fork())
			continue;
		for (int i = 0; i < KEYS * ROUNDS; i++) {
			snprintf(name, sizeof(name), "key%09d", i % KEYS);
			keymeter_add(row(name), KEYMETER_CHARGED, 1);
		}
		_exit(0);
	}
	for (int p = 0; p < PROCS; p++) {
		assert_true(wait(&st) > 0);
		assert_int_equal(st, 0);
	}
	for (int i = 0; i < KEYS; i++) {
		char line[128];
		struct buf b;

		snprintf(line, sizeof(line), "key=\"key%09d\"} 0.0000002\n", i);
		printed(&b);
		assert_true(has(&b, line));
		buf_fini(&b);
	}
}

static void test_no_memory(void **state)
{
	struct buf b;

	keymeter_add(row("aaaaaaaaaaaa"), KEYMETER_CHARGED, 1);
	buf_init(&b, 8 << 20);
	mem_fail_after(1);
	assert_int_equal(keymeter_print(page, &b), ERRC_NOMEM);
	mem_fail_after(0);
	buf_fini(&b);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, ipc_page_setup, ipc_page_teardown)
	const struct CMUnitTest tests[] = {
		T(test_printed_by_metric), T(test_status),    T(test_many_keys_share_the_last_row),
		T(test_many_processes),    T(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
