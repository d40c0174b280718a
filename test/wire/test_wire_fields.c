/* Every recorded exchange of the operations that are served: each member of a request stands in the table of fields, and each member
 * of a usage object in that of usage. What nobody has thought of might be charged by the provider and not by us. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "chat_field.h"
#include "sse.h"
#include "usage_field.h"
#include "wire.h"

#define FRAME_MAX (4u * 1024 * 1024)

struct seen {
	unsigned requests, usages, read, unknown;
};

static struct seen seen;

static void unknown(const struct wire *w, const char *what, struct slice within, struct slice name)
{
	seen.unknown++;
	print_error(SLICE_FMT ": %s " SLICE_FMT "%s" SLICE_FMT " is in no table\n",
		    SLICE_ARG(w->id), what, SLICE_ARG(within), within.n ? "." : "", SLICE_ARG(name));
}

static bool is_chat(const struct wire *w)
{
	return slice_is(w->dialect, "openai-chat") ||
	       (slice_is(w->dialect, "openai") &&
		(slice_is(w->api, "completions") || slice_is(w->api, "embeddings")));
}

static bool is_messages(const struct wire *w)
{
	return slice_is(w->dialect, "anthropic") && slice_is(w->api, "messages");
}

static void look_at_request(const struct wire *w)
{
	const struct json *body = json_obj_get(json_obj_get(w->root, "request"), "body");

	seen.requests++;
	json_obj_each (it, body) {
		if (!chat_field_named(it.key))
			unknown(w, "request", SLICE_LIT(""), it.key);
	}
}

static void look_at_member(const struct wire *w, struct slice within, struct slice name,
			   const struct json *v)
{
	enum ptable_dialect dialect = is_chat(w) ? PTABLE_OPENAI : PTABLE_ANTHROPIC;
	enum usage_field_rule rule = usage_field_rule(dialect, within, name);

	/* Nothing is told by it. */
	if (json_is_null(v) || (json_is_obj(v) && json_count(v) == 0))
		return;
	seen.read += rule == USAGE_FIELD_READ;
	if (rule == USAGE_FIELD_UNKNOWN)
		unknown(w, "usage", within, name);
	if (rule != USAGE_FIELD_GROUP)
		return;
	json_obj_each (it, v)
		look_at_member(w, name, it.key, it.val);
}

/* Where a usage object may stand: in the item itself, in a message that begins, in a choice. */
static void look_at_item(const struct wire *w, const struct json *item)
{
	const struct json *found[] = {json_obj_get(item, "usage"),
				      json_obj_get(json_obj_get(item, "message"), "usage"),
				      json_obj_get(json_obj_get(item, "x_groq"), "usage")};

	for (size_t i = 0; i < ARRAY_LEN(found); i++) {
		if (!json_is_obj(found[i]))
			continue;
		seen.usages++;
		json_obj_each (it, found[i])
			look_at_member(w, SLICE_LIT(""), it.key, it.val);
	}
	json_arr_each (it, json_obj_get(item, "choices")) {
		if (json_is_obj(json_obj_get(it.val, "usage")))
			look_at_item(w, it.val);
	}
}

static void look_at_text(const struct wire *w, struct slice text)
{
	struct json_doc *doc = NULL;

	if (json_parse(text, NULL, &doc) == ERRC_OK)
		look_at_item(w, json_root(doc));
	json_free(&doc);
}

static void look_at_answer(const struct wire *w)
{
	struct sse_event frame;
	struct sse s;

	if (!w->is_sse) {
		look_at_text(w, buf_slice(&w->response));
		return;
	}
	sse_init(&s, FRAME_MAX);
	sse_push(&s, buf_slice(&w->response));
	sse_finish(&s);
	while (sse_next(&s, &frame) > 0)
		look_at_text(w, frame.data);
	sse_fini(&s);
}

static void one(void *arg, const struct wire *w)
{
	(void)arg;
	if (is_chat(w))
		look_at_request(w);
	if (is_chat(w) || is_messages(w))
		look_at_answer(w);
}

static void every_member_is_known(void **state)
{
	(void)state;
	wire_each(one, NULL);
	print_message("# %u requests, %u usage objects, %u numbers read\n", seen.requests,
		      seen.usages, seen.read);
	assert_int_equal(seen.unknown, 0);
	assert_true(seen.requests > 250 && seen.usages > 300);
}

/* The table itself: what it does not have is told from what it has. */
static void what_is_not_there(void **state)
{
	(void)state;
	assert_int_equal(usage_field_rule(PTABLE_OPENAI, SLICE_NONE, SLICE_LIT("prompt_tokens")),
			 USAGE_FIELD_READ);
	assert_int_equal(usage_field_rule(PTABLE_OPENAI, SLICE_LIT("input_tokens_details"),
					  SLICE_LIT("cached_tokens")),
			 USAGE_FIELD_READ);
	assert_int_equal(usage_field_rule(PTABLE_OPENAI, SLICE_NONE, SLICE_LIT("server_tool_use")),
			 USAGE_FIELD_GROUP);
	assert_int_equal(usage_field_rule(PTABLE_OPENAI, SLICE_LIT("prompt_tokens_details"),
					  SLICE_LIT("cache_creation_token_details")),
			 USAGE_FIELD_GROUP);
	assert_int_equal(usage_field_rule(PTABLE_OPENAI, SLICE_LIT("cache_creation_token_details"),
					  SLICE_LIT("ephemeral_1h_input_tokens")),
			 USAGE_FIELD_READ);
	assert_int_equal(usage_field_rule(PTABLE_OPENAI, SLICE_LIT("prompt_tokens_details"),
					  SLICE_LIT("prompt_tokens_details")),
			 USAGE_FIELD_UNKNOWN);
	assert_int_equal(usage_field_rule(PTABLE_ANTHROPIC, SLICE_LIT("server_tool_use"),
					  SLICE_LIT("web_search_requests")),
			 USAGE_FIELD_READ);
	assert_int_equal(usage_field_rule(PTABLE_ANTHROPIC, SLICE_NONE, SLICE_LIT("cache_creation")),
			 USAGE_FIELD_GROUP);
	assert_int_equal(usage_field_rule(PTABLE_OPENAI, SLICE_NONE, SLICE_LIT("gold_tokens")),
			 USAGE_FIELD_UNKNOWN);
	assert_int_equal(usage_field_rule(PTABLE_OPENAI, SLICE_LIT("prompt_tokens_details"),
					  SLICE_LIT("reasoning_tokens")),
			 USAGE_FIELD_UNKNOWN);
	assert_int_equal(usage_field_rule(PTABLE_ANTHROPIC, SLICE_NONE, SLICE_LIT("prompt_tokens")),
			 USAGE_FIELD_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_there),
		cmocka_unit_test(every_member_is_known),
	};

	if (wire_is_absent())
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
