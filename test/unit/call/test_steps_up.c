/* The exits of the steps that work with a provider: SEND, HEAD, RELAY; and what a failed attempt means (judge.c, contract A3). */
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "breaker.h"
#include "log.h"

static const char role[] =
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":"
	"\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"},"
	"\"finish_reason\":null}]}";
static const char error_item[] = "{\"error\":{\"message\":\"broken\",\"type\":\"server_error\"}}";

static struct settings *settings(struct scene *s)
{
	return &s->calls->rt->t->set;
}

/* A whole answer's way: the call is with `one`, which answers so; the client is held. */
static void answer_one(struct scene *s, int status, const char *fields, const char *body)
{
	struct mem_xport *up = scene_up(s, "one");

	scene_hold_client(s);
	scene_chat(s, "solo", false);
	scene_at(s, CALL_HEAD);
	scene_answer(s, up, status, fields, body);
}

/* The stream is on its way from `one`: its head, a role, a first text. */
static struct mem_xport *begin_stream(struct scene *s, const char *model)
{
	struct mem_xport *up = scene_up(s, "one");

	scene_chat(s, model, true);
	scene_stream(s, up);
	scene_item(s, up, role);
	scene_item(s, up, scene_text);
	scene_at(s, CALL_RELAY);
	scene_expect_out(s, "hello");
	return up;
}

static void expect_charge(struct scene *s, enum record_end end, int64_t nusd)
{
	struct record_charge *r = scene_charge(s);

	assert_int_equal(r->end, end);
	assert_int_equal(r->charge_nusd, nusd);
}

/* --- SEND --- */

static void test_send_finds_breakers_open(void **state)
{
	struct scene *s = *state;
	struct rtable *rt = s->calls->rt;

	for (size_t i = 0; i < rt->t->offers_n; i++)
		for (unsigned k = 0; k < rt->breaker.of; k++)
			(void)breaker_report(rt->offers[i].health, &rt->breaker, s->now_ms, false,
					     false, 0);
	scene_hold_client(s);
	scene_chat(s, "m", false);
	scene_expect(s, RECORD_END_UPSTREAM_ERROR, 503, "overloaded");
	scene_expect_out(s, "retry-after: ");
}

static void test_send_finds_keys_cooling(void **state)
{
	struct scene *s = *state;
	struct rtable *rt = s->calls->rt;

	for (size_t i = 0; i < rt->t->providers_n; i++)
		for (size_t k = 0; k < rt->providers[i].keys_n; k++)
			breaker_key_cool(rt->providers[i].keys[k].health, s->now_ms + 7000, false);
	scene_hold_client(s);
	scene_chat(s, "m", false);
	scene_expect(s, RECORD_END_UPSTREAM_ERROR, 429, "upstream_rate_limited");
	scene_expect_out(s, "retry-after: 7\r\n");
}

/* --- HEAD, with a whole answer --- */

static void test_whole_answer(void **state)
{
	struct scene *s = *state;

	answer_one(s, 200, "", scene_whole);
	scene_expect(s, RECORD_END_DONE, 200, NULL);
	scene_expect_out(s, "x-aigw-cost-usd: 0.00002\r\n");
	scene_expect_out(s, "x-aigw-attempts: 1\r\n");
	expect_charge(s, RECORD_END_DONE, SCENE_COST_NUSD);
}

static void test_final_statuses(void **state)
{
	static const struct {
		int status;
		const char *body, *code;
	} rows[] = {
		{400, "{\"error\":{\"message\":\"no such field\",\"code\":\"unknown_field\"}}",
		 NULL},
		{404, "{\"error\":{\"message\":\"gone\"}}", "not_found"},
		{413, "{\"error\":{\"message\":\"too long\"}}", "request_too_large"},
		{422, "{\"error\":{\"message\":\"what\"}}", "unprocessable"},
	};
	struct scene *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		answer_one(s, rows[i].status, "", rows[i].body);
		scene_expect(s, RECORD_END_REJECTED, rows[i].status, rows[i].code);
		expect_charge(s, RECORD_END_REJECTED, 0);
	}
}

