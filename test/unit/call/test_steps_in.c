/* The exits of the steps before a provider is asked: START, AUTH, OWN, BODY, ROUTE, ADMIT, READ. */
#include "scene.h"

#include "ipnet.h"
#include "series.h"

#include <stdio.h>

static const char chat[] = "{\"model\":\"m\",\"max_tokens\":50,\"messages\":[{\"role\":\"user\","
			   "\"content\":\"hi\"}]}";

static struct settings *settings(struct scene *s)
{
	return &s->calls->rt->t->set;
}

static void expect_chat(struct scene *s, const char *body, enum record_end end, int status,
			const char *code)
{
	scene_hold_client(s);
	scene_send(s, "POST /v1/chat/completions", "", body);
	scene_expect(s, end, status, code);
}

/* --- START --- */

static void test_start_needs_no_key(void **state)
{
	struct scene *s = *state;

	scene_send(s, "GET /", "", "");
	scene_expect_out(s, "{\"name\":\"aigw\"}");
	scene_send(s, "GET /healthz", "", "");
	scene_expect_out(s, "{\"status\":\"ok\"}");
	scene_send(s, "GET /readyz", "", "");
	scene_expect_out(s, "{\"status\":\"ready\"}");
	call_host_drain(s->calls);
	scene_send(s, "GET /readyz", "", "");
	scene_expect_out(s, "{\"status\":\"draining\"}");
	scene_send(s, "OPTIONS /v1/chat/completions", "", "");
	scene_expect_out(s, "HTTP/1.1 204 ");
}

static void test_start_refuses_paths(void **state)
{
	struct scene *s = *state;

	scene_hold_client(s);
	scene_send(s, "GET /v1/chat/completion", "", "");
	scene_expect(s, RECORD_END_REJECTED, 404, "unknown_url");
	scene_hold_client(s);
	scene_send(s, "GET /v1/chat/completions", "", "");
	scene_expect(s, RECORD_END_REJECTED, 405, "method_not_allowed");
	scene_expect_out(s, "allow: POST");
}

static void test_start_refuses_unreadable_heads(void **state)
{
	struct scene *s = *state;

	scene_hold_client(s);
	assert_int_equal(
		mem_xport_feed(s->client, SLICE_LIT("GET / HTTP/1.1\r\nbad header\r\n\r\n"), 0),
		ERRC_OK);
	scene_run(s);
	scene_expect(s, RECORD_END_REJECTED, 400, "bad_request");
}

static void test_start_has_no_room(void **state)
{
	struct scene *s = *state;

	settings(s)->limit_calls = 0;
	expect_chat(s, chat, RECORD_END_REJECTED, 503, "overloaded");
	scene_rejoin(s);
	settings(s)->limit_calls = 100;
	settings(s)->limit_calls_address = 0;
	expect_chat(s, chat, RECORD_END_REJECTED, 429, "rate_limit_exceeded");
}

static void expect_client(struct scene *s, const char *fields, const char *addr)
{
	struct ipnet net = {.bits = 128};
	char text[IPNET_TEXT_MAX];

	scene_up(s, "one");
	scene_send(s, "POST /v1/chat/completions", fields, chat);
	memcpy(net.addr, scene_at(s, CALL_HEAD)->addr, sizeof(net.addr));
	ipnet_print(&net, text);
	assert_string_equal(text, addr);
	mem_xport_reset(s->client, ERRC_CONNRESET);
	scene_run(s);
	scene_rejoin(s);
}

/* The address that a trusted proxy saw stands last, be it in a list or in a field of its own. What stands before it the client wrote, unless
 * that is a trusted proxy too. */
