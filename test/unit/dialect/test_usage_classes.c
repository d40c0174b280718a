/* The usage of each kind of server as disjoint classes: whatever a server calls them, each token is priced once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "chat_usage.h"
#include "rig.h"

#define NONE (-1)

/* What is expected of each class, in the order of usage_tbl.h; NONE: not reported, which is not 0. */
struct expected {
	const char *what, *json;
	bool outside; /* the provider leaves reasoning out of its output */
	int64_t n[USAGE_COUNT];
};

static void check(const char *what, const struct usage *u, const int64_t n[USAGE_COUNT])
{
	for (enum usage_class c = 0; c < USAGE_COUNT; c++) {
		int64_t got = usage_has(u, c) ? usage_get(u, c) : NONE;

		if (got != n[c])
			print_error("%s: %s is %lld, not %lld\n", what, usage_name(c),
				    (long long)got, (long long)n[c]);
		assert_int_equal(got, n[c]);
	}
}

static const struct expected look_alikes[] = {
	/*                                 in  read  5m    1h    audio image out audio image reasoning, images, searches */
	{"plain",
	 "{\"prompt_tokens\":20,\"completion_tokens\":7,\"total_tokens\":27}",
	 false,
	 {20, NONE, NONE, NONE, NONE, NONE, 7, NONE, NONE, NONE, NONE, NONE}},
	{"explicit zeros",
	 "{\"prompt_tokens\":0,\"completion_tokens\":0}",
	 false,
	 {0, NONE, NONE, NONE, NONE, NONE, 0, NONE, NONE, NONE, NONE, NONE}},
	{"cache and reasoning inside",
	 "{\"prompt_tokens\":100,\"completion_tokens\":50,\"total_tokens\":150,\"prompt_"
	 "tokens_details\":"
	 "{\"cached_tokens\":60,\"cache_write_tokens\":10},\"completion_tokens_details\":{"
	 "\"reasoning_tokens\":40,"
	 "\"accepted_prediction_tokens\":3,\"rejected_prediction_tokens\":4}}",
	 false,
	 {30, 60, 10, NONE, NONE, NONE, 50, NONE, NONE, 40, NONE, NONE}},
	{"audio and images",
	 "{\"prompt_tokens\":100,\"completion_tokens\":50,\"prompt_tokens_details\":{"
	 "\"audio_tokens\":30,\"image_tokens\":5},"
	 "\"completion_tokens_details\":{\"audio_tokens\":20,\"image_tokens\":1}}",
	 false,
	 {65, NONE, NONE, NONE, 30, 5, 29, 20, 1, NONE, NONE, NONE}},
	{"sound and pictures are no more than the output",
	 "{\"prompt_tokens\":100,\"completion_tokens\":50,\"completion_tokens_details\":{"
	 "\"audio_tokens\":40,\"image_tokens\":30}}",
	 false,
	 {100, NONE, NONE, NONE, NONE, NONE, 0, 40, 10, NONE, NONE, NONE}},
	{"a cache that is 0 in the details and more at the top",
	 "{\"prompt_tokens\":100,\"completion_tokens\":5,\"prompt_cache_hit_tokens\":64,"
	 "\"prompt_tokens_details\":{\"cached_tokens\":0}}",
	 false,
	 {36, 64, NONE, NONE, NONE, NONE, 5, NONE, NONE, NONE, NONE, NONE}},
	{"DeepSeek",
	 "{\"prompt_tokens\":100,\"completion_tokens\":5,\"total_tokens\":105,\"prompt_"
	 "cache_hit_tokens\":64,"
	 "\"prompt_cache_miss_tokens\":36}",
	 false,
	 {36, 64, NONE, NONE, NONE, NONE, 5, NONE, NONE, NONE, NONE, NONE}},
	{"xAI: reasoning beside the output",
	 "{\"prompt_tokens\":32,\"completion_tokens\":9,\"total_tokens\":241,\"prompt_"
	 "tokens_details\":{\"cached_tokens\":8},"
	 "\"completion_tokens_details\":{\"reasoning_tokens\":200}}",
	 true,
	 {24, 8, NONE, NONE, NONE, NONE, 209, NONE, NONE, 200, NONE, NONE}},
	{"the same, told by the total alone",
	 "{\"prompt_tokens\":32,\"completion_tokens\":9,\"total_tokens\":241,"
	 "\"completion_tokens_details\":{\"reasoning_tokens\":200}}",
	 false,
	 {32, NONE, NONE, NONE, NONE, NONE, 209, NONE, NONE, 200, NONE, NONE}},
	{"a total that says that reasoning is inside",
	 "{\"prompt_tokens\":32,\"completion_tokens\":209,\"total_tokens\":241,"
	 "\"completion_tokens_details\":{\"reasoning_tokens\":200}}",
	 true,
	 {32, NONE, NONE, NONE, NONE, NONE, 209, NONE, NONE, 200, NONE, NONE}},
	{"Azure's Grok: the cache beside the prompt",
	 "{\"prompt_tokens\":10,\"completion_tokens\":4,\"total_tokens\":14,\"prompt_"
	 "tokens_details\":{\"cached_tokens\":161}}",
	 false,
	 {10, 161, NONE, NONE, NONE, NONE, 4, NONE, NONE, NONE, NONE, NONE}},
	{"...and sound of the prompt",
	 "{\"prompt_tokens\":10,\"completion_tokens\":4,\"total_tokens\":14,\"prompt_tokens_"
	 "details\":{\"cached_tokens\":161,\"audio_tokens\":8,\"image_tokens\":5}}",
	 false,
	 {0, 161, NONE, NONE, 8, 2, 4, NONE, NONE, NONE, NONE, NONE}},
	{"sound that was cached, in both numbers",
	 "{\"prompt_tokens\":1000,\"completion_tokens\":50,\"total_tokens\":1050,\"prompt_tokens_"
	 "details\":{\"cached_tokens\":600,\"audio_tokens\":500}}",
	 false,
	 {0, 600, NONE, NONE, 400, NONE, 50, NONE, NONE, NONE, NONE, NONE}},
	{"sound and pictures in the cache, all of them",
	 "{\"prompt_tokens\":1000,\"completion_tokens\":50,\"prompt_tokens_details\":{\"cached_"
	 "tokens\":700,\"cache_write_tokens\":300,\"audio_tokens\":500,\"image_tokens\":200}}",
	 false,
	 {0, 700, 300, NONE, 0, 0, 50, NONE, NONE, NONE, NONE, NONE}},
	{"sound larger than the prompt",
	 "{\"prompt_tokens\":100,\"completion_tokens\":5,\"prompt_tokens_details\":{\"cached_"
	 "tokens\":0,\"audio_tokens\":130,\"image_tokens\":1}}",
	 false,
	 {0, 0, NONE, NONE, 100, 0, 5, NONE, NONE, NONE, NONE, NONE}},
	{"embeddings with a total only",
	 "{\"total_tokens\":12}",
	 false,
	 {12, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE}},
	{"a total and one side give the other",
	 "{\"prompt_tokens\":20,\"total_tokens\":27}",
	 false,
	 {20, NONE, NONE, NONE, NONE, NONE, 7, NONE, NONE, NONE, NONE, NONE}},
	{"...and the other way round, reasoning beside",
	 "{\"completion_tokens\":7,\"total_tokens\":30,\"completion_tokens_details\":{"
	 "\"reasoning_tokens\":3}}",
	 true,
	 {20, NONE, NONE, NONE, NONE, NONE, 10, NONE, NONE, 3, NONE, NONE}},
	{"embeddings whose total is the input",
	 "{\"prompt_tokens\":12,\"total_tokens\":12}",
	 false,
	 {12, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE}},
	{"names of Responses",
	 "{\"input_tokens\":12,\"output_tokens\":3,\"input_tokens_details\":{\"cached_"
	 "tokens\":2},"
	 "\"output_tokens_details\":{\"reasoning_tokens\":1}}",
	 false,
	 {10, 2, NONE, NONE, NONE, NONE, 3, NONE, NONE, 1, NONE, NONE}},
	{"gateways that speak of the cache as Anthropic does",
	 "{\"prompt_tokens\":100,\"completion_tokens\":5,\"total_tokens\":105,\"cache_creation_"
	 "input_tokens\":30,"
	 "\"cache_read_input_tokens\":50}",
	 false,
	 {20, 50, 30, NONE, NONE, NONE, 5, NONE, NONE, NONE, NONE, NONE}},
	{"...and of how long it lives",
	 "{\"prompt_tokens\":100,\"completion_tokens\":5,\"total_tokens\":105,\"cache_creation_"
	 "input_tokens\":30,\"cache_creation\":{\"ephemeral_5m_input_tokens\":10,\"ephemeral_1h_"
	 "input_tokens\":20}}",
	 false,
	 {70, NONE, 10, 20, NONE, NONE, 5, NONE, NONE, NONE, NONE, NONE}},
	{"lifetimes that are unsaid, or nothing",
	 "{\"prompt_tokens\":100,\"completion_tokens\":5,\"total_tokens\":105,\"cache_creation_"
	 "input_tokens\":30,\"cache_creation\":{\"ephemeral_5m_input_tokens\":null,\"ephemeral_1h_"
	 "input_tokens\":null}}",
	 false,
	 {70, NONE, 30, NONE, NONE, NONE, 5, NONE, NONE, NONE, NONE, NONE}},
	{"lifetimes without their sum",
	 "{\"prompt_tokens\":100,\"completion_tokens\":5,\"total_tokens\":105,\"cache_creation\":{"
	 "\"ephemeral_5m_input_tokens\":10,\"ephemeral_1h_input_tokens\":20}}",
	 false,
	 {70, NONE, 10, 20, NONE, NONE, 5, NONE, NONE, NONE, NONE, NONE}},
	{"an hour for less than the sum",
	 "{\"prompt_tokens\":100,\"completion_tokens\":5,\"total_tokens\":105,\"cache_creation_"
	 "input_tokens\":30,\"cache_creation\":{\"ephemeral_5m_input_tokens\":1,\"ephemeral_1h_"
	 "input_tokens\":20}}",
	 false,
	 {70, NONE, 10, 20, NONE, NONE, 5, NONE, NONE, NONE, NONE, NONE}},
	{"an hour for more than the sum",
	 "{\"prompt_tokens\":100,\"completion_tokens\":5,\"total_tokens\":105,\"cache_creation_"
	 "input_tokens\":30,\"cache_creation\":{\"ephemeral_1h_input_tokens\":40}}",
	 false,
	 {60, NONE, 0, 40, NONE, NONE, 5, NONE, NONE, NONE, NONE, NONE}},
	{"LiteLLM: the same in the details",
	 "{\"prompt_tokens\":100,\"completion_tokens\":5,\"total_tokens\":105,\"prompt_tokens_"
	 "details\":{\"cached_tokens\":50,\"text_tokens\":20,\"cache_creation_tokens\":30,\"cache_"
	 "creation_token_details\":{\"ephemeral_5m_input_tokens\":10,\"ephemeral_1h_input_tokens\":"
	 "20}},\"cache_creation_input_tokens\":30,\"cache_read_input_tokens\":50}",
	 false,
	 {20, 50, 10, 20, NONE, NONE, 5, NONE, NONE, NONE, NONE, NONE}},
	{"...and without lifetimes",
	 "{\"prompt_tokens\":100,\"completion_tokens\":5,\"total_tokens\":105,\"prompt_tokens_"
	 "details\":{\"cached_tokens\":0,\"cache_creation_tokens\":30,\"cache_creation_token_"
	 "details\":null}}",
	 false,
	 {70, 0, 30, NONE, NONE, NONE, 5, NONE, NONE, NONE, NONE, NONE}},
	{"DashScope: in the details by other names",
	 "{\"prompt_tokens\":100,\"completion_tokens\":5,\"total_tokens\":105,\"prompt_tokens_"
	 "details\":{\"cached_tokens\":0,\"cache_type\":\"ephemeral\",\"cache_creation_input_"
	 "tokens\":30,\"cache_creation\":{\"ephemeral_5m_input_tokens\":30}}}",
	 false,
	 {70, 0, 30, NONE, NONE, NONE, 5, NONE, NONE, NONE, NONE, NONE}},
	{"one count by several names, 0 by those that are not used",
	 "{\"prompt_tokens\":100,\"completion_tokens\":5,\"total_tokens\":105,\"input_tokens\":0,"
	 "\"output_tokens\":0,\"prompt_tokens_details\":{\"cache_write_tokens\":30,\"cache_"
	 "creation_tokens\":0}}",
	 false,
	 {70, NONE, 30, NONE, NONE, NONE, 5, NONE, NONE, NONE, NONE, NONE}},
	{"...and by the first of them",
	 "{\"prompt_tokens\":100,\"completion_tokens\":5,\"total_tokens\":105,\"prompt_tokens_"
	 "details\":{\"cache_write_tokens\":0},\"cache_creation_input_tokens\":30}",
	 false,
	 {70, NONE, 30, NONE, NONE, NONE, 5, NONE, NONE, NONE, NONE, NONE}},
	{"OpenRouter: searches by the call",
	 "{\"prompt_tokens\":20,\"completion_tokens\":7,\"total_tokens\":27,\"server_tool_use\":{"
	 "\"web_search_requests\":2,\"tool_calls_requested\":3}}",
	 false,
	 {20, NONE, NONE, NONE, NONE, NONE, 7, NONE, NONE, NONE, NONE, 2}},
	{"OpenRouter: the same in another place",
	 "{\"prompt_tokens\":20,\"completion_tokens\":7,\"total_tokens\":27,\"server_tool_use_"
	 "details\":{"
	 "\"tool_calls_executed\":1,\"web_search_requests\":1}}",
	 false,
	 {20, NONE, NONE, NONE, NONE, NONE, 7, NONE, NONE, NONE, NONE, 1}},
	{"Perplexity: the same by another name",
	 "{\"prompt_tokens\":20,\"completion_tokens\":7,\"total_tokens\":27,\"search_context_"
	 "size\":"
	 "\"low\",\"num_search_queries\":1}",
	 false,
	 {20, NONE, NONE, NONE, NONE, NONE, 7, NONE, NONE, NONE, NONE, 1}},
	{"SGLang: reasoning at the top",
	 "{\"prompt_tokens\":20,\"completion_tokens\":7,\"total_tokens\":27,\"prompt_tokens_"
	 "details\":"
	 "null,\"reasoning_tokens\":4}",
	 false,
	 {20, NONE, NONE, NONE, NONE, NONE, 7, NONE, NONE, 4, NONE, NONE}},
	{"SGLang: which counts none of it",
	 "{\"prompt_tokens\":20,\"completion_tokens\":7,\"total_tokens\":27,\"reasoning_tokens\":"
	 "0}",
	 false,
	 {20, NONE, NONE, NONE, NONE, NONE, 7, NONE, NONE, NONE, NONE, NONE}},
	{"reasoning in both places",
	 "{\"prompt_tokens\":20,\"completion_tokens\":7,\"reasoning_tokens\":4,"
	 "\"completion_tokens_details\":{\"reasoning_tokens\":3}}",
	 false,
	 {20, NONE, NONE, NONE, NONE, NONE, 7, NONE, NONE, 3, NONE, NONE}},
	{"Perplexity: reasoning beside, and beside the total",
	 "{\"prompt_tokens\":33,\"completion_tokens\":7163,\"total_tokens\":7196,"
	 "\"reasoning_tokens\":73994}",
	 true,
	 {33, NONE, NONE, NONE, NONE, NONE, 81157, NONE, NONE, 73994, NONE, NONE}},
	{"numbers below zero and nonsense",
	 "{\"prompt_tokens\":5,\"completion_tokens\":-7,\"total_tokens\":null,\"prompt_tokens_"
	 "details\":{\"cached_tokens\":-1,\"audio_tokens\":\"2\"}}",
	 false,
	 {5, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE}},
	{"a side below zero is what the total leaves",
	 "{\"prompt_tokens\":5,\"completion_tokens\":-1,\"total_tokens\":12}",
	 false,
	 {5, NONE, NONE, NONE, NONE, NONE, 7, NONE, NONE, NONE, NONE, NONE}},
};