static void test_failing_statuses(void **state)
{
	static const struct {
		int status, told;
		const char *fields, *code;
		enum record_end end;
	} rows[] = {
		{500, 502, "", "upstream_error", RECORD_END_UPSTREAM_ERROR},
		{503, 502, "", "upstream_error", RECORD_END_UPSTREAM_ERROR},
		{302, 502, "location: http://x/\r\n", "upstream_error", RECORD_END_UPSTREAM_ERROR},
	};
	struct scene *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		answer_one(s, rows[i].status, rows[i].fields, "{}");
		scene_expect(s, rows[i].end, rows[i].told, rows[i].code);
		expect_charge(s, rows[i].end, 0);
	}
}

/* An error that does not come to an end is one as soon as it is longer than any: the next candidate answers. */
static void test_endless_error(void **state)
{
	struct scene *s = *state;
	struct mem_xport *one = scene_up(s, "one"), *two = scene_up(s, "two");
	char piece[1024];

	memset(piece, 'x', sizeof(piece) - 1);
	piece[sizeof(piece) - 1] = '\0';
	scene_chat(s, "m", false);
	assert_int_equal(mem_xport_feed(one,
					SLICE_LIT("HTTP/1.1 500 X\r\ntransfer-encoding: "
						  "chunked\r\n\r\n"),
					0),
			 ERRC_OK);
	for (int i = 0; i < 63; i++)
		scene_item(s, one, piece);
	assert_false(mem_xport_is_closed(one));
	scene_item(s, one, piece);
	scene_item(s, one, piece);
	assert_true(mem_xport_is_closed(one));
	scene_answer(s, two, 200, "", scene_whole);
	scene_none(s);
	scene_expect_out(s, "x-aigw-provider: two\r\n");
}

/* 429 rests the key: the provider's other one is tried, then all are at their limits. */
static void test_rate_limited_keys(void **state)
{
	struct scene *s = *state;
	struct mem_xport *a = scene_up(s, "one"), *b = scene_up(s, "one");

	scene_hold_client(s);
	scene_chat(s, "solo", false);
	scene_answer(s, b, 429, "retry-after: 9\r\n", "{}");
	scene_at(s, CALL_HEAD);
	scene_answer(s, mem_xport_out(b).n > mem_xport_out(a).n ? b : a, 429, "retry-after: 9\r\n",
		     "{}");
	scene_expect(s, RECORD_END_UPSTREAM_ERROR, 429, "upstream_rate_limited");
	scene_expect_out(s, "retry-after: 9\r\n");
}

/* A provider that refuses our key is asked with its other one; the client never hears of it. */
static void test_refused_keys(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");

	scene_hold_client(s);
	scene_chat(s, "solo", false);
	scene_answer(s, up, 401, "", "{}");
	scene_at(s, CALL_HEAD);
	scene_answer(s, up, 403, "", "{}");
	scene_expect(s, RECORD_END_UPSTREAM_ERROR, 502, "upstream_error");
}

static void test_next_candidate_answers(void **state)
{
	struct scene *s = *state;
	struct mem_xport *one = scene_up(s, "one"), *two = scene_up(s, "two");

	scene_hold_client(s);
	scene_chat(s, "m", false);
	scene_answer(s, one, 500, "", "{}");
	scene_at(s, CALL_HEAD);
	scene_answer(s, two, 200, "", scene_whole);
	scene_expect(s, RECORD_END_DONE, 200, NULL);
	scene_expect_out(s, "x-aigw-provider: two\r\n");
	scene_expect_out(s, "x-aigw-attempts: 2\r\n");
	assert_int_equal(scene_charge(s)->attempts_n, 2);
}

