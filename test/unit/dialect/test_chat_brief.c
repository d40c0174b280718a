/* What is read of an answer that flows by is what would be read of the same one kept, at every split point and at any moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "chat_brief.h"
#include "chat_chunk.h"
#include "mem.h"
#include "rig.h"
#include "text.h"

/* Longer than what is kept of a string: plain, of other alphabets, in escapes. */
#define PLAIN \
	"The quick brown fox jumps over the lazy dog, again and again and again {\\\"\\\\: }], "
#define WIDE \
	"Zwölf Boxkämpfer, 山で鹿が鳴く 🦌 und zwölf Boxkämpfer jagen Viktor 🦌, "
#define ESCAPED                                                                            \
	"\\u0041\\u00e4\\u5c71\\ud83e\\udd8c\\n\\/\\\"\\ud83e\\ud83e\\udd8c\\udd8c\\u0041" \
	"\\u00e4\\u5c71\\ud83e\\udd8c\\n\\/\\\"\\ud83ex\\udd8c "
#define LONG PLAIN WIDE ESCAPED PLAIN WIDE ESCAPED
#define MESSAGE(members) \
	"{\"id\":\"c1\",\"model\":\"up\",\"choices\":[{\"index\":0,\"message\":{" members "}}]}"

struct row {
	const char *name, *text;
	enum chat_form form;
};

static const struct row rows[] = {
	{"content", MESSAGE("\"role\":\"assistant\",\"content\":\"" LONG "\""), CHAT_FORM_MESSAGE},
	{"short", MESSAGE("\"content\":\"hi\",\"refusal\":null"), CHAT_FORM_MESSAGE},
	{"nothing", "\t {\"choices\" :\r\n [ ] , \"x\" : -1.5e3, \"y\":[], \"z\":{}, \"w\":true} ",
	 CHAT_FORM_MESSAGE},
	{"text",
	 "{\"choices\":[{\"text\":\"" LONG "\",\"logprobs\":{\"tokens\":[\"" LONG
	 "\",\"a]\\\"}\"],\"x\":{}},\"finish_reason\":"
	 "\"stop\"},{\"text\":\"" PLAIN "\",\"finish_reason\":\"max_tokens\"}]}",
	 CHAT_FORM_TEXT},
	{"chances",
	 "{\"service_tier\":\"flex\",\"choices\":[{\"logprobs\":{\"content\":[{\"token\":\"" LONG
	 "\",\"bytes\":[1,2],\"x\":{\"y\":[]}}],\"refusal\":null},\"finish_reason\":\"length\","
	 "\"message\":{\"content\":\"" PLAIN "\",\"annotations\":[]}}],\"prompt_logprobs\":[null,"
	 "{\"1\":{\"choices\":[]}}],\"created\":17}",
	 CHAT_FORM_MESSAGE},
	{"tier behind",
	 "{\"choices\":[{\"message\":{\"content\":\"" WIDE
	 "\"}}],\"usage\":null,\"service_tier\":\"priority\"}",
	 CHAT_FORM_MESSAGE},
	{"pictures",
	 MESSAGE("\"content\":null,\"images\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
		 "\"data:image/png;base64," PLAIN PLAIN "\"}},\"" PLAIN "\",\"\",null]"),
	 CHAT_FORM_MESSAGE},
	{"picture in content",
	 MESSAGE("\"content\":[{\"type\":\"text\",\"text\":\"" LONG
		 "\"},{\"image_url\":{\"url\":\"data:" PLAIN "\"},\"type\":\"image_url\"},\"" WIDE
		 "\"]"),
	 CHAT_FORM_MESSAGE},
	{"sound",
	 MESSAGE("\"audio\":{\"id\":\"a1\",\"transcript\":\"" WIDE "\",\"data\":\"" PLAIN PLAIN
		 "\"}"),
	 CHAT_FORM_MESSAGE},
	{"thoughts",
	 MESSAGE("\"reasoning\":\"" LONG "\",\"reasoning_content\":\"" WIDE
		 "\",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"" WIDE
		 "\",\"signature\":\"" PLAIN
		 "\"},{\"type\":\"reasoning.encrypted\",\"data\":\"" PLAIN
		 "\"}],\"content\":\"" PLAIN "\""),
	 CHAT_FORM_MESSAGE},
	{"thoughts in content",
	 MESSAGE("\"content\":[{\"thinking\":[{\"type\":\"text\",\"text\":\"" LONG
		 "\"}],\"type\":\"thinking\"},{\"type\":\"text\",\"text\":\"" PLAIN "\"}]"),
	 CHAT_FORM_MESSAGE},
	{"calls",
	 MESSAGE("\"tool_calls\":[{\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
		 "\"arguments\":\"" ESCAPED PLAIN
		 "\"}},{\"custom\":{\"name\":\"g\",\"input\":\"" WIDE
		 "\"}},{\"name\":\"h\",\"arguments\":{ \"a\" : [1, \"" LONG
		 "\"] }},{\"mcp\":{\"arguments\":\"" PLAIN "\"}}]"),
	 CHAT_FORM_MESSAGE},
	{"call", MESSAGE("\"function_call\":{\"name\":\"f\",\"arguments\":\"" LONG "\"}"),
	 CHAT_FORM_MESSAGE},
	{"refusal", MESSAGE("\"content\":null,\"refusal\":\"" LONG "\""), CHAT_FORM_MESSAGE},
	{"other", MESSAGE("\"tool_plan\":\"" LONG "\",\"trace_id\":\"" PLAIN "\""),
	 CHAT_FORM_MESSAGE},
	{"error", "{\"choices\":[],\"error\":{\"message\":\"" PLAIN "\",\"code\":\"x\"}}",
	 CHAT_FORM_MESSAGE},
	{"base_resp", "{\"base_resp\":{\"status_msg\":\"\",\"status_code\":1008}}",
	 CHAT_FORM_MESSAGE},
	{"vectors",
	 "{\"data\":[{\"embedding\":[0.1,-2],\"index\":0},{\"embedding\":\"" PLAIN
	 "\"}],\"model\":\"e\"}",
	 CHAT_FORM_MESSAGE},
};