static void test_client_behind_a_proxy(void **state)
{
	struct scene *s = *state;
	const char *spoofed = "x-forwarded-for: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\n";

	expect_client(s, spoofed, "::");
	s->client_trusted = true;
	scene_rejoin(s);
	expect_client(s, "x-forwarded-for: 1.1.1.1, 2.2.2.2\r\n", "2.2.2.2");
	expect_client(s, spoofed, "2.2.2.2");
	expect_client(s, "x-forwarded-for: 1.1.1.1\r\nx-forwarded-for: 3.3.3.3, 2.2.2.2\r\n",
		      "2.2.2.2");
	expect_client(s, "", "::");
	expect_client(s, "x-forwarded-for: 1.1.1.1, 2.2.2.2, 10.1.1.1\r\n", "2.2.2.2");
}

/* The client is gone before its call had a turn. */
static void test_start_without_a_client(void **state)
{
	struct scene *s = *state;

	assert_int_equal(
		mem_xport_feed(s->client, SLICE_LIT("GET / HTTP/1.1\r\nhost: x\r\n\r\n"), 0),
		ERRC_OK);
	mem_xport_reset(s->client, ERRC_CONNRESET);
	assert_int_equal(scene_call(s)->end, RECORD_END_CLIENT_GONE);
	scene_run(s);
	scene_none(s);
}

/* --- AUTH --- */

static void expect_key(struct scene *s, const char *fields, int status, const char *code)
{
	scene_rejoin(s);
	scene_hold_client(s);
	scene_send(s, "GET /v1/models", fields, "");
	scene_expect(s, RECORD_END_REJECTED, status, code);
}

static void test_auth_refuses_keys(void **state)
{
	struct scene *s = *state;
	struct apikey other;
	char good[APIKEY_TEXT + 1];

	memcpy(good, s->key_text, sizeof(good));
	snprintf(s->key_text, sizeof(s->key_text), "what");
	expect_key(s, "", 401, "invalid_api_key");
	s->key_text[0] = '\0';
	expect_key(s, "", 401, "invalid_api_key");
	apikey_make(&other);
	memcpy(s->key_text, other.text, sizeof(other.text));
	expect_key(s, "", 401, "invalid_api_key");
	/* A later header counts when the first names no known key. */
	memcpy(s->key_text, good, sizeof(good));
	scene_rejoin(s);
	scene_send(s, "GET /v1/models", "", "");
	scene_expect_out(s, "HTTP/1.1 200 ");
}

static void test_auth_looks_at_the_key(void **state)
{
	struct scene *s = *state;

	s->key.nets_n = 1;
	s->key.nets[0] = (struct ipnet){.addr = {1}, .bits = 128};
	scene_key(s);
	expect_key(s, "", 403, "ip_not_allowed");
	s->client_trusted = true; /* An unknown address is in no range, not even in that of all. */
	s->key.nets[0] = (struct ipnet){.bits = 0};
	scene_key(s);
	expect_key(s, "x-forwarded-for: 2.2.2.2, unknown\r\n", 403, "ip_not_allowed");
	scene_expect_out(s, "an address that is unknown");
	s->key.nets_n = 0;
	s->key.expires_s = 1;
	scene_key(s);
	expect_key(s, "", 401, "invalid_api_key");
	s->key.expires_s = 0;
	s->key.status = ROWS_SUSPENDED;
	scene_key(s);
	expect_key(s, "", 403, "account_suspended");
	s->key.status = ROWS_REVOKED;
	scene_key(s);
	expect_key(s, "", 401, "invalid_api_key");
}

/* --- OWN --- */

static void test_own_routes(void **state)
{
	struct scene *s = *state;

	scene_send(s, "GET /v1/models/m", "", "");
	scene_expect_out(s, "\"id\":\"m\"");
	s->lookup_errc = ERRC_AGAIN; /* without a keeper too */
	scene_send(s, "GET /v1/key", "", "");
	scene_expect_out(s, "\"account\":\"acme\"");
	scene_send(s, "GET /v1/credits", "", "");
	scene_expect_out(s, "\"balance\":10.0");
	scene_hold_client(s);
	scene_send(s, "GET /v1/models/none", "", "");
	scene_expect(s, RECORD_END_REJECTED, 404, "model_not_found");
	scene_hold_client(s);
	scene_send(s, "GET /v1/generation", "", "");
	scene_expect(s, RECORD_END_REJECTED, 400, "missing_required_parameter");
}

