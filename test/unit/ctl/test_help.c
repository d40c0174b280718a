/* What aigwctl says about itself, and that the manual says the same. */
#include "help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "complete.h"
#include "mem.h"

#define MANUAL_BYTES_MAX (256 * 1024)

static const struct term plain = {.fd = -1};
static struct put p;

static int setup(void **state)
{
	put_init(&p);
	return 0;
}

static int teardown(void **state)
{
	put_fini(&p);
	assert_int_equal(mem_live_count(), 0);
	return 0;
}

static bool says(const char *text)
{
	return slice_find(buf_slice(&p.b), slice_str(text)) >= 0;
}

static void expect_lines_within(size_t width)
{
	struct slice left = buf_slice(&p.b), line;

	while (left.n) {
		(void)slice_cut(&left, '\n', &line);
		if (line.n > width && slice_chr(line, '|') < 0)
			fail_msg("longer than %zu: " SLICE_FMT, width, SLICE_ARG(line));
	}
}

static void test_help_names_everything(void **state)
{
	const struct command_group *g;
	const struct command *c;

	help_show(&p, &plain, NULL, NULL, 80);
	for (size_t i = 0; (g = command_group_at(i)); i++)
		assert_true(says(g->sentence) && says(g->words));
	expect_lines_within(80);
	for (size_t i = 0; (c = command_at(i)); i++) {
		buf_reset(&p.b);
		help_show(&p, &plain, NULL, c, 80);
		assert_true(says(c->words));
		for (size_t k = 0; k < c->args_n; k++)
			assert_true(says(c->args[k].name));
		expect_lines_within(80);
	}
}

static void test_help_of_a_group(void **state)
{
	help_show(&p, &plain, command_group_named(SLICE_LIT("key")), NULL, 80);
	assert_true(says("usage: aigwctl key VERB [ARGUMENT...]\n"));
	assert_true(says("\n  revoke"));
	assert_false(says("postpaid"));
}

static void test_completion_names_everything(void **state)
{
	static const char *const shells[] = {"bash", "zsh", "fish"};
	const struct command *c;

	for (size_t s = 0; s < ARRAY_LEN(shells); s++) {
		buf_reset(&p.b);
		assert_true(complete_script(&p, slice_str(shells[s])));
		for (size_t i = 0; (c = command_at(i)); i++) {
			assert_true(says(command_verb_text(c)));
			for (size_t k = 0; k < c->args_n; k++)
				assert_true(!c->args[k].is_option || says(c->args[k].name));
		}
	}
	assert_false(complete_script(&p, SLICE_LIT("csh")));
}

/* The manual, owned by the caller. AIGW_TEST_MANUAL is its path. */
static struct buf read_manual(const char *path)
{
	FILE *f = fopen(path, "r");
	struct buf b;
	char *room;
	size_t n;

	assert_non_null(f);
	buf_init(&b, MANUAL_BYTES_MAX);
	assert_int_equal(buf_reserve(&b, MANUAL_BYTES_MAX - 1, &room), ERRC_OK);
	n = fread(room, 1, MANUAL_BYTES_MAX - 1, f);
	assert_true(feof(f));
	fclose(f);
	buf_commit(&b, n);
	return b;
}

/* Its sections OPTIONS and COMMANDS are those of the token table. AIGW_TEST_UPDATE=1 writes them anew. */
static void test_manual_says_the_same(void **state)
{
	const char *path = getenv("AIGW_TEST_MANUAL"), *update = getenv("AIGW_TEST_UPDATE");
	struct buf b = read_manual(path);
	ptrdiff_t begin = slice_find(buf_slice(&b), SLICE_LIT(".SH OPTIONS\n"));
	ptrdiff_t end = slice_find(buf_slice(&b), SLICE_LIT(".SH OUTPUT\n"));

	assert_true(begin > 0 && end > begin);
	help_manual(&p);
	if (update && update[0] == '1') {
		FILE *f = fopen(path, "w");

		assert_non_null(f);
		fprintf(f, SLICE_FMT SLICE_FMT SLICE_FMT, (int)begin, b.p,
			SLICE_ARG(buf_slice(&p.b)), (int)(b.len - (size_t)end), b.p + end);
		assert_int_equal(fclose(f), 0);
	} else if (!slice_eq(slice_of(b.p + begin, (size_t)(end - begin)), buf_slice(&p.b)))
		fail_msg("%s differs from the token table; run this test with AIGW_TEST_UPDATE=1 "
			 "and look at the difference",
			 path);
	buf_fini(&b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_help_names_everything),
		TEST(test_help_of_a_group),
		TEST(test_completion_names_everything),
		TEST(test_manual_says_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