static void check_same(const struct row *row, const struct chat_chunk *want,
		       const struct chat_chunk *got)
{
	if (got->content_bytes != want->content_bytes ||
	    got->reasoning_bytes != want->reasoning_bytes || got->marks != want->marks)
		print_error("%s: %u of %u bytes, %u of %u thought, marks %x of %x\n", row->name,
			    got->content_bytes, want->content_bytes, got->reasoning_bytes,
			    want->reasoning_bytes, got->marks, want->marks);
	assert_int_equal(got->content_bytes, want->content_bytes);
	assert_int_equal(got->reasoning_bytes, want->reasoning_bytes);
	assert_int_equal(got->marks, want->marks);
	assert_int_equal(got->sound_bytes, want->sound_bytes);
	assert_int_equal(got->pictures, want->pictures);
	assert_int_equal(got->choices, want->choices);
	assert_int_equal(got->tier, want->tier);
	assert_int_equal(got->finish, want->finish);
	assert_int_equal(got->created_s, want->created_s);
	assert_true(slice_eq(got->native, want->native));
	assert_true(slice_eq(got->id, want->id));
	assert_true(slice_eq(got->model, want->model));
}

static void push(struct chat_brief *b, struct slice s)
{
	char *copy = mem_dup(s.p, s.n); /* a read's bytes are gone after it */

	assert_int_equal(chat_brief_push(b, slice_of(copy, s.n)), ERRC_OK);
	memset(copy, '"', s.n);
	mem_free(copy);
}

