/* What a configuration means: values, secrets, the short form, the empty one, printing and comparing. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "mem.h"

static const char *const env[] = {
	"HOME=/nowhere", "MOCK_KEY=s3cret-mock", "SECOND=second", "SAME=second", "EMPTY=", NULL};

/* The configuration of issue 2, as it stands. */
static const char issue[] = "region: test\n"
			    "workers: 2\n"
			    "listen: [{address: \"127.0.0.1:8181\"}]\n"
			    "admin: {socket: run/control.sock, http: \"127.0.0.1:9465\"}\n"
			    "state: run/state\n"
			    "shared_memory: /dev/shm/aigw-test\n"
			    "durability: group\n"
			    "providers:\n"
			    "  mock: {dialect: openai, base_url: \"http://127.0.0.1:9900/v1\", "
			    "keys: [\"env:MOCK_KEY\"]}\n"
			    "models:\n"
			    "  m1: {context: 128000, max_output: 100, price: {input: 1, output: "
			    "2}, offers: {mock/up-m1: {priority: 1}, mock/up-m2: {priority: 2}}}\n";

static void issue_works_as_it_stands(void **state)
{
	struct fixture f;
	const struct settings *s;
	const struct ptable_model *m;
	const struct ptable_named *by_offer;
	struct ptable *t;

	fixture_init(&f, env);
	fixture_good(&f, issue);
	s = config_settings(f.c);
	assert_int_equal(s->workers, 2);
	assert_int_equal(s->listeners_n, 1);
	assert_int_equal(s->listeners[0].port, 8181);
	assert_true(slice_is(s->listeners[0].host, "127.0.0.1"));
	assert_true(s->admin_socket.p[0] == '/');
	assert_true(slice_has_suffix(s->admin_socket, SLICE_LIT("/run/control.sock")));
	assert_true(slice_has_suffix(s->state, SLICE_LIT("/run/state")));
	t = fixture_table(&f);
	assert_int_equal(t->generation, 7);
	assert_int_equal(t->providers_n, 1);
	assert_int_equal(t->providers[0].keys_n, 1);
	assert_true(slice_is(secret_reveal(&t->providers[0].keys[0].secret), "s3cret-mock"));
	assert_int_equal(t->providers[0].base.port, 9900);
	assert_true(slice_is(t->providers[0].base.path, "/v1"));
	m = ptable_model(t, SLICE_LIT("m1"));
	assert_non_null(m);
	assert_int_equal(m->offers_n, 2);
	assert_true(slice_is(m->offers[0].upstream, "up-m1"));
	assert_int_equal(m->price->rows[0]->pusd[USAGE_INPUT], 1000000);
	assert_int_equal(m->price->rows[0]->pusd[USAGE_REASONING], 2000000);
	assert_int_equal(m->max_output, 100);
	assert_int_equal(ptable_offers_named(t, SLICE_LIT("mock/up-m2"), &by_offer), 1);
	assert_ptr_equal(by_offer->offer, &m->offers[1]);
	assert_ptr_equal(by_offer->model, m);
	assert_int_equal(ptable_offers_named(t, SLICE_LIT("mock/up-m3"), &by_offer), 0);
	assert_int_equal(ptable_offers_named(t, SLICE_LIT("m1"), &by_offer), 0);
	assert_null(ptable_model(t, SLICE_LIT("m2")));
	ptable_drop(&t);
	fixture_fini(&f);
}

static void values_are_text(void **state)
{
	struct fixture f;

	fixture_init(&f, env);
	assert_int_equal(fixture_load(&f, "region: no\nlog: {access: \"no\"}\ntimeouts: "
					  "{keepalive: off}\ncors: {origins: []}\n"),
			 ERRC_OK);
	assert_true(slice_is(config_settings(f.c)->region, "no"));
	assert_false(config_settings(f.c)->log_access);
	assert_int_equal(config_settings(f.c)->keepalive_ms, 0);
	assert_int_equal(config_settings(f.c)->cors_origins.n, 0);
	fixture_fini(&f);
}