static void servers_that_look_like_openai(void **state)
{
	struct usage u;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(look_alikes); i++) {
		assert_true(chat_usage_read(slice_str(look_alikes[i].json), look_alikes[i].outside,
					    &u));
		check(look_alikes[i].what, &u, look_alikes[i].n);
	}
	assert_false(chat_usage_read(SLICE_LIT("null"), false, &u));
	assert_false(chat_usage_read(SLICE_LIT("{}"), false, &u));
	assert_false(chat_usage_read(SLICE_LIT("{\"cost\":1}"), false, &u));
	assert_false(chat_usage_read(SLICE_LIT("{\"prompt_tokens\":-5,\"completion_tokens\":-7}"),
				     false, &u));
}

static void tiers_of_service(void **state)
{
	static const struct {
		const char *word;
		enum usage_tier tier;
	} words[] = {{"\"default\"", USAGE_TIER_STANDARD},  {"\"standard\"", USAGE_TIER_STANDARD},
		     {"\"flex\"", USAGE_TIER_FLEX},         {"\"priority\"", USAGE_TIER_PRIORITY},
		     {"\"auto\"", USAGE_TIER_NONE},         {"null", USAGE_TIER_NONE},
		     {"\"scale\"", USAGE_TIER_NONE},        {"7", USAGE_TIER_NONE},
		     {"\"on_demand\"", USAGE_TIER_STANDARD}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		char text[128];
		struct usage u;

		assert_int_equal(chat_usage_tier(slice_str(words[i].word)), words[i].tier);
		snprintf(text, sizeof(text), "{\"prompt_tokens\":1,\"service_tier\":%s}",
			 words[i].word);
		assert_true(chat_usage_read(slice_str(text), false, &u));
		assert_int_equal(u.tier, words[i].tier);
	}
}

