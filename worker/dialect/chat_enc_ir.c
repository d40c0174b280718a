/* Neutral events of another dialect as items of a chat stream. */
#include "chat_enc.h"

static void ir_open(struct chat_enc *e, struct json_out *o)
{
	chat_enc_head(e, o, "chat.completion.chunk");
	json_out_obj(o);
	json_out_ki64(o, "index", 0);
	json_out_key(o, "delta");
	json_out_obj(o);
	if (e->role_sent)
		return;
	e->role_sent = true;
	json_out_kstrz(o, "role", "assistant");
}

/* Closes delta, choice, list and item. */
static void ir_close(struct chat_enc *e, struct json_out *o, const char *finish, struct slice native)
{
	json_out_obj_end(o);
	json_out_kstrz(o, "finish_reason", finish);
	if (native.n)
		json_out_kstr(o, "native_finish_reason", native);
	json_out_obj_end(o);
	json_out_arr_end(o);
	if (e->o.facts->include_usage)
		json_out_knull(o, "usage");
	json_out_obj_end(o);
}

void chat_enc_thought(struct json_out *o, const char *type, unsigned index)
{
	json_out_obj(o);
	json_out_kstrz(o, "type", type);
	json_out_kstrz(o, "format", "anthropic-claude-v1");
	json_out_ki64(o, "index", index);
}

/* Thinking goes out as text for readers, and in the carrier that a client sends back unchanged (formats 12.4). */
static void ir_thought(struct chat_enc *e, struct json_out *o, const struct ir_event *ev)
{
	bool encrypted = ev->kind == IR_REDACTED;

	if (ev->kind == IR_THINKING)
		json_out_kstr(o, "reasoning_content", ev->text);
	json_out_key(o, "reasoning_details");
	json_out_arr(o);
	chat_enc_thought(o, encrypted ? "reasoning.encrypted" : "reasoning.text", e->thoughts);
	json_out_kstr(o,
		      encrypted                  ? "data"
		      : ev->kind == IR_SIGNATURE ? "signature"
						 : "text",
		      ev->text);
	json_out_obj_end(o);
	json_out_arr_end(o);
	e->thoughts += ev->kind != IR_THINKING;
}

static void ir_call(struct json_out *o, const struct ir_event *ev)
{
	json_out_key(o, "tool_calls");
	json_out_arr(o);
	json_out_obj(o);
	json_out_ki64(o, "index", ev->tool);
	if (ev->kind == IR_TOOL_START) {
		json_out_kstr(o, "id", ev->id);
		json_out_kstrz(o, "type", "function");
	}
	json_out_key(o, "function");
	json_out_obj(o);
	if (ev->kind == IR_TOOL_START)
		json_out_kstr(o, "name", ev->name);
	json_out_kstr(o, "arguments", ev->text);
	json_out_obj_end(o);
	json_out_obj_end(o);
	json_out_arr_end(o);
}

static void ir_delta(struct chat_enc *e, struct json_out *o, const struct ir_event *ev)
{
	switch (ev->kind) {
	case IR_START:
		json_out_kstrz(o, "content", "");
		break;
	case IR_TEXT:
		json_out_kstr(o, "content", ev->text);
		break;
	case IR_REFUSAL:
		json_out_kstr(o, "refusal", ev->text);
		break;
	case IR_THINKING:
	case IR_SIGNATURE:
	case IR_REDACTED:
		ir_thought(e, o, ev);
		break;
	case IR_TOOL_START:
	case IR_TOOL_ARGS:
		ir_call(o, ev);
		break;
	default:
		break;
	}
}

static enum errc ir_item(struct chat_enc *e, const struct ir_event *ev, struct buf *out)
{
	struct json_out o;
	bool is_end = ev->kind == IR_FINISH;

	json_out_init(&o, out);
	ir_open(e, &o);
	ir_delta(e, &o, ev);
	ir_close(e, &o, is_end ? chat_finish_word(ev->finish) : NULL,
		 is_end ? ev->native : SLICE_NONE);
	return json_out_end(&o);
}

static enum errc ir_frame(struct chat_enc *e, const struct ir_event *ev, struct buf *out)
{
	size_t at = out->len;
	enum errc r = buf_addz(out, "data: ");

	if (!r)
		r = ir_item(e, ev, out);
	if (!r)
		r = buf_addz(out, "\n\n");
	if (r)
		buf_truncate(out, at);
	return r;
}

/* A finish item waits for its usage unless the client asked for usage apart. */
static enum errc ir_finish_item(struct chat_enc *e, const struct ir_event *ev, struct buf *out)
{
	enum errc r;

	if (e->o.facts->include_usage)
		return ir_frame(e, ev, out);
	buf_reset(&e->scratch);
	r = ir_item(e, ev, &e->scratch);
	return r ? r : chat_enc_hold(e, buf_slice(&e->scratch));
}

bool chat_enc_is_ir(const struct chat_enc *e)
{
	return e->role_sent;
}

enum errc chat_enc_ir(struct chat_enc *e, const struct ir_event *ev, struct buf *out)
{
	enum errc r = ERRC_OK;

	switch (ev->kind) {
	case IR_START:
		chat_enc_names(e, ev);
		return ir_frame(e, ev, out);
	case IR_USAGE:
		if (ev->usage)
			e->usage = *ev->usage;
		return ERRC_OK;
	case IR_FINISH:
		return ir_finish_item(e, ev, out);
	case IR_TOOL_END:
		return ERRC_OK;
	default:
		if (e->holding)
			r = chat_enc_flush(e, out);
		return r ? r : ir_frame(e, ev, out);
	}
}
