#include "abuild.h"

#include "json_out.h"
#include "mem.h"

#define BIG_FRAME ((size_t)64 << 20)

void abuild_put(struct abuild *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!b->e)
		b->e = buf_addvf(&b->body, fmt, ap);
	va_end(ap);
}

void abuild_puts(struct abuild *b, const char *text)
{
	if (!b->e)
		b->e = buf_addz(&b->body, text);
}

/* A frame ends here; the player waits `ms` before what follows. */
void abuild_mark(struct abuild *b, int64_t ms)
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
	a->marks[a->marks_n++] = (struct answer_mark){
		.at = b->body.len, .ms = ms, .tokens = b->output, .events = b->content};
}

bool abuild_faults(const struct abuild *b, enum script_fault f)
{
	return b->faulty && b->s->kind == f;
}

/* Cuts the body so many bytes from now on; the first cut stays. */
void abuild_cut(struct abuild *b, size_t at, enum answer_end end)
{
	if (b->cut != ABUILD_NO_CUT)
		return;
	b->cut = at;
	b->a->end = end;
}

const char *abuild_nl(const struct abuild *b)
{
	return b->s->crlf ? "\r\n" : "\n";
}

int64_t abuild_token_ms(const struct abuild *b)
{
	return b->s->rate > 0 ? 1000 / b->s->rate : 0;
}

static void put_text(struct abuild *b, struct slice text)
{
	if (!b->e)
		b->e = json_out_escape(&b->body, text);
}

void abuild_put_model(struct abuild *b)
{
	abuild_puts(b, "\"model\":\"");
	put_text(b, b->ask->model);
	abuild_puts(b, "\",");
}

void abuild_put_searches(struct abuild *b)
{
	if (b->s->searches >= 0)
		abuild_put(b, ",\"server_tool_use\":{\"web_search_requests\":%lld}",
			   (long long)b->s->searches);
}

/* The i-th token's share of a given text. */
static void put_share(struct abuild *b, struct slice text, int64_t i)
{
	int64_t n = abuild_count_tokens(b);
	size_t from = text.n * (size_t)i / (size_t)n, to = text.n * (size_t)(i + 1) / (size_t)n;

	put_text(b, slice_sub(text, from, to - from));
}

void abuild_put_token(struct abuild *b, int64_t i)
{
	if (b->s->text[0]) {
		put_share(b, slice_str(b->s->text), i);
		return;
	}

	int64_t n = b->s->size > 0 ? b->s->size / b->s->tokens + (i < b->s->size % b->s->tokens) : 5;

	for (; n > 1 && !b->e; n--)
		b->e = buf_addc(&b->body, (char)('a' + (i + n) % 26));
	if (n == 1)
		abuild_puts(b, " ");
}

bool abuild_usage_is(const struct abuild *b, const char *word)
{
	return !strcmp(b->s->usage, word);
}

void abuild_close(struct abuild *b, int64_t ms)
{
	abuild_put(b, "%s%s", abuild_nl(b), abuild_nl(b));
	abuild_mark(b, ms);
}

int64_t abuild_prompt_tokens(const struct abuild *b)
{
	return b->s->input >= 0 ? b->s->input : (int64_t)(b->ask->body_bytes + 3) / 4;
}

int64_t abuild_count_tokens(const struct abuild *b)
{
	return b->ask->cap > 0 && !b->s->over ? MIN_OF(b->s->tokens, b->ask->cap) : b->s->tokens;
}

const char *abuild_finish_word(const struct abuild *b, const char *stop, const char *tools,
			       const char *length)
{
	if (b->s->finish[0])
		return b->s->finish;
	if (b->s->tools > 0)
		return tools;
	return abuild_count_tokens(b) < b->s->tokens ? length : stop;
}

/* At once: a simulator that copies for long keeps its other answers waiting. */
static void put_many(struct abuild *b, char c, size_t n)
{
	char *room;

	if (!b->e)
		b->e = buf_reserve(&b->body, n, &room);
	if (b->e)
		return;
	memset(room, c, n);
	buf_commit(&b->body, n);
}

/* Faults between two events. */
void abuild_between(struct abuild *b)
{
	if (!b->faulty || b->content != b->s->at)
		return;
	switch (b->s->kind) {
	case SCRIPT_CUT:
	case SCRIPT_HALF_CHUNK:
		abuild_cut(b, b->body.len, ANSWER_CLOSE);
		break;
	case SCRIPT_RST:
		abuild_cut(b, b->body.len, ANSWER_RESET);
		break;
	case SCRIPT_STALL:
		abuild_cut(b, b->body.len, ANSWER_HANG);
		break;
	case SCRIPT_ENDLESS:
		abuild_cut(b, b->body.len, ANSWER_ENDLESS);
		break;
	case SCRIPT_GARBAGE:
		abuild_put(b, "data: {\"this is\": not JSON%s%s", abuild_nl(b), abuild_nl(b));
		abuild_mark(b, 0);
		break;
	case SCRIPT_ERROR_ITEM:
		if (b->ask->api == ANSWER_MESSAGES)
			abuild_put(b,
				   "event: error%sdata: "
				   "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
				   "\"message\":\"Overloaded\"}}",
				   abuild_nl(b));
		else
			abuild_puts(b, "data: {\"error\":{\"message\":\"The server had an "
				       "error\",\"type\":\"server_error\",\"code\":null}}");
		abuild_close(b, 0);
		abuild_cut(b, b->body.len, ANSWER_CLOSE);
		break;
	case SCRIPT_BIG_FRAME:
		abuild_puts(b, b->ask->api == ANSWER_MESSAGES
				       ? "event: content_block_delta\ndata: {\"x\":\""
				       : "data: {\"x\":\"");
		put_many(b, 'x', BIG_FRAME);
		abuild_puts(b, "\"}");
		abuild_close(b, 0);
		break;
	default:
		break;
	}
}
