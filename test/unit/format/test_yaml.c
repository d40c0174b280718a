#include "yaml_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "mem.h"

struct fixture {
	struct arena a;
	struct buf message;
	struct yaml_pos where;
	struct yaml_node *root;
	unsigned twice;
	unsigned twice_line;
};

static void count_twice(void *arg, const struct yaml_node *first, struct yaml_pos second)
{
	struct fixture *f = arg;

	assert_non_null(first);
	f->twice++;
	f->twice_line = second.line;
}

static enum errc parse(struct fixture *f, struct slice text)
{
	struct yaml_twice twice = {count_twice, f};

	*f = (struct fixture){0};
	arena_init(&f->a, 64 << 20);
	buf_init(&f->message, 4096);
	return yaml_parse(&f->a, "x.yaml", text, &twice, &f->root, &f->message, &f->where);
}

static void done(struct fixture *f)
{
	arena_fini(&f->a);
	buf_fini(&f->message);
	assert_int_equal(mem_live_count(), 0);
}

static void expect_item(const struct yaml_node *list, size_t at, const char *text, unsigned column)
{
	const struct yaml_node *n = list->first;

	while (at--)
		n = n->next;
	assert_true(slice_is(n->text, text));
	assert_int_equal(n->pos.column, column);
}

/* The brace of a variable ends no text between brackets; any other does, as ever. */
static void variables_between_brackets(void **state)
{
	struct fixture f;

	assert_int_equal(
		parse(&f, SLICE_LIT("a: [r/${region}.yaml, ${env:X_1}, \"${a}${b\", é${h}, x]\n"
				    "b: ${c}\n${d}: {e: [${f}], g: h}\n")),
		ERRC_OK);
	expect_item(yaml_getz(f.root, "a"), 0, "r/${region}.yaml", 5);
	expect_item(yaml_getz(f.root, "a"), 1, "${env:X_1}", 23);
	expect_item(yaml_getz(f.root, "a"), 2, "${a}${b", 35);
	expect_item(yaml_getz(f.root, "a"), 3, "é${h}", 46);
	expect_item(yaml_getz(f.root, "a"), 4, "x", 53);
	assert_true(slice_is(yaml_getz(f.root, "b")->text, "${c}"));
	expect_item(yaml_getz(yaml_getz(f.root, "${d}"), "e"), 0, "${f}", 12);
	done(&f);
	assert_int_equal(parse(&f, SLICE_LIT("a: [${}, b]\n")), ERRC_SYNTAX);
	done(&f);
	assert_int_equal(parse(&f, SLICE_LIT("a: [${b c}]\n")), ERRC_SYNTAX);
	done(&f);
	/* A text that has the private characters itself is left alone. */
	assert_int_equal(parse(&f, SLICE_LIT("a: \"\xee\x80\x80 ${b}\"\n")), ERRC_OK);
	assert_true(slice_is(yaml_getz(f.root, "a")->text, "\xee\x80\x80 ${b}"));
	done(&f);
}

static void knows_places(void **state)
{
	struct fixture f;
	const struct yaml_node *n;

	assert_int_equal(
		parse(&f,
		      SLICE_LIT("a: one\nb:\n  - two\n  - {c: no, d: \"x\\ty\"}\ne: ~\n\"f\":\n")),
		ERRC_OK);
	assert_int_equal(f.root->kind, YAML_MAP);
	assert_int_equal(f.root->n, 4);
	n = yaml_getz(f.root, "a");
	assert_true(slice_is(n->text, "one"));
	assert_string_equal(n->pos.file, "x.yaml");
	assert_int_equal(n->pos.line, 1);
	assert_int_equal(n->pos.column, 4);
	assert_int_equal(n->key_pos.column, 1);
	n = yaml_getz(f.root, "b");
	assert_int_equal(n->kind, YAML_LIST);
	assert_int_equal(n->n, 2);
	n = yaml_getz(n->first->next, "c");
	assert_true(slice_is(n->text, "no"));
	assert_true(n->is_plain);
	assert_int_equal(n->pos.line, 4);
	assert_int_equal(n->pos.column, 9);
	assert_true(slice_is(n->next->text, "x\ty"));
	assert_false(n->next->is_plain);
	assert_true(yaml_getz(f.root, "e")->is_null);
	assert_true(yaml_getz(f.root, "f")->is_null);
	assert_null(yaml_getz(f.root, "g"));
	assert_null(yaml_getz(NULL, "g"));
	done(&f);
}

static void empty_is_a_mapping(void **state)
{
	static const char *const empty[] = {"", "\n\n", "# only a comment\n", "---\n", "~\n"};
	struct fixture f;

	for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
		assert_int_equal(parse(&f, slice_str(empty[i])), ERRC_OK);
		assert_int_equal(f.root->kind, YAML_MAP);
		assert_int_equal(f.root->n, 0);
		done(&f);
	}
}

