/* route.c: order, weights, fallbacks, what is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "route.h"

#define MODELS 3

struct fixture {
	struct ptable t;
	struct ptable_provider providers[3];
	struct ptable_model models[MODELS];
	struct ptable_offer offers[6];
	const struct ptable_model *fallbacks[2];
	struct dialect_facts facts;
	struct text_rng rng;
	struct price gratis, priced;
	const struct price *gratis_rows[1], *priced_rows[1];
	struct tariff price, dear;
};

static void offer(struct fixture *f, size_t i, size_t provider, const char *upstream, int priority,
		  int weight)
{
	f->offers[i] = (struct ptable_offer){.id = i + 1,
					     .provider = &f->providers[provider],
					     .upstream = slice_str(upstream),
					     .priority = priority,
					     .weight = weight,
					     .price = &f->price,
					     .cost = &f->price,
					     .index = (uint32_t)i};
}

/* Models alpha (offers 0 to 3), beta (4), gamma (5); alpha falls back to beta and gamma. */
static void setup(struct fixture *f)
{
	static const char *const names[MODELS] = {"alpha", "beta", "gamma"};

	memset(f, 0, sizeof(*f));
	f->rng = (struct text_rng){{1, 2}};
	settings_defaults(&f->t.set);
	price_init(&f->gratis);
	f->gratis.free = true;
	assert_int_equal(price_complete(&f->gratis), ERRC_OK);
	price_init(&f->priced);
	f->priced.request_nusd = 1;
	assert_int_equal(price_complete(&f->priced), ERRC_OK);
	f->gratis_rows[0] = &f->gratis;
	f->priced_rows[0] = &f->priced;
	f->price = (struct tariff){f->gratis_rows, 1};
	f->dear = (struct tariff){f->priced_rows, 1};
	for (size_t i = 0; i < MODELS; i++)
		f->models[i] = (struct ptable_model){.name = slice_str(names[i]),
						     .context = 1000 * ((int64_t)i + 1),
						     .max_output = 100,
						     .price = &f->price,
						     .index = (uint32_t)i};
	f->providers[0].name = SLICE_LIT("p0");
	f->providers[1].name = SLICE_LIT("p1");
	f->providers[2].name = SLICE_LIT("p2");
	offer(f, 0, 0, "a0", 1, 3);
	offer(f, 1, 1, "a1", 1, 1);
	offer(f, 2, 2, "a2", 2, 1);
	offer(f, 3, 0, "a3", 3, 0);
	offer(f, 4, 1, "b", 1, 1);
	offer(f, 5, 2, "g", 1, 1);
	f->models[0].offers = &f->offers[0];
	f->models[0].offers_n = 4;
	f->models[1].offers = &f->offers[4];
	f->models[1].offers_n = 1;
	f->models[2].offers = &f->offers[5];
	f->models[2].offers_n = 1;
	f->fallbacks[0] = &f->models[1];
	f->fallbacks[1] = &f->models[2];
	f->models[0].fallbacks = f->fallbacks;
	f->models[0].fallbacks_n = 2;
	f->t.providers = f->providers;
	f->t.providers_n = 3;
	f->t.models = f->models;
	f->t.models_n = MODELS;
	f->t.offers = f->offers;
	f->t.offers_n = 6;
	f->facts.model = SLICE_LIT("alpha");
}

static enum errc build(struct fixture *f, bool alone, struct route *r, struct fault *fault)
{
	struct route_ask ask = {.facts = &f->facts, .alone = alone};

	return route_build(&f->t, &ask, &f->rng, r, fault);
}

static void test_priority_then_fallbacks(void **state)
{
	struct fixture f;
	struct route r;
	struct fault fault = {0};

	(void)state;
	setup(&f);
	assert_int_equal(build(&f, false, &r, &fault), ERRC_OK);
	assert_int_equal(r.n, 6);
	assert_ptr_equal(r.asked, &f.models[0]);
	assert_true(r.v[0].offer->priority == 1 && r.v[1].offer->priority == 1);
	assert_ptr_equal(r.v[2].offer, &f.offers[2]);
	assert_ptr_equal(r.v[3].offer, &f.offers[3]);
	assert_ptr_equal(r.v[4].offer, &f.offers[4]);
	assert_ptr_equal(r.v[5].offer, &f.offers[5]);
	assert_ptr_equal(r.v[5].model, &f.models[2]);
	assert_int_equal(build(&f, true, &r, &fault), ERRC_OK);
	assert_int_equal(r.n, 4);
}

