/* The blob: large tables are fast, and no damage to it does harm. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "mem.h"
#include "text.h"

static const char *const env[] = {"HOME=/nowhere", "KEY=canary-secret", NULL};

static const char small[] = "listen: [{address: \"127.0.0.1:1\", trusted_proxies: [10.0.0.0/8]}]\n"
			    "providers: {p: {base_url: \"http://h/v1\", keys: \"env:KEY\", "
			    "headers: {a: b}}, q: {base_url: \"https://[::1]:9\"}}\n"
			    "groups: {g: 0.9, a: 2}\n"
			    "models: {m: {price: [{when: {hours: \"01:00-02:00\"}, input: 3, "
			    "output: 4}, {input: 1, output: 2}], offers: {p/m: {}, q/m: "
			    "{price: free}}, fallbacks: [n]}, n: {price: free, offers: {q/n: }}}\n";

static void blob_of(const char *text, struct buf *out)
{
	struct fixture f;

	fixture_init(&f, env);
	fixture_good(&f, text);
	buf_init(out, 64 << 20);
	assert_int_equal(config_blob(f.c, 3, out), ERRC_OK);
	config_free(&f.c);
	buf_fini(&f.messages);
}

static void holds_and_drops(void **state)
{
	struct ptable *t, *held;
	struct buf blob;

	blob_of(small, &blob);
	assert_int_equal(ptable_decode(buf_slice(&blob), &t), ERRC_OK);
	memset(blob.p, 0xff, blob.len); /* nothing of it is needed any more */
	buf_fini(&blob);
	held = ptable_hold(t);
	ptable_drop(&t);
	assert_null(t);
	assert_true(slice_is(held->models[0].name, "m"));
	assert_true(slice_is(secret_reveal(&held->providers[0].keys[0].secret), "canary-secret"));
	assert_int_equal(held->models[0].name.p[1], '\0');
	assert_ptr_equal(held->models[0].fallbacks[0], &held->models[1]);
	assert_int_equal(held->generation, 3);
	assert_int_equal(held->models[0].price->n, 2);
	assert_int_equal(
		tariff_pick(held->models[0].price, 3600, 1, USAGE_TIER_NONE)->pusd[USAGE_INPUT],
		3000000);
	assert_int_equal(
		tariff_pick(held->models[0].price, 7200, 1, USAGE_TIER_NONE)->pusd[USAGE_INPUT],
		1000000);
	assert_int_equal(ptable_group_ppm(held, SLICE_LIT("g")), 900000);
	assert_int_equal(ptable_group_ppm(held, SLICE_LIT("h")), PRICE_PPM);
	ptable_drop(&held);
	ptable_drop(&held);
	assert_int_equal(mem_live_count(), 0);
}

/* Ids are hashes of names: the same in every process and after every reload. */
static void ids_are_stable(void **state)
{
	struct ptable *t;
	struct buf blob;

	blob_of(small, &blob);
	assert_int_equal(ptable_decode(buf_slice(&blob), &t), ERRC_OK);
	assert_true(t->providers[0].id == text_hash(SLICE_LIT("p")));
	assert_true(t->models[1].id == text_hash(SLICE_LIT("n")));
	assert_true(t->offers[2].id == text_hash(SLICE_LIT("n|q/n")));
	assert_true(t->providers[0].keys[0].id == UINT64_C(0xe66d26c043adef5e));
	ptable_drop(&t);
	buf_fini(&blob);
}

static void cut_blobs_are_refused(void **state)
{
	struct ptable *t;
	struct buf blob;

	blob_of(small, &blob);
	for (size_t n = 0; n < blob.len; n++) {
		assert_int_not_equal(ptable_decode(slice_of(blob.p, n), &t), ERRC_OK);
		assert_null(t);
	}
	assert_int_equal(buf_addc(&blob, '\0'), ERRC_OK);
	assert_int_not_equal(ptable_decode(buf_slice(&blob), &t), ERRC_OK);
	buf_fini(&blob);
	assert_int_equal(mem_live_count(), 0);
}

static void damaged_blobs_do_no_harm(void **state)
{
	struct ptable *t;
	struct buf blob;

	blob_of(small, &blob);
	for (size_t i = 0; i < blob.len; i++) {
		char saved = blob.p[i];

		for (int v = 0; v < 256; v += 3) {
			blob.p[i] = (char)v;
			if (ptable_decode(buf_slice(&blob), &t) == ERRC_OK)
				ptable_drop(&t);
		}
		blob.p[i] = saved;
	}
	buf_fini(&blob);
	assert_int_equal(mem_live_count(), 0);
}

static void survives_without_memory(void **state)
{
	enum errc rc = ERRC_NOMEM;
	struct buf blob;

	blob_of(small, &blob);
	for (unsigned n = 1; rc != ERRC_OK; n++) {
		struct ptable *t;
		size_t before = mem_live_count();

		mem_fail_after(n);
		rc = ptable_decode(buf_slice(&blob), &t);
		mem_fail_after(0);
		assert_true(rc == ERRC_OK || rc == ERRC_NOMEM);
		ptable_drop(&t);
		assert_int_equal(mem_live_count(), before);
	}
	buf_fini(&blob);
}

