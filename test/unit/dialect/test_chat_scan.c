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

/* A message of these members beside its role, scanned at every split point, which must not matter. */
static struct bound bound_of_message(const char *members, uint32_t *needs)
{
	static char body[16384];
	struct bound first = {0};
	struct rig r;

	assert_true(snprintf(body, sizeof(body),
			     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",%s}]}",
			     members) < (int)sizeof(body));
	for (unsigned split = 0; split <= strlen(body); split += 1 + split / 50) {
		ask(&r, DIALECT_CHAT, body, split);
		if (!split) {
			first = r.facts.bound;
			*needs = r.facts.needs & ~(uint32_t)PTABLE_IS_CHAT;
		}
		assert_memory_equal(&first, &r.facts.bound, sizeof(first));
		assert_int_equal(r.facts.media_url, first.whole_context);
		rig_fini(&r);
	}
	return first;
}

static struct bound bound_of_part(const char *part, uint32_t *needs)
{
	char content[2048];

	assert_true(snprintf(content, sizeof(content), "\"content\":[%s]", part) <
		    (int)sizeof(content));
	return bound_of_message(content, needs);
}

static const struct {
	const char *part;
	uint32_t needs;
} elsewhere[] = {
	{"{\"type\":\"document_url\",\"document_url\":\"https://x/a.pdf\"}", PTABLE_CAN_DOCUMENT_IN},
	{"{\"type\":\"document_url\",\"document_url\":{\"url\":\"https://x/a.pdf\"}}",
	 PTABLE_CAN_DOCUMENT_IN},
	{"{\"type\":\"file\",\"file\":{\"file_data\":\"https://x/a.pdf\"}}", PTABLE_CAN_DOCUMENT_IN},
	{"{\"type\":\"file\",\"file\":{\"file_url\":\"https://x/a.pdf\"}}", PTABLE_CAN_DOCUMENT_IN},
	{"{\"type\":\"file\",\"file\":\"https://x/a.pdf\"}", PTABLE_CAN_DOCUMENT_IN},
	{"{\"type\":\"file\",\"file_id\":\"abc\"}", PTABLE_CAN_DOCUMENT_IN},
	{"{\"type\":\"file_url\",\"file_url\":{\"url\":\"https://x/a\"}}", PTABLE_CAN_DOCUMENT_IN},
	{"{\"type\":\"input_file\",\"file_url\":\"https://x/a.pdf\"}", PTABLE_CAN_DOCUMENT_IN},
	{"{\"type\":\"input_audio\",\"input_audio\":\"https://x/a.wav\"}", PTABLE_CAN_AUDIO_IN},
	{"{\"type\":\"input_audio\",\"input_audio\":{\"data\":\" s3:x\"}}", PTABLE_CAN_AUDIO_IN},
	{"{\"type\":\"input_audio\",\"input_audio\":{\"url\":\"http:\\/\\/x\"}}",
	 PTABLE_CAN_AUDIO_IN},
	{"{\"type\":\"audio_url\",\"audio_url\":{\"url\":\"https://x/a\"}}", PTABLE_CAN_AUDIO_IN},
	{"{\"type\":\"image_url\",\"image_url\":[\"https://x/a\"]}", PTABLE_CAN_IMAGE_IN},
	{"{\"type\":\"input_image\",\"image\\u005furl\":\"https://x/a\"}", PTABLE_CAN_IMAGE_IN},
	{"{\"type\":\"video_url\",\"video_url\":{\"url\":\"data:video/mp4;base64,A\"}}", 0},
	/* Names of files elsewhere, not base64. */
	{"{\"type\":\"file\",\"file\":\"fileabc123\"}", PTABLE_CAN_DOCUMENT_IN},
	{"{\"type\":\"document_url\",\"document_url\":\"doc\"}", PTABLE_CAN_DOCUMENT_IN},
	{"{\"type\":\"audio_url\",\"audio_url\":{\"url\":\"/data/audio1\"}}", PTABLE_CAN_AUDIO_IN},
	{"{\"type\":\"input_audio\",\"input_audio\":\"a-" A260 "\"}", PTABLE_CAN_AUDIO_IN},
	{"{\"type\":\"input_audio\",\"input_audio\":\"a_" A260 "\"}", PTABLE_CAN_AUDIO_IN},
	/* Media whose data stand where nobody looks, or are another's. */
	{"{\"type\":\"file\"}", 0},
	{"{\"type\":\"file\",\"file\":{\"uri\":\"https://x/a\"}}", 0},
	{"{\"type\":\"file\",\"url\":\"https://x/a\"}", 0},
	{"{\"type\":\"input_file\",\"id\":\"x\"}", 0},
	{"{\"type\":\"file_url\",\"x\":{\"file_url\":\"data:text/plain;base64,AA\"}}",
	 PTABLE_CAN_DOCUMENT_IN},
	{"{\"type\":\"document_url\",\"url\":\"https://x/a\"}", 0},
	{"{\"type\":\"input_audio\",\"input_audio\":{\"id\":\"a\"}}", 0},
	{"{\"type\":\"audio_url\",\"url\":\"https://x/a\"}", 0},
	{"{\"type\":\"image_url\",\"image_url\":{\"url\":null}}", 0},
	{"{\"type\":\"input_image\",\"image\":\"https://x/a\"}", 0},
	{"{\"type\":\"video_url\"}", 0},
	{"{\"type\":\"file\",\"file\":{\"uri\":\"x\"},\"image_url\":\"data:image/"
	 "png;base64,AA\"}",
	 PTABLE_CAN_IMAGE_IN},
	{"{\"type\":\"file\",\"type\":\"text\",\"text\":\"x\"}", 0},
	{"{\"type\":\"image_url\",\"image_url\":\"data:image/png;base64,AA\"},{\"type\":"
	 "\"image_url\"}",
	 PTABLE_CAN_IMAGE_IN},
	/* Pictures that may be larger than others. */
	{"{\"type\":\"image_url\",\"image_url\":\"data:image/"
	 "png;base64,AA\",\"max_pixels\":9}",
	 PTABLE_CAN_IMAGE_IN},
	{"{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/"
	 "png;base64,AA\",\"min_pixels\":9}}",
	 PTABLE_CAN_IMAGE_IN},
	/* Parts that nobody knows, or that do not say what they are. */
	{"{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://x\"}}", 0},
	{"{\"type\":\"hologram\"}", 0},
	{"{\"type\":\"text\",\"type\":\"hologram\",\"text\":\"x\"}", 0},
	{"{\"type\":\"text_and_much_more_than_fits\"}", 0},
	{"{\"type\":[\"text\"]}", 0},
	{"{\"image\":\"https://x\"}", 0},
	{"{}", 0},
	{"{\"type\":\"text\",\"text\":\"x\"},{\"x\":{\"type\":\"text\"}}", 0},
	{"[{\"type\":\"text\",\"text\":\"x\"}]", 0},
};

