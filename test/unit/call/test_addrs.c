/* addrs.c against a plain array of counters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "addrs.h"
#include "mem.h"
#include "text.h"

#define ADDRESSES 500
#define STEPS     200000
#define MAX       5

static void address(unsigned i, uint8_t out[ADDRS_BYTES])
{
	memset(out, 0, ADDRS_BYTES);
	out[14] = (uint8_t)(i >> 8);
	out[15] = (uint8_t)i;
}

static void test_against_counters(void **state)
{
	struct text_rng rng = {{7, 9}};
	static unsigned count[ADDRESSES];
	struct addrs a;
	uint8_t addr[ADDRS_BYTES];
	size_t used = 0;

	(void)state;
	addrs_init(&a);
	for (unsigned step = 0; step < STEPS; step++) {
		uint64_t r = text_rng_next(&rng);
		unsigned i = (unsigned)(r % ADDRESSES);

		address(i, addr);
		if ((r >> 32) % 2) {
			enum errc e = addrs_take(&a, addr, MAX);

			assert_int_equal(e, count[i] == MAX ? ERRC_LIMIT : ERRC_OK);
			used += e == ERRC_OK && count[i] == 0;
			count[i] += e == ERRC_OK;
		} else if (count[i] > 0) {
			addrs_give(&a, addr);
			used -= --count[i] == 0;
		}
		assert_int_equal(a.used, used);
	}
	for (unsigned i = 0; i < ADDRESSES; i++)
		for (address(i, addr); count[i] > 0; count[i]--)
			addrs_give(&a, addr);
	assert_int_equal(a.used, 0);
	addrs_fini(&a);
}

static void test_no_memory(void **state)
{
	struct addrs a;
	uint8_t addr[ADDRS_BYTES];

	(void)state;
	addrs_init(&a);
	address(1, addr);
	mem_fail_after(1);
	assert_int_equal(addrs_take(&a, addr, 1), ERRC_NOMEM);
	mem_fail_after(0);
	assert_int_equal(addrs_take(&a, addr, 1), ERRC_OK);
	addrs_give(&a, addr);
	addrs_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_counters),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
