#include "anthropic_dec.h"

#include "caps.h"
#include "chat_usage.h"
#include "jtext.h"
#include "provider_error.h"
#include "usage_field.h"

#define ANTHROPIC_BODY_MAX (64 * 1024 * 1024)

void anthropic_dec_init(void *dec, const struct dialect_dec_opts *o)
{
	struct anthropic_dec *d = dec;

	memset(d, 0, sizeof(*d));
	d->o = *o;
	memset(&d->counts, 0xFF, sizeof(d->counts));
	sse_init(&d->sse, LIMIT_SSE_FRAME);
	buf_init(&d->body, ANTHROPIC_BODY_MAX);
	buf_init(&d->text, ANTHROPIC_BODY_MAX);
	buf_init(&d->more, ANTHROPIC_BODY_MAX);
	usage_init(&d->usage);
}

void anthropic_dec_fini(void *dec)
{
	struct anthropic_dec *d = dec;

	sse_fini(&d->sse);
	buf_fini(&d->body);
	buf_fini(&d->text);
	buf_fini(&d->more);
	json_free(&d->doc);
}

unsigned anthropic_dec_bad_count(const void *dec)
{
	(void)dec;
	return 0; /* what cannot be translated ends the answer */
}

/* ---- events ---- */

struct ir_event *anthropic_put(struct anthropic_dec *d, enum ir_kind kind)
{
	struct ir_event *ev;

	require(d->queued < ANTHROPIC_QUEUE);
	ev = &d->queue[d->queued++];
	memset(ev, 0, sizeof(*ev));
	ev->kind = kind;
	if (kind == IR_ERROR || kind == IR_END)
		d->over = true;
	if (kind == IR_ERROR) {
		ev->fault = &d->fault;
		ev->verdict = &d->verdict;
	}
	return ev;
}

void anthropic_put_error(struct anthropic_dec *d, struct slice body)
{
	struct dialect_answer a = {.body = body, .provider = d->o.provider};

	provider_error_classify(&a, &d->fault, &d->verdict);
	anthropic_put(d, IR_ERROR);
}

void anthropic_put_broken(struct anthropic_dec *d, const char *what)
{
	provider_error_broken(d->o.provider, &d->fault, &d->verdict, what);
	anthropic_put(d, IR_ERROR);
}

/* A count of what had come says nothing of what comes behind it. */
static void dec_forget_output(struct anthropic_dec *d)
{
	if (!d->finished)
		d->counts.output = d->counts.reasoning = -1;
}

static void dec_put_text(struct anthropic_dec *d, enum ir_kind kind, struct slice text)
{
	struct ir_event *ev = anthropic_put(d, kind);

	dec_forget_output(d);
	ev->text = text;
	ev->tool = d->tools ? d->tools - 1 : 0;
	ev->commits = text.n > 0;
	if (kind != IR_SIGNATURE && kind != IR_REDACTED)
		ev->content_bytes = text.n > UINT32_MAX ? UINT32_MAX : (uint32_t)text.n;
	if (kind == IR_THINKING)
		ev->reasoning_bytes = ev->content_bytes;
}

/* Calls are numbered from 0, whatever blocks stand between them. */
void anthropic_put_tool(struct anthropic_dec *d, struct slice id, struct slice name)
{
	struct ir_event *ev = anthropic_put(d, IR_TOOL_START);

	dec_forget_output(d);
	ev->tool = d->tools++;
	ev->id = id;
	ev->name = name;
	ev->commits = true;
	ev->content_bytes = (uint32_t)MIN_OF(name.n, (size_t)UINT32_MAX);
	d->has_args = false;
}

static enum ir_finish dec_finish_of(const struct anthropic_dec *d, struct slice word)
{
	static const struct {
		const char *word;
		enum ir_finish finish;
	} words[] = {
		{"end_turn", IR_FIN_STOP},
		{"max_tokens", IR_FIN_LENGTH},
		{"stop_sequence", IR_FIN_SEQUENCE},
		{"tool_use", IR_FIN_TOOLS},
		{"pause_turn", IR_FIN_PAUSE},
		{"refusal", IR_FIN_REFUSAL},
		{"model_context_window_exceeded", IR_FIN_CONTEXT},
	};
	enum ir_finish f = IR_FIN_OTHER;

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (slice_is(word, words[i].word))
			f = words[i].finish;
	/* What the answer holds counts more than the word at its end (formats 16.1). */
	if (d->tools && (f == IR_FIN_STOP || f == IR_FIN_OTHER))
		f = IR_FIN_TOOLS;
	return f;
}