/* Who sells no searches gets none, also where nothing is known of its abilities; what falls back to one that does is served. */
static void test_searches_are_sold(void **state)
{
	struct fixture f;
	struct route r;
	struct fault fault = {0};

	(void)state;
	setup(&f);
	f.facts.needs = PTABLE_IS_CHAT | PTABLE_SELLS_SEARCH;
	assert_int_equal(build(&f, false, &r, &fault), ERRC_NOTFOUND);
	assert_int_equal(fault.kind, FAULT_UNSUPPORTED_FIELD);
	assert_string_equal(fault.param, "web_search_options");
	for (uint32_t i = 0; i < 2; i++) {
		f.facts.needs = i ? PTABLE_SELLS_FLEX : PTABLE_SELLS_PRIORITY;
		fault = (struct fault){0};
		assert_int_equal(build(&f, false, &r, &fault), ERRC_NOTFOUND);
		assert_string_equal(fault.param, "service_tier");
		assert_non_null(strstr(fault_message(&fault), i ? "`flex`" : "`priority`"));
	}
	f.facts.needs = PTABLE_IS_CHAT | PTABLE_SELLS_SEARCH;
	f.models[1].can = PTABLE_SELLS_SEARCH;
	assert_int_equal(build(&f, false, &r, &fault), ERRC_OK);
	assert_int_equal(r.n, 1);
	assert_ptr_equal(r.v[0].model, &f.models[1]);
}

static void test_weights_decide_the_first(void **state)
{
	struct fixture f;
	struct route r;
	struct fault fault = {0};
	unsigned first = 0;

	(void)state;
	setup(&f);
	for (unsigned i = 0; i < 4000; i++) {
		assert_int_equal(build(&f, true, &r, &fault), ERRC_OK);
		first += r.v[0].offer == &f.offers[0];
	}
	assert_in_range(first, 2850, 3150); /* 3 of 4, five standard deviations */
}

static void test_unknown_model(void **state)
{
	struct fixture f;
	struct route r;
	struct fault fault = {0};

	(void)state;
	setup(&f);
	f.facts.model = SLICE_LIT("delta");
	assert_int_equal(build(&f, false, &r, &fault), ERRC_NOTFOUND);
	assert_int_equal(fault.kind, FAULT_MODEL_UNKNOWN);
	assert_string_equal(fault.param, "model");
}

static void test_abilities(void **state)
{
	struct fixture f;
	struct route r;
	struct fault fault = {0};

	(void)state;
	setup(&f);
	f.models[0].can = PTABLE_IS_CHAT | PTABLE_CAN_TOOLS;
	f.models[1].can = PTABLE_IS_CHAT | PTABLE_CAN_IMAGE_IN;
	f.facts.needs = PTABLE_IS_CHAT | PTABLE_CAN_IMAGE_IN;
	assert_int_equal(build(&f, false, &r, &fault), ERRC_OK);
	assert_int_equal(r.n, 2); /* beta can, of gamma nothing is known */
	assert_ptr_equal(r.v[0].offer, &f.offers[4]);
	assert_int_equal(build(&f, true, &r, &fault), ERRC_NOTFOUND);
	assert_int_equal(fault.kind, FAULT_UNSUPPORTED_FIELD);
	assert_non_null(strstr(fault.message, "images: its `modalities.input` has no `image`."));
	f.facts.needs = PTABLE_IS_CHAT | PTABLE_CAN_AUDIO_OUT;
	fault = (struct fault){0};
	assert_int_equal(build(&f, true, &r, &fault), ERRC_NOTFOUND);
	assert_int_equal(fault.kind, FAULT_UNSUPPORTED_FIELD);
	assert_string_equal(fault.param, "model");
	assert_non_null(strstr(fault.message, "its `modalities.output` has no `audio`."));
	/* Who has no such setting writes text; pictures are left to the provider. */
	f.facts.needs = PTABLE_IS_CHAT | PTABLE_CAN_IMAGE_OUT;
	assert_int_equal(build(&f, true, &r, &fault), ERRC_OK);
}

static void test_least_output(void **state)
{
	struct fixture f;
	struct route r;
	struct fault fault = {0};

	(void)state;
	setup(&f);
	f.models[1].can = PTABLE_CAN_REASONING;
	f.models[2].min_output = 7;
	assert_int_equal(build(&f, false, &r, &fault), ERRC_OK);
	assert_int_equal(r.v[0].min_output, 1024);
	assert_int_equal(r.v[4].min_output, 4096);
	assert_int_equal(r.v[5].min_output, 7);
	f.facts.thinking_budget = 9000;
	assert_int_equal(build(&f, false, &r, &fault), ERRC_OK);
	assert_int_equal(r.v[4].min_output, 9001);
}

