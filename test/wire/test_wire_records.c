/* Every recorded answer: its id, finish words, codes and usage go into a record whole, though only words do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ir.h"
#include "provider_error.h"
#include "sse.h"
#include "text.h"
#include "usage_raw.h"
#include "wire.h"

struct seen {
	const struct wire *w;
	unsigned ids, words, usages, codes, wrongs;
};

static void wrong(struct seen *s, const char *what, struct slice text)
{
	s->wrongs++;
	print_error(SLICE_FMT ": %s: " SLICE_FMT "\n", SLICE_ARG(s->w->id), what, SLICE_ARG(text));
}

static void word(struct seen *s, const struct json *v, size_t max, unsigned *count)
{
	if (!json_str(v).n)
		return;
	++*count;
	if (!text_is_word(json_str(v), max))
		wrong(s, "no word", json_str(v));
}

static void usage(struct seen *s, const struct json *v)
{
	char kept[USAGE_RAW_MAX];
	struct buf said;
	size_t n;

	if (!json_is_obj(v))
		return;
	s->usages++;
	buf_init(&said, 65536);
	assert_int_equal(json_raw(v, &said), ERRC_OK);
	n = usage_raw_write(buf_slice(&said), 0, kept, sizeof(kept));
	if (!slice_eq(buf_slice(&said), slice_of(kept, n)))
		wrong(s, "usage", slice_of(kept, n));
	buf_fini(&said);
}

/* An answer, or an item of one, or the message in it. */
static void object(struct seen *s, const struct json *v)
{
	word(s, json_obj_get(v, "id"), IR_ID_MAX, &s->ids);
	word(s, json_obj_get(v, "stop_reason"), IR_NATIVE_MAX, &s->words);
	word(s, json_obj_get(json_obj_get(v, "delta"), "stop_reason"), IR_NATIVE_MAX, &s->words);
	usage(s, json_obj_get(v, "usage"));
	json_arr_each (it, json_obj_get(v, "choices"))
		word(s, json_obj_get(it.val, "finish_reason"), IR_NATIVE_MAX, &s->words);
}

static void item(struct seen *s, struct slice text)
{
	static const char *const inside[] = {"message", "response"};
	struct json_doc *doc = NULL;

	if (json_parse(text, NULL, &doc) == ERRC_OK) {
		object(s, json_root(doc));
		for (size_t i = 0; i < ARRAY_LEN(inside); i++)
			object(s, json_obj_get(json_root(doc), inside[i]));
	}
	json_free(&doc);
}

static void error(struct seen *s)
{
	struct dialect_answer a = {.status = (int)s->w->status, .body = buf_slice(&s->w->response)};
	struct dialect_verdict v;
	struct fault f;

	provider_error_classify(&a, &f, &v);
	if (!f.provider_code[0])
		return;
	s->codes++;
	if (!strcmp(f.provider_code, "other"))
		wrong(s, "code", buf_slice(&s->w->response));
}

static void one(void *arg, const struct wire *w)
{
	struct seen *s = arg;
	struct sse_event ev;
	struct sse sse;

	if (!slice_is(w->dialect, "openai") && !slice_is(w->dialect, "anthropic") &&
	    !slice_has_prefix(w->dialect, SLICE_LIT("openai-")))
		return;
	s->w = w;
	if (w->status >= 400) {
		error(s);
		return;
	}
	if (!w->is_sse) {
		item(s, buf_slice(&w->response));
		return;
	}
	sse_init(&sse, 1024 * 1024);
	sse_push(&sse, buf_slice(&w->response));
	while (sse_next(&sse, &ev) > 0)
		item(s, ev.data);
	sse_fini(&sse);
}

static void nothing_real_is_left_out(void **state)
{
	struct seen seen = {0};

	wire_each(one, &seen);
	print_message("# %u ids, %u finish words, %u usages, %u codes\n", seen.ids, seen.words,
		      seen.usages, seen.codes);
	assert_int_equal(seen.wrongs, 0);
	assert_true(seen.ids > 1000 && seen.words > 200 && seen.usages > 300 && seen.codes > 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_real_is_left_out)};

	if (wire_is_absent())
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
