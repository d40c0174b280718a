/* Pass-through of chat streams under contract A4, fed at every split point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "mem.h"
#include "rig.h"

#define HEAD                                                                                  \
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":5,\"model\":\"up\"," \
	"\"choices\":"
#define ROLE                                                                               \
	"data: " HEAD "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}," \
	"\"finish_reason\":null}]}\n\n"
#define HI \
	"data: " HEAD "[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n"
#define FIN    HEAD "[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]"
#define STOP   "data: " FIN "}\n\n"
#define COUNTS "{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}"
#define COSTED \
	"{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5,\"cost\":0.00000005}"
#define ESTIMATED                                                                           \
	"{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12,\"prompt_tokens_" \
	"details\":{\"cached_tokens\":0},"                                                  \
	"\"completion_tokens_details\":{\"reasoning_tokens\":0},\"cost\":0.00000012}"
#define USAGE_ITEM "data: " HEAD "[],\"usage\":" COUNTS "}\n\n"
#define DONE       "data: [DONE]\n\n"

static void same(struct rig *r, const char *want)
{
	if (r->out.len != strlen(want) || memcmp(r->out.p, want, r->out.len))
		print_error("got:  " SLICE_FMT "\nwant: %s\n", SLICE_ARG(buf_slice(&r->out)), want);
	assert_int_equal(r->out.len, strlen(want));
	assert_memory_equal(r->out.p, want, r->out.len);
}

/* The same bytes come out wherever the input is cut. */
static void check_n(const char *in, bool asked, int64_t n, const char *want)
{
	size_t len = strlen(in);

	for (unsigned split = 0; split <= len; split += split < 40 ? 1 : 17) {
		struct rig r;

		rig_init(&r, PTABLE_OPENAI);
		r.facts.include_usage = asked;
		r.facts.stream = true;
		r.facts.n = n;
		r.split = split;
		assert_int_equal(rig_answer(&r, slice_of(in, len), true), ERRC_OK);
		same(&r, want);
		rig_fini(&r);
	}
}

static void check(const char *in, bool asked, const char *want)
{
	check_n(in, asked, 1, want);
}

static void usage_not_asked_goes_into_the_finish_item(void **state)
{
	check(ROLE HI STOP USAGE_ITEM DONE, false,
	      ROLE HI "data: " FIN ",\"usage\":" COSTED "}\n\n" DONE);
}

static void usage_asked_is_an_item_of_its_own(void **state)
{
	check(ROLE HI STOP USAGE_ITEM DONE, true,
	      ROLE HI STOP "data: " HEAD "[],\"usage\":" COSTED "}\n\n" DONE);
}

static void usage_in_the_finish_item(void **state)
{
	check(ROLE HI "data: " FIN ",\"usage\":" COUNTS "}\n\n" DONE, false,
	      ROLE HI "data: " FIN ",\"usage\":" COSTED "}\n\n" DONE);
	check(ROLE HI "data: " FIN ",\"usage\":" COUNTS "}\n\n" DONE, true,
	      ROLE HI STOP "data: " HEAD "[],\"usage\":" COSTED "}\n\n" DONE);
}

static void usage_missing_is_the_estimate(void **state)
{
	check(ROLE HI STOP DONE, false, ROLE HI "data: " FIN ",\"usage\":" ESTIMATED "}\n\n" DONE);
	check(ROLE HI STOP DONE, true,
	      ROLE HI STOP "data: " HEAD "[],\"usage\":" ESTIMATED "}\n\n" DONE);
}

static void usage_late_goes_last(void **state)
{
	struct rig r;
	const char *in = ROLE HI STOP USAGE_ITEM DONE;

	rig_init(&r, PTABLE_OPENAI);
	r.split = strlen(ROLE HI STOP);
	r.flush_each = true;
	assert_int_equal(rig_answer(&r, slice_str(in), true), ERRC_OK);
	same(&r, ROLE HI STOP
	     "data: " HEAD "[{\"index\":0,\"delta\":{},\"finish_reason\":null}],\"usage\":" COSTED
	     "}\n\n" DONE);
	rig_fini(&r);
}

