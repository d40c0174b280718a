#include "chat_enc.h"

#include "chat_usage.h"

#define CHAT_DONE     SLICE_LIT("data: [DONE]\n\n")
#define CHAT_REST_MAX (16 * 1024)   /* of a whole body, kept behind its usage */
#define CHAT_KEPT_MAX (1024 * 1024) /* the same where an account may not pay all of its cost */

/* What makes an item differ from what the client may see. */
#define CHAT_ODD                                                                        \
	(CHAT_CHUNK_USAGE | CHAT_CHUNK_FINISH | CHAT_CHUNK_ROLE | CHAT_CHUNK_NO_DELTA | \
	 CHAT_CHUNK_NO_CHOICE | CHAT_CHUNK_LINES)

void chat_enc_init(void *enc, const struct dialect_enc_opts *o)
{
	struct chat_enc *e = enc;

	memset(e, 0, sizeof(*e));
	e->o = *o;
	e->is_text = o->facts->op == DIALECT_COMPLETIONS;
	e->created_s = o->env->now_s;
	buf_init(&e->held, LIMIT_SSE_FRAME);
	buf_init(&e->envelope, LIMIT_SSE_FRAME);
	buf_init(&e->usage_json, LIMIT_SSE_FRAME);
	buf_init(&e->scratch, LIMIT_SSE_FRAME);
	usage_init(&e->usage);
	embeddings_init(&e->embeddings, o->facts->encoding == DIALECT_ENC_BASE64);
}

void chat_enc_fini(void *enc)
{
	struct chat_enc *e = enc;

	buf_fini(&e->held);
	buf_fini(&e->envelope);
	buf_fini(&e->usage_json);
	buf_fini(&e->scratch);
	chat_enc_whole_fini(e);
}

bool chat_enc_is_holding(const void *enc)
{
	return ((const struct chat_enc *)enc)->holding;
}

static enum errc enc_keep(struct buf *b, struct slice s)
{
	buf_reset(b);
	return buf_adds(b, s);
}

static bool enc_is_paid(const struct chat_enc *e)
{
	return e->o.env->is_paid(e->o.env->arg);
}

enum errc chat_enc_usage(struct chat_enc *e, struct slice *out)
{
	const struct dialect_env *env = e->o.env;
	int64_t cost = env->cost(env->arg, &e->usage);
	enum errc r;

	buf_reset(&e->scratch);
	r = e->has_usage && e->usage_json.len
		    ? chat_usage_patch(buf_slice(&e->usage_json), cost, &e->scratch)
		    : chat_usage_write(&e->usage, cost, &e->scratch);
	*out = buf_slice(&e->scratch);
	return r;
}

void chat_enc_head(struct chat_enc *e, struct json_out *o, const char *object)
{
	const struct dialect_env *env = e->o.env;

	json_out_obj(o);
	json_out_kstr(o, "id", e->id[0] ? slice_str(e->id) : env->gen_id);
	json_out_kstrz(o, "object", object);
	json_out_ki64(o, "created", e->created_s);
	json_out_kstr(o, "model", e->model[0] ? slice_str(e->model) : env->model);
	json_out_key(o, "choices");
	json_out_arr(o);
}

/* ---- items of the client's own dialect ---- */

/* `data: ` + JSON + blank line. Line ends inside JSON are white space: they become spaces. */
static enum errc enc_frame(struct slice json, bool has_lines, struct buf *out)
{
	char *p;
	enum errc r = buf_reserve(out, json.n + 8, &p);

	if (r)
		return r;
	memcpy(p, "data: ", 6);
	memcpy(p + 6, json.p, json.n);
	if (has_lines)
		for (size_t i = 6; i < json.n + 6; i++)
			if (p[i] == '\n' || p[i] == '\r')
				p[i] = ' ';
	memcpy(p + 6 + json.n, "\n\n", 2);
	buf_commit(out, json.n + 8);
	return ERRC_OK;
}

static enum errc enc_rewrite(struct chat_enc *e, struct slice json, struct slice usage,
			     struct buf *out)
{
	struct chat_rewrite w = {
		.is_text = e->is_text,
		.fill_choices = !e->o.facts->include_usage,
		.usage = usage,
		.seen = &e->seen,
	};
	size_t at = out->len;
	enum errc r = buf_addz(out, "data: ");

	if (!r)
		r = chat_chunk_write(json, &w, out);
	if (!r) {
		for (size_t i = at; i < out->len; i++)
			if (out->p[i] == '\n' || out->p[i] == '\r')
				out->p[i] = ' ';
		r = buf_addz(out, "\n\n");
	}
	if (r)
		buf_truncate(out, at);
	return r;
}

enum errc chat_enc_flush(void *enc, struct buf *out)
{
	struct chat_enc *e = enc;
	struct slice usage = SLICE_NONE;
	enum errc r = ERRC_OK;

	if (!e->holding)
		return ERRC_OK;
	/* What cannot be told yet goes out last. */
	if (!e->usage_given && !usage_is_empty(&e->usage) && enc_is_paid(e))
		r = chat_enc_usage(e, &usage);
	if (!r)
		r = enc_rewrite(e, buf_slice(&e->held), usage, out);
	if (r)
		return r;
	e->holding = false;
	e->usage_given |= usage.n > 0;
	return ERRC_OK;
}

