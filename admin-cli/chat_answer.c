#include "chat_answer.h"

#include <stdio.h>

#include "caps.h"
#include "json.h"

#define WHOLE_BYTES_MAX (16 * 1024 * 1024)

void chat_answer_init(struct chat_answer *a, void (*on_text)(void *arg, struct slice text),
		      void *arg)
{
	*a = (struct chat_answer){.on_text = on_text, .arg = arg, .cost_nusd = -1};
	sse_init(&a->sse, LIMIT_SSE_FRAME);
	buf_init(&a->whole, WHOLE_BYTES_MAX);
}

void chat_answer_fini(struct chat_answer *a)
{
	sse_fini(&a->sse);
	buf_fini(&a->whole);
}

static void keep(char *out, size_t n, struct slice s)
{
	snprintf(out, n, SLICE_FMT, SLICE_ARG(slice_sub(s, 0, n - 1)));
}

void chat_answer_head(struct chat_answer *a, const struct http1_head *h)
{
	a->status = h->status;
	a->is_stream =
		slice_has_prefix(http1_header(h, "content-type"), SLICE_LIT("text/event-stream"));
	keep(a->request_id, sizeof(a->request_id), http1_header(h, "x-request-id"));
	keep(a->provider, sizeof(a->provider), http1_header(h, "x-aigw-provider"));
	keep(a->model, sizeof(a->model), http1_header(h, "x-aigw-model"));
}

static void read_error(struct chat_answer *a, const struct json *error)
{
	a->has_error = true;
	keep(a->code, sizeof(a->code), json_str(json_obj_get(error, "code")));
	if (!a->code[0])
		keep(a->code, sizeof(a->code), json_str(json_obj_get(error, "type")));
	keep(a->message, sizeof(a->message), json_str(json_obj_get(error, "message")));
}

static void read_usage(struct chat_answer *a, const struct json *usage)
{
	a->has_usage = true;
	(void)json_i64(json_obj_get(usage, "prompt_tokens"), &a->input);
	(void)json_i64(json_obj_get(usage, "completion_tokens"), &a->output);
	(void)json_i64(json_obj_get(json_obj_get(usage, "prompt_tokens_details"), "cached_tokens"),
		       &a->cached);
	(void)json_i64(
		json_obj_get(json_obj_get(usage, "completion_tokens_details"), "reasoning_tokens"),
		&a->reasoning);
	if (json_decimal(json_obj_get(usage, "cost"), 9, &a->cost_nusd))
		a->cost_nusd = -1;
}

static void add_text(struct chat_answer *a, struct slice text)
{
	if (text.n == 0)
		return;
	a->text_bytes += text.n;
	a->err = buf_adds(&a->whole, text);
	a->on_text(a->arg, text);
}

/* A chunk of a stream, or the whole answer, which has `message` for `delta`. */
static void read_answer(struct chat_answer *a, const struct json *root)
{
	const struct json *choice = json_arr_at(json_obj_get(root, "choices"), 0),
			  *part = json_obj_get(choice, "delta");

	if (json_is_obj(json_obj_get(root, "error"))) {
		read_error(a, json_obj_get(root, "error"));
		return;
	}
	if (!part)
		part = json_obj_get(choice, "message");
	add_text(a, json_str(json_obj_get(part, "content")));
	if (json_is_str(json_obj_get(choice, "finish_reason")))
		keep(a->finish, sizeof(a->finish), json_str(json_obj_get(choice, "finish_reason")));
	if (json_is_obj(json_obj_get(root, "usage")))
		read_usage(a, json_obj_get(root, "usage"));
}

static void read_json(struct chat_answer *a, struct slice text)
{
	struct json_doc *doc = NULL;
	enum errc e = json_parse(text, NULL, &doc);

	if (e)
		a->err = e == ERRC_NOMEM ? e : ERRC_PROTOCOL;
	else
		read_answer(a, json_root(doc));
	json_free(&doc);
}

bool chat_answer_body(struct chat_answer *a, struct slice part)
{
	struct sse_event ev;
	int r = 0;

	if (!a->is_stream) {
		a->err = buf_adds(&a->whole, part);
		return !a->err;
	}
	sse_push(&a->sse, part);
	while (!a->err && (r = sse_next(&a->sse, &ev)) > 0) {
		if (ev.data.p && slice_is(ev.data, "[DONE]"))
			a->is_done = true;
		else if (ev.data.p && !a->has_error)
			read_json(a, ev.data);
	}
	if (r < 0)
		a->err = (enum errc) - r;
	return !a->err && !a->has_error;
}

void chat_answer_end(struct chat_answer *a)
{
	struct buf body = a->whole;

	if (a->is_stream)
		return;
	/* Text goes into `whole` anew. */
	buf_init(&a->whole, WHOLE_BYTES_MAX);
	if (!a->err)
		read_json(a, buf_slice(&body));
	buf_fini(&body);
	a->is_done = !a->err;
	if (a->status != 200 && !a->has_error) {
		a->has_error = true;
		keep(a->code, sizeof(a->code), SLICE_LIT("http"));
		snprintf(a->message, sizeof(a->message),
			 "the server answered with status %d and no error that can be read",
			 a->status);
	}
}
