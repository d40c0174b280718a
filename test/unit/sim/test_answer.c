#include "answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "http1.h"
#include "mem.h"

struct reading {
	struct buf body;
	int events;
	int status;
	bool done, bad;
};

static struct answer_ask ask_of(enum answer_api api, bool stream)
{
	return (struct answer_ask){.api = api,
				   .stream = stream,
				   .include_usage = true,
				   .n = 1,
				   .inputs = 1,
				   .body_bytes = 400,
				   .serial = 7,
				   .now_s = 1};
}

static enum errc make(struct answer *a, struct answer_ask *ask, const char *model)
{
	struct script s;
	struct slice bad;

	ask->model = slice_str(model);
	assert_int_equal(script_parse(ask->model, &s, &bad), ERRC_OK);
	return answer_make(a, ask, &s, true);
}

/* Reads the wire as a client would. */
static struct reading read_wire(const struct answer *a)
{
	static const struct http1_limits limits = {
		.line_max = 8192, .head_max = 65536, .headers_max = 100};
	struct reading r = {.status = 0};
	struct http1 h;
	struct slice in = buf_slice(&a->wire), part;
	int got;

	buf_init(&r.body, 1 << 20);
	http1_init(&h, HTTP1_RESPONSE, &limits);
	while ((got = http1_next(&h, &in, &part)) > 0 && got != HTTP1_DONE) {
		if (got == HTTP1_HEAD)
			r.status = h.head.status;
		if (got == HTTP1_BODY)
			assert_int_equal(buf_adds(&r.body, part), ERRC_OK);
	}
	r.done = got == HTTP1_DONE;
	r.bad = got < 0;
	for (size_t i = 0; i + 1 < r.body.len; i++)
		r.events += r.body.p[i] == '\n' && r.body.p[i + 1] == '\n';
	http1_fini(&h);
	return r;
}

static bool has(const struct reading *r, const char *text)
{
	return slice_find(buf_slice(&r->body), slice_str(text)) >= 0;
}

static void test_proper_answers_are_whole(void **state)
{
	for (int api = 0; api < ANSWER_COUNT; api++) {
		for (int stream = 0; stream < 2; stream++) {
			struct answer_ask ask =
				ask_of((enum answer_api)api,
				       stream && (api == ANSWER_CHAT || api == ANSWER_MESSAGES));
			struct answer a;
			struct reading r;

			answer_init(&a);
			assert_int_equal(make(&a, &ask, "sim?tokens=4&tools=1&reasoning=2"),
					 ERRC_OK);
			r = read_wire(&a);
			assert_true(r.done && !r.bad && r.status == 200);
			assert_true(a.complete && a.end == ANSWER_KEEP);
			if (api == ANSWER_CHAT || api == ANSWER_MESSAGES) {
				assert_int_equal(a.output, 7);
				assert_int_equal(a.input, 100);
				assert_true(has(&r, api == ANSWER_CHAT ? "\"completion_tokens\":7"
								       : "\"output_tokens\":7"));
			}
			buf_fini(&r.body);
			answer_fini(&a);
		}
	}
}

static void test_given_text_is_the_content(void **state)
{
	for (int api = 0; api < ANSWER_COUNT; api++) {
		struct answer_ask ask = ask_of((enum answer_api)api, false);
		struct answer a;
		struct reading r;

		if (api != ANSWER_CHAT && api != ANSWER_MESSAGES)
			continue;
		answer_init(&a);
		assert_int_equal(make(&a, &ask, "sim?tokens=4&text={\"n\":7}"), ERRC_OK);
		r = read_wire(&a);
		assert_true(has(&r, "\"{\\\"n\\\":7}\""));
		assert_true(has(&r, "\"model\":\"sim?tokens=4&text={\\\"n\\\":7}\""));
		buf_fini(&r.body);
		answer_fini(&a);
		ask.stream = true;
		assert_int_equal(make(&a, &ask, "sim?tokens=4&text={\"n\":7}"), ERRC_OK);
		r = read_wire(&a);
		assert_true(has(&r, "\"{\"") && has(&r, "\"\\\"n\"") && has(&r, "\"\\\":\"") &&
			    has(&r, "\"7}\""));
		buf_fini(&r.body);
		answer_fini(&a);
	}
}

