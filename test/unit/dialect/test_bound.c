/* The input bound of design 3.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bound.h"
#include "text.h"

struct text_case {
	const char *text;
	uint64_t tokens;
};

/* Cut anywhere, by either way of counting. */
static void assert_counted(struct slice s, uint64_t tokens)
{
	for (size_t cut = 0; cut <= s.n; cut++) {
		struct bound_run r = {0}, narrow = {0};

		bound_push(&r, slice_sub(s, 0, cut));
		bound_push(&r, slice_sub(s, cut, s.n));
		assert_int_equal(bound_of(&r), tokens);
		bound_push_narrow(&narrow, slice_sub(s, 0, cut));
		bound_push_narrow(&narrow, slice_sub(s, cut, s.n));
		assert_int_equal(bound_of(&narrow), tokens);
	}
}

static void texts_are_counted(void **state)
{
	static const struct text_case cases[] = {
		{"", 0},
		{"a", 1},
		{"ab", 1},
		{"abc", 2},
		{"abcd", 2},
		{"abc def", 4},
		{"a  b", 3},
		{"1234", 4},
		{"a1b", 3},
		{"Hi, you!", 1 + 1 + 2 + 1},
		{"\xc3\xa9", 2},
		{"a\nb", 3},
		{" ", 0},
		{"   ", 2},
		/* a capital behind a small letter is one more */
		{"aO", 2},
		{"aOaOaO", 6},
		{"OaOaOa", 5},
		{"OOaOOa", 4},
		{"maxOutput", 5 + 1},
		{"Hello", 3},
		{"HELLo", 3},
		{"a O", 2},
		{"a1O", 3},
		{"aOO", 2 + 1},
		{"zA", 2},
		{"aZ", 2},
		{"`A", 2},
		{"{A", 2},
		{"\xe1"
		 "A",
		 2},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice s = slice_str(cases[i].text);

		if (bound_text(s) != cases[i].tokens)
			print_error("'%s': %llu\n", cases[i].text,
				    (unsigned long long)bound_text(s));
		assert_int_equal(bound_text(s), cases[i].tokens);
		assert_counted(s, cases[i].tokens);
	}
}

/* What the header says, byte by byte. */
static uint64_t slow_count(struct slice s)
{
	uint64_t tokens = 0;
	bool was_small = false;
	size_t run = 0;

	for (size_t i = 0; i < s.n; i++) {
		bool small = s.p[i] >= 'a' && s.p[i] <= 'z';
		bool capital = s.p[i] >= 'A' && s.p[i] <= 'Z';
		bool letter = small || capital;

		run = letter ? run + 1 : 0;
		tokens += capital && was_small;
		was_small = small;
		if (letter)
			tokens += run % 2;
		else if (s.p[i] != ' ' || (i > 0 && s.p[i - 1] == ' '))
			tokens++;
	}
	return tokens;
}

static void long_texts_are_counted_as_short_ones(void **state)
{
	static const char alphabet[] = "aZzA@[`{  \x80\xe1\n9qwertyUIOPasdfghjkl";
	struct text_rng rng = {{1, 2}};
	char text[300];

	for (int round = 0; round < 300; round++) {
		/* Few different bytes make long runs. */
		size_t kinds = 1 + text_rng_next(&rng) % (sizeof(alphabet) - 1);
		struct slice s = slice_of(text, sizeof(text));

		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = alphabet[text_rng_next(&rng) % kinds];
		assert_counted(s, slow_count(s));
	}
}

static void every_byte_is_known(void **state)
{
	char text[256];

	for (size_t shift = 0; shift < sizeof(text); shift++) {
		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = (char)(i + shift);
		assert_counted(slice_of(text, sizeof(text)),
			       slow_count(slice_of(text, sizeof(text))));
	}
}

static void json_is_counted_without_its_white_space(void **state)
{
	assert_int_equal(bound_json(SLICE_LIT("{ \"ab\" :\n [1, 2] }")), 1 + 3 + 1 + 5 + 1);
	assert_int_equal(bound_json(SLICE_LIT("\"a\\\"b\"")), 2 + 1 + 2 + 1);
	assert_int_equal(bound_json(SLICE_LIT("\"cut")), 1 + 2);
	assert_int_equal(bound_json(SLICE_LIT("\"\\")), 2);
	assert_int_equal(bound_json(SLICE_LIT("\"\xc3\xa9\x01\\u00e9\\\\\" : \"\\\"\"")),
			 1 + 2 + 1 + 1 + 1 + 2 + 1 + 1 + 2 + 1 + 1 + 1 + 2 + 1);
}