/* Of a provider whose cap does not bound it, where there may be any. */
static void test_reasoning_beside_the_cap(void **state)
{
	struct fixture f;
	struct route r;
	struct fault fault = {0};

	(void)state;
	setup(&f);
	f.providers[1].reasoning_beside = 81920;
	f.models[1].can = PTABLE_CAN_REASONING;
	assert_int_equal(build(&f, false, &r, &fault), ERRC_OK);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(r.v[i].beside, 0);
	assert_int_equal(r.v[4].beside, 81920);
	assert_int_equal(r.v[4].min_output, 1024);
	/* Asked for; a budget of another field says nothing to such a provider. */
	f.facts.thinking = true;
	f.facts.thinking_budget = 9000;
	assert_int_equal(build(&f, false, &r, &fault), ERRC_OK);
	for (size_t i = 0; i < 4; i++) {
		bool is_beside = r.v[i].offer->provider == &f.providers[1];

		assert_int_equal(r.v[i].beside, is_beside ? 81920 : 0);
		assert_int_equal(r.v[i].min_output, is_beside ? 1024 : 9001);
	}
	f.facts.thinking_beside = 500;
	assert_int_equal(build(&f, false, &r, &fault), ERRC_OK);
	assert_int_equal(r.v[4].beside, 500);
	f.facts.thinking_beside = 90000;
	assert_int_equal(build(&f, false, &r, &fault), ERRC_OK);
	assert_int_equal(r.v[4].beside, 81920);
}

/* The fixture's table as a worker gets it, with its index of names; alpha has p0/a0 too at `alpha`, beta and gamma at theirs. */
static struct ptable *table_with_one_offer_of_three(struct fixture *f, const struct tariff *alpha,
						    const struct tariff *beta,
						    const struct tariff *gamma)
{
	const struct price *prices[] = {&f->gratis, &f->priced};
	const struct tariff *tariffs[] = {&f->price, &f->dear};
	const struct tariff *of[] = {alpha, beta, gamma};
	static const size_t at[] = {0, 4, 5};
	struct ptable *t;
	struct buf blob;

	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		offer(f, at[i], 0, "shared", 1, 1);
		f->offers[at[i]].price = of[i];
	}
	f->t.prices = prices;
	f->t.prices_n = 2;
	f->t.tariffs = tariffs;
	f->t.tariffs_n = 2;
	buf_init(&blob, 1 << 20);
	assert_int_equal(ptable_encode(&f->t, 1, &blob), ERRC_OK);
	assert_int_equal(ptable_decode(buf_slice(&blob), &t), ERRC_OK);
	buf_fini(&blob);
	return t;
}

static enum errc ask_by_offer(struct fixture *f, const struct ptable *t, const char *allowed,
			      struct route *r, struct fault *fault)
{
	struct route_ask ask = {.facts = &f->facts, .allowed = slice_str(allowed), .alone = true};

	f->facts.model = SLICE_LIT("p0/shared");
	*fault = (struct fault){0};
	return route_build(t, &ask, &f->rng, r, fault);
}

static void test_an_offer_of_several_models_has_no_name(void **state)
{
	static const char *const denials[] = {"", "alpha", "!beta", "gamma"};
	struct fixture f;
	struct ptable *t;
	struct route r;
	struct fault fault;

	(void)state;
	setup(&f);
	t = table_with_one_offer_of_three(&f, &f.price, &f.price, &f.dear);
	for (size_t i = 0; i < ARRAY_LEN(denials); i++) {
		assert_int_equal(ask_by_offer(&f, t, denials[i], &r, &fault), ERRC_NOTFOUND);
		assert_int_equal(fault.kind, FAULT_MODEL_UNKNOWN);
		assert_string_equal(fault.param, "model");
		assert_non_null(strstr(fault.message, "more than one price"));
	}
	/* The way out, as far as the key may go it. */
	ask_by_offer(&f, t, "!beta", &r, &fault);
	assert_non_null(strstr(fault.message, "ask for one of `alpha`, `gamma`."));
	assert_int_equal(ask_by_offer(&f, t, "delta", &r, &fault), ERRC_NOTFOUND);
	assert_null(strstr(fault.message, "ask for"));
	ptable_drop(&t);
}

static void test_an_offer_at_one_price_is_that_of_a_model_of_the_key(void **state)
{
	static const struct {
		const char *allowed;
		size_t model;
	} cases[] = {{"", 0}, {"alpha", 0}, {"beta", 1}, {"!alpha", 1}, {"gamma", 2}, {"delta", 0}};
	struct fixture f;
	struct ptable *t;
	struct route r;
	struct fault fault;

	(void)state;
	setup(&f);
	t = table_with_one_offer_of_three(&f, &f.dear, &f.dear, &f.dear);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(ask_by_offer(&f, t, cases[i].allowed, &r, &fault), ERRC_OK);
		assert_ptr_equal(r.asked, &t->models[cases[i].model]);
		assert_int_equal(r.n, 1);
		assert_ptr_equal(r.v[0].model, r.asked);
		assert_true(slice_is(r.v[0].offer->upstream, "shared"));
	}
	ptable_drop(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_priority_then_fallbacks),
		cmocka_unit_test(test_searches_are_sold),
		cmocka_unit_test(test_weights_decide_the_first),
		cmocka_unit_test(test_unknown_model),
		cmocka_unit_test(test_abilities),
		cmocka_unit_test(test_least_output),
		cmocka_unit_test(test_reasoning_beside_the_cap),
		cmocka_unit_test(test_an_offer_of_several_models_has_no_name),
		cmocka_unit_test(test_an_offer_at_one_price_is_that_of_a_model_of_the_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
