#include "forwarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* The peer is 127.0.0.1; trusted are 127.0.0.0/8 and 10.0.0.0/8. */
static struct listen_proxies proxies = {.holds = 1,
					.n = 2,
					.nets = {{.addr = {[10] = 0xff, 0xff, 127}, .bits = 104},
						 {.addr = {[10] = 0xff, 0xff, 10}, .bits = 104}}};
static const struct listen_peer peer = {.addr = {[10] = 0xff, 0xff, 127, 0, 0, 1},
					.proxies = &proxies};

/* Lines of x-forwarded-for and others, with their ends. */
static bool told(const struct listen_peer *p, const char *fields, char out[IPNET_TEXT_MAX])
{
	static const struct http1_limits limits = {
		.line_max = 100, .head_max = 4000, .headers_max = 20};
	struct ipnet net = {.bits = 128};
	struct slice in, body;
	struct http1 h;
	char text[2000];
	bool known;

	in = slice_of(text, (size_t)snprintf(text, sizeof(text),
					     "GET / HTTP/1.1\r\nhost: x\r\n%s\r\n", fields));
	http1_init(&h, HTTP1_REQUEST, &limits);
	assert_int_equal(http1_next(&h, &in, &body), HTTP1_HEAD);
	known = forwarded_client(&h.head, p, net.addr);
	out[ipnet_print(&net, out)] = '\0';
	http1_fini(&h);
	return known;
}

static void expect(const char *fields, bool known, const char *addr)
{
	char out[IPNET_TEXT_MAX];

	assert_int_equal(told(&peer, fields, out), known);
	assert_string_equal(out, addr);
}

#define FWD(list) "x-forwarded-for: " list "\r\n"

static void back_to_the_first_that_is_not_trusted(void **state)
{
	(void)state;
	expect("", true, "127.0.0.1");
	expect(FWD("203.0.113.9"), true, "203.0.113.9");
	expect(FWD("198.51.100.1, 203.0.113.9"), true, "203.0.113.9");
	expect(FWD("203.0.113.9, 10.1.1.1"), true, "203.0.113.9");
	expect(FWD("127.0.0.1, 203.0.113.9,10.2.2.2 ,\t10.1.1.1"), true, "203.0.113.9");
	expect(FWD("203.0.113.9:5555, 10.1.1.1:80"), true, "203.0.113.9");
	expect(FWD("[2001:db9::1]:99, [::ffff:10.1.1.1]:99"), true, "2001:db9::1");
	expect(FWD("fe80::1%eth0"), true, "fe80::1");
}

static void all_are_trusted(void **state)
{
	(void)state;
	expect(FWD("10.1.1.1"), true, "10.1.1.1");
	expect(FWD("10.3.3.3, 10.2.2.2") FWD("10.1.1.1"), true, "10.3.3.3");
}

static void several_fields_are_one_list(void **state)
{
	(void)state;
	expect(FWD("198.51.100.1") FWD("203.0.113.9"), true, "203.0.113.9");
	expect(FWD("198.51.100.1, 203.0.113.9") "a: 192.0.2.1\r\n"
						"X-FORWARDED-FOR: 10.2.2.2, 10.1.1.1\r\n",
	       true, "203.0.113.9");
}

static void empty_items_are_none(void **state)
{
	(void)state;
	expect(FWD(""), true, "127.0.0.1");
	expect(FWD(" , ,,"), true, "127.0.0.1");
	expect(FWD(",203.0.113.9, ,10.1.1.1,"), true, "203.0.113.9");
	expect(FWD("203.0.113.9") FWD(","), true, "203.0.113.9");
}

/* The hop that did not tell it is known. */
static void what_is_no_address_ends_it(void **state)
{
	(void)state;
	expect(FWD("unknown"), false, "127.0.0.1");
	expect(FWD("203.0.113.9, unknown"), false, "127.0.0.1");
	expect(FWD("203.0.113.9, _hidden, 10.1.1.1"), false, "10.1.1.1");
	expect(FWD("203.0.113.9") FWD("10.2.2.2, 203.0.113.9 10.1.1.1"), false, "127.0.0.1");
	expect(FWD("unknown, 203.0.113.9, 10.1.1.1"), true, "203.0.113.9");
}

static void who_is_not_trusted_tells_nothing(void **state)
{
	struct listen_peer other = peer;
	char out[IPNET_TEXT_MAX];

	(void)state;
	other.proxies = NULL;
	assert_true(told(&other, FWD("203.0.113.9, unknown"), out));
	assert_string_equal(out, "127.0.0.1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(back_to_the_first_that_is_not_trusted),
		cmocka_unit_test(all_are_trusted),
		cmocka_unit_test(several_fields_are_one_list),
		cmocka_unit_test(empty_items_are_none),
		cmocka_unit_test(what_is_no_address_ends_it),
		cmocka_unit_test(who_is_not_trusted_tells_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
