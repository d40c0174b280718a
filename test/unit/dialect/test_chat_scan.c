/* What the OpenAI front learns from a body, and what it refuses; fed at every split point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "mem.h"
#include "rig.h"

static void ask(struct rig *r, enum dialect_op op, const char *body, unsigned split)
{
	rig_init(r, PTABLE_OPENAI);
	r->split = split;
	assert_int_equal(rig_ask(r, op, body), ERRC_OK);
}

static void facts_of_a_plain_request(void **state)
{
	const char *body =
		"{\"model\":\"a\\/b\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello you\"}],"
		"\"stream\":true,\"stream_options\":{\"include_usage\":true},\"max_tokens\":5,"
		"\"user\":\"u\\u00e9\",\"unknown\":[1,{\"x\":2}]}";

	for (unsigned split = 0; split <= strlen(body); split++) {
		struct rig r;

		ask(&r, DIALECT_CHAT, body, split);
		assert_true(slice_is(r.facts.model, "a/b"));
		assert_true(r.facts.stream && r.facts.include_usage);
		assert_int_equal(r.facts.cap_field, DIALECT_CAP_MAX_TOKENS);
		assert_int_equal(r.facts.cap, 5);
		assert_int_equal(r.facts.n, 1);
		assert_int_equal(r.facts.copies, 1);
		assert_true(slice_is(r.facts.user, "u\xc3\xa9"));
		assert_int_equal(r.facts.bound.messages, 1);
		/* Hello 3, you 2; the unknown member: [1,{"x":2}] 5 + 5. */
		assert_int_equal(r.facts.bound.text, 3 + 2 + 11);
		assert_true(r.facts.bound.whole_context);
		assert_int_equal(r.facts.needs, PTABLE_IS_CHAT);
		assert_false(r.facts.own_fields);
		rig_fini(&r);
	}
}

/* As much base64 as no name of a file has. */
#define A20  "AAAAAAAAAAAAAAAAAAAA"
#define A260 A20 A20 A20 A20 A20 A20 A20 A20 A20 A20 A20 A20 A20