static void test_as_if_kept(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct slice text = slice_str(rows[i].text);
		struct chat_chunk want, got;
		struct chat_brief b;

		assert_true(chat_chunk_read(slice_trim(text), rows[i].form, &want));
		for (size_t cut = 0; cut <= text.n; cut++) {
			chat_brief_init(&b);
			push(&b, slice_sub(text, 0, cut));
			push(&b, slice_sub(text, cut, text.n));
			assert_int_equal(chat_chunk_read_brief(&b, rows[i].form, &got), ERRC_OK);
			check_same(&rows[i], &want, &got);
			assert_true(cut || b.text.len <= text.n);
			chat_brief_fini(&b);
		}
	}
}

/* Byte by byte: each beginning can be read, and what it tells of content grows with it where nothing is said twice. */
static void test_at_any_moment(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct slice text = slice_str(rows[i].text);
		bool twice = strstr(rows[i].name, "thoughts");
		struct chat_chunk want, got = {0};
		struct chat_brief b;
		uint32_t before = 0;

		assert_true(chat_chunk_read(slice_trim(text), rows[i].form, &want));
		chat_brief_init(&b);
		for (size_t at = 0; at < text.n; at++) {
			push(&b, slice_sub(text, at, 1));
			assert_int_equal(chat_chunk_read_brief(&b, rows[i].form, &got), ERRC_OK);
			assert_true(twice || got.content_bytes >= before);
			assert_true(got.content_bytes <= before + 64 || twice);
			before = got.content_bytes;
		}
		check_same(&rows[i], &want, &got);
		chat_brief_fini(&b);
	}
}

/* However long its strings and what is left out are, it stays short. */
static void test_short(void **state)
{
	struct slice x = SLICE_LIT("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
		     lp = SLICE_LIT("{\"token\":\"a\",\"logprob\":-0.1},");
	struct chat_chunk got;
	struct chat_brief b;

	(void)state;
	chat_brief_init(&b);
	push(&b, SLICE_LIT("{\"choices\":[{\"logprobs\":{\"content\":["));
	for (int i = 0; i < 20000; i++)
		push(&b, lp);
	push(&b, SLICE_LIT("{}]},\"message\":{\"content\":\""));
	for (int i = 0; i < 20000; i++)
		push(&b, x);
	assert_int_equal(chat_chunk_read_brief(&b, CHAT_FORM_MESSAGE, &got), ERRC_OK);
	assert_int_equal(got.content_bytes, 20000 * x.n);
	assert_true(b.text.len < 300 && !chat_brief_is_full(&b));
	chat_brief_fini(&b);
}

/* More than it can keep counts as text, and is read no further. */
static void test_full(void **state)
{
	struct slice part = SLICE_LIT("{\"type\":\"text\",\"text\":\"ab\"},");
	struct chat_chunk got;
	struct chat_brief b;
	size_t n = CHAT_BRIEF_MAX / part.n + 500;

	(void)state;
	for (int deep = 0; deep <= 1; deep++) {
		chat_brief_init(&b);
		push(&b, SLICE_LIT("{\"choices\":[{\"message\":{\"content\":["));
		for (size_t i = 0; i < n; i++)
			push(&b, deep ? SLICE_LIT("[\"ab\",") : part);
		assert_int_equal(chat_chunk_read_brief(&b, CHAT_FORM_MESSAGE, &got), ERRC_OK);
		assert_true(chat_brief_is_full(&b));
		assert_true(got.content_bytes > (deep ? 5 : 2) * n);
		assert_true(got.content_bytes < part.n * n);
		chat_brief_fini(&b);
	}
}

/* Text that is no JSON harms nothing. */
static void test_nonsense(void **state)
{
	static const char marks[] = "{}[]\"\\:,u0a \xc3\xa4\xf0\n";
	struct text_rng rng = {{3, 4}};
	struct chat_chunk got;
	struct chat_brief b;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		chat_brief_init(&b);
		push(&b, SLICE_LIT("{\"choices\":["));
		for (int i = 0; i < 40; i++) {
			push(&b, slice_of(&marks[text_rng_next(&rng) % (sizeof(marks) - 1)], 1));
			if (text_rng_next(&rng) % 4 == 0)
				(void)!chat_chunk_read_brief(&b, CHAT_FORM_MESSAGE, &got);
		}
		chat_brief_fini(&b);
	}
}