static void dec_give(struct usage *u, enum usage_class c, int64_t n)
{
	if (n >= 0)
		usage_set(u, c, n);
}

static void dec_give_output(struct anthropic_dec *d)
{
	dec_give(&d->usage, USAGE_OUTPUT, d->counts.output);
	dec_give(&d->usage, USAGE_REASONING, d->counts.reasoning);
}

static void dec_put_usage(struct anthropic_dec *d)
{
	struct ir_event *ev = anthropic_put(d, IR_USAGE);

	ev->usage = usage_is_empty(&d->usage) ? NULL : &d->usage;
	ev->usage_raw = slice_of(d->raw.p, d->raw.n);
}

void anthropic_put_finish(struct anthropic_dec *d, struct slice word, struct slice explanation)
{
	struct ir_event *ev;

	d->finished = true;
	if (explanation.n)
		dec_put_text(d, IR_REFUSAL, explanation);
	dec_give_output(d);
	dec_put_usage(d);
	ev = anthropic_put(d, IR_FINISH);
	ev->finish = dec_finish_of(d, word);
	ev->native = word;
}

/* ---- usage ---- */

static const struct {
	const char *within, *name;
	size_t off;
} dec_counts[] = {
#define ANTHROPIC_READ(within, name, count) \
	{within, name, offsetof(struct anthropic_counts, count)},
#include "usage_field_tbl.h"
};

static void dec_count(struct slice object, struct anthropic_counts *c)
{
	for (size_t i = 0; i < ARRAY_LEN(dec_counts); i++) {
		struct slice in = object, v;
		int64_t n;

		if (dec_counts[i].within[0] && !jtext_member(object, dec_counts[i].within, &in))
			continue;
		if (jtext_member(in, dec_counts[i].name, &v) && jtext_i64(v, &n) && n >= 0)
			*(int64_t *)((char *)c + dec_counts[i].off) = n;
	}
}

static void dec_keep_raw(struct anthropic_dec *d, struct slice object)
{
	if (d->o.stream)
		usage_raw_add(&d->raw, object);
	else
		d->raw.n = usage_raw_write(object, 0, d->raw.p, sizeof(d->raw.p));
}

bool anthropic_usage(struct anthropic_dec *d, struct slice object)
{
	struct anthropic_counts *c = &d->counts;
	struct slice tier;

	if (jtext_type(object) != JSON_OBJECT)
		return false;
	dec_keep_raw(d, object);
	dec_count(object, c);
	dec_give(&d->usage, USAGE_INPUT, c->input);
	dec_give(&d->usage, USAGE_CACHE_READ, c->cache_read);
	dec_give(&d->usage, USAGE_CACHE_WRITE_1H, c->write_1h);
	/* The sum decides; what is not said to live an hour lives five minutes. */
	if (c->write >= 0)
		usage_set(&d->usage, USAGE_CACHE_WRITE_5M,
			  c->write - MIN_OF(c->write, MAX_OF(c->write_1h, (int64_t)0)));
	else
		dec_give(&d->usage, USAGE_CACHE_WRITE_5M, c->write_5m);
	/* Before the end more of it may come. */
	if (d->finished || !d->o.stream)
		dec_give_output(d);
	/* At the end none is said where none were run. */
	if (c->searches < 0 && d->o.facts->searches && (d->finished || !d->o.stream))
		c->searches = 0;
	dec_give(&d->usage, USAGE_WEB_SEARCH, c->searches);
	if (jtext_member(object, "service_tier", &tier) && chat_usage_tier(tier))
		d->usage.tier = chat_usage_tier(tier);
	return true;
}

/* ---- stream items ---- */

/* A string member, unescaped into `b`; "" without one. */
static struct slice dec_string(struct anthropic_dec *d, struct slice object, const char *name,
			       struct buf *b)
{
	struct slice v, plain;
	enum errc e;

	buf_reset(b);
	if (!jtext_member(object, name, &v) || jtext_type(v) != JSON_STRING)
		return SLICE_NONE;
	if (jtext_plain(v, &plain))
		return plain;
	e = jtext_str(v, b);
	if (e == ERRC_NOMEM)
		d->err = e;
	return e ? SLICE_NONE : buf_slice(b);
}

