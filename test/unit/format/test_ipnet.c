#include "ipnet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void reads_and_prints(void **state)
{
	static const char *const same[] = {
		"10.0.0.0/8", "0.0.0.0/0",   "192.0.2.7",     "fd00::/8",
		"::/0",       "2001:db8::1", "10.1.2.128/25",
	};

	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		char out[IPNET_TEXT_MAX];
		struct ipnet net;

		assert_true(ipnet_parse(slice_str(same[i]), &net));
		assert_int_equal(ipnet_print(&net, out), strlen(same[i]));
		assert_string_equal(out, same[i]);
	}
}

static void refuses(void **state)
{
	static const char *const bad[] = {
		"",
		"/",
		"/8",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.1/8",
		"10.0.0/8",
		"10.0.0.0/8/8",
		"10.0.0.0/-1",
		"fd00::/129",
		"fd00::1/8",
		"[::1]",
		"fe80::1%eth0",
		" 10.0.0.1",
		"example.com",
		"10.0.0.0/08x",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc",
	};
	struct ipnet net;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(ipnet_parse(slice_str(bad[i]), &net));
	assert_false(ipnet_parse(SLICE_LIT("10.0.0.1\0/8"), &net));
}

static bool has(const char *net_text, const char *addr_text)
{
	struct ipnet net;
	uint8_t addr[16];

	assert_true(ipnet_parse(slice_str(net_text), &net));
	assert_true(ipnet_addr(slice_str(addr_text), addr));
	return ipnet_has(&net, addr) && ipnet_any_has(&net, 1, addr);
}

static void matches(void **state)
{
	assert_true(has("10.0.0.0/8", "10.255.0.1"));
	assert_false(has("10.0.0.0/8", "11.0.0.0"));
	assert_true(has("10.0.0.0/8", "::ffff:10.1.1.1"));
	assert_true(has("::ffff:10.0.0.0/104", "10.1.1.1"));
	assert_true(has("10.1.2.128/25", "10.1.2.255"));
	assert_false(has("10.1.2.128/25", "10.1.2.127"));
	assert_true(has("0.0.0.0/0", "255.255.255.255"));
	assert_false(has("0.0.0.0/0", "::1"));
	assert_true(has("::/0", "1.2.3.4"));
	assert_true(has("192.0.2.7", "192.0.2.7"));
	assert_false(has("192.0.2.7", "192.0.2.6"));
}

static void reads_hops(void **state)
{
	static const char *const hops[][2] = {
		{"192.0.2.7", "192.0.2.7"},        {"192.0.2.7:5555", "192.0.2.7"},
		{"192.0.2.7:0", "192.0.2.7"},      {"2001:db8::1", "2001:db8::1"},
		{"[2001:db8::1]", "2001:db8::1"},  {"[2001:db8::1]:65535", "2001:db8::1"},
		{"fe80::1%eth0", "fe80::1"},       {"[fe80::1%25eth0.7]:99", "fe80::1"},
		{"::ffff:192.0.2.7", "192.0.2.7"}, {"[::ffff:192.0.2.7]:80", "192.0.2.7"},
	};
	static const char *const none[] = {
		"",
		"unknown",
		"_hidden",
		"192.0.2.7:",
		"192.0.2.7:http",
		"192.0.2.7:65536",
		"192.0.2.7:80:80",
		"192.0.2.7%eth0",
		"192.0.2",
		"192.0.2.7/32",
		"[192.0.2.7]",
		"[2001:db8::1",
		"[2001:db8::1]80",
		"[2001:db8::1]:",
		"[2001:db8::1]:x",
		"2001:db8::1]",
		"[]",
		"[",
		"[unknown]:80",
		"example.com:80",
		":80",
		"%",
		"\"192.0.2.7\"",
		"192.0.2.7 10.1.1.1",
	};
	struct ipnet net = {.bits = 128};
	char out[IPNET_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(hops); i++) {
		assert_true(ipnet_hop(slice_str(hops[i][0]), net.addr));
		ipnet_print(&net, out);
		assert_string_equal(out, hops[i][1]);
	}
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		assert_false(ipnet_hop(slice_str(none[i]), net.addr));
	assert_false(ipnet_hop(SLICE_NONE, net.addr));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_prints),
		cmocka_unit_test(refuses),
		cmocka_unit_test(matches),
		cmocka_unit_test(reads_hops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