static void facts_of_media_and_tools(void **state)
{
	const char *body =
		"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":["
		"{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/"
		"png;base64,AAAA\",\"detail\":\"low\"}},"
		"{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"" A260 "\",\"format\":"
		"\"wav\"}},"
		"{\"type\":\"file\",\"file\":{\"file_data\":\"" A260 "\"}}]}],"
		"\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
		"\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{}},"
		"\"reasoning_effort\":\"high\",\"n\":3,\"max_completion_tokens\":9,\"models\":[]}";

	for (unsigned split = 0; split <= strlen(body); split += 1 + split / 40) {
		struct rig r;

		ask(&r, DIALECT_CHAT, body, split);
		assert_int_equal(r.facts.bound.images, 1);
		assert_int_equal(r.facts.bound.tools, 1);
		assert_int_equal(r.facts.bound.media_bytes, 2 * 195);
		assert_false(r.facts.media_url);
		assert_int_equal(r.facts.needs, PTABLE_IS_CHAT | PTABLE_CAN_IMAGE_IN |
							PTABLE_CAN_AUDIO_IN |
							PTABLE_CAN_DOCUMENT_IN | PTABLE_CAN_TOOLS |
							PTABLE_CAN_JSON_SCHEMA);
		assert_true(r.facts.has_tools && r.facts.thinking && r.facts.own_fields);
		assert_int_equal(r.facts.copies, 3);
		assert_int_equal(r.facts.cap_field, DIALECT_CAP_MAX_COMPLETION);
		rig_fini(&r);
	}
}

static void a_url_may_be_anything_up_to_the_context(void **state)
{
	struct bound_model m = {.context = 5000};
	struct rig r;

	ask(&r, DIALECT_CHAT,
	    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_"
	    "url\","
	    "\"image_url\":{\"url\":\"https://x/y.png\"}}]}]}",
	    0);
	assert_true(r.facts.media_url);
	assert_int_equal(bound_tokens(&r.facts.bound, &m), 5000);
	rig_fini(&r);
}

static void only_text_is_known_in_prompts(void **state)
{
	struct rig r;

	ask(&r, DIALECT_EMBEDDINGS, "{\"model\":\"m\",\"input\":[\"ab\",[1,2]]}", 0);
	assert_false(r.facts.bound.whole_context);
	rig_fini(&r);
	ask(&r, DIALECT_EMBEDDINGS, "{\"model\":\"m\",\"input\":[{\"image\":\"https://x\"}]}", 0);
	assert_true(r.facts.bound.whole_context);
	rig_fini(&r);
	ask(&r, DIALECT_COMPLETIONS, "{\"model\":\"m\",\"prompt\":{\"a\":\"b\"}}", 0);
	assert_true(r.facts.bound.whole_context);
	rig_fini(&r);
}

static void facts_of_completions_and_embeddings(void **state)
{
	struct rig r;

	ask(&r, DIALECT_COMPLETIONS,
	    "{\"model\":\"m\",\"prompt\":[\"ab\",\"cd\"],\"n\":2,\"best_of\":3}", 0);
	assert_int_equal(r.facts.copies, 6);
	assert_int_equal(r.facts.bound.text, 2);
	assert_int_equal(r.facts.bound.texts, 2);
	assert_int_equal(r.facts.bound.ids, 0);
	rig_fini(&r);
	ask(&r, DIALECT_COMPLETIONS, "{\"model\":\"m\",\"prompt\":[1,2,3]}", 0);
	assert_int_equal(r.facts.copies, 1);
	assert_int_equal(r.facts.bound.text, 3);
	assert_int_equal(r.facts.bound.texts, 0);
	assert_int_equal(r.facts.bound.ids, 3);
	rig_fini(&r);
	ask(&r, DIALECT_EMBEDDINGS,
	    "{\"model\":\"m\",\"input\":[[1,2],[3]],\"encoding_format\":\"base64\"}", 0);
	assert_int_equal(r.facts.copies, 1);
	assert_int_equal(r.facts.bound.text, 3);
	assert_int_equal(r.facts.bound.texts, 2);
	assert_int_equal(r.facts.bound.ids, 3);
	assert_int_equal(r.facts.encoding, DIALECT_ENC_BASE64);
	assert_int_equal(r.facts.needs, PTABLE_IS_EMBEDDING);
	rig_fini(&r);
	rig_init(&r, PTABLE_OPENAI);
	assert_int_equal(rig_ask(&r, DIALECT_EMBEDDINGS,
				 "{\"model\":\"m\",\"input\":\"ab\",\"stream\":true}"),
			 ERRC_INVAL);
	assert_string_equal(r.fault.param, "stream");
	rig_fini(&r);
	ask(&r, DIALECT_EMBEDDINGS, "{\"model\":\"m\",\"input\":\"ab\",\"stream\":false}", 0);
	rig_fini(&r);
}

struct refused {
	const char *body, *param;
	enum fault_kind kind;
};

#define M "\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"

static void what_is_refused(void **state)
{
	static const struct refused cases[] = {
		{"{" M ",\"model\":\"n\"}", "model", FAULT_INVALID_VALUE},
		{"{" M ",\"mod\\u0065l\":\"n\"}", "model", FAULT_INVALID_VALUE},
		{"{" M ",\"Model\":\"n\"}", "Model", FAULT_INVALID_VALUE},
		{"{" M ",\"max_tokens\":1,\"max_completion_tokens\":1}", "max_tokens",
		 FAULT_INVALID_VALUE},
		{"{" M ",\"n\":0}", "n", FAULT_INVALID_VALUE},
		{"{" M ",\"n\":129}", "n", FAULT_INVALID_VALUE},
		{"{" M ",\"max_tokens\":\"5\"}", "max_tokens", FAULT_INVALID_VALUE},
		{"{" M ",\"max_tokens\":1.5}", "max_tokens", FAULT_INVALID_VALUE},
		{"{" M ",\"stream\":1}", "stream", FAULT_INVALID_VALUE},
		{"{" M ",\"stream\":true,\"stream_options\":{\"include_usage\":true,\"x\":1,"
		 "\"include\\u005fusage\":false}}",
		 "stream_options.include_usage", FAULT_INVALID_VALUE},
		{"{" M ",\"stream\":true,\"stream_options\":{\"Include_Usage\":false}}",
		 "stream_options.include_usage", FAULT_INVALID_VALUE},
		{"{" M ",\"service_tier\":\"scale\"}", "service_tier", FAULT_UNSUPPORTED_FIELD},
		{"{" M ",\"search_parameters\":{}}", "search_parameters", FAULT_UNSUPPORTED_FIELD},
		{"{" M ",\"max_tokens\":10,\"n_predict\":4000}", "n_predict",
		 FAULT_UNSUPPORTED_FIELD},
		{"{" M ",\"max_output_tokens\":4000}", "max_output_tokens", FAULT_UNSUPPORTED_FIELD},
		{"{" M ",\"deferred\":true}", "deferred", FAULT_UNSUPPORTED_FIELD},
		{"{" M ",\"background\":true}", "background", FAULT_UNSUPPORTED_FIELD},
		{"{" M ",\"web_search_options\":true}", "web_search_options", FAULT_INVALID_VALUE},
		{"{" M ",\"tools\":[{\"type\":\"function\"},{\"type\":\"web_search\"}]}",
		 "tools[1].type", FAULT_UNSUPPORTED_FIELD},
		{"{" M ",\"modalities\":[\"video\"]}", "modalities", FAULT_INVALID_VALUE},
		{"{" M ",\"user\":\"\\ud800\"}", "user", FAULT_INVALID_VALUE},
		{"{" M ",\"user\":\"a\\n\"}", "user", FAULT_INVALID_VALUE},
		{"{\"model\":\"m\",\"input\":\"x\"}", "messages", FAULT_MISSING_FIELD},
		{"{\"model\":\"m\"}", "messages", FAULT_MISSING_FIELD},
		{"{\"model\":\"m\",\"messages\":[]}", "messages", FAULT_INVALID_VALUE},
		{"{\"model\":\"m\",\"messages\":\"x\"}", "messages", FAULT_INVALID_VALUE},
		{"{\"model\":7,\"messages\":[{}]}", "model", FAULT_INVALID_VALUE},
		{"{" M, "", FAULT_INVALID_JSON},
		{"[]", "", FAULT_INVALID_JSON},
		{"{" M ",\"a\":\"\xff\"}", "", FAULT_INVALID_JSON},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (unsigned split = 0; split <= strlen(cases[i].body); split++) {
			struct rig r;

			rig_init(&r, PTABLE_OPENAI);
			r.split = split;
			assert_int_not_equal(rig_ask(&r, DIALECT_CHAT, cases[i].body), ERRC_OK);
			assert_int_equal(r.fault.kind, cases[i].kind);
			assert_string_equal(r.fault.param, cases[i].param);
			rig_fini(&r);
		}
	}
}

/* A word of the body is said again, so that one finds it; a sentence is not, for what is said stands in the access log. */
static void what_is_said_again(void **state)
{
	static const char *const of[][2] = {
		{"{" M ",\"service_tier\":\"scale\"}", "'scale'"},
		{"{" M ",\"service_tier\":\"the patient John Doe\"}", "'…'"},
		{"{" M ",\"speed\":\"see John\"}", "'…'"},
		{"{" M ",\"n_predict\":9}",
		 "'n_predict' is not supported: the output is bounded by max_tokens or "
		 "max_completion_tokens."},
	};

	for (size_t i = 0; i < ARRAY_LEN(of); i++) {
		struct rig r;

		rig_init(&r, PTABLE_OPENAI);
		assert_int_not_equal(rig_ask(&r, DIALECT_CHAT, of[i][0]), ERRC_OK);
		assert_non_null(strstr(r.fault.message, of[i][1]));
		assert_null(strstr(r.fault.message, "John"));
		rig_fini(&r);
	}
	(void)state;
}

/* Text that is escaped names the same user as the text itself. */
static void users_in_escapes(void **state)
{
	static const char *const same[][2] = {
		{"\\ud83d\\ude00", "\xf0\x9f\x98\x80"},
		{"\\ufffd", "\xef\xbf\xbd"},
		{"\\\\ud800", "\\ud800"},
		{"a\\u0020b", "a b"},
	};

	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		char body[256];
		struct rig r;

		snprintf(body, sizeof(body), "{" M ",\"user\":\"%s\"}", same[i][0]);
		ask(&r, DIALECT_CHAT, body, 0);
		assert_true(slice_is(r.facts.user, same[i][1]));
		rig_fini(&r);
	}
}

