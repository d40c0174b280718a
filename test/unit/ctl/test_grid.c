#include "grid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "mem.h"

static const struct term plain = {.fd = -1}, colored = {.fd = -1, .is_tty = true, .has_color = true};

static void column(struct grid *g, const char *name, bool is_right, bool is_optional)
{
	put_z(grid_header(g), name);
	grid_column(g, is_right, is_optional);
}

static void cell(struct grid *g, const char *text, enum term_color color)
{
	put_z(grid_text(g), text);
	grid_cell(g, color);
}

static void fill(struct grid *g)
{
	grid_init(g);
	column(g, "NAME", false, false);
	column(g, "N", true, false);
	column(g, "STATE", false, true);
	column(g, "NOTE", false, true);
	cell(g, "z\xc3\xbcrich", TERM_PLAIN);
	cell(g, "5", TERM_PLAIN);
	cell(g, "open", TERM_BAD);
	cell(g, "", TERM_PLAIN);
	cell(g, "a", TERM_PLAIN);
	cell(g, "12345", TERM_PLAIN);
	cell(g, "", TERM_PLAIN);
	cell(g, "x", TERM_PLAIN);
}

static void expect(const struct term *t, size_t width, const char *want, const char *want_left_out)
{
	struct put out, left_out;
	struct grid g;

	put_init(&out);
	put_init(&left_out);
	fill(&g);
	assert_int_equal(grid_print(&g, t, width, &out, &left_out), want_left_out[0] != '\0');
	put_s(&out, slice_of("", 1));
	put_s(&left_out, slice_of("", 1));
	assert_string_equal(out.b.p, want);
	assert_string_equal(left_out.b.p, want_left_out);
	grid_fini(&g);
	put_fini(&out);
	put_fini(&left_out);
	assert_int_equal(mem_live_count(), 0);
}

static void test_columns_are_aligned_by_characters(void **state)
{
	expect(&plain, 0,
	       "NAME        N  STATE  NOTE\n"
	       "z\xc3\xbcrich      5  open\n"
	       "a       12345         x\n",
	       "");
}

static void test_narrow_terminals_lose_the_last_columns(void **state)
{
	expect(&plain, 22, "NAME        N  STATE\nz\xc3\xbcrich      5  open\na       12345\n",
	       "NOTE");
	expect(&plain, 10, "NAME        N\nz\xc3\xbcrich      5\na       12345\n", "STATE, NOTE");
	expect(&plain, 26,
	       "NAME        N  STATE  NOTE\nz\xc3\xbcrich      5  open\na       12345         x\n",
	       "");
}

static void test_texts_are_cut_last(void **state)
{
	struct put out, left_out;
	struct grid g;

	put_init(&out);
	put_init(&left_out);
	grid_init(&g);
	column(&g, "NAME", false, false);
	column(&g, "N", true, false);
	cell(&g, "z\xc3\xbcrich-und-genf", TERM_PLAIN);
	cell(&g, "5", TERM_PLAIN);
	cell(&g, "short", TERM_PLAIN);
	cell(&g, "123", TERM_PLAIN);
	assert_true(grid_print(&g, &plain, 14, &out, &left_out));
	put_s(&out, slice_of("", 1));
	assert_string_equal(out.b.p,
			    "NAME         N\nz\xc3\xbcrich-u\xe2\x80\xa6    5\nshort      123\n");
	assert_int_equal(left_out.b.len, 0);
	grid_fini(&g);
	put_fini(&out);
	put_fini(&left_out);
}

/* \u540d\u524d takes four places, e with a combining accent one. */
static void test_wide_characters(void **state)
{
	static const struct {
		size_t width;
		const char *want;
	} cases[] = {
		{0, "NAME          N\n名前名前名前  1\nle\xcc\x81le\xcc\x81          2\n"},
		{14, "NAME         N\n名前名前名…  1\nle\xcc\x81le\xcc\x81         2\n"},
		{13, "NAME        N\n名前名前…   1\nle\xcc\x81le\xcc\x81        2\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct put out, left_out;
		struct grid g;

		put_init(&out);
		put_init(&left_out);
		grid_init(&g);
		column(&g, "NAME", false, false);
		column(&g, "N", true, false);
		cell(&g, "名前名前名前", TERM_PLAIN);
		cell(&g, "1", TERM_PLAIN);
		cell(&g, "le\xcc\x81le\xcc\x81", TERM_PLAIN);
		cell(&g, "2", TERM_PLAIN);
		(void)grid_print(&g, &plain, cases[i].width, &out, &left_out);
		put_s(&out, slice_of("", 1));
		assert_string_equal(out.b.p, cases[i].want);
		grid_fini(&g);
		put_fini(&out);
		put_fini(&left_out);
	}
}

static void test_colors_take_no_room(void **state)
{
	expect(&colored, 0,
	       "\033[1mNAME\033[0m        \033[1mN\033[0m  \033[1mSTATE\033[0m  "
	       "\033[1mNOTE\033[0m\n"
	       "z\xc3\xbcrich      5  \033[31mopen\033[0m\n"
	       "a       12345         x\n",
	       "");
}

static void test_no_memory_is_told(void **state)
{
	enum errc e = ERRC_NOMEM;

	for (unsigned n = 1; e; n++) {
		struct put out, left_out;
		struct grid g;

		put_init(&out);
		put_init(&left_out);
		mem_fail_after(n);
		fill(&g);
		(void)grid_print(&g, &plain, 0, &out, &left_out);
		mem_fail_after(0);
		e = out.err;
		grid_fini(&g);
		put_fini(&out);
		put_fini(&left_out);
		assert_int_equal(mem_live_count(), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns_are_aligned_by_characters),
		cmocka_unit_test(test_narrow_terminals_lose_the_last_columns),
		cmocka_unit_test(test_texts_are_cut_last),
		cmocka_unit_test(test_wide_characters),
		cmocka_unit_test(test_colors_take_no_room),
		cmocka_unit_test(test_no_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