static void dec_start(struct anthropic_dec *d, struct slice data)
{
	struct slice message, usage;
	struct ir_event *ev = anthropic_put(d, IR_START);

	if (!jtext_member(data, "message", &message))
		return;
	ev->id = dec_string(d, message, "id", &d->text);
	ev->name = dec_string(d, message, "model", &d->more);
	if (jtext_member(message, "usage", &usage) && anthropic_usage(d, usage))
		dec_put_usage(d);
	/* The count at the start of a stream is no count of the output. */
	dec_forget_output(d);
}

static void dec_block_start(struct anthropic_dec *d, struct slice data)
{
	struct slice block, type, text;

	d->block = ANTHROPIC_BLOCK_OTHER;
	if (!jtext_member(data, "content_block", &block) || !jtext_member(block, "type", &type))
		return;
	if (slice_is(type, "\"text\"")) {
		d->block = ANTHROPIC_BLOCK_TEXT;
		text = dec_string(d, block, "text", &d->text);
		if (text.n)
			dec_put_text(d, IR_TEXT, text);
	} else if (slice_is(type, "\"thinking\"")) {
		d->block = ANTHROPIC_BLOCK_THINKING;
		text = dec_string(d, block, "thinking", &d->text);
		if (text.n)
			dec_put_text(d, IR_THINKING, text);
	} else if (slice_is(type, "\"redacted_thinking\"")) {
		dec_put_text(d, IR_REDACTED, dec_string(d, block, "data", &d->text));
	} else if (slice_is(type, "\"tool_use\"")) {
		d->block = ANTHROPIC_BLOCK_TOOL;
		anthropic_put_tool(d, dec_string(d, block, "id", &d->text),
				   dec_string(d, block, "name", &d->more));
		/* Servers that only look like Anthropic may give the arguments at once. */
		if (jtext_member(block, "input", &text) && text.n > 2) {
			d->has_args = true;
			dec_put_text(d, IR_TOOL_ARGS, text);
		}
	}
}

static void dec_delta(struct anthropic_dec *d, struct slice data)
{
	static const struct {
		const char *type, *member;
		enum ir_kind kind;
		enum anthropic_block block;
	} deltas[] = {
		{"\"text_delta\"", "text", IR_TEXT, ANTHROPIC_BLOCK_TEXT},
		{"\"input_json_delta\"", "partial_json", IR_TOOL_ARGS, ANTHROPIC_BLOCK_TOOL},
		{"\"thinking_delta\"", "thinking", IR_THINKING, ANTHROPIC_BLOCK_THINKING},
		{"\"signature_delta\"", "signature", IR_SIGNATURE, ANTHROPIC_BLOCK_THINKING},
	};
	struct slice delta, type, text;

	if (!jtext_member(data, "delta", &delta) || !jtext_member(delta, "type", &type))
		return;
	for (size_t i = 0; i < ARRAY_LEN(deltas); i++) {
		if (!slice_is(type, deltas[i].type) || d->block != deltas[i].block)
			continue;
		text = dec_string(d, delta, deltas[i].member, &d->text);
		if (!text.n)
			return;
		d->has_args |= deltas[i].kind == IR_TOOL_ARGS;
		dec_put_text(d, deltas[i].kind, text);
		return;
	}
}

static void dec_block_stop(struct anthropic_dec *d)
{
	if (d->block == ANTHROPIC_BLOCK_TOOL) {
		if (!d->has_args)
			dec_put_text(d, IR_TOOL_ARGS, SLICE_LIT("{}"));
		anthropic_put(d, IR_TOOL_END)->tool = d->tools - 1;
	}
	d->block = ANTHROPIC_BLOCK_NONE;
}

static void dec_message_delta(struct anthropic_dec *d, struct slice data)
{
	struct slice delta = SLICE_NONE, usage, word, details = SLICE_NONE, explanation = SLICE_NONE;
	bool was_finished = d->finished, reported;

	(void)jtext_member(data, "delta", &delta);
	word = dec_string(d, delta, "stop_reason", &d->text);
	if (jtext_member(delta, "stop_details", &details))
		explanation = dec_string(d, details, "explanation", &d->more);
	d->finished |= word.n > 0;
	reported = jtext_member(data, "usage", &usage) && anthropic_usage(d, usage);
	if (word.n && !was_finished)
		anthropic_put_finish(d, word, explanation);
	else if (reported)
		dec_put_usage(d);
}