static void found(struct scene *s, enum errc status)
{
	call_host_found(s->calls, &(struct msg_found){.seq = s->lookup_seq, .status = status});
}

static void test_own_lookups(void **state)
{
	struct scene *s = *state;

	s->lookup_errc = ERRC_AGAIN;
	scene_hold_client(s);
	scene_send(s, "GET /v1/generation?id=gen_1", "", "");
	scene_expect(s, RECORD_END_REJECTED, 503, "ledger_unavailable");
	s->lookup_errc = ERRC_OK;
	scene_hold_client(s);
	scene_send(s, "GET /v1/generation?id=gen_1", "", "");
	scene_at(s, CALL_OWN);
	found(s, ERRC_NOTFOUND);
	scene_run(s);
	scene_expect(s, RECORD_END_REJECTED, 404, "not_found");
	scene_hold_client(s);
	scene_send(s, "GET /v1/generation?id=gen_1", "", "");
	scene_advance(s, 5000);
	scene_expect(s, RECORD_END_REJECTED, 503, "ledger_unavailable");
	found(s, ERRC_OK); /* too late: nobody asks */
	scene_send(s, "GET /v1/generation?id=gen_1", "", "");
	scene_at(s, CALL_OWN);
	mem_xport_reset(s->client, ERRC_CONNRESET);
	scene_run(s);
	scene_none(s);
	found(s, ERRC_OK);
}

static void reported(struct scene *s, enum errc status)
{
	call_host_reported(s->calls, &(struct msg_reported){.seq = s->lookup_seq, .status = status});
}

/* What a key may do is told in any case; what it has spent of late only where the keeper says it, and soon. */
static void test_own_key(void **state)
{
	struct scene *s = *state;

	scene_send(s, "GET /v1/key", "", "");
	scene_at(s, CALL_OWN);
	reported(s, ERRC_BUSY);
	scene_run(s);
	scene_expect_out(s, "\"usage_daily\":null");
	scene_none(s);
	scene_send(s, "GET /v1/key", "", "");
	scene_at(s, CALL_OWN);
	scene_advance(s, 1000);
	scene_none(s);        /* answered, without */
	reported(s, ERRC_OK); /* too late */
}

static void ask_usage(struct scene *s, const char *line)
{
	scene_hold_client(s);
	scene_send(s, line, "", "");
}

static void test_own_reports(void **state)
{
	struct scene *s = *state;

	ask_usage(s, "GET /v1/usage?since=never");
	scene_expect(s, RECORD_END_REJECTED, 400, "invalid_value");
	s->lookup_errc = ERRC_AGAIN;
	ask_usage(s, "GET /v1/usage");
	scene_expect(s, RECORD_END_REJECTED, 503, "ledger_unavailable");
	s->lookup_errc = ERRC_OK;
	ask_usage(s, "GET /v1/usage?by=day,nothing");
	scene_at(s, CALL_OWN);
	reported(s, ERRC_INVAL);
	scene_run(s);
	scene_expect(s, RECORD_END_REJECTED, 400, "invalid_value");
	ask_usage(s, "GET /v1/dashboard/billing/usage?start_date=2025-11-01");
	reported(s, ERRC_RANGE);
	scene_run(s);
	scene_expect(s, RECORD_END_REJECTED, 400, "invalid_value");
	ask_usage(s, "GET /v1/usage");
	reported(s, ERRC_BUSY);
	scene_run(s);
	scene_expect(s, RECORD_END_REJECTED, 503, "ledger_unavailable");
	scene_send(s, "GET /v1/dashboard/billing/subscription", "", "");
	scene_expect_out(s, "\"hard_limit_usd\":10.0");
}

/* --- BODY --- */

static void test_body_is_refused(void **state)
{
	struct scene *s = *state;

	expect_chat(s, "{\"model\":", RECORD_END_REJECTED, 400, "invalid_json");
	scene_rejoin(s);
	expect_chat(s, "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
		    RECORD_END_REJECTED, 400, "missing_required_parameter");
	scene_rejoin(s);
	settings(s)->limit_body_memory_bytes = 4;
	expect_chat(s, chat, RECORD_END_REJECTED, 503, "overloaded");
}

