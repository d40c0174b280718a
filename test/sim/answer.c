#include "answer.h"

#include "abuild.h"
#include "http1.h"
#include "mem.h"

#define WIRE_MAX ((size_t)128 << 20)
#define BIG_HEAD ((size_t)10 << 20)

void answer_init(struct answer *a)
{
	memset(a, 0, sizeof(*a));
	buf_init(&a->wire, WIRE_MAX);
}

void answer_fini(struct answer *a)
{
	buf_fini(&a->wire);
	mem_free(a->marks);
	a->marks = NULL;
}

static void error_body(struct abuild *b)
{
	int status = (int)b->s->status;
	const char *code = b->s->code[0]   ? b->s->code
			   : status == 429 ? "rate_limit_exceeded"
			   : status == 401 ? "invalid_api_key"
					   : "error";

	if (b->ask->api == ANSWER_MESSAGES)
		abuild_put(b,
			   "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"simulated "
			   "error %d\"},\"request_id\":\"req_sim\"}",
			   b->s->code[0]   ? b->s->code
			   : status == 429 ? "rate_limit_error"
			   : status == 529 ? "overloaded_error"
			   : status < 500  ? "invalid_request_error"
					   : "api_error",
			   status);
	else
		abuild_put(b,
			   "{\"error\":{\"message\":\"simulated error "
			   "%d\",\"type\":\"%s\",\"param\":null,\"code\":\"%s\"}}",
			   status, status < 500 ? "invalid_request_error" : "server_error", code);
}

static void head(struct abuild *b, struct buf *w, int status, bool stream, bool chunked)
{
	size_t n = b->body.len + (abuild_faults(b, SCRIPT_LONG_LENGTH) ? 100 : 0) -
		   (abuild_faults(b, SCRIPT_SHORT_LENGTH) ? b->body.len / 2 : 0);

	if (!b->e)
		b->e = buf_addf(
			w, "HTTP/1.1 %d %s\r\ncontent-type: %s\r\nx-request-id: req-sim%llu\r\n",
			status, http1_put_reason(status),
			abuild_faults(b, SCRIPT_HTML) ? "text/html"
			: stream                      ? "text/event-stream"
						      : "application/json",
			(unsigned long long)b->ask->serial);
	if (!b->e && abuild_faults(b, SCRIPT_REDIRECT))
		b->e = buf_addf(w, "location: http://%s/v1/chat/completions\r\n",
				b->s->location[0] ? b->s->location : "127.0.0.1:1");
	if (!b->e && status >= 400 && b->s->retry_after >= 0)
		b->e = buf_addf(w, "retry-after: %lld\r\n", (long long)b->s->retry_after);
	if (!b->e && b->s->close)
		b->e = buf_addz(w, "connection: close\r\n");
	if (!b->e && abuild_faults(b, SCRIPT_TWO_LENGTHS))
		b->e = buf_addz(w, "content-length: 7\r\n");
	if (!b->e && abuild_faults(b, SCRIPT_BIG_HEAD)) {
		b->e = buf_addz(w, "x-big: ");
		for (size_t i = 0; i < BIG_HEAD && !b->e; i += 16)
			b->e = buf_addz(w, "aaaaaaaaaaaaaaaa");
		if (!b->e)
			b->e = buf_addz(w, "\r\n");
	}
	if (!b->e && chunked)
		b->e = buf_addz(w, "transfer-encoding: chunked\r\n");
	else if (!b->e && b->s->close != 2)
		b->e = buf_addf(w, "content-length: %zu\r\n", n);
	if (!b->e)
		b->e = buf_addz(w, "\r\n");
}

/* The body's frames as chunks; marks move to their places on the wire. */
static void chunks(struct abuild *b, struct buf *w)
{
	struct answer *a = b->a;
	size_t from = 0, n = a->marks_n;

	for (size_t i = 0; i <= n && from < MIN_OF(b->body.len, b->cut) && !b->e; i++) {
		size_t to = MIN_OF(i < n ? a->marks[i].at : b->body.len, b->cut);
		bool bad = abuild_faults(b, SCRIPT_BAD_CHUNK) && i == MIN_OF(n, 1);

		if (to > from)
			b->e = bad ? buf_addz(w, "zz\r\n") : http1_put_chunk_head(w, to - from);
		if (!b->e && to > from)
			b->e = buf_add(w, b->body.p + from, to - from);
		if (!b->e && to > from && !(to == b->cut && abuild_faults(b, SCRIPT_HALF_CHUNK)))
			b->e = buf_addz(w, "\r\n");
		if (i < n) {
			a->marks[i].at = w->len;
			if (to == b->cut)
				a->marks_n = i + 1;
		}
		from = to;
	}
	if (!b->e && b->cut == ABUILD_NO_CUT)
		b->e = buf_addz(w, "0\r\n\r\n");
}

static void plain_body(struct abuild *b, struct buf *w)
{
	size_t n = MIN_OF(b->body.len, b->cut), head_n = w->len;

	if (!b->e)
		b->e = buf_add(w, b->body.p, n);
	for (size_t i = 0; i < b->a->marks_n; i++)
		b->a->marks[i].at = head_n + MIN_OF(b->a->marks[i].at, n);
}

