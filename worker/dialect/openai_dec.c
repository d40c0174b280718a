#include "openai_dec.h"

#include "chat_usage.h"
#include "provider_error.h"

/* An error text that comes in place of a stream; longer ones are cut and then not readable. */
#define OPENAI_PLAIN_MAX (64 * 1024)

void openai_dec_init(void *dec, const struct dialect_dec_opts *o)
{
	struct openai_dec *d = dec;

	memset(d, 0, sizeof(*d));
	d->o = *o;
	/* A whole answer to a client that wants a stream can only be an error. */
	d->mode = o->stream          ? OPENAI_DEC_STREAM
		  : o->facts->stream ? OPENAI_DEC_PLAIN
				     : OPENAI_DEC_WHOLE;
	sse_init(&d->sse, LIMIT_SSE_FRAME);
	buf_init(&d->body,
		 o->stream ? OPENAI_PLAIN_MAX : MAX_OF(o->whole_bytes, (size_t)OPENAI_PLAIN_MAX));
	json_cut_init(&d->cut);
	chat_brief_init(&d->brief);
	usage_init(&d->usage);
}

void openai_dec_fini(void *dec)
{
	struct openai_dec *d = dec;

	sse_fini(&d->sse);
	buf_fini(&d->body);
	json_cut_fini(&d->cut);
	chat_brief_fini(&d->brief);
}

unsigned openai_dec_bad_count(const void *dec)
{
	return ((const struct openai_dec *)dec)->bad;
}

static int openai_over(struct openai_dec *d, struct ir_event *ev)
{
	d->over = true;
	ev->kind = IR_ERROR;
	ev->fault = &d->fault;
	ev->verdict = &d->verdict;
	return 1;
}

int openai_dec_error(struct openai_dec *d, struct slice error, struct ir_event *ev)
{
	struct dialect_answer a = {.body = error, .provider = d->o.provider};

	provider_error_classify(&a, &d->fault, &d->verdict);
	return openai_over(d, ev);
}

int openai_dec_broken(struct openai_dec *d, const char *what, struct ir_event *ev)
{
	provider_error_broken(d->o.provider, &d->fault, &d->verdict, what);
	return openai_over(d, ev);
}

void openai_dec_usage(struct openai_dec *d, struct slice json, enum usage_tier tier,
		      struct ir_event *ev)
{
	if (!json.n || !chat_usage_read(json, d->o.provider->reasoning_outside, &d->usage))
		return;
	d->usage.tier = tier ? tier : d->usage.tier;
	ev->usage = &d->usage;
	ev->usage_json = json;
}

void openai_dec_spent(struct openai_dec *d, struct ir_event *ev)
{
	const struct chat_chunk *c = &d->chunk;

	openai_dec_usage(d, c->usage, c->tier ? c->tier : d->tier, ev);
	if (ev->usage && usage_total(ev->usage) == 0) {
		ev->usage = NULL;
		ev->usage_json = SLICE_NONE;
	}
}

/* Whether a stream is none: its first byte begins a JSON text, which no line of an event stream does. */
static bool openai_is_plain(struct openai_dec *d, struct slice bytes)
{
	if (d->started)
		return false;
	for (size_t i = 0; i < bytes.n; i++) {
		if (strchr(" \t\r\n", bytes.p[i]) && bytes.p[i])
			continue;
		d->started = true;
		return bytes.p[i] == '{' || bytes.p[i] == '[';
	}
	return false;
}

enum errc openai_dec_push(void *dec, struct slice bytes)
{
	struct openai_dec *d = dec;
	size_t room;

	if (d->over || !bytes.n)
		return ERRC_OK;
	if (d->mode == OPENAI_DEC_STREAM && openai_is_plain(d, bytes))
		d->mode = OPENAI_DEC_PLAIN;
	if (d->mode == OPENAI_DEC_STREAM) {
		sse_push(&d->sse, bytes);
		return ERRC_OK;
	}
	if (d->mode != OPENAI_DEC_PLAIN)
		return openai_whole_push(d, bytes);
	room = d->body.max - d->body.len;
	return buf_add(&d->body, bytes.p, MIN_OF(bytes.n, room));
}

enum errc openai_dec_finish(void *dec)
{
	struct openai_dec *d = dec;

	d->eof = true;
	if (d->mode == OPENAI_DEC_STREAM)
		sse_finish(&d->sse);
	return ERRC_OK;
}

static void openai_follow(struct openai_dec *d, const struct chat_chunk *c)
{
	uint64_t bit = UINT64_C(1) << (c->choice & 63);
	unsigned word = c->choice >> 6;

	d->finished |= c->finish != IR_FIN_NONE;
	d->bundled |= c->choices > 1;
	if (word >= ARRAY_LEN(d->begun) || c->choices != 1)
		return;
	if (c->marks & CHAT_CHUNK_CONTENT)
		d->begun[word] |= bit;
	if (c->finish != IR_FIN_NONE)
		d->closed[word] |= bit;
}

/* Whether every choice that has begun finished: of another one a part may be missing. */
static bool openai_is_complete(const struct openai_dec *d)
{
	return d->finished &&
	       (d->bundled || !((d->begun[0] & ~d->closed[0]) | (d->begun[1] & ~d->closed[1])));
}

