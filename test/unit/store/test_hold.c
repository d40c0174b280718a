#include "rig.h"

#include "hold.h"
#include "text.h"

/* What every key may use. */
static const bool all[LIMIT_CANDIDATES] = {true, true, true, true};

static struct price price_of(int64_t in, int64_t out)
{
	struct price p;

	price_init(&p);
	p.pusd[USAGE_INPUT] = in;
	p.pusd[USAGE_OUTPUT] = out;
	assert_int_equal(price_complete(&p), ERRC_OK);
	return p;
}

static struct hold_offer decide(const struct hold_candidate *c, size_t n, int64_t cap, bool clamp,
				int64_t available, int64_t pending)
{
	struct hold_ask ask = {.candidates = c,
			       .n = n,
			       .cap = cap,
			       .clamp = clamp,
			       .choices = 1,
			       .requests = 1,
			       .uncapped_share_ppm = 125000};
	struct hold_purse purse = {available, pending};
	struct hold_offer o;

	hold_decide(&ask, all, &purse, &o);
	return o;
}

static void test_given_cap(void **state)
{
	struct price p = price_of(1000000, 2000000);
	struct hold_candidate c = {
		.price = {&p}, .tiers = 1, .input_bound = 100, .max_output = 1000, .min_output = 50};
	struct hold_offer o = decide(&c, 1, 10, false, 120000, 0);

	(void)state;
	assert_true(o.any);
	assert_int_equal(o.cap[0], 10);
	assert_int_equal(o.hold_nusd, 120000);
	/* A nano-dollar less: refused, with what would fit. */
	o = decide(&c, 1, 10, false, 119999, 0);
	assert_false(o.any || o.fits_later);
	assert_int_equal(o.affordable_tokens, 9);
	assert_int_equal(o.needed_nusd, 120000);
	o = decide(&c, 1, 10, false, 119999, 1);
	assert_true(!o.any && o.fits_later);
	/* Never changed, also above the model's own. */
	o = decide(&c, 1, 5000, false, HOLD_AMPLE, 0);
	assert_int_equal(o.cap[0], 5000);
	/* Lowered when that is asked, down to min_output. */
	o = decide(&c, 1, 500, true, 100000 + 60 * 2000, 0);
	assert_int_equal(o.cap[0], 60);
	o = decide(&c, 1, 500, true, 100000 + 49 * 2000, 0);
	assert_false(o.any);
	o = decide(&c, 1, 40, true, 100000 + 49 * 2000, 0);
	assert_int_equal(o.cap[0], 40);
}

static void test_no_cap(void **state)
{
	struct price p = price_of(1000000, 2000000);
	struct hold_candidate c = {
		.price = {&p}, .tiers = 1, .input_bound = 100, .max_output = 1000, .min_output = 50};
	struct hold_offer o = decide(&c, 1, 0, false, HOLD_AMPLE, 0);

	(void)state;
	assert_int_equal(o.cap[0], 1000);
	o = decide(&c, 1, 0, false, 8 * 1000 * 2000, 0);
	assert_int_equal(o.cap[0], 1000);
	o = decide(&c, 1, 0, false, 8 * 400 * 2000, 0);
	assert_int_equal(o.cap[0], 400);
	o = decide(&c, 1, 0, false, 8 * 10 * 2000 + 40000, 0); /* an eighth pays 12 */
	assert_int_equal(o.cap[0], 50);
	o = decide(&c, 1, 0, false, 100000 + 50 * 2000 - 1, 0);
	assert_false(o.any);
	/* The floor is never above the model's own. */
	c.max_output = 20;
	o = decide(&c, 1, 0, false, 100000 + 20 * 2000, 0);
	assert_int_equal(o.cap[0], 20);
	/* No output at all (embeddings). */
	c.max_output = 0;
	o = decide(&c, 1, 0, false, 100000, 0);
	assert_true(o.any);
	assert_int_equal(o.cap[0], 0);
	assert_int_equal(o.hold_nusd, 100000);
}