/* Sends the head of a chat with this content-length, and the front of its body. */
static void send_front(struct scene *s, size_t length, const char *front)
{
	struct buf text;

	buf_init(&text, 4096);
	assert_int_equal(buf_addf(&text,
				  "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: "
				  "%s\r\ncontent-length: %zu\r\n\r\n%s",
				  s->key_text, length, front),
			 ERRC_OK);
	assert_int_equal(mem_xport_feed(s->client, buf_slice(&text), 0), ERRC_OK);
	scene_run(s);
	buf_fini(&text);
}

static void test_body_too_large_or_slow(void **state)
{
	struct scene *s = *state;

	scene_hold_client(s);
	send_front(s, 99999999, "{");
	scene_expect(s, RECORD_END_REJECTED, 413, "request_too_large");
	scene_rejoin(s);
	scene_hold_client(s);
	send_front(s, 100, "{");
	scene_advance(s, 16000); /* not even a byte a second */
	scene_expect(s, RECORD_END_REJECTED, 408, "request_timeout");
}

static void test_client_gone_in_the_body(void **state)
{
	struct scene *s = *state;

	send_front(s, 100, "{\"model\"");
	scene_at(s, CALL_BODY);
	mem_xport_reset(s->client, ERRC_CONNRESET);
	assert_int_equal(scene_call(s)->end, RECORD_END_CLIENT_GONE);
	scene_run(s);
	scene_none(s);
}

/* Whole, and none of it copied that came when it was known to come. */
static void test_body_in_two_reads(void **state)
{
	static const char body[] =
		"{\"model\":\"solo\",\"max_tokens\":20,\"messages\":[{\"role\":\"user\","
		"\"content\":\"What is\\n\\u00e9?\"}]}";
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");

	for (size_t split = 0; split < sizeof(body); split++) {
		size_t before = mem_xport_roomed(s->client);
		char front[sizeof(body)] = "";
		struct slice out;

		memcpy(front, body, split);
		send_front(s, sizeof(body) - 1, front);
		assert_int_equal(mem_xport_feed(s->client,
						slice_of(body + split, sizeof(body) - 1 - split), 0),
				 ERRC_OK);
		scene_run(s);
		assert_int_equal(mem_xport_roomed(s->client) - before, sizeof(body) - 1 - split);
		out = mem_xport_out(up);
		assert_true(slice_find(out, SLICE_LIT("\"content\":\"What is\\n\\u00e9?\"}]")) > 0);
		mem_xport_take(up);
		scene_answer(s, up, 200, "", scene_whole);
		scene_none(s);
	}
}

/* Memory is not given back between two bodies, but soon once they are over. */
static void test_memory_of_bodies_is_kept_for_the_next(void **state)
{
	static const char front[] = "{\"model\":\"solo\",\"max_tokens\":20,\"x\":\"";
	struct scene *s = *state;
	struct call_host *h = s->calls;
	size_t length = 3 * BODY_POOL_LEAST;

	for (int i = 0; i < 3; i++) {
		send_front(s, length, front);
		assert_int_equal(scene_call(s)->body.cap, length);
		assert_int_equal(h->bodies.n, 0);
		h->body_most = i == 1 ? length / 2 : length; /* as if the rest had come */
		mem_xport_reset(s->client, ERRC_CONNRESET);
		scene_run(s);
		scene_none(s);
		scene_rejoin(s);
		call_host_tidy(h);
		assert_int_equal(h->body_kept, length);
		assert_int_equal(h->bodies.n, 1);
	}
	call_host_tidy(h);
	assert_int_equal(h->body_kept, 0);
	assert_int_equal(h->bodies.n, 0);
}

/* --- ROUTE --- */

static void test_route_finds_no_model(void **state)
{
	struct scene *s = *state;

	expect_chat(s, "{\"model\":\"none\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
		    RECORD_END_REJECTED, 404, "model_not_found");
}

