/* What stands around a request's body: path, headers; memory that fails on the way through the translation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "anthropic_write.h"
#include "mem.h"
#include "rig.h"

#define BODY_REST "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"
#define BODY      "{\"model\":\"m1\"," BODY_REST

static struct dialect_request written(struct rig *r, enum dialect_op op, const char *body)
{
	struct dialect_request q;
	struct ir_request *ir = NULL;
	struct dialect_ask ask = {
		.facts = &r->facts, .offer = &r->offer, .model = &r->model, .arena = &r->arena};

	assert_int_equal(rig_ask(r, op, body), ERRC_OK);
	ask.scan = r->scan;
	ask.body = r->body;
	ask.anthropic_beta = SLICE_LIT("a,b");
	ask.openai_beta = SLICE_LIT("assistants=v2");
	if (!dialect_is_same(r->front, r->back))
		assert_int_equal(
			r->front->read_request(&r->facts, r->body, &r->arena, &ir, &r->fault),
			ERRC_OK);
	ask.ir = ir;
	assert_int_equal(r->back->write_request(&ask, &q, &r->fault), ERRC_OK);
	return q;
}

/* Prompts that are longer than the model's price is for cannot be asked for by a header. */
static void beta_of_long_prompts(void **state)
{
	static const struct {
		int64_t context;
		const char *given, *sent;
	} cases[] = {
		{200000, "a, context-1m-2025-08-07 ,b", "a,b"},
		{200000, "context-1m-2025-08-07", ""},
		{200000, "a, b", "a, b"},
		{1000000, "a,context-1m-2025-08-07", "a,context-1m-2025-08-07"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ir_request *ir = NULL;
		struct dialect_request q;
		struct rig r;
		struct dialect_ask ask = {.facts = &r.facts,
					  .offer = &r.offer,
					  .model = &r.model,
					  .anthropic_beta = slice_str(cases[i].given),
					  .arena = &r.arena};
		struct slice sent = SLICE_NONE;

		rig_init(&r, PTABLE_ANTHROPIC);
		r.model.context = cases[i].context;
		assert_int_equal(rig_ask(&r, DIALECT_CHAT, BODY), ERRC_OK);
		assert_int_equal(r.front->read_request(&r.facts, r.body, &r.arena, &ir, &r.fault),
				 ERRC_OK);
		ask.ir = ir;
		assert_int_equal(r.back->write_request(&ask, &q, &r.fault), ERRC_OK);
		for (unsigned k = 0; k < q.headers_n; k++)
			if (!strcmp(q.headers[k].name, "anthropic-beta"))
				sent = q.headers[k].value;
		assert_true(slice_is(sent, cases[i].sent));
		rig_fini(&r);
	}
}

/* Who asks for the standard tier gets no other: unsaid, a provider takes a dearer one where the operator's account has it. */
static void the_standard_tier_is_said(void **state)
{
	static const char *const words[] = {"default", "standard", "standard_only"};
	char body[160];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		struct rig r;

		snprintf(body, sizeof(body), "{\"model\":\"m1\",\"service_tier\":\"%s\"," BODY_REST,
			 words[i]);
		rig_init(&r, PTABLE_ANTHROPIC);
		assert_true(slice_find(written(&r, DIALECT_CHAT, body).body[0],
				       SLICE_LIT("\"service_tier\":\"standard_only\"")) > 0);
		rig_fini(&r);
		snprintf(body, sizeof(body), "{\"model\":\"m1\",%s" BODY_REST,
			 i ? "\"service_tier\":\"auto\"," : "");
		rig_init(&r, PTABLE_ANTHROPIC);
		assert_true(slice_find(written(&r, DIALECT_CHAT, body).body[0],
				       SLICE_LIT("service_tier")) < 0);
		rig_fini(&r);
	}
}

static void paths_and_headers_of_openai(void **state)
{
	struct dialect_request q;
	struct rig r;

	rig_init(&r, PTABLE_OPENAI);
	q = written(&r, DIALECT_CHAT, BODY);
	assert_true(slice_is(q.path, "/v1/chat/completions"));
	assert_int_equal(q.headers_n, 1);
	assert_string_equal(q.headers[0].name, "openai-beta");
	q = written(&r, DIALECT_COMPLETIONS, "{\"model\":\"m1\",\"prompt\":\"x\"}");
	assert_true(slice_is(q.path, "/v1/completions"));
	r.provider.base.path = SLICE_LIT("");
	r.provider.base.query = SLICE_LIT("api-version=2024-10-21");
	r.provider.azure_deployments = true;
	r.offer.upstream = SLICE_LIT("my dep");
	q = written(&r, DIALECT_EMBEDDINGS, "{\"model\":\"m1\",\"input\":\"x\"}");
	assert_true(
		slice_is(q.path, "/openai/deployments/my%20dep/embeddings?api-version=2024-10-21"));
	rig_fini(&r);
}

