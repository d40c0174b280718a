/* What stands in `tools` and `functions`: an entry that is not surely a function or a custom tool is refused at its place, for it may
 * be one that a provider runs and charges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "rig.h"

/* Pieces of bodies. */
#define F     "\"function\":{\"name\":\"f\"}"
#define TOOLS "\"tools\":"
#define OLD   "\"functions\":"

struct refused {
	const char *member, *param;
	enum fault_kind kind;
};

static enum errc go(struct rig *r, const char *member, enum ptable_dialect back)
{
	static char body[1024]; /* is written from after this */

	rig_init(r, back);
	snprintf(body, sizeof(body),
		 "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],%s}",
		 member);
	return rig_ask(r, DIALECT_CHAT, body);
}

static const struct refused bad[] = {
	/* No list. */
	{TOOLS "{\"type\":\"web_search\"}", "tools", FAULT_INVALID_VALUE},
	{TOOLS "{}", "tools", FAULT_INVALID_VALUE},
	{TOOLS "\"web_search\"", "tools", FAULT_INVALID_VALUE},
	{TOOLS "\"\"", "tools", FAULT_INVALID_VALUE},
	{TOOLS "false", "tools", FAULT_INVALID_VALUE},
	{TOOLS "0", "tools", FAULT_INVALID_VALUE},
	/* No object in it. */
	{TOOLS "[\"web_search\"]", "tools[0]", FAULT_INVALID_VALUE},
	{TOOLS "[null]", "tools[0]", FAULT_INVALID_VALUE},
	{TOOLS "[7]", "tools[0]", FAULT_INVALID_VALUE},
	{TOOLS "[{" F "},[{\"type\":\"web_search\"}]]", "tools[1]", FAULT_INVALID_VALUE},
	{TOOLS "[[[]]]", "tools[0]", FAULT_INVALID_VALUE},
	/* No type, and no function. */
	{TOOLS "[{}]", "tools[0].type", FAULT_MISSING_FIELD},
	{TOOLS "[{\"google_search\":{}}]", "tools[0].type", FAULT_MISSING_FIELD},
	{TOOLS "[{\"name\":\"f\"}]", "tools[0].type", FAULT_MISSING_FIELD},
	{TOOLS "[{\"type\":null,\"name\":\"web_search\"}]", "tools[0].type", FAULT_MISSING_FIELD},
	{TOOLS "[{\"type\":null,\"function\":null}]", "tools[0].type", FAULT_MISSING_FIELD},
	{TOOLS "[{\"custom\":{\"name\":\"c\"}}]", "tools[0].type", FAULT_MISSING_FIELD},
	{TOOLS "[{\"a\":{" F ",\"type\":\"function\"}}]", "tools[0].type", FAULT_MISSING_FIELD},
	{TOOLS "[{\"function\":\"f\"}]", "tools[0].function", FAULT_INVALID_VALUE},
	{TOOLS "[{\"function\":[]}]", "tools[0].function", FAULT_INVALID_VALUE},
	/* Another type. */
	{TOOLS "[{\"type\":1," F "}]", "tools[0].type", FAULT_INVALID_VALUE},
	{TOOLS "[{\"type\":[\"web_search\"]," F "}]", "tools[0].type", FAULT_INVALID_VALUE},
	{TOOLS "[{\"type\":{}," F "}]", "tools[0].type", FAULT_INVALID_VALUE},
	{TOOLS "[{\"type\":false," F "}]", "tools[0].type", FAULT_INVALID_VALUE},
	{TOOLS "[{\"type\":\"\"," F "}]", "tools[0].type", FAULT_UNSUPPORTED_FIELD},
	{TOOLS "[{\"type\":\"Function\"," F "}]", "tools[0].type", FAULT_UNSUPPORTED_FIELD},
	{TOOLS "[{\"type\":\"function\\u0000\"," F "}]", "tools[0].type", FAULT_UNSUPPORTED_FIELD},
	{TOOLS "[{" F "},{" F ",\"t\\u0079pe\":\"web_\\u0073earch\"}]", "tools[1].type",
	 FAULT_UNSUPPORTED_FIELD},
	{TOOLS "[{\"type\":\"" /* longer than any */
	       "functionfunctionfunctionfunctionfunctionfunctionfunctionfunctionfunction"
	       "functionfunctionfunctionfunctionfunctionfunctionfunctionfunctionfunction"
	       "\"}]",
	 "tools[0].type", FAULT_UNSUPPORTED_FIELD},
	/* What counts of two depends on who reads. */
	{TOOLS "[],\"tools\":[{\"type\":\"web_search\"}]", "tools", FAULT_INVALID_VALUE},
	{TOOLS "[],\"t\\u006fols\":[{\"type\":\"web_search\"}]", "tools", FAULT_INVALID_VALUE},
	{"\"Tools\":[{\"type\":\"web_search\"}]", "Tools", FAULT_INVALID_VALUE},
	{TOOLS "[{\"type\":\"function\",\"type\":\"web_search\"," F "}]", "tools[0].type",
	 FAULT_INVALID_VALUE},
	{TOOLS "[{\"type\":\"web_search\",\"type\":\"function\"," F "}]", "tools[0].type",
	 FAULT_INVALID_VALUE},
	{TOOLS "[{\"type\":\"function\",\"type\":\"function\"," F "}]", "tools[0].type",
	 FAULT_INVALID_VALUE},
	{TOOLS "[{\"type\":\"function\",\"type\":null," F "}]", "tools[0].type",
	 FAULT_INVALID_VALUE},
	{TOOLS "[{\"type\":\"function\",\"\\u0074ype\":\"web_search\"," F "}]", "tools[0].type",
	 FAULT_INVALID_VALUE},
	{TOOLS "[{\"type\":\"function\",\"Type\":\"web_search\"," F "}]", "tools[0].type",
	 FAULT_INVALID_VALUE},
	{TOOLS "[{\"TYPE\":\"web_search\"," F "}]", "tools[0].type", FAULT_INVALID_VALUE},
	{TOOLS "[{" F ",\"function\":null,\"google_search\":{}}]", "tools[0].function",
	 FAULT_INVALID_VALUE},
	{TOOLS "[{\"Function\":{\"name\":\"f\"}}]", "tools[0].function", FAULT_INVALID_VALUE},
	/* The old form. */
	{OLD "{\"name\":\"f\"}", "functions", FAULT_INVALID_VALUE},
	{OLD "\"f\"", "functions", FAULT_INVALID_VALUE},
	{OLD "[\"f\"]", "functions[0]", FAULT_INVALID_VALUE},
	{OLD "[{\"name\":\"f\"},[{\"name\":\"f\"}]]", "functions[1]", FAULT_INVALID_VALUE},
	{OLD "[{\"google_search\":{}}]", "functions[0].name", FAULT_MISSING_FIELD},
	{OLD "[{\"name\":null}]", "functions[0].name", FAULT_MISSING_FIELD},
	{OLD "[{\"name\":{}}]", "functions[0].name", FAULT_INVALID_VALUE},
	{OLD "[{\"name\":\"f\",\"name\":\"g\"}]", "functions[0].name", FAULT_INVALID_VALUE},
	{OLD "[{\"name\":\"f\",\"type\":\"web_search\"}]", "functions[0].type",
	 FAULT_UNSUPPORTED_FIELD},
};

