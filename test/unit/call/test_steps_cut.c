/* A request is disturbed at every point of its way: the client leaves, its provider's connection ends, its key is revoked, the worker drains, the
 * clock runs. Whatever comes of it: no call and no hold stays, what came whole is charged as reported and nothing twice, a client that is there
 * gets one whole answer or a visible end, and its idempotency key stands for a charge or is free. */
#include "scene.h"

#include <stdio.h>

#define POINTS_MAX 400 /* rounds of turns of one request, at most */
#define PIECE      150 /* bytes of an answer that come at once */
#define LATE_MS    INT64_C(700000)

#define CHUNK(delta, rest)                                                                         \
	"data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\"," \
	"\"choices\":[{\"index\":0,\"delta\":" delta "}]" rest "}\n\n"
#define USAGE "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}"

static const char whole[] =
	"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 219\r\n\r\n"
	"{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\","
	"\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},"
	"\"finish_reason\":\"stop\"}]," USAGE "}";
static const char stream[] =
	"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" CHUNK(
		"{\"role\":\"assistant\"},\"finish_reason\":null",
		"") CHUNK("{\"content\":\"hello\"},\"finish_reason\":null", "")
		CHUNK("{\"content\":\" there\"},\"finish_reason\":null", "")
			CHUNK("{},\"finish_reason\":\"stop\"", "," USAGE) "data: [DONE]\n\n";
static const char message[] =
	"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
	"{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":"
	"[{\"type\":\"text\",\"text\":\"hi\"}],\"stop_reason\":\"end_turn\","
	"\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,\"output_tokens\":5}}";
static const char broken[] = "HTTP/1.1 500 X\r\ncontent-length: 2\r\n\r\n{}";

/* One request and what its providers answer, in the order in which they are asked. */
struct way {
	const char *model, *provider[2], *answer[2];
	bool streams;
};

enum trouble { CLIENT_RESET, CLIENT_EOF, UP_RESET, UP_EOF, REVOKED, DRAIN_CUT, LATE, TROUBLES };

struct disturber {
	struct turn_hook hook;
	struct scene *s;
	enum trouble trouble;
	unsigned at, round; /* in which round it comes; rounds so far */
	bool was_at_work;
};

static bool is_clients(enum trouble t)
{
	return t == CLIENT_RESET || t == CLIENT_EOF;
}

static void disturb(struct disturber *d)
{
	struct scene *s = d->s;

	switch (d->trouble) {
	case CLIENT_RESET:
		if (!mem_xport_is_closed(s->client))
			mem_xport_reset(s->client, ERRC_CONNRESET);
		break;
	case CLIENT_EOF:
		if (!mem_xport_is_closed(s->client))
			mem_xport_eof(s->client);
		break;
	case UP_RESET:
	case UP_EOF:
		scene_end_up(s, d->trouble == UP_RESET);
		break;
	case REVOKED:
		page_end_key(s->page, s->key.id);
		call_host_end_keys(s->calls);
		break;
	case DRAIN_CUT:
		(void)call_host_cut(s->calls);
		break;
	default:
		s->now_ms += LATE_MS;
		turn_fake_clock(s->turn, s->now_ms);
		break;
	}
}

/* Behind the batch of each round: what the store has just done the call does not know yet. */
static void on_round(struct turn_hook *h)
{
	struct disturber *d = CONTAINER_OF(h, struct disturber, hook);

	if (call_host_count(d->s->calls) == 0 || ++d->round != d->at)
		return;
	d->was_at_work = true;
	disturb(d);
}

static void feed(struct scene *s, struct mem_xport *m, const char *text)
{
	for (struct slice rest = slice_str(text); rest.n && !mem_xport_is_closed(m);
	     rest = slice_sub(rest, PIECE, rest.n)) {
		if (mem_xport_feed(m, slice_sub(rest, 0, PIECE), 0) != ERRC_OK)
			return;
		scene_run(s);
	}
}

static void request(struct scene *s, const struct way *w, unsigned word)
{
	char text[640], body[160];
	int n = snprintf(body, sizeof(body),
			 "{\"model\":\"%s\",\"max_tokens\":50,%s\"messages\":[{\"role\":\"user\","
			 "\"content\":\"hello there\"}]}",
			 w->model, w->streams ? "\"stream\":true," : "");

	snprintf(text, sizeof(text),
		 "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: %s\r\n"
		 "idempotency-key: word-%u\r\ncontent-length: %d\r\n\r\n%s",
		 s->key_text, word, n, body);
	feed(s, s->client, text);
}

