/* What a client is told that is refused by a limit or for want of money: the scope, the limit, and whether to come back. */
#include "scene.h"

#include <stdio.h>

static const char chat[] = "{\"model\":\"m\",\"max_tokens\":50,\"messages\":[{\"role\":\"user\","
			   "\"content\":\"hi\"}]}";

static void put_scope(struct scene *s, struct rows_scope *of, enum rows_limit kind, int64_t limit)
{
	rows_limits_init(&of->limits);
	rig_limit(of, kind, limit);
	rig_put(&s->rig, of);
}

/* An error names the scope: the account by its own rules, the team of the key. */
static void test_admit_names_the_scope(void **state)
{
	struct scene *s = *state;
	struct rows_scope account, team;

	rig_scope(&account, s->account, ROWS_ACCOUNT, "");
	rig_scope(&team, s->account, ROWS_TEAM, "growth");
	rig_put(&s->rig, &team);
	memcpy(s->key.team, team.id, ROWS_ID);
	scene_key(s);
	put_scope(s, &team, ROWS_RPM, 0);
	scene_send(s, "POST /v1/chat/completions", "", chat);
	scene_expect_out(s, "\"scope\":\"team growth: requests a minute\"");
	put_scope(s, &team, ROWS_BUDGET, 1);
	scene_send(s, "POST /v1/chat/completions", "", chat);
	scene_expect_out(s, "The budget per month of team `growth` ($0.000000001) does not cover");
	team.limits.v[0].window.unit = WINDOW_TOTAL;
	team.limits.v[0].credit = true;
	rig_put(&s->rig, &team);
	scene_send(s, "POST /v1/chat/completions", "", chat);
	scene_expect_out(s, "HTTP/1.1 402 ");
	scene_expect_out(s, "The credit of team `growth` does not cover this request: $0.000000001 "
			    "is left. Add credit.");
	scene_expect_out(s, "\"code\":\"insufficient_credit\"");
	scene_expect_out(s, "\"scope\":\"team growth: credit\"");
	rows_limits_init(&team.limits);
	rig_put(&s->rig, &team);
	put_scope(s, &account, ROWS_CONCURRENCY, 0);
	scene_send(s, "POST /v1/chat/completions", "", chat);
	scene_expect_out(s, "\"scope\":\"account acme: requests at once\"");
	account.models = SLICE_LIT("solo");
	rig_put(&s->rig, &account);
	scene_send(s, "POST /v1/chat/completions", "", chat);
	scene_expect_out(s, "The account of API key `");
	scene_expect_out(s, "` may not use model `m`.");
	account.expires_s = 1;
	rig_put(&s->rig, &account);
	scene_send(s, "POST /v1/chat/completions", "", chat);
	scene_expect_out(s, "` has expired.");
}

/* A client that finds "credit" or "quota" in a 429 never comes back: no name or pattern stands in its text, all do in the metadata. */
static void test_admit_no_name_in_a_429(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");
	struct rows_scope team;
	char text[160];

	rig_scope(&team, s->account, ROWS_TEAM, "credit-team");
	rows_limits_init(&team.limits);
	rig_limit(&team, ROWS_RPM, 1);
	team.limits.v[0].models = SLICE_LIT("quota*\nm");
	rig_put(&s->rig, &team);
	memcpy(s->key.team, team.id, ROWS_ID);
	scene_key(s);
	scene_chat(s, "m", false);
	scene_answer(s, up, 200, "", scene_whole);
	scene_expect_out(s, "HTTP/1.1 200 ");
	mem_xport_take(s->client);
	scene_chat(s, "m", false);
	scene_expect_out(s, "HTTP/1.1 429 ");
	scene_expect_out(s, "x-should-retry: true\r\n");
	snprintf(text, sizeof text,
		 "\"message\":\"The team of API key `%s` has reached its limit of 1 request a "
		 "minute "
		 "for models such as this one; try again in ",
		 s->key.id);
	scene_expect_out(s, text);
	scene_expect_out(s, "\"scope\":\"team credit-team: requests a minute for quota*, m\"");
}

/* A limit of 0 is none that time helps with, of whatever kind it is. */
static void test_admit_limit_of_nothing(void **state)
{
	static const enum rows_limit kinds[] = {ROWS_RPM, ROWS_RPD, ROWS_TPM, ROWS_TPD,
						ROWS_CONCURRENCY};
	struct scene *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		rows_limits_init(&s->key.limits);
		rig_limit(&s->key, kinds[i], 0);
		scene_key(s);
		scene_send(s, "POST /v1/chat/completions", "", chat);
		scene_expect_out(s, "HTTP/1.1 429 ");
		scene_expect_out(s, "x-should-retry: false\r\n");
		scene_expect_out(s, "which lets no request through: ask for a higher one.\"");
		mem_xport_take(s->client);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		T(test_admit_names_the_scope),
		T(test_admit_no_name_in_a_429),
		T(test_admit_limit_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
