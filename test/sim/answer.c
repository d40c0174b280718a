#include "answer.h"

#include <stdio.h>

#include "http1.h"
#include "mem.h"
#include "text.h"

#define WIRE_MAX ((size_t)128 << 20)
#define BIG_FRAME ((size_t)64 << 20)
#define BIG_HEAD ((size_t)10 << 20)
#define NO_CUT SIZE_MAX

/* What is being built: the body first, with marks at its frames' ends, then the wire. */
struct build {
	struct answer *a;
	const struct answer_ask *ask;
	const struct script *s;
	struct buf body;
	size_t cut;	   /* the body ends here, inside a frame or between two */
	int64_t content;   /* content events so far */
	int64_t output;	   /* tokens so far */
	bool faulty;
	enum errc e;
};

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

static void put(struct build *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void put(struct build *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!b->e)
		b->e = buf_addvf(&b->body, fmt, ap);
	va_end(ap);
}

static void puts_of(struct build *b, const char *text)
{
	if (!b->e)
		b->e = buf_addz(&b->body, text);
}

/* A frame ends here; the player waits `ms` before what follows. */
static void mark(struct build *b, int64_t ms)
{
	struct answer *a = b->a;

	if (b->e)
		return;
	if (a->marks_n == a->marks_max) {
		size_t max = a->marks_max ? a->marks_max * 2 : 64;
		struct answer_mark *m = mem_grow(a->marks, max * sizeof(*m));

		if (!m) {
			b->e = ERRC_NOMEM;
			return;
		}
		a->marks = m;
		a->marks_max = max;
	}
	a->marks[a->marks_n++] = (struct answer_mark){.at = b->body.len, .ms = ms, .tokens = b->output, .events = b->content};
}

static bool faults(const struct build *b, enum script_fault f)
{
	return b->faulty && b->s->kind == f;
}

/* Cuts the body so many bytes from now on; the first cut stays. */
static void cut_at(struct build *b, size_t at, enum answer_end end)
{
	if (b->cut != NO_CUT)
		return;
	b->cut = at;
	b->a->end = end;
}

static const char *nl(const struct build *b)
{
	return b->s->crlf ? "\r\n" : "\n";
}

static int64_t token_ms(const struct build *b)
{
	return b->s->rate > 0 ? 1000 / b->s->rate : 0;
}

/* The text of the i-th token, so that all of them together have the wanted size. */
static void put_token(struct build *b, int64_t i)
{
	int64_t n = b->s->size > 0 ? b->s->size / b->s->tokens + (i < b->s->size % b->s->tokens) : 5;

	for (; n > 1 && !b->e; n--)
		b->e = buf_addc(&b->body, (char)('a' + (i + n) % 26));
	if (n == 1)
		puts_of(b, " ");
}

/* ---- chat and completions ---- */

static void chat_open(struct build *b)
{
	put(b, "data: {\"id\":\"chatcmpl-sim%llu\",\"object\":\"%s\",\"created\":%lld,\"model\":\"%.*s\",",
	    (unsigned long long)b->ask->serial, b->ask->api == ANSWER_CHAT ? "chat.completion.chunk" : "text_completion",
	    (long long)b->ask->now_s, (int)b->ask->model.n, b->ask->model.p);
}

static void frame_close(struct build *b, int64_t ms)
{
	put(b, "%s%s", nl(b), nl(b));
	mark(b, ms);
}

static int64_t prompt_tokens(const struct build *b)
{
	return b->s->input >= 0 ? b->s->input : (int64_t)(b->ask->body_bytes + 3) / 4;
}

static void chat_usage(struct build *b, const char *before)
{
	bool zero = !strcmp(b->s->usage, "zero");
	int64_t in = zero ? 0 : prompt_tokens(b), out = zero ? 0 : b->output;

	put(b,
	    "%s\"usage\":{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"total_tokens\":%lld,"
	    "\"prompt_tokens_details\":{\"cached_tokens\":%lld,\"cache_write_tokens\":%lld},"
	    "\"completion_tokens_details\":{\"reasoning_tokens\":%lld}}",
	    before, (long long)in, (long long)out, (long long)(in + out), (long long)b->s->cached, (long long)b->s->cache_write,
	    (long long)b->s->reasoning);
}

