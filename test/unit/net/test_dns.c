#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dns.h"
#include "mem.h"

static void never(struct dns_query *q)
{
	(void)q;
	fail();
}

static void test_literals(void **state)
{
	static const struct {
		const char *host, *text;
	} rows[] = {
		{"127.0.0.1", "127.0.0.1"},
		{"::1", "::1"},
		{"[::1]", "::1"},
		{"2001:db8::7", "2001:db8::7"},
	};
	char text[DNS_ADDR_TEXT];
	struct dns_addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(dns_literal(rows[i].host, &a));
		dns_addr_text(&a, text);
		assert_string_equal(text, rows[i].text);
	}
	assert_false(dns_literal("localhost", &a));
	assert_false(dns_literal("1.2.3", &a));
	assert_false(dns_literal("[::1", &a));
	assert_false(dns_literal("", &a));
}

static void test_asking(void **state)
{
	char name[300];
	struct dns_query q;
	struct turn *t = NULL;
	struct dns *d = NULL;
	uv_loop_t loop;

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(turn_new(&loop, &t), ERRC_OK);
	assert_int_equal(dns_new(t, 30000, &d), ERRC_OK);
	assert_int_equal(dns_ask(d, "192.0.2.1", &q, never), ERRC_OK);
	assert_int_equal(q.answer.n, 1);
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(dns_ask(d, name, &q, never), ERRC_DNS);
	assert_int_equal(dns_ask(d, "", &q, never), ERRC_DNS);
	/* Cancelled, and freed while the look-up runs: no call comes. */
	assert_int_equal(dns_ask(d, "localhost", &q, never), ERRC_AGAIN);
	dns_cancel(&q);
	dns_cancel(&q);
	dns_free(&d);
	assert_null(d);
	turn_free(&t);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_int_equal(mem_live_count(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_asking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