static void usage_of_many_choices_goes_last(void **state)
{
	check_n(ROLE HI STOP USAGE_ITEM DONE, false, 2,
		ROLE HI STOP "data: " HEAD
			     "[{\"index\":0,\"delta\":{},\"finish_reason\":null}],\"usage\":" COSTED
			     "}\n\n" DONE);
}

static void usage_in_every_item_is_given_once(void **state)
{
	const char *u = ",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1,\"total_tokens\":"
			"4,\"cost\":{\"a\":1}}";
	char in[2048];

	snprintf(in, sizeof(in),
		 "data: " HEAD
		 "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"a\"}}]%s}\r\n\r\n"
		 "data: " HEAD
		 "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"b\"}}]%s}\r\n\r\n"
		 "data: " FIN ",\"usage\":" COUNTS "}\r\n\r\n",
		 u, u);
	check(in, false,
	      "data: " HEAD
	      "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"a\"}}]}\n\n"
	      "data: " HEAD "[{\"index\":0,\"delta\":{\"content\":\"b\"}}]}\n\n"
	      "data: " FIN ",\"usage\":" COSTED "}\n\n" DONE);
}

static void usage_of_groq_and_moonshot(void **state)
{
	check(HI "data: " FIN ",\"x_groq\":{\"id\":\"r\",\"usage\":" COUNTS "}}\n\n" DONE, false,
	      HI "data: " FIN ",\"x_groq\":{\"id\":\"r\"},\"usage\":" COSTED "}\n\n" DONE);
	check(HI "data: " HEAD
		 "[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\",\"usage\":" COUNTS
		 "}]}\n\n" DONE,
	      false, HI "data: " FIN ",\"usage\":" COSTED "}\n\n" DONE);
}

static void finish_given_twice_is_thinned(void **state)
{
	check(HI STOP STOP USAGE_ITEM DONE, false,
	      HI STOP "data: " HEAD
		      "[{\"index\":0,\"delta\":{},\"finish_reason\":null}],\"usage\":" COSTED
		      "}\n\n" DONE);
	check(HI STOP STOP USAGE_ITEM DONE, true,
	      HI STOP "data: " HEAD "[{\"index\":0,\"delta\":{},\"finish_reason\":null}]}\n\n"
		      "data: " HEAD "[],\"usage\":" COSTED "}\n\n" DONE);
}

static void empty_choices_are_filled_when_usage_was_not_asked(void **state)
{
	const char *first = "data: {\"choices\":[],\"id\":\"\",\"prompt_filter_results\":[1]}\n\n";
	char in[2048], want[2048];

	snprintf(in, sizeof(in), "%s" HI STOP USAGE_ITEM DONE, first);
	snprintf(want, sizeof(want), "%s" HI STOP "data: " HEAD "[],\"usage\":" COSTED "}\n\n" DONE,
		 first);
	check(in, true, want);
	snprintf(want, sizeof(want),
		 "data: "
		 "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":null}],\"id\":\"\","
		 "\"prompt_filter_results\":[1]}\n\n" HI "data: " FIN ",\"usage\":" COSTED
		 "}\n\n" DONE);
	check(in, false, want);
}

static void delta_is_added_where_it_lacks(void **state)
{
	check(HI
	      "data: " HEAD
	      "[{\"index\":0,\"content_filter_offsets\":1,\"finish_reason\":null}]}\n\n" STOP DONE,
	      true,
	      HI "data: " HEAD "[{\"index\":0,\"content_filter_offsets\":1,\"finish_reason\":null,"
		 "\"delta\":{}}]}\n\n" STOP "data: " HEAD "[],\"usage\":" ESTIMATED "}\n\n" DONE);
}

