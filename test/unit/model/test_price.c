#include "price.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "text.h"

static struct text_rng rng = {{5, 6}};

/* A random number below `max`, of any size up to it. */
static int64_t any(int64_t max)
{
	uint64_t v = text_rng_next(&rng) >> text_rng_next(&rng) % 63;

	return (int64_t)(v % (uint64_t)max);
}

/* A slow reference: sums in decimal digits, by school arithmetic. */
struct big {
	unsigned char d[80]; /* lowest first */
};

static void big_add(struct big *b, uint64_t times, uint64_t n)
{
	/* n * times, added digit by digit. */
	for (int at = 0; times; times /= 10, at++) {
		uint64_t carry = 0, rest = n, digit = times % 10;

		for (int i = at; i < 80 && (rest || carry); i++, rest /= 10) {
			carry += b->d[i] + rest % 10 * digit;
			b->d[i] = (unsigned char)(carry % 10);
			carry /= 10;
		}
	}
}

static void big_mul(struct big *b, uint64_t n)
{
	struct big r = {{0}};

	for (int i = 0; i < 60; i++) {
		uint64_t v = n * b->d[i], carry = 0;

		for (int k = i; k < 80 && (v || carry); k++, v /= 10) {
			carry += r.d[k] + v % 10;
			r.d[k] = (unsigned char)(carry % 10);
			carry /= 10;
		}
	}
	*b = r;
}

/* Without the last `places` digits, rounded up. */
static int64_t big_round(const struct big *b, int places)
{
	bool rest = false;
	int64_t v = 0;

	for (int i = 0; i < places; i++)
		rest |= b->d[i] != 0;
	for (int i = 79; i >= places; i--)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, b->d[i], &v) ||
		    v > MONEY_NUSD_MAX)
			return MONEY_NUSD_MAX;
	return MIN_OF(v + rest, MONEY_NUSD_MAX);
}

static int64_t slow_cost(const struct price *p, const struct usage *u)
{
	struct big sum = {{0}};

	for (enum usage_class c = 0; c < USAGE_COUNT; c++) {
		int64_t n = c == USAGE_REASONING ? usage_reasoning(u) : usage_get(u, c);

		if (c == USAGE_OUTPUT)
			n -= usage_reasoning(u);
		big_add(&sum, (uint64_t)n, (uint64_t)p->pusd[c]);
	}
	big_add(&sum, 1000, (uint64_t)p->request_nusd);
	big_mul(&sum, (uint64_t)p->mult_ppm);
	return big_round(&sum, 9);
}

static struct price any_price(void)
{
	struct price p;

	price_init(&p);
	p.pusd[USAGE_INPUT] = 1 + any(MONEY_PUSD_MAX);
	p.pusd[USAGE_OUTPUT] = any(MONEY_PUSD_MAX + 1);
	for (enum usage_class c = 0; c < USAGE_COUNT; c++)
		if (any(3) == 0)
			p.pusd[c] = any(MONEY_PUSD_MAX + 1);
	if (any(2))
		p.request_nusd = any(MONEY_NUSD_MAX);
	if (any(2))
		p.mult_ppm = 1 + any(PRICE_PPM_MAX);
	if (!p.pusd[USAGE_INPUT])
		p.pusd[USAGE_INPUT] = 1;
	assert_int_equal(price_complete(&p), ERRC_OK);
	return p;
}

static struct usage any_usage(void)
{
	int64_t max = any(2) ? 200000 : USAGE_MAX;
	struct usage u;

	usage_init(&u);
	for (enum usage_class c = 0; c < USAGE_COUNT; c++)
		if (any(2))
			usage_set(&u, c, any(max));
	return u;
}

/* The cost is that of the reference, and every bound that holds the usage gives a hold that pays it. */
static void test_properties(void **state)
{
	for (int round = 0; round < 200000; round++) {
		struct price p = any_price();
		struct usage u = any_usage();
		struct price_bound b = {usage_input_total(&u) + any(3) * any(1000),
					usage_output_total(&u) + any(3) * any(1000), 1 + any(3),
					usage_get(&u, USAGE_IMAGE) + any(3),
					usage_get(&u, USAGE_WEB_SEARCH) + any(3)};
		int64_t cost = price_cost(&p, &u), hold = price_hold(&p, &b);

		if (round % 8 == 0)
			assert_true(cost == slow_cost(&p, &u));
		assert_true(cost >= 0 && cost <= hold && hold <= MONEY_NUSD_MAX);
	}
}

static void test_affordable(void **state)
{
	for (int round = 0; round < 20000; round++) {
		struct price p = any_price();
		struct price_bound b = {any(200000), any(1000000), 1, any(100), any(100)};
		int64_t avail = any(2) ? any(MONEY_NUSD_DOLLAR) : any(MONEY_NUSD_MAX);
		int64_t n = price_affordable(&p, &b, avail, b.output);
		struct price_bound at = b, more = b;

		assert_in_range(n + 1, 0, b.output + 1);
		at.output = n;
		more.output = n + 1;
		if (n >= 0)
			assert_true(price_hold(&p, &at) <= avail);
		if (n < b.output)
			assert_true(price_hold(&p, &more) > avail);
	}
}