static int64_t balance(struct scene *s)
{
	struct rows_account a;

	rig_get_account(&s->rig, s->account, &a);
	assert_int_equal(a.holds, 0);
	assert_int_equal(a.held_nusd, 0);
	return a.balance_nusd;
}

static size_t count(struct slice text, const char *what)
{
	size_t n = 0;
	ptrdiff_t at;

	for (; (at = slice_find(text, slice_str(what))) >= 0; n++)
		text = slice_sub(text, (size_t)at + 1, text.n);
	return n;
}

/* What came to the client, if it was still there. True: a whole answer. */
static bool check_answer(struct scene *s, const struct way *w, enum trouble t)
{
	struct slice out = mem_xport_out(s->client);
	size_t ends = w->streams ? count(out, "data: [DONE]\n\n\r\n0\r\n\r\n")
				 : count(out, "x-aigw-cost-usd: ");
	size_t errors = count(out, "{\"error\":{");

	assert_in_range(count(out, "HTTP/1.1 "), is_clients(t) ? 0 : 1, 1);
	assert_in_range(ends + errors, is_clients(t) ? 0 : 1, 1);
	assert_int_equal(count(out, "[DONE]"), w->streams ? ends : 0);
	assert_in_range(count(out, "\"usage\":{"), ends, 1);
	if (errors && count(out, "HTTP/1.1 200 "))
		assert_true(mem_xport_is_shut(s->client) && !count(out, "\r\n0\r\n\r\n"));
	return ends > 0;
}

/* The idempotency key stands for a charge, or it is free. */
static void check_word(struct scene *s, const struct way *w, unsigned word, bool charged)
{
	scene_up(s, w->provider[0]);
	request(s, w, word);
	if (charged)
		scene_expect_out(s, "\"code\":\"idempotency_completed\"");
	else
		scene_at(s, CALL_HEAD);
	scene_clear(s);
}

/* True: it was disturbed before its end. */
static bool run_one(struct scene *s, const struct way *w, enum trouble t, unsigned at)
{
	static unsigned word;
	struct disturber d = {.s = s, .trouble = t, .at = at};
	int64_t had = balance(s), cost;
	struct mem_xport *up[2] = {NULL, NULL};
	bool is_whole;

	for (unsigned i = 0; i < 2 && w->provider[i]; i++)
		up[i] = scene_up(s, w->provider[i]);
	turn_hook_init(&d.hook, s->turn, on_round);
	request(s, w, ++word);
	for (unsigned i = 0; i < 2 && up[i]; i++)
		if (mem_xport_out(up[i]).n)
			feed(s, up[i], w->answer[i]);
	turn_hook_fini(&d.hook);
	scene_advance(s, LATE_MS);
	scene_advance(s, LATE_MS); /* a provider that was asked instead is late too */
	is_whole = check_answer(s, w, t);
	scene_clear(s);
	cost = had - balance(s);
	if (is_whole)
		assert_int_equal(cost, SCENE_COST_NUSD);
	assert_in_range(cost, 0, SCENE_COST_NUSD + 60 * 1000);
	if (d.was_at_work)
		check_word(s, w, word, cost > 0);
	return d.was_at_work;
}

static void walk(struct scene *s, const struct way *w)
{
	scene_break_none(s);
	for (enum trouble t = 0; t < TROUBLES; t++) {
		unsigned at = 1;

		while (at < POINTS_MAX && run_one(s, w, t, at))
			at++;
		assert_in_range(at, 4, POINTS_MAX - 1);
	}
}

static const struct way solo = {"solo", {"one"}, {whole}, false};
static const struct way solo_stream = {"solo", {"one"}, {stream}, true};
static const struct way failover = {"m", {"one", "two"}, {broken, stream}, true};
static const struct way translated = {"deep", {"three"}, {message}, false};

static void test_whole_answer(void **state)
{
	walk(*state, &solo);
}

static void test_stream(void **state)
{
	walk(*state, &solo_stream);
}

static void test_failover(void **state)
{
	walk(*state, &failover);
}

static void test_translated(void **state)
{
	walk(*state, &translated);
}

static void test_stream_under_drain(void **state)
{
	struct scene *s = *state;

	s->calls->rt->t->set.client_gone = SETTINGS_CLIENT_GONE_DRAIN;
	walk(s, &solo_stream);
}

static void test_stream_without_a_disk(void **state)
{
	struct scene *s = *state;

	s->calls->rt->t->set.durability = SETTINGS_DURABILITY_SETTLE;
	walk(s, &solo_stream);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		T(test_whole_answer),       T(test_stream),
		T(test_failover),           T(test_translated),
		T(test_stream_under_drain), T(test_stream_without_a_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
