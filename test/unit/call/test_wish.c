/* wish.c: what counts of a client's headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "mem.h"
#include "wish.h"

static struct wish read_with(struct arena *a, const char *fields)
{
	static struct http1 h;
	const struct http1_limits limits = {.line_max = 8192, .head_max = 65536, .headers_max = 64};
	struct slice in, body;
	struct buf text;
	struct wish w = {0};

	buf_init(&text, 65536);
	assert_int_equal(buf_addf(&text, "GET / HTTP/1.1\r\nhost: x\r\n%s\r\n", fields), ERRC_OK);
	http1_init(&h, HTTP1_REQUEST, &limits);
	in = buf_slice(&text);
	assert_int_equal(http1_next(&h, &in, &body), HTTP1_HEAD);
	wish_read(&w, &h.head, a);
	http1_fini(&h);
	buf_fini(&text);
	return w;
}

static void test_times(void **state)
{
	static const struct {
		const char *fields;
		int64_t ms;
	} rows[] = {
		{"", 0},
		{"x-stainless-timeout: 600\r\n", 598000},
		{"x-stainless-timeout: 0.5\r\n", 250},
		{"x-stainless-timeout: 2.5\r\n", 1000},
		{"x-stainless-timeout: 3.001\r\n", 1001},
		{"x-stainless-timeout: 0.001\r\n", 1},
		{"x-stainless-timeout: 0\r\n", 0},
		{"x-stainless-timeout: -5\r\n", 0},
		{"x-stainless-timeout: NaN\r\n", 0},
		{"x-stainless-timeout: 99999999999999999999\r\n", 0},
		{"x-stainless-timeout: 60\r\nx-stainless-read-timeout: 20\r\n", 18000},
		{"x-stainless-timeout: 20\r\nx-stainless-read-timeout: 60\r\n", 18000},
		{"x-stainless-read-timeout: 20\r\n", 18000},
	};
	struct arena a;

	(void)state;
	arena_init(&a, 65536);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (read_with(&a, rows[i].fields).timeout_ms != rows[i].ms)
			fail_msg("%s", rows[i].fields);
	arena_fini(&a);
	assert_int_equal(mem_live_count(), 0);
}

static void test_switches(void **state)
{
	struct wish w;
	struct arena a;

	(void)state;
	arena_init(&a, 65536);
	w = read_with(&a, "x-aigw-no-fallback: 1\r\nx-aigw-clamp: 1\r\nx-aigw-keepalive: OFF\r\n");
	assert_true(w.no_fallback && w.clamp && w.keepalive_off);
	w = read_with(&a, "x-aigw-no-fallback: 0\r\nx-aigw-clamp: yes\r\nx-aigw-keepalive: on\r\n");
	assert_false(w.no_fallback || w.clamp || w.keepalive_off);
	arena_fini(&a);
}

/* The client's own id is logged and echoed, other headers cross to the provider: nothing that could break a line does. */
static void test_what_is_kept(void **state)
{
	struct wish w;
	struct arena a;

	(void)state;
	arena_init(&a, 65536);
	w = read_with(&a, "x-request-id: mine\r\nanthropic-beta: a, b\r\ntraceparent: 00-1\r\n");
	assert_true(slice_is(w.client_id, "mine"));
	assert_true(slice_is(w.anthropic_beta, "a, b"));
	assert_true(slice_is(w.traceparent, "00-1"));
	assert_int_equal(w.openai_beta.n, 0);
	w = read_with(&a, "x-request-id: other\r\nx-client-request-id: mine\r\n");
	assert_true(slice_is(w.client_id, "mine"));
	w = read_with(&a, "x-request-id: two words\r\nanthropic-beta: caf\xc3\xa9\r\n");
	assert_int_equal(w.client_id.n, 0);
	assert_int_equal(w.anthropic_beta.n, 0);
	arena_fini(&a);
}

static void test_out_of_memory(void **state)
{
	struct wish w;
	struct arena a;

	(void)state;
	arena_init(&a, 16);
	w = read_with(
		&a,
		"x-request-id: an-id-that-is-too-long-for-this\r\norigin: http://x.example\r\n");
	assert_int_equal(w.client_id.n, 0);
	arena_fini(&a);
}

/* A request is refused rather than booked without its end user, or run twice. */
static void test_no_room_for_what_the_books_depend_on(void **state)
{
	static const char *const fields[] = {"x-aigw-user: mary\r\n", "idempotency-key: k\r\n"};
	struct arena a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		struct fault f = {0};
		struct wish w;

		arena_init(&a, 0);
		w = read_with(&a, fields[i]);
		wish_check(&w, &f);
		assert_int_equal(f.kind, FAULT_BUSY);
		arena_fini(&a);
	}
	assert_int_equal(mem_live_count(), 0);
}

static void test_the_first_of_two_users_counts(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 65536);
	assert_true(
		slice_is(read_with(&a, "x-aigw-user: ann\r\nX-Aigw-User: bob\r\n").user, "ann"));
	arena_fini(&a);
}

/* Headers that the books depend on are never left out quietly. */
static void test_what_the_books_depend_on(void **state)
{
	static const struct {
		const char *fields, *param; /* NULL: acceptable */
	} rows[] = {
		{"", NULL},
		{"x-aigw-user: alice\r\n", NULL},
		{"x-aigw-user: \xe6\xbc\xa2\r\n", NULL},
		{"x-aigw-user:\r\n", NULL},
		{"x-aigw-user: \xff\r\n", "x-aigw-user"},
		{"x-aigw-user: a\tb\r\n", "x-aigw-user"},
		{"idempotency-key: 3f6c2a9e-0d5e-4a58-9a7e-1d2c3b4a5f60\r\n", NULL},
		{"Idempotency-Key: ~!x\r\n", NULL},
		{"idempotency-key:\r\n", "idempotency-key"},
		{"idempotency-key: a b\r\n", "idempotency-key"},
		{"idempotency-key: \xc3\xa4\r\n", "idempotency-key"},
	};
	char long_one[512];
	struct arena a;

	(void)state;
	arena_init(&a, 65536);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wish w = read_with(&a, rows[i].fields);
		struct fault f = {0};

		wish_check(&w, &f);
		if (fault_is_set(&f) != (rows[i].param != NULL) ||
		    strcmp(f.param, rows[i].param ? rows[i].param : ""))
			fail_msg("row %zu: %s", i, fault_message(&f));
	}
	for (int n = 127; n < 258; n++) {
		struct fault user = {0}, idem = {0};
		struct wish w;

		snprintf(long_one, sizeof(long_one), "x-aigw-user: %0*d\r\n", n, 0);
		w = read_with(&a, long_one);
		wish_check(&w, &user);
		assert_int_equal(fault_is_set(&user), n > 128);
		snprintf(long_one, sizeof(long_one), "idempotency-key: %0*d\r\n", n, 0);
		w = read_with(&a, long_one);
		wish_check(&w, &idem);
		assert_int_equal(fault_is_set(&idem), n > 255);
	}
	arena_fini(&a);
	assert_int_equal(mem_live_count(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_of_two_users_counts),
		cmocka_unit_test(test_what_the_books_depend_on),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_switches),
		cmocka_unit_test(test_what_is_kept),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_no_room_for_what_the_books_depend_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
