/* Pass-through of whole answers: only the usage changes. Fed at every split point, kept and flowing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "mem.h"
#include "openai_dec.h"
#include "rig.h"

#define HEAD                                                                               \
	"{\"id\":\"c1\",\"model\":\"up\",\"choices\":[{\"index\":0,\"message\":{\"role\":" \
	"\"assistant\",\"content\":\"Hi }\\\"\"},\"finish_reason\":\"stop\"}]"
#define COUNTS                                                                                    \
	"{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5,\"cost\":1,\"is_byok\":" \
	"false}"
#define COSTED \
	"{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5,\"cost\":0.00000005}"
#define ESTIMATED                                                                           \
	"{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12,\"prompt_tokens_" \
	"details\":{\"cached_tokens\":0},"                                                  \
	"\"completion_tokens_details\":{\"reasoning_tokens\":0},\"cost\":0.00000012}"

static void check(const char *in, const char *want)
{
	size_t len = strlen(in);

	for (unsigned split = 0; split <= len; split++) {
		struct rig r;

		rig_init(&r, PTABLE_OPENAI);
		r.split = split;
		assert_int_equal(rig_answer(&r, slice_of(in, len), false), ERRC_OK);
		assert_true(r.ended);
		if (r.out.len != strlen(want) || memcmp(r.out.p, want, r.out.len))
			print_error("split %u: " SLICE_FMT "\n", split,
				    SLICE_ARG(buf_slice(&r.out)));
		assert_int_equal(r.out.len, strlen(want));
		assert_memory_equal(r.out.p, want, r.out.len);
		rig_fini(&r);
	}
}

static void only_usage_changes(void **state)
{
	check(HEAD ",\"usage\":" COUNTS ",\"z\":[1]}", HEAD ",\"usage\":" COSTED ",\"z\":[1]}");
	check("\n\n " HEAD ", \"usage\" : " COUNTS " }\n", HEAD ", \"usage\" : " COSTED " }");
}

static void missing_usage_is_the_estimate(void **state)
{
	check(HEAD "}", HEAD ",\"usage\":" ESTIMATED "}");
	check(HEAD ",\"usage\":null}", HEAD ",\"usage\":" ESTIMATED "}");
	check(HEAD ",\"usage\":{},\"z\":1}", HEAD ",\"usage\":" ESTIMATED ",\"z\":1}");
}

static void what_the_answer_holds(void **state)
{
	struct rig r;

	rig_init(&r, PTABLE_OPENAI);
	assert_int_equal(rig_answer(&r, slice_str(HEAD ",\"usage\":" COUNTS "}"), false), ERRC_OK);
	assert_int_equal(r.finish, IR_FIN_STOP);
	assert_int_equal(r.content_bytes, 5);
	assert_int_equal(usage_output_total(&r.usage), 2);
	rig_fini(&r);
}

struct bad_whole {
	const char *in, *message;
	int status;
};

static void answers_that_are_none(void **state)
{
	static const struct bad_whole cases[] = {
		{HEAD, "cut", 502},
		{"", "cut", 502},
		{"<html>busy</html>", "cut", 502},
		{"{\"id\":\"x\"}", "choices", 502},
		{HEAD ",\"usage\":" COUNTS ",\"usage\":" COUNTS "}", "not readable", 502},
		{HEAD ",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\" 2}}", "not readable",
		 502},
		{"{\"error\":{\"message\":\"overloaded\",\"code\":529}}", "overloaded", 503},
		{"{\"base_resp\":{\"status_code\":1008,\"status_msg\":\"insufficient balance\"}}",
		 "account", 502},
		{HEAD ",\"error\":{\"message\":\"flagged\",\"code\":\"content_filter\"}}",
		 "flagged", 400},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig r;

		rig_init(&r, PTABLE_OPENAI);
		r.split = 3;
		assert_int_equal(rig_answer(&r, slice_str(cases[i].in), false), ERRC_OK);
		assert_true(r.failed);
		if (!strstr(fault_message(&r.fault), cases[i].message))
			print_error("case %zu: %s\n", i, fault_message(&r.fault));
		assert_non_null(strstr(fault_message(&r.fault), cases[i].message));
		assert_int_equal(fault_status(&r.fault), cases[i].status);
		rig_fini(&r);
	}
}

/* What was used until then is told with it. */
static void usage_of_an_answer_that_fails(void **state)
{
	static const char *const cases[] = {
		"{\"choices\":[{\"message\":{\"content\":\"Hi\"},\"finish_reason\":"
		"\"insufficient_system_resource\"}],\"usage\":" COUNTS "}",
		HEAD ",\"usage\":" COUNTS ",\"error\":{\"message\":\"flagged\"}}",
		"{\"error\":{\"message\":\"overloaded\",\"code\":529},\"usage\":" COUNTS "}",
		"{\"id\":\"x\",\"usage\":" COUNTS "}",
	};

	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		struct rig r;

		rig_init(&r, PTABLE_OPENAI);
		r.long_answer = i % 2;
		assert_int_equal(rig_answer(&r, slice_str(cases[i / 2]), false), ERRC_OK);
		assert_true(r.failed && r.has_usage);
		assert_int_equal(usage_get(&r.usage, USAGE_OUTPUT), 2);
		rig_fini(&r);
	}
}