static void models_set_the_figures(void **state)
{
	struct bound b = {.text = 1000, .messages = 2, .tools = 1, .images = 3, .media_bytes = 1025};
	struct bound_model dflt = {0}, own = {.context = 9000,
					      .image_tokens = 100,
					      .media_tokens_per_kib = 1,
					      .input_overhead = 10};

	assert_int_equal(bound_tokens(&b, &dflt), 96 + 600 + 1000 + 16 + 16 + 6000 + 128);
	assert_int_equal(bound_tokens(&b, &own), 10 + 600 + 1000 + 16 + 16 + 300 + 2);
	own.context = 500;
	assert_int_equal(bound_tokens(&b, &own), 500);
	b.whole_context = true;
	own.context = 200000;
	assert_int_equal(bound_tokens(&b, &own), 200000);
	/* pictures that are charged by a factor, beyond the context */
	own = (struct bound_model){.context = 100000, .image_tokens = 48000};
	assert_int_equal(bound_tokens(&b, &own), 144000);
	b.whole_context = false;
	assert_int_equal(bound_tokens(&b, &own), 144000);
	b.images = 2;
	assert_int_equal(bound_tokens(&b, &own), 96 + 600 + 1000 + 16 + 16 + 96000 + 128);
	/* documents, unless the model says what their bytes count */
	b.documents = true;
	assert_int_equal(bound_tokens(&b, &own), 100000);
	own.media_tokens_per_kib = 64;
	assert_int_equal(bound_tokens(&b, &own), 96 + 600 + 1000 + 16 + 16 + 96000 + 128);
	b.documents = false;
	own.image_tokens = 2000;
	b.images = 60;
	assert_int_equal(bound_tokens(&b, &own), 100000);
}

/* Each text of a list is read by itself. */
static void a_list_has_a_context_for_each(void **state)
{
	struct bound b = {.text = 296000, .ids = 296000, .texts = 37};
	struct bound_model m = {.context = 8192};

	assert_int_equal(bound_tokens(&b, &m), 96 + 296000 + 37 * 8);
	b.text = 400000;
	assert_int_equal(bound_tokens(&b, &m), 37 * 8192);
	b.whole_context = true;
	b.text = 1;
	assert_int_equal(bound_tokens(&b, &m), 37 * 8192);
	b.texts = 1;
	assert_int_equal(bound_tokens(&b, &m), 8192);
	b.texts = 0;
	assert_int_equal(bound_tokens(&b, &m), 8192);
	b.texts = UINT32_MAX;
	m.context = INT64_MAX;
	assert_int_equal(bound_tokens(&b, &m), INT64_C(1000000000000));
}

/* Ids are what they are; of anything else it is half the bound, which letters have been halved for once. */
static void what_is_likely(void **state)
{
	struct bound b = {.text = 1000};

	assert_int_equal(bound_likely(&b, 1096), 548);
	assert_int_equal(bound_likely(&b, 0), 1);
	b.ids = 900;
	assert_int_equal(bound_likely(&b, 1096), 900 + 98);
	assert_int_equal(bound_likely(&b, 500), 500);
}

static void nonsense_does_not_overflow(void **state)
{
	struct bound b = {.text = UINT64_MAX,
			  .messages = UINT32_MAX,
			  .tools = UINT32_MAX,
			  .images = UINT32_MAX,
			  .media_bytes = UINT64_MAX};
	struct bound_model m = {.image_tokens = INT64_MAX,
				.media_tokens_per_kib = INT64_MAX,
				.input_overhead = INT64_MAX};

	assert_int_equal(bound_tokens(&b, &m), INT64_C(1000000000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_counted),
		cmocka_unit_test(long_texts_are_counted_as_short_ones),
		cmocka_unit_test(every_byte_is_known),
		cmocka_unit_test(json_is_counted_without_its_white_space),
		cmocka_unit_test(models_set_the_figures),
		cmocka_unit_test(a_list_has_a_context_for_each),
		cmocka_unit_test(what_is_likely),
		cmocka_unit_test(nonsense_does_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
