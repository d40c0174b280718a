/* The table of fields, walked: each row does what it says, at both backs. A field whose rule needs a value of some form has its
 * sample here, and a row of COUNT without one fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "chat_field.h"
#include "rig.h"

#define NAMES_MAX 40

struct sample {
	const char *json;
	const char *alone; /* that an Anthropic back takes, where it does not take the other */
	enum dialect_op op;
};

static const struct sample samples[CHAT_ID_TOP_END] = {
	[CHAT_ID_MODEL] = {.json = "\"other\""},
	[CHAT_ID_MESSAGES] = {.json = "[{\"role\":\"user\",\"content\":\"a longer question\"}]"},
	[CHAT_ID_PROMPT] = {.json = "\"a longer question\"", .op = DIALECT_COMPLETIONS},
	[CHAT_ID_INPUT] = {.json = "\"a longer question\"", .op = DIALECT_EMBEDDINGS},
	[CHAT_ID_SUFFIX] = {.json = "\"the end of it\"", .op = DIALECT_COMPLETIONS},
	[CHAT_ID_STREAM] = {.json = "true"},
	[CHAT_ID_MAX_TOKENS] = {.json = "7"},
	[CHAT_ID_MAX_COMPLETION] = {.json = "7"},
	[CHAT_ID_N] = {.json = "3", .alone = "1"},
	[CHAT_ID_BEST_OF] = {.json = "3", .op = DIALECT_COMPLETIONS},
	[CHAT_ID_TOOLS] = {.json = "[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"},
	[CHAT_ID_FUNCTIONS] = {.json = "[{\"name\":\"f\"}]"},
	[CHAT_ID_TOOL_CHOICE] = {.json = "\"auto\""},
	[CHAT_ID_PARALLEL_TOOL_CALLS] = {.json = "true"},
	[CHAT_ID_RESPONSE_FORMAT] = {.json = "{\"type\":\"json_schema\",\"json_schema\":{\"name\":"
					     "\"s\",\"schema\":{\"type\":\"object\"}}}"},
	[CHAT_ID_PREDICTION] = {.json = "{\"type\":\"content\",\"content\":\"so it will be\"}"},
	[CHAT_ID_MODALITIES] = {.json = "[\"text\",\"audio\"]"},
	[CHAT_ID_AUDIO] = {.json = "{\"voice\":\"alloy\"}"},
	[CHAT_ID_REASONING_EFFORT] = {.json = "\"high\""},
	[CHAT_ID_REASONING] = {.json = "{\"effort\":\"high\"}"},
	[CHAT_ID_THINKING] = {.json = "{\"type\":\"enabled\",\"budget_tokens\":2000}"},
	[CHAT_ID_ENABLE_THINKING] = {.json = "true"},
	[CHAT_ID_THINKING_BUDGET] = {.json = "2000"},
	[CHAT_ID_ENCODING_FORMAT] = {.json = "\"float\"", .op = DIALECT_EMBEDDINGS},
	[CHAT_ID_DIMENSIONS] = {.json = "3", .op = DIALECT_EMBEDDINGS},
	[CHAT_ID_TEMPERATURE] = {.json = "1"},
	[CHAT_ID_TOP_P] = {.json = "1"},
	[CHAT_ID_TOP_K] = {.json = "5"},
	[CHAT_ID_WEB_SEARCH_OPTIONS] = {.json = "{\"search_context_size\":\"low\"}"},
	[CHAT_ID_STOP] = {.json = "\"end\""},
	[CHAT_ID_CHAT_TEMPLATE] = {.json = "\"{{ messages }}\""},
	[CHAT_ID_CHAT_TEMPLATE_KWARGS] = {.json = "{\"enable_thinking\":false}"},
	[CHAT_ID_GRAMMAR] = {.json = "\"root ::= [a-z]\""},
	[CHAT_ID_GUIDED_JSON] = {.json = "{\"type\":\"object\"}"},
	[CHAT_ID_GUIDED_REGEX] = {.json = "\"[a-z]+\""},
	[CHAT_ID_GUIDED_CHOICE] = {.json = "[\"a\",\"b\"]"},
	[CHAT_ID_GUIDED_GRAMMAR] = {.json = "\"root ::= [a-z]\""},
	[CHAT_ID_STRUCTURED_OUTPUTS] = {.json = "{\"choice\":[\"a\",\"b\"]}"},
};

