#include "bill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "text.h"

static struct text_rng rng = {{7, 8}};

static int64_t any(int64_t max)
{
	uint64_t v = text_rng_next(&rng) >> text_rng_next(&rng) % 63;

	return (int64_t)(v % ((uint64_t)max + 1));
}

static void fill(struct price *p, struct usage *u)
{
	price_init(p);
	usage_init(u);
	for (enum usage_class c = 0; c < USAGE_COUNT; c++) {
		p->pusd[c] = any(MONEY_PUSD_MAX);
		if (any(1))
			usage_set(u, c, any(USAGE_MAX));
	}
	p->request_nusd = any(1) ? any(MONEY_NUSD_DOLLAR) : 0;
	if (any(1))
		p->mult_ppm = 1 + any(PRICE_PPM_MAX - 1);
	p->free = any(9) == 0;
}

/* Whatever price_cost() comes to count must stand in a line. */
static void test_lines_make_the_charge(void **state)
{
	for (int i = 0; i < 20000; i++) {
		money_wide sum = 0, ppm = PRICE_PPM;
		struct price p;
		struct usage u;
		struct bill b;

		fill(&p, &u);
		bill_make(&p, &u, &b);
		for (size_t k = 0; k < b.n; k++) {
			assert_true(b.lines[k].amount_pusd == b.lines[k].n * b.lines[k].price_pusd);
			sum += b.lines[k].amount_pusd;
		}
		assert_true(sum == b.sum_pusd);
		assert_true(b.scaled_ausd == sum * p.mult_ppm);
		assert_int_equal(b.total_nusd, price_cost(&p, &u));
		/* One rounding, upward, at the end. */
		if (b.total_nusd < MONEY_NUSD_MAX) {
			money_wide total = (money_wide)b.total_nusd * MONEY_PUSD_NUSD * ppm;

			assert_true(total >= b.scaled_ausd);
			assert_true(total - b.scaled_ausd < MONEY_PUSD_NUSD * ppm);
		}
	}
	(void)state;
}

static void test_a_known_bill(void **state)
{
	struct price p;
	struct usage u;
	struct bill b;

	price_init(&p);
	p.pusd[USAGE_INPUT] = 1750000;
	p.pusd[USAGE_CACHE_READ] = 175000;
	p.pusd[USAGE_OUTPUT] = 14000000;
	p.request_nusd = 1000;
	p.mult_ppm = 1100000;
	assert_int_equal(price_complete(&p), ERRC_OK);
	usage_init(&u);
	usage_set(&u, USAGE_INPUT, 20);
	usage_set(&u, USAGE_CACHE_READ, 0);
	usage_set(&u, USAGE_OUTPUT, 10);
	usage_set(&u, USAGE_REASONING, 4);
	bill_make(&p, &u, &b);
	assert_int_equal(b.n, 5);
	assert_string_equal(b.lines[0].unit, "input");
	assert_int_equal(b.lines[0].n, 20);
	assert_string_equal(b.lines[1].unit, "cache_read");
	assert_string_equal(b.lines[2].unit, "output");
	assert_int_equal(b.lines[2].n, 6);
	assert_string_equal(b.lines[3].unit, "reasoning");
	assert_int_equal(b.lines[3].n, 4);
	assert_string_equal(b.lines[4].unit, "request");
	assert_true(b.sum_pusd == 35000000 + 140000000 + 1000000);
	assert_int_equal(b.total_nusd, 193600);
	(void)state;
}

static void test_printing_is_exact(void **state)
{
	static const struct {
		money_wide v;
		unsigned scale;
		const char *text;
	} rows[] = {
		{0, BILL_PUSD, "0.0"},
		{1, BILL_PUSD, "0.000000000001"},
		{1750000, BILL_PUSD, "0.00000175"},
		{MONEY_PUSD_MAX, BILL_PUSD, "1.0"},
		{(money_wide)USAGE_MAX * MONEY_PUSD_MAX, BILL_PUSD, "1000000000000.0"},
		{193600000 * (money_wide)1000001, BILL_AUSD, "0.0001936001936"},
		{(money_wide)USAGE_MAX * MONEY_PUSD_MAX * 10 * PRICE_PPM_MAX + 7, BILL_AUSD,
		 "10000000000000000.000000000000000007"},
	};
	char text[BILL_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = bill_print(rows[i].v, rows[i].scale, text);

		assert_string_equal(text, rows[i].text);
		assert_int_equal(n, strlen(text));
	}
	(void)state;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_make_the_charge),
		cmocka_unit_test(test_a_known_bill),
		cmocka_unit_test(test_printing_is_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