static void test_no_memory(void **state)
{
	struct chat_chunk got;
	struct chat_brief b;
	enum errc e = ERRC_NOMEM;

	(void)state;
	for (unsigned n = 1; e; n++) {
		chat_brief_init(&b);
		mem_fail_after(n);
		e = chat_brief_push(&b, slice_str(rows[0].text));
		if (!e)
			e = chat_chunk_read_brief(&b, CHAT_FORM_MESSAGE, &got);
		mem_fail_after(0);
		assert_true(!e || e == ERRC_NOMEM);
		chat_brief_fini(&b);
	}
}

/* ---- the decoder ---- */

#define COUNTS "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":90,\"total_tokens\":99}"

/* The row with usage in front of its end, or behind its first brace. */
static struct slice with_usage(const struct row *row, bool first, char *room, size_t size)
{
	struct slice text = slice_trim(slice_str(row->text));

	if (first)
		snprintf(room, size, "{%s," SLICE_FMT, COUNTS,
			 SLICE_ARG(slice_sub(text, 1, text.n)));
	else
		snprintf(room, size, SLICE_FMT ",%s}", SLICE_ARG(slice_sub(text, 0, text.n - 1)),
			 COUNTS);
	return slice_str(room);
}

static void answer(struct rig *r, const struct row *row, struct slice text, unsigned split,
		   bool is_long)
{
	rig_init(r, PTABLE_OPENAI);
	r->split = split;
	r->long_answer = is_long;
	r->facts.op = row->form == CHAT_FORM_TEXT    ? DIALECT_COMPLETIONS
		      : strcmp(row->name, "vectors") ? DIALECT_CHAT
						     : DIALECT_EMBEDDINGS;
	assert_int_equal(rig_answer(r, text, false), ERRC_OK);
}

static void check_rigs(const struct row *row, const struct rig *kept, const struct rig *flown)
{
	struct usage usage = flown->usage;

	if (flown->ended != kept->ended)
		print_error("%s: %s\n", row->name,
			    fault_message(flown->failed ? &flown->fault : &kept->fault));
	assert_int_equal(flown->ended, kept->ended);
	assert_int_equal(flown->failed, kept->failed);
	if (!kept->ended)
		return;
	assert_int_equal(flown->content_bytes, kept->content_bytes);
	assert_int_equal(flown->reasoning_bytes, kept->reasoning_bytes);
	assert_int_equal(flown->sound_bytes, kept->sound_bytes);
	assert_int_equal(flown->pictures, kept->pictures);
	assert_int_equal(flown->tier, kept->tier);
	assert_int_equal(flown->finish, kept->finish);
	usage.tier = kept->usage.tier; /* one behind the usage is told behind it */
	assert_memory_equal(&usage, &kept->usage, sizeof(usage));
	assert_true(slice_eq(buf_slice(&flown->out), buf_slice(&kept->out)));
}

/* The same events in sum, and the same bytes for the client, of an answer that is kept and one that is not. */
static void test_long_as_kept(void **state)
{
	char room[8192];

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		const struct row *row = &rows[i / 2];
		struct slice text = with_usage(row, i & 1, room, sizeof(room));
		struct rig kept, flown;

		if (strstr(row->text, "\"usage\":null"))
			continue;
		answer(&kept, row, text, 0, false);
		for (unsigned split = 1; split <= text.n; split += 1 + split / 16) {
			answer(&flown, row, text, split, true);
			check_rigs(row, &kept, &flown);
			rig_fini(&flown);
		}
		rig_fini(&kept);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_if_kept),   cmocka_unit_test(test_at_any_moment),
		cmocka_unit_test(test_short),        cmocka_unit_test(test_full),
		cmocka_unit_test(test_nonsense),     cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_long_as_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