static const char *sample_of(enum chat_id id)
{
	return samples[id].json ? samples[id].json : "\"x\"";
}

/* A plain request of the operation with one more field, or with that field's value in place of its own. */
static const char *body_with(enum dialect_op op, const char *name, const char *value)
{
	static const struct {
		const char *name, *value;
	} plain[DIALECT_OP_COUNT] = {
		[DIALECT_CHAT] = {"messages", "[{\"role\":\"user\",\"content\":\"x\"}]"},
		[DIALECT_COMPLETIONS] = {"prompt", "\"x\""},
		[DIALECT_EMBEDDINGS] = {"input", "\"x\""},
	};
	static char text[4096];
	bool model = name && !strcmp(name, "model"),
	     question = name && !strcmp(name, plain[op].name);
	size_t n = (size_t)snprintf(text, sizeof(text), "{\"model\":%s,\"%s\":%s",
				    model ? value : "\"m\"", plain[op].name,
				    question ? value : plain[op].value);

	if (name && !model && !question)
		n += (size_t)snprintf(text + n, sizeof(text) - n, ",\"%s\":%s", name, value);
	if (name && !strcmp(name, "stream_options"))
		n += (size_t)snprintf(text + n, sizeof(text) - n, ",\"stream\":true");
	require(n + 2 < sizeof(text));
	memcpy(text + n, "}", 2);
	return text;
}

/* What the hold is made of. */
struct held {
	char model[NAMES_MAX];
	int64_t input, predicted, cap, copies, searches, beside;
	uint32_t needs;
};

static struct held held_of(const struct dialect_facts *f)
{
	static const struct bound_model big = {.context = INT64_MAX};
	struct held h;

	memset(&h, 0, sizeof(h));
	h = (struct held){.input = bound_tokens(&f->bound, &big),
			  .predicted = (int64_t)f->bound.predicted,
			  .cap = f->cap,
			  .copies = f->copies,
			  .searches = f->searches,
			  .beside = f->thinking_beside,
			  .needs = f->needs};

	memcpy(h.model, f->model.p, f->model.n);
	return h;
}

static struct held plain_hold(enum dialect_op op)
{
	struct held h;
	struct rig r;

	rig_init(&r, PTABLE_OPENAI);
	assert_int_equal(rig_ask(&r, op, body_with(op, NULL, NULL)), ERRC_OK);
	h = held_of(&r.facts);
	rig_fini(&r);
	return h;
}

static bool has(const struct buf *b, const char *name, const char *value)
{
	char text[1024];
	size_t n = (size_t)snprintf(text, sizeof(text), "\"%s\":%s", name, value);

	return slice_find(buf_slice(b), slice_of(text, n)) >= 0;
}

/* Asks and writes; the fault stands in r->fault when it is refused on the way. */
static enum errc go(struct rig *r, enum ptable_dialect back, enum dialect_op op, const char *name,
		    const char *value)
{
	enum errc e;

	rig_init(r, back);
	r->model.can = 0;
	e = rig_ask(r, op, body_with(op, name, value));
	return e ? e : rig_write(r, 0);
}

static void refused(enum ptable_dialect back, const char *name, const char *value,
		    const char *param, const char *part)
{
	struct rig r;

	if (go(&r, back, DIALECT_CHAT, name, value) == ERRC_OK)
		fail_msg("%s: %s is not refused", name, value);
	assert_int_equal(r.fault.kind, FAULT_UNSUPPORTED_FIELD);
	assert_string_equal(r.fault.param, param);
	if (!strstr(r.fault.message, part))
		fail_msg("%s: '%s' is not in '%s'", name, part, r.fault.message);
	rig_fini(&r);
}

/* Goes up as it was given; whether it changes the hold is as told. */
static void passes(enum chat_id id, const char *value, bool holds)
{
	const struct chat_field *row = chat_field_row(id);
	enum dialect_op op = samples[id].op;
	struct held plain = plain_hold(op), h;
	struct rig r;

	if (go(&r, PTABLE_OPENAI, op, row->name, value))
		fail_msg("%s: %s", row->name, r.fault.message);
	h = held_of(&r.facts);
	if ((memcmp(&h, &plain, sizeof(h)) != 0) != holds)
		fail_msg("%s %s the hold", row->name, holds ? "does not change" : "changes");
	if (id != CHAT_ID_MODEL && !has(&r.out, row->name, value))
		fail_msg("%s: not in " SLICE_FMT, row->name, SLICE_ARG(buf_slice(&r.out)));
	rig_fini(&r);
}

