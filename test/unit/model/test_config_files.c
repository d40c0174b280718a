/* Several files: what includes and overlays may do (contract B1), and what is told when they may not. */
#include "caps.h"
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static const char *const env[] = {"HOME=/nowhere", "SITE=a", NULL};

#define P "providers: {p: {base_url: \"http://h\"}}\n"

static void load_ok(struct fixture *f)
{
	enum errc rc = fixture_load_file(f);

	assert_string_equal(fixture_messages(f), "");
	assert_int_equal(rc, ERRC_OK);
}

static void load_fails(struct fixture *f, const char *messages)
{
	assert_int_equal(fixture_load_file(f), ERRC_INVAL);
	assert_string_equal(fixture_messages(f), messages);
}

static void patterns_and_places(void **state)
{
	struct fixture f;
	struct ptable *t;

	fixture_init(&f, env);
	fixture_file(&f, "aigw.yaml",
		     "region: eu\ninclude: [\"conf/*.yaml\", none/*.yaml, \"${region}.yaml\", "
		     "\"host-${hostname}.yaml\", \"site-${env:SITE}.yaml\"]\n");
	fixture_file(&f, "conf/a.yaml", P "include: sub/x.yaml\n");
	fixture_file(&f, "conf/B.yaml", "models: {b: {price: free, offers: {p/b: {}}}}\n");
	fixture_file(&f, "conf/.hidden.yaml", "nonsense\n");
	mkdir("conf/sub", 0700);
	fixture_file(&f, "conf/sub/x.yaml",
		     "models: {x: {price: free, offers: {p/x: {}}}}\nlog: {to: \"file:x.log\"}\n");
	fixture_file(&f, "eu.yaml", "limits: {body: 1MiB}\n");
	fixture_file(&f, "host-node-7.yaml", "limits: {head: 32KiB}\nlog: {level: debug}\n");
	fixture_file(&f, "site-a.yaml", "workers: 3\n");
	load_ok(&f);
	t = fixture_table(&f);
	assert_int_equal(t->models_n, 2);
	assert_int_equal(t->set.limit_body_bytes, 1 << 20);
	assert_int_equal(t->set.limit_head_bytes, 32 << 10);
	assert_int_equal(t->set.workers, 3);
	assert_true(slice_has_suffix(t->set.log_to, SLICE_LIT("/conf/sub/x.log")));
	ptable_drop(&t);
	fixture_fini(&f);
}

static void variables(void **state)
{
	struct fixture f;

	fixture_init(&f, env);
	fixture_file(&f, "aigw.yaml",
		     "include: [\"${region}.yaml\", \"${env:NONE}.yaml\", \"${user}.yaml\", "
		     "\"${x\"]\nstate: \"/s/${region}\"\n");
	load_fails(&f,
		   "aigw.yaml:1:11: `${region}` is used here, but the main file sets no `region`\n"
		   "aigw.yaml:1:29: `${env:NONE}` is used here, but it is not set\n"
		   "aigw.yaml:1:49: unknown variable `${user}`: region, hostname and env:NAME are "
		   "known\n"
		   "aigw.yaml:1:65: `${` without `}`\n");
	fixture_file(&f, "aigw.yaml",
		     P "models: {m: {price: free, offers: {p/m: {}}}}\nstate: \"/s/${region}\"\n");
	load_ok(&f);
	assert_true(slice_is(config_settings(f.c)->state, "/s/${region}"));
	fixture_fini(&f);
}

static void missing_and_repeated_files(void **state)
{
	struct fixture f;

	fixture_init(&f, env);
	fixture_file(&f, "aigw.yaml", "include: [a.yaml, b.yaml, none.yaml, \"[ab].yaml\"]\n");
	fixture_file(&f, "a.yaml", "include: [aigw.yaml]\n");
	fixture_file(&f, "b.yaml", "log: {\n");
	load_fails(
		&f,
		"a.yaml:1:11: aigw.yaml is read a second time (first named in aigw.yaml:1:1)\n"
		"b.yaml:2:1: not valid YAML: did not find expected node content\n"
		"aigw.yaml:1:27: cannot read none.yaml: No such file or directory\n"
		"aigw.yaml:1:38: a.yaml is read a second time (first named in aigw.yaml:1:11)\n"
		"aigw.yaml:1:38: b.yaml is read a second time (first named in aigw.yaml:1:19)\n");
	fixture_fini(&f);
}