static void dec_end(struct anthropic_dec *d)
{
	if (d->finished)
		anthropic_put(d, IR_END);
	else
		anthropic_put_broken(d,
				     "The provider's stream ended before the answer was complete.");
}

static bool dec_is_whole(struct slice json)
{
	struct jtext it = jtext_obj(json);
	struct slice key, val;
	int r;

	while ((r = jtext_obj_next(&it, &key, &val)) > 0)
		;
	return r == 0;
}

static void dec_frame(struct anthropic_dec *d, const struct sse_event *frame)
{
	struct slice data = slice_trim(frame->data), type;

	if (!dec_is_whole(data)) {
		if (!frame->is_unfinished)
			anthropic_put_broken(d, "The provider sent an item that is not readable.");
		return;
	}
	if (!jtext_member(data, "type", &type))
		type = SLICE_NONE;
	if (slice_is(type, "\"content_block_delta\""))
		dec_delta(d, data);
	else if (slice_is(type, "\"message_start\""))
		dec_start(d, data);
	else if (slice_is(type, "\"content_block_start\""))
		dec_block_start(d, data);
	else if (slice_is(type, "\"content_block_stop\""))
		dec_block_stop(d);
	else if (slice_is(type, "\"message_delta\""))
		dec_message_delta(d, data);
	else if (slice_is(type, "\"message_stop\""))
		dec_end(d);
	else if (slice_is(type, "\"error\"") || slice_is(frame->name, "error"))
		anthropic_put_error(d, data);
}

/* Fills the queue from the stream. */
static void dec_stream_step(struct anthropic_dec *d)
{
	struct sse_event frame;
	int r = 0;

	while (!d->queued && !d->err && (r = sse_next(&d->sse, &frame)) > 0)
		if (frame.data.n)
			dec_frame(d, &frame);
	if (d->queued || d->err)
		return;
	if (r == -ERRC_TOOBIG)
		anthropic_put_broken(d, "The provider sent an item that is too large.");
	else if (r < 0)
		d->err = (enum errc) - r;
	else if (d->eof)
		dec_end(d);
}

/* ---- the back's functions ---- */

/* A stream whose first byte begins a JSON text is an error body under the wrong type. */
static void dec_look(struct anthropic_dec *d, struct slice bytes)
{
	for (size_t i = 0; !d->seen && i < bytes.n; i++) {
		char c = bytes.p[i];

		if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
			continue;
		d->seen = true;
		d->plain = c == '{' || c == '[';
	}
}

/* Bodies that are no streams are kept until their end. */
static enum errc dec_keep(struct anthropic_dec *d, struct slice bytes)
{
	enum errc e = buf_adds(&d->body, bytes);

	if (e != ERRC_LIMIT)
		return e;
	if (d->given == d->queued)
		d->given = d->queued = 0;
	anthropic_put_broken(d, "The provider's answer is too large to be translated.");
	return ERRC_OK;
}

enum errc anthropic_dec_push(void *dec, struct slice bytes)
{
	struct anthropic_dec *d = dec;

	if (d->over || !bytes.n)
		return ERRC_OK;
	if (d->o.stream)
		dec_look(d, bytes);
	if (!d->o.stream || d->plain)
		return dec_keep(d, bytes);
	sse_push(&d->sse, bytes);
	return ERRC_OK;
}

enum errc anthropic_dec_finish(void *dec)
{
	struct anthropic_dec *d = dec;

	d->eof = true;
	if (d->o.stream && !d->plain)
		sse_finish(&d->sse);
	return ERRC_OK;
}

int anthropic_dec_next(void *dec, struct ir_event *ev)
{
	struct anthropic_dec *d = dec;

	if (d->given == d->queued) {
		d->given = d->queued = 0;
		if (d->over)
			return 0;
		if (!d->o.stream)
			anthropic_whole_step(d);
		else if (!d->plain)
			dec_stream_step(d);
		else if (d->eof)
			anthropic_put_error(d, buf_slice(&d->body));
	}
	if (d->err)
		return -(int)d->err;
	if (d->given == d->queued)
		return 0;
	*ev = d->queue[d->given++];
	return 1;
}
