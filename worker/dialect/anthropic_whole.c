/* A whole answer of Anthropic's dialect as neutral events, block by block. */
#include "anthropic_dec.h"

static void whole_text(struct anthropic_dec *d, enum ir_kind kind, struct slice text)
{
	struct ir_event *ev = anthropic_put(d, kind);

	ev->text = text;
	ev->tool = d->tools ? d->tools - 1 : 0;
	ev->commits = true;
	if (kind != IR_SIGNATURE && kind != IR_REDACTED)
		ev->content_bytes = text.n > UINT32_MAX ? UINT32_MAX : (uint32_t)text.n;
	if (kind == IR_THINKING)
		ev->reasoning_bytes = ev->content_bytes;
}

static void whole_tool(struct anthropic_dec *d, const struct json *block)
{
	const struct json *input = json_obj_get(block, "input");

	anthropic_put_tool(d, json_str(json_obj_get(block, "id")),
			   json_str(json_obj_get(block, "name")));
	buf_reset(&d->text);
	d->err = json_is_obj(input) ? json_raw(input, &d->text) : buf_addz(&d->text, "{}");
	whole_text(d, IR_TOOL_ARGS, buf_slice(&d->text));
	anthropic_put(d, IR_TOOL_END)->tool = d->tools - 1;
}

static void whole_block(struct anthropic_dec *d, const struct json *block)
{
	struct slice type = json_str(json_obj_get(block, "type"));
	struct slice signature = json_str(json_obj_get(block, "signature"));

	if (slice_is(type, "text")) {
		whole_text(d, IR_TEXT, json_str(json_obj_get(block, "text")));
	} else if (slice_is(type, "thinking")) {
		whole_text(d, IR_THINKING, json_str(json_obj_get(block, "thinking")));
		if (signature.n)
			whole_text(d, IR_SIGNATURE, signature);
	} else if (slice_is(type, "redacted_thinking")) {
		whole_text(d, IR_REDACTED, json_str(json_obj_get(block, "data")));
	} else if (slice_is(type, "tool_use")) {
		whole_tool(d, block);
	}
}

/* Parses the body; the first events. */
static void whole_open(struct anthropic_dec *d)
{
	const struct json *root, *usage;
	struct ir_event *ev;
	enum errc e = json_parse(buf_slice(&d->body), NULL, &d->doc);

	if (e == ERRC_NOMEM) {
		d->err = e;
		return;
	}
	root = e ? NULL : json_root(d->doc);
	if (json_is_obj(json_obj_get(root, "error"))) {
		anthropic_put_error(d, buf_slice(&d->body));
		return;
	}
	if (!json_is_arr(json_obj_get(root, "content"))) {
		anthropic_put_broken(d, "The provider's answer is cut or not readable.");
		return;
	}
	d->blocks = json_iter_of(json_obj_get(root, "content"), JSON_ARRAY);
	usage = json_obj_get(root, "usage");
	buf_reset(&d->text);
	if (json_is_obj(usage))
		d->err = json_raw(usage, &d->text);
	if (d->text.len)
		(void)anthropic_usage(d, buf_slice(&d->text));
	ev = anthropic_put(d, IR_START);
	ev->id = json_str(json_obj_get(root, "id"));
	ev->name = json_str(json_obj_get(root, "model"));
}

static void whole_close(struct anthropic_dec *d)
{
	const struct json *root = json_root(d->doc);
	struct slice word = json_str(json_obj_get(root, "stop_reason"));
	const struct json *details = json_obj_get(root, "stop_details");

	if (d->finished)
		anthropic_put(d, IR_END);
	else
		anthropic_put_finish(d, word, json_str(json_obj_get(details, "explanation")));
}

void anthropic_whole_step(struct anthropic_dec *d)
{
	if (!d->eof)
		return;
	if (!d->doc) {
		whole_open(d);
		return;
	}
	while (!d->queued && !d->err && d->blocks.i < d->blocks.n) {
		whole_block(d, d->blocks.val);
		json_iter_step(&d->blocks);
	}
	if (!d->queued && !d->err)
		whole_close(d);
}