static void a_key_is_given_once(void **state)
{
	struct fixture f;

	fixture_init(&f, env);
	fixture_file(&f, "aigw.yaml",
		     "include: [a.yaml]\nworkers: 1\nlog: {to: stderr}\n" P
		     "models: {m: {price: free, offers: {p/m: {}}}}\n");
	fixture_file(&f, "a.yaml",
		     "workers: 2\nlog: {to: syslog, level: info}\nproviders: {p: {base_url: "
		     "\"http://i\"}}\nmodels: {m: {context: 5}}\n");
	load_fails(&f,
		   "a.yaml:1:1: `workers` is given a second time (first in aigw.yaml:2:1)\n"
		   "a.yaml:2:7: `log.to` is given a second time (first in aigw.yaml:3:7)\n"
		   "a.yaml:3:13: `providers.p` is given a second time (first in aigw.yaml:4:13)\n"
		   "a.yaml:4:10: `models.m` is given a second time (first in aigw.yaml:5:10); only "
		   "its `offers` may come from several files\n");
	fixture_fini(&f);
}

static void offers_come_from_several_files(void **state)
{
	struct fixture f;
	struct ptable *t;

	fixture_init(&f, env);
	fixture_file(&f, "aigw.yaml", "include: [\"?.yaml\"]\n" P "models:\n");
	fixture_file(&f, "a.yaml", "models: {m: {offers: {p/a: {}}}}\n");
	fixture_file(&f, "b.yaml",
		     "models: {m: {context: 77, max_output: 7, price: free, offers: {p/b: {}}}}\n");
	fixture_file(&f, "c.yaml", "models: {m: {offers: {p/c: {}}}}\n");
	load_ok(&f);
	t = fixture_table(&f);
	assert_int_equal(t->models_n, 1);
	assert_int_equal(t->models[0].offers_n, 3);
	assert_int_equal(t->models[0].context, 77);
	ptable_drop(&t);
	fixture_file(&f, "d.yaml", "models: {m: {offers: {p/c: {}}}}\n");
	load_fails(&f, "d.yaml:1:23: `models.m.offers.p/c` is given a second time (first in "
		       "c.yaml:1:23)\n");
	fixture_fini(&f);
}

/* --------------------------------------------------------------- overlays */

static const char base[] = "region: eu\noverlay: [regions/${region}.yaml]\nworkers: 1\ncors: "
			   "{origins: [https://a, https://b]}\n"
			   "providers:\n  p: {base_url: \"http://h\", headers: {a: x, b: y}}\n  q: "
			   "{base_url: \"http://h\"}\n"
			   "models:\n  m: {price: {input: 1, output: 2}, offers: {p/m: {weight: "
			   "1}, q/m: {weight: 2}}, fallbacks: [n]}\n"
			   "  n: {price: {input: 1, output: 2}, offers: {p/n: {}}}\n";

static void overlay_merges_replaces_removes(void **state)
{
	struct fixture f;
	struct ptable *t;
	const struct ptable_model *m;

	fixture_init(&f, env);
	fixture_file(&f, "aigw.yaml", base);
	fixture_file(&f, "regions/eu.yaml",
		     "workers: 5\nlog: {level: debug}\nlimits: ~\ncors: {origins: [https://c]}\n"
		     "providers: {p: {base_url: \"http://eu\", headers: {a: ~, c: z}}, r: "
		     "{base_url: \"http://r\", timeouts: ~}}\n"
		     "models:\n  m: {price: {input: 3}, offers: {q/m: ~, p/m: {weight: 9}, r/m: "
		     "{weight: 1, priority: 2}}, fallbacks: ~}\n"
		     "  n: ~\n  o: {price: free, offers: {r/o: {}}}\n");
	load_ok(&f);
	t = fixture_table(&f);
	assert_int_equal(t->set.workers, 5);
	assert_int_equal(t->set.log_level, SETTINGS_LOG_LEVEL_DEBUG);
	assert_int_equal(t->set.cors_origins.n, 1);
	assert_true(slice_is(t->providers[0].base.host, "eu"));
	assert_int_equal(t->providers[0].headers_n, 2);
	assert_true(slice_is(t->providers[0].headers[0].name, "b"));
	assert_int_equal(t->providers_n, 3);
	assert_int_equal(t->models_n, 2);
	m = ptable_model(t, SLICE_LIT("m"));
	assert_int_equal(m->price->rows[0]->pusd[USAGE_INPUT], 3000000);
	assert_int_equal(m->price->rows[0]->pusd[USAGE_OUTPUT], 2000000);
	assert_int_equal(m->offers_n, 2);
	assert_int_equal(m->offers[0].weight, 9);
	assert_true(slice_is(m->offers[1].provider->name, "r"));
	assert_int_equal(m->fallbacks_n, 0);
	ptable_drop(&t);
	fixture_fini(&f);
}