static void items_without_choices_are_left_out_and_counted(void **state)
{
	struct rig r;

	rig_init(&r, PTABLE_OPENAI);
	r.facts.include_usage = true;
	assert_int_equal(rig_answer(&r,
				    slice_str(HI "data: {\"id\":\"\",\"choices\":null}\n\n"
						 ": ping\n\ndata:\n\n" STOP USAGE_ITEM DONE),
				    true),
			 ERRC_OK);
	assert_int_equal(r.bad, 1);
	same(&r, HI STOP "data: " HEAD "[],\"usage\":" COSTED "}\n\n" DONE);
	rig_fini(&r);
}

/* The answer is whole by then; nothing behind its finish can be missing from it. */
static void what_cannot_be_read_behind_the_finish_is_left_out(void **state)
{
	struct rig r;

	rig_init(&r, PTABLE_OPENAI);
	r.facts.include_usage = true;
	assert_int_equal(
		rig_answer(&r, slice_str(HI STOP "data: nonsense\n\n" USAGE_ITEM DONE), true),
		ERRC_OK);
	assert_int_equal(r.bad, 1);
	same(&r, HI STOP "data: " HEAD "[],\"usage\":" COSTED "}\n\n" DONE);
	rig_fini(&r);
}

#define OF(choice, delta, finish)                                                            \
	"data: " HEAD "[{\"index\":" choice ",\"delta\":" delta ",\"finish_reason\":" finish \
	"}]}\n\n"
#define SAYS "{\"content\":\"x\"}"
#define ENDS "\"stop\""