#define DATA_PNG   "data:image/png;base64,AAAA"
#define IMAGE(url) "{\"type\":\"image_url\",\"image_url\":{\"url\":\"" url "\"}}"

static void what_stands_elsewhere_is_the_whole_context(void **state)
{
	static const char *const members[] = {
		"\"content\":{\"type\":\"text\",\"text\":\"x\"}",
		"\"content\":\"x\",\"audio\":{\"id\":\"audio_1\"}",
		"\"content\":[{\"type\":\"text\",\"content\":[{\"type\":\"hologram\"}]}]",
		"\"content\":[{\"type\":\"text\",\"content\":[{\"type\":\"file\"}]}]",
		"\"content\":\"fileid://a\"",
		"\"content\":[{\"type\":\"text\",\"text\":\"fileid:\\/\\/a\"}]",
		"\"content\":\"x\",\"file_ids\":[\"a\"]",
		"\"content\":\"x\",\"files\":[{\"id\":\"a\"}]",
		"\"content\":\"x\",\"files\":{}",
		"\"content\":\"x\",\"images\":[7]",
		/* Images of an answer that are not there, or not as it had them. */
		"\"images\":[\"https://x/a\"]",
		"\"images\":[\"" DATA_PNG "\"]",
		"\"images\":{\"type\":\"image_url\",\"image_url\":{\"url\":\"" DATA_PNG "\"}}",
		"\"images\":[{}]",
		"\"images\":[{\"type\":\"image_url\"}]",
		"\"images\":[" IMAGE(DATA_PNG) ",{\"type\":\"image_url\"}]",
		"\"images\":[" IMAGE("https://x/a.png") "]",
		"\"images\":[{\"type\":\"image_url\",\"image_url\":{\"url\":null}}]",
		"\"images\":[{\"type\":\"image_url\",\"image_url\":[\"" DATA_PNG "\"]},7]",
		"\"images\":[{\"type\":\"image_url\",\"image_url\":[\"" DATA_PNG "\"]}]",
		"\"images\":[{\"type\":\"hologram\",\"image_url\":{\"url\":\"" DATA_PNG "\"}}]",
		"\"images\":[{\"type\":\"video_url\",\"image_url\":{\"url\":\"" DATA_PNG "\"}}]",
		"\"images\":[{\"image_url\":{\"url\":\"" DATA_PNG "\",\"max_pixels\":9}}]",
		"\"images\":[{\"image_url\":{\"url\":\"" DATA_PNG "\",\"id\":\"a\"}}]",
		"\"images\":[{\"image_url\":{\"url\":\"" DATA_PNG "\"},\"file_id\":\"a\"}]",
		"\"images\":[{\"image_url\":{\"url\":\"" DATA_PNG "\"},\"b\":{\"url\":\"a\"}}]",
		"\"images\":[{\"b\":{\"image_url\":{\"url\":\"" DATA_PNG "\"}}}]",
		"\"images\":[[" IMAGE(DATA_PNG) "]]",
		"\"a\":{\"images\":[" IMAGE("https://x/a.png") "]}",
	};
	uint32_t needs;

	for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++) {
		if (!bound_of_part(elsewhere[i].part, &needs).whole_context)
			fail_msg("%s", elsewhere[i].part);
		assert_int_equal(needs, elsewhere[i].needs);
	}
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		assert_true(bound_of_message(members[i], &needs).whole_context);
}