static void only(enum chat_id id)
{
	const struct chat_field *row = chat_field_row(id);
	struct slice rest = slice_str(row->values), one;
	char value[64], ordinary[64];
	struct rig r;

	snprintf(ordinary, sizeof(ordinary), SLICE_FMT, SLICE_ARG(chat_field_ordinary(row)));
	assert_true(rest.n > 0);
	while (rest.n) {
		(void)slice_cut(&rest, '|', &one);
		snprintf(value, sizeof(value), "\"" SLICE_FMT "\"", SLICE_ARG(one));
		/* What is not standard enters the hold. */
		passes(id, value, slice_is(one, "flex") || slice_is(one, "priority"));
	}
	refused(PTABLE_OPENAI, row->name, "\"dearer\"", row->name, ordinary);
	refused(PTABLE_ANTHROPIC, row->name, "\"dearer\"", row->name, row->why);
	assert_int_not_equal(go(&r, PTABLE_OPENAI, DIALECT_CHAT, row->name, "1"), ERRC_OK);
	assert_int_equal(r.fault.kind, FAULT_INVALID_VALUE);
	rig_fini(&r);
}

static void own(enum chat_id id)
{
	const struct chat_field *row = chat_field_row(id);
	struct rig r;

	assert_int_equal(go(&r, PTABLE_OPENAI, DIALECT_CHAT, row->name, "\"x\""), ERRC_OK);
	assert_false(has(&r.out, row->name, ""));
	r.provider.forward_own_fields = true;
	assert_int_equal(rig_write(&r, 0), ERRC_OK);
	assert_true(has(&r.out, row->name, "\"x\""));
	rig_fini(&r);
}

/* Refused, but not where it asks for nothing. */
static void refuse(enum chat_id id)
{
	static const char *const off[] = {"null", "false", "[]", "\"\""};
	const struct chat_field *row = chat_field_row(id);
	struct rig r;

	refused(PTABLE_OPENAI, row->name, "{\"a\":1}", row->name, row->why);
	refused(PTABLE_ANTHROPIC, row->name, "true", row->name, row->why);
	for (size_t i = 0; i < ARRAY_LEN(off); i++) {
		assert_int_equal(go(&r, PTABLE_OPENAI, DIALECT_CHAT, row->name, off[i]), ERRC_OK);
		rig_fini(&r);
	}
}

/* As much as null where it stands for nothing, and only there. */
static void off_in_other_words(void **state)
{
	static const struct {
		enum chat_id id;
		const char *value;
	} off[] =
		{
			{CHAT_ID_EXTRA_BODY, "{}"},
			{CHAT_ID_EXTRA_BODY, "{ }"},
			{CHAT_ID_SEARCH_OPTIONS, "{}"},
			{CHAT_ID_SEARCH_PARAMETERS, "{\"mode\":\"off\"}"},
			{CHAT_ID_SEARCH_PARAMETERS, "{ \"mode\" : \"off\" }"},
		},
	  on[] = {
		  {CHAT_ID_EXTRA_BODY, "{\"mode\":\"off\"}"},
		  {CHAT_ID_SEARCH_OPTIONS, "{\"forced_search\":false}"},
		  {CHAT_ID_SEARCH_PARAMETERS, "{}"},
		  {CHAT_ID_SEARCH_PARAMETERS, "{\"mode\":\"auto\"}"},
		  {CHAT_ID_SEARCH_PARAMETERS, "{\"Mode\":\"off\"}"},
		  {CHAT_ID_SEARCH_PARAMETERS, "{\"mode\":\"off\",\"mode\":\"on\"}"},
		  {CHAT_ID_SEARCH_PARAMETERS, "{\"mode\":\"off\",\"Mode\":\"on\"}"},
		  {CHAT_ID_SEARCH_PARAMETERS, "[{\"mode\":\"off\"}]"},
		  {CHAT_ID_WEB_SEARCH, "{}"},
		  {CHAT_ID_SEARCH_SETTINGS, "{}"},
		  {CHAT_ID_CONTAINER, "{}"},
		  {CHAT_ID_ENABLE_SEARCH, "-1"},
		  {CHAT_ID_N_PREDICT, "0"},
		  {CHAT_ID_N_PREDICT, "-2"},
		  {CHAT_ID_N_PREDICT, "-1e9"},
		  {CHAT_ID_N_PREDICT, "{}"},
		  {CHAT_ID_N_PREDICT, "1"},
		  {CHAT_ID_N_CMPL, "16"},
		  {CHAT_ID_N_CMPL, "0"},
		  {CHAT_ID_N_CMPL, "\"1\""},
		  {CHAT_ID_NUM_RETURN_SEQUENCES, "2"},
		  {CHAT_ID_CANDIDATE_COUNT, "2"},
		  {CHAT_ID_NUM_GENERATIONS, "2"},
	  };
	struct rig r;

	for (size_t i = 0; i < ARRAY_LEN(off); i++) {
		passes(off[i].id, off[i].value, false);
		if (go(&r, PTABLE_ANTHROPIC, DIALECT_CHAT, chat_field_row(off[i].id)->name,
		       off[i].value))
			fail_msg("%s", r.fault.message);
		assert_false(has(&r.out, chat_field_row(off[i].id)->name, ""));
		rig_fini(&r);
	}
	for (size_t i = 0; i < ARRAY_LEN(on); i++) {
		const struct chat_field *row = chat_field_row(on[i].id);

		refused(PTABLE_OPENAI, row->name, on[i].value, row->name, row->why);
		refused(PTABLE_ANTHROPIC, row->name, on[i].value, row->name, row->why);
	}
	/* It is on with its defaults. */
	assert_int_equal(go(&r, PTABLE_OPENAI, DIALECT_CHAT, "web_search_options", "{}"), ERRC_OK);
	assert_true(r.facts.searches > 0);
	rig_fini(&r);
}