/* --- ADMIT --- */

static void test_admit_refuses(void **state)
{
	struct scene *s = *state;

	s->key.models = SLICE_LIT("other");
	scene_key(s);
	expect_chat(s, chat, RECORD_END_REJECTED, 403, "model_not_allowed");
	s->key.models = SLICE_NONE;
	rig_limit(&s->key, ROWS_RPM, 0);
	scene_key(s);
	expect_chat(s, chat, RECORD_END_REJECTED, 429, "rate_limit_exceeded");
	rig_limit(&s->key, ROWS_RPM, ROWS_NO_LIMIT);
	rig_limit(&s->key, ROWS_CONCURRENCY, 0);
	scene_key(s);
	expect_chat(s, chat, RECORD_END_REJECTED, 429, "rate_limit_exceeded");
	rig_limit(&s->key, ROWS_CONCURRENCY, ROWS_NO_LIMIT);
	rig_budget(&s->key, 1, (struct window_spec){.unit = WINDOW_DAY});
	scene_key(s);
	expect_chat(s, chat, RECORD_END_REJECTED, 402, "budget_exceeded");
}

static void test_admit_without_credit(void **state)
{
	struct scene *s = *state;
	bool durable;

	assert_int_equal(admin_account_take(&s->rig.admin, &s->rig.by, s->account,
					    10 * RIG_DOLLAR - 1000, &durable),
			 ERRC_OK);
	expect_chat(s, chat, RECORD_END_REJECTED, 402, "insufficient_credit");
}

/* What a running request holds comes back: not 402. */
static void test_admit_while_credit_is_held(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one"), *first = s->client;
	bool durable;

	assert_int_equal(admin_account_take(&s->rig.admin, &s->rig.by, s->account,
					    10 * RIG_DOLLAR - 250000, &durable),
			 ERRC_OK);
	scene_chat(s, "m", false);
	scene_at(s, CALL_HEAD);
	s->client = NULL;
	scene_rejoin(s);
	scene_chat(s, "m", false);
	scene_expect_out(s, "HTTP/1.1 429 ");
	scene_expect_out(s, "\"code\":\"credit_held\"");
	scene_expect_out(s, "retry-after: 1\r\n");
	mem_xport_reset(first, ERRC_CONNRESET);
	scene_run(s);
	mem_xport_free(&first);
	assert_true(mem_xport_is_closed(up));
}

/* A running request counts with an estimate of its tokens, a settled one with what it used. */
static void test_admit_counts_estimated_tokens(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one"), *first = s->client;

	rig_limit(&s->key, ROWS_TPM, 20);
	scene_key(s);
	scene_chat(s, "m", false);
	scene_at(s, CALL_HEAD);
	s->client = NULL;
	scene_rejoin(s);
	scene_chat(s, "m", false);
	scene_expect_out(s, "HTTP/1.1 429 ");
	scene_expect_out(s, "limit of 20 tokens a minute");
	mem_xport_take(s->client);
	scene_answer(s, up, 200, "", scene_whole); /* 15 tokens */
	scene_chat(s, "m", false);
	scene_answer(s, up, 200, "", scene_whole);
	scene_expect_out(s, "HTTP/1.1 200 ");
	mem_xport_take(s->client);
	scene_chat(s, "m", false);
	scene_expect_out(s, "HTTP/1.1 429 ");
	mem_xport_free(&first);
	scene_run(s);
}

/* Records that wait are the node's matter: no key is blamed. */
static void test_admit_without_the_ledger(void **state)
{
	struct scene *s = *state;
	struct progress *p = live_progress(s->calls->env.live);

	progress_set_ledger_failed(p, true);
	scene_chat(s, "m", false);
	progress_set_ledger_failed(p, false);
	scene_expect_out(s, "HTTP/1.1 503 ");
	scene_expect_out(
		s, "\"message\":\"The ledger cannot take charges now: records wait to be written; "
		   "try again in 1 second.\"");
	scene_expect_out(s, "\"code\":\"ledger_unavailable\"");
}