static bool usage_is(const struct build *b, const char *word)
{
	return !strcmp(b->s->usage, word);
}

static void chat_delta(struct build *b, int64_t choice, const char *open)
{
	chat_open(b);
	put(b, "\"choices\":[{\"index\":%lld,%s", (long long)choice, open);
}

/* One content event; where the script wants a fault in it, the body ends or goes wrong here. */
static void chat_token(struct build *b, int64_t choice, int64_t i, bool reasoning)
{
	size_t start = b->body.len;
	bool text = b->ask->api == ANSWER_COMPLETIONS;

	b->content++;
	b->output++;
	chat_delta(b, choice, text ? "\"text\":\"" : reasoning ? "\"delta\":{\"reasoning_content\":\"" : "\"delta\":{\"content\":\"");
	if (faults(b, SCRIPT_UTF8) && b->content == MAX_OF(b->s->at, 1)) {
		puts_of(b, "\xe6\xbc\xa2");
		cut_at(b, b->body.len - 1, ANSWER_CLOSE);
	}
	put_token(b, i);
	puts_of(b, text ? "\",\"finish_reason\":null}]" : "\"},\"finish_reason\":null}]");
	if (usage_is(b, "every"))
		chat_usage(b, ",");
	puts_of(b, "}");
	if (faults(b, SCRIPT_JSON) && b->content == MAX_OF(b->s->at, 1))
		cut_at(b, start + (b->body.len - start) * 2 / 3, ANSWER_CLOSE);
	frame_close(b, token_ms(b));
}

/* Faults between two events. */
static void between(struct build *b)
{
	if (!b->faulty || b->content != b->s->at)
		return;
	switch (b->s->kind) {
	case SCRIPT_CUT:
	case SCRIPT_HALF_CHUNK:
		cut_at(b, b->body.len, ANSWER_CLOSE);
		break;
	case SCRIPT_RST:
		cut_at(b, b->body.len, ANSWER_RESET);
		break;
	case SCRIPT_STALL:
		cut_at(b, b->body.len, ANSWER_HANG);
		break;
	case SCRIPT_ENDLESS:
		cut_at(b, b->body.len, ANSWER_ENDLESS);
		break;
	case SCRIPT_GARBAGE:
		put(b, "data: {\"this is\": not JSON%s%s", nl(b), nl(b));
		mark(b, 0);
		break;
	case SCRIPT_ERROR_ITEM:
		if (b->ask->api == ANSWER_MESSAGES)
			put(b, "event: error%sdata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}", nl(b));
		else
			puts_of(b, "data: {\"error\":{\"message\":\"The server had an error\",\"type\":\"server_error\",\"code\":null}}");
		frame_close(b, 0);
		cut_at(b, b->body.len, ANSWER_CLOSE);
		break;
	case SCRIPT_BIG_FRAME:
		puts_of(b, b->ask->api == ANSWER_MESSAGES ? "event: content_block_delta\ndata: {\"x\":\"" : "data: {\"x\":\"");
		for (size_t i = 0; i < BIG_FRAME && !b->e; i += 64)
			b->e = buf_add(&b->body, "0123456789012345678901234567890123456789012345678901234567890123", 64);
		puts_of(b, "\"}");
		frame_close(b, 0);
		break;
	default:
		break;
	}
}

static void chat_tools(struct build *b, int64_t choice)
{
	for (int64_t i = 0; i < b->s->tools; i++) {
		chat_delta(b, choice, "\"delta\":{\"tool_calls\":[{");
		put(b, "\"index\":%lld,\"id\":\"call_sim%lld\",\"type\":\"function\",\"function\":{\"name\":\"tool%lld\",\"arguments\":\"\"}}]},"
		       "\"finish_reason\":null}]}",
		    (long long)i, (long long)i, (long long)i);
		frame_close(b, 0);
		chat_delta(b, choice, "\"delta\":{\"tool_calls\":[{");
		put(b, "\"index\":%lld,\"function\":{\"arguments\":\"{\\\"n\\\":%lld}\"}}]},\"finish_reason\":null}]}", (long long)i, (long long)i);
		b->content++;
		b->output++;
		frame_close(b, token_ms(b));
	}
}