static void overlay_may_not_invent(void **state)
{
	struct fixture f;

	fixture_init(&f, env);
	fixture_file(&f, "aigw.yaml", base);
	fixture_file(&f, "regions/eu.yaml",
		     "region: us\ninclude: x.yaml\nworkerz: ~\nlog: {levle: ~}\n"
		     "providers: {pp: {keys: []}, x: ~, p: {base_ulr: ~}}\n"
		     "models:\n  m: {offers: {p/mm: {weight: 9}, p/x: ~}}\n  mm: {context: 5}\n  "
		     "z: ~\n");
	load_fails(
		&f,
		"regions/eu.yaml:1:1: `region` cannot stand in an overlay\n"
		"regions/eu.yaml:2:1: `include` cannot stand in an overlay\n"
		"regions/eu.yaml:5:13: `providers.pp` does not exist (did you mean `p`?), and an "
		"overlay must give a new provider whole: `dialect` and `base_url`, or `catalog`\n"
		"regions/eu.yaml:5:29: `providers.x` does not exist (did you mean `p`?), so that "
		"`~` removes nothing\n"
		"regions/eu.yaml:5:39: `providers.p.base_ulr` does not exist (did you mean "
		"`base_url`?), so that `~` removes nothing\n"
		"regions/eu.yaml:7:16: `models.m.offers.p/mm` does not exist (did you mean "
		"`p/m`?), and an overlay must give a new offer whole: `weight` and `priority`\n"
		"regions/eu.yaml:7:35: `models.m.offers.p/x` does not exist (did you mean `p/m`?), "
		"so that `~` removes nothing\n"
		"regions/eu.yaml:9:3: `models.z` does not exist (did you mean `m`?), so that `~` "
		"removes nothing\n"
		"regions/eu.yaml:3:1: unknown key `workerz` (did you mean `workers`?)\n"
		"regions/eu.yaml:4:7: unknown key `log.levle` (did you mean `level`?)\n"
		"regions/eu.yaml:5:13: `providers.pp.base_url` is missing (or `catalog`, which "
		"supplies it)\n"
		"regions/eu.yaml:8:3: `models.mm` does not exist, and an overlay must give a new "
		"model whole: `price` and `offers` are missing\n");
	fixture_fini(&f);
}

/* What comes from a catalog exists: an overlay may change it in part. */
static void overlay_changes_a_catalog_model(void **state)
{
	struct fixture f;
	struct ptable *t;
	const struct ptable_model *m;

	fixture_init(&f, env);
	fixture_file(&f, "aigw.yaml",
		     "overlay: o.yaml\nproviders: {openai: {catalog: openai, keys: [], models: "
		     "[\"gpt-4\", gpt-4.1, gpt-4o-mini, gpt-4.1-nano]}}\n");
	fixture_file(&f, "o.yaml",
		     "providers: {openai: {markup: 2}}\nmodels: {gpt-4: {max_output: 99}, "
		     "gpt-4.1-nano: {image_tokens: 7, output_image_tokens: 12000}}\n");
	load_ok(&f);
	t = fixture_table(&f);
	m = ptable_model(t, SLICE_LIT("gpt-4"));
	assert_int_equal(m->max_output, 99);
	assert_int_equal(m->context, 8192);
	assert_int_equal(m->price->rows[0]->pusd[USAGE_INPUT], 60000000);
	assert_int_equal(m->offers_n, 1);
	/* A picture may be many more tokens than the default. */
	assert_int_equal(ptable_model(t, SLICE_LIT("gpt-4o-mini"))->image_tokens, 48169);
	assert_int_equal(ptable_model(t, SLICE_LIT("gpt-4.1-nano"))->image_tokens, 7);
	assert_int_equal(ptable_model(t, SLICE_LIT("gpt-4.1-nano"))->output_image_tokens, 12000);
	assert_int_equal(m->output_image_tokens, 6240);
	ptable_drop(&t);
	fixture_fini(&f);
}