static int openai_end(struct openai_dec *d, struct ir_event *ev)
{
	if (!openai_is_complete(d))
		return openai_dec_broken(
			d, "The provider's stream ended before the answer was complete.", ev);
	d->over = true;
	ev->kind = IR_END;
	return 1;
}

static void openai_item(struct openai_dec *d, struct slice data, struct ir_event *ev)
{
	const struct chat_chunk *c = &d->chunk;

	ev->kind = IR_RAW;
	ev->raw = data;
	ev->raw_marks = c->marks;
	ev->choice = c->choice;
	ev->of_none = c->marks & CHAT_CHUNK_NO_CHOICE;
	ev->id = c->id;
	ev->name = c->model;
	ev->created_s = c->created_s;
	ev->finish = c->finish;
	ev->native = c->native;
	ev->commits = c->marks & CHAT_CHUNK_CONTENT;
	ev->content_bytes = c->content_bytes;
	ev->reasoning_bytes = c->reasoning_bytes;
	ev->sound_bytes = c->sound_bytes;
	ev->pictures = c->pictures;
	openai_follow(d, c);
	if (c->tier)
		d->tier = c->tier;
	ev->tier = d->tier;
	openai_dec_usage(d, c->usage, d->tier, ev);
}

/* What cannot be read may have held a part of the answer, so the answer is not whole any more (contract A4). Behind the finish of the
 * only choice there is nothing to lose; and what a cut last frame means the end of the stream decides. */
static int openai_unreadable(struct openai_dec *d, const struct sse_event *frame,
			     struct ir_event *ev)
{
	if (frame->is_unfinished)
		return 0;
	d->bad++;
	if (d->finished && d->o.facts->copies <= 1)
		return 0;
	return openai_dec_broken(d, "The provider sent an item that cannot be read.", ev);
}

/* Whether the item tells of a failure. */
static bool openai_failure(struct openai_dec *d, const struct sse_event *frame, struct slice data,
			   struct ir_event *ev)
{
	const struct chat_chunk *c = &d->chunk;

	if ((c->marks & CHAT_CHUNK_ERROR) || slice_is(frame->name, "error"))
		(void)openai_dec_error(d, data, ev);
	else if (c->finish == IR_FIN_ERROR)
		(void)openai_dec_broken(d, "The provider ended the answer with an error.", ev);
	else
		return false;
	openai_dec_spent(d, ev);
	return true;
}

/* 1 = an event, 0 = the frame makes none. */
static int openai_frame(struct openai_dec *d, const struct sse_event *frame, struct ir_event *ev)
{
	struct slice data = slice_trim(frame->data);
	struct chat_chunk *c = &d->chunk;

	if (slice_has_prefix(data, SLICE_LIT("[DONE]")))
		return openai_end(d, ev);
	if (!chat_chunk_read(
		    data, d->o.facts->op == DIALECT_COMPLETIONS ? CHAT_FORM_TEXT : CHAT_FORM_DELTA,
		    c))
		return openai_unreadable(d, frame, ev);
	if (openai_failure(d, frame, data, ev))
		return 1;
	if ((c->marks & CHAT_CHUNK_NO_CHOICE) && !(c->marks & (CHAT_CHUNK_LIST | CHAT_CHUNK_USAGE))) {
		d->bad++;
		return 0;
	}
	if (memchr(data.p, '\n', data.n))
		c->marks |= CHAT_CHUNK_LINES;
	openai_item(d, data, ev);
	return 1;
}

static int openai_stream_next(struct openai_dec *d, struct ir_event *ev)
{
	struct sse_event frame;
	int r;

	while ((r = sse_next(&d->sse, &frame)) > 0) {
		if (!frame.data.p || !frame.data.n)
			continue;
		r = openai_frame(d, &frame, ev);
		if (r)
			return r;
	}
	if (r == -ERRC_TOOBIG)
		return openai_dec_broken(d, "The provider sent an item that is too large.", ev);
	if (r < 0)
		return r;
	return d->eof ? openai_end(d, ev) : 0;
}

/* One JSON text where a stream was due. */
static int openai_plain(struct openai_dec *d, struct ir_event *ev)
{
	struct slice body = buf_slice(&d->body);
	bool is_read = chat_chunk_read(body, CHAT_FORM_MESSAGE, &d->chunk);

	if (is_read && (d->chunk.marks & CHAT_CHUNK_LIST))
		(void)openai_dec_broken(
			d, "The provider answered whole where a stream was asked for.", ev);
	else
		(void)openai_dec_error(d, body, ev);
	if (is_read)
		openai_dec_spent(d, ev);
	return 1;
}

int openai_dec_next(void *dec, struct ir_event *ev)
{
	struct openai_dec *d = dec;

	memset(ev, 0, sizeof(*ev));
	if (d->over)
		return 0;
	if (d->mode == OPENAI_DEC_STREAM)
		return openai_stream_next(d, ev);
	if (d->mode == OPENAI_DEC_PLAIN)
		return d->eof ? openai_plain(d, ev) : 0;
	return openai_whole_next(d, ev);
}
