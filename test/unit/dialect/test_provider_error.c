/* Errors of providers: what the client is told, what the router does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "provider_error.h"

#define W48 "an_error_code_that_is_forty-eight_bytes_long.123"

struct error_case {
	int status;
	const char *body;
	enum fault_kind kind;
	int out;             /* status for the client */
	const char *verdict; /* F final, L larger, C cool, D drop, B billing, X breaks */
	const char *said;    /* a part of the message */
};

static const struct error_case cases[] = {
	{400,
	 "{\"error\":{\"message\":\"Bad "
	 "temperature\",\"type\":\"invalid_request_error\",\"param\":\"temperature\","
	 "\"code\":null}}",
	 FAULT_INVALID_VALUE, 400, "F", "Bad temperature"},
	{400,
	 "{\"error\":{\"message\":\"Unsupported parameter: "
	 "'max_tokens'\",\"type\":\"invalid_request_error\",\"code\":\"unsupported_"
	 "parameter\"}}",
	 FAULT_UNSUPPORTED_FIELD, 400, "F", "Unsupported parameter"},
	{400,
	 "{\"error\":{\"message\":\"This model's maximum context length is 8192 "
	 "tokens\",\"code\":\"context_length_exceeded\"}}",
	 FAULT_CONTEXT_TOO_LONG, 400, "FL", "8192"},
	{302, "{\"error\":{\"message\":\"moved\",\"type\":\"invalid_request_error\"}}",
	 FAULT_UPSTREAM, 502, "X", "redirection"},
	{413, "<html>413</html>", FAULT_TOO_LARGE, 413, "F", "refused"},
	{422, "{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"Extra inputs\",\"type\":\"x\"}]}",
	 FAULT_UNPROCESSABLE, 422, "F", "Extra inputs"},
	{404,
	 "{\"error\":{\"message\":\"The model `x` does not exist\",\"code\":\"model_not_found\"}}",
	 FAULT_MODEL_UNKNOWN, 404, "F", "does not exist"},
	{401, "{\"error\":{\"message\":\"Incorrect API key provided: sk-abc\",\"code\":\"invalid_api_key\"}}",
	 FAULT_UPSTREAM, 502, "D", "key"},
	{400, "{\"code\":\"invalid-argument\",\"error\":\"Incorrect API key provided: xa***\"}",
	 FAULT_UPSTREAM, 502, "D", "key"},
	/* A client's own words, which come back in the message, say nothing of the gateway's key or account. */
	{400,
	 "{\"error\":{\"message\":\"Invalid value: 'invalid api key'. Supported values are: "
	 "'text'\",\"type\":\"invalid_request_error\",\"param\":\"response_format.type\"}}",
	 FAULT_INVALID_VALUE, 400, "F", "Invalid value"},
	{400,
	 "{\"error\":{\"message\":\"Unrecognized request argument supplied: insufficient "
	 "credit\",\"type\":\"invalid_request_error\"}}",
	 FAULT_BAD_REQUEST, 400, "F", "Unrecognized"},
	{422, "{\"detail\":\"bad input `Credit balance is too low`\"}", FAULT_UNPROCESSABLE, 422,
	 "F", "bad input"},
	{500, "{\"error\":{\"message\":\"cannot parse [insufficient balance]\"}}", FAULT_UPSTREAM,
	 502, "X", "failed"},
	{400,
	 "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Your "
	 "credit balance is too low to access the Anthropic API.\"}}",
	 FAULT_UPSTREAM, 502, "DB", "account"},
	{403, "{\"error\":{\"message\":\"Country not supported\"}}", FAULT_UPSTREAM, 502, "D",
	 "key"},
	{402, "{\"error\":{\"message\":\"Insufficient Balance\",\"type\":\"unknown_error\"}}",
	 FAULT_UPSTREAM, 502, "DB", "account"},
	{429,
	 "{\"error\":{\"message\":\"You exceeded your current "
	 "quota\",\"type\":\"insufficient_quota\",\"code\":\"insufficient_quota\"}}",
	 FAULT_UPSTREAM, 502, "DB", "account"},
	{429,
	 "{\"error\":{\"message\":\"Rate limit reached for "
	 "gpt\",\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}",
	 FAULT_UPSTREAM_RATE, 429, "C", "limits"},
	/* Larger than a minute's share: a rest of the key does not help it. */
	{429,
	 "{\"error\":{\"message\":\"Request too large for gpt-4o in organization org-x on tokens "
	 "per "
	 "min (TPM): Limit 30000, Requested 342389. The input or output tokens must be "
	 "reduced.\",\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}",
	 FAULT_TOO_LARGE, 413, "T", "Limit 30000, Requested 342389"},
	{413,
	 "{\"error\":{\"message\":\"Request too large for model `m` in organization `o` on tokens "
	 "per minute (TPM): Limit 8000, Requested 8391, please reduce\",\"type\":\"tokens\"}}",
	 FAULT_TOO_LARGE, 413, "T", "Requested 8391"},
	{0,
	 "{\"error\":{\"message\":\"Request too large: Limit 30,000, Requested "
	 "30,001\",\"code\":\"rate_limit_exceeded\"}}",
	 FAULT_TOO_LARGE, 413, "T", "30,001"},
	{429,
	 "{\"error\":{\"message\":\"Rate limit reached for gpt-4o on tokens per min (TPM): Limit "
	 "30000, Used 29000, Requested 2000.\",\"type\":\"tokens\"}}",
	 FAULT_UPSTREAM_RATE, 429, "C", "limits"},
	{500, "{\"error\":{\"message\":\"Limit 1, Requested 2\"}}", FAULT_UPSTREAM, 502, "X",
	 "failed"},
	{429, "{\"error\":{\"code\":\"1113\",\"message\":\"no balance\"}}", FAULT_UPSTREAM, 502,
	 "DB", "account"},
	{500,
	 "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"insufficient "
	 "balance (1008)\"}}",
	 FAULT_UPSTREAM, 502, "DB", "account"},
	{500, "oops", FAULT_UPSTREAM, 502, "X", "500"},
	{503, "", FAULT_UPSTREAM, 502, "X", "503"},
	{529, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
	 FAULT_OVERLOADED, 503, "C", "overloaded"},
	{408, "", FAULT_UPSTREAM, 502, "X", "timed out"},
	{501,
	 "{\"error\":{\"code\":501,\"message\":\"This server does not support "
	 "tools\",\"type\":\"not_supported_error\"}}",
	 FAULT_UNSUPPORTED_FIELD, 400, "F", "does not support"},
	{403, "{\"error\":{\"code\":403,\"message\":\"Your input was flagged\"}}",
	 FAULT_CONTENT_POLICY, 400, "F", "flagged"},
	{400,
	 "[{\"error\":{\"code\":400,\"message\":\"In a list\",\"status\":\"INVALID_ARGUMENT\"}}]",
	 FAULT_BAD_REQUEST, 400, "F", "In a list"},
	{400,
	 "{\"error\":{\"code\":400,\"message\":\"Provider returned "
	 "error\",\"metadata\":{\"raw\":\"bad schema\"}}}",
	 FAULT_BAD_REQUEST, 400, "F", "Provider returned error: bad schema"},
	{0, "{\"error\":{\"code\":429,\"message\":\"slow down\"}}", FAULT_UPSTREAM_RATE, 429, "C",
	 "limits"},
	{0, "{\"error\":{\"message\":\"x\",\"type\":\"server_error\"}}", FAULT_UPSTREAM, 502, "X",
	 "failed"},
};

