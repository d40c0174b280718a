/* A client whose announced time is over has left, though it is told so: under policy `drain` its answer is read on. */
#include "scene.h"

#define TEN_SECONDS "x-stainless-timeout: 10\r\n"
#define CHAT(rest)                                      \
	"{\"model\":\"solo\",\"max_tokens\":50," rest   \
	"\"messages\":[{\"role\":\"user\",\"content\":" \
	"\"hi\"}]}"

static void ask(struct scene *s, enum settings_client_gone policy, bool stream)
{
	struct settings *set = &s->calls->rt->t->set;

	set->client_gone = policy;
	set->head_after_ms = 0;
	scene_send(s, "POST /v1/chat/completions", TEN_SECONDS,
		   stream ? CHAT("\"stream\":true,") : CHAT(""));
}

static void expect_charge(struct scene *s, enum record_end end, uint16_t status, int64_t nusd)
{
	assert_int_equal(scene_charge(s)->end, end);
	assert_int_equal(scene_charge(s)->status, status);
	assert_int_equal(scene_charge(s)->charge_nusd, nusd);
}

static void test_whole_answer(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");

	ask(s, SETTINGS_CLIENT_GONE_DRAIN, false);
	scene_advance(s, 8500);
	scene_expect_out(s, "HTTP/1.1 504 ");
	scene_expect_out(s, "\"code\":\"upstream_timeout\"");
	scene_at(s, CALL_HEAD);
	mem_xport_take(s->client);
	scene_advance(s, 30000);
	scene_answer(s, up, 200, "", scene_whole);
	scene_none(s);
	assert_int_equal(mem_xport_out(s->client).n, 0);
	expect_charge(s, RECORD_END_CLIENT_GONE, 504, SCENE_COST_NUSD);
}

/* Up to the cap in time. */
static void test_nobody_waits_for_ever(void **state)
{
	struct scene *s = *state;

	scene_up(s, "one");
	ask(s, SETTINGS_CLIENT_GONE_DRAIN, false);
	scene_advance(s, 8500);
	scene_at(s, CALL_HEAD);
	scene_advance(s, 59000);
	scene_at(s, CALL_HEAD);
	scene_advance(s, 2000);
	scene_none(s);
	expect_charge(s, RECORD_END_CLIENT_GONE, 504, 0);
}

static void test_stream(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");

	ask(s, SETTINGS_CLIENT_GONE_DRAIN, true);
	scene_stream(s, up);
	scene_item(s, up, scene_text);
	scene_advance(s, 8500);
	scene_expect_out(s, "\"code\":\"upstream_timeout\"");
	assert_true(mem_xport_is_shut(s->client));
	mem_xport_take(s->client);
	scene_at(s, CALL_RELAY);
	scene_item(s, up, scene_text);
	scene_item(s, up, scene_finish);
	scene_item(s, up, "[DONE]");
	scene_stream_end(s, up);
	scene_none(s);
	assert_int_equal(mem_xport_out(s->client).n, 0);
	expect_charge(s, RECORD_END_CLIENT_GONE, 200, SCENE_COST_NUSD);
}

/* Another provider is not asked for a client that is not there. */
static void test_given_up_behind_it(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");

	ask(s, SETTINGS_CLIENT_GONE_DRAIN, false);
	scene_advance(s, 8500);
	scene_at(s, CALL_HEAD);
	scene_answer(s, up, 500, "", "{}");
	scene_none(s);
	expect_charge(s, RECORD_END_UPSTREAM_ERROR, 504, 0);
}

static void test_abort(void **state)
{
	struct scene *s = *state;

	scene_up(s, "one");
	scene_hold_client(s);
	ask(s, SETTINGS_CLIENT_GONE_ABORT, false);
	scene_advance(s, 8500);
	scene_expect(s, RECORD_END_TIMEOUT, 504, "upstream_timeout");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		T(test_whole_answer), T(test_nobody_waits_for_ever),
		T(test_stream),       T(test_given_up_behind_it),
		T(test_abort),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