static void tells_duplicates(void **state)
{
	struct fixture f;

	assert_int_equal(parse(&f, SLICE_LIT("a: 1\nb: {x: 1, x: [2, {y: z}]}\na: {c: d}\ne: 5\n")),
			 ERRC_OK);
	assert_int_equal(f.twice, 2);
	assert_int_equal(f.twice_line, 3);
	assert_true(slice_is(yaml_getz(f.root, "a")->text, "1"));
	assert_true(slice_is(yaml_getz(yaml_getz(f.root, "b"), "x")->text, "1"));
	assert_true(slice_is(yaml_getz(f.root, "e")->text, "5"));
	assert_int_equal(f.root->n, 3);
	done(&f);
}

static void refuses(void **state)
{
	static const struct {
		const char *text;
		enum errc rc;
		unsigned line, column;
	} bad[] = {
		{"a: &x 1\n", ERRC_SYNTAX, 1, 4},
		{"a: *x\n", ERRC_SYNTAX, 1, 4},
		{"a: !t 1\n", ERRC_SYNTAX, 1, 4},
		{"a: &x [1]\n", ERRC_SYNTAX, 1, 4},
		{"a: 1\n--- \nb: 2\n", ERRC_SYNTAX, 2, 1},
		{"[a]: 1\n", ERRC_SYNTAX, 1, 1},
		{"? {a: b}\n: 1\n", ERRC_SYNTAX, 1, 3},
		{"a: {b\n", ERRC_SYNTAX, 2, 1},
		{"a: \"\\0\"\n", ERRC_SYNTAX, 1, 4},
		{"b: 1\na: \x01\n", ERRC_SYNTAX, 2, 4},
		{"b: \xc3\xa4\na: \xc3\xa4\xff\n", ERRC_SYNTAX, 2, 5},
		{"a:\n\t- b\n", ERRC_SYNTAX, 2, 1},
		{"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", ERRC_DEPTH, 1, 33},
	};
	struct fixture f;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(parse(&f, slice_str(bad[i].text)), bad[i].rc);
		assert_null(f.root);
		assert_true(f.message.len > 0);
		assert_int_equal(f.where.line, bad[i].line);
		assert_int_equal(f.where.column, bad[i].column);
		done(&f);
	}
}

static void bounds_depth_of_deep_input(void **state)
{
	static char deep[100000];
	struct fixture f;

	memset(deep, '[', sizeof(deep));
	assert_int_equal(parse(&f, slice_of(deep, sizeof(deep))), ERRC_DEPTH);
	done(&f);
}

/* Enough keys that the mapping gets an index, which grows. */
static void finds_in_large_mappings(void **state)
{
	struct fixture f;
	struct buf text;
	char key[16];

	buf_init(&text, 1 << 20);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(buf_addf(&text, "k%d: v%d\n", i, i), ERRC_OK);
	assert_int_equal(parse(&f, buf_slice(&text)), ERRC_OK);
	buf_fini(&text);
	assert_int_equal(f.root->n, 5000);
	for (int i = 0; i < 5000; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_non_null(yaml_getz(f.root, key));
		if (i % 3 == 0)
			yaml_remove(f.root, slice_str(key));
	}
	assert_int_equal(f.root->n, 3333);
	assert_null(yaml_getz(f.root, "k0"));
	assert_null(yaml_getz(f.root, "k4998"));
	assert_non_null(yaml_getz(f.root, "k4999"));
	assert_ptr_equal(f.root->last, yaml_getz(f.root, "k4999"));
	for (int i = 0; i < 5000; i += 3) {
		struct yaml_node *n = yaml_new_text(&f.a, SLICE_LIT("new"), (struct yaml_pos){0});
		char *copy = arena_get(&f.a, sizeof(key));

		snprintf(copy, sizeof(key), "k%d", i);
		assert_int_equal(yaml_put(&f.a, f.root, slice_str(copy), (struct yaml_pos){0}, n),
				 ERRC_OK);
	}
	assert_int_equal(f.root->n, 5000);
	assert_true(slice_is(yaml_getz(f.root, "k3")->text, "new"));
	done(&f);
}