static const char *finish_word(const struct build *b, const char *stop, const char *tools, const char *length)
{
	if (b->s->finish[0])
		return b->s->finish;
	if (b->s->tools > 0)
		return tools;
	return b->ask->cap > 0 && b->s->tokens > b->ask->cap ? length : stop;
}

static void chat_finish(struct build *b, int64_t choice)
{
	chat_open(b);
	if (b->ask->api == ANSWER_COMPLETIONS)
		put(b, "\"choices\":[{\"index\":%lld,\"text\":\"\",\"finish_reason\":\"%s\"", (long long)choice,
		    finish_word(b, "stop", "stop", "length"));
	else
		put(b, "\"choices\":[{\"index\":%lld,\"delta\":{},\"finish_reason\":\"%s\"", (long long)choice,
		    finish_word(b, "stop", "tool_calls", "length"));
	if (usage_is(b, "choice"))
		chat_usage(b, ",");
	puts_of(b, "}]");
	if (usage_is(b, "finish") || usage_is(b, "twice") || usage_is(b, "every"))
		chat_usage(b, ",");
	puts_of(b, "}");
	frame_close(b, 0);
}

static int64_t count_tokens(const struct build *b)
{
	return b->ask->cap > 0 ? MIN_OF(b->s->tokens, b->ask->cap) : b->s->tokens;
}

static void chat_stream(struct build *b)
{
	for (int64_t i = 0; i < b->s->comments; i++)
		put(b, ": PROCESSING%s%s", nl(b), nl(b));
	for (int64_t c = 0; c < b->ask->n; c++) {
		if (b->ask->api == ANSWER_COMPLETIONS)
			break;
		chat_delta(b, c, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}");
		if (faults(b, SCRIPT_LIFECYCLE))
			cut_at(b, b->body.len / 2, ANSWER_CLOSE);
		frame_close(b, b->s->first);
	}
	between(b);
	for (int64_t c = 0; c < b->ask->n; c++) {
		for (int64_t i = 0; i < b->s->reasoning; i++, between(b))
			chat_token(b, c, i, true);
		for (int64_t i = 0; i < count_tokens(b); i++, between(b))
			chat_token(b, c, i, false);
		chat_tools(b, c);
		chat_finish(b, c);
		if (faults(b, SCRIPT_DUP_FINISH))
			chat_finish(b, c);
	}
	if (faults(b, SCRIPT_AFTER_FINISH))
		cut_at(b, b->body.len, ANSWER_CLOSE);
	if (b->ask->include_usage && (usage_is(b, "") || usage_is(b, "last") || usage_is(b, "twice") || usage_is(b, "zero"))) {
		chat_open(b);
		puts_of(b, "\"choices\":[]");
		chat_usage(b, ",");
		puts_of(b, "}");
		frame_close(b, 0);
	}
	if (b->s->done) {
		puts_of(b, "data: [DONE]");
		frame_close(b, 0);
	}
}

static void chat_message(struct build *b, int64_t choice)
{
	bool text = b->ask->api == ANSWER_COMPLETIONS;

	put(b, "%s{\"index\":%lld,%s", choice ? "," : "", (long long)choice,
	    text ? "\"text\":\"" : "\"message\":{\"role\":\"assistant\",\"content\":\"");
	for (int64_t i = 0; i < count_tokens(b); i++)
		put_token(b, i);
	b->output += count_tokens(b) + b->s->reasoning + b->s->tools;
	puts_of(b, "\"");
	if (b->s->reasoning > 0 && !text)
		puts_of(b, ",\"reasoning_content\":\"thinking\"");
	if (b->s->tools > 0 && !text) {
		puts_of(b, ",\"tool_calls\":[");
		for (int64_t i = 0; i < b->s->tools; i++)
			put(b, "%s{\"id\":\"call_sim%lld\",\"type\":\"function\",\"function\":{\"name\":\"tool%lld\",\"arguments\":\"{\\\"n\\\":%lld}\"}}",
			    i ? "," : "", (long long)i, (long long)i, (long long)i);
		puts_of(b, "]");
	}
	put(b, "%s,\"finish_reason\":\"%s\"}", text ? "" : "}", finish_word(b, "stop", text ? "stop" : "tool_calls", "length"));
}