#define ANSWER(usage)                                                                              \
	"{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[{" \
	"\"type\":\"text\",\"text\":\"x\"}],\"stop_reason\":\"end_turn\",\"usage\":" usage "}"

static void anthropic(void **state)
{
	static const struct expected cases[] = {
		{"the cache beside the input, lifetimes apart",
		 ANSWER("{\"input_tokens\":20,\"cache_creation_input_tokens\":30,\"cache_read_"
			"input_tokens\":100,"
			"\"cache_creation\":{\"ephemeral_5m_input_tokens\":10,\"ephemeral_1h_input_"
			"tokens\":20},\"output_tokens\":7}"),
		 false,
		 {20, 100, 10, 20, NONE, NONE, 7, NONE, NONE, NONE, NONE, NONE}},
		{"lifetimes unsaid: five minutes",
		 ANSWER("{\"input_tokens\":20,\"cache_creation_input_tokens\":30,\"output_tokens\":"
			"7}"),
		 false,
		 {20, NONE, 30, NONE, NONE, NONE, 7, NONE, NONE, NONE, NONE, NONE}},
		{"lifetimes without their sum",
		 ANSWER("{\"input_tokens\":20,\"cache_creation\":{\"ephemeral_5m_input_tokens\":1,"
			"\"ephemeral_1h_input_tokens\":2},"
			"\"output_tokens\":7}"),
		 false,
		 {20, NONE, 1, 2, NONE, NONE, 7, NONE, NONE, NONE, NONE, NONE}},
		{"searches",
		 ANSWER("{\"input_tokens\":20,\"output_tokens\":7,\"server_tool_use\":{\"web_fetch_"
			"requests\":1,\"web_search_requests\":3}}"),
		 false,
		 {20, NONE, NONE, NONE, NONE, NONE, 7, NONE, NONE, NONE, NONE, 3}},
		{"numbers below zero",
		 ANSWER("{\"input_tokens\":20,\"cache_read_input_tokens\":-1,\"output_tokens\":"
			"-7}"),
		 false,
		 {20, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE}},
		{"thinking inside",
		 ANSWER("{\"input_tokens\":20,\"output_tokens\":70,\"output_tokens_details\":{"
			"\"thinking_tokens\":60}}"),
		 false,
		 {20, NONE, NONE, NONE, NONE, NONE, 70, NONE, NONE, 60, NONE, NONE}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig r;

		rig_init(&r, PTABLE_ANTHROPIC);
		assert_int_equal(rig_ask(&r, DIALECT_CHAT,
					 "{\"model\":\"m\",\"messages\":[{\"role\":\"user\","
					 "\"content\":\"x\"}]}"),
				 ERRC_OK);
		assert_int_equal(rig_answer(&r, slice_str(cases[i].json), false), ERRC_OK);
		assert_true(r.has_usage);
		check(cases[i].what, &r.usage, cases[i].n);
		rig_fini(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(servers_that_look_like_openai),
		cmocka_unit_test(tiers_of_service),
		cmocka_unit_test(anthropic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