/* Every choice that has begun must come to its finish (contract A4). */
static void each_choice_must_finish(void **state)
{
	static const struct {
		const char *in;
		bool fails;
	} cases[] = {
		{OF("0", SAYS, "null") OF("1", SAYS, "null") OF("0", "{}", ENDS) DONE, true},
		{OF("0", SAYS, "null") OF("1", SAYS, "null") OF("0", "{}", ENDS), true},
		{OF("0", SAYS, "null") OF("127", SAYS, "null") OF("0", "{}", ENDS) DONE, true},
		{OF("0", SAYS, "null") OF("1", SAYS, "null") OF("1", "{}", ENDS) OF("0", "{}", ENDS)
			 DONE,
		 false},
		/* a provider that makes only one answer, one that says more behind its finish */
		{OF("0", SAYS, "null") OF("0", "{}", ENDS) DONE, false},
		{OF("0", SAYS, ENDS) OF("0", SAYS, "null") DONE, false},
		/* several choices in one item are taken at the provider's word */
		{OF("0", SAYS, "null")
			 OF("1", SAYS, "null") "data: " HEAD
					       "[{\"index\":0,\"delta\":{},\"finish_reason\":"
					       "\"stop\"},{\"index\":1,\"delta\":{},"
					       "\"finish_reason\":\"stop\"}]}\n\n" DONE,
		 false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig r;

		rig_init(&r, PTABLE_OPENAI);
		r.facts.n = r.facts.copies = 2;
		assert_int_equal(rig_answer(&r, slice_str(cases[i].in), true), ERRC_OK);
		if (r.failed != cases[i].fails)
			fail_msg("case %zu: %s", i, fault_message(&r.fault));
		rig_fini(&r);
	}
}

static void what_cannot_be_read_of_another_choice_is_an_error(void **state)
{
	struct rig r;

	rig_init(&r, PTABLE_OPENAI);
	r.facts.n = r.facts.copies = 2;
	assert_int_equal(rig_answer(&r, slice_str(HI STOP "data: nonsense\n\n" DONE), true),
			 ERRC_OK);
	assert_true(r.failed);
	assert_non_null(strstr(fault_message(&r.fault), "cannot be read"));
	rig_fini(&r);
}

struct bad_end {
	const char *in;
	const char *message; /* a part of it */
	int status;
	bool final;
};

static void streams_that_fail_end_with_an_error(void **state)
{
	static const struct bad_end cases[] = {
		{HI, "ended before", 502, false},
		{HI DONE, "ended before", 502, false},
		{"", "ended before", 502, false},
		{DONE, "ended before", 502, false},
		{HI "data: {\"choices\":[{\"del", "ended before", 502, false},
		{HI "data: {\"error\":{\"message\":\"boom\",\"type\":\"server_error\"}}\n\n" DONE,
		 "failed", 502, false},
		{HI "event: error\ndata: {\"error\":{\"message\":\"bad "
		    "tool\",\"type\":\"invalid_request_error\",\"status_code\":400}}\n\n",
		 "bad tool", 400, true},
		{HI STOP "data: " HEAD "[{\"index\":0,\"delta\":{},\"finish_reason\":\"error\"}],"
			 "\"error\":{\"code\":429,\"message\":\"slow\"}}\n\n" DONE,
		 "limits", 429, false},
		{HI "data: " HEAD
		    "[{\"index\":0,\"delta\":{},\"finish_reason\":\"error\"}]}\n\n" DONE,
		 "with an error", 502, false},
		{"{\"error\":{\"message\":\"too long\",\"code\":\"context_length_exceeded\"}}",
		 "too long", 400, true},
		{"<html>", "ended before", 502, false},
		{HI "data: nonsense\n\n" HI STOP DONE, "cannot be read", 502, false},
		{HI "data: {\"choices\":[{\"delta\":{\"content\":\"x\n\n" STOP DONE,
		 "cannot be read", 502, false},
		{"data: nonsense\n\n" HI STOP DONE, "cannot be read", 502, false},
		{HI "data: " HEAD "[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,"
		    "\"function\" {\"name\":\"f\"}}]},\"finish_reason\":null}]}\n\n" STOP DONE,
		 "cannot be read", 502, false},
		{HI "data: " FIN
		    ",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\" 2}}\n\n" DONE,
		 "cannot be read", 502, false},
		{HI "data: " HEAD "[{\"index\":0,\"delta\":{\"content\":\"\xc3(\"},"
		    "\"finish_reason\":null}]}\n\n" STOP DONE,
		 "cannot be read", 502, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (unsigned split = 0; split <= strlen(cases[i].in); split++) {
			struct rig r;

			rig_init(&r, PTABLE_OPENAI);
			r.split = split;
			assert_int_equal(rig_answer(&r, slice_str(cases[i].in), true), ERRC_OK);
			assert_true(r.failed);
			assert_false(r.ended);
			if (!strstr(fault_message(&r.fault), cases[i].message))
				print_error("case %zu: %s\n", i, fault_message(&r.fault));
			assert_non_null(strstr(fault_message(&r.fault), cases[i].message));
			assert_int_equal(fault_status(&r.fault), cases[i].status);
			assert_int_equal(r.verdict.final, cases[i].final);
			rig_fini(&r);
		}
	}
}

#define FAILED(word) "data: " HEAD "[{\"index\":0,\"delta\":{},\"finish_reason\":\"" word "\"}]"
#define SPENT        ",\"usage\":{\"prompt_tokens\":9000,\"completion_tokens\":700}"
#define ZEROS        ",\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0}"

/* What was used until then is told with it; zeros take nothing back. */
static void usage_of_an_item_that_fails(void **state)
{
	static const struct {
		const char *in;
		int64_t output; /* -1: no usage */
	} cases[] = {
		{HI FAILED("insufficient_system_resource") SPENT "}\n\n" DONE, 700},
		{FAILED("error") SPENT "}\n\n" DONE, 700},
		{HI "data: {\"error\":{\"message\":\"boom\",\"code\":500},\"choices\":[]" SPENT
		    "}\n\n",
		 700},
		{HI "event: error\ndata: {\"message\":\"boom\"" SPENT "}\n\n", 700},
		{"{\"error\":{\"message\":\"boom\"}" SPENT "}", 700},
		{"{\"choices\":[{\"message\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}"
		 "]" SPENT "}",
		 700},
		{HI FAILED("error") "}\n\n" DONE, -1},
		{HI FAILED("error") ZEROS "}\n\n" DONE, -1},
		{HI USAGE_ITEM FAILED("error") ZEROS "}\n\n" DONE, 2},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig r;

		rig_init(&r, PTABLE_OPENAI);
		assert_int_equal(rig_answer(&r, slice_str(cases[i].in), true), ERRC_OK);
		assert_true(r.failed);
		assert_int_equal(r.has_usage ? usage_get(&r.usage, USAGE_OUTPUT) : -1,
				 cases[i].output);
		rig_fini(&r);
	}
}

static void a_stream_may_end_without_done(void **state)
{
	check(HI STOP USAGE_ITEM, true, HI STOP "data: " HEAD "[],\"usage\":" COSTED "}\n\n" DONE);
	check(HI STOP "data: [DONE]", true,
	      HI STOP "data: " HEAD "[],\"usage\":" ESTIMATED "}\n\n" DONE);
	check(HI STOP DONE "trailing\n\nbytes\n\n", true,
	      HI STOP "data: " HEAD "[],\"usage\":" ESTIMATED "}\n\n" DONE);
}

static void content_is_counted(void **state)
{
	struct rig r;

	rig_init(&r, PTABLE_OPENAI);
	assert_int_equal(
		rig_answer(
			&r,
			slice_str(
				ROLE HI
				"data: " HEAD "[{\"index\":0,\"delta\":{\"reasoning\":\"abc\","
				"\"reasoning_content\":\"abc\"}}]}\n\n"
				"data: " HEAD
				"[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,"
				"\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n" STOP
					USAGE_ITEM DONE),
			true),
		ERRC_OK);
	assert_int_equal(r.content_bytes, 2 + 3 + 3);
	assert_int_equal(r.reasoning_bytes, 3);
	assert_int_equal(r.commits, 3);
	assert_int_equal(r.finish, IR_FIN_STOP);
	assert_int_equal(usage_input_total(&r.usage), 3);
	rig_fini(&r);
}

#define THINKS(text) \
	"{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"" text "\"}]}"
#define DETAIL(type, member) \
	"{\"type\":\"reasoning." type "\"," member ",\"id\":\"rs_0123456789\",\"format\":\"v1\"}"
#define CALLS(arguments)                                                                  \
	"{\"tool_calls\":[{\"index\":0,\"id\":\"call_0123456789\",\"type\":\"function\"," \
	"\"function\":{\"name\":\"\\u0066\",\"arguments\":" arguments "}}]}"

static const struct {
	const char *delta;
	uint64_t bytes, reasoning;
} said[] = {
	{"{\"content\":\"\\u044f \\u0434\\u0443\"}", 7, 0},
	{"{\"content\":\"\xd1\x8f \xd0\xb4\xd1\x83\"}", 7, 0},
	{"{\"content\":\"\\ud83d\\ude00\\n\\\"\"}", 6, 0},
	{"{\"refusal\":\"\\u4e2d\"}", 3, 0},
	{"{\"reasoning_content\":\"\\u00e9\"}", 2, 2},
	{"{\"content\":12}", 0, 0},
	{CALLS("\"{\\\"\\u00e9\\\":1}\""), 1 + 8, 0},
	{CALLS("{\"\\u00e9\":1}"), 1 + 8, 0},
	{CALLS("null"), 1, 0},
	/* calls without the object of a function */
	{"{\"tool_calls\":[{\"id\":\"call_0123456789\",\"name\":\"f\",\"arguments\":\"abc\"}]}", 4,
	 0},
	{"{\"tool_calls\":[{\"type\":\"mcp\",\"mcp\":{\"name\":\"f\",\"arguments\":\"abc\"}}]}", 4,
	 0},
	{"{\"tool_calls\":[{\"name\":\"f\",\"a\":{\"x\":1},\"b\":{\"input\":\"abc\"},\"c\":{"
	 "\"input\":\"abc\"}}]}",
	 4, 0},
	{"{\"tool_calls\":[{\"function\":null,\"mcp\":{\"arguments\":{\"a\":1}}}]}", 7, 0},
	{"{\"tool_calls\":[{\"type\":\"mcp\",\"mcp\":{\"server\":\"abc\"}},\"abc\",null,[]]}", 0, 0},
	/* Mistral */
	{"{\"content\":[" THINKS("abc") "]}", 3, 3},
	{"{\"content\":[" THINKS("a\\u00e9") ",{\"type\":\"text\",\"text\":\"wxyz\"}]}", 7, 3},
	{"{\"content\":[{\"type\":\"thinking\",\"thinking\":\"ab\"},\"c\"]}", 3, 2},
	{"{\"content\":[{\"type\":\"reference\",\"reference_ids\":[1,2]}]}", 0, 0},
	{"{\"content\":[{\"type\":\"text\",\"text\":\"a\",\"x\":{\"text\":\"b\"}}]}", 1, 0},
	/* OpenRouter */
	{"{\"content\":\"\",\"reasoning_details\":[" DETAIL("text", "\"text\":\"abcde\"") "]}", 5,
	 5},
	{"{\"reasoning_details\":[" DETAIL("summary", "\"summary\":\"abc\"") "," DETAIL(
		 "encrypted", "\"data\":\"AAAAAAAAAAAAAAAA\"") "]}",
	 3, 3},
	{"{\"reasoning_details\":[" DETAIL("encrypted", "\"data\":\"AAAAAAAAAAAAAAAA\"") "]}", 0, 0},
	{"{\"reasoning\":null,\"reasoning_details\":[" DETAIL(
		 "text", "\"signature\":\"AAAAAAAAAAAAAAAA\"") "]}",
	 0, 0},
	/* the same under several names */
	{"{\"reasoning\":\"abc\",\"reasoning_details\":[" DETAIL("text", "\"text\":\"abc\"") "]}",
	 3, 3},
	{"{\"reasoning\":\"abc\",\"reasoning_details\":[" DETAIL(
		 "text", "\"signature\":\"AA\"") "],\"reasoning_content\":\"abc\"}",
	 3, 3},
	{"{\"thinking\":\"abc\"}", 3, 3},
	{"{\"thinking\":\"abc\",\"reasoning_content\":\"abc\"}", 3, 3},
	/* the old form of a call */
	{"{\"function_call\":{\"name\":\"\\u0066\",\"arguments\":\"{\\\"a\\\":1}\"}}", 1 + 7, 0},
	{"{\"function_call\":{\"arguments\":{\"a\":1}}}", 7, 0},
	/* members that nobody knows, and what is no text */
	{"{\"tool_plan\":\"a\\u00e9\"}", 3, 0},
	{"{\"cont\\u0065nt\":\"ab c\"}", 4, 0},
	{"{\"phase\":\"final_answer\",\"content\":\"ab\"}", 2, 0}, /* a label */
	{"{\"other\":\"abcdefghijklmnopqrstuvwxyz0123456\"}", 33, 0},
	{"{\"other\":{\"text\":\"abc\"}}", 0, 0},
	/* beside what we know they are a copy, or all that was said so far */
	{"{\"content\":\"wordy \",\"token\":\"word \"}", 6, 0},
	{"{\"full_content\":\"ab cd ef\",\"content\":\"ef\"}", 2, 0},
	{"{\"content\":\"\",\"text\":\"ab c\"}", 4, 0},
	{"{\"refusal\":\"ab c\",\"other\":\"ab c\"}", 4, 0},
	{"{\"reasoning\":\"abc\",\"thought\":\"abc d\"}", 3, 3},
	{"{\"content\":[" THINKS("abc") "],\"thought\":\"abc d\"}", 3, 3},
	{"{\"function_call\":{\"arguments\":\"abc\"},\"other\":\"ab c\"}", 3, 0},
	{"{\"audio\":{\"data\":\"AAAA\"},\"other\":\"ab c\"}", 0, 0},
	{"{\"images\":[{}],\"other\":\"ab c\"}", 4, 0},
	{"{\"id\":\"abc\",\"type\":\"abc\",\"object\":\"abc\",\"tool_call_id\":\"abc\","
	 "\"finish_reason\":\"abc\",\"thought_signature\":\"abc\",\"encrypted_content\":"
	 "\"abc"
	 "\",\"obfuscation\":\"abc\",\"model\":\"abc\"}",
	 0, 0},
	/* deeper than any server goes */
	{"{\"content\":[[[[[[[\"abc\"]]]]]]]}", 3, 0},
	{"{\"content\":[[[[[[[[\"abc\"]]]]]]]]}", 0, 0},
};

/* What is said counts, however it is written; not its frame, and nothing that is no text. */
static void what_is_said_is_counted(void **state)
{
	struct buf answer;
	struct rig r;

	buf_init(&answer, 4096);
	for (size_t i = 0; i < ARRAY_LEN(said); i++) {
		rig_init(&r, PTABLE_OPENAI);
		buf_reset(&answer);
		assert_int_equal(buf_addf(&answer,
					  "data: " HEAD
					  "[{\"index\":0,\"delta\":%s}]}\n\n" STOP USAGE_ITEM DONE,
					  said[i].delta),
				 ERRC_OK);
		assert_int_equal(rig_answer(&r, buf_slice(&answer), true), ERRC_OK);
		if (r.content_bytes != said[i].bytes || r.reasoning_bytes != said[i].reasoning)
			fail_msg("%s: %u, %u", said[i].delta, (unsigned)r.content_bytes,
				 (unsigned)r.reasoning_bytes);
		assert_int_equal(r.commits, 1);
		rig_fini(&r);
	}
	buf_fini(&answer);
}

static void memory_that_fails_is_reported(void **state)
{
	const char *in = ROLE HI STOP USAGE_ITEM DONE;
	unsigned n = 0;
	enum errc e;

	do {
		struct rig r;

		rig_init(&r, PTABLE_OPENAI);
		r.split = 50;
		mem_fail_after(++n);
		e = rig_answer(&r, slice_str(in), true);
		mem_fail_after(0);
		if (e)
			assert_int_equal(e, ERRC_NOMEM);
		else
			same(&r, ROLE HI "data: " FIN ",\"usage\":" COSTED "}\n\n" DONE);
		rig_fini(&r);
	} while (e);
	assert_true(n > 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usage_not_asked_goes_into_the_finish_item),
		cmocka_unit_test(usage_asked_is_an_item_of_its_own),
		cmocka_unit_test(usage_in_the_finish_item),
		cmocka_unit_test(usage_missing_is_the_estimate),
		cmocka_unit_test(usage_late_goes_last),
		cmocka_unit_test(usage_of_many_choices_goes_last),
		cmocka_unit_test(usage_in_every_item_is_given_once),
		cmocka_unit_test(usage_of_groq_and_moonshot),
		cmocka_unit_test(finish_given_twice_is_thinned),
		cmocka_unit_test(empty_choices_are_filled_when_usage_was_not_asked),
		cmocka_unit_test(delta_is_added_where_it_lacks),
		cmocka_unit_test(items_without_choices_are_left_out_and_counted),
		cmocka_unit_test(what_cannot_be_read_behind_the_finish_is_left_out),
		cmocka_unit_test(each_choice_must_finish),
		cmocka_unit_test(what_cannot_be_read_of_another_choice_is_an_error),
		cmocka_unit_test(streams_that_fail_end_with_an_error),
		cmocka_unit_test(usage_of_an_item_that_fails),
		cmocka_unit_test(a_stream_may_end_without_done),
		cmocka_unit_test(content_is_counted),
		cmocka_unit_test(what_is_said_is_counted),
		cmocka_unit_test(memory_that_fails_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