#define N30           "012345678901234567890123456789"
#define FILE_OF(data) "{\"type\":\"file\",\"file\":{\"file_data\":\"" data "\"}}"

static void what_comes_with_the_request_counts_by_its_size(void **state)
{
	static const struct {
		const char *part;
		uint64_t media_bytes, text;
		uint32_t images;
		bool documents;
	} cases[] = {
		{"{\"type\":\"document_url\",\"document_url\":\"data:application/"
		 "pdf;base64,AAAAAA\",\"document_name\":\"a.pdf\"}",
		 24, 13 + 1 + 1 + 2, 0, true},
		{"{\"type\":\"file\",\"file\":{\"file_data\":\"" A260 "\",\"filename\":\"a\"}}",
		 195, 1, 0, true},
		/* A text is no PDF: each byte may be a token. */
		{"{\"type\":\"file\",\"file\":{\"file_data\":\"data:text/plain;base64,AAAAA\"}}", 0,
		 21, 0, false},
		{FILE_OF("data:Text/plain;base64,AAAAA"), 0, 21, 0, false},
		{FILE_OF("data:APPLICATION/json;base64,AAAA"), 0, 24, 0, false},
		/* By its name only; or how it begins is not seen. */
		{FILE_OF("data:text/plain;base64,JVBERi0xLj"), 24, 0, 0, true},
		{FILE_OF("data:application/json;base64,UEsDBAAA"), 27, 0, 0, true},
		{FILE_OF("data:text/plain;x=" N30 N30 N30 ";base64,AAAA"), 90, 0, 0, true},
		{FILE_OF("data:text/plain;x=" N30 N30 ";base64,AAAA"), 0, 66, 0, false},
		/* A picture with a name; the end of what is seen is that of the head, of the mark and of the mark but one. */
		{IMAGE("data:image/png;name=" N30 N30 ";base64,AAAA" A20), 0, 0, 1, false},
		{IMAGE("data:image/png;name=" N30 N30 "01;base64,AAAA" A20), 0, 0, 1, false},
		{IMAGE("data:image/png;name=" N30 N30 "012;base64,AAAA" A20), 84, 0, 1, true},
		{IMAGE("data:image/png;name=" N30 N30 "01;base64,JVBERi" A20), 87, 0, 1, true},
		{IMAGE("data:image/png;name=" N30 N30 "012;base64,JVBERi" A20), 87, 0, 1, true},
		{IMAGE("data:image/png;name=" N30 N30 "01234567;base64,JVBERi" A20), 90, 0, 1, true},
		{IMAGE("data:image/png;name=" N30 N30 N30 ";base64,AAAA" A20), 105, 0, 1, true},
		{FILE_OF("data:text/plain,JVBE"), 15, 0, 0, true},
		{FILE_OF("data:audio/wav;base64,A"), 15, 0, 0, true},
		{"{\"type\":\"input_audio\",\"input_audio\":\"data:application/pdf;base64,AAAA\"}",
		 24, 0, 0, true},
		{"{\"type\":\"input_audio\",\"input_audio\":\"JVBERi0x" A260 "\"}", 201, 0, 0, true},
		{"{\"type\":\"image_url\",\"image_url\":\"data:image/png;base64,JVBERi\"}", 21, 0,
		 1, true},
		{"{\"type\":\"image_url\",\"image_url\":\"data:IMAGE/png;base64,AAAA\"}", 0, 0, 1,
		 false},
		{"{\"type\":\"input_audio\",\"input_audio\":\"" A260 "\"}", 195, 0, 0, false},
		{"{\"type\":\"audio_url\",\"audio_url\":{\"url\":\"data:audio/wav;base64,AA\"}}",
		 18, 0, 0, false},
		{"{\"type\":\"image_url\",\"image_url\":\"data:image/png;base64,AAAA\"}", 0, 0, 1,
		 false},
		/* No picture has two thousand tokens by being sent as one. */
		{"{\"type\":\"image_url\",\"image_url\":\"data:application/pdf;base64,AAAA\"}", 24,
		 0, 1, true},
		{"{\"type\":\"text\",\"text\":\"ab\",\"cache_control\":{\"type\":\"ephemeral\","
		 "\"ttl\":"
		 "\"5m\"},\"prompt_cache_breakpoint\":null}",
		 0, 1 + 2, 0, false},
		{"{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"ab\"}]}", 0,
		 1 + 1, 0, false},
		{"{\"type\":\"refusal\",\"refusal\":\"ab\"}", 0, 1, 0, false},
		{"\"ab\"", 0, 1 + 1, 0, false},
		{"\"see fileid://\"", 0, 1 + 2 + 3 + 3, 0, false},
		{"{\"type\":\"text\",\"text\":\"ab\",\"max_pixels\":null}", 0, 1 + 0, 0, false},
	};
	uint32_t needs;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct bound b = bound_of_part(cases[i].part, &needs);

		if (b.whole_context || b.media_bytes != cases[i].media_bytes ||
		    b.text != cases[i].text || b.images != cases[i].images ||
		    b.documents != cases[i].documents)
			fail_msg("%s: %d %zu %zu %u %d", cases[i].part, b.whole_context,
				 (size_t)b.media_bytes, (size_t)b.text, b.images, b.documents);
	}
}

