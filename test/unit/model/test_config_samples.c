/* The shipped samples load without a word, and what is printed of a configuration is that configuration. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "mem.h"

static const char *const env[] = {
	"HOME=/nowhere",  "OPENAI_API_KEY=a",  "ANTHROPIC_API_KEY=b", "AZURE_EU_KEY=c",
	"AZURE_US_KEY=d", "MISTRAL_API_KEY=e", "XAI_API_KEY=f",       NULL,
};

static void blob_of(struct fixture *f, struct buf *out)
{
	buf_init(out, 64 << 20);
	assert_int_equal(config_blob(f->c, 1, out), ERRC_OK);
}

/* Prints, loads what was printed, and compares the tables, twice: with and without places. */
static void prints_itself(struct fixture *f)
{
	struct buf printed, before, after;

	for (int origin = 0; origin < 2; origin++) {
		buf_init(&printed, 64 << 20);
		blob_of(f, &before);
		assert_int_equal(config_print(f->c, origin == 1, &printed), ERRC_OK);
		fixture_good(f, buf_cstr(&printed));
		blob_of(f, &after);
		assert_int_equal(before.len, after.len);
		assert_memory_equal(before.p, after.p, before.len);
		buf_fini(&before);
		buf_fini(&after);
		buf_fini(&printed);
	}
}

static void load_sample(struct fixture *f, const char *name)
{
	static char path[4096];

	assert_non_null(getenv("AIGW_TEST_ETC"));
	snprintf(path, sizeof(path), "%s/%s", getenv("AIGW_TEST_ETC"), name);
	fixture_init(f, env);
	f->opts.path = path;
	assert_int_equal(fixture_load_file(f), ERRC_OK);
	assert_string_equal(fixture_messages(f), "");
}

static void main_sample(void **state)
{
	struct fixture f;
	struct ptable *t;

	load_sample(&f, "aigw.yaml");
	t = fixture_table(&f);
	assert_int_equal(t->providers_n, 3);
	assert_non_null(ptable_model(t, SLICE_LIT("gpt-5")));
	assert_null(ptable_model(t, SLICE_LIT("gpt-5-codex")));
	assert_true(ptable_model(t, SLICE_LIT("small"))->price->rows[0]->free);
	ptable_drop(&t);
	prints_itself(&f);
	fixture_fini(&f);
}

static void two_regions(void **state)
{
	struct fixture f;
	struct ptable *t;
	const struct ptable_model *m;

	load_sample(&f, "examples/two-regions/aigw.yaml");
	t = fixture_table(&f);
	m = ptable_model(t, SLICE_LIT("gpt-5.2"));
	assert_true(slice_is(m->offers[0].provider->name, "azure-eu"));
	assert_true(slice_is(m->offers[1].provider->name, "openai"));
	ptable_drop(&t);
	prints_itself(&f);
	fixture_fini(&f);
}

/* The other region's node has the same files but for one line. */
static void other_region(void **state)
{
	static const char *const files[] = {"providers.d/openai.yaml", "providers.d/azure.yaml",
					    "models.d/gpt.yaml", "regions/us-east.yaml"};
	struct fixture f;
	struct ptable *t;
	const struct ptable_model *m;
	char path[4096], content[8192];

	fixture_init(&f, env);
	fixture_file(&f, "aigw.yaml",
		     "region: us-east\ninclude: [providers.d/*.yaml, models.d/*.yaml]\noverlay: "
		     "[\"regions/${region}.yaml\"]\n");
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		FILE *in;

		snprintf(path, sizeof(path), "%s/examples/two-regions/%s", getenv("AIGW_TEST_ETC"),
			 files[i]);
		in = fopen(path, "r");
		assert_non_null(in);
		content[fread(content, 1, sizeof(content) - 1, in)] = '\0';
		fclose(in);
		fixture_file(&f, files[i], content);
	}
	assert_int_equal(fixture_load_file(&f), ERRC_OK);
	assert_string_equal(fixture_messages(&f), "");
	t = fixture_table(&f);
	m = ptable_model(t, SLICE_LIT("gpt-5.2"));
	assert_int_equal(m->offers_n, 2);
	assert_true(slice_is(m->offers[0].provider->name, "openai"));
	assert_true(slice_is(m->offers[1].provider->name, "azure-us"));
	assert_int_equal(m->price->rows[0]->pusd[USAGE_INPUT], 1600000);
	assert_int_equal(m->price->rows[0]->pusd[USAGE_CACHE_READ], 175000);
	assert_null(ptable_provider(t, SLICE_LIT("azure-eu")));
	ptable_drop(&t);
	prints_itself(&f);
	fixture_fini(&f);
}

static void every_catalog_prints_itself(void **state)
{
	struct fixture f;

	fixture_init(&f, env);
	fixture_good(
		&f,
		"providers:\n"
		"  anthropic: {catalog: anthropic, models: [\"*\"], markup: 1.234567, keys: []}\n"
		"  deepseek: {catalog: deepseek, models: [\"*\"], keys: []}\n"
		"  groq: {catalog: groq, models: [\"*\"], keys: []}\n"
		"  mistral: {catalog: mistral, models: [\"*\"], markup: 0.5}\n"
		"  openai: {catalog: openai, models: [\"*\"]}\n"
		"  xai: {catalog: xai, models: [\"*\"]}\n");
	prints_itself(&f);
	fixture_fini(&f);
}

static void odd_values_print_themselves(void **state)
{
	struct fixture f;

	fixture_init(&f, env);
	fixture_good(
		&f,
		"region: no\nuser: \"\"\nlog: {to: \"file:a b.log\"}\ncors: {origins: "
		"[]}\nuncapped_share: 1/3\nlimits: {body: 1234567, body_rate: 0}\n"
		"timeouts: {idle: 1500ms, keepalive: off}\nadmin: {http: off, users: [a, \"b: "
		"c\"]}\n"
		"listen: [localhost:80, {address: \"[::]:0\", trusted_proxies: [\"::1\", "
		"10.0.0.0/8]}]\n"
		"providers: {\"p#1\": {base_url: \"http://h/a?api=1\", headers: {x: \"a: "
		"#\", \"y\": \"\"}}}\n"
		"groups: {partner: 0.9, vip: 0.000001}\n"
		"models: {cond: {name: \"\\u00e4: #\", price: [{when: {min_prompt_tokens: 200000, "
		"hours: "
		"[\"16:30-00:30\", \"08:00-09:00\"]}, input: 1, output: 2}, {when: {from: "
		"2026-12-01, until: 2026-12-02T08:00:00Z}, input: 3, output: 4}, {input: 5, "
		"output: 6}], cost: [{request: 0.01}], offers: {\"p#1/z\": }}, "
		"\"a: b\": {price: {request: 0.000000001}, offers: {\"p#1/x/y: z\": }}, "
		"\"~\": {price: free, offers: {\"p#1/*\": {weight: 0}}, fallbacks: [\"a: b\"]}}\n");
	prints_itself(&f);
	fixture_fini(&f);
}

static void the_default_prints_itself(void **state)
{
	struct fixture f;

	fixture_init(&f, env);
	f.opts.path = NULL;
	assert_int_equal(fixture_load_file(&f), ERRC_OK);
	assert_string_equal(fixture_messages(&f), "");
	f.opts.path = "aigw.yaml";
	prints_itself(&f);
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(main_sample),
		cmocka_unit_test(two_regions),
		cmocka_unit_test(other_region),
		cmocka_unit_test(every_catalog_prints_itself),
		cmocka_unit_test(odd_values_print_themselves),
		cmocka_unit_test(the_default_prints_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