/* To some providers a cap that is off goes before max_tokens: it is not said to them. */
static void no_cap_of_its_own(void **state)
{
	static const char *const values[] = {"-1", "null"};

	for (enum chat_id id = CHAT_ID_NONE + 1; id < CHAT_ID_TOP_END; id++) {
		const struct chat_field *row = chat_field_row(id);
		struct rig r;

		if (row->rule != CHAT_FIELD_CAP)
			continue;
		for (unsigned i = 0; i < 2 * ARRAY_LEN(values); i++) {
			enum ptable_dialect back = i % 2 ? PTABLE_ANTHROPIC : PTABLE_OPENAI;
			struct held plain = plain_hold(DIALECT_CHAT), h;

			if (go(&r, back, DIALECT_CHAT, row->name, values[i / 2]))
				fail_msg("%s: %s", row->name, r.fault.message);
			h = held_of(&r.facts);
			assert_memory_equal(&h, &plain, sizeof(h));
			assert_false(has(&r.out, row->name, ""));
			rig_fini(&r);
		}
	}
}

/* A server may put them before n. */
static void one_answer_by_another_name(void **state)
{
	static const enum chat_id ids[] = {CHAT_ID_N_CMPL, CHAT_ID_NUM_RETURN_SEQUENCES,
					   CHAT_ID_CANDIDATE_COUNT, CHAT_ID_NUM_GENERATIONS};

	for (size_t i = 0; i < 2 * ARRAY_LEN(ids); i++) {
		const char *name = chat_field_row(ids[i / 2])->name;
		struct held plain = plain_hold(DIALECT_CHAT), h;
		struct rig r;

		if (go(&r, i % 2 ? PTABLE_ANTHROPIC : PTABLE_OPENAI, DIALECT_CHAT, name, "1"))
			fail_msg("%s: %s", name, r.fault.message);
		h = held_of(&r.facts);
		assert_memory_equal(&h, &plain, sizeof(h));
		assert_false(has(&r.out, name, ""));
		rig_fini(&r);
	}
}

/* All that a back leaves out or puts in at once. */
static void every_edit_in_one_request(void **state)
{
	static char body[8192];
	size_t n = (size_t)snprintf(body, sizeof(body),
				    "{\"model\":\"other\",\"messages\":[{\"role\":\"user\","
				    "\"content\":\"x\"}],\"stream\":true,\"max_tokens\":7");
	struct rig r;

	for (enum chat_id id = CHAT_ID_NONE + 1; id < CHAT_ID_TOP_END; id++) {
		const struct chat_field *row = chat_field_row(id);

		if (row->rule == CHAT_FIELD_CAP || row->rule == CHAT_FIELD_OWN)
			n += (size_t)snprintf(body + n, sizeof(body) - n, ",\"%s\":%s,\"k%d\":1",
					      row->name, row->rule == CHAT_FIELD_CAP ? "-1" : "[]",
					      (int)id);
	}
	snprintf(body + n, sizeof(body) - n,
		 ",\"stream_options\":{\"include_usage\":false},\"max_completion_tokens\":null,"
		 "\"encoding_format\":\"base64\"}");
	rig_init(&r, PTABLE_OPENAI);
	r.offer.cap_field = SLICE_LIT("max_completion_tokens");
	r.provider.embeddings_base64 = false;
	assert_int_equal(rig_ask(&r, DIALECT_CHAT, body), ERRC_OK);
	assert_int_equal(rig_write(&r, 5), ERRC_OK);
	assert_true(has(&r.out, "max_completion_tokens", "5"));
	assert_false(has(&r.out, "max_tokens", ""));
	assert_false(has(&r.out, "n_predict", ""));
	rig_fini(&r);
}

