/* The arithmetic of money against a slow reference of arbitrary precision: a million random cases, or as many as two seconds
 * of computing allow. AIGW_TEST_SEED and AIGW_TEST_CASES set other ones; a failure names the case, which the seed brings back. */
#include "tariff.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "clock.h"
#include "text.h"

#define CASES_DEFAULT 1000000
#define LASTS_NS      (2 * INT64_C(1000000000))
#define DAY           INT64_C(86400)
#define LIMBS         12

static struct text_rng rng;
static uint64_t seed;
static long case_no;

#define HOLDS(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			print_error("case %ld of AIGW_TEST_SEED=%" PRIu64 ": %s\n", case_no, seed, \
				    #x);                                                           \
			fail();                                                                    \
		}                                                                                  \
	} while (0)

/* ---- the reference ---- */

/* Lowest limb first, 32 bits each: 384 bits, far more than any sum here has. */
struct big {
	uint32_t v[LIMBS];
};

static void big_add(struct big *b, const struct big *x)
{
	uint64_t carry = 0;

	for (int i = 0; i < LIMBS; i++) {
		carry += (uint64_t)b->v[i] + x->v[i];
		b->v[i] = (uint32_t)carry;
		carry >>= 32;
	}
	require(carry == 0);
}

static void big_mul32(struct big *b, uint32_t n)
{
	uint64_t carry = 0;

	for (int i = 0; i < LIMBS; i++) {
		carry += (uint64_t)b->v[i] * n;
		b->v[i] = (uint32_t)carry;
		carry >>= 32;
	}
	require(carry == 0);
}

static void big_shift(struct big *b)
{
	require(b->v[LIMBS - 1] == 0);
	memmove(&b->v[1], &b->v[0], (LIMBS - 1) * sizeof b->v[0]);
	b->v[0] = 0;
}

/* b * n, by school arithmetic in two digits. */
static void big_mul(struct big *b, uint64_t n)
{
	struct big high = *b;

	big_mul32(&high, (uint32_t)(n >> 32));
	big_shift(&high);
	big_mul32(b, (uint32_t)n);
	big_add(b, &high);
}

static struct big big_of(uint64_t n)
{
	return (struct big){{(uint32_t)n, (uint32_t)(n >> 32)}};
}

static void big_add_product(struct big *sum, int64_t a, int64_t b)
{
	struct big x = big_of((uint64_t)a);

	big_mul(&x, (uint64_t)b);
	big_add(sum, &x);
}

/* Divides; true when something was left over. */
static bool big_div(struct big *b, uint32_t by)
{
	uint64_t rest = 0;

	for (int i = LIMBS - 1; i >= 0; i--) {
		rest = rest << 32 | b->v[i];
		b->v[i] = (uint32_t)(rest / by);
		rest %= by;
	}
	return rest != 0;
}

/* Pico-dollars times the multiplier in millionths, to nano-dollars: once, upward, at most MONEY_NUSD_MAX. */
static int64_t slow_end(struct big sum, int64_t mult_ppm)
{
	uint64_t v;
	bool rest;

	big_mul(&sum, (uint64_t)mult_ppm);
	rest = big_div(&sum, 1000000000);
	for (int i = 2; i < LIMBS; i++)
		if (sum.v[i])
			return MONEY_NUSD_MAX;
	v = (uint64_t)sum.v[1] << 32 | sum.v[0];
	return v >= (uint64_t)MONEY_NUSD_MAX ? MONEY_NUSD_MAX : (int64_t)(v + rest);
}

static int64_t slow_cost(const struct price *p, const struct usage *u)
{
	int64_t thought = usage_get(u, USAGE_REASONING), written = usage_get(u, USAGE_OUTPUT);
	struct big sum = {{0}};

	if (p->free)
		return 0;
	thought = thought > written ? written : thought;
	big_add_product(&sum, p->request_nusd, 1000);
	for (enum usage_class c = 0; c < USAGE_COUNT; c++) {
		if (c == USAGE_OUTPUT)
			big_add_product(&sum, written - thought, p->pusd[c]);
		else
			big_add_product(&sum, c == USAGE_REASONING ? thought : usage_get(u, c),
					p->pusd[c]);
	}
	return slow_end(sum, p->mult_ppm);
}