/* An answer above the limit flows by: the same bytes come out, in pieces. */
static void long_answers_flow(void **state)
{
	const char *in = HEAD ",\"usage\":" COUNTS ",\"z\":[\"usage\"]}",
		   *want = HEAD ",\"usage\":" COSTED ",\"z\":[\"usage\"]}";
	size_t len = strlen(in);

	for (unsigned step = 1; step < len; step++) {
		struct rig r;
		struct openai_dec d;
		struct ir_event ev;
		void *enc;
		struct dialect_dec_opts o = {.whole_bytes = 60, .raw = true};
		struct dialect_enc_opts c = {0};

		rig_init(&r, PTABLE_OPENAI);
		o.facts = c.facts = &r.facts;
		o.provider = &r.provider;
		c.env = &r.env;
		enc = mem_new(r.front->enc_size);
		assert_non_null(enc);
		r.back->dec_init(&d, &o);
		r.front->enc_init(enc, &c);
		for (size_t at = 0; at <= len; at += step) {
			int got;

			if (at + step > len) {
				assert_int_equal(r.back->dec_push(&d, slice_of(in + at, len - at)),
						 ERRC_OK);
				assert_int_equal(r.back->dec_finish(&d), ERRC_OK);
			} else {
				assert_int_equal(r.back->dec_push(&d, slice_of(in + at, step)),
						 ERRC_OK);
			}
			while ((got = r.back->dec_next(&d, &ev)) > 0)
				assert_int_equal(r.front->enc_event(enc, &ev, &r.out), ERRC_OK);
			assert_int_equal(got, 0);
		}
		if (step < 60)
			assert_int_equal(d.mode, OPENAI_DEC_LONG);
		assert_int_equal(r.out.len, strlen(want));
		assert_memory_equal(r.out.p, want, r.out.len);
		r.back->dec_fini(&d);
		r.front->enc_fini(enc);
		mem_free(enc);
		rig_fini(&r);
	}
}

/* Usage waits for the end of its answer, but not behind any length of it. */
static void usage_before_a_long_rest(void **state)
{
	char in[40000], want[40000];
	struct rig r;

	for (int n = 16300; n < 16500; n += 50) {
		snprintf(in, sizeof(in), "{\"usage\":" COUNTS ",\"z\":\"%0*d\",%s}", n, 0, HEAD + 1);
		snprintf(want, sizeof(want), "{\"usage\":" COSTED ",\"z\":\"%0*d\",%s}", n, 0,
			 HEAD + 1);
		rig_init(&r, PTABLE_OPENAI);
		assert_int_equal(rig_answer(&r, slice_str(in), false), ERRC_OK);
		assert_int_equal(r.out.len, strlen(want));
		assert_memory_equal(r.out.p, want, r.out.len);
		rig_fini(&r);
	}
}

/* Of a long answer nobody checks the text but who writes its usage: before the end, for that is charged. */
static void usage_that_cannot_be_written(void **state)
{
	struct rig r;

	rig_init(&r, PTABLE_OPENAI);
	r.long_answer = true;
	assert_int_equal(
		rig_answer(
			&r,
			SLICE_LIT(HEAD ",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\" 2}}"),
			false),
		ERRC_SYNTAX);
	assert_false(r.ended);
	rig_fini(&r);
}

/* Whether the text goes through in pieces of `step` bytes. */
static enum errc cut_through(struct slice text, size_t step)
{
	struct json_cut cut;
	enum errc e = ERRC_OK;

	json_cut_init(&cut);
	for (size_t at = 0; !e && at < text.n; at += step) {
		struct slice in = slice_sub(text, at, step), out;
		enum json_cut_kind kind;

		do
			e = json_cut_next(&cut, &in, &kind, &out);
		while (!e && (in.n || kind != JSON_CUT_NONE));
	}
	json_cut_fini(&cut);
	return e;
}

static void long_answers_have_one_usage(void **state)
{
	const struct slice
		one = SLICE_LIT(
			"{\"a\":{\"usage\":1},\"usage\": {\"usage\":[1]} , \"z\":\"usage\"}"),
		two = SLICE_LIT("{\"usage\":{},\"a\":[1],\"usage\": {}}");

	for (size_t step = 1; step <= one.n; step++) {
		assert_int_equal(cut_through(one, step), ERRC_OK);
		assert_int_equal(cut_through(two, step), ERRC_SYNTAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_usage_changes),
		cmocka_unit_test(missing_usage_is_the_estimate),
		cmocka_unit_test(what_the_answer_holds),
		cmocka_unit_test(answers_that_are_none),
		cmocka_unit_test(usage_of_an_answer_that_fails),
		cmocka_unit_test(long_answers_flow),
		cmocka_unit_test(usage_before_a_long_rest),
		cmocka_unit_test(usage_that_cannot_be_written),
		cmocka_unit_test(long_answers_have_one_usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