static void short_names_stand_for_long_ones(void **state)
{
	struct fixture f;

	fixture_init(&f, env);
	fixture_file(&f, "aigw.yaml",
		     "overlay: o.yaml\nkeepalive: 1s\ntimeouts: {idle: 9s}\nbody_memory: 64MiB\n" P
		     "models: {m: {price: free, offers: {p/m: {}}}}\n");
	fixture_file(&f, "o.yaml", "timeouts: {keepalive: 2s}\nhead_after: 0\n");
	load_ok(&f);
	assert_int_equal(config_settings(f.c)->keepalive_ms, 2000);
	assert_int_equal(config_settings(f.c)->head_after_ms, 0);
	assert_int_equal(config_settings(f.c)->timeout_idle_ms, 9000);
	assert_int_equal(config_settings(f.c)->limit_body_memory_bytes, 64 << 20);
	fixture_file(&f, "o.yaml",
		     "timeouts: {keepalive: 2s}\nkeepalive: 2s\nlimits: 5\nanswer_buffer: 1MiB\n");
	load_fails(
		&f,
		"o.yaml:2:1: `timeouts.keepalive` is given a second time (first in o.yaml:1:12)\n"
		"o.yaml:3:9: `limits` must be a mapping, not a text\n"
		"o.yaml:4:1: unknown key `answer_buffer`\n");
	fixture_fini(&f);
}

static void overlay_changes_groups(void **state)
{
	struct fixture f;
	struct ptable *t;

	fixture_init(&f, env);
	fixture_file(&f, "aigw.yaml",
		     "overlay: o.yaml\ngroups: {a: 2, b.c: 3, d: 4}\n" P
		     "models: {m: {price: free, offers: {p/m: {}}}}\n");
	fixture_file(&f, "o.yaml", "groups: {b.c: ~, d: 5}\n");
	load_ok(&f);
	t = fixture_table(&f);
	assert_int_equal(t->groups_n, 2);
	assert_int_equal(ptable_group_ppm(t, SLICE_LIT("d")), 5000000);
	ptable_drop(&t);
	fixture_file(&f, "o.yaml", "groups: {aa: ~}\nlimits.body: ~\n");
	load_fails(
		&f,
		"o.yaml:1:10: `groups.aa` does not exist (did you mean `a`?), so that `~` removes "
		"nothing\n"
		"o.yaml:2:1: unknown key `limits.body`: write `limits: {body: …}`\n");
	fixture_file(&f, "o.yaml", "groups: ~\n");
	load_ok(&f);
	t = fixture_table(&f);
	assert_int_equal(t->groups_n, 0);
	ptable_drop(&t);
	fixture_fini(&f);
}

/* What cannot be read is not left out in silence: prices may stand there. */
static void unreadable_is_told(void **state)
{
	struct fixture f;

	fixture_init(&f, env);
	fixture_file(&f, "aigw.yaml", "include: [\"loop/*.yaml\", /proc/self/status]\n" P);
	assert_int_equal(symlink("loop", "loop"), 0);
	load_fails(
		&f,
		"aigw.yaml:1:11: cannot look for loop/*.yaml: Too many levels of symbolic links\n"
		"aigw.yaml:1:26: cannot read /proc/self/status: it changed while it was read\n");
	assert_int_equal(unlink("loop"), 0);
	fixture_fini(&f);
}

/* The folder's own name is no pattern. */
static void patterns_in_a_folder_with_brackets(void **state)
{
	struct fixture f;

	fixture_init(&f, env);
	fixture_file(&f, "aigw.yaml", "include: [\"x[1]*/a.yaml\"]\n");
	fixture_file(&f, "x1/a.yaml", "workers: 5\n");
	fixture_file(&f, "w[1]/b.yaml", "include: [\"*.inc\"]\n");
	fixture_file(&f, "w[1]/c.inc", "min_output: 12\n");
	fixture_file(&f, "aigw.yaml",
		     "include: [\"x[1]*/a.yaml\", \"w[1]/b.yaml\", \"w[[]1]/b.yaml\"]\n" P
		     "models: {m: {price: free, offers: {p/m: {}}}}\n");
	load_ok(&f);
	assert_int_equal(config_settings(f.c)->workers, 5);
	assert_int_equal(config_settings(f.c)->min_output, 12);
	fixture_fini(&f);
}

/* 3 MiB of one value are a wrong value, and not a lack of memory. */
static void long_values_are_told(void **state)
{
	const size_t n = 3 << 20;
	struct fixture f;
	struct buf b;
	char *at;

	fixture_init(&f, env);
	buf_init(&b, 2 * n);
	assert_int_equal(buf_addz(&b, "state: "), ERRC_OK);
	assert_int_equal(buf_reserve(&b, n, &at), ERRC_OK);
	memset(at, 'a', n);
	buf_commit(&b, n);
	fixture_file(&f, "aigw.yaml", buf_cstr(&b));
	buf_fini(&b);
	assert_int_equal(fixture_load_file(&f), ERRC_INVAL);
	assert_non_null(
		strstr(fixture_messages(&f), "aigw.yaml:1:8: `state` must be a path of at most"));
	fixture_fini(&f);
}