static void settle_lowers_the_lag(void **state)
{
	struct fixture f;

	fixture_init(&f, env);
	assert_int_equal(fixture_load(&f, "durability: settle\n"), ERRC_OK);
	assert_int_equal(config_settings(f.c)->ledger_lag_max_ms, 2000);
	assert_int_equal(fixture_load(&f, "durability: settle\nledger_lag_max: 5s\n"), ERRC_OK);
	assert_int_equal(config_settings(f.c)->ledger_lag_max_ms, 5000);
	fixture_fini(&f);
}

#define MODEL "models: {m: {price: free, offers: {p/m: {}}}}\n"

static void unset_secrets(void **state)
{
	static const struct {
		const char *keys, *messages, *strict; /* strict NULL: no error */
		size_t keys_n, off;
	} cases[] = {
		{"[\"env:MOCK_KEY\", \"env:SECOND\"]", "", NULL, 2, 0},
		{"\"env:MOCK_KEY\"", "", NULL, 1, 0},
		{"[]", "", NULL, 0, 0},
		{"[\"env:UNSET\"]",
		 "aigw.yaml:1:46: warning: provider `p` is off: env:UNSET is not set\n",
		 "aigw.yaml:1:47: `providers.p.keys`: the variable of env:UNSET is not set\n", 0, 1},
		{"[\"env:EMPTY\"]",
		 "aigw.yaml:1:46: warning: provider `p` is off: env:EMPTY is not set\n",
		 "aigw.yaml:1:47: `providers.p.keys`: the variable of env:EMPTY is not set\n", 0, 1},
		{"[\"env:UNSET?\"]",
		 "aigw.yaml:1:46: warning: provider `p` is off: none of its keys is there, all of "
		 "them being optional\n",
		 NULL, 0, 1},
		{"[\"env:MOCK_KEY\", \"env:UNSET\"]",
		 "aigw.yaml:1:63: warning: `providers.p.keys`: the variable of env:UNSET is not "
		 "set\n",
		 "aigw.yaml:1:63: `providers.p.keys`: the variable of env:UNSET is not set\n", 1, 0},
		{"[\"env:MOCK_KEY\", \"env:UNSET?\"]", "", NULL, 1, 0},
		{"[\"env:SAME\", \"env:SECOND\"]",
		 "aigw.yaml:1:59: warning: `providers.p.keys`: env:SECOND is the same key as "
		 "env:SAME\n",
		 NULL, 1, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct ptable *t;
		struct buf text;

		fixture_init(&f, env);
		buf_init(&text, 4096);
		assert_int_equal(
			buf_addf(&text,
				 "providers: {p: {base_url: \"http://h/\", keys: %s}}\n" MODEL,
				 cases[i].keys),
			ERRC_OK);
		assert_int_equal(fixture_load(&f, buf_cstr(&text)), ERRC_OK);
		assert_string_equal(fixture_messages(&f), cases[i].messages);
		t = fixture_table(&f);
		assert_int_equal(t->providers[0].keys_n, cases[i].keys_n);
		assert_int_equal(t->providers[0].off, cases[i].off);
		assert_int_equal(t->models_n, 1);
		assert_int_equal(t->offers_n, cases[i].off ? 0 : 1);
		ptable_drop(&t);
		f.opts.strict = true;
		assert_int_equal(fixture_load(&f, buf_cstr(&text)),
				 cases[i].strict ? ERRC_INVAL : ERRC_OK);
		assert_string_equal(fixture_messages(&f),
				    cases[i].strict ? cases[i].strict : cases[i].messages);
		buf_fini(&text);
		fixture_fini(&f);
	}
}

static void secret_files(void **state)
{
	struct fixture f;
	struct ptable *t;

	fixture_init(&f, env);
	fixture_file(&f, "aigw.yaml",
		     "providers: {p: {base_url: \"http://h/\", keys: [\"file:k\", \"file:none?\"], "
		     "headers: {x-a: \"file:k\"}}}\n" MODEL);
	fixture_file(&f, "k", "  from-file\n");
	assert_int_equal(fixture_load_file(&f), ERRC_OK);
	assert_string_equal(fixture_messages(&f), "");
	t = fixture_table(&f);
	assert_true(slice_is(secret_reveal(&t->providers[0].keys[0].secret), "from-file"));
	assert_true(slice_is(t->providers[0].headers[0].value, "from-file"));
	assert_true(slice_has_suffix(t->providers[0].keys[0].label, SLICE_LIT("/k")));
	ptable_drop(&t);
	assert_int_equal(chmod("k", 0644), 0);
	assert_int_equal(fixture_load_file(&f), ERRC_INVAL);
	assert_non_null(strstr(fixture_messages(&f),
			       "can be read or written by others than its owner: chmod 0400 it\n"));
	assert_int_equal(chmod("k", 0400), 0);
	assert_int_equal(fixture_load_file(&f), ERRC_OK);
	fixture_file(&f, "k", "\n");
	assert_int_equal(fixture_load_file(&f), ERRC_INVAL);
	assert_non_null(strstr(fixture_messages(&f), "/k is empty\n"));
	fixture_file(&f, "k", "a\nb\n");
	assert_int_equal(fixture_load_file(&f), ERRC_INVAL);
	assert_non_null(strstr(fixture_messages(&f), "holds a control or non-ASCII character\n"));
	fixture_fini(&f);
}

static void tls_files(void **state)
{
	struct fixture f;
	struct ptable *t;

	fixture_init(&f, env);
	fixture_file(&f, "aigw.yaml",
		     "listen: [{address: \"[::1]:8443\", tls: {certificate: t.crt, key: t.key}, "
		     "trusted_proxies: [10.0.0.0/8, \"::1\"]}]\n"
		     "upstream: {ca_file: ca.pem}\nproviders: {p: {base_url: \"https://h/\", "
		     "ca_file: ca.pem}}\n" MODEL);
	fixture_file(&f, "t.crt", "CERT");
	fixture_file(&f, "t.key", "KEY");
	fixture_file(&f, "ca.pem", "CA");
	assert_int_equal(fixture_load_file(&f), ERRC_OK);
	assert_string_equal(fixture_messages(&f), "");
	assert_int_equal(chmod("t.key", 0640), 0);
	assert_int_equal(fixture_load_file(&f), ERRC_OK);
	for (size_t i = 0; i < 3; i++) {
		static const mode_t open_to_others[] = {0644, 0660, 0601};

		assert_int_equal(chmod("t.key", open_to_others[i]), 0);
		assert_int_equal(fixture_load_file(&f), ERRC_INVAL);
		assert_non_null(
			strstr(fixture_messages(&f),
			       "/t.key: it can be read or written by others than its owner: "
			       "chmod 0400 it\n"));
	}
	assert_int_equal(chmod("t.key", 0400), 0);
	assert_int_equal(fixture_load_file(&f), ERRC_OK);
	t = fixture_table(&f);
	assert_int_equal(t->set.listeners_n, 1);
	assert_true(t->set.listeners[0].tls);
	assert_true(slice_is(t->set.listeners[0].host, "::1"));
	assert_true(slice_is(t->set.listeners[0].certificate_pem, "CERT"));
	assert_true(slice_is(t->set.listeners[0].key_pem, "KEY"));
	assert_int_equal(t->set.listeners[0].trusted_n, 2);
	assert_int_equal(t->set.listeners[0].trusted[0].bits, 104);
	assert_true(slice_is(t->set.upstream_ca_pem, "CA"));
	assert_true(slice_is(t->providers[0].ca_pem, "CA"));
	ptable_drop(&t);
	fixture_fini(&f);
}

static void providers_of_all_kinds(void **state)
{
	struct fixture f;
	struct ptable *t;
	const struct ptable_provider *p;

	fixture_init(&f, env);
	fixture_good(&f,
		     "timeouts: {connect: 7s}\n"
		     "providers:\n"
		     "  azure: {base_url: \"https://x.openai.azure.com\", azure: on, api_version: "
		     "2024-10-21, keys: \"env:SECOND\"}\n"
		     "  claude: {dialect: anthropic, base_url: \"https://api.anthropic.com/v1/\", "
		     "keys: \"env:MOCK_KEY\", timeouts: {connect: 1s}}\n"
		     "  local: {base_url: \"http://[::1]:8000\", usage_option: off, cap_field: "
		     "max_tokens, auth: x-api-key, reasoning_beside: 81920}\n"
		     "models: {m: {price: {request: 0.01}, offers: {local/m: {cap_field: "
		     "max_completion_tokens}}}}\n");
	t = fixture_table(&f);
	p = ptable_provider(t, SLICE_LIT("azure"));
	assert_true(p->azure_deployments);
	assert_int_equal(p->auth, PTABLE_AUTH_API_KEY);
	assert_true(slice_is(p->base.query, "api-version=2024-10-21"));
	assert_int_equal(p->connect_ms, 7000);
	assert_int_equal(p->reasoning_beside, 0);
	p = ptable_provider(t, SLICE_LIT("claude"));
	assert_int_equal(p->auth, PTABLE_AUTH_X_API_KEY);
	assert_true(slice_is(p->base.path, "/v1"));
	assert_true(slice_is(p->anthropic_version, "2023-06-01"));
	assert_int_equal(p->connect_ms, 1000);
	p = ptable_provider(t, SLICE_LIT("local"));
	assert_true(slice_is(p->base.host, "::1"));
	assert_false(p->usage_option);
	assert_int_equal(p->reasoning_beside, 81920);
	assert_true(p->embeddings_base64);
	assert_int_equal(p->auth, PTABLE_AUTH_X_API_KEY);
	assert_true(slice_is(p->cap_field, "max_tokens"));
	assert_true(slice_is(t->models[0].offers[0].cap_field, "max_completion_tokens"));
	assert_int_equal(t->models[0].price->rows[0]->request_nusd, 10000000);
	assert_null(ptable_provider(t, SLICE_LIT("none")));
	ptable_drop(&t);
	fixture_fini(&f);
}

static void offers_are_ranked_and_priced(void **state)
{
	struct fixture f;
	struct ptable *t;
	const struct ptable_model *m;

	fixture_init(&f, env);
	fixture_good(&f, "providers: {p: {base_url: \"http://h\"}, q: {base_url: \"http://h\"}}\n"
			 "models:\n"
			 "  b: {price: {input: 1, output: 2}, cost: {input: 0.5, output: 1}, "
			 "fallbacks: [a],\n"
			 "      offers: {p/x: {weight: 1}, q/y: {weight: 5}, p/z: {priority: 0, "
			 "price: {input: 3, output: 4}}, p/w: {cost: free}}}\n"
			 "  a: {price: free, offers: {p/a: }}\n");
	t = fixture_table(&f);
	assert_true(slice_is(t->models[0].name, "a"));
	assert_true(t->models[0].price->rows[0]->free);
	m = ptable_model(t, SLICE_LIT("b"));
	assert_true(slice_is(m->offers[0].upstream, "z"));
	assert_int_equal(m->offers[0].price->rows[0]->pusd[USAGE_INPUT], 3000000);
	assert_int_equal(m->offers[0].cost->rows[0]->pusd[USAGE_INPUT], 500000);
	assert_true(slice_is(m->offers[1].upstream, "y"));
	assert_ptr_equal(m->offers[1].price, m->price);
	assert_true(slice_is(m->offers[2].upstream, "w"));
	assert_true(m->offers[2].cost->rows[0]->free);
	assert_true(slice_is(m->offers[3].upstream, "x"));
	assert_int_equal(m->fallbacks_n, 1);
	assert_ptr_equal(m->fallbacks[0], &t->models[0]);
	assert_int_equal(t->prices_n, 4);
	assert_int_equal(t->offers_n, 5);
	for (size_t i = 0; i < t->offers_n; i++)
		assert_int_equal(t->offers[i].index, i);
	ptable_drop(&t);
	fixture_fini(&f);
}

static void a_model_without_output_is_no_chat(void **state)
{
	struct fixture f;
	struct ptable *t;

	fixture_init(&f, env);
	fixture_good(&f, "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
			 "models: {a: {max_output: 0, price: free, offers: {mock/a: {}}}}\n");
	t = fixture_table(&f);
	assert_int_equal(t->models[0].can & (PTABLE_IS_CHAT | PTABLE_IS_EMBEDDING),
			 PTABLE_IS_EMBEDDING);
	ptable_drop(&t);
	fixture_fini(&f);
}

/* ------------------------------------------------------------- short form */

static void short_form(void **state)
{
	struct fixture f;
	struct ptable *t;
	const struct ptable_model *m;

	fixture_init(&f, env);
	fixture_good(&f, "providers: {openai: {catalog: openai, keys: \"env:MOCK_KEY\", models: "
			 "[\"gpt-4*\", \"!*-turbo*\"], markup: 1.10}}\n"
			 "models: {gpt-4.1: {price: {input: 9, output: 9}}}\n");
	t = fixture_table(&f);
	assert_null(ptable_model(t, SLICE_LIT("gpt-4-turbo")));
	m = ptable_model(t, SLICE_LIT("gpt-4"));
	assert_int_equal(m->price->rows[0]->pusd[USAGE_INPUT], 33000000);
	assert_int_equal(m->price->rows[0]->pusd[USAGE_OUTPUT], 66000000);
	assert_int_equal(m->offers[0].cost->rows[0]->pusd[USAGE_INPUT], 30000000);
	assert_int_equal(m->context, 8192);
	assert_int_equal(m->created_s, 1699228800);
	assert_true(slice_is(m->display_name, "GPT-4"));
	assert_true(m->can & PTABLE_CAN_TOOLS);
	assert_false(m->can & (PTABLE_CAN_IMAGE_IN | PTABLE_CAN_REASONING | PTABLE_IS_EMBEDDING));
	assert_true(slice_is(t->providers[0].cap_field, "max_completion_tokens"));
	m = ptable_model(t, SLICE_LIT("gpt-4.1"));
	assert_int_equal(m->price->rows[0]->pusd[USAGE_INPUT], 9000000);
	assert_ptr_equal(m->offers[0].price, m->price);
	assert_int_not_equal(m->offers[0].cost->rows[0]->pusd[USAGE_INPUT], 9000000);
	ptable_drop(&t);
	fixture_fini(&f);
}

static void written_offers_win(void **state)
{
	struct fixture f;
	struct ptable *t;
	const struct ptable_model *m;

	fixture_init(&f, env);
	fixture_good(&f, "providers:\n"
			 "  openai: {catalog: openai, keys: \"env:MOCK_KEY\", models: gpt-4}\n"
			 "  own: {base_url: \"http://h\"}\n"
			 "models: {gpt-4: {offers: {own/x: {}}}}\n");
	t = fixture_table(&f);
	m = ptable_model(t, SLICE_LIT("gpt-4"));
	assert_int_equal(m->offers_n, 1);
	assert_true(slice_is(m->offers[0].provider->name, "own"));
	assert_int_equal(m->price->rows[0]->pusd[USAGE_INPUT], 30000000);
	ptable_drop(&t);
	fixture_fini(&f);
}

static void two_catalogs_offer_one_model(void **state)
{
	struct fixture f;
	struct ptable *t;
	const struct ptable_model *m;

	fixture_init(&f, env);
	fixture_good(&f,
		     "providers:\n"
		     "  one: {catalog: openai, keys: \"env:MOCK_KEY\", models: gpt-4}\n"
		     "  two: {catalog: openai, keys: \"env:SECOND\", models: gpt-4, markup: 2}\n");
	t = fixture_table(&f);
	m = ptable_model(t, SLICE_LIT("gpt-4"));
	assert_int_equal(m->offers_n, 2);
	assert_int_equal(m->price->rows[0]->pusd[USAGE_INPUT], 30000000);
	assert_int_equal(m->offers[1].price->rows[0]->pusd[USAGE_INPUT], 60000000);
	assert_int_equal(m->offers[1].cost->rows[0]->pusd[USAGE_INPUT], 30000000);
	ptable_drop(&t);
	fixture_fini(&f);
}

/* 0.123457 × 1.000001 has more places than a price: it is rounded up. */
static void markup_is_exact(void **state)
{
	struct fixture f;
	struct ptable *t;

	fixture_init(&f, env);
	fixture_file(&f, "catalog.d/c.yaml",
		     "dialect: openai\nbase_url: \"http://h/v1\"\nenv: NONE\nmodels:\n"
		     "  m: {price: {input: 0.123457, output: 1000000, request: 0.000000001}}\n  "
		     "unpriced: {context: 5}\n");
	fixture_file(&f, "aigw.yaml",
		     "catalog_dir: catalog.d\nproviders: {p: {catalog: c, keys: [], models: "
		     "[\"*\"], markup: 1.000001}}\n");
	assert_int_equal(fixture_load_file(&f), ERRC_INVAL);
	assert_non_null(strstr(fixture_messages(&f),
			       "`models.m.price.output` must be dollars per million tokens"));
	fixture_file(&f, "catalog.d/c.yaml",
		     "dialect: openai\nbase_url: \"http://h/v1\"\nenv: NONE\nmodels:\n"
		     "  m: {price: {input: 0.123457, output: 0, request: 0.000000001, image: "
		     "0.0048}}\n  "
		     "unpriced: {context: 5}\n");
	assert_int_equal(fixture_load_file(&f), ERRC_OK);
	t = fixture_table(&f);
	assert_int_equal(t->models_n, 1);
	assert_int_equal(t->models[0].price->rows[0]->pusd[USAGE_INPUT], 123458);
	assert_int_equal(t->models[0].price->rows[0]->request_nusd, 2);
	assert_int_equal(t->models[0].price->rows[0]->pusd[USAGE_IMAGE], 4800005000);
	assert_int_equal(t->models[0].offers[0].cost->rows[0]->pusd[USAGE_INPUT], 123457);
	ptable_drop(&t);
	fixture_fini(&f);
}

/* Each row of a listed price takes the markup; conditions and the cost stay as they are. */
static void markup_of_conditional_prices(void **state)
{
	const struct tariff *t;
	struct fixture f;
	struct ptable *table;

	fixture_init(&f, env);
	fixture_file(&f, "catalog.d/c.yaml",
		     "dialect: openai\nbase_url: \"http://h/v1\"\nenv: NONE\nmodels:\n"
		     "  m: {price: [{when: {min_prompt_tokens: 200000}, input: 6, output: 22.5}, "
		     "{input: 3, output: 15}]}\n");
	fixture_file(&f, "aigw.yaml",
		     "catalog_dir: catalog.d\nproviders: {p: {catalog: c, keys: [], models: "
		     "[\"*\"], markup: 2}}\n");
	assert_int_equal(fixture_load_file(&f), ERRC_OK);
	table = fixture_table(&f);
	t = table->models[0].price;
	assert_int_equal(tariff_pick(t, 0, 200000, USAGE_TIER_NONE)->pusd[USAGE_INPUT], 6000000);
	assert_int_equal(tariff_pick(t, 0, 200001, USAGE_TIER_NONE)->pusd[USAGE_OUTPUT], 45000000);
	t = table->models[0].offers[0].cost;
	assert_int_equal(tariff_pick(t, 0, 200001, USAGE_TIER_NONE)->pusd[USAGE_INPUT], 6000000);
	ptable_drop(&table);
	fixture_fini(&f);
}

/* A warning, for the operator may want just that; not where the class is named or nothing is paid by the token. */
static void media_at_the_price_of_text_is_told(void **state)
{
	struct fixture f;

	fixture_init(&f, env);
	assert_int_equal(
		fixture_load(
			&f,
			"providers: {p: {base_url: \"http://h\"}}\nmodels:\n"
			"  a: {price: {input: 1, output: 2}, modalities: {input: [text, audio], "
			"output: [text, audio, image]}, offers: {p/a: }}\n"
			"  b: {price: [{when: {hours: \"01:00-02:00\"}, input: 1, output: 2, "
			"output_audio: 9}, {input: 1, output: 2}], modalities: {output: [audio]}, "
			"offers: {p/b: }}\n"
			"  c: {price: {input: 1, output: 2, output_audio: 3}, modalities: "
			"{output: [audio]}, offers: {p/c: }}\n"
			"  d: {price: {request: 1}, modalities: {output: [audio]}, offers: {p/d: "
			"}}\n"
			"  e: {price: free, modalities: {output: [audio]}, offers: {p/e: }}\n"),
		ERRC_OK);
	assert_string_equal(
		fixture_messages(&f),
		"aigw.yaml:3:14: warning: `models.a` takes audio, for which its price has no "
		"`input_audio`: each token costs what one of `input` does\n"
		"aigw.yaml:3:14: warning: `models.a` writes audio, for which its price has no "
		"`output_audio`: each token costs what one of `output` does\n"
		"aigw.yaml:3:14: warning: `models.a` writes images, for which its price has no "
		"`output_image`: each token costs what one of `output` does\n"
		"aigw.yaml:4:14: warning: `models.b` writes audio, for which its price has no "
		"`output_audio`: each token costs what one of `output` does\n");
	fixture_fini(&f);
}

static void nothing_configured(void **state)
{
	const char *const set[] = {"HOME=/nowhere", "ANTHROPIC_API_KEY=a",
				   "XDG_RUNTIME_DIR=/run/user/1000", NULL};
	struct fixture f;
	struct ptable *t;

	fixture_init(&f, set);
	f.opts.path = NULL;
	assert_int_equal(fixture_load_file(&f), ERRC_OK);
	assert_string_equal(fixture_messages(&f), "");
	t = fixture_table(&f);
	assert_int_equal(t->providers_n, 1);
	assert_int_equal(t->providers[0].dialect, PTABLE_ANTHROPIC);
	assert_int_equal(t->providers[0].keys_n, 1);
	assert_true(t->models_n > 3);
	assert_true(slice_is(t->set.listeners[0].address, "127.0.0.1:8080"));
	ptable_drop(&t);
	f.opts.env = (char *const *)env;
	assert_int_equal(fixture_load_file(&f), ERRC_OK);
	assert_string_equal(
		fixture_messages(&f),
		"(default): warning: there is no model: every request will be answered with 404\n");
	fixture_fini(&f);
}

/* --------------------------------------------------------------- the rest */

struct seen {
	struct buf text;
};

static void note(void *arg, const struct config_change *ch)
{
	static const char *const kinds[] = {"+", "-", "~"};
	struct seen *s = arg;

	assert_int_equal(buf_addf(&s->text, "%s" SLICE_FMT "%s ", kinds[ch->kind],
				  SLICE_ARG(ch->path), ch->reload == SETTINGS_RESTART ? "!" : ""),
			 ERRC_OK);
}

static void diff_names_what_changed(void **state)
{
	struct fixture a, b;
	struct seen s;

	fixture_init(&a, env);
	fixture_init(&b, env);
	buf_init(&s.text, 1 << 16);
	fixture_good(&a, issue);
	fixture_good(&b, issue);
	assert_int_equal(config_diff(a.c, b.c, note, &s), 0);
	assert_int_equal(
		fixture_load(&b,
			     "region: test\nworkers: 3\nlimits: {body: 1MiB}\nlisten: "
			     "[\"127.0.0.1:8181\", \"127.0.0.1:8182\"]\n"
			     "admin: {socket: run/control.sock, http: \"127.0.0.1:9465\"}\nstate: "
			     "run/state\nshared_memory: /dev/shm/aigw-test\n"
			     "providers:\n  mock: {base_url: \"http://127.0.0.1:9900/v1\", keys: "
			     "[\"env:SECOND\"]}\n  new: {base_url: \"http://h\"}\n"
			     "models: {m2: {price: free, offers: {new/m: {}}}}\n"),
		ERRC_OK);
	assert_int_equal(config_diff(a.c, b.c, note, &s), 7);
	assert_string_equal(buf_cstr(&s.text),
			    "~workers! ~limits.body +listen 127.0.0.1:8182 ~providers.mock "
			    "+providers.new -models.m1 +models.m2 ");
	buf_fini(&s.text);
	config_free(&b.c);
	buf_fini(&b.messages);
	fixture_fini(&a);
}

static void printing_hides_secrets(void **state)
{
	struct fixture f;
	struct buf out;

	fixture_init(&f, env);
	buf_init(&out, 1 << 20);
	fixture_good(&f, "providers: {p: {base_url: \"http://h\", keys: \"env:MOCK_KEY\", headers: "
			 "{X-Api-Token: canary, plain: shown, x-auth: \"env:SECOND\"}}}\n" MODEL);
	assert_int_equal(config_print(f.c, true, &out), ERRC_OK);
	assert_null(strstr(buf_cstr(&out), "canary"));
	assert_null(strstr(buf_cstr(&out), "s3cret"));
	assert_null(strstr(buf_cstr(&out), "second"));
	assert_non_null(strstr(buf_cstr(&out), "X-Api-Token: \"***\"  # aigw.yaml:1:"));
	assert_non_null(strstr(buf_cstr(&out), "plain: shown"));
	assert_non_null(strstr(buf_cstr(&out), "workers: auto  # default"));
	buf_fini(&out);
	fixture_fini(&f);
}

static void check_says_ok(void **state)
{
	struct fixture f;

	fixture_init(&f, env);
	f.opts.text = slice_str(issue);
	assert_int_equal(config_check(&f.opts, &f.messages), ERRC_OK);
	assert_string_equal(fixture_messages(&f),
			    "aigw.yaml: ok, 1 provider, 1 model, 2 offers, 0 warnings\n");
	fixture_fini(&f);
}

static void survives_without_memory(void **state)
{
	enum errc rc = ERRC_NOMEM;

	for (unsigned n = 1; rc != ERRC_OK; n++) {
		struct fixture f;
		struct ptable *t = NULL;
		struct buf blob;

		fixture_init(&f, env);
		buf_init(&blob, 1 << 20);
		mem_fail_after(n);
		rc = fixture_load(&f, issue);
		if (rc == ERRC_OK)
			rc = config_blob(f.c, 1, &blob);
		if (rc == ERRC_OK)
			rc = ptable_decode(buf_slice(&blob), &t);
		if (rc == ERRC_OK) {
			buf_reset(&blob);
			rc = config_print(f.c, true, &blob);
		}
		mem_fail_after(0);
		assert_true(rc == ERRC_OK || rc == ERRC_NOMEM);
		ptable_drop(&t);
		buf_fini(&blob);
		fixture_fini(&f);
	}
}

static void default_socket(void **state)
{
	const char *const set[] = {"AIGW_CONFIG=/x/y.yaml", "HOME=/nowhere", NULL};
	char out[200];

	assert_true(config_default_socket((char *const *)set, out, sizeof(out)));
	assert_non_null(strstr(out, "control.sock"));
	assert_false(config_default_socket((char *const *)set, out, 5));
	assert_true(config_default_path((char *const *)set, out, sizeof(out)));
	assert_string_equal(out, "/x/y.yaml");
}

/* aigwctl asks where the default configuration says, whatever else is wrong with it. */
static void socket_of_the_default_configuration(void **state)
{
	const char *const set[] = {"AIGW_CONFIG=main.yaml", "HOME=/nowhere", "REGION=eu", NULL};
	char out[4096];
	struct fixture f;

	fixture_init(&f, env);
	fixture_file(&f, "main.yaml", "include: [conf/*.yaml]\noverlay: [\"${env:REGION}.yaml\"]\n");
	fixture_file(&f, "conf/a.yaml", "admin: {socket: a.sock}\nworkerz: 1\nmodels: {x: {}}\n");
	fixture_file(&f, "eu.yaml", "log: {level: debug}\n");
	assert_true(config_default_socket((char *const *)set, out, sizeof(out)));
	assert_true(slice_has_suffix(slice_str(out), SLICE_LIT("/conf/a.sock")));
	assert_int_equal(out[0], '/');
	fixture_file(&f, "eu.yaml", "admin: {socket: /x/eu.sock}\n");
	assert_true(config_default_socket((char *const *)set, out, sizeof(out)));
	assert_string_equal(out, "/x/eu.sock");
	fixture_file(&f, "main.yaml", "{");
	assert_true(config_default_socket((char *const *)set, out, sizeof(out)));
	assert_non_null(strstr(out, "control.sock"));
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(issue_works_as_it_stands),
		cmocka_unit_test(values_are_text),
		cmocka_unit_test(settle_lowers_the_lag),
		cmocka_unit_test(unset_secrets),
		cmocka_unit_test(secret_files),
		cmocka_unit_test(tls_files),
		cmocka_unit_test(providers_of_all_kinds),
		cmocka_unit_test(offers_are_ranked_and_priced),
		cmocka_unit_test(a_model_without_output_is_no_chat),
		cmocka_unit_test(short_form),
		cmocka_unit_test(written_offers_win),
		cmocka_unit_test(two_catalogs_offer_one_model),
		cmocka_unit_test(markup_is_exact),
		cmocka_unit_test(markup_of_conditional_prices),
		cmocka_unit_test(media_at_the_price_of_text_is_told),
		cmocka_unit_test(nothing_configured),
		cmocka_unit_test(diff_names_what_changed),
		cmocka_unit_test(printing_hides_secrets),
		cmocka_unit_test(check_says_ok),
		cmocka_unit_test(survives_without_memory),
		cmocka_unit_test(default_socket),
		cmocka_unit_test(socket_of_the_default_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
