#include "openai_dec.h"

#include "provider_error.h"

static enum chat_form whole_form(const struct openai_dec *d)
{
	return d->o.facts->op == DIALECT_COMPLETIONS ? CHAT_FORM_TEXT : CHAT_FORM_MESSAGE;
}

static bool whole_read(struct openai_dec *d, struct slice body, struct openai_parts *w)
{
	const char *end;

	if (!body.n || !chat_chunk_read(body, whole_form(d), &d->chunk))
		return false;
	end = body.p + body.n - 1; /* the closing brace */
	*w = (struct openai_parts){.before = slice_of(body.p, body.n - 1), .usage = d->chunk.top};
	if (w->usage.p) {
		w->before = slice_of(body.p, (size_t)(w->usage.p - body.p));
		w->after = slice_of(slice_end(w->usage), (size_t)(end - slice_end(w->usage)));
	}
	return true;
}

/* Whether a body that parsed is an answer at all. */
static const char *whole_fault(const struct openai_dec *d)
{
	if (d->chunk.finish == IR_FIN_ERROR)
		return "The provider ended the answer with an error.";
	if (d->o.facts->op == DIALECT_EMBEDDINGS)
		return d->chunk.marks & CHAT_CHUNK_DATA
			       ? NULL
			       : "The provider's answer holds no embeddings.";
	return d->chunk.marks & CHAT_CHUNK_LIST ? NULL : "The provider's answer holds no choices.";
}

static void whole_usage(struct openai_dec *d, struct slice json, struct ir_event *ev)
{
	ev->kind = IR_USAGE;
	openai_dec_usage(d, json, d->chunk.tier, ev);
}

/* What the answer holds, but for why it finished. */
static void whole_tell(const struct openai_dec *d, struct ir_event *ev)
{
	const struct chat_chunk *c = &d->chunk;

	ev->id = c->id;
	ev->name = c->model;
	ev->created_s = c->created_s;
	ev->tier = c->tier;
	ev->commits = (c->marks & CHAT_CHUNK_CONTENT) || d->o.facts->op == DIALECT_EMBEDDINGS;
	ev->content_bytes = c->content_bytes;
	ev->reasoning_bytes = c->reasoning_bytes;
	ev->sound_bytes = c->sound_bytes;
	ev->pictures = c->pictures;
}

static void whole_raw(struct openai_dec *d, struct slice raw, struct ir_event *ev)
{
	ev->kind = IR_RAW;
	ev->raw = raw;
	if (d->step != 1)
		return;
	whole_tell(d, ev);
	ev->finish = d->chunk.finish;
	ev->native = d->chunk.native;
}

/* before, usage, after, end: one event a step. */
static int whole_step(struct openai_dec *d, struct slice body, const struct openai_parts *w,
		      struct ir_event *ev)
{
	switch (++d->step) {
	case 1:
		whole_raw(d, w->before, ev);
		return 1;
	case 2:
		if (w->usage.p) {
			whole_usage(d, w->usage, ev);
			return 1;
		}
		d->step++;
		/* fall through */
	case 3:
		if (w->after.n) {
			whole_raw(d, w->after, ev);
			return 1;
		}
		/* fall through */
	default:
		d->over = true;
		ev->kind = IR_END;
		ev->raw = slice_of(body.p + body.n - 1, 1);
		return 1;
	}
}

static struct slice whole_trim(struct slice s)
{
	while (s.n && strchr(" \t\r\n", s.p[0]) && s.p[0]) {
		s.p++;
		s.n--;
	}
	while (s.n && strchr(" \t\r\n", s.p[s.n - 1]) && s.p[s.n - 1])
		s.n--;
	return s;
}

/* What the kept body is, before its first event. 0: an answer; 1: *ev tells of a failure. */
static int whole_open(struct openai_dec *d, struct slice body, struct ir_event *ev)
{
	const char *bad;

	if (!whole_read(d, body, &d->parts))
		return openai_dec_broken(d, "The provider's answer is cut or not readable.", ev);
	bad = whole_fault(d);
	if (d->chunk.marks & CHAT_CHUNK_ERROR)
		(void)openai_dec_error(d, body, ev);
	else if (bad)
		(void)openai_dec_broken(d, bad, ev);
	else
		return 0;
	openai_dec_spent(d, ev);
	return 1;
}