static void base64_is_not_asked_where_it_is_not_known(void **state)
{
	struct rig r;

	rig_init(&r, PTABLE_OPENAI);
	r.provider.embeddings_base64 = false;
	assert_int_equal(
		rig_ask(&r, DIALECT_EMBEDDINGS,
			"{\"model\":\"up-m1\",\"input\":\"x\",\"encoding_format\":\"base64\"}"),
		ERRC_OK);
	assert_int_equal(rig_write(&r, 0), ERRC_OK);
	assert_true(
		slice_is(buf_slice(&r.out),
			 "{\"model\":\"up-m1\",\"input\":\"x\",\"encoding_format\":\"float\"}"));
	rig_fini(&r);
}

static void paths_and_headers_of_anthropic(void **state)
{
	struct dialect_request q;
	struct rig r;

	rig_init(&r, PTABLE_ANTHROPIC);
	q = written(&r, DIALECT_CHAT, BODY);
	assert_true(slice_is(q.path, "/v1/messages"));
	assert_int_equal(q.headers_n, 2);
	assert_string_equal(q.headers[0].name, "anthropic-version");
	assert_true(slice_is(q.headers[0].value, "2023-06-01"));
	assert_true(slice_is(q.headers[1].value, "a,b"));
	rig_fini(&r);
}

static void sampling_follows_the_version(void **state)
{
	const char *body = "{\"model\":\"m1\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
			   "\"temperature\":0.5}";
	struct rig r;

	rig_init(&r, PTABLE_ANTHROPIC);
	assert_int_equal(rig_ask(&r, DIALECT_CHAT, body), ERRC_OK);
	assert_int_equal(rig_write(&r, 9), ERRC_OK);
	assert_true(slice_find(buf_slice(&r.out), SLICE_LIT("\"temperature\":0.5")) > 0);
	r.provider.anthropic_version = SLICE_LIT("2026-10-21");
	assert_int_equal(rig_write(&r, 9), ERRC_OK);
	assert_int_equal(slice_find(buf_slice(&r.out), SLICE_LIT("temperature")), -1);
	rig_fini(&r);
}

/* Claude 4.1 and later refuse temperature beside top_p. */
static void one_of_temperature_and_top_p_goes_to_newer_models(void **state)
{
	static const struct {
		const char *upstream, *sampling, *sent, *not_sent;
	} cases[] = {
		{"claude-sonnet-4-5", "\"temperature\":0.5,\"top_p\":0.9", "\"temperature\":0.5",
		 "top_p"},
		{"claude-opus-4-1-20250805", "\"temperature\":0,\"top_p\":1", "\"temperature\":0",
		 "top_p"},
		{"claude-haiku-4-5", "\"temperature\":1.0,\"top_p\":0.9", "\"top_p\":0.9",
		 "temperature"},
		{"claude-sonnet-4-6", "\"top_p\":0.9", "\"top_p\":0.9", "temperature"},
		{"claude-sonnet-4-6", "\"temperature\":1", "\"temperature\":1", "top_p"},
		{"claude-sonnet-4-20250514", "\"temperature\":0.5,\"top_p\":0.9",
		 "\"temperature\":0.5,\"top_p\":0.9", "no"},
		{"look-alike", "\"temperature\":0.5,\"top_p\":0.9",
		 "\"temperature\":0.5,\"top_p\":0.9", "no"},
		{"claude-opus-4-7", "\"temperature\":0.5,\"top_p\":0.9", "\"model\"", "0."},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char body[256];
		struct rig r;
		struct slice out;

		snprintf(body,
			 sizeof(body), "{\"model\":\"m1\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],%s}",
			 cases[i].sampling);
		rig_init(&r, PTABLE_ANTHROPIC);
		r.offer.upstream = slice_str(cases[i].upstream);
		assert_int_equal(rig_ask(&r, DIALECT_CHAT, body), ERRC_OK);
		assert_int_equal(rig_write(&r, 9), ERRC_OK);
		out = buf_slice(&r.out);
		if (slice_find(out, slice_str(cases[i].sent)) < 0 ||
		    slice_find(out, slice_str(cases[i].not_sent)) >= 0)
			fail_msg("case %zu: " SLICE_FMT, i, SLICE_ARG(out));
		rig_fini(&r);
	}
}