static bool enc_first(uint64_t bits[2], unsigned choice)
{
	uint64_t bit = UINT64_C(1) << (choice & 63);

	if (choice >= 128)
		return true;
	if (bits[choice >> 6] & bit)
		return false;
	bits[choice >> 6] |= bit;
	return true;
}

/* Whether an odd item of one choice needs no change after all: its role or its finish is the first. */
static bool enc_is_fine(struct chat_enc *e, const struct ir_event *ev, bool one_choice)
{
	uint32_t odd = ev->raw_marks & CHAT_ODD;
	bool fine;

	if (!one_choice || (odd & ~(uint32_t)(CHAT_CHUNK_ROLE | CHAT_CHUNK_FINISH)))
		return false;
	if ((odd & CHAT_CHUNK_ROLE) && (odd & CHAT_CHUNK_FINISH))
		return false;
	fine = enc_first(odd & CHAT_CHUNK_ROLE ? e->seen.role : e->seen.finish, ev->choice);
	return fine;
}

/* The provider's usage: the last one wins. */
static enum errc enc_note_usage(struct chat_enc *e, const struct ir_event *ev)
{
	if (!ev->usage)
		return ERRC_OK;
	e->usage = *ev->usage;
	e->has_usage = true;
	return enc_keep(&e->usage_json, ev->usage_json);
}

void chat_enc_names(struct chat_enc *e, const struct ir_event *ev)
{
	if (e->named || !ev->id.n)
		return;
	e->named = true;
	fault_text(e->id, sizeof(e->id), ev->id);
	fault_text(e->model, sizeof(e->model), ev->name);
	if (ev->created_s > 0)
		e->created_s = ev->created_s;
}

static enum errc enc_raw_item(struct chat_enc *e, const struct ir_event *ev, struct buf *out)
{
	bool asked = e->o.facts->include_usage, one = e->o.facts->n == 1;
	uint32_t marks = ev->raw_marks;
	enum errc r = enc_note_usage(e, ev);

	chat_enc_names(e, ev);
	if (!r && (marks & CHAT_CHUNK_USAGE) && (marks & CHAT_CHUNK_NO_CHOICE))
		return asked ? enc_keep(&e->envelope, ev->raw) : ERRC_OK;
	if (!r && e->holding)
		r = chat_enc_flush(e, out);
	if (r)
		return r;
	if (!(marks & CHAT_ODD))
		return enc_frame(ev->raw, false, out);
	if ((marks & CHAT_CHUNK_FINISH) && one && !asked && !e->usage_given) {
		return chat_enc_hold(e, ev->raw);
	}
	if (enc_is_fine(e, ev, one))
		return enc_frame(ev->raw, false, out);
	return enc_rewrite(e, ev->raw, SLICE_NONE, out);
}

/* The last item of a client that did not ask for usage, when no finish item could carry it. */
static enum errc enc_trailer(struct chat_enc *e, struct slice usage, struct buf *out)
{
	struct json_out o;
	enum errc r = buf_addz(out, "data: ");

	if (r)
		return r;
	json_out_init(&o, out);
	chat_enc_head(e, &o, e->is_text ? "text_completion" : "chat.completion.chunk");
	if (!e->o.facts->include_usage)
		json_out_raw(
			&o,
			e->is_text
				? SLICE_LIT("{\"index\":0,\"text\":\"\",\"logprobs\":null,"
					    "\"finish_reason\":null}")
				: SLICE_LIT("{\"index\":0,\"delta\":{},\"finish_reason\":null}"));
	json_out_arr_end(&o);
	json_out_kraw(&o, "usage", usage);
	json_out_obj_end(&o);
	r = json_out_end(&o);
	return r ? r : buf_addz(out, "\n\n");
}

static enum errc enc_stream_end(struct chat_enc *e, const struct ir_event *ev, struct buf *out)
{
	struct slice usage;
	enum errc r;

	if (ev->usage)
		e->usage = *ev->usage;
	r = chat_enc_flush(e, out);
	if (!r && !e->usage_given && !usage_is_empty(&e->usage)) {
		r = chat_enc_usage(e, &usage);
		if (!r && e->envelope.len)
			r = enc_rewrite(e, buf_slice(&e->envelope), usage, out);
		else if (!r)
			r = enc_trailer(e, usage, out);
		e->usage_given = true;
	}
	return r ? r : buf_adds(out, CHAT_DONE);
}

static enum errc enc_length_item(struct chat_enc *e, int64_t choice, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out);
	chat_enc_head(e, &o, e->is_text ? "text_completion" : "chat.completion.chunk");
	json_out_obj(&o);
	json_out_ki64(&o, "index", choice);
	if (e->is_text) {
		json_out_kstrz(&o, "text", "");
		json_out_knull(&o, "logprobs");
	} else {
		json_out_kraw(&o, "delta", SLICE_LIT("{}"));
	}
	json_out_kstrz(&o, "finish_reason", chat_finish_word(IR_FIN_LENGTH));
	json_out_obj_end(&o);
	json_out_arr_end(&o);
	if (e->o.facts->include_usage)
		json_out_knull(&o, "usage");
	json_out_obj_end(&o);
	return json_out_end(&o);
}

