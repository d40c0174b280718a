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
	struct price price;
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
	for (size_t i = 0; i < MODELS; i++)
		f->models[i] = (struct ptable_model){.name = slice_str(names[i]),
						     .context = 1000 * ((int64_t)i + 1),
						     .max_output = 100,
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

static void test_priority_then_fallbacks(void **state)
{
	struct fixture f;
	struct route r;
	struct fault fault = {0};

	(void)state;
	setup(&f);
	assert_int_equal(route_build(&f.t, &f.facts, false, &f.rng, &r, &fault), ERRC_OK);
	assert_int_equal(r.n, 6);
	assert_ptr_equal(r.asked, &f.models[0]);
	assert_true(r.v[0].offer->priority == 1 && r.v[1].offer->priority == 1);
	assert_ptr_equal(r.v[2].offer, &f.offers[2]);
	assert_ptr_equal(r.v[3].offer, &f.offers[3]);
	assert_ptr_equal(r.v[4].offer, &f.offers[4]);
	assert_ptr_equal(r.v[5].offer, &f.offers[5]);
	assert_ptr_equal(r.v[5].model, &f.models[2]);
	assert_int_equal(route_build(&f.t, &f.facts, true, &f.rng, &r, &fault), ERRC_OK);
	assert_int_equal(r.n, 4);
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
		assert_int_equal(route_build(&f.t, &f.facts, true, &f.rng, &r, &fault), ERRC_OK);
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
	assert_int_equal(route_build(&f.t, &f.facts, false, &f.rng, &r, &fault), ERRC_NOTFOUND);
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
	assert_int_equal(route_build(&f.t, &f.facts, false, &f.rng, &r, &fault), ERRC_OK);
	assert_int_equal(r.n, 2); /* beta can, of gamma nothing is known */
	assert_ptr_equal(r.v[0].offer, &f.offers[4]);
	assert_int_equal(route_build(&f.t, &f.facts, true, &f.rng, &r, &fault), ERRC_NOTFOUND);
	assert_int_equal(fault.kind, FAULT_UNSUPPORTED_FIELD);
	assert_non_null(strstr(fault.message, "images"));
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
	assert_int_equal(route_build(&f.t, &f.facts, false, &f.rng, &r, &fault), ERRC_OK);
	assert_int_equal(r.v[0].min_output, 1024);
	assert_int_equal(r.v[4].min_output, 4096);
	assert_int_equal(r.v[5].min_output, 7);
	f.facts.thinking_budget = 9000;
	assert_int_equal(route_build(&f.t, &f.facts, false, &f.rng, &r, &fault), ERRC_OK);
	assert_int_equal(r.v[4].min_output, 9001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_priority_then_fallbacks),
		cmocka_unit_test(test_weights_decide_the_first),
		cmocka_unit_test(test_unknown_model),
		cmocka_unit_test(test_abilities),
		cmocka_unit_test(test_least_output),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