struct traits_case {
	const char *model;
	bool adaptive, no_sampling, system_turn;
};

static void models_are_known_by_their_names(void **state)
{
	static const struct traits_case cases[] = {
		{"claude-3-5-haiku-20241022", false, false, false},
		{"claude-sonnet-4-20250514", false, false, false},
		{"claude-sonnet-4-5-20250929", false, false, false},
		{"claude-sonnet-4-6", true, false, false},
		{"claude-opus-4-7-20260301", true, true, false},
		{"claude-opus-4-8", true, true, true},
		{"claude-sonnet-5", true, true, true},
		{"anthropic/claude-opus-4-8", true, true, true},
		{"deepseek-chat", false, false, false},
		{"claude-next", true, true, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct anthropic_traits t = anthropic_traits_of(slice_str(cases[i].model));

		if (t.adaptive != cases[i].adaptive || t.no_sampling != cases[i].no_sampling ||
		    t.system_turn != cases[i].system_turn)
			fail_msg("%s: %d %d %d", cases[i].model, t.adaptive, t.no_sampling,
				 t.system_turn);
	}
}

#define ASKED                                                                                    \
	"{\"model\":\"m1\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":"     \
	"\"user\",\"content\":["                                                                 \
	"{\"type\":\"text\",\"text\":\"x\"},{\"type\":\"file\",\"file\":{\"file_data\":\"data:"  \
	"text/plain;base64,aGk=\"}}]},"                                                          \
	"{\"role\":\"assistant\",\"content\":null,\"reasoning_details\":[{\"type\":\"reasoning." \
	"text\",\"index\":0,\"text\":\"a\"},"                                                    \
	"{\"type\":\"reasoning.text\",\"index\":0,\"text\":\"b\",\"signature\":\"s\"}],\"tool_"  \
	"calls\":[{\"id\":\"c.1\",\"function\":"                                                 \
	"{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c.1\","  \
	"\"content\":\"r\"}],"                                                                   \
	"\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{"        \
	"\"properties\":{}}}}],\"stop\":[\"a\"],"                                                \
	"\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{\"type\":"   \
	"\"object\"}}}}"

/* A file by its address has no form there: nothing that is no data goes up as such. */
static void files_that_are_no_data_are_refused(void **state)
{
	static const struct {
		const char *data;
		bool is_fine;
	} cases[] = {
		{"https://x.example/a.pdf", false},
		{"//x.example/a", false},
		{"a.pdf", false},
		{"data:application/pdf,x", false},
		{"JVBERi0=", true},
		{"JVBE\\nRi0=", true},
		{"data:application/pdf;base64,JVBERi0=", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char body[512];
		struct rig r;

		snprintf(
			body, sizeof(body),
			"{\"model\":\"m1\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
			"\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":\"%s\"}}]}]}",
			cases[i].data);
		rig_init(&r, PTABLE_ANTHROPIC);
		assert_int_equal(rig_ask(&r, DIALECT_CHAT, body), ERRC_OK);
		assert_int_equal(rig_write(&r, 9), cases[i].is_fine ? ERRC_OK : ERRC_INVAL);
		if (!cases[i].is_fine)
			assert_string_equal(r.fault.param, "messages[0].content[0].file.file_data");
		rig_fini(&r);
	}
}

#define PIECES 8000

/* A client that kept each streamed piece of a long thinking has room for it: what was joined is not copied again with every piece. */
static void many_pieces_of_thinking_are_joined(void **state)
{
	struct buf body, want;
	struct rig r;

	(void)state;
	buf_init(&body, 1 << 20);
	buf_init(&want, 1 << 20);
	assert_int_equal(buf_addz(&body, "{\"model\":\"m1\",\"messages\":[{\"role\":\"user\","
					 "\"content\":\"x\"},{\"role\":\"assistant\",\"content\":"
					 "\"y\",\"reasoning_details\":["),
			 ERRC_OK);
	for (int i = 0; i < PIECES; i++) {
		assert_int_equal(buf_addf(&body,
					  "{\"type\":\"reasoning.text\",\"index\":0,\"text\":"
					  "\"piece %05d, \"},",
					  i),
				 ERRC_OK);
		assert_int_equal(buf_addf(&want, "piece %05d, ", i), ERRC_OK);
	}
	assert_int_equal(buf_addz(&body, "{\"type\":\"reasoning.text\",\"index\":0,"
					 "\"signature\":\"s\"}]}]}"),
			 ERRC_OK);
	rig_init(&r, PTABLE_ANTHROPIC);
	assert_int_equal(rig_ask(&r, DIALECT_CHAT, buf_cstr(&body)), ERRC_OK);
	assert_int_equal(rig_write(&r, 9), ERRC_OK);
	assert_true(slice_find(buf_slice(&r.out), buf_slice(&want)) >= 0);
	rig_fini(&r);
	buf_fini(&body);
	buf_fini(&want);
}

static void memory_that_fails_in_a_request_is_reported(void **state)
{
	unsigned n = 0;
	enum errc e;

	do {
		struct rig r;

		rig_init(&r, PTABLE_ANTHROPIC);
		mem_fail_after(++n);
		e = rig_ask(&r, DIALECT_CHAT, ASKED);
		if (!e)
			e = rig_write(&r, 9);
		mem_fail_after(0);
		if (e && e != ERRC_NOMEM)
			fail_msg("allocation %u: %s", n, errc_name(e));
		rig_fini(&r);
	} while (e);
	assert_true(n > 8);
}

#define ANSWER                                                                                     \
	"event: message_start\ndata: "                                                             \
	"{\"type\":\"message_start\",\"message\":{\"id\":\"m\\u0031\",\"model\":\"c\",\"usage\":{" \
	"\"input_tokens\":3}}}\n\n"                                                                \
	"event: content_block_start\ndata: "                                                       \
	"{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\","      \
	"\"text\":\"\"}}\n\n"                                                                      \
	"event: content_block_delta\ndata: "                                                       \
	"{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\","        \
	"\"text\":\"a\\nb\"}}\n\n"                                                                 \
	"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"       \
	"event: message_delta\ndata: "                                                             \
	"{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{"         \
	"\"output_tokens\":2}}\n\n"                                                                \
	"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
#define WHOLE                                                                                    \
	"{\"id\":\"m1\",\"model\":\"c\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\"," \
	"\"signature\":\"s\"},{\"type\":\"text\",\"text\":\"a\"},"                               \
	"{\"type\":\"tool_use\",\"id\":\"u\",\"name\":\"f\",\"input\":{}}],\"stop_reason\":"     \
	"\"tool_use\",\"usage\":{\"input_tokens\":3,\"output_tokens\":2}}"

static void memory_that_fails_in_an_answer_is_reported(void **state)
{
	static const char *const answers[] = {WHOLE, ANSWER};

	for (unsigned stream = 0; stream < 2; stream++) {
		unsigned n = 0;
		enum errc e;

		do {
			struct rig r;

			rig_init(&r, PTABLE_ANTHROPIC);
			r.split = 60;
			r.facts.stream = stream;
			mem_fail_after(++n);
			e = rig_answer(&r, slice_str(answers[stream]), stream);
			mem_fail_after(0);
			if (e)
				assert_int_equal(e, ERRC_NOMEM);
			else
				assert_true(r.ended);
			rig_fini(&r);
		} while (e);
		assert_true(n > 5);
	}
	assert_int_equal(mem_live_count(), 0);
}

#define START(usage) \
	"data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":" usage "}}\n\n"