static int whole_kept_next(struct openai_dec *d, struct ir_event *ev)
{
	struct slice body = whole_trim(buf_slice(&d->body));
	int r = 0;

	if (!d->eof)
		return 0;
	if (d->step == 0)
		r = whole_open(d, body, ev);
	return r ? r : whole_step(d, body, &d->parts, ev);
}

/* ---- bodies that are too large to keep ---- */

/* The next bytes of the answer's own text. 0, or the event of a failure. */
static int whole_brief(struct openai_dec *d, struct slice text, struct ir_event *ev)
{
	enum errc e = chat_brief_push(&d->brief, text);

	if (!e)
		e = chat_chunk_read_brief(&d->brief, whole_form(d), &d->chunk);
	if (e == ERRC_SYNTAX)
		return openai_dec_broken(d, "The provider's answer is not readable.", ev);
	return -(int)e;
}

/* The closing brace. Of all choices the last one says why it finished, and whether it did is known now. */
static int whole_long_end(struct openai_dec *d, struct slice brace, struct ir_event *ev)
{
	const char *bad;
	int r = whole_brief(d, brace, ev);

	if (r)
		return r;
	if (d->chunk.marks & CHAT_CHUNK_ERROR)
		return openai_dec_error(d, buf_slice(&d->brief.shut), ev);
	bad = whole_fault(d);
	if (bad)
		return openai_dec_broken(d, bad, ev);
	d->over = true;
	ev->kind = IR_END;
	ev->raw = brace;
	ev->tier = d->chunk.tier;
	ev->finish = chat_brief_is_full(&d->brief) ? IR_FIN_OTHER : d->chunk.finish;
	ev->native = d->chunk.native;
	return 1;
}

static int whole_long_part(struct openai_dec *d, enum json_cut_kind kind, struct slice part,
			   struct ir_event *ev)
{
	int r;

	if (kind == JSON_CUT_TAIL)
		return whole_long_end(d, part, ev);
	r = whole_brief(d, kind == JSON_CUT_VALUE ? SLICE_LIT("null") : part, ev);
	if (r)
		return r;
	if (kind == JSON_CUT_VALUE) {
		whole_usage(d, part, ev);
		return 1;
	}
	whole_tell(d, ev);
	ev->kind = IR_RAW;
	ev->raw = part;
	ev->so_far = true;
	return 1;
}

static int whole_long_next(struct openai_dec *d, struct ir_event *ev)
{
	enum json_cut_kind kind;
	struct slice out;
	enum errc e;

	if (d->body.len && !d->in.p)
		d->in = buf_slice(&d->body);
	do {
		e = json_cut_next(&d->cut, &d->in, &kind, &out);
		if (e == ERRC_NOMEM)
			return -(int)e;
		if (e)
			return openai_dec_broken(d, "The provider's answer is not readable.", ev);
	} while (kind == JSON_CUT_NONE && d->in.n);
	if (kind != JSON_CUT_NONE)
		return whole_long_part(d, kind, out, ev);
	d->in = SLICE_NONE;
	if (d->body.len)
		buf_fini(&d->body);
	if (!d->eof || json_cut_is_done(&d->cut))
		return 0;
	return openai_dec_broken(d, "The provider's answer was cut.", ev);
}

enum errc openai_whole_push(struct openai_dec *d, struct slice bytes)
{
	enum errc e;

	if (d->mode == OPENAI_DEC_LONG) {
		d->in = bytes;
		return ERRC_OK;
	}
	if (d->body.len + bytes.n <= d->o.whole_bytes)
		return buf_adds(&d->body, bytes);
	/* What was kept goes first, with this piece: it is the last that is copied. */
	d->body.max = d->body.len + bytes.n;
	e = buf_adds(&d->body, bytes);
	d->mode = OPENAI_DEC_LONG;
	return e;
}

int openai_whole_next(struct openai_dec *d, struct ir_event *ev)
{
	return d->mode == OPENAI_DEC_LONG ? whole_long_next(d, ev) : whole_kept_next(d, ev);
}
