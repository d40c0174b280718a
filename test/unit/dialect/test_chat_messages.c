/* How the messages of a body count: their texts, media by value and what stands elsewhere; fed at every split point. */
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

/* As much base64 as no name of a file has. */
#define A20  "AAAAAAAAAAAAAAAAAAAA"
#define A260 A20 A20 A20 A20 A20 A20 A20 A20 A20 A20 A20 A20 A20

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
	{"{\"type\":\"image_url\",\"image_url\":{\"url\":null}}", PTABLE_CAN_IMAGE_IN},
	{"{\"type\":\"input_image\",\"image\":\"https://x/a\"}", PTABLE_CAN_IMAGE_IN},
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
	{"{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://x\"}}",
	 PTABLE_CAN_IMAGE_IN},
	{"{\"type\":\"hologram\"}", 0},
	{"{\"type\":\"text\",\"type\":\"hologram\",\"text\":\"x\"}", 0},
	{"{\"type\":\"text_and_much_more_than_fits\"}", 0},
	{"{\"type\":[\"text\"]}", 0},
	{"{\"image\":\"https://x\"}", PTABLE_CAN_IMAGE_IN},
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
		/* Addresses by names that nobody knows. */
		"\"content\":\"x\",\"image\":\"https://x/a\"",
		"\"content\":\"x\",\"image\":\"HTTPS:\\/\\/x\"",
		"\"content\":\"x\",\"pictures\":[\"a\",[\"gs://x\"]]",
		"\"content\":\"x\",\"picture\":{\"source\":\"DATA:image/png;base64,AA\"}",
		"\"content\":[{\"type\":\"text\",\"text\":\"x\",\"x\":{\"y\":\"s3://a\"}}]",
		"\"content\":[{\"type\":\"text\",\"text\":\"x\",\"x\":[\"s3://a\"]}]",
		"\"content\":[{\"type\":\"reference\",\"url\":\"x\"}]",
	};
	uint32_t needs;

	for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++) {
		if (!bound_of_part(elsewhere[i].part, &needs).whole_context)
			fail_msg("%s", elsewhere[i].part);
		if (needs != elsewhere[i].needs)
			fail_msg("%s: %x", elsewhere[i].part, needs);
	}
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		assert_true(bound_of_message(members[i], &needs).whole_context);
}

static void an_address_in_a_text_is_text(void **state)
{
	static const char *const members[] = {
		"\"content\":\"https://x/a\"",
		"\"content\":[{\"type\":\"text\",\"text\":\"https://x/a\"}]",
		"\"content\":[{\"type\":\"text\",\"content\":[\"https://x/a\"]}]",
		"\"content\":\"x\",\"citations\":[\"https://x/a\"]",
		"\"content\":\"x\",\"annotations\":[{\"type\":\"url_citation\",\"url_citation\":"
		"{\"url\":\"https://x/a\",\"title\":\"https://x\"}}]",
		"\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\","
		"\"arguments\":\"https://x/a\",\"x\":\"https://x\"}}]",
		"\"content\":\"x\",\"unknown\":\"x\",\"other\":7,\"third\":{\"a\":[\"b\"]}",
	};
	uint32_t needs;

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (bound_of_message(members[i], &needs).whole_context)
			fail_msg("%s", members[i]);
}