static void test_no_fallback(void **state)
{
	struct scene *s = *state;
	struct mem_xport *one = scene_up(s, "one"), *two = scene_up(s, "two");

	scene_hold_client(s);
	scene_send(s, "POST /v1/chat/completions", "x-aigw-no-fallback: 1\r\n",
		   "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
	scene_answer(s, one, 500, "", "{}");
	scene_expect(s, RECORD_END_UPSTREAM_ERROR, 502, "upstream_error");
	assert_int_equal(mem_xport_out(two).n, 0);
}

/* A connection that dies under the request: the next candidate. A reused one that dies before any byte: the same again, on a fresh one. */
static void test_connections_that_die(void **state)
{
	struct scene *s = *state;
	struct mem_xport *one = scene_up(s, "one"), *two = scene_up(s, "two");
	struct call *c;

	scene_chat(s, "m", false);
	scene_answer(s, one, 200, "", scene_whole);
	scene_none(s);
	scene_hold_client(s);
	scene_chat(s, "m", false);
	mem_xport_reset(one, ERRC_CONNRESET);
	scene_run(s);
	c = scene_at(s, CALL_HEAD);
	assert_int_equal(c->tried_n, 0);
	assert_int_equal(c->next, 0);
	assert_true(c->attempt->fresh);
	scene_advance(s, 5500); /* nobody is there: the connect time is over */
	c = scene_at(s, CALL_HEAD);
	assert_int_equal(c->next, 1);
	mem_xport_reset(two, ERRC_CONNRESET);
	scene_run(s);
	scene_expect(s, RECORD_END_UPSTREAM_ERROR, 502, "upstream_error");
	expect_charge(s, RECORD_END_UPSTREAM_ERROR, 0);
}

static void test_no_answer_in_time(void **state)
{
	struct scene *s = *state;

	scene_up(s, "one");
	scene_hold_client(s);
	scene_chat(s, "solo", true);
	scene_at(s, CALL_HEAD);
	settings(s)->head_after_ms = 0; /* a status, not an error item */
	scene_advance(s, 121000);
	scene_expect(s, RECORD_END_TIMEOUT, 504, "upstream_timeout");
	scene_expect_out(s, "x-should-retry: false\r\n");
}

static void test_total_time(void **state)
{
	struct scene *s = *state;

	scene_up(s, "one");
	scene_hold_client(s);
	scene_send(s, "POST /v1/chat/completions", "x-stainless-timeout: 10\r\n",
		   "{\"model\":\"solo\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
	scene_advance(s, 8500);
	scene_expect(s, RECORD_END_TIMEOUT, 504, "upstream_timeout");
}

/* A stream whose provider tells its usage before any content, and then nothing: its time is over before commit. */
static void end_before_commit(struct scene *s, const char *fields, int64_t ms)
{
	struct mem_xport *up = scene_up(s, "one");

	settings(s)->head_after_ms = 0;
	scene_send(s, "POST /v1/chat/completions", fields,
		   "{\"model\":\"solo\",\"stream\":true,\"messages\":[{\"role\":\"user\","
		   "\"content\":\"hi\"}]}");
	scene_stream(s, up);
	scene_item(s, up,
		   "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{"
		   "\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}");
	scene_at(s, CALL_RELAY);
	scene_advance(s, ms);
	scene_none(s);
}

/* The provider's silence costs the client nothing. */
static void test_silence_before_commit(void **state)
{
	struct scene *s = *state;

	end_before_commit(s, "", 121000);
	expect_charge(s, RECORD_END_TIMEOUT, 0);
}

/* A time that the client chose itself is no refund for what the provider reported. */
static void test_clients_time_before_commit(void **state)
{
	struct scene *s = *state;

	end_before_commit(s, "x-stainless-timeout: 10\r\n", 8500);
	expect_charge(s, RECORD_END_TIMEOUT, SCENE_COST_NUSD);
}

/* --- HEAD and RELAY, with a stream --- */

static void test_stream(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin_stream(s, "solo");

	scene_item(s, up, scene_finish);
	scene_item(s, up, "[DONE]");
	scene_expect_out(s, "data: [DONE]\n\n\r\n0\r\n\r\n");
	scene_at(s, CALL_REST);
	scene_stream_end(s, up);
	scene_none(s);
	expect_charge(s, RECORD_END_DONE, SCENE_COST_NUSD);
}

/* Time to the first text and tokens a second of a stream are kept with its offer. */
static void test_speed_of_a_stream(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin_stream(s, "solo");
	struct call *c = scene_call(s);
	struct breaker *b = rtable_offer_of(c->rt, c->route.v[0].offer)->health;
	uint32_t ttft_ms, tokens_per_s;

	c->commit_us -= 1000000; /* it has run for a second, and began half a second before */
	c->attempt->start_us = c->commit_us - 500000;
	scene_item(s, up, scene_finish);
	scene_item(s, up, "[DONE]");
	scene_stream_end(s, up);
	breaker_speed_get(b, &ttft_ms, &tokens_per_s);
	assert_int_equal(ttft_ms, 500);
	assert_in_range(tokens_per_s, 3, 5);
}

/* The head goes out early, also when the provider has begun to answer but has said nothing yet; then signs of life. */
static void test_early_head(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");

	scene_chat(s, "solo", true);
	scene_stream(s, up);
	scene_item(s, up, role);
	scene_at(s, CALL_RELAY);
	assert_int_equal(mem_xport_out(s->client).n, 0);
	scene_advance(s, 15500);
	scene_expect_out(s, "HTTP/1.1 200 ");
	mem_xport_take(s->client);
	scene_advance(s, 15500);
	scene_expect_out(s, ": aigw\n\n");
	scene_item(s, up, scene_text);
	scene_item(s, up, scene_finish);
	scene_item(s, up, "[DONE]");
	scene_stream_end(s, up);
	scene_none(s);
	expect_charge(s, RECORD_END_DONE, SCENE_COST_NUSD);
}

/* Before commit an error item is no end: the next candidate. */
static void test_error_item_before_commit(void **state)
{
	struct scene *s = *state;
	struct mem_xport *one = scene_up(s, "one"), *two = scene_up(s, "two");

	scene_chat(s, "m", true);
	scene_stream(s, one);
	scene_item(s, one, role);
	scene_item(s, one, error_item);
	scene_at(s, CALL_HEAD);
	assert_true(mem_xport_is_closed(one));
	scene_stream(s, two);
	scene_item(s, two, scene_text);
	scene_item(s, two, scene_finish);
	scene_item(s, two, "[DONE]");
	scene_stream_end(s, two);
	scene_none(s);
	expect_charge(s, RECORD_END_DONE, SCENE_COST_NUSD);
}

/* The connection that was asked last of two. */
static struct mem_xport *asked(struct mem_xport *a, struct mem_xport *b)
{
	return mem_xport_out(b).n && !mem_xport_is_closed(b) ? b : a;
}

/* An error item before commit means what the status of its kind would: here that the key rests, not that the offer is ill. */
static void error_items(struct scene *s, const char *item, int64_t wait_ms)
{
	struct mem_xport *a = scene_up(s, "one"), *b = scene_up(s, "one"), *two = scene_up(s, "two");
	struct rtable *rt = s->calls->rt;
	struct rtable_provider *p;

	rt->breaker.failures = rt->breaker.of = 1;
	scene_chat(s, "m", true);
	for (int i = 0; i < 2; i++) {
		struct mem_xport *up = asked(a, b);

		scene_stream(s, up);
		scene_item(s, up, item);
	}
	scene_at(s, CALL_HEAD);
	assert_int_equal(scene_call(s)->tried_n, 2);
	p = rtable_provider_of(rt, scene_call(s)->route.v[0].offer);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(breaker_key_wait_ms(p->keys[i].health, s->now_ms, NULL), wait_ms);
	assert_int_equal(breaker_state(rtable_offer_of(rt, scene_call(s)->route.v[0].offer)->health,
				       &rt->breaker, s->now_ms),
			 BREAKER_CLOSED);
	scene_stream(s, two);
	scene_item(s, two, scene_text);
	scene_item(s, two, scene_finish);
	scene_item(s, two, "[DONE]");
	scene_stream_end(s, two);
	scene_none(s);
	expect_charge(s, RECORD_END_DONE, SCENE_COST_NUSD);
}

static void test_items_of_limits(void **state)
{
	struct scene *s = *state;

	error_items(s,
		    "{\"error\":{\"message\":\"slow down\",\"type\":\"tokens\",\"code\":"
		    "\"rate_limit_exceeded\"}}",
		    settings(s)->key_cool_ms);
}

static void test_items_about_the_key(void **state)
{
	error_items(*state, "{\"error\":{\"message\":\"no\",\"type\":\"authentication_error\"}}",
		    60000);
}

static void test_empty_answer(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");

	scene_hold_client(s);
	scene_chat(s, "solo", true);
	scene_stream(s, up);
	scene_item(s, up, "[DONE]");
	scene_expect(s, RECORD_END_UPSTREAM_ERROR, 502, "upstream_error");
	expect_charge(s, RECORD_END_UPSTREAM_ERROR, 0);
}

/* After commit: the error item, and a connection that is visibly cut. A provider's fault costs the client nothing. */
static void test_cut_after_commit(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin_stream(s, "solo");

	mem_xport_reset(up, ERRC_CONNRESET);
	scene_run(s);
	scene_expect_out(s, "data: {\"error\":");
	assert_true(slice_find(mem_xport_out(s->client), SLICE_LIT("\r\n0\r\n\r\n")) < 0);
	assert_true(mem_xport_is_shut(s->client));
	scene_none(s);
	expect_charge(s, RECORD_END_UPSTREAM_ERROR, 0);
	assert_true(scene_charge(s)->usage.estimated);
	assert_true(slice_is(scene_charge(s)->provider, "one"));
}

static void test_silence_after_commit(void **state)
{
	struct scene *s = *state;

	begin_stream(s, "solo");
	scene_advance(s, 121000);
	scene_expect_out(s, "\"code\":\"upstream_timeout\"");
	scene_none(s);
	expect_charge(s, RECORD_END_TIMEOUT, 0);
}

/* While the client does not read, the provider is not read either, and its time does not run. */
static void test_slow_client(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin_stream(s, "solo");
	char wide[2048];

	/* Much to send and few tokens, so that the hold lasts. */
	snprintf(wide, sizeof(wide), "%.*s,\"pad\":\"%01500d\"}", (int)strlen(scene_text) - 1,
		 scene_text, 0);
	scene_hold_client(s);
	for (int i = 0; i < 50; i++)
		scene_item(s, up, wide);
	assert_true(scene_at(s, CALL_RELAY)->attempt->paused);
	assert_false(mem_xport_is_reading(up));
	scene_advance(s, 50000);
	scene_at(s, CALL_RELAY);
	scene_release_client(s);
	assert_true(mem_xport_is_reading(up));
	scene_item(s, up, scene_finish);
	scene_item(s, up, "[DONE]");
	scene_stream_end(s, up);
	scene_none(s);
	assert_int_equal(scene_charge(s)->end, RECORD_END_DONE);
}

/* The provider minds no cap: the stream ends as one that came to it, and nothing more is read. */
static void test_hold_used_up(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin_stream(s, "solo");
	const struct record_charge *r;
	int n = 1;

	for (; !mem_xport_is_closed(up) && n < 200; n++)
		scene_item(s, up, scene_text);
	scene_none(s);
	scene_expect_out(s, "\"finish_reason\":\"length\"}],\"usage\":{");
	scene_expect_out(s, "data: [DONE]\n\n\r\n0\r\n\r\n");
	r = scene_charge(s);
	assert_int_equal(r->end, RECORD_END_DONE);
	assert_int_equal(r->charge_nusd, r->hold_nusd);
	assert_true(r->flags & RECORD_CAPPED);
	/* The chunk behind which it ended was the first that went beyond. */
	assert_true(usage_get(&r->usage, USAGE_INPUT) * 1000 + n * 2000 > r->hold_nusd);
	assert_true(usage_get(&r->usage, USAGE_INPUT) * 1000 + (n - 1) * 2000 <= r->hold_nusd);
	assert_true(slice_is(r->attempts[0].error, "hold_used_up"));
}

static void test_client_gone_in_a_stream(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin_stream(s, "solo");

	mem_xport_reset(s->client, ERRC_CONNRESET);
	scene_run(s);
	scene_none(s);
	assert_true(mem_xport_is_closed(up));
	assert_int_equal(scene_charge(s)->end, RECORD_END_CLIENT_GONE);
	assert_true(scene_charge(s)->charge_nusd > 0);
}

/* What a provider reports in the middle of a stream is no final count: what was seen behind it is charged too. */
static void test_client_gone_behind_an_early_report(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin_stream(s, "solo");

	scene_item(s, up,
		   "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{"
		   "\"prompt_tokens\":10,\"completion_tokens\":1,\"total_tokens\":11}}");
	for (int i = 0; i < 6; i++)
		scene_item(s, up, scene_text);
	mem_xport_reset(s->client, ERRC_CONNRESET);
	scene_run(s);
	scene_none(s);
	assert_int_equal(usage_get(&scene_charge(s)->usage, USAGE_INPUT), 10);
	assert_int_equal(usage_get(&scene_charge(s)->usage, USAGE_OUTPUT), 8);
	assert_true(scene_charge(s)->usage.estimated);
	expect_charge(s, RECORD_END_CLIENT_GONE, 10 * 1000 + 8 * 2000);
}

/* Policy `drain`: what comes after the client left is counted up to the cap; nothing spins for the head that nobody gets. */
static void test_client_gone_under_drain(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");
	struct call *c;

	settings(s)->client_gone = SETTINGS_CLIENT_GONE_DRAIN;
	settings(s)->client_gone_cap_bytes = 20;
	scene_chat(s, "solo", true);
	scene_stream(s, up);
	scene_item(s, up, role);
	mem_xport_reset(s->client, ERRC_CONNRESET);
	scene_advance(s, 16000);
	c = scene_at(s, CALL_RELAY);
	assert_true(c->timer.deadline_ms > s->now_ms);
	for (int i = 0; i < 4; i++)
		scene_item(s, up, scene_text);
	scene_at(s, CALL_RELAY);
	assert_int_equal(c->attempt->relay.out.len, 0); /* nothing is kept for nobody */
	scene_item(s, up, scene_text);
	scene_none(s);
	assert_int_equal(scene_charge(s)->end, RECORD_END_CLIENT_GONE);
}

/* Its cap in tokens counts from there, not what the client has got. */
static void test_drain_counts_from_where_the_client_left(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up;

	settings(s)->client_gone = SETTINGS_CLIENT_GONE_DRAIN;
	settings(s)->client_gone_tokens = 3;
	up = begin_stream(s, "solo");
	for (int i = 0; i < 5; i++)
		scene_item(s, up, scene_text);
	mem_xport_reset(s->client, ERRC_CONNRESET);
	scene_run(s);
	for (int i = 0; i < 3; i++)
		scene_item(s, up, scene_text);
	scene_at(s, CALL_RELAY);
	scene_item(s, up, scene_text);
	scene_none(s);
	assert_int_equal(scene_charge(s)->end, RECORD_END_CLIENT_GONE);
	/* Ten texts of five bytes. */
	assert_int_equal(usage_get(&scene_charge(s)->usage, USAGE_OUTPUT), 50 / 4);
}

/* What a provider says about a request may repeat it: the client is told, the log is not, before commit and behind it. */
static void test_quotes_are_not_logged(void **state)
{
	const struct log_opts to_stderr = {.to = "stderr", .level = LOG_INFO, .process = "test"};
	char path[] = "/tmp/aigw-quotes-XXXXXX", to[64], text[8192];
	struct log_opts opts = {.to = to, .level = LOG_INFO, .process = "test"};
	struct scene *s = *state;
	int fd = mkstemp(path);
	ssize_t n;

	assert_true(fd >= 0);
	snprintf(to, sizeof(to), "file:%s", path);
	assert_int_equal(log_start(&opts), ERRC_OK);
	answer_one(s, 400, "",
		   "{\"error\":{\"message\":\"no 'quince' here\",\"code\":\"odd_word\"}}");
	scene_expect(s, RECORD_END_REJECTED, 400, NULL);
	scene_expect_out(s, "no 'quince' here");
	scene_rejoin(s);
	scene_item(s, begin_stream(s, "solo"),
		   "{\"error\":{\"message\":\"not 'quince'\",\"type\":\"invalid_request_error\"}}");
	scene_none(s);
	scene_expect_out(s, "not 'quince'");
	log_stop();
	assert_int_equal(log_start(&to_stderr), ERRC_OK);
	log_stop();
	n = read(fd, text, sizeof(text) - 1);
	assert_in_range(n, 1, sizeof(text) - 2);
	text[n] = '\0';
	close(fd);
	unlink(path);
	assert_non_null(strstr(text, "provider_code=odd_word"));
	assert_non_null(strstr(text, "provider_code=invalid_request_error"));
	assert_null(strstr(text, "quince"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		T(test_send_finds_breakers_open),
		T(test_send_finds_keys_cooling),
		T(test_whole_answer),
		T(test_final_statuses),
		T(test_failing_statuses),
		T(test_endless_error),
		T(test_rate_limited_keys),
		T(test_refused_keys),
		T(test_next_candidate_answers),
		T(test_no_fallback),
		T(test_connections_that_die),
		T(test_no_answer_in_time),
		T(test_total_time),
		T(test_silence_before_commit),
		T(test_clients_time_before_commit),
		T(test_stream),
		T(test_speed_of_a_stream),
		T(test_early_head),
		T(test_error_item_before_commit),
		T(test_items_of_limits),
		T(test_items_about_the_key),
		T(test_empty_answer),
		T(test_cut_after_commit),
		T(test_silence_after_commit),
		T(test_quotes_are_not_logged),
		T(test_slow_client),
		T(test_hold_used_up),
		T(test_client_gone_in_a_stream),
		T(test_client_gone_behind_an_early_report),
		T(test_client_gone_under_drain),
		T(test_drain_counts_from_where_the_client_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