static int64_t slow_hold(const struct price *p, const struct price_bound *b)
{
	int64_t in = 0, out = 0;
	struct big sum = {{0}};

	if (p->free)
		return 0;
	for (enum usage_class c = 0; c < USAGE_COUNT; c++) {
		if (usage_side_of(c) == USAGE_SIDE_IN)
			in = p->pusd[c] > in ? p->pusd[c] : in;
		else if (usage_side_of(c) != USAGE_SIDE_EACH)
			out = p->pusd[c] > out ? p->pusd[c] : out;
	}
	big_add_product(&sum, b->images, p->pusd[USAGE_IMAGE]);
	big_add_product(&sum, b->searches, p->pusd[USAGE_WEB_SEARCH]);
	big_add_product(&sum, b->input, in);
	big_add_product(&sum, b->output, out);
	for (int64_t i = 0; i < b->requests; i++)
		big_add_product(&sum, p->request_nusd, 1000);
	return slow_end(sum, p->mult_ppm);
}

/* ---- random cases ---- */

/* Of any size below `max`: as often small as large, now and then at an end. */
static int64_t any(int64_t max)
{
	uint64_t r = text_rng_next(&rng);

	if (r % 16 == 0)
		return r & 16 ? max - 1 : 0;
	return (int64_t)((text_rng_next(&rng) >> (r >> 8) % 63) % (uint64_t)max);
}

static bool one_in(int64_t n)
{
	return text_rng_next(&rng) % (uint64_t)n == 0;
}

static struct price any_price(void)
{
	struct price p;

	price_init(&p);
	p.pusd[USAGE_INPUT] = 1 + any(MONEY_PUSD_MAX);
	p.pusd[USAGE_OUTPUT] = any(MONEY_PUSD_MAX + 1);
	for (enum usage_class c = 0; c < USAGE_COUNT; c++)
		if (p.pusd[c] == PRICE_UNSET && one_in(3))
			p.pusd[c] = any(MONEY_PUSD_MAX + 1);
	if (one_in(3))
		p.request_nusd = any(MONEY_NUSD_MAX);
	if (one_in(3))
		p.mult_ppm = 1 + any(PRICE_PPM_MAX);
	p.free = one_in(50);
	HOLDS(price_complete(&p) == ERRC_OK);
	return p;
}

static struct usage any_usage(void)
{
	int64_t max = one_in(3) ? USAGE_MAX + 1 : 200000;
	struct usage u;

	usage_init(&u);
	for (enum usage_class c = 0; c < USAGE_COUNT; c++)
		if (one_in(2))
			usage_set(&u, c, any(max));
	u.tier = (enum usage_tier)any(USAGE_TIER_COUNT);
	return u;
}

/* ---- what must hold ---- */

static void check_sums(const struct price *p, const struct usage *u)
{
	struct price_bound b = {usage_input_total(u) + (one_in(2) ? any(1000) : 0),
				usage_output_total(u) + (one_in(2) ? any(1000) : 0), 1 + any(3),
				usage_get(u, USAGE_IMAGE) + (one_in(2) ? any(3) : 0),
				usage_get(u, USAGE_WEB_SEARCH) + (one_in(2) ? any(3) : 0)};
	int64_t cost = price_cost(p, u), hold = price_hold(p, &b);

	HOLDS(cost == slow_cost(p, u));
	HOLDS(hold == slow_hold(p, &b));
	HOLDS(cost >= 0 && cost <= hold && hold <= MONEY_NUSD_MAX);
}

/* As many tokens as the money pays, and not one more. */
static void check_affordable(const struct price *p)
{
	int64_t max = any(1000000), avail = any(one_in(2) ? MONEY_NUSD_MAX + 1 : MONEY_NUSD_DOLLAR);
	struct price_bound b = {any(200000), 0, 1 + any(3), any(100), any(100)};
	int64_t n = price_affordable(p, &b, avail, max);

	HOLDS(n >= -1 && n <= max);
	b.output = n;
	HOLDS(n < 0 || slow_hold(p, &b) <= avail);
	b.output = n + 1;
	HOLDS(n == max || slow_hold(p, &b) > avail);
}