/* The only choice's finish waits for the usage, as one of the provider's does. */
static enum errc enc_stop_choice(struct chat_enc *e, int64_t choice, struct buf *out)
{
	enum errc r;

	buf_reset(&e->scratch);
	r = enc_length_item(e, choice, &e->scratch);
	if (r)
		return r;
	if (e->o.facts->copies == 1 && !e->o.facts->include_usage && !e->usage_given)
		return chat_enc_hold(e, buf_slice(&e->scratch));
	return enc_frame(buf_slice(&e->scratch), false, out);
}

enum errc chat_enc_stop(void *enc, struct buf *out)
{
	struct chat_enc *e = enc;
	struct ir_event finish = {.kind = IR_FINISH, .finish = IR_FIN_LENGTH};
	int64_t choices = MIN_OF(e->o.facts->copies, CHAT_SEEN_MAX);
	enum errc r = ERRC_OK;

	buf_reset(&e->usage_json); /* of the middle: what is charged is told, as the record has it */
	if (e->holding)
		return ERRC_OK; /* the only choice finished */
	if (chat_enc_is_ir(e))
		return chat_enc_ir(e, &finish, out);
	for (int64_t i = 0; i < choices && !r; i++)
		if (!(e->seen.finish[i >> 6] >> (i & 63) & 1))
			r = enc_stop_choice(e, i, out);
	return r;
}

/* ---- whole bodies of the client's own dialect ---- */

/* The usage and what was kept behind its place. */
static enum errc enc_raw_place(struct chat_enc *e, struct buf *out)
{
	struct slice usage = SLICE_LIT("null");
	enum errc r = ERRC_OK;

	e->usage_due = false;
	e->usage_given = true;
	if (!usage_is_empty(&e->usage))
		r = chat_enc_usage(e, &usage);
	if (!r)
		r = buf_adds(out, usage);
	if (!r)
		r = buf_adds(out, buf_slice(&e->held));
	buf_reset(&e->held);
	return r;
}

/* That it can be written has to be known before it is charged. */
static enum errc enc_raw_usage(struct chat_enc *e, const struct ir_event *ev)
{
	struct slice usage;
	enum errc r = enc_note_usage(e, ev);

	e->usage_due = true;
	return r || !ev->usage ? r : chat_enc_usage(e, &usage);
}

/* Whether what is kept behind the usage has to go out before the charge is known. */
static bool enc_is_rest_full(const struct chat_enc *e, size_t more)
{
	size_t n = e->held.len + more;

	return n > CHAT_KEPT_MAX || (n > CHAT_REST_MAX && enc_is_paid(e));
}

/* What follows the usage waits for the end, when the charge is known; much of it does not. */
static enum errc enc_raw_piece(struct chat_enc *e, struct slice raw, struct buf *out)
{
	enum errc r = ERRC_OK;

	if (e->usage_due && enc_is_rest_full(e, raw.n))
		r = enc_raw_place(e, out);
	if (r)
		return r;
	out = e->usage_due ? &e->held : out;
	return e->o.facts->op == DIALECT_EMBEDDINGS ? embeddings_push(&e->embeddings, raw, out)
						    : buf_adds(out, raw);
}

static enum errc enc_raw_end(struct chat_enc *e, const struct ir_event *ev, struct buf *out)
{
	enum errc r = ERRC_OK;

	if (ev->usage)
		e->usage = *ev->usage;
	if (!e->usage_due && !e->usage_given && ev->usage) {
		e->usage_due = true;
		r = buf_addz(out, ",\"usage\":");
	}
	if (!r && e->usage_due)
		r = enc_raw_place(e, out);
	return r ? r : buf_adds(out, ev->raw);
}

static enum errc enc_raw_whole(struct chat_enc *e, const struct ir_event *ev, struct buf *out)
{
	switch (ev->kind) {
	case IR_RAW:
		return enc_raw_piece(e, ev->raw, out);
	case IR_USAGE:
		return enc_raw_usage(e, ev);
	case IR_END:
		return enc_raw_end(e, ev, out);
	default:
		return ERRC_STATE;
	}
}

enum errc chat_enc_hold(struct chat_enc *e, struct slice json)
{
	e->holding = true;
	return enc_keep(&e->held, json);
}

enum errc chat_enc_event(void *enc, const struct ir_event *ev, struct buf *out)
{
	struct chat_enc *e = enc;

	if (ev->kind == IR_ERROR)
		return ERRC_STATE;
	if (!e->o.stream) {
		/* A body that comes in neutral parts begins with IR_START. */
		return ev->kind == IR_START || e->build ? chat_enc_whole(e, ev, out)
							: enc_raw_whole(e, ev, out);
	}
	if (ev->kind == IR_RAW)
		return enc_raw_item(e, ev, out);
	return ev->kind == IR_END ? enc_stream_end(e, ev, out) : chat_enc_ir(e, ev, out);
}