static void what_is_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		for (unsigned back = 0; back < PTABLE_DIALECT_COUNT; back++) {
			struct rig r;
			enum errc e = go(&r, bad[i].member, (enum ptable_dialect)back);

			if (!e || r.fault.kind != bad[i].kind || strcmp(r.fault.param, bad[i].param))
				fail_msg("%s: kind %d, '%s': %s", bad[i].member, r.fault.kind,
					 r.fault.param, r.fault.message);
			assert_non_null(strstr(r.fault.message, bad[i].param));
			rig_fini(&r);
		}
	}
}

/* Forms that clients send, as they were recorded. */
static void what_is_taken(void **state)
{
	static const struct {
		const char *member;
		bool tools, anthropic;
	} cases[] = {
		{TOOLS "null", false, true},
		{TOOLS "[]", false, true},
		{TOOLS " [ ] ", false, true},
		{TOOLS "[{\"type\":\"function\"," F "}]", true, true},
		{TOOLS "[{" F ",\"type\":\"function\"}]", true, true},
		{TOOLS "[{" F "}]", true, true},
		{TOOLS "[{\"type\":null," F "}]", true, true},
		{TOOLS "[ {\"t\\u0079pe\" : \"func\\u0074ion\" , " F "} ]", true, true},
		{TOOLS "[{\"type\":\"function\"," F ",\"cache_control\":{\"type\":\"ephemeral\"}}]",
		 true, true},
		{TOOLS "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{"
		       "\"type\":\"object\",\"properties\":{\"type\":{\"type\":\"string\"},"
		       "\"function\":{\"type\":\"object\"}}}}},{" F "}]",
		 true, true},
		{TOOLS "[{\"type\":\"custom\",\"custom\":{\"name\":\"c\"}}]", true, false},
		{OLD "null", false, true},
		{OLD "[]", true, true},
		{OLD
		 "[{\"name\":\"f\",\"description\":\"d\",\"parameters\":{\"type\":\"object\"}}]",
		 true, false},
		{OLD "[{\"type\":\"function\",\"name\":\"f\"}]", true, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig r;

		if (go(&r, cases[i].member, PTABLE_OPENAI))
			fail_msg("%s: %s", cases[i].member, r.fault.message);
		assert_int_equal(r.facts.has_tools, cases[i].tools);
		assert_int_equal(rig_write(&r, 100), ERRC_OK);
		rig_fini(&r);
		assert_int_equal(go(&r, cases[i].member, PTABLE_ANTHROPIC), ERRC_OK);
		if (!rig_write(&r, 100) != cases[i].anthropic)
			fail_msg("%s: %s", cases[i].member, r.fault.message);
		rig_fini(&r);
	}
}

/* Beside what says that it is a function, a member that nobody knows may name a tool of the provider's. */
static void what_may_ask_for_more(void **state)
{
	static const struct {
		const char *member;
		bool whole_context;
	} cases[] = {
		{TOOLS "[{\"type\":\"function\"," F ",\"strict\":true,\"defer_loading\":true}]",
		 false},
		{TOOLS "[{" F ",\"index\":0,\"google_search\":null,\"x\":false}]", false},
		{TOOLS "[{\"type\":\"custom\",\"custom\":{\"name\":\"c\"}}]", false},
		{TOOLS "[{\"type\":\"function\"," F ",\"google_search\":{}}]", true},
		{TOOLS "[{\"type\":\"function\"," F ",\"web_search\":true},{" F "}]", true},
		{TOOLS "[{\"type\":\"custom\",\"custom\":{},\"server\":\"x\"}]", true},
		{OLD "[{\"name\":\"f\",\"parameters\":{\"x\":{}}}]", false},
		{OLD "[{\"name\":\"f\",\"connector\":\"x\"}]", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig r;

		assert_int_equal(go(&r, cases[i].member, PTABLE_OPENAI), ERRC_OK);
		if (r.facts.bound.whole_context != cases[i].whole_context)
			fail_msg("%s", cases[i].member);
		rig_fini(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(what_is_taken),
		cmocka_unit_test(what_may_ask_for_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