static void changes_keep_order(void **state)
{
	struct fixture f;
	struct yaml_node *n, *copy;

	assert_int_equal(parse(&f, SLICE_LIT("a: 1\nb: 2\nc: [x, {y: z}]\n")), ERRC_OK);
	n = yaml_new_text(&f.a, SLICE_LIT("two"), (struct yaml_pos){0});
	assert_int_equal(yaml_put(&f.a, f.root, SLICE_LIT("b"), (struct yaml_pos){0}, n), ERRC_OK);
	assert_ptr_equal(f.root->first->next, n);
	yaml_remove(f.root, SLICE_LIT("a"));
	assert_ptr_equal(f.root->first, n);
	yaml_remove(f.root, SLICE_LIT("nothing"));
	copy = yaml_copy(&f.a, f.root);
	assert_int_equal(copy->n, 2);
	yaml_remove(f.root, SLICE_LIT("b"));
	yaml_remove(f.root, SLICE_LIT("c"));
	assert_null(f.root->first);
	assert_null(f.root->last);
	assert_true(slice_is(yaml_getz(yaml_getz(copy, "c")->last, "y")->text, "z"));
	done(&f);
}

/* Whatever a text holds, what is printed reads back as the same. */
static void prints_what_reads_back(void **state)
{
	static const char *const texts[] = {
		"plain",
		"gpt-5*",
		"with space",
		"",
		"~",
		"-",
		"- x",
		"!x",
		"&x",
		"*x",
		"#x",
		"a: b",
		"a #b",
		"a,b",
		"{a}",
		"[a]",
		"'",
		"\"",
		"\\",
		"line\nend",
		"tab\t",
		" lead",
		"trail ",
		"no",
		"null",
		"1.5",
		"on",
		"http://x/y?z=1",
		"\xc3\xa4\xc3\xb6",
		"\xe2\x80\xa8",
		"\xef\xbb\xbf"
		"bom",
		"\x7f",
		"\xc2\x85",
		"\xf0\x9f\x98\x80",
		"\x1b",
		"---",
		"...",
		"@at",
		"%x",
		"`",
		"?",
		">",
		"|",
		"=",
		"<<",
	};
	struct fixture f;
	struct buf b;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		buf_init(&b, 4096);
		assert_int_equal(buf_addz(&b, "key: [x, {k: "), ERRC_OK);
		assert_int_equal(yaml_print_text(&b, slice_str(texts[i])), ERRC_OK);
		assert_int_equal(buf_addz(&b, "}]\n"), ERRC_OK);
		assert_int_equal(parse(&f, buf_slice(&b)), ERRC_OK);
		assert_true(
			slice_is(yaml_getz(yaml_getz(f.root, "key")->last, "k")->text, texts[i]));
		assert_false(yaml_getz(yaml_getz(f.root, "key")->last, "k")->is_null);
		buf_fini(&b);
		done(&f);
	}
}

/* As editors of some systems leave it. */
static void begins_with_a_byte_order_mark(void **state)
{
	struct fixture f;

	assert_int_equal(parse(&f, SLICE_LIT("\xef\xbb\xbf"
					     "a: 1\r\nb: [${v}, \xff]\r\n")),
			 ERRC_SYNTAX);
	assert_int_equal(f.where.line, 2);
	assert_int_equal(f.where.column, 11);
	done(&f);
	assert_int_equal(parse(&f, SLICE_LIT("\xef\xbb\xbf"
					     "a: 1\r\nb: 2\r\n")),
			 ERRC_OK);
	assert_true(slice_is(yaml_getz(f.root, "a")->text, "1"));
	assert_true(slice_is(yaml_getz(f.root, "b")->text, "2"));
	assert_int_equal(yaml_getz(f.root, "a")->key_pos.column, 1);
	done(&f);
	assert_int_equal(parse(&f, SLICE_LIT("\xef\xbb\xbf")), ERRC_OK);
	assert_int_equal(f.root->n, 0);
	done(&f);
}

static void survives_without_memory(void **state)
{
	struct slice text = SLICE_LIT("a: 1\nb: [1, 2, {c: d}]\nc: {a: 1, b: 1, c: 1, d: 1, e: 1, "
				      "f: 1, g: 1, h: 1, i: 1, j: 1}\nd: [${v}]\n");
	enum errc rc = ERRC_NOMEM;

	for (unsigned n = 1; rc != ERRC_OK; n++) {
		struct fixture f;

		mem_fail_after(n);
		rc = parse(&f, text);
		mem_fail_after(0);
		assert_true(rc == ERRC_OK || rc == ERRC_NOMEM);
		done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_places),
		cmocka_unit_test(variables_between_brackets),
		cmocka_unit_test(empty_is_a_mapping),
		cmocka_unit_test(tells_duplicates),
		cmocka_unit_test(refuses),
		cmocka_unit_test(bounds_depth_of_deep_input),
		cmocka_unit_test(finds_in_large_mappings),
		cmocka_unit_test(changes_keep_order),
		cmocka_unit_test(prints_what_reads_back),
		cmocka_unit_test(begins_with_a_byte_order_mark),
		cmocka_unit_test(survives_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