static void test_dearest_remaining(void **state)
{
	struct price cheap = price_of(1000000, 2000000), dear = price_of(5000000, 9000000), gratis;
	struct hold_candidate c[3] = {{.price = {&cheap},
				       .tiers = 1,
				       .input_bound = 100,
				       .max_output = 1000,
				       .min_output = 10},
				      {.price = {&dear},
				       .tiers = 1,
				       .input_bound = 100,
				       .max_output = 1000,
				       .min_output = 10}};
	struct hold_offer o;

	(void)state;
	price_init(&gratis);
	gratis.free = true;
	assert_int_equal(price_complete(&gratis), ERRC_OK);
	c[2] = c[0];
	c[2].price[0] = &gratis;
	o = decide(c, 2, 10, false, MONEY_NUSD_DOLLAR, 0);
	assert_true(o.kept[0] && o.kept[1]);
	assert_int_equal(o.hold_nusd, 590000);
	o = decide(c, 2, 10, false, 589999, 0);
	assert_true(o.kept[0] && !o.kept[1] && o.any);
	assert_int_equal(o.hold_nusd, 120000);
	o = decide(c, 3, 10, false, -5, 0);
	assert_true(!o.kept[0] && !o.kept[1] && o.kept[2]);
	assert_int_equal(o.hold_nusd, 0);
}

/* An input that takes nearly all: what the rest pays, where the share would be more. */
static void test_no_cap_behind_a_long_input(void **state)
{
	struct price p = price_of(1000000, 2000000);
	struct hold_candidate c = {
		.price = {&p}, .tiers = 1, .input_bound = 100, .max_output = 1000, .min_output = 1};
	struct hold_offer o = decide(&c, 1, 0, false, 110000, 0);

	(void)state;
	assert_true(o.any);
	assert_int_equal(o.cap[0], 5); /* an eighth of it pays 6 */
	assert_int_equal(o.hold_nusd, 110000);
}

/* Wherever it stands among them: whichever answers is paid. */
static void test_dearest_first(void **state)
{
	struct price dear = price_of(5000000, 9000000), cheap = price_of(1000000, 2000000), gratis;
	struct hold_candidate c[3] = {
		{.price = {&dear}, .tiers = 1, .input_bound = 100, .max_output = 1000},
		{.price = {&cheap}, .tiers = 1, .input_bound = 100, .max_output = 1000},
		{.price = {&gratis}, .tiers = 1, .input_bound = 100, .max_output = 1000}};
	struct hold_offer o;

	(void)state;
	price_init(&gratis);
	gratis.free = true;
	assert_int_equal(price_complete(&gratis), ERRC_OK);
	o = decide(c, 2, 10, false, 10000000, 0);
	assert_true(o.kept[0] && o.kept[1]);
	assert_int_equal(o.hold_nusd, 100 * 5000 + 10 * 9000);
	o = decide(c, 3, 10, false, 10000000, 0);
	assert_true(o.kept[0] && o.kept[1] && o.kept[2]);
	assert_int_equal(o.hold_nusd, 100 * 5000 + 10 * 9000);
}

/* Whatever the prompt turns out to be within its bound, the hold pays it: the dearest row that it can reach, no other. */
static void test_rows_by_the_size_of_the_prompt(void **state)
{
	struct price small = price_of(1000000, 2000000), large = price_of(3000000, 1000000);
	struct hold_candidate c = {.price = {&small, &large},
				   .tiers = 2,
				   .input_bound = 100,
				   .max_output = 1000,
				   .min_output = 50};
	struct hold_offer o;

	(void)state;
	small.when.prompt_upto = large.when.prompt_above = 60;
	o = decide(&c, 1, 10, false, HOLD_AMPLE, 0);
	assert_int_equal(o.hold_nusd, 100 * 3000 + 10 * 1000);
	/* The cheaper one for little input may be the dearer one in the end: 60 in and 400 out, against 100 and 400. */
	o = decide(&c, 1, 400, false, HOLD_AMPLE, 0);
	assert_int_equal(o.hold_nusd, 60 * 1000 + 400 * 2000);
	o = decide(&c, 1, 400, false, 60 * 1000 + 399 * 2000, 0);
	assert_false(o.any);
	assert_int_equal(o.affordable_tokens, 399);
	o = decide(&c, 1, 400, false, 100 * 3000 + 20 * 1000, 0);
	assert_int_equal(o.affordable_tokens, 20);
	/* A prompt that cannot reach the second row does not pay for it. */
	c.input_bound = 60;
	o = decide(&c, 1, 10, false, HOLD_AMPLE, 0);
	assert_int_equal(o.hold_nusd, 60 * 1000 + 10 * 2000);
	assert_ptr_equal(hold_price(&c, 0, USAGE_TIER_NONE), &small);
	assert_ptr_equal(hold_price(&c, 60, USAGE_TIER_NONE), &small);
	assert_ptr_equal(hold_price(&c, 61, USAGE_TIER_NONE), &large);
}