/* Wherever it stands, it is a picture. */
static void an_image_of_an_answer_is_a_picture(void **state)
{
	static const struct {
		const char *members;
		uint32_t images;
		bool documents;
	} cases[] = {
		{"\"content\":[" IMAGE(DATA_PNG) "]", 1, false},
		{"\"images\":[" IMAGE(DATA_PNG) "]", 1, false},
		{"\"images\":[" IMAGE(DATA_PNG) "," IMAGE(DATA_PNG) "]", 2, false},
		{"\"images\":[{\"index\":0,\"image_url\":{\"url\":\"" DATA_PNG
		 "\",\"detail\":\"low\"},\"type\":\"image_url\"}]",
		 1, false},
		{"\"images\":[{\"type\":\"image_url\",\"image_url\":\"" DATA_PNG "\"}]", 1, false},
		{"\"images\":[" IMAGE("data:image/png;base64,JVBERi") "]", 1, true},
		{"\"images\":[" IMAGE("data:application/pdf;base64,AAAA") "]", 1, true},
		{"\"images\":[],\"content\":null", 0, false},
	};
	uint32_t needs;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct bound b = bound_of_message(cases[i].members, &needs);

		if (b.whole_context || b.images != cases[i].images ||
		    b.documents != cases[i].documents)
			fail_msg("%s: %d %u %d", cases[i].members, b.whole_context, b.images,
				 b.documents);
		assert_int_equal(needs, b.images ? PTABLE_CAN_IMAGE_IN : 0);
		/* Beside them, no more than the name of the type and what stands around it. */
		assert_true(b.text <= 16 * (uint64_t)b.images + 1);
	}
}