/* The example of the contract: 1.75 in, 0.175 cached, 14 out, dollars a million. */
static void test_known_sums(void **state)
{
	struct price p;
	struct usage u;

	price_init(&p);
	p.pusd[USAGE_INPUT] = 1750000;
	p.pusd[USAGE_CACHE_READ] = 175000;
	p.pusd[USAGE_OUTPUT] = 14000000;
	assert_int_equal(price_complete(&p), ERRC_OK);
	assert_int_equal(p.pusd[USAGE_CACHE_WRITE_1H], 1750000);
	assert_int_equal(p.pusd[USAGE_REASONING], 14000000);
	usage_init(&u);
	assert_int_equal(price_cost(&p, &u), 0);
	usage_set(&u, USAGE_INPUT, 1);
	assert_int_equal(price_cost(&p, &u), 1750);
	usage_set(&u, USAGE_CACHE_READ, 3);
	usage_set(&u, USAGE_OUTPUT, 2);
	usage_set(&u, USAGE_REASONING, 1);
	assert_int_equal(price_cost(&p, &u), 1750 + 525 + 28000);
	p.pusd[USAGE_CACHE_READ] = 333;
	assert_int_equal(price_cost(&p, &u), 1750 + 1 + 28000);
	p.pusd[USAGE_REASONING] = 20000000;
	assert_int_equal(price_cost(&p, &u), 1750 + 1 + 34000);
	assert_int_equal(price_dearest(&p, USAGE_SIDE_OUT), 20000000);
	assert_int_equal(price_hold(&p, &(struct price_bound){4, 2, 1, 0, 0}), 7000 + 40000);
	p.mult_ppm = 2500000;
	p.request_nusd = 10;
	assert_int_equal(price_hold(&p, &(struct price_bound){4, 2, 2, 0, 0}),
			 (7000 + 40000 + 20) * 5 / 2);
	p.free = true;
	assert_int_equal(price_cost(&p, &u), 0);
	assert_int_equal(price_hold(&p, &(struct price_bound){4, 2, 2, 0, 0}), 0);
}

static void test_complete(void **state)
{
	struct price p;

	price_init(&p);
	assert_int_equal(price_complete(&p), ERRC_INVAL);
	p.pusd[USAGE_INPUT] = 5;
	assert_int_equal(price_complete(&p), ERRC_INVAL);
	p.pusd[USAGE_OUTPUT] = 0;
	assert_int_equal(price_complete(&p), ERRC_OK);
	price_init(&p);
	p.pusd[USAGE_INPUT] = p.pusd[USAGE_OUTPUT] = 0;
	assert_int_equal(price_complete(&p), ERRC_RANGE);
	p.free = true;
	assert_int_equal(price_complete(&p), ERRC_OK);
	price_init(&p);
	p.request_nusd = 10000000;
	assert_int_equal(price_complete(&p), ERRC_OK);
	assert_int_equal(p.pusd[USAGE_OUTPUT], 0);
	p.pusd[USAGE_OUTPUT] = MONEY_PUSD_MAX + 1;
	assert_int_equal(price_complete(&p), ERRC_RANGE);
	price_init(&p);
	p.pusd[USAGE_INPUT] = p.pusd[USAGE_OUTPUT] = 1;
	p.mult_ppm = 0;
	assert_int_equal(price_complete(&p), ERRC_RANGE);
}

static void test_encoding(void **state)
{
	uint8_t bytes[PRICE_BYTES_MAX], h1[DIGEST_SHA256], h2[DIGEST_SHA256];
	struct price_memo memo = {0};
	struct price p, q;
	size_t len;

	for (int round = 0; round < 1000; round++) {
		p = any_price();
		p.free = any(2);
		len = price_encode(&p, bytes);
		assert_int_equal(price_size(slice_of(bytes, sizeof bytes)), len);
		assert_int_equal(price_decode(slice_of(bytes, len), &q), ERRC_OK);
		assert_true(price_eq(&p, &q));
		price_hash(&p, h1);
		price_hash(&q, h2);
		assert_memory_equal(h1, h2, sizeof h1);
		q.request_nusd ^= 1;
		price_hash(&q, h2);
		assert_memory_not_equal(h1, h2, sizeof h1);
		for (int again = 0; again < 2; again++) { /* both have the same place in the memo */
			price_hash_memo(&memo, &p, bytes);
			assert_memory_equal(h1, bytes, sizeof h1);
			price_hash_memo(&memo, again ? &p : &q, bytes);
			assert_memory_equal(again ? h1 : h2, bytes, sizeof h1);
		}
	}
	len = price_encode(&p, bytes);
	for (size_t n = 0; n < len; n++)
		assert_int_equal(price_decode(slice_of(bytes, n), &q), ERRC_CORRUPT);
	bytes[3] = USAGE_COUNT + 1;
	assert_int_equal(price_decode(slice_of(bytes, len), &q), ERRC_VERSION);
	bytes[3] = USAGE_COUNT;
	bytes[4] = 0x80;
	assert_int_equal(price_decode(slice_of(bytes, len), &q), ERRC_CORRUPT);
	bytes[0] = 9;
	assert_int_equal(price_decode(slice_of(bytes, len), &q), ERRC_VERSION);
}

/* A row that was written with fewer classes gets the rest by the fallbacks. */
static void test_older_row(void **state)
{
	uint8_t bytes[4 + 8 * 4] = {4, 0, 0, 2};
	struct price p;

	bytes[4 + 7] = 3;         /* input */
	bytes[4 + 8 + 7] = 2;     /* cache_read */
	bytes[4 + 3 * 8 + 7] = 1; /* multiplier */
	assert_int_equal(price_decode(slice_of(bytes, sizeof bytes), &p), ERRC_OK);
	assert_int_equal(p.pusd[USAGE_CACHE_READ], 2);
	assert_int_equal(p.pusd[USAGE_INPUT_AUDIO], 3);
	assert_int_equal(p.pusd[USAGE_REASONING], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_properties), cmocka_unit_test(test_affordable),
		cmocka_unit_test(test_known_sums), cmocka_unit_test(test_complete),
		cmocka_unit_test(test_encoding),   cmocka_unit_test(test_older_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