static void test_cap_shortens(void **state)
{
	struct answer_ask ask = ask_of(ANSWER_CHAT, true);
	struct answer a;
	struct reading r;

	ask.cap = 3;
	answer_init(&a);
	assert_int_equal(make(&a, &ask, "sim?tokens=100"), ERRC_OK);
	r = read_wire(&a);
	assert_int_equal(a.output, 3);
	assert_true(has(&r, "\"finish_reason\":\"length\""));
	buf_fini(&r.body);
	answer_fini(&a);
}

/* The count at a mark is what a client that got the bytes before it has seen. */
static void test_marks_count_what_was_sent(void **state)
{
	for (int stream_api = 0; stream_api < 2; stream_api++) {
		struct answer_ask ask = ask_of(stream_api ? ANSWER_MESSAGES : ANSWER_CHAT, true);
		struct answer a;
		size_t before = 0;

		answer_init(&a);
		assert_int_equal(make(&a, &ask, "sim?tokens=50&rate=100"), ERRC_OK);
		for (size_t i = 0; i < a.marks_n; i++) {
			assert_true(a.marks[i].at >= before && a.marks[i].at <= a.wire.len);
			before = a.marks[i].at;
		}
		assert_int_equal(a.marks[a.marks_n - 1].tokens, 50);
		assert_int_equal(a.marks[a.marks_n - 1].events, 50);
		answer_fini(&a);
	}
}

static void check_fault(enum answer_api api, bool stream, enum script_fault kind, const char *word)
{
	struct answer_ask ask = ask_of(api, stream);
	struct answer a;
	struct reading r;
	char model[80];
	/* These give a reader an end that looks proper; what is wrong stands inside. */
	static const bool proper[SCRIPT_FAULT_COUNT] = {
		[SCRIPT_GARBAGE] = true,   [SCRIPT_DUP_FINISH] = true,  [SCRIPT_BIG_FRAME] = true,
		[SCRIPT_TRAILING] = true,  [SCRIPT_REDIRECT] = true,    [SCRIPT_HTML] = true,
		[SCRIPT_EMPTY] = true,     [SCRIPT_ERROR_ITEM] = true,  [SCRIPT_ENDLESS] = true,
		[SCRIPT_BAD_CHUNK] = true, [SCRIPT_SHORT_LENGTH] = true};

	snprintf(model, sizeof(model), "sim?tokens=4&fault=%s@2", word);
	answer_init(&a);
	assert_int_equal(make(&a, &ask, model), ERRC_OK);
	if (kind == SCRIPT_BIG_FRAME) {
		assert_true(!stream || a.wire.len > ((size_t)64 << 20));
	} else {
		r = read_wire(&a);
		if (!proper[kind] && (stream || kind != SCRIPT_DUP_FINISH))
			assert_true(!r.done || kind == SCRIPT_LONG_LENGTH);
		assert_true(kind == SCRIPT_NOISE || kind == SCRIPT_TWO_LENGTHS ||
			    kind == SCRIPT_BIG_HEAD || kind == SCRIPT_BAD_CHUNK || !r.bad);
		buf_fini(&r.body);
	}
	answer_fini(&a);
}

static void test_every_fault_ends_as_it_says(void **state)
{
	static const char *const words[] = {
#define SCRIPT_FAULT(id, word, text) word,
#include "script_fault_tbl.h"
#undef SCRIPT_FAULT
	};

	for (size_t i = 1; i < ARRAY_LEN(words); i++) {
		for (int stream = 0; stream < 2; stream++) {
			check_fault(ANSWER_CHAT, stream, (enum script_fault)i, words[i]);
			check_fault(ANSWER_MESSAGES, stream, (enum script_fault)i, words[i]);
		}
	}
}

static void test_out_of_memory(void **state)
{
	struct answer_ask ask = ask_of(ANSWER_CHAT, true);
	enum errc e = ERRC_NOMEM;

	for (unsigned n = 1; e == ERRC_NOMEM; n++) {
		struct answer a;

		answer_init(&a);
		mem_fail_after(n);
		e = make(&a, &ask, "sim?tokens=100");
		mem_fail_after(0);
		answer_fini(&a);
	}
	assert_int_equal(e, ERRC_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proper_answers_are_whole),
		cmocka_unit_test(test_given_text_is_the_content),
		cmocka_unit_test(test_cap_shortens),
		cmocka_unit_test(test_marks_count_what_was_sent),
		cmocka_unit_test(test_every_fault_ends_as_it_says),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