static void chat_whole(struct build *b)
{
	put(b, "{\"id\":\"chatcmpl-sim%llu\",\"object\":\"%s\",\"created\":%lld,\"model\":\"%.*s\",\"choices\":[",
	    (unsigned long long)b->ask->serial, b->ask->api == ANSWER_CHAT ? "chat.completion" : "text_completion",
	    (long long)b->ask->now_s, (int)b->ask->model.n, b->ask->model.p);
	for (int64_t c = 0; c < b->ask->n; c++)
		chat_message(b, c);
	puts_of(b, "]");
	if (!usage_is(b, "none"))
		chat_usage(b, ",");
	puts_of(b, "}");
}

/* ---- embeddings and models ---- */

static void embeddings(struct build *b)
{
	static const float v[4] = {0.25f, -0.5f, 0.125f, 1.0f};

	puts_of(b, "{\"object\":\"list\",\"data\":[");
	for (int64_t i = 0; i < b->ask->inputs; i++) {
		put(b, "%s{\"object\":\"embedding\",\"index\":%lld,\"embedding\":", i ? "," : "", (long long)i);
		if (b->ask->base64) {
			puts_of(b, "\"");
			if (!b->e)
				b->e = text_base64(&b->body, v, sizeof(v));
			puts_of(b, "\"}");
		} else {
			puts_of(b, "[0.25,-0.5,0.125,1.0]}");
		}
	}
	put(b, "],\"model\":\"%.*s\",\"usage\":{\"prompt_tokens\":%lld,\"total_tokens\":%lld}}", (int)b->ask->model.n, b->ask->model.p,
	    (long long)prompt_tokens(b), (long long)prompt_tokens(b));
}

/* ---- Anthropic messages ---- */

static void msg_usage(struct build *b, bool whole)
{
	bool zero = usage_is(b, "zero");
	int64_t in = zero ? 0 : MAX_OF(prompt_tokens(b) - b->s->cached - b->s->cache_write, 0);

	put(b,
	    "\"usage\":{\"input_tokens\":%lld,\"cache_read_input_tokens\":%lld,\"cache_creation_input_tokens\":%lld,\"output_tokens\":%lld}",
	    (long long)in, (long long)b->s->cached, (long long)b->s->cache_write, (long long)(zero ? 0 : whole ? b->output : 1));
}

static void msg_event(struct build *b, const char *type)
{
	put(b, "event: %s%sdata: {\"type\":\"%s\"", type, nl(b), type);
}

static void msg_block(struct build *b, int64_t index, const char *delta, int64_t n)
{
	for (int64_t i = 0; i < n; i++, between(b)) {
		size_t start = b->body.len;

		b->content++;
		b->output++;
		msg_event(b, "content_block_delta");
		put(b, ",\"index\":%lld,\"delta\":%s", (long long)index, delta);
		if (faults(b, SCRIPT_UTF8) && b->content == MAX_OF(b->s->at, 1)) {
			puts_of(b, "\xe6\xbc\xa2");
			cut_at(b, b->body.len - 1, ANSWER_CLOSE);
		}
		put_token(b, i);
		puts_of(b, "\"}}");
		if (faults(b, SCRIPT_JSON) && b->content == MAX_OF(b->s->at, 1))
			cut_at(b, start + (b->body.len - start) * 2 / 3, ANSWER_CLOSE);
		frame_close(b, token_ms(b));
	}
}

static void msg_stop_block(struct build *b, int64_t index)
{
	msg_event(b, "content_block_stop");
	put(b, ",\"index\":%lld}", (long long)index);
	frame_close(b, 0);
}

static void msg_start_block(struct build *b, int64_t index, const char *block)
{
	msg_event(b, "content_block_start");
	put(b, ",\"index\":%lld,\"content_block\":%s}", (long long)index, block);
	frame_close(b, 0);
}

