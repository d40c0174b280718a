/* Neutral events of another dialect as one chat completion: texts are gathered as JSON text, the body is written at the end. */
#include "chat_enc.h"

#include "mem.h"

/* All of it is the provider's answer, which the call bounds; this only keeps a runaway in check. */
#define CHAT_BUILD_MAX (64 * 1024 * 1024)

struct chat_build {
	struct buf content, refusal, thinking; /* plain text */
	struct buf details, calls; /* JSON text: elements of their lists, commas between */
	struct buf text;           /* of the block of thinking, of the call being read */
	bool has_content, has_refusal;
	enum ir_finish finish;
	char native[FAULT_WORD_MAX];
};

static struct buf *build_bufs(struct chat_build *b, unsigned i)
{
	struct buf *const all[] = {&b->content, &b->refusal, &b->thinking,
				   &b->details, &b->calls,   &b->text};

	return i < ARRAY_LEN(all) ? all[i] : NULL;
}

static enum errc build_new(struct chat_enc *e)
{
	struct chat_build *b = e->build ? e->build : mem_new_of(struct chat_build);
	struct buf *t;

	if (!b)
		return ERRC_NOMEM;
	e->build = b;
	for (unsigned i = 0; (t = build_bufs(b, i)) != NULL; i++)
		buf_init(t, CHAT_BUILD_MAX);
	return ERRC_OK;
}

void chat_enc_whole_fini(struct chat_enc *e)
{
	struct buf *t;

	if (!e->build)
		return;
	for (unsigned i = 0; (t = build_bufs(e->build, i)) != NULL; i++)
		buf_fini(t);
	mem_free(e->build);
	e->build = NULL;
}

static enum errc build_comma(struct buf *list)
{
	return list->len ? buf_addc(list, ',') : ERRC_OK;
}

/* One entry of reasoning_details: a block of thinking with its signature, or an encrypted one. */
static enum errc build_thought(struct chat_enc *e, const char *type, struct slice text,
			       struct slice extra, const char *extra_key)
{
	struct chat_build *b = e->build;
	struct json_out o;
	enum errc r = build_comma(&b->details);

	if (r)
		return r;
	json_out_init(&o, &b->details);
	chat_enc_thought(&o, type, e->thoughts++);
	if (text.p)
		json_out_kstr(&o, "text", text);
	if (extra.n)
		json_out_kstr(&o, extra_key, extra);
	json_out_obj_end(&o);
	buf_reset(&b->text);
	return json_out_end(&o);
}

/* Thinking that no signature followed. */
static enum errc build_close_thought(struct chat_enc *e)
{
	struct chat_build *b = e->build;

	return b->text.len ? build_thought(e, "reasoning.text", buf_slice(&b->text), SLICE_NONE, "")
			   : ERRC_OK;
}

static enum errc build_call_start(struct chat_build *b, const struct ir_event *ev)
{
	struct json_out o;
	enum errc r = build_comma(&b->calls);

	if (r)
		return r;
	/* The object is left open behind the quote of its arguments, which follow in pieces. */
	json_out_init(&o, &b->calls);
	json_out_obj(&o);
	json_out_kstr(&o, "id", ev->id);
	json_out_kstrz(&o, "type", "function");
	json_out_key(&o, "function");
	json_out_obj(&o);
	json_out_kstr(&o, "name", ev->name);
	json_out_kstrz(&o, "arguments", "");
	json_out_obj_end(&o);
	json_out_obj_end(&o);
	r = json_out_end(&o);
	if (!r)
		buf_truncate(&b->calls, b->calls.len - 3); /* "}} */
	return r;
}

static enum errc build_add(struct chat_enc *e, const struct ir_event *ev)
{
	struct chat_build *b = e->build;
	enum errc r = ERRC_OK;

	switch (ev->kind) {
	case IR_TEXT:
		b->has_content = true;
		return buf_adds(&b->content, ev->text);
	case IR_REFUSAL:
		b->has_refusal = true;
		return buf_adds(&b->refusal, ev->text);
	case IR_THINKING:
		r = buf_adds(&b->text, ev->text);
		return r ? r : buf_adds(&b->thinking, ev->text);
	case IR_SIGNATURE:
		return build_thought(e, "reasoning.text", buf_slice(&b->text), ev->text,
				     "signature");
	case IR_REDACTED:
		r = build_close_thought(e);
		return r ? r : build_thought(e, "reasoning.encrypted", SLICE_NONE, ev->text, "data");
	case IR_TOOL_START:
		r = build_call_start(b, ev);
		return r ? r : json_out_escape(&b->calls, ev->text);
	case IR_TOOL_ARGS:
		return json_out_escape(&b->calls, ev->text);
	case IR_TOOL_END:
		return buf_addz(&b->calls, "\"}}");
	case IR_FINISH:
		b->finish = ev->finish;
		fault_text(b->native, sizeof(b->native), ev->native);
		return ERRC_OK;
	case IR_USAGE:
		if (ev->usage)
			e->usage = *ev->usage;
		return ERRC_OK;
	default:
		return ERRC_STATE;
	}
}

static void build_list(struct json_out *o, const char *key, const struct buf *elements)
{
	if (!elements->len)
		return;
	json_out_key(o, key);
	json_out_arr(o);
	json_out_raw(o, buf_slice(elements));
	json_out_arr_end(o);
}

static void build_message(struct json_out *o, const struct chat_build *b)
{
	json_out_key(o, "message");
	json_out_obj(o);
	json_out_kstrz(o, "role", "assistant");
	json_out_key(o, "content");
	if (b->has_content)
		json_out_str(o, buf_slice(&b->content));
	else
		json_out_null(o);
	json_out_key(o, "refusal");
	if (b->has_refusal)
		json_out_str(o, buf_slice(&b->refusal));
	else
		json_out_null(o);
	if (b->thinking.len)
		json_out_kstr(o, "reasoning_content", buf_slice(&b->thinking));
	build_list(o, "reasoning_details", &b->details);
	build_list(o, "tool_calls", &b->calls);
	json_out_obj_end(o);
}

static enum errc build_end(struct chat_enc *e, const struct ir_event *ev, struct buf *out)
{
	struct chat_build *b = e->build;
	struct slice usage = SLICE_NONE;
	struct json_out o;
	enum errc r = build_close_thought(e);

	if (ev->usage)
		e->usage = *ev->usage;
	if (!r)
		r = chat_enc_usage(e, &usage);
	if (r)
		return r;
	json_out_init(&o, out);
	chat_enc_head(e, &o, "chat.completion");
	json_out_obj(&o);
	json_out_ki64(&o, "index", 0);
	build_message(&o, b);
	json_out_kstrz(&o, "finish_reason", chat_finish_word(b->finish));
	if (b->native[0])
		json_out_kstrz(&o, "native_finish_reason", b->native);
	json_out_knull(&o, "logprobs");
	json_out_obj_end(&o);
	json_out_arr_end(&o);
	json_out_kraw(&o, "usage", usage);
	json_out_obj_end(&o);
	return json_out_end(&o);
}

enum errc chat_enc_whole(struct chat_enc *e, const struct ir_event *ev, struct buf *out)
{
	enum errc r;

	if (ev->kind == IR_END)
		return build_end(e, ev, out);
	if (ev->kind != IR_START)
		return build_add(e, ev);
	r = build_new(e);
	chat_enc_names(e, ev);
	return r;
}
