/* The cost that a client is told in the usage of its answer: what is charged, whatever the provider reported and the account has. */
#include "scene.h"

#include <stdio.h>

#include "money.h"

/* What the client was told that it costs. */
static void expect_told(struct scene *s, int64_t nusd)
{
	char text[MONEY_TEXT_MAX + 16] = "\"cost\":";

	size_t n = strlen(text);

	n += money_print(nusd, 1, text + n);
	snprintf(text + n, 2, "}");
	scene_expect_out(s, text);
	mem_xport_take(s->client);
}

/* What a provider may say of usage, in full or not. */
static const char *const reports[] = {
	"{\"prompt_tokens\":10,\"completion_tokens\":5}",
	"{\"prompt_tokens\":100}",
	"{\"completion_tokens\":5}",
	"{\"total_tokens\":155}",
	"{\"prompt_tokens\":100,\"total_tokens\":155}",
	"{\"prompt_tokens\":\"100\",\"completion_tokens\":5}",
	"{\"prompt_tokens\":100000000000000000000,\"completion_tokens\":5}",
	"{\"prompt_tokens\":0}",
	"{\"prompt_tokens\":0,\"completion_tokens\":0}",
	"{}",
	"[]",
	"null",
};

static void test_told_cost_of_a_whole_answer(void **state)
{
	static const char *const rest[] = {"", ",\"service_tier\":\"default\""};
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");
	char body[512];

	for (size_t i = 0; i < 2 * ARRAY_LEN(reports); i++) {
		snprintf(body, sizeof(body),
			 "{\"id\":\"c1\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,"
			 "\"message\":{\"role\":\"assistant\",\"content\":\"hello there\"},"
			 "\"finish_reason\":\"stop\"}],\"usage\":%s%s}",
			 reports[i / 2], rest[i % 2]);
		scene_chat(s, "solo", false);
		scene_answer(s, up, 200, "", body);
		scene_none(s);
		expect_told(s, scene_charge(s)->charge_nusd);
	}
}

/* The item with the usage may have a choice, before which the finish has to go out. */
static void test_told_cost_of_a_stream(void **state)
{
	static const char *const choices[] = {"",
					      "{\"index\":0,\"delta\":{},\"finish_reason\":null}"};
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");
	char item[512];

	for (size_t i = 0; i < 2 * ARRAY_LEN(reports); i++) {
		scene_chat(s, "solo", true);
		scene_stream(s, up);
		scene_item(s, up, scene_text);
		scene_item(s, up,
			   "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{"
			   "\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}");
		snprintf(item, sizeof(item),
			 "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[%s],"
			 "\"usage\":%s}",
			 choices[i % 2], reports[i / 2]);
		scene_item(s, up, item);
		scene_item(s, up, "[DONE]");
		scene_stream_end(s, up);
		scene_none(s);
		expect_told(s, scene_charge(s)->charge_nusd);
	}
}

/* The provider's end may take longer than a finish is kept. By its length this answer costs more than was held. */
static void test_told_cost_before_a_late_end(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");
	char item[1024];

	for (size_t i = 0; i < ARRAY_LEN(reports); i++) {
		scene_chat(s, "solo", true);
		scene_stream(s, up);
		snprintf(item, sizeof(item),
			 "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{"
			 "\"index\":0,\"delta\":{\"content\":\"%0560d\"}}]}",
			 0);
		scene_item(s, up, item);
		snprintf(item, sizeof(item),
			 "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{"
			 "\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":%s}",
			 reports[i]);
		scene_item(s, up, item);
		scene_advance(s, 300);
		scene_expect_out(s, "\"finish_reason\":\"stop\"");
		scene_item(s, up, "[DONE]");
		scene_stream_end(s, up);
		scene_none(s);
		expect_told(s, scene_charge(s)->charge_nusd);
	}
}

/* Leaves the account less than the answers below cost. */
static struct mem_xport *poor(struct scene *s)
{
	bool durable;

	assert_int_equal(admin_account_take(&s->rig.admin, &s->rig.by, s->account,
					    10 * RIG_DOLLAR - 250000, &durable),
			 ERRC_OK);
	return scene_up(s, "one");
}

/* An account that has less than it costs is charged what there is, and told that. */
static void test_told_cost_beyond_the_credit(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = poor(s);

	scene_chat(s, "solo", false);
	scene_answer(s, up, 200, "",
		     "{\"id\":\"c1\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,"
		     "\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":"
		     "\"stop\"}],\"usage\":{\"prompt_tokens\":10000,\"completion_tokens\":5}}");
	scene_none(s);
	assert_int_equal(scene_charge(s)->charge_nusd, 250000);
	expect_told(s, 250000);
}

/* Some providers write the usage first, and the answer may be of any length. */
static void test_told_cost_beyond_the_credit_before_a_long_rest(void **state)
{
	static char body[40000];
	struct scene *s = *state;
	struct mem_xport *up = poor(s);

	snprintf(body, sizeof(body),
		 "{\"id\":\"c1\",\"object\":\"chat.completion\",\"usage\":{\"prompt_tokens\":10000,"
		 "\"completion_tokens\":5},\"choices\":[{\"index\":0,\"message\":{\"role\":"
		 "\"assistant\",\"content\":\"%030000d\"},\"finish_reason\":\"stop\"}]}",
		 0);
	scene_chat(s, "solo", false);
	scene_answer(s, up, 200, "", body);
	scene_none(s);
	assert_int_equal(scene_charge(s)->charge_nusd, 250000);
	expect_told(s, 250000);
}

/* A finish that has to go out before the end goes without its usage. */
static void told_in_a_stream(struct scene *s, struct mem_xport *up, int64_t ms, const char *next)
{
	scene_chat(s, "solo", true);
	scene_stream(s, up);
	scene_item(s, up, scene_text);
	scene_item(s, up,
		   "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,"
		   "\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10000,"
		   "\"completion_tokens\":5}}");
	scene_advance(s, ms);
	if (next)
		scene_item(s, up, next);
	scene_expect_out(s, "\"finish_reason\":\"stop\"");
	scene_item(s, up, "[DONE]");
	scene_stream_end(s, up);
	scene_none(s);
	assert_int_equal(scene_charge(s)->charge_nusd, 250000);
	expect_told(s, 250000);
}

static void test_told_cost_beyond_the_credit_before_a_late_end(void **state)
{
	told_in_a_stream(*state, poor(*state), 300, NULL);
}

static void test_told_cost_beyond_the_credit_before_another_item(void **state)
{
	told_in_a_stream(*state, poor(*state), 0,
			 "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{"
			 "\"index\":0,\"delta\":{},\"finish_reason\":null}]}");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		T(test_told_cost_of_a_whole_answer),
		T(test_told_cost_of_a_stream),
		T(test_told_cost_before_a_late_end),
		T(test_told_cost_beyond_the_credit),
		T(test_told_cost_beyond_the_credit_before_a_long_rest),
		T(test_told_cost_beyond_the_credit_before_a_late_end),
		T(test_told_cost_beyond_the_credit_before_another_item),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
