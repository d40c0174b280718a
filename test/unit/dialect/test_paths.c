/* The path table of contract A1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "paths.h"

struct path_case {
	const char *method, *target;
	enum errc e;
	enum paths_route route;
	const char *id, *said; /* {id}; a part of the fault's message */
};

static void targets_resolve(void **state)
{
	static const struct path_case cases[] = {
		{"POST", "/v1/chat/completions", ERRC_OK, PATHS_CHAT, "", ""},
		{"POST", "/chat/completions?x=1", ERRC_OK, PATHS_CHAT, "", ""},
		{"POST", "/v1/v1/chat/completions", ERRC_OK, PATHS_CHAT, "", ""},
		{"POST", "/api/v1/chat/completions", ERRC_OK, PATHS_CHAT, "", ""},
		{"POST", "/api/chat/completions", ERRC_OK, PATHS_CHAT, "", ""},
		{"POST", "/openai/v1/chat/completions", ERRC_OK, PATHS_CHAT, "", ""},
		{"POST", "/openai/chat/completions", ERRC_OK, PATHS_CHAT, "", ""},
		{"POST", "//v1//chat/completions/", ERRC_OK, PATHS_CHAT, "", ""},
		{"POST", "/v1/chat/completions/chat/completions", ERRC_OK, PATHS_CHAT, "", ""},
		{"POST", "/v1/chat/completions/v1/chat/completions", ERRC_OK, PATHS_CHAT, "", ""},
		{"POST", "/openai/deployments/gpt-4o/chat/completions?api-version=1", ERRC_OK,
		 PATHS_CHAT, "", ""},
		{"POST", "/v1/embeddings", ERRC_OK, PATHS_EMBEDDINGS, "", ""},
		{"GET", "/v1/models", ERRC_OK, PATHS_MODELS, "", ""},
		{"HEAD", "/models/", ERRC_OK, PATHS_MODELS, "", ""},
		{"GET", "/v1/models/a%2Fb%20c", ERRC_OK, PATHS_MODEL, "a/b c", ""},
		{"GET", "/v1/models/openai/gpt-5", ERRC_OK, PATHS_MODEL, "openai/gpt-5", ""},
		{"GET", "/v1/models/a%252Fb", ERRC_OK, PATHS_MODEL, "a%2Fb", ""},
		{"GET", "/", ERRC_OK, PATHS_ROOT, "", ""},
		{"GET", "/api/hello", ERRC_OK, PATHS_HELLO, "", ""},
		{"GET", "/healthz", ERRC_OK, PATHS_HEALTHZ, "", ""},
		{"GET", "/v1/generation?id=gen_1", ERRC_OK, PATHS_GENERATION, "", ""},
		{"GET", "/api/v1/key", ERRC_OK, PATHS_KEY, "", ""},
		{"OPTIONS", "/v1/chat/completions", ERRC_OK, PATHS_CHAT, "", ""},
		{"OPTIONS", "/v1/responses", ERRC_OK, PATHS_RESPONSES, "", ""},
		{"GET", "/v1/chat/completions", ERRC_PERM, PATHS_CHAT, "", "POST"},
		{"POST", "/v1/responses", ERRC_NOTFOUND, PATHS_RESPONSES, "",
		 "use /v1/chat/completions"},
		{"GET", "/v1/responses/r1/input_items", ERRC_NOTFOUND, PATHS_RESPONSE,
		 "r1/input_items", "not served"},
		{"POST", "/v1/messages", ERRC_NOTFOUND, PATHS_MESSAGES, "", "not served"},
		{"POST", "/anthropic/v1/messages", ERRC_NOTFOUND, PATHS_MESSAGES, "", "not served"},
		{"POST", "/v1/messages/v1/messages", ERRC_NOTFOUND, PATHS_MESSAGES, "",
		 "not served"},
		{"POST", "/v1/messages/count_tokens", ERRC_NOTFOUND, PATHS_COUNT_TOKENS, "",
		 "not served"},
		{"POST", "/v1beta/models/g:generateContent", ERRC_NOTFOUND, PATHS_GEMINI,
		 "g:generateContent", "not served"},
		{"POST", "/v1/chat/completion", ERRC_NOTFOUND, PATHS_COUNT, "",
		 "nearest is POST /v1/chat/completions"},
		{"GET", "/v1", ERRC_NOTFOUND, PATHS_COUNT, "", "GET /v1;"},
		{"GET", "/v1/modles", ERRC_NOTFOUND, PATHS_COUNT, "", "GET /v1/models."},
		{"GET", "/v1/receipts", ERRC_NOTFOUND, PATHS_COUNT, "", "GET /v1/receipts/{id}."},
		{"GET", "/v1/reciepts/gen_1", ERRC_NOTFOUND, PATHS_COUNT, "",
		 "GET /v1/receipts/{id}."},
		{"GET", "/v1/models/%zz", ERRC_INVAL, PATHS_COUNT, "", "malformed"},
		{"GET", "/%00", ERRC_INVAL, PATHS_COUNT, "", "malformed"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct path_case *c = &cases[i];
		struct paths_match m;
		struct fault f = {0};
		enum errc e = paths_resolve(slice_str(c->method), slice_str(c->target), &m, &f);

		if (e != c->e || m.route != c->route || strcmp(m.id, c->id) ||
		    (e && !strstr(fault_message(&f), c->said)))
			print_error("%s %s: %s route %d id '%s' %s\n", c->method, c->target,
				    errc_name(e), (int)m.route, m.id, fault_message(&f));
		assert_int_equal(e, c->e);
		assert_int_equal(m.route, c->route);
		assert_string_equal(m.id, c->id);
		assert_int_equal(fault_is_set(&f), e != ERRC_OK);
		if (e)
			assert_non_null(strstr(fault_message(&f), c->said));
	}
}

static void details_of_a_match(void **state)
{
	struct paths_match m;
	struct fault f = {0};
	struct buf b;

	assert_int_equal(
		paths_resolve(SLICE_LIT("POST"),
			      SLICE_LIT("/openai/deployments/g%2F4/embeddings?a=b%20c&id=x"), &m,
			      &f),
		ERRC_OK);
	assert_string_equal(m.deployment, "g/4");
	assert_int_equal(m.family, PATHS_FOR_OPENAI);
	buf_init(&b, 100);
	assert_int_equal(paths_query(m.query, "a", &b), ERRC_OK);
	assert_string_equal(buf_cstr(&b), "b c");
	assert_int_equal(paths_query(m.query, "z", &b), ERRC_NOTFOUND);
	buf_fini(&b);
	assert_int_equal(paths_resolve(SLICE_LIT("PUT"), SLICE_LIT("/v1/models"), &m, &f),
			 ERRC_PERM);
	assert_string_equal(m.allow, "GET, HEAD, OPTIONS");
	assert_int_equal(paths_resolve(SLICE_LIT("GET"), SLICE_LIT("/v1/messages/x"), &m, &f),
			 ERRC_NOTFOUND);
	assert_int_equal(m.family, PATHS_FOR_ANTHROPIC);
}

/* The short cut for paths as the contract writes them finds what the search finds. */
static void plain_paths_match_as_others(void **state)
{
	for (unsigned r = 0; r < PATHS_COUNT; r++) {
		const char *name = paths_name((enum paths_route)r);
		struct paths_match plain, searched;
		struct fault f = {0};
		char path[80];

		if (strchr(name, '{')) {
			(void)!paths_resolve(SLICE_LIT("GET"), slice_str(name), &plain, &f);
			assert_int_equal(plain.route, r);
			assert_string_not_equal(plain.id, "");
			continue;
		}
		snprintf(path, sizeof(path), "/%s", name);
		(void)!paths_resolve(SLICE_LIT("GET"), slice_str(name), &plain, &f);
		(void)!paths_resolve(SLICE_LIT("GET"), slice_str(path), &searched, &f);
		assert_int_equal(plain.route, r);
		assert_memory_equal(&plain, &searched, sizeof(plain));
	}
}

/* A route that this version does not serve names what to use, and what it names is served. */
static void routes_to_come_name_what_to_use(void **state)
{
	static const struct {
		enum paths_route route;
		bool served;
		const char *path, *instead;
	} rows[] = {
#define PATHS(id, methods, family, served, path, instead) {PATHS_##id, served, path, instead},
#include "paths_tbl.h"
#undef PATHS
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *named = strstr(rows[i].instead, "/v1/");
		struct paths_match m;
		struct fault f = {0}, none = {0};
		char path[80];
		size_t n;

		if (rows[i].served) {
			assert_string_equal(rows[i].instead, "");
			continue;
		}
		n = strcspn(rows[i].path, "{");
		assert_true(n < sizeof(path) - 2);
		memcpy(path, rows[i].path, n);
		path[n] = rows[i].path[n] ? 'x' : '\0';
		path[n + 1] = '\0';
		assert_int_equal(paths_resolve(SLICE_LIT("POST"), slice_str(path), &m, &f),
				 ERRC_NOTFOUND);
		assert_int_equal(m.route, rows[i].route);
		assert_int_equal(f.kind, FAULT_URL_UNKNOWN);
		assert_non_null(strstr(fault_message(&f), "not served by this version"));
		assert_string_not_equal(rows[i].instead, "");
		assert_non_null(strstr(fault_message(&f), rows[i].instead));
		if (!named)
			continue;
		/* GET gives 405 for those that take POST: a route that is served, either way. */
		n = strcspn(named, " ,?");
		assert_int_not_equal(paths_resolve(SLICE_LIT("GET"), slice_of(named, n), &m, &none),
				     ERRC_NOTFOUND);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets_resolve),
		cmocka_unit_test(details_of_a_match),
		cmocka_unit_test(plain_paths_match_as_others),
		cmocka_unit_test(routes_to_come_name_what_to_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