/* A limit that only counts lets the request through and is counted itself. */
static void test_admit_by_a_shadow(void **state)
{
	struct scene *s = *state;
	const struct slice scope = SLICE_LIT("key");
	struct mem_xport *up = scene_up(s, "one");
	char text[SERIES_LABELS_MAX];
	page_u64 *cell;

	cell = series_cell(s->page, SERIES_SHADOW_REFUSALS,
			   slice_of(text, series_labels(SERIES_SHADOW_REFUSALS, &scope, 1, text)));
	rig_limit(&s->key, ROWS_RPM, 0);
	rig_limit(&s->key, ROWS_CONCURRENCY, 0);
	s->key.limits.v[0].shadow = s->key.limits.v[1].shadow = true;
	scene_key(s);
	scene_chat(s, "m", false);
	assert_int_equal(atomic_load(cell), 1);
	scene_answer(s, up, 200, "", scene_whole);
	scene_expect_out(s, "HTTP/1.1 200 ");
}

/* --- READ --- */

static void test_read_refuses_what_a_back_cannot_say(void **state)
{
	struct scene *s = *state;

	expect_chat(
		s,
		"{\"model\":\"deep\",\"max_tokens\":5,\"logprobs\":true,\"messages\":[{\"role\":"
		"\"user\",\"content\":\"hi\"}]}",
		RECORD_END_REJECTED, 400, "unsupported_parameter");
}

static void test_read_off_the_loop(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "three");

	scene_chat_long(s, "deep", false);
	scene_at(s, CALL_READ);
	while (scene_call(s)->step == CALL_READ) {
		uv_run(&s->loop, UV_RUN_ONCE);
		scene_run(s);
	}
	scene_at(s, CALL_HEAD);
	assert_true(mem_xport_out(up).n > 1 << 20);
	mem_xport_reset(s->client, ERRC_CONNRESET);
	scene_run(s);
	scene_none(s);
}

/* The client leaves meanwhile: the call ends once the thread has let go of it. */
static void test_client_gone_while_reading(void **state)
{
	struct scene *s = *state;

	scene_chat_long(s, "deep", false);
	scene_at(s, CALL_READ);
	mem_xport_reset(s->client, ERRC_CONNRESET);
	while (call_host_count(s->calls) > 0) {
		uv_run(&s->loop, UV_RUN_ONCE);
		scene_run(s);
	}
}

/* So does the end of the worker; the hold is left to the keeper. */
static void test_worker_ends_while_reading(void **state)
{
	struct scene *s = *state;
	struct admit_done done;
	struct genid id;

	scene_chat_long(s, "deep", false);
	id = scene_at(s, CALL_READ)->id;
	s->left_to_keeper = true;
	scene_restart(s);
	rig_settle(&s->rig, s->account, &id, 1, 1, &done);
	assert_true(done.settled);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		T(test_start_needs_no_key),
		T(test_start_refuses_paths),
		T(test_start_refuses_unreadable_heads),
		T(test_start_has_no_room),
		T(test_client_behind_a_proxy),
		T(test_start_without_a_client),
		T(test_auth_refuses_keys),
		T(test_auth_looks_at_the_key),
		T(test_own_routes),
		T(test_own_lookups),
		T(test_own_reports),
		T(test_own_key),
		T(test_body_is_refused),
		T(test_body_too_large_or_slow),
		T(test_client_gone_in_the_body),
		T(test_body_in_two_reads),
		T(test_memory_of_bodies_is_kept_for_the_next),
		T(test_route_finds_no_model),
		T(test_admit_refuses),
		T(test_admit_without_credit),
		T(test_admit_while_credit_is_held),
		T(test_admit_counts_estimated_tokens),
		T(test_admit_without_the_ledger),
		T(test_admit_by_a_shadow),
		T(test_read_refuses_what_a_back_cannot_say),
		T(test_read_off_the_loop),
		T(test_client_gone_while_reading),
		T(test_worker_ends_while_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