static void msg_tools(struct build *b, int64_t index)
{
	for (int64_t i = 0; i < b->s->tools; i++, index++) {
		char block[160];

		snprintf(block, sizeof(block), "{\"type\":\"tool_use\",\"id\":\"toolu_sim%lld\",\"name\":\"tool%lld\",\"input\":{}}", (long long)i,
			 (long long)i);
		msg_start_block(b, index, block);
		b->content++;
		b->output++;
		msg_event(b, "content_block_delta");
		put(b, ",\"index\":%lld,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"n\\\":%lld}\"}}", (long long)index,
		    (long long)i);
		frame_close(b, token_ms(b));
		msg_stop_block(b, index);
	}
}

static void msg_finish(struct build *b)
{
	msg_event(b, "message_delta");
	put(b, ",\"delta\":{\"stop_reason\":\"%s\",\"stop_sequence\":null}", finish_word(b, "end_turn", "tool_use", "max_tokens"));
	if (!usage_is(b, "none")) {
		puts_of(b, ",");
		msg_usage(b, true);
	}
	puts_of(b, "}");
	frame_close(b, 0);
}

static void msg_stream(struct build *b)
{
	int64_t index = 0;

	msg_event(b, "message_start");
	put(b,
	    ",\"message\":{\"id\":\"msg_sim%llu\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"%.*s\",\"content\":[],"
	    "\"stop_reason\":null,\"stop_sequence\":null,",
	    (unsigned long long)b->ask->serial, (int)b->ask->model.n, b->ask->model.p);
	if (usage_is(b, "none"))
		puts_of(b, "\"usage\":{}");
	else
		msg_usage(b, false);
	puts_of(b, "}}");
	if (faults(b, SCRIPT_LIFECYCLE))
		cut_at(b, b->body.len / 2, ANSWER_CLOSE);
	frame_close(b, b->s->first);
	puts_of(b, "event: ping\ndata: {\"type\": \"ping\"}\n\n");
	mark(b, 0);
	between(b);
	if (b->s->reasoning > 0) {
		msg_start_block(b, index, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
		msg_block(b, index, "{\"type\":\"thinking_delta\",\"thinking\":\"", b->s->reasoning);
		msg_event(b, "content_block_delta");
		put(b, ",\"index\":%lld,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"c2lt\"}}", (long long)index);
		frame_close(b, 0);
		msg_stop_block(b, index++);
	}
	msg_start_block(b, index, "{\"type\":\"text\",\"text\":\"\"}");
	msg_block(b, index, "{\"type\":\"text_delta\",\"text\":\"", count_tokens(b));
	msg_stop_block(b, index++);
	msg_tools(b, index);
	msg_finish(b);
	if (faults(b, SCRIPT_DUP_FINISH))
		msg_finish(b);
	if (faults(b, SCRIPT_AFTER_FINISH))
		cut_at(b, b->body.len, ANSWER_CLOSE);
	if (b->s->done) {
		msg_event(b, "message_stop");
		puts_of(b, "}");
		frame_close(b, 0);
	}
}

static void msg_whole(struct build *b)
{
	put(b, "{\"id\":\"msg_sim%llu\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"%.*s\",\"content\":[",
	    (unsigned long long)b->ask->serial, (int)b->ask->model.n, b->ask->model.p);
	if (b->s->reasoning > 0)
		puts_of(b, "{\"type\":\"thinking\",\"thinking\":\"thinking\",\"signature\":\"c2lt\"},");
	puts_of(b, "{\"type\":\"text\",\"text\":\"");
	for (int64_t i = 0; i < count_tokens(b); i++)
		put_token(b, i);
	puts_of(b, "\"}");
	for (int64_t i = 0; i < b->s->tools; i++)
		put(b, ",{\"type\":\"tool_use\",\"id\":\"toolu_sim%lld\",\"name\":\"tool%lld\",\"input\":{\"n\":%lld}}", (long long)i, (long long)i,
		    (long long)i);
	b->output += count_tokens(b) + b->s->reasoning + b->s->tools;
	put(b, "],\"stop_reason\":\"%s\",\"stop_sequence\":null", finish_word(b, "end_turn", "tool_use", "max_tokens"));
	if (!usage_is(b, "none")) {
		puts_of(b, ",");
		msg_usage(b, true);
	}
	puts_of(b, "}");
}

/* ---- errors, heads, the wire ---- */

static void error_body(struct build *b)
{
	int status = (int)b->s->status;
	const char *code = b->s->code[0] ? b->s->code : status == 429 ? "rate_limit_exceeded" : status == 401 ? "invalid_api_key" : "error";

	if (b->ask->api == ANSWER_MESSAGES)
		put(b, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"simulated error %d\"},\"request_id\":\"req_sim\"}",
		    b->s->code[0]   ? b->s->code
		    : status == 429 ? "rate_limit_error"
		    : status == 529 ? "overloaded_error"
		    : status < 500  ? "invalid_request_error"
				    : "api_error",
		    status);
	else
		put(b, "{\"error\":{\"message\":\"simulated error %d\",\"type\":\"%s\",\"param\":null,\"code\":\"%s\"}}", status,
		    status < 500 ? "invalid_request_error" : "server_error", code);
}

static void head(struct build *b, struct buf *w, int status, bool stream, bool chunked)
{
	size_t n = b->body.len + (faults(b, SCRIPT_LONG_LENGTH) ? 100 : 0) - (faults(b, SCRIPT_SHORT_LENGTH) ? b->body.len / 2 : 0);

	if (!b->e)
		b->e = buf_addf(w, "HTTP/1.1 %d %s\r\ncontent-type: %s\r\nx-request-id: req-sim%llu\r\n", status, http1_put_reason(status),
				faults(b, SCRIPT_HTML) ? "text/html" : stream ? "text/event-stream" : "application/json",
				(unsigned long long)b->ask->serial);
	if (!b->e && faults(b, SCRIPT_REDIRECT))
		b->e = buf_addz(w, "location: http://127.0.0.1:1/v1/chat/completions\r\n");
	if (!b->e && status >= 400 && b->s->retry_after >= 0)
		b->e = buf_addf(w, "retry-after: %lld\r\n", (long long)b->s->retry_after);
	if (!b->e && b->s->close)
		b->e = buf_addz(w, "connection: close\r\n");
	if (!b->e && faults(b, SCRIPT_TWO_LENGTHS))
		b->e = buf_addz(w, "content-length: 7\r\n");
	if (!b->e && faults(b, SCRIPT_BIG_HEAD)) {
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
static void chunks(struct build *b, struct buf *w)
{
	struct answer *a = b->a;
	size_t from = 0, n = a->marks_n;

	for (size_t i = 0; i <= n && from < MIN_OF(b->body.len, b->cut) && !b->e; i++) {
		size_t to = MIN_OF(i < n ? a->marks[i].at : b->body.len, b->cut);
		bool bad = faults(b, SCRIPT_BAD_CHUNK) && i == 1;

		if (to > from)
			b->e = bad ? buf_addz(w, "zz\r\n") : http1_put_chunk_head(w, to - from);
		if (!b->e && to > from)
			b->e = buf_add(w, b->body.p + from, to - from);
		if (!b->e && to > from && !(to == b->cut && faults(b, SCRIPT_HALF_CHUNK)))
			b->e = buf_addz(w, "\r\n");
		if (i < n) {
			a->marks[i].at = w->len;
			if (to == b->cut)
				a->marks_n = i + 1;
		}
		from = to;
	}
	if (!b->e && b->cut == NO_CUT)
		b->e = buf_addz(w, "0\r\n\r\n");
}

static void plain_body(struct build *b, struct buf *w)
{
	size_t n = MIN_OF(b->body.len, b->cut), head_n = w->len;

	if (!b->e)
		b->e = buf_add(w, b->body.p, n);
	for (size_t i = 0; i < b->a->marks_n; i++)
		b->a->marks[i].at = head_n + MIN_OF(b->a->marks[i].at, n);
}

static void wrap(struct build *b, int status)
{
	struct answer *a = b->a;
	bool stream = b->ask->stream && status == 200, chunked = stream && b->s->close != 2;
	size_t head_n;

	head(b, &a->wire, status, stream, chunked);
	head_n = a->wire.len;
	if (faults(b, SCRIPT_HALF_HEAD))
		buf_truncate(&a->wire, head_n / 2);
	if (faults(b, SCRIPT_HALF_HEAD) || faults(b, SCRIPT_AFTER_HEAD) || faults(b, SCRIPT_BEFORE_HEAD) || faults(b, SCRIPT_SILENT)) {
		if (faults(b, SCRIPT_BEFORE_HEAD) || faults(b, SCRIPT_SILENT))
			buf_reset(&a->wire);
		a->end = faults(b, SCRIPT_SILENT) ? ANSWER_HANG : ANSWER_CLOSE;
		a->marks_n = 0;
		return;
	}
	if (chunked)
		chunks(b, &a->wire);
	else
		plain_body(b, &a->wire);
	if (!b->e && faults(b, SCRIPT_TRAILING))
		b->e = buf_addz(&a->wire, "data: trailing bytes\n\n");
	if (a->end == ANSWER_KEEP && (b->s->close || faults(b, SCRIPT_LONG_LENGTH)))
		a->end = ANSWER_CLOSE;
	a->complete = b->cut == NO_CUT && !faults(b, SCRIPT_LONG_LENGTH);
}

/* Whole answers go wrong at a byte, not at an event. */
static void whole_faults(struct build *b)
{
	switch (b->faulty ? b->s->kind : SCRIPT_NONE) {
	case SCRIPT_CUT:
	case SCRIPT_LIFECYCLE:
	case SCRIPT_UTF8:
	case SCRIPT_JSON:
	case SCRIPT_AFTER_FINISH:
	case SCRIPT_HALF_CHUNK:
		cut_at(b, b->body.len / 2, ANSWER_CLOSE);
		break;
	case SCRIPT_RST:
		cut_at(b, b->body.len / 2, ANSWER_RESET);
		break;
	case SCRIPT_STALL:
		cut_at(b, b->body.len / 2, ANSWER_HANG);
		break;
	case SCRIPT_GARBAGE:
		buf_reset(&b->body);
		puts_of(b, "{\"this is\": not JSON");
		break;
	case SCRIPT_ERROR_ITEM:
		buf_reset(&b->body);
		puts_of(b, "{\"error\":{\"message\":\"The server had an error\",\"type\":\"server_error\",\"code\":null}}");
		break;
	default:
		break;
	}
}

static void make_body(struct build *b)
{
	static void (*const make[ANSWER_COUNT][2])(struct build *) = {
		[ANSWER_CHAT] = {chat_whole, chat_stream},
		[ANSWER_COMPLETIONS] = {chat_whole, chat_stream},
		[ANSWER_EMBEDDINGS] = {embeddings, embeddings},
		[ANSWER_MESSAGES] = {msg_whole, msg_stream},
	};

	if (faults(b, SCRIPT_EMPTY))
		return;
	if (faults(b, SCRIPT_HTML))
		puts_of(b, "<html><body>502 Bad Gateway</body></html>");
	else if (b->ask->api == ANSWER_MODELS)
		puts_of(b, "{\"object\":\"list\",\"data\":[{\"id\":\"sim\",\"object\":\"model\",\"created\":1,\"owned_by\":\"sim\"}]}");
	else
		make[b->ask->api][b->ask->stream](b);
	if (!b->ask->stream)
		whole_faults(b);
}

enum errc answer_make(struct answer *a, const struct answer_ask *ask, const struct script *s, bool faulty)
{
	struct build b = {.a = a, .ask = ask, .s = s, .cut = NO_CUT, .faulty = faulty};
	int status = faulty && s->status != 200 ? (int)s->status : faulty && s->kind == SCRIPT_REDIRECT ? 302 : 200;

	buf_reset(&a->wire);
	a->marks_n = 0;
	a->end = ANSWER_KEEP;
	a->complete = false;
	buf_init(&b.body, WIRE_MAX);
	if (faults(&b, SCRIPT_NOISE)) {
		b.e = buf_addz(&a->wire, "\x01\x02 this is not HTTP\r\n\r\n");
		a->end = ANSWER_CLOSE;
	} else {
		if (status >= 300)
			error_body(&b);
		else
			make_body(&b);
		wrap(&b, status);
	}
	a->input = status == 200 ? prompt_tokens(&b) : 0;
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
	e = buf_addf(&a->wire, "HTTP/1.1 %d %s\r\ncontent-type: " SLICE_FMT "\r\ncontent-length: %zu\r\n\r\n", status,
		     http1_put_reason(status), SLICE_ARG(content_type), body.n);
	return e ? e : buf_adds(&a->wire, body);
}