/* What is good here no worker may refuse for its length. */
static void headers_and_keys_have_room(void **state)
{
	char value[LIMIT_HEADERS_UP + 1], text[sizeof(value) + 200];
	struct fixture f;

	fixture_init(&f, env);
	memset(value, 'k', sizeof(value));
	value[LIMIT_HEADERS_UP] = '\0';
	fixture_file(&f, "key", value);
	value[LIMIT_HEADERS_UP - strlen("long: \r\n")] = '\0';
	snprintf(text, sizeof(text),
		 "models: {m: {price: free, offers: {p/m: {}}}}\n"
		 "providers: {p: {base_url: \"http://h\", keys: \"file:key\", headers: {long: "
		 "%s}}}\n",
		 value);
	fixture_file(&f, "aigw.yaml", text);
	load_ok(&f);
	snprintf(text, sizeof(text),
		 "providers: {p: {base_url: \"http://h\", keys: \"file:key\", headers: {long: "
		 "%sk}}}\n",
		 value);
	fixture_file(&f, "aigw.yaml", text);
	value[0] = '\0';
	memset(text, 'k', LIMIT_HEADERS_UP + 1);
	text[LIMIT_HEADERS_UP + 1] = '\0';
	fixture_file(&f, "key", text);
	assert_int_equal(fixture_load_file(&f), ERRC_INVAL);
	assert_non_null(strstr(fixture_messages(&f), "key has more than 8192 bytes"));
	assert_non_null(strstr(fixture_messages(&f),
			       "`providers.p.headers` has more than 8192 bytes in all"));
	fixture_fini(&f);
}

static void overlays_apply_in_order(void **state)
{
	struct fixture f;

	fixture_init(&f, env);
	fixture_file(&f, "aigw.yaml",
		     "overlay: [one.yaml, \"two/*.yaml\"]\n" P
		     "models: {m: {price: free, offers: {p/m: {}}}}\n");
	fixture_file(&f, "one.yaml", "workers: 1\nmin_output: 11\n");
	fixture_file(&f, "two/b.yaml", "workers: 3\n");
	fixture_file(&f, "two/a.yaml", "workers: 2\n");
	load_ok(&f);
	assert_int_equal(config_settings(f.c)->workers, 3);
	assert_int_equal(config_settings(f.c)->min_output, 11);
	fixture_fini(&f);
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

static const char *swapped; /* just before it is opened another file takes its place */

/* What the code under test opens it never makes: there is no mode. */
int __wrap_open64(const char *path, int flags, ...)
{
	if (swapped && slice_has_suffix(slice_str(path), slice_str(swapped))) {
		assert_int_equal(rename("open", swapped), 0);
		swapped = NULL;
	}
	return __real_open64(path, flags);
}

/* What counts is the file that is read, not one that had its name before. */
static void secret_that_changes_places(void **state)
{
	struct fixture f;

	fixture_init(&f, env);
	fixture_file(&f, "aigw.yaml",
		     "providers: {p: {base_url: \"http://h/\", keys: [\"file:k\"]}}\n");
	fixture_file(&f, "k", "mine");
	fixture_file(&f, "open", "somebody's");
	assert_int_equal(fixture_load_file(&f), ERRC_OK);
	assert_int_equal(chmod("open", 0666), 0);
	swapped = "k";
	assert_int_equal(fixture_load_file(&f), ERRC_INVAL);
	assert_non_null(strstr(fixture_messages(&f), "chmod 0400 it\n"));
	assert_null(swapped);
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secret_that_changes_places),
		cmocka_unit_test(patterns_and_places),
		cmocka_unit_test(variables),
		cmocka_unit_test(missing_and_repeated_files),
		cmocka_unit_test(a_key_is_given_once),
		cmocka_unit_test(offers_come_from_several_files),
		cmocka_unit_test(overlay_merges_replaces_removes),
		cmocka_unit_test(overlay_may_not_invent),
		cmocka_unit_test(overlay_changes_a_catalog_model),
		cmocka_unit_test(overlay_changes_groups),
		cmocka_unit_test(unreadable_is_told),
		cmocka_unit_test(patterns_in_a_folder_with_brackets),
		cmocka_unit_test(long_values_are_told),
		cmocka_unit_test(headers_and_keys_have_room),
		cmocka_unit_test(overlays_apply_in_order),
		cmocka_unit_test(short_names_stand_for_long_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