/* Against the definition: what is kept fits, one token more than affordable does not, choices multiply. */
/* Whatever is used within the bounds that were held, at whatever row that makes count: the hold pays it. */
static void test_the_hold_pays_every_row(void **state)
{
	struct text_rng rng = {{7, 11}};
	long charged = 0;

	(void)state;
	for (int i = 0; i < 50000; i++) {
		struct price rows[3];
		struct hold_candidate c = {.tiers = 1 + text_rng_next(&rng) % 3,
					   .input_bound = (int64_t)(text_rng_next(&rng) % 2000),
					   .max_output = 1 + (int64_t)(text_rng_next(&rng) % 500),
					   .min_output = 16};
		struct hold_ask ask = {.candidates = &c,
				       .n = 1,
				       .cap = (int64_t)(text_rng_next(&rng) % 3) * 100,
				       .beside = (int64_t)(text_rng_next(&rng) % 2) * 50,
				       .choices = 1 + (int64_t)(text_rng_next(&rng) % 2),
				       .requests = 1,
				       .images = (int64_t)(text_rng_next(&rng) % 4),
				       .searches = (int64_t)(text_rng_next(&rng) % 6),
				       .uncapped_share_ppm = 125000};
		struct hold_purse purse = {(int64_t)(text_rng_next(&rng) % 20000000), 0};
		int64_t edge = 0;
		struct hold_offer o;
		struct usage u;

		for (size_t k = 0; k < c.tiers; k++) {
			rows[k] = price_of((int64_t)(text_rng_next(&rng) % 5000000) + 1,
					   (int64_t)(text_rng_next(&rng) % 9000000) + 1);
			rows[k].request_nusd = (int64_t)(text_rng_next(&rng) % 1000000);
			rows[k].pusd[USAGE_IMAGE] = (int64_t)(text_rng_next(&rng) % 2 * 1000000000);
			rows[k].pusd[USAGE_WEB_SEARCH] =
				(int64_t)(text_rng_next(&rng) % 2 * 500000000);
			rows[k].when.prompt_above = edge;
			edge += 1 + (int64_t)(text_rng_next(&rng) % 1000);
			rows[k].when.prompt_upto = k + 1 < c.tiers ? edge : 0;
			c.price[k] = &rows[k];
		}
		hold_decide(&ask, all, &purse, &o);
		if (!o.any)
			continue;
		usage_init(&u);
		usage_set(&u, USAGE_INPUT,
			  (int64_t)(text_rng_next(&rng) % (uint64_t)(c.input_bound + 1)));
		usage_set(&u, USAGE_OUTPUT,
			  (int64_t)(text_rng_next(&rng) %
				    (uint64_t)((o.cap[0] + ask.beside) * ask.choices + 1)));
		usage_set(&u, USAGE_IMAGE, ask.images);
		usage_set(&u, USAGE_WEB_SEARCH, ask.searches);
		assert_true(price_cost(hold_price(&c, usage_input_total(&u), u.tier), &u) <=
			    o.hold_nusd);
		assert_true(o.hold_nusd <= purse.available_nusd);
		charged++;
	}
	assert_true(charged > 10000);
}