#define TEXT                                                                               \
	"data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":" \
	"\"text\",\"text\":\"hello\"}}\n\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
#define DELTA(members)   "data: {\"type\":\"message_delta\",\"delta\":" members "}\n\n"
#define STOPPED(members) DELTA("{\"stop_reason\":\"end_turn\"}" members)
#define STOP             "data: {\"type\":\"message_stop\"}\n\n"
#define OUTPUT(n)        ",\"usage\":{\"output_tokens\":" #n "}"

/* What was said of it before more came is not the whole of it; what is said behind the finish is. */
static void the_last_count_of_the_output_is_the_answers(void **state)
{
	static const struct {
		const char *answer;
		int64_t output, reasoning; /* -1: not reported */
	} rows[] = {
		{TEXT STOPPED(OUTPUT(5)) STOP, 5, -1},
		{TEXT STOPPED("") STOP, -1, -1},
		{TEXT STOPPED(",\"usage\":{}") STOP, -1, -1},
		{TEXT STOPPED(",\"usage\":{\"input_tokens\":1000}") STOP, -1, -1},
		{TEXT STOPPED(OUTPUT(1)) DELTA("{}" OUTPUT(500)) STOP, 500, -1},
		{TEXT STOPPED("") DELTA("{}" OUTPUT(500)) STOP, 500, -1},
		{TEXT STOPPED(OUTPUT(1)) STOPPED(OUTPUT(500)) STOP, 500, -1},
		{TEXT DELTA("{}" OUTPUT(500)) STOPPED("") STOP, 500, -1},
		{TEXT DELTA("{}" OUTPUT(500)) STOPPED(",\"usage\":{}") STOP, 500, -1},
		{DELTA("{}" OUTPUT(1)) TEXT STOPPED(",\"usage\":{}") STOP, -1, -1},
		{TEXT STOPPED(",\"usage\":{\"output_tokens\":500,\"output_tokens_details\":{"
			      "\"thinking_tokens\":400}}") STOP,
		 500, 400},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf answer;
		struct rig r;

		buf_init(&answer, 4096);
		assert_int_equal(
			buf_addz(&answer, START("{\"input_tokens\":1000,\"output_tokens\":1,"
						"\"output_tokens_details\":{"
						"\"thinking_tokens\":0}}")),
			ERRC_OK);
		assert_int_equal(buf_addz(&answer, rows[i].answer), ERRC_OK);
		rig_init(&r, PTABLE_ANTHROPIC);
		r.facts.stream = true;
		assert_int_equal(rig_answer(&r, buf_slice(&answer), true), ERRC_OK);
		assert_true(r.ended);
		assert_int_equal(usage_get(&r.usage, USAGE_INPUT), 1000);
		assert_int_equal(usage_has(&r.usage, USAGE_OUTPUT) ? r.usage.n[USAGE_OUTPUT] : -1,
				 rows[i].output);
		assert_int_equal(usage_has(&r.usage, USAGE_REASONING) ? r.usage.n[USAGE_REASONING]
								      : -1,
				 rows[i].reasoning);
		rig_fini(&r);
		buf_fini(&answer);
	}
}

