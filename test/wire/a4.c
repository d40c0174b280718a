#include "a4.h"

#include "json.h"
#include "sse.h"

#define A4_MAX (16 * 1024 * 1024)

struct a4_rules {
	bool on, asked;
	uint64_t finished[4], roled[4];
};

void a4_init(struct a4 *a)
{
	memset(a, 0, sizeof(*a));
	buf_init(&a->text, A4_MAX);
	buf_init(&a->thinking, A4_MAX);
	buf_init(&a->calls, A4_MAX);
}

void a4_fini(struct a4 *a)
{
	buf_fini(&a->text);
	buf_fini(&a->thinking);
	buf_fini(&a->calls);
}

static void a4_fail(struct a4 *a, const char *what)
{
	if (!a->bad)
		a->bad = what;
}

static void a4_add(struct buf *b, struct slice s)
{
	require(buf_adds(b, s) == ERRC_OK);
}

static bool a4_twice(uint64_t bits[4], int64_t i)
{
	uint64_t bit = UINT64_C(1) << (i & 63);
	bool was = bits[(i >> 6) & 3] & bit;

	bits[(i >> 6) & 3] |= bit;
	return was;
}

static void a4_calls(struct a4 *a, const struct json *list)
{
	json_arr_each (it, list) {
		const struct json *fn = json_obj_get(it.val, "function");

		a4_add(&a->calls, json_str(json_obj_get(fn, "name")));
		a4_add(&a->calls, json_str(json_obj_get(fn, "arguments")));
	}
}

static void a4_content(struct a4 *a, const struct json *content)
{
	if (json_is_arr(content)) {
		json_arr_each (it, content)
			a4_add(&a->text, json_str(json_obj_get(it.val, "text")));
		return;
	}
	a4_add(&a->text, json_str(content));
}

static void a4_delta(struct a4 *a, const struct json *delta)
{
	a4_content(a, json_obj_get(delta, "content"));
	a4_add(&a->thinking, json_str(json_obj_get(delta, "reasoning_content")));
	a4_calls(a, json_obj_get(delta, "tool_calls"));
}

static void a4_choice(struct a4 *a, const struct json *c, struct a4_rules *r, const char *body)
{
	const struct json *delta = json_obj_get(c, body);
	struct slice finish = json_str(json_obj_get(c, "finish_reason"));
	int64_t index = 0;

	(void)json_i64(json_obj_get(c, "index"), &index);
	if (r->on && !json_is_obj(delta) && !json_is_str(json_obj_get(c, "text")))
		a4_fail(a, "a choice without delta");
	a4_delta(a, delta);
	a4_add(&a->text, json_str(json_obj_get(c, "text")));
	if (r->on && json_is_str(json_obj_get(delta, "role")) && a4_twice(r->roled, index))
		a4_fail(a, "a role twice");
	if (!finish.n)
		return;
	if (r->on && a4_twice(r->finished, index))
		a4_fail(a, "a finish reason twice");
	if (!a->finishes)
		memcpy(a->finish, finish.p, MIN_OF(finish.n, sizeof(a->finish) - 1));
	a->finishes++;
}

static void a4_usage(struct a4 *a, const struct json *u, const struct a4_rules *r)
{
	if (!json_is_obj(u))
		return;
	a->usages++;
	(void)json_i64(json_obj_get(u, "prompt_tokens"), &a->prompt);
	(void)json_i64(json_obj_get(u, "completion_tokens"), &a->completion);
	if (r->on && slice_chr(json_num(json_obj_get(u, "cost")), '.') < 0)
		a4_fail(a, "a cost without decimal point");
}

static void a4_item(struct a4 *a, struct slice data, struct a4_rules *r)
{
	struct json_doc *doc = NULL;
	const struct json *root, *choices;

	if (json_parse(data, NULL, &doc) != ERRC_OK) {
		a4_fail(a, "an item that is no JSON");
		return;
	}
	root = json_root(doc);
	choices = json_obj_get(root, "choices");
	a->items++;
	a->errors += json_obj_get(root, "error") && !json_is_null(json_obj_get(root, "error"));
	if (r->on && a->errors == 0 && !json_is_arr(choices))
		a4_fail(a, "an item without choices");
	if (r->on && a->errors == 0 && !r->asked && json_count(choices) == 0)
		a4_fail(a, "empty choices for a client that did not ask");
	json_arr_each (it, choices) {
		a->choices++;
		a4_choice(a, it.val, r, "delta");
		if (!r->on)
			a4_usage(a, json_obj_get(it.val, "usage"), r);
	}
	a4_usage(a, json_obj_get(root, "usage"), r);
	if (!r->on)
		a4_usage(a, json_obj_get(json_obj_get(root, "x_groq"), "usage"), r);
	json_free(&doc);
}

static void a4_read(struct a4 *a, struct slice out, struct a4_rules *r)
{
	struct sse s;
	struct sse_event ev;

	sse_init(&s, A4_MAX);
	sse_push(&s, out);
	sse_finish(&s);
	while (sse_next(&s, &ev) > 0) {
		struct slice data = slice_trim(ev.data);

		if (!data.n)
			continue;
		if (r->on && a->done)
			a4_fail(a, "an item behind [DONE]");
		if (slice_is(data, "[DONE]"))
			a->done = true;
		else
			a4_item(a, data, r);
	}
	sse_fini(&s);
}

void a4_stream(struct a4 *a, struct slice out, bool asked)
{
	struct a4_rules r = {.on = true, .asked = asked};

	a4_read(a, out, &r);
	if (a->errors)
		return;
	if (!a->done)
		a4_fail(a, "no [DONE]");
	if (a->usages != 1)
		a4_fail(a, "not exactly one usage");
	if (!a->finishes)
		a4_fail(a, "no finish reason");
}

void a4_collect(struct a4 *a, struct slice bytes)
{
	struct a4_rules r = {0};

	a4_read(a, bytes, &r);
}

void a4_whole(struct a4 *a, struct slice body)
{
	struct a4_rules r = {0};
	struct json_doc *doc = NULL;

	if (json_parse(body, NULL, &doc) != ERRC_OK) {
		a4_fail(a, "a body that is no JSON");
		return;
	}
	json_arr_each (it, json_obj_get(json_root(doc), "choices")) {
		a->choices++;
		a4_choice(a, it.val, &r, "message");
	}
	a4_usage(a, json_obj_get(json_root(doc), "usage"), &r);
	json_free(&doc);
}
