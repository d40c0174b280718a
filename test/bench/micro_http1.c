/* How long a typical request head, response head and chunked body take, read and written. */
#include "http1.h"
#include "micro.h"

static const struct http1_limits limits = {.line_max = 8192, .head_max = 65536, .headers_max = 200};

static const char request[] =
	"POST /v1/chat/completions HTTP/1.1\r\n"
	"Host: api.example.com:8080\r\n"
	"Accept: application/json\r\n"
	"Content-Type: application/json\r\n"
	"User-Agent: OpenAI/Python 1.109.1\r\n"
	"Accept-Encoding: gzip, deflate\r\n"
	"Connection: keep-alive\r\n"
	"X-Stainless-Lang: python\r\n"
	"X-Stainless-Package-Version: 1.109.1\r\n"
	"X-Stainless-OS: Linux\r\n"
	"X-Stainless-Arch: x64\r\n"
	"X-Stainless-Runtime: CPython\r\n"
	"X-Stainless-Runtime-Version: 3.11.2\r\n"
	"X-Stainless-Retry-Count: 0\r\n"
	"X-Stainless-Read-Timeout: 600\r\n"
	"Authorization: Bearer sk-aigw-abcdefghijkl-0123456789012345678901234567890123456789012\r\n"
	"Content-Length: 0\r\n\r\n";

static const char response[] = "HTTP/1.1 200 OK\r\n"
			       "Date: Wed, 25 Nov 2026 09:30:00 GMT\r\n"
			       "Content-Type: application/json\r\n"
			       "Content-Length: 2\r\n"
			       "openai-processing-ms: 312\r\n"
			       "x-ratelimit-limit-requests: 10000\r\n"
			       "x-ratelimit-remaining-requests: 9999\r\n"
			       "x-request-id: req_0123456789abcdef\r\n\r\n{}";

struct side {
	struct http1 h;
	struct slice text;
};

static void read_message(void *arg)
{
	struct side *s = arg;
	struct slice in = s->text, body;
	int rc;

	while ((rc = http1_next(&s->h, &in, &body)) > 0)
		;
	require(rc == HTTP1_MORE);
}

static void read_message_after_idle(void *arg)
{
	read_message(arg);
	http1_relax(&((struct side *)arg)->h);
}

static void look_up(void *arg)
{
	struct side *s = arg;

	require(http1_header(&s->h.head, "authorization").n > 0);
	require(!http1_find(&s->h.head, "x-api-key"));
}

static void write_head(void *arg)
{
	struct buf *b = arg;

	buf_reset(b);
	require(!http1_put_status(b, 200));
	require(!http1_put_header(b, "content-type", SLICE_LIT("text/event-stream; charset=utf-8")));
	require(!http1_put_header(b, "cache-control", SLICE_LIT("no-cache")));
	require(!http1_put_header(b, "transfer-encoding", SLICE_LIT("chunked")));
	require(!http1_put_header(b, "x-request-id", SLICE_LIT("gen_01234567890123456789012345")));
	require(!http1_put_header(b, "x-generation-id",
				  SLICE_LIT("gen_01234567890123456789012345")));
	require(!http1_put_header(b, "x-aigw-provider", SLICE_LIT("openai")));
	require(!http1_put_header_i64(b, "x-ratelimit-remaining-requests", 9999));
	require(!http1_put_end(b));
}

int main(void)
{
	struct side down = {.text = slice_str(request)}, up = {.text = slice_str(response)}, stream;
	struct slice head = SLICE_LIT("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), body;
	struct buf out, chunk;
	char event[208];

	memset(event, 'x', sizeof(event));
	buf_init(&chunk, 1024);
	require(!http1_put_chunk(&chunk, slice_of(event, sizeof(event))));
	http1_init(&down.h, HTTP1_REQUEST, &limits);
	http1_init(&up.h, HTTP1_RESPONSE, &limits);
	http1_init(&stream.h, HTTP1_RESPONSE, &limits);
	require(http1_next(&stream.h, &head, &body) == HTTP1_HEAD);
	stream.text = buf_slice(&chunk);
	buf_init(&out, 65536);
	micro_run("request head, 17 fields", read_message, &down);
	micro_run("the same on a connection that was idle", read_message_after_idle, &down);
	read_message(&down);
	micro_run("two look-ups in it", look_up, &down);
	micro_run("response, 7 fields", read_message, &up);
	micro_run("chunk of 208 bytes", read_message, &stream);
	micro_run("response head written, 7 fields", write_head, &out);
	http1_fini(&down.h);
	http1_fini(&up.h);
	http1_fini(&stream.h);
	buf_fini(&out);
	buf_fini(&chunk);
	return 0;
}