static void check_encoding(const struct price *p)
{
	uint8_t bytes[PRICE_BYTES_MAX];
	size_t n = price_encode(p, bytes);
	struct price back;

	HOLDS(n <= sizeof bytes && price_size(slice_of(bytes, n)) == n);
	HOLDS(price_decode(slice_of(bytes, n), &back) == ERRC_OK && price_eq(p, &back));
}

static bool slow_counts(const struct price_when *w, int64_t s, int64_t input, int64_t tier)
{
	int64_t now = s % DAY, from = w->minute_from * 60, until = w->minute_until * 60;
	bool hours = from == until;

	for (int64_t day = -1; day <= 0 && !hours; day++) {
		int64_t end = until > from ? until : until + DAY;

		hours = now >= from + day * DAY && now < end + day * DAY;
	}
	return hours && s >= w->from_s && (!w->until_s || s < w->until_s) &&
	       input > (w->prompt_above ? w->prompt_above : -1) &&
	       (!w->prompt_upto || input <= w->prompt_upto) &&
	       (!w->tier || w->tier == (tier ? tier : USAGE_TIER_STANDARD));
}

static void any_when(struct price_when *w)
{
	if (one_in(2))
		w->prompt_above = 1 + any(300);
	if (one_in(4))
		w->from_s = 1 + any(3 * DAY);
	if (one_in(4))
		w->until_s = w->from_s + 1 + any(2 * DAY);
	if (one_in(2)) {
		w->minute_from = any(1440);
		w->minute_until = any(1440);
	}
	if (one_in(4))
		w->tier = USAGE_TIER_FLEX + any(2);
}

/* What is paid at any moment for any input is the first rule that matches, and what is held before pays it. */
static void check_tariff(void)
{
	const struct price *list[TARIFF_ROWS], *tiers[TARIFF_TIERS];
	size_t from[TARIFF_ROWS], n = 1 + (size_t)any(4), rule, tiers_n;
	struct price rules[5], rows[TARIFF_ROWS];
	struct tariff t = {.rows = list};
	struct usage u = any_usage();
	int64_t s = any(6 * DAY), input = usage_input_total(&u), hold = 0;

	for (size_t i = 0; i < n; i++) {
		rules[i] = any_price();
		if (i + 1 < n)
			any_when(&rules[i].when);
	}
	if (tariff_cut(rules, n, rows, from, &t.n) == ERRC_LIMIT)
		return;
	for (size_t i = 0; i < t.n; i++) {
		list[i] = &rows[i];
		check_encoding(&rows[i]);
	}
	for (rule = 0; !slow_counts(&rules[rule].when, s, input, u.tier); rule++)
		HOLDS(rule + 1 < n);
	tiers_n = tariff_tiers(&t, s, tiers);
	for (size_t i = 0; i < tiers_n; i++) {
		struct price_bound b = {input, usage_output_total(&u), 1,
					usage_get(&u, USAGE_IMAGE), usage_get(&u, USAGE_WEB_SEARCH)};
		int64_t nusd = price_hold(tiers[i], &b);

		hold = nusd > hold ? nusd : hold;
	}
	HOLDS(price_cost(tariff_pick(&t, s, input, u.tier), &u) == slow_cost(&rules[rule], &u));
	HOLDS(slow_cost(&rules[rule], &u) <= hold);
}

static int64_t computed_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static uint64_t setting(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);
	uint64_t v;

	return text && text_u64(slice_str(text), &v) ? v : fallback;
}

static void test_random_cases(void **state)
{
	uint64_t asked = setting("AIGW_TEST_CASES", 0);
	long cases = asked ? (long)asked : CASES_DEFAULT;
	int64_t end_ns = computed_ns() + LASTS_NS;

	seed = setting("AIGW_TEST_SEED", (uint64_t)clock_wall_ns());
	rng = (struct text_rng){{seed, seed ^ UINT64_C(0x9e3779b97f4a7c15)}};
	for (case_no = 0; case_no < cases; case_no++) {
		struct price p = any_price();
		struct usage u = any_usage();

		check_sums(&p, &u);
		if (case_no % 8 == 0)
			check_affordable(&p);
		if (case_no % 16 == 0)
			check_tariff();
		if (!asked && case_no % 1024 == 0 && computed_ns() > end_ns)
			break;
	}
	print_message("# %ld cases, AIGW_TEST_SEED=%" PRIu64 "\n", case_no, seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_cases)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
