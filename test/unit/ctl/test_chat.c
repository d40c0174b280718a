/* The client of `aigwctl chat`: what a stream says, fed at every split point; the exchange over a socketpair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "chat_answer.h"
#include "chat_http.h"
#include "mem.h"

#define HEAD                                                                                  \
	"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nx-request-id: " \
	"gen_1\r\nx-aigw-provider: mock\r\n"                                                  \
	"transfer-encoding: chunked\r\n\r\n"
#define STREAM                                                                                     \
	": aigw\n\n"                                                                               \
	"data: "                                                                                   \
	"{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_" \
	"reason\":null}]}\n\n"                                                                     \
	"data: "                                                                                   \
	"{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"gr\\u00fc\\u00df\"},\"finish_"        \
	"reason\":null}]}\n\n"                                                                     \
	"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" "                              \
	"dich\"},\"finish_reason\":null}]}\n\n"                                                    \
	"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"          \
	"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,"            \
	"\"prompt_tokens_details\":{\"cached_tokens\":2},\"completion_tokens_details\":{"          \
	"\"reasoning_tokens\":3},"                                                                 \
	"\"cost\":0.000015}}\n\n"                                                                  \
	"data: [DONE]\n\n"
#define TEXT "gr\xc3\xbc\xc3\x9f dich"

struct seen {
	struct chat_answer a;
	char text[256];
	size_t n;
};

static void on_text(void *arg, struct slice text)
{
	struct seen *s = arg;

	assert_true(text.n && s->n + text.n < sizeof(s->text));
	memcpy(s->text + s->n, text.p, text.n);
	s->n += text.n;
}

static bool on_head(void *arg, const struct http1_head *h)
{
	chat_answer_head(&((struct seen *)arg)->a, h);
	return true;
}

static bool on_body(void *arg, struct slice part)
{
	return chat_answer_body(&((struct seen *)arg)->a, part);
}

static const struct chat_http_events events = {.on_head = on_head, .on_body = on_body};

static void begin(struct seen *s, const char *content_type, int status)
{
	struct http1_field f[] = {{SLICE_LIT("content-type"), slice_str(content_type)}};
	struct http1_head h = {.status = status, .fields = f, .field_count = 1, .names = UINT64_MAX};

	*s = (struct seen){0};
	chat_answer_init(&s->a, on_text, s);
	chat_answer_head(&s->a, &h);
}

static void end(struct seen *s)
{
	chat_answer_fini(&s->a);
	assert_int_equal(mem_live_count(), 0);
}

static void expect_whole(const struct seen *s)
{
	assert_int_equal(s->a.err, ERRC_OK);
	assert_true(s->a.is_done && s->a.has_usage && !s->a.has_error);
	assert_true(slice_is(slice_of(s->text, s->n), TEXT));
	assert_true(slice_is(buf_slice(&s->a.whole), TEXT));
	assert_string_equal(s->a.finish, "stop");
	assert_true(s->a.input == 7 && s->a.output == 5 && s->a.cached == 2 && s->a.reasoning == 3);
	assert_true(s->a.cost_nusd == 15000);
}

static void test_stream_at_every_split_point(void **state)
{
	struct slice all = SLICE_LIT(STREAM);
	struct seen s;

	for (size_t i = 0; i <= all.n; i++) {
		begin(&s, "text/event-stream", 200);
		assert_true(chat_answer_body(&s.a, slice_sub(all, 0, i)));
		assert_true(chat_answer_body(&s.a, slice_sub(all, i, all.n)));
		chat_answer_end(&s.a);
		expect_whole(&s);
		end(&s);
	}
}

static void test_whole_answer(void **state)
{
	struct seen s;

	begin(&s, "application/json", 200);
	assert_true(chat_answer_body(
		&s.a, SLICE_LIT("{\"choices\":[{\"message\":{\"content\":\"hi\"},\"finish_")));
	assert_true(chat_answer_body(
		&s.a,
		SLICE_LIT("reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"cost\":0.0}}")));
	chat_answer_end(&s.a);
	assert_true(s.a.is_done && s.a.input == 1 && s.a.cost_nusd == 0);
	assert_true(slice_is(slice_of(s.text, s.n), "hi"));
	end(&s);
}

static void test_error_answers(void **state)
{
	struct seen s;

	begin(&s, "application/json", 402);
	assert_true(chat_answer_body(
		&s.a,
		SLICE_LIT("{\"error\":{\"message\":\"add credit\",\"type\":\"insufficient_quota\","
			  "\"code\":\"insufficient_credit\"}}")));
	chat_answer_end(&s.a);
	assert_true(s.a.has_error);
	assert_string_equal(s.a.code, "insufficient_credit");
	assert_string_equal(s.a.message, "add credit");
	end(&s);

	begin(&s, "text/html", 502);
	assert_true(chat_answer_body(&s.a, SLICE_LIT("<html>")));
	chat_answer_end(&s.a);
	assert_true(s.a.has_error);
	assert_string_equal(s.a.code, "http");
	end(&s);
}

static void test_error_item_ends_a_stream(void **state)
{
	struct seen s;

	begin(&s, "text/event-stream", 200);
	assert_false(chat_answer_body(
		&s.a, SLICE_LIT("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
				"data: "
				"{\"error\":{\"message\":\"broke\",\"type\":\"server_error\","
				"\"code\":null}}\n\n")));
	assert_true(s.a.has_error && !s.a.is_done);
	assert_string_equal(s.a.code, "server_error");
	assert_int_equal(s.a.text_bytes, 1);
	end(&s);

	begin(&s, "text/event-stream", 200);
	assert_false(chat_answer_body(&s.a, SLICE_LIT("data: {nonsense\n\n")));
	assert_int_equal(s.a.err, ERRC_PROTOCOL);
	end(&s);
}

static void test_request(void **state)
{
	struct uri u;
	struct buf b;

	assert_int_equal(uri_parse(SLICE_LIT("http://[::1]:8080/gw/"), &u), ERRC_OK);
	buf_init(&b, 4096);
	assert_int_equal(chat_http_request(&b, &u, "/v1/chat/completions", SLICE_LIT("sk-1"),
					   SLICE_LIT("{}")),
			 ERRC_OK);
	assert_true(slice_has_prefix(
		buf_slice(&b),
		SLICE_LIT("POST /gw/v1/chat/completions HTTP/1.1\r\nhost: [::1]:8080\r\n"
			  "authorization: Bearer sk-1\r\n")));
	assert_true(slice_has_suffix(buf_slice(&b), SLICE_LIT("content-length: 2\r\n\r\n{}")));
	buf_reset(&b);
	assert_int_equal(chat_http_request(&b, &u, "/v1", SLICE_LIT("a\r\nb: c"), SLICE_LIT("{}")),
			 ERRC_INVAL);
	buf_fini(&b);
}

/* The response lies in the socket before the request is sent. */
static enum errc talk(struct seen *s, const char *response, bool closes)
{
	size_t n = strlen(response);
	enum errc e;
	int fds[2];