static void null_means_not_given(void **state)
{
	struct rig r;

	ask(&r, DIALECT_CHAT,
	    "{" M ",\"n\":null,\"max_tokens\":null,\"max_completion_tokens\":4,\"stream\":null,"
	    "\"service_tier\":null,\"web_search_options\":null,\"user\":null,\"stream_options\":"
	    "null}",
	    0);
	assert_int_equal(r.facts.n, 1);
	assert_int_equal(r.facts.cap, 4);
	assert_false(r.facts.stream);
	assert_int_equal(r.facts.user.n, 0);
	rig_fini(&r);
}

struct written {
	const char *body, *want;
	int64_t cap;
};

static void written_with_splices(void **state)
{
	static const struct written cases[] = {
		{"{" M "}",
		 "{\"model\":\"up-m1\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", 0},
		{"{" M "}",
		 "{\"model\":\"up-m1\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"max_"
		 "tokens\":77}",
		 77},
		{"{\"max_completion_tokens\" : 9 ," M ", \"x\":{\"y\":[1]} }",
		 "{\"max_completion_tokens\" : 5 "
		 ",\"model\":\"up-m1\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}], "
		 "\"x\":{\"y\":[1]} }",
		 5},
		{"{" M ",\"stream\":true}",
		 "{\"model\":\"up-m1\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
		 "\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
		 0},
		{"{" M ",\"stream\":true,\"stream_options\":{ }}",
		 "{\"model\":\"up-m1\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
		 "\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
		 0},
		{"{" M ",\"stream\":true,\"stream_options\":{\"a\":1}}",
		 "{\"model\":\"up-m1\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
		 "\"stream\":true,\"stream_options\":{\"include_usage\":true,\"a\":1}}",
		 0},
		{"{" M ",\"stream\":true,\"stream_options\":{\"include_usage\":false}}",
		 "{\"model\":\"up-m1\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
		 "\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
		 0},
		{"{\"models\":[\"a\"]," M
		 ",\"provider\":{},\"usage\":{\"include\":true},\"session_id\":\"s\"}",
		 "{\"model\":\"up-m1\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", 0},
		{"{" M ",\"max_tokens\":null}",
		 "{\"model\":\"up-m1\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"max_"
		 "tokens\":3}",
		 3},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig r;

		ask(&r, DIALECT_CHAT, cases[i].body, 0);
		assert_int_equal(rig_write(&r, cases[i].cap), ERRC_OK);
		if (r.out.len != strlen(cases[i].want) || memcmp(r.out.p, cases[i].want, r.out.len))
			print_error("case %zu: " SLICE_FMT "\n", i, SLICE_ARG(buf_slice(&r.out)));
		assert_int_equal(r.out.len, strlen(cases[i].want));
		assert_memory_equal(r.out.p, cases[i].want, r.out.len);
		rig_fini(&r);
	}
}