/* A field that nobody knows may ask for a search, or name what stands elsewhere. */
static void an_unknown_field_may_be_the_whole_context(void **state)
{
	static const struct {
		const char *value;
		bool whole_context;
	} cases[] = {
		{"7", false},        {"-0.5", false}, {"null", false}, {"false", false},
		{"[]", false},       {"\"\"", false}, {"true", true},  {"{}", true},
		{"{\"a\":1}", true}, {"[1]", true},   {"\"x\"", true}, {"[ ]", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char body[256];
		struct rig r;

		snprintf(body, sizeof(body),
			 "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
			 "\"new_field\":%s}",
			 cases[i].value);
		ask(&r, DIALECT_CHAT, body, 0);
		if (r.facts.bound.whole_context != cases[i].whole_context)
			fail_msg("%s", cases[i].value);
		rig_fini(&r);
	}
}

/* It is a program: a loop over a short question is a prompt of any length. */
static void a_template_is_the_whole_context(void **state)
{
	static const struct {
		const char *members;
		bool whole_context;
	} cases[] = {
		{"\"chat_template\":\"{{ messages }}\"", true},
		{"\"chat_template\":null", false},
		{"\"chat_template\":\"\"", false},
		{"\"chat_template_kwargs\":{\"enable_thinking\":false}", false},
		{"\"chat_template_kwargs\":{\"enable_thinking\":true,\"effort\":\"high\"}", false},
		{"\"chat_template_kwargs\":{\"chat_template\":null}", false},
		{"\"chat_template_kwargs\":{\"a\":1,\"chat\\u005ftemplate\":\"{{ messages }}\"}",
		 true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char body[256];
		struct rig r;

		snprintf(
			body, sizeof(body),
			"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],%s}",
			cases[i].members);
		ask(&r, DIALECT_CHAT, body, 0);
		if (r.facts.bound.whole_context != cases[i].whole_context)
			fail_msg("%s", cases[i].members);
		rig_fini(&r);
	}
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

struct pictures {
	const char *what;
	uint32_t images;
};

static void expect_pictures(const struct pictures *of, size_t n,
			    struct bound (*bound)(const char *, uint32_t *))
{
	for (size_t i = 0; i < n; i++) {
		uint32_t needs;
		struct bound b = bound(of[i].what, &needs);

		if (b.images != of[i].images || !(needs & PTABLE_CAN_IMAGE_IN) != !b.images)
			fail_msg("%s: %u %x", of[i].what, b.images, needs);
	}
}

#define SOURCE "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"data\":\"AAAA\"}}"

/* Each picture is one, whatever the provider's name for it is, and one only. */
static void a_picture_by_another_name_is_a_picture(void **state)
{
	static const struct pictures parts[] = {
		{SOURCE, 1},
		{SOURCE "," SOURCE "," IMAGE(DATA_PNG) ",{\"type\":\"text\",\"text\":\"x\"}", 3},
		{"{\"source\":{\"data\":\"AAAA\"},\"type\":\"image\"}", 1},
		{"{\"type\":\"image\",\"image\":\"https://x\"}", 1},
		{"{\"image\":{\"url\":\"https://x\"},\"type\":\"image\"}", 1},
		{"{\"type\":\"image\",\"image\":[\"a\",{\"b\":\"c\"},null]}", 2},
		{"{\"type\":\"image\",\"image\":\"a\",\"image_url\":\"" DATA_PNG "\"}", 1},
		{"{\"type\":\"image\",\"url\":\"https://x\"}", 1},
		{"{\"type\":\"image\",\"path\":\"a.png\"}", 1},
		{"{\"type\":\"image_url\",\"url\":\"https://x\"}", 1},
		{"{\"type\":\"input_image\",\"file_id\":\"a\"}", 1},
		{"{\"type\":\"image_file\",\"image_file\":{\"file_id\":\"a\"}}", 1},
		{"{\"type\":\"image_embeds\",\"image_embeds\":\"AAAA\"}", 1},
		{"{\"type\":\"image_embeds\",\"image_embeds\":{\"image_embeds\":\"AAAA\","
		 "\"image_grid_thw\":\"AAAA\"}}",
		 1},
		{"{\"type\":\"images\",\"images\":[\"AAAA\",\"AAAA\"]}", 2},
		/* Without a type. */
		{"{\"image\":\"https://x\"}", 1},
		{"{\"image\":\"https://x\"},{\"text\":\"what is it?\"},{\"image\":\"AAAA\"}", 2},
		{"{\"image_embeds\":[\"AAAA\",\"AAAA\"]}", 2},
		{"{\"image_url\":{\"url\":\"" DATA_PNG "\"}}", 1},
		/* Those of a tool's answer. */
		{"{\"type\":\"tool_result\",\"content\":[" SOURCE
		 "," IMAGE(DATA_PNG) ",{\"type\":\"text\",\"text\":\"x\"}]}",
		 2},
		{"{\"type\":\"file\",\"file\":{\"file_data\":\"data:Image/png;base64,AAAA\"}}", 1},
		/* None. */
		{"{\"type\":\"text\",\"text\":\"image\",\"image\":\"AAAA\"}", 0},
		{"{\"image\":\"AAAA\",\"type\":\"text\",\"text\":\"image\"}", 0},
		{"{\"type\":\"hologram\",\"source\":{\"type\":\"image\",\"image\":\"AAAA\"}}", 0},
		{"{\"image\":null}", 0},
		{"{\"image\":[]}", 0},
		{"{\"type\":\"video\",\"video\":[\"https://x/1.png\",\"https://x/2.png\"]}", 0},
		{"\"image\"", 0},
	};
	static const struct pictures messages[] = {
		{"\"content\":\"x\",\"images\":[\"AAAA\"]", 1},
		{"\"content\":\"x\",\"images\":[\"AAAA\",\"" DATA_PNG "\"]", 2},
		{"\"content\":\"x\",\"images\":[{\"url\":\"https://x\"},{\"data\":\"AAAA\"}," IMAGE(
			 DATA_PNG) "]",
		 3},
		{"\"content\":\"x\",\"images\":\"AAAA\"", 1},
		{"\"content\":\"x\",\"images\":{\"url\":\"https://x\"}", 1},
		{"\"images\":{\"type\":\"image_url\",\"image_url\":{\"url\":\"" DATA_PNG "\"}}", 1},
		{"\"content\":\"x\",\"images\":null", 0},
		{"\"content\":\"x\",\"image\":\"AAAA\"", 1},
		{"\"content\":\"x\",\"image\":[\"AAAA\",\"AAAA\"]", 2},
		{"\"content\":" SOURCE, 1},
		{"\"content\":{\"image\":\"AAAA\"}", 1},
		{"\"content\":{\"type\":\"text\",\"image\":\"AAAA\"}", 0},
		{"\"content\":\"x\",\"tool_calls\":[{\"type\":\"function\",\"function\":{\"name\":"
		 "\"image\",\"arguments\":{\"image\":\"a.png\"}}}]",
		 0},
		{"\"content\":\"x\",\"image\":[" IMAGE(DATA_PNG) "],\"images\":[\"AAAA\"]", 2},
	};

	(void)state;
	expect_pictures(parts, ARRAY_LEN(parts), bound_of_part);
	expect_pictures(messages, ARRAY_LEN(messages), bound_of_message);
}

static void pictures_that_are_embedded_are_pictures(void **state)
{
	static const struct pictures inputs[] = {
		{"[{\"image\":\"https://x\"},{\"text\":\"x\"},{\"image\":\"AAAA\"}]", 2},
		{"[" IMAGE(DATA_PNG) "]", 1},
		{"[\"image\",\"x\"]", 0},
		{"{\"image\":\"AAAA\"}", 1},
		{"[{\"text\":\"image\"}]", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
		char body[256];

		snprintf(body, sizeof(body), "{\"model\":\"m\",\"input\":%s}", inputs[i].what);
		for (unsigned split = 0; split <= strlen(body); split++) {
			struct rig r;

			ask(&r, DIALECT_EMBEDDINGS, body, split);
			if (r.facts.bound.images != inputs[i].images)
				fail_msg("%s: %u", body, r.facts.bound.images);
			rig_fini(&r);
		}
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_stands_elsewhere_is_the_whole_context),
		cmocka_unit_test(an_address_in_a_text_is_text),
		cmocka_unit_test(an_unknown_field_may_be_the_whole_context),
		cmocka_unit_test(a_template_is_the_whole_context),
		cmocka_unit_test(what_comes_with_the_request_counts_by_its_size),
		cmocka_unit_test(an_image_of_an_answer_is_a_picture),
		cmocka_unit_test(a_picture_by_another_name_is_a_picture),
		cmocka_unit_test(pictures_that_are_embedded_are_pictures),
		cmocka_unit_test(an_ordinary_history_counts_its_texts),
		cmocka_unit_test(nothing_in_messages_is_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