/* What clients send beside the text costs no more than it did. */
static void an_ordinary_history_counts_its_texts(void **state)
{
	uint32_t needs;
	struct bound b = bound_of_message(
		"\"content\":\"ab\"},{\"role\":\"assistant\",\"content\":null,\"refusal\":null,"
		"\"annotations\":[],\"audio\":null,\"files\":[],\"images\":null,\"file_ids\":false,"
		"\"function_call\":null,\"prefix\":false,"
		"\"tool_calls\":[{\"id\":\"ab\",\"type\":\"function\",\"function\":{\"name\":"
		"\"ab\","
		"\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"ab\",\"name\":"
		"\"ab\","
		"\"content\":\"ab\"},{\"role\":\"system\",\"content\":\"ab\"",
		&needs);

	assert_false(b.whole_context);
	assert_int_equal(b.messages, 4);
	assert_int_equal(b.text, 1 + (1 + 1 + 1 + 2) + 3 + 1);
}

static void nothing_in_messages_is_free(void **state)
{
	static const struct {
		const char *head, *unit, *tail; /* 100 times the unit */
		uint64_t least;
	} cases[] = {
		{"\"content\":\"x\"},{\"role\":\"", "word ", "\",\"content\":\"x\"", 500},
		{"\"content\":\"x\",\"a\":[{\"role\":\"", "word ", "\"}]", 500},
		{"\"content\":\"x\",\"a\":[{\"type\":\"", "word ", "\"}]", 500},
		{"\"content\":\"x\",\"a\":[0", ",{\"role\":\"7777\"}", "]", 500},
		{"\"content\":[7", ",77", "]", 300},
		{"\"content\":[null", ",null", "]", 100},
		{"\"content\":7", "77", "", 201},
		{"\"content\":\"x\",\"", "word ", "\":1", 501},
		{"\"content\":\"x\",\"", "\\u0061", "\":1", 101},
		{"\"content\":\"x\",\"a\":{\"b\":1", ",\"key\":null", "}", 300},
		{"\"content\":\"x\",\"tool_calls\":[{}", ",{}", "]", 100},
	};
	uint32_t needs;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[4096];
		size_t n = (size_t)snprintf(text, sizeof(text), "%s", cases[i].head);
		uint64_t got;

		for (unsigned k = 0; k < 100; k++)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", cases[i].unit);
		snprintf(text + n, sizeof(text) - n, "%s", cases[i].tail);
		got = bound_of_message(text, &needs).text;
		if (got < cases[i].least || got > cases[i].least + 20)
			fail_msg("%s%s…: %zu", cases[i].head, cases[i].unit, (size_t)got);
	}
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
	rig_fini(&r);
	ask(&r, DIALECT_COMPLETIONS, "{\"model\":\"m\",\"prompt\":[1,2,3]}", 0);
	assert_int_equal(r.facts.copies, 1);
	assert_int_equal(r.facts.bound.text, 3);
	rig_fini(&r);
	ask(&r, DIALECT_EMBEDDINGS,
	    "{\"model\":\"m\",\"input\":[[1,2],[3]],\"encoding_format\":\"base64\"}", 0);
	assert_int_equal(r.facts.copies, 1);
	assert_int_equal(r.facts.bound.text, 3);
	assert_int_equal(r.facts.encoding, DIALECT_ENC_BASE64);
	assert_int_equal(r.facts.needs, PTABLE_IS_EMBEDDING);
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
		cmocka_unit_test(what_stands_elsewhere_is_the_whole_context),
		cmocka_unit_test(what_comes_with_the_request_counts_by_its_size),
		cmocka_unit_test(an_image_of_an_answer_is_a_picture),
		cmocka_unit_test(an_ordinary_history_counts_its_texts),
		cmocka_unit_test(nothing_in_messages_is_free),
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