static void written_as_the_provider_wants(void **state)
{
	struct rig r;
	const char *want = "{\"model\":\"up-m1\",\"messages\":[{\"role\":\"user\",\"content\":"
			   "\"x\"}],\"stream\":true,\"max_completion_tokens\":8}";

	ask(&r, DIALECT_CHAT,
	    "{" M ",\"max_tokens\":8,\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
	    0);
	r.provider.usage_option = false;
	r.provider.cap_field = SLICE_LIT("max_completion_tokens");
	assert_int_equal(rig_write(&r, 0), ERRC_OK);
	assert_int_equal(r.out.len, strlen(want));
	assert_memory_equal(r.out.p, want, r.out.len);
	rig_fini(&r);
}

static void memory_that_fails_is_reported(void **state)
{
	unsigned n = 0;
	enum errc e;

	do {
		struct rig r;

		rig_init(&r, PTABLE_OPENAI);
		mem_fail_after(++n);
		e = rig_ask(&r, DIALECT_CHAT, "{\"models\":[]," M ",\"max_tokens\":3}");
		if (!e)
			e = rig_write(&r, 9);
		mem_fail_after(0);
		rig_fini(&r);
		assert_true(e == ERRC_OK || e == ERRC_NOMEM);
	} while (e);
	assert_true(n > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(facts_of_a_plain_request),
		cmocka_unit_test(facts_of_media_and_tools),
		cmocka_unit_test(a_url_may_be_anything_up_to_the_context),
		cmocka_unit_test(only_text_is_known_in_prompts),
		cmocka_unit_test(facts_of_completions_and_embeddings),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(what_is_said_again),
		cmocka_unit_test(users_in_escapes),
		cmocka_unit_test(null_means_not_given),
		cmocka_unit_test(written_with_splices),
		cmocka_unit_test(written_as_the_provider_wants),
		cmocka_unit_test(memory_that_fails_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