static void usage_is_asked_for(enum chat_id id)
{
	struct rig r;

	assert_int_equal(id, CHAT_ID_STREAM_OPTIONS);
	assert_int_equal(
		go(&r, PTABLE_OPENAI, DIALECT_CHAT, "stream_options", "{\"include_usage\":false}"),
		ERRC_OK);
	assert_true(has(&r.out, "include_usage", "true"));
	assert_false(has(&r.out, "include_usage", "false"));
	rig_fini(&r);
}

static void every_field_by_its_rule(void **state)
{
	for (enum chat_id id = CHAT_ID_NONE + 1; id < CHAT_ID_TOP_END; id++) {
		const struct chat_field *row = chat_field_row(id);

		assert_ptr_equal(chat_field_named(slice_str(row->name)), row);
		assert_true((row->rule == CHAT_FIELD_ONLY) == (row->values[0] != '\0'));
		/* Who is refused or charged learns why. */
		assert_true(row->rule == CHAT_FIELD_PASS || row->rule == CHAT_FIELD_OWN ||
			    row->why[0]);
		switch (row->rule) {
		case CHAT_FIELD_PASS:
		case CHAT_FIELD_USAGE:
			passes(id, sample_of(id), false);
			break;
		case CHAT_FIELD_COUNT:
		case CHAT_FIELD_UNIT:
			assert_non_null(samples[id].json);
			passes(id, sample_of(id), true);
			break;
		case CHAT_FIELD_ONLY:
			only(id);
			break;
		case CHAT_FIELD_FORCE:
			usage_is_asked_for(id);
			break;
		case CHAT_FIELD_OWN:
			own(id);
			break;
		case CHAT_FIELD_CAP:
			refused(PTABLE_OPENAI, row->name, "4000", row->name, row->why);
			refuse(id);
			break;
		case CHAT_FIELD_REFUSE:
			refuse(id);
			break;
		}
	}
}

static void every_field_at_an_anthropic_back(void **state)
{
	for (enum chat_id id = CHAT_ID_NONE + 1; id < CHAT_ID_TOP_END; id++) {
		const struct chat_field *row = chat_field_row(id);
		const char *value = samples[id].alone ? samples[id].alone : sample_of(id);
		char ordinary[64];
		struct rig r;

		if (row->rule == CHAT_FIELD_REFUSE || row->rule == CHAT_FIELD_CAP ||
		    row->rule == CHAT_FIELD_FORCE)
			continue;
		if (row->rule == CHAT_FIELD_ONLY) {
			snprintf(ordinary, sizeof(ordinary), "\"" SLICE_FMT "\"",
				 SLICE_ARG(chat_field_ordinary(row)));
			value = ordinary;
		}
		if (row->anthropic == CHAT_FIELD_NOT) {
			/* The other operations have no Anthropic back. */
			if (samples[id].op == DIALECT_CHAT)
				refused(PTABLE_ANTHROPIC, row->name, value, row->name, row->name);
			continue;
		}
		if (go(&r, PTABLE_ANTHROPIC, DIALECT_CHAT, row->name, value))
			fail_msg("%s: %s", row->name, r.fault.message);
		if (row->anthropic == CHAT_FIELD_LEFT || row->rule == CHAT_FIELD_OWN)
			assert_false(has(&r.out, row->name, ""));
		rig_fini(&r);
	}
}

/* A message whose content is this one part beside a text. */
static const char *message_with(const char *part)
{
	static char text[1024];

	snprintf(text, sizeof(text),
		 "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"%s}]}]", part);
	return text;
}