static void verdict_text(const struct dialect_verdict *v, char out[8])
{
	size_t n = 0;

	if (v->final)
		out[n++] = 'F';
	if (v->larger)
		out[n++] = 'L';
	if (v->too_big)
		out[n++] = 'T';
	if (v->cool_key)
		out[n++] = 'C';
	if (v->drop_key)
		out[n++] = 'D';
	if (v->billing)
		out[n++] = 'B';
	if (v->breaks)
		out[n++] = 'X';
	out[n] = 0;
}

static void errors_are_classified(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct error_case *c = &cases[i];
		struct ptable_provider p = {.name = SLICE_LIT("prov")};
		struct dialect_answer a = {
			.status = c->status, .body = slice_str(c->body), .provider = &p};
		struct dialect_verdict v;
		struct fault f;
		char text[8];

		provider_error_classify(&a, &f, &v);
		verdict_text(&v, text);
		if (f.kind != c->kind || fault_status(&f) != c->out || strcmp(text, c->verdict) ||
		    !strstr(fault_message(&f), c->said))
			print_error("case %zu: %s %d %s %s\n", i, fault_row(f.kind)->name,
				    fault_status(&f), text, fault_message(&f));
		assert_int_equal(f.kind, c->kind);
		assert_int_equal(fault_status(&f), c->out);
		assert_string_equal(text, c->verdict);
		assert_non_null(strstr(fault_message(&f), c->said));
		assert_string_equal(f.provider, "prov");
		assert_int_equal(f.provider_status, c->status);
	}
}

static int64_t wait_of(const char *seconds, const char *ms)
{
	struct dialect_answer a = {.status = 429,
				   .retry_after = slice_str(seconds),
				   .retry_after_ms = slice_str(ms),
				   .now_s = 1792569000};
	struct dialect_verdict v;
	struct fault f;

	provider_error_classify(&a, &f, &v);
	assert_int_equal(f.retry_after_ms, v.cool_ms);
	return v.cool_ms;
}