static void test_random(void **state)
{
	struct text_rng rng = {{42, 4711}};

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct price p = price_of((int64_t)(text_rng_next(&rng) % 5000000) + 1,
					  (int64_t)(text_rng_next(&rng) % 9000000) + 1);
		struct hold_candidate c = {.price = {&p},
					   .tiers = 1,
					   .input_bound = (int64_t)(text_rng_next(&rng) % 2000),
					   .max_output = (int64_t)(text_rng_next(&rng) % 5000) + 1,
					   .min_output = 64};
		struct hold_ask ask = {.candidates = &c,
				       .n = 1,
				       .choices = 1 + (int64_t)(text_rng_next(&rng) % 3),
				       .requests = 1 + (int64_t)(text_rng_next(&rng) % 2),
				       .beside = (int64_t)(text_rng_next(&rng) % 2) * 100,
				       .uncapped_share_ppm = 125000};
		struct hold_purse purse = {(int64_t)(text_rng_next(&rng) % 40000000), 0};
		struct price_bound b = {.input = c.input_bound, .requests = ask.requests};
		struct hold_offer o;

		p.request_nusd = (int64_t)(text_rng_next(&rng) % 1000000);
		if (i % 2)
			ask.cap = (int64_t)(text_rng_next(&rng) % 5000) + 1;
		hold_decide(&ask, all, &purse, &o);
		b.output = ((o.any ? o.cap[0] : o.affordable_tokens) + ask.beside) * ask.choices;
		if (o.any) {
			assert_int_equal(o.hold_nusd, price_hold(&p, &b));
			assert_true(o.hold_nusd <= purse.available_nusd);
			continue;
		}
		if (price_hold(&p, &b) > purse.available_nusd)
			assert_int_equal(o.affordable_tokens, 0);
		b.output += ask.choices;
		assert_true(price_hold(&p, &b) > purse.available_nusd);
	}
}

/* Held is what the tiers cost that it may run at; any of them where none was asked for. */
static void test_tiers_that_may_come(void **state)
{
	struct price rows[3];
	struct hold_candidate c = {.tiers = 3, .input_bound = 100};
	static const struct {
		unsigned tiers;
		int64_t nusd;
	} cases[] = {
		{0, 400000},
		{1u << USAGE_TIER_STANDARD, 200000},
		{1u << USAGE_TIER_STANDARD | 1u << USAGE_TIER_FLEX, 200000},
		{1u << USAGE_TIER_STANDARD | 1u << USAGE_TIER_PRIORITY, 400000},
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		static const int64_t pusd[] = {2000000, 1000000, 4000000};

		rows[i] = price_of(pusd[i], pusd[i]);
		rows[i].when.tier = USAGE_TIER_STANDARD + (int64_t)i;
		c.price[i] = &rows[i];
	}
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct hold_ask ask = {.candidates = &c,
				       .n = 1,
				       .choices = 1,
				       .requests = 1,
				       .tiers = cases[i].tiers};
		struct hold_purse purse = {HOLD_AMPLE, 0};
		struct hold_offer o;

		hold_decide(&ask, all, &purse, &o);
		assert_int_equal(o.hold_nusd, cases[i].nusd);
	}
	assert_ptr_equal(hold_price(&c, 1, USAGE_TIER_NONE), &rows[0]);
	assert_ptr_equal(hold_price(&c, 1, USAGE_TIER_PRIORITY), &rows[2]);
}