static void thousands_of_models(void **state)
{
	const struct ptable_named *named;
	struct buf text, blob;
	struct ptable *t;
	char name[32];

	buf_init(&text, 16 << 20);
	assert_int_equal(buf_addz(&text, "providers: {p: {base_url: \"http://h/v1\"}}\nmodels:\n"),
			 ERRC_OK);
	for (int i = 0; i < 2000; i++)
		assert_int_equal(buf_addf(&text,
					  "  model-%d: {price: {input: %d, output: 2}, offers: "
					  "{p/up-%d: {}, p/other-%d: {priority: 2}}}\n",
					  i, i % 50 + 1, i, i),
				 ERRC_OK);
	blob_of(buf_cstr(&text), &blob);
	buf_fini(&text);
	assert_int_equal(ptable_decode(buf_slice(&blob), &t), ERRC_OK);
	assert_int_equal(t->models_n, 2000);
	assert_int_equal(t->offers_n, 4000);
	assert_int_equal(t->prices_n, 50);
	for (size_t i = 0; i < t->models_n; i++) {
		assert_ptr_equal(ptable_model(t, t->models[i].name), &t->models[i]);
		assert_int_equal(t->models[i].index, i);
	}
	for (int i = 0; i < 2000; i++) {
		size_t n = (size_t)snprintf(name, sizeof(name), "p/other-%d", i);

		assert_int_equal(ptable_offers_named(t, slice_of(name, n), &named), 1);
		assert_int_equal(named->model->offers_n, 2);
	}
	ptable_drop(&t);
	buf_fini(&blob);
}

static void groups_times_prices_are_bounded(void **state)
{
	struct fixture f;
	struct buf text;

	buf_init(&text, 16 << 20);
	assert_int_equal(buf_addz(&text, "providers: {p: {base_url: \"http://h/v1\"}}\ngroups: {"),
			 ERRC_OK);
	for (int i = 0; i < 50; i++)
		assert_int_equal(buf_addf(&text, "g%d: 0.%02d, ", i, i + 1), ERRC_OK);
	assert_int_equal(buf_addz(&text, "last: 2}\nmodels:\n"), ERRC_OK);
	for (int i = 0; i < 2000; i++)
		assert_int_equal(
			buf_addf(&text,
				 "  m%d: {price: {input: %d, output: 2}, offers: {p/m%d: {}}}\n", i,
				 i + 1, i),
			ERRC_OK);
	fixture_init(&f, env);
	assert_int_equal(fixture_load(&f, buf_cstr(&text)), ERRC_INVAL);
	assert_string_equal(fixture_messages(&f), "aigw.yaml:2:9: `groups`: 51 groups times 2000 "
						  "different prices are more than 100000 rows\n");
	buf_fini(&text);
	fixture_fini(&f);
}

static void an_offer_of_several_models(void **state)
{
	const struct ptable_named *named;
	struct ptable *t;
	struct buf blob;

	(void)state;
	blob_of("providers: {p: {base_url: \"http://h/v1\"}, q: {base_url: \"http://h/v1\"}}\n"
		"models:\n"
		"  c: {price: {input: 3, output: 4}, offers: {p/x: {}, p/y: {}}}\n"
		"  a: {price: {input: 1, output: 2}, offers: {p/x: {}, q/x: {}}}\n"
		"  b: {price: {input: 3, output: 4}, offers: {p/y: {}, p/x: {price: {input: 1, "
		"output: 2}}}}\n",
		&blob);
	assert_int_equal(ptable_decode(buf_slice(&blob), &t), ERRC_OK);
	assert_int_equal(ptable_offers_named(t, SLICE_LIT("p/x"), &named), 3);
	assert_true(slice_is(named[0].model->name, "a") && slice_is(named[1].model->name, "b") &&
		    slice_is(named[2].model->name, "c"));
	for (size_t i = 0; i < 3; i++)
		assert_true(slice_is(named[i].offer->upstream, "x"));
	/* One row of the same price: the same pointer. */
	assert_ptr_equal(named[0].offer->price, named[1].offer->price);
	assert_ptr_not_equal(named[0].offer->price, named[2].offer->price);
	assert_int_equal(ptable_offers_named(t, SLICE_LIT("q/x"), &named), 1);
	assert_int_equal(ptable_offers_named(t, SLICE_LIT("p/y"), &named), 2);
	assert_int_equal(ptable_offers_named(t, SLICE_LIT("p/z"), &named), 0);
	assert_null(named);
	ptable_drop(&t);
	buf_fini(&blob);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_and_drops),
		cmocka_unit_test(ids_are_stable),
		cmocka_unit_test(cut_blobs_are_refused),
		cmocka_unit_test(damaged_blobs_do_no_harm),
		cmocka_unit_test(survives_without_memory),
		cmocka_unit_test(thousands_of_models),
		cmocka_unit_test(groups_times_prices_are_bounded),
		cmocka_unit_test(an_offer_of_several_models),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