static void places_inside(void **state)
{
	static const char *const parts[CHAT_PART_COUNT] = {
		[CHAT_PART_PART_IMAGE] = "},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:"
					 "image/png;base64,AAAA\"}",
		[CHAT_PART_PART_AUDIO] = "},{\"type\":\"input_audio\",\"input_audio\":{\"data\":"
					 "\"AAAA\",\"format\":\"wav\"}",
		[CHAT_PART_PART_FILE] = "},{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\","
					"\"file_data\":\"data:application/pdf;base64,AAAA\"}",
		[CHAT_PART_PART_AUDIO_URL] =
			"},{\"type\":\"audio_url\",\"audio_url\":{\"url\":\"https://h/a\"}",
		[CHAT_PART_PART_DOCUMENT] =
			"},{\"type\":\"document_url\",\"document_url\":\"https://h/d\"",
		[CHAT_PART_PART_FILE_URL] =
			"},{\"type\":\"file_url\",\"file_url\":{\"url\":\"https://h/f\"}",
		[CHAT_PART_PART_TYPE] = "},{\"type\":\"hologram\",\"hologram\":\"h\"",
		[CHAT_PART_PART_VIDEO] =
			"},{\"type\":\"video_url\",\"video_url\":{\"url\":\"https://h/v\"}",
		[CHAT_PART_PART_CACHE] =
			",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}",
	};
	struct held bare, h;
	struct rig r;

	assert_int_equal(go(&r, PTABLE_OPENAI, DIALECT_CHAT, "messages", message_with("")), ERRC_OK);
	bare = held_of(&r.facts);
	rig_fini(&r);
	for (enum chat_part i = 0; i < CHAT_PART_COUNT; i++) {
		const struct chat_field *row = chat_field_part(i);
		enum errc e;

		if (row->rule == CHAT_FIELD_ONLY)
			continue;
		assert_non_null(parts[i]);
		assert_int_equal(
			go(&r, PTABLE_OPENAI, DIALECT_CHAT, "messages", message_with(parts[i])),
			ERRC_OK);
		h = held_of(&r.facts);
		if (row->rule == CHAT_FIELD_COUNT)
			assert_true(h.input > bare.input);
		rig_fini(&r);
		e = go(&r, PTABLE_ANTHROPIC, DIALECT_CHAT, "messages", message_with(parts[i]));
		if ((e == ERRC_OK) != (row->anthropic == CHAT_FIELD_SAID))
			fail_msg("%s: %s", row->name, e ? r.fault.message : "is not refused");
		rig_fini(&r);
	}
	assert_int_equal(go(&r, PTABLE_ANTHROPIC, DIALECT_CHAT, "messages",
			    message_with(parts[CHAT_PART_PART_CACHE])),
			 ERRC_OK);
	assert_true(has(&r.out, "ttl", "\"1h\""));
	rig_fini(&r);
}

static void tools_of_a_provider(void **state)
{
	const struct chat_field *row = chat_field_part(CHAT_PART_TOOL_TYPE);
	static const char *const theirs[] = {"web_search",       "web_search_20260318",
					     "code_interpreter", "computer_use_preview",
					     "builtin_function", "mcp"};
	struct slice rest = slice_str(row->values), one;
	char value[128];
	struct rig r;

	while (rest.n) {
		(void)slice_cut(&rest, '|', &one);
		snprintf(value, sizeof(value),
			 "[{\"type\":\"" SLICE_FMT "\",\"" SLICE_FMT "\":{\"name\":\"f\"}}]",
			 SLICE_ARG(one), SLICE_ARG(one));
		assert_int_equal(go(&r, PTABLE_OPENAI, DIALECT_CHAT, "tools", value), ERRC_OK);
		rig_fini(&r);
	}
	for (size_t i = 0; i < ARRAY_LEN(theirs); i++) {
		snprintf(value, sizeof(value), "[{\"type\":\"%s\",\"name\":\"f\"}]", theirs[i]);
		refused(PTABLE_OPENAI, "tools", value, "tools[0].type", "no price");
		refused(PTABLE_ANTHROPIC, "tools", value, "tools[0].type", "no price");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_by_its_rule),
		cmocka_unit_test(every_field_at_an_anthropic_back),
		cmocka_unit_test(off_in_other_words),
		cmocka_unit_test(no_cap_of_its_own),
		cmocka_unit_test(one_answer_by_another_name),
		cmocka_unit_test(every_edit_in_one_request),
		cmocka_unit_test(places_inside),
		cmocka_unit_test(tools_of_a_provider),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
