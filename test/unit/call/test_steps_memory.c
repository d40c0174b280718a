/* Memory runs out at every point of a request: nothing leaks, no hold stays, no call hangs, and the client learns or is cut. */
#include "scene.h"

#include <stdio.h>

#include "mem.h"

#define POINTS_MAX 2000 /* allocations of one request, at most */

static const char whole[] =
	"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
	"{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\","
	"\"choices\":[{"
	"\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":"
	"\"stop\"}],"
	"\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}";
static const char stream[] =
	"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
	"data: "
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","
	"\"choices\":"
	"[{\"index\":0,\"delta\":{\"content\":\"hello\"},\"finish_reason\":null}]}\n\n"
	"data: "
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","
	"\"choices\":"
	"[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10,"
	"\"completion_tokens\":5,\"total_tokens\":15}}\n\ndata: [DONE]\n\n";
static const char message[] =
	"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
	"{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":"
	"[{\"type\":"
	"\"text\",\"text\":\"hi\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{"
	"\"input_tokens\":10,\"output_tokens\":5}}";

static void request(struct scene *s, struct buf *text, const char *model, bool streams)
{
	char body[256];
	int n = snprintf(body, sizeof(body),
			 "{\"model\":\"%s\",\"max_tokens\":50,%s\"messages\":[{\"role\":\"user\","
			 "\"content\":\"hello there\"}]}",
			 model, streams ? "\"stream\":true," : "");

	buf_init(text, 4096);
	assert_int_equal(
		buf_addf(text,
			 "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: %s\r\n"
			 "content-length: %d\r\n\r\n%s",
			 s->key_text, n, body),
		ERRC_OK);
}

/* Whatever is left ends: the client leaves, the provider's connections go. */
static void clear(struct scene *s)
{
	scene_advance(s, 100);
	rig_drain(&s->rig); /* as the keeper does: else no more charges are taken */
	if (!mem_xport_is_closed(s->client))
		mem_xport_reset(s->client, ERRC_CONNRESET);
	scene_run(s);
	while (s->up_n > 0) {
		struct mem_xport **up = &s->up[s->up_n - 1];

		if (!mem_xport_is_closed(*up))
			mem_xport_reset(*up, ERRC_CONNRESET);
		scene_run(s);
		mem_xport_free(up);
		s->up_n--;
	}
}

static void walk(struct scene *s, const char *model, const char *provider, const char *answer,
		 bool streams)
{
	const char *end = streams ? "[DONE]" : "x-aigw-cost-usd: ";
	bool answered = false;
	struct buf text;
	unsigned n;

	s->calls->rt->breaker.failures = 1000; /* none opens: all of these failures are ours */
	for (n = 1; !answered && n < POINTS_MAX; n++) {
		struct mem_xport *up = scene_up(s, provider);

		request(s, &text, model, streams);
		mem_fail_after(n);
		if (mem_xport_feed(s->client, buf_slice(&text), 0) == ERRC_OK)
			scene_run(s);
		if (!mem_xport_is_closed(up) && mem_xport_feed(up, slice_str(answer), 0) == ERRC_OK) {
			mem_xport_eof(up);
			scene_run(s);
		}
		mem_fail_after(0);
		scene_run(s);
		/* That is our fault, never the provider's. */
		assert_true(slice_find(mem_xport_out(s->client), SLICE_LIT("upstream_error")) < 0);
		answered = slice_find(mem_xport_out(s->client), slice_str(end)) >= 0;
		clear(s);
		scene_none(s);
		scene_rejoin(s);
		buf_fini(&text);
	}
	assert_true(answered);
	assert_in_range(n, 20, POINTS_MAX - 1);
}

static void test_whole_answer(void **state)
{
	walk(*state, "solo", "one", whole, false);
}

static void test_stream(void **state)
{
	walk(*state, "solo", "one", stream, true);
}

static void test_translated_answer(void **state)
{
	walk(*state, "deep", "three", message, false);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		T(test_whole_answer),
		T(test_stream),
		T(test_translated_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