static void a_whole_answer_where_a_stream_was_due(void **state)
{
	const char *chat =
		"{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}";
	struct rig r;

	rig_init(&r, PTABLE_OPENAI);
	r.facts.stream = true;
	assert_int_equal(rig_answer(&r, slice_str(chat), false), ERRC_OK);
	assert_true(r.failed);
	assert_int_equal(fault_status(&r.fault), 502);
	rig_fini(&r);
}

/* A provider's fault, not a lack of ours. */
static void a_whole_answer_of_any_size_is_the_providers_fault(void **state)
{
	size_t n = (size_t)65 << 20;
	char *big = mem_new(n);
	struct rig r;

	assert_non_null(big);
	memset(big, ' ', n);
	rig_init(&r, PTABLE_ANTHROPIC);
	r.split = 1 << 20;
	assert_int_equal(rig_answer(&r, slice_of(big, n), false), ERRC_OK);
	assert_true(r.failed);
	assert_int_equal(fault_status(&r.fault), 502);
	assert_non_null(strstr(fault_message(&r.fault), "too large"));
	rig_fini(&r);
	mem_free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(beta_of_long_prompts),
		cmocka_unit_test(the_standard_tier_is_said),
		cmocka_unit_test(paths_and_headers_of_openai),
		cmocka_unit_test(base64_is_not_asked_where_it_is_not_known),
		cmocka_unit_test(paths_and_headers_of_anthropic),
		cmocka_unit_test(sampling_follows_the_version),
		cmocka_unit_test(one_of_temperature_and_top_p_goes_to_newer_models),
		cmocka_unit_test(models_are_known_by_their_names),
		cmocka_unit_test(files_that_are_no_data_are_refused),
		cmocka_unit_test(many_pieces_of_thinking_are_joined),
		cmocka_unit_test(memory_that_fails_in_a_request_is_reported),
		cmocka_unit_test(memory_that_fails_in_an_answer_is_reported),
		cmocka_unit_test(the_last_count_of_the_output_is_the_answers),
		cmocka_unit_test(a_whole_answer_where_a_stream_was_due),
		cmocka_unit_test(a_whole_answer_of_any_size_is_the_providers_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
