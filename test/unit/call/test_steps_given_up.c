/* An attempt that was given up, or never begun: nobody pays for it, however the call ends. */
#include "scene.h"

/* The first provider tells what it used and breaks off. That is not the client's, also when it leaves, or has to go, while a thread reads the
 * request for the next one. */
static void test_given_up_with_usage(void **state)
{
	struct scene *s = *state;

	scene_break_none(s);
	for (unsigned way = 0; way < 3; way++) {
		struct mem_xport *up = scene_up(s, "one");

		scene_chat_long(s, "both", true);
		scene_stream(s, up);
		scene_item(s, up,
			   "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[],"
			   "\"usage\":{"
			   "\"prompt_tokens\":9000,\"completion_tokens\":700}}");
		scene_item(s, up, "{\"error\":{\"message\":\"overloaded\",\"code\":503}}");
		scene_at(s, CALL_READ);
		if (way == 0) {
			mem_xport_reset(s->client, ERRC_CONNRESET);
		} else if (way == 1) {
			page_end_key(s->page, s->key.id);
			call_host_end_keys(s->calls);
		} else {
			(void)call_host_cut(s->calls);
		}
		scene_run(s);
		while (call_host_count(s->calls) > 0) {
			uv_run(&s->loop, UV_RUN_ONCE);
			scene_run(s);
		}
		assert_false(scene_charge(s)->flags & RECORD_CHARGED);
		assert_int_equal(scene_charge(s)->charge_nusd, 0);
		assert_int_equal(scene_charge(s)->cost_nusd, 9000 * 1000 + 700 * 2000);
		scene_clear(s);
	}
}

/* Nor is what came of an answer that nobody has seen, and that its provider broke off without a word of usage. */
static void test_given_up_without_usage(void **state)
{
	static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
				   "content-length: 100000\r\n\r\n"
				   "{\"id\":\"c1\",\"object\":\"chat.completion\",\"choices\":[{"
				   "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"";
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");
	char words[4096];

	scene_break_none(s);
	s->calls->rt->t->set.durability = SETTINGS_DURABILITY_SETTLE;
	s->calls->rt->t->set.limit_answer_buffer_bytes = 1024;
	memset(words, 'a', sizeof words);
	scene_chat_long(s, "both", false);
	assert_int_equal(mem_xport_feed(up, SLICE_LIT(head), 0), ERRC_OK);
	assert_int_equal(mem_xport_feed(up, slice_of(words, sizeof words), 0), ERRC_OK);
	scene_run(s);
	assert_true(scene_at(s, CALL_RELAY)->attempt->relay.content_events > 0);
	mem_xport_reset(up, ERRC_CONNRESET);
	scene_run(s);
	scene_at(s, CALL_READ);
	mem_xport_reset(s->client, ERRC_CONNRESET);
	while (call_host_count(s->calls) > 0) {
		uv_run(&s->loop, UV_RUN_ONCE);
		scene_run(s);
	}
	assert_false(scene_charge(s)->flags & RECORD_CHARGED);
	assert_int_equal(scene_charge(s)->charge_nusd, 0);
}

/* The first provider is too slow and the next one may not be asked: the end is of an attempt that was never begun, whoever set the time. */
static void test_never_begun(void **state)
{
	static const char *const fields[] = {"", "x-stainless-timeout: 600\r\n"};
	struct scene *s = *state;
	struct settings *set = &s->calls->rt->t->set;

	set->retry_minimum = 0;
	set->retry_share_ppm = 0;
	set->head_after_ms = 0;
	for (unsigned way = 0; way < 2 * ARRAY_LEN(fields); way++) {
		scene_up(s, "one");
		scene_hold_client(s);
		scene_send(s, "POST /v1/chat/completions", fields[way / 2],
			   way % 2 ? "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":"
				     "\"user\",\"content\":\"hi\"}]}"
				   : "{\"model\":\"m\",\"messages\":[{\"role\":\"user\","
				     "\"content\":\"hi\"}]}");
		scene_at(s, CALL_HEAD);
		scene_advance(s, way % 2 ? 121000 : 591000); /* the first byte is late */
		scene_expect(s, RECORD_END_TIMEOUT, 504, "upstream_timeout");
		assert_false(scene_charge(s)->flags & RECORD_CHARGED);
		assert_int_equal(scene_charge(s)->attempts_n, 1);
		scene_clear(s);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		T(test_given_up_with_usage),
		T(test_given_up_without_usage),
		T(test_never_begun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