static void waits_are_read(void **state)
{
	assert_int_equal(wait_of("7", ""), 7000);
	assert_int_equal(wait_of(" 0.25 ", ""), 250);
	assert_int_equal(wait_of("7", "120"), 120);
	assert_int_equal(wait_of("", ""), 0);
	assert_int_equal(wait_of("-1", ""), 0);
	assert_int_equal(wait_of("99999999999", ""), 86400000);
	/* 1792569000 is 07:50:00 of that day. */
	assert_int_equal(wait_of("Wed, 21 Oct 2026 07:50:30 GMT", ""), 30000);
	assert_int_equal(wait_of("Wed, 21 Oct 2026 07:28:00 GMT", ""), 0);
	assert_int_equal(wait_of("Wed, 21 Xyz 2026 07:50:30 GMT", ""), 0);
}

/* A limit that the message names says what was used up: only a request that is larger by far is too big for it. */
static void too_big_by_our_own_count(void **state)
{
	static const struct {
		int64_t bound;
		bool too_big;
	} bounds[] = {{0, false}, {20000, false}, {80003, false}, {80004, true}};
	static const char *const bodies[] = {
		"{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"This "
		"request would exceed the rate limit for your organization of 20,000 input tokens "
		"per minute.\"}}",
		"{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"This "
		"request would exceed the rate limit for your organization (0a1b-2c) of 20,000 "
		"input tokens per minute.\"}}"};

	for (size_t i = 0; i < ARRAY_LEN(bounds) * ARRAY_LEN(bodies); i++) {
		struct dialect_answer a = {.status = 429,
					   .body = slice_str(bodies[i % 2]),
					   .input_bound = bounds[i / 2].bound};
		struct dialect_verdict v;
		struct fault f;

		provider_error_classify(&a, &f, &v);
		assert_int_equal(v.too_big, bounds[i / 2].too_big);
		assert_int_equal(v.cool_key, !v.too_big);
		assert_int_equal(fault_status(&f), v.too_big ? 413 : 429);
	}
}

static void account_names_are_masked(void **state)
{
	struct dialect_answer a = {.status = 400,
				   .body = SLICE_LIT("{\"error\":{\"message\":\"org-AbC123 and key "
						     "sk-proj-xyz, task-sk-x risk-free\"}}")};
	struct dialect_verdict v;
	struct fault f;

	provider_error_classify(&a, &f, &v);
	assert_string_equal(fault_message(&f),
			    "org-****** and key sk-********, task-sk-* risk-free");
}

static void word_of_the_code_beats_its_number(void **state)
{
	static const char *const bodies[] = {
		"{\"error\":{\"message\":\"m\",\"code\":\"tool_use_failed\",\"status_code\":400}}",
		"{\"error\":{\"status_code\":400,\"message\":\"m\",\"code\":\"tool_use_failed\"}}",
	};

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct dialect_answer a = {.status = 0, .body = slice_str(bodies[i])};
		struct dialect_verdict v;
		struct fault f;

		provider_error_classify(&a, &f, &v);
		assert_string_equal(f.provider_code, "tool_use_failed");
		assert_int_equal(fault_status(&f), 400);
	}
}

/* Codes go into the record and the log, where no sentence may come: it may be the prompt. */
static void a_code_is_a_word(void **state)
{
	static const struct {
		const char *error, *word;
	} rows[] = {
		{"{\"message\":\"m\",\"code\":\"tell me a secret\"}", "other"},
		{"{\"message\":\"m\",\"type\":\"tell me\"}", "other"},
		{"{\"message\":\"m\",\"code\":\"tell me\",\"type\":\"api_error\"}", "api_error"},
		{"{\"message\":\"m\",\"code\":\"bad\",\"type\":\"tell me\"}", "bad"},
		{"{\"message\":\"m\",\"code\":{\"tell\":\"me\"}}", "other"},
		{"{\"message\":\"m\",\"code\":\"" W48 "\"}", W48},
		{"{\"message\":\"m\",\"code\":\"" W48 "x\"}", "other"},
		{"{\"message\":\"m\",\"code\":\"" W48 W48 "\"}", "other"}, /* it was cut */
		{"{\"message\":\"m\",\"code\":-7}", "-7"},
		{"{\"message\":\"m\"}", ""},
	};
	char body[256];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		static const int statuses[] = {0, 400, 413, 429, 500};

		snprintf(body, sizeof(body), "{\"error\":%s}", rows[i].error);
		for (size_t k = 0; k < ARRAY_LEN(statuses); k++) {
			struct dialect_answer a = {.status = statuses[k], .body = slice_str(body)};
			struct dialect_verdict v;
			struct fault f;

			provider_error_classify(&a, &f, &v);
			assert_string_equal(f.provider_code, rows[i].word);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_are_classified),
		cmocka_unit_test(waits_are_read),
		cmocka_unit_test(too_big_by_our_own_count),
		cmocka_unit_test(account_names_are_masked),
		cmocka_unit_test(word_of_the_code_beats_its_number),
		cmocka_unit_test(a_code_is_a_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