	*s = (struct seen){0};
	chat_answer_init(&s->a, on_text, s);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(write(fds[0], response, n), n);
	if (closes)
		shutdown(fds[0], SHUT_WR);
	e = chat_http_talk(fds[1], SLICE_LIT("POST"), 20, &events, s);
	close(fds[0]);
	close(fds[1]);
	if (!e)
		chat_answer_end(&s->a);
	return e;
}

static void test_exchange(void **state)
{
	char response[4096];
	struct seen s;

	snprintf(response, sizeof(response), HEAD "%zx\r\n" STREAM "\r\n0\r\n\r\n",
		 sizeof(STREAM) - 1);
	assert_int_equal(talk(&s, response, false), ERRC_OK);
	expect_whole(&s);
	assert_string_equal(s.a.request_id, "gen_1");
	assert_string_equal(s.a.provider, "mock");
	end(&s);
}

static void test_cut_exchanges(void **state)
{
	char response[4096];
	struct seen s;

	snprintf(response, sizeof(response), HEAD "%zx\r\n" STREAM "\r\n", sizeof(STREAM) - 1);
	assert_int_equal(talk(&s, response, true), ERRC_TRUNCATED);
	end(&s);
	assert_int_equal(talk(&s, response, false), ERRC_TIMEOUT);
	end(&s);
	assert_int_equal(talk(&s, "", true), ERRC_TRUNCATED);
	end(&s);
	assert_int_equal(talk(&s, "SMTP ready\r\n", true), ERRC_PROTOCOL);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stream_at_every_split_point),
		cmocka_unit_test(test_whole_answer),
		cmocka_unit_test(test_error_answers),
		cmocka_unit_test(test_error_item_ends_a_stream),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_exchange),
		cmocka_unit_test(test_cut_exchanges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