static void wrap(struct abuild *b, int status)
{
	struct answer *a = b->a;
	bool stream = b->ask->stream && status == 200,
	     chunked = (stream || b->s->chunked) && b->s->close != 2;
	size_t head_n;

	head(b, &a->wire, status, stream, chunked);
	head_n = a->wire.len;
	if (abuild_faults(b, SCRIPT_HALF_HEAD))
		buf_truncate(&a->wire, head_n / 2);
	if (abuild_faults(b, SCRIPT_HALF_HEAD) || abuild_faults(b, SCRIPT_AFTER_HEAD) ||
	    abuild_faults(b, SCRIPT_BEFORE_HEAD) || abuild_faults(b, SCRIPT_SILENT)) {
		if (abuild_faults(b, SCRIPT_BEFORE_HEAD) || abuild_faults(b, SCRIPT_SILENT))
			buf_reset(&a->wire);
		a->end = abuild_faults(b, SCRIPT_SILENT) ? ANSWER_HANG : ANSWER_CLOSE;
		a->marks_n = 0;
		return;
	}
	if (chunked)
		chunks(b, &a->wire);
	else
		plain_body(b, &a->wire);
	if (!b->e && abuild_faults(b, SCRIPT_TRAILING))
		b->e = buf_addz(&a->wire, "data: trailing bytes\n\n");
	if (a->end == ANSWER_KEEP && (b->s->close || abuild_faults(b, SCRIPT_LONG_LENGTH)))
		a->end = ANSWER_CLOSE;
	a->complete = b->cut == ABUILD_NO_CUT && !abuild_faults(b, SCRIPT_LONG_LENGTH);
}

/* Whole answers go wrong at a byte, not at an event. */
static void whole_faults(struct abuild *b)
{
	switch (b->faulty ? b->s->kind : SCRIPT_NONE) {
	case SCRIPT_CUT:
	case SCRIPT_LIFECYCLE:
	case SCRIPT_UTF8:
	case SCRIPT_JSON:
	case SCRIPT_AFTER_FINISH:
	case SCRIPT_HALF_CHUNK:
		abuild_cut(b, b->body.len / 2, ANSWER_CLOSE);
		break;
	case SCRIPT_RST:
		abuild_cut(b, b->body.len / 2, ANSWER_RESET);
		break;
	case SCRIPT_STALL:
		abuild_cut(b, b->body.len / 2, ANSWER_HANG);
		break;
	case SCRIPT_GARBAGE:
		buf_reset(&b->body);
		abuild_puts(b, "{\"this is\": not JSON");
		break;
	case SCRIPT_ERROR_ITEM:
		buf_reset(&b->body);
		abuild_puts(b, "{\"error\":{\"message\":\"The server had an "
			       "error\",\"type\":\"server_error\",\"code\":null}}");
		break;
	default:
		break;
	}
}

static void make_body(struct abuild *b)
{
	static void (*const make[ANSWER_COUNT][2])(struct abuild *) = {
		[ANSWER_CHAT] = {answer_chat_whole, answer_chat_stream},
		[ANSWER_COMPLETIONS] = {answer_chat_whole, answer_chat_stream},
		[ANSWER_EMBEDDINGS] = {answer_embeddings, answer_embeddings},
		[ANSWER_MESSAGES] = {answer_messages_whole, answer_messages_stream},
	};

	if (abuild_faults(b, SCRIPT_EMPTY))
		return;
	b->output = b->ask->api == ANSWER_EMBEDDINGS ? 0 : b->s->hidden;
	if (abuild_faults(b, SCRIPT_HTML))
		abuild_puts(b, "<html><body>502 Bad Gateway</body></html>");
	else if (b->ask->api == ANSWER_MODELS)
		abuild_puts(b, "{\"object\":\"list\",\"data\":[{\"id\":\"sim\",\"object\":"
			       "\"model\",\"created\":1,\"owned_by\":\"sim\"}]}");
	else
		make[b->ask->api][b->ask->stream](b);
	if (!b->ask->stream)
		whole_faults(b);
}

enum errc answer_make(struct answer *a, const struct answer_ask *ask, const struct script *s,
		      bool faulty)
{
	struct abuild b = {.a = a, .ask = ask, .s = s, .cut = ABUILD_NO_CUT, .faulty = faulty};
	int status = faulty && s->status != 200             ? (int)s->status
		     : faulty && s->kind == SCRIPT_REDIRECT ? 302
							    : 200;

	buf_reset(&a->wire);
	a->marks_n = 0;
	a->end = ANSWER_KEEP;
	a->complete = false;
	buf_init(&b.body, WIRE_MAX);
	if (abuild_faults(&b, SCRIPT_NOISE)) {
		b.e = buf_addz(&a->wire, "\x01\x02 this is not HTTP\r\n\r\n");
		a->end = ANSWER_CLOSE;
	} else {
		if (status >= 300)
			error_body(&b);
		else
			make_body(&b);
		wrap(&b, status);
	}
	a->input = status == 200 ? abuild_prompt_tokens(&b) : 0;
	a->output = b.output;
	a->cached = s->cached;
	a->events = b.content;
	buf_fini(&b.body);
	return b.e;
}

enum errc answer_replay(struct answer *a, int status, struct slice content_type, struct slice body)
{
	enum errc e;

	buf_reset(&a->wire);
	a->marks_n = 0;
	a->end = ANSWER_KEEP;
	a->complete = true;
	e = buf_addf(&a->wire,
		     "HTTP/1.1 %d %s\r\ncontent-type: " SLICE_FMT "\r\ncontent-length: %zu\r\n\r\n",
		     status, http1_put_reason(status), SLICE_ARG(content_type), body.n);
	return e ? e : buf_adds(&a->wire, body);
}