static void test_denied_candidates_are_not_there(void **state)
{
	static const bool second[LIMIT_CANDIDATES] = {false, true};
	struct price cheap = price_of(1000000, 2000000), dear = price_of(1000000, 20000000);
	struct hold_candidate c[] = {{.price = {&cheap},
				      .tiers = 1,
				      .input_bound = 100,
				      .max_output = 1000,
				      .min_output = 50},
				     {.price = {&dear},
				      .tiers = 1,
				      .input_bound = 100,
				      .max_output = 1000,
				      .min_output = 50}};
	struct hold_ask ask = {.candidates = c,
			       .n = 2,
			       .cap = 10,
			       .choices = 1,
			       .requests = 1,
			       .uncapped_share_ppm = 125000};
	struct hold_purse purse = {300000, 0};
	struct hold_offer o;

	(void)state;
	hold_decide(&ask, second, &purse, &o);
	assert_true(o.any && !o.kept[0] && o.kept[1]);
	assert_int_equal(o.hold_nusd, 300000);
	/* What is denied covers nothing and affords nothing. */
	purse.available_nusd = 299999;
	hold_decide(&ask, second, &purse, &o);
	assert_false(o.any);
	assert_int_equal(o.affordable_tokens, 9);
	assert_int_equal(o.needed_nusd, 300000);
	cheap.free = true;
	hold_decide(&ask, second, &purse, &o);
	assert_false(o.any);
}

/* What is predicted and rejected is charged as output beside the cap; so is reasoning, of providers whose cap does not bound it. */
static void expect_beside(int64_t asked, int64_t of_provider)
{
	struct price p = price_of(1000000, 2000000);
	struct hold_candidate c = {.price = {&p},
				   .tiers = 1,
				   .input_bound = 100,
				   .max_output = 1000,
				   .beside = of_provider,
				   .min_output = 50};
	struct hold_ask ask = {.candidates = &c,
			       .n = 1,
			       .cap = 10,
			       .beside = asked,
			       .choices = 1,
			       .requests = 1,
			       .uncapped_share_ppm = 125000};
	struct hold_purse purse = {180000, 0};
	struct hold_offer o;

	hold_decide(&ask, all, &purse, &o);
	assert_true(o.any);
	assert_int_equal(o.cap[0], 10);
	assert_int_equal(o.hold_nusd, 180000);
	purse.available_nusd--;
	hold_decide(&ask, all, &purse, &o);
	assert_false(o.any);
	assert_int_equal(o.affordable_tokens, 9);
	/* Lowered to what is paid for beside it; each choice has its own. */
	ask.cap = 900;
	ask.clamp = true;
	ask.choices = 2;
	purse.available_nusd = 100000 + 2 * (30 + 77) * 2000;
	hold_decide(&ask, all, &purse, &o);
	assert_true(o.any);
	assert_int_equal(o.cap[0], 77);
	assert_int_equal(o.hold_nusd, purse.available_nusd);
	/* Not given: at least the least, and all of it held. */
	ask.cap = 0;
	purse.available_nusd = 100000 + 2 * (30 + 50) * 2000;
	hold_decide(&ask, all, &purse, &o);
	assert_true(o.any);
	assert_int_equal(o.cap[0], 50);
	purse.available_nusd--;
	hold_decide(&ask, all, &purse, &o);
	assert_false(o.any);
}

static void test_output_beside_the_cap(void **state)
{
	(void)state;
	expect_beside(30, 0);
	expect_beside(0, 30);
	expect_beside(10, 20);
}

static void test_charged(void **state)
{
	(void)state;
	assert_false(hold_is_charged(&(struct hold_outcome){.provider_fault = true}));
	assert_false(hold_is_charged(&(struct hold_outcome){0}));
	assert_false(
		hold_is_charged(&(struct hold_outcome){.content = true, .provider_fault = true}));
	assert_true(hold_is_charged(&(struct hold_outcome){.content = true}));
	assert_true(hold_is_charged(&(struct hold_outcome){.finish = true}));
	assert_true(
		hold_is_charged(&(struct hold_outcome){.reported = true, .provider_fault = true}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_given_cap),
		cmocka_unit_test(test_no_cap),
		cmocka_unit_test(test_dearest_remaining),
		cmocka_unit_test(test_dearest_first),
		cmocka_unit_test(test_no_cap_behind_a_long_input),
		cmocka_unit_test(test_rows_by_the_size_of_the_prompt),
		cmocka_unit_test(test_the_hold_pays_every_row),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_charged),
		cmocka_unit_test(test_output_beside_the_cap),
		cmocka_unit_test(test_tiers_that_may_come),
		cmocka_unit_test(test_denied_candidates_are_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
