#include "jscan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "buf.h"
#include "json.h"
#include "mem.h"
#include "text.h"

enum { K_MODEL = 1, K_STREAM, K_MESSAGES, K_CONTENT, K_TEXT, K_MAX };

static const struct jscan_name known[] = {
	{"model", true},    {"stream", true}, {"messages", true},
	{"content", false}, {"text", false},  {"max_tokens", true},
};

static struct jscan_names names;

static int setup(void **state)
{
	jscan_names_init(&names, known, ARRAY_LEN(known));
	return 0;
}

/* Scans in two pieces that meet at `split`. */
static enum errc scan_split(struct jscan *s, struct slice body, size_t split)
{
	enum errc e = jscan_push(s, body.p, split);

	if (!e)
		e = jscan_push(s, body.p + split, body.n - split);
	return e ? e : jscan_end(s);
}

/* The same verdict at every split, and byte by byte. */
static void expect(struct slice body, enum errc want, const char *name)
{
	size_t live = mem_live_count();
	struct jscan s;
	enum errc e = ERRC_OK;

	for (size_t split = 0; split <= body.n; split++) {
		jscan_init(&s, &names, NULL, NULL);
		e = scan_split(&s, body, split);
		if (e != want)
			print_error("%.*s: split %zu: %s (%s at %zu)\n", (int)MIN_OF(body.n, 80),
				    body.p, split, errc_name(e), s.err_text ? s.err_text : "-",
				    s.err_off);
		assert_int_equal(e, want);
		if (name)
			assert_string_equal(s.err_name, name);
		jscan_fini(&s);
	}
	jscan_init(&s, &names, NULL, NULL);
	e = ERRC_OK;
	for (size_t i = 0; i < body.n && !e; i++)
		e = jscan_push(&s, body.p + i, 1);
	if (!e)
		e = jscan_end(&s);
	assert_int_equal(e, want);
	jscan_fini(&s);
	assert_int_equal(mem_live_count(), live);
}

static void test_accepts(void **state)
{
	static const char *const good[] = {
		"{}",
		" \t\r\n{ } \n",
		"{\"a\":1}",
		"{\"a\":[ ] , \"b\" : { } }",
		"{\"a\":[1,-0,0.5,1e9,1E+2,-12.25e-3,true,false,null,\"\",[],{}]}",
		"{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\ud83d\\ude00\\ud83d x\"}",
		"{\"\xc3\xa9\":"
		"\"\xe2\x82\xac\xf0\x9f\x98\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\"}",
		"{\"a\":{\"a\":{\"a\":1,\"a\":2}}}",
		"{\"model\":\"gpt\",\"messages\":[{\"role\":\"user\",\"content\":\"hello there, "
		"this is longer than sixteen\"}]}",
		"{\"\":0,\" \":1}",
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		expect(slice_str(good[i]), ERRC_OK, NULL);
}

static void test_refuses_bad_grammar(void **state)
{
	static const char *const bad[] = {
		"{,}",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{a:1}",
		"{\"a\":01}",
		"{\"a\":+1}",
		"{\"a\":.5}",
		"{\"a\":1.}",
		"{\"a\":1e}",
		"{\"a\":1e+}",
		"{\"a\":-}",
		"{\"a\":--1}",
		"{\"a\":tru}",
		"{\"a\":truex}",
		"{\"a\":NaN}",
		"{\"a\":nul}",
		"{\"a\":[1,]}",
		"{\"a\":[1}",
		"{\"a\":{]}",
		"{\"a\":\"\n\"}",
		"{\"a\":\"\\x\"}",
		"{\"a\":\"\\u12g4\"}",
		"{\"a\":1}x",
		"{\"a\":1}{}",
		"{\"a\" 1}",
		"{\"a\":1 \"b\":2}",
		"{\"a\":'x'}",
		"{\"a\":[,1]}",
		"{//\n}",
		"{\"a\":00}",
		"{\"a\":1.5.5}",
		"{\"a\":\"\x7f\x01\"}",
		"{\"a\":1e5.5}",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		expect(slice_str(bad[i]), ERRC_SYNTAX, NULL);
	expect(SLICE_LIT("{\"a\":\"\0\"}"), ERRC_SYNTAX, NULL);
}

static void test_refuses_bad_utf8(void **state)
{
	static const char *const bad[] = {
		"\x80",
		"\xbf",
		"\xc0\x80",
		"\xc1\xbf",
		"\xc3",
		"\xc3(",
		"\xe0\x80\x80",
		"\xe0\x9f\xbf",
		"\xed\xa0\x80",
		"\xed\xbf\xbf",
		"\xe2\x82",
		"\xe2(\xa1",
		"\xf0\x80\x80\x80",
		"\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xf0\x9f\x98",
		"\xff",
		"\xe2\x82(",
	};
	char body[64];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		for (int key = 0; key < 2; key++) {
			int n = snprintf(body, sizeof body, key ? "{\"%s\":1}" : "{\"a\":\"%s\"}",
					 bad[i]);

			expect(slice_of(body, (size_t)n), ERRC_SYNTAX, NULL);
		}
}

static void test_root_and_truncation(void **state)
{
	static const char *const other[] = {"[]", "1", "\"x\"", "null", "x", "\xef\xbb\xbf{}"};
	struct slice whole = SLICE_LIT("{\"a\":[1,{\"b\":\"\\u00e9\xc3\xa9\"},true],\"c\":-1.5e3}");

	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		expect(slice_str(other[i]), ERRC_INVAL, NULL);
	expect(SLICE_LIT(""), ERRC_TRUNCATED, NULL);
	for (size_t n = 0; n < whole.n; n++)
		expect(slice_of(whole.p, n), ERRC_TRUNCATED, NULL);
}

static void test_duplicates_and_variants(void **state)
{
	expect(SLICE_LIT("{\"a\":1,\"b\":2,\"a\":3}"), ERRC_DUPLICATE, "a");
	expect(SLICE_LIT("{\"model\":1,\"mod\\u0065l\":2}"), ERRC_DUPLICATE, "model");
	expect(SLICE_LIT("{\"x\\u00e9\":1,\"x\xc3\xa9\":2}"), ERRC_DUPLICATE, "x\xc3\xa9");
	expect(SLICE_LIT("{\"Model\":1}"), ERRC_DUPLICATE, "Model");
	expect(SLICE_LIT("{\"\\u004dODEL\":1}"), ERRC_DUPLICATE, "MODEL");
	expect(SLICE_LIT("{\"max_to\xe2\x84\xaa"
			 "ens\":1}"),
	       ERRC_DUPLICATE,
	       "max_to\xe2\x84\xaa"
	       "ens");
	expect(SLICE_LIT("{\"\xc5\xbftream\":1}"), ERRC_DUPLICATE, "\xc5\xbftream");
	/* Not known at the top, not at the top, or only similar. */
	expect(SLICE_LIT("{\"Content\":1,\"content\":2}"), ERRC_OK, NULL);
	expect(SLICE_LIT("{\"a\":{\"Model\":1,\"model\":2,\"model\":3}}"), ERRC_OK, NULL);
	expect(SLICE_LIT("{\"model_\":1,\"mode\":2,\"stream_options\":3}"), ERRC_OK, NULL);
}

static void test_long_keys(void **state)
{
	struct buf b;

	buf_init(&b, 1 << 16);
	for (int same = 0; same < 2; same++) {
		buf_reset(&b);
		assert_int_equal(buf_addf(&b, "{\"%0200d\":1,\"%0199d%d\":2}", 7, 0, same ? 7 : 8),
				 ERRC_OK);
		expect(buf_slice(&b), same ? ERRC_DUPLICATE : ERRC_OK, NULL);
	}
	buf_fini(&b);
}

static enum errc scan_once(struct slice body)
{
	struct jscan s;
	enum errc e;

	jscan_init(&s, &names, NULL, NULL);
	e = scan_split(&s, body, 0);
	jscan_fini(&s);
	return e;
}

static void nested(struct buf *b, size_t depth, const char *open, const char *close)
{
	buf_reset(b);
	assert_int_equal(buf_addz(b, "{\"a\":"), ERRC_OK);
	for (size_t i = 1; i < depth; i++)
		assert_int_equal(buf_addz(b, open), ERRC_OK);
	assert_int_equal(buf_addz(b, "1"), ERRC_OK);
	for (size_t i = 1; i < depth; i++)
		assert_int_equal(buf_addz(b, close), ERRC_OK);
	assert_int_equal(buf_addz(b, "}"), ERRC_OK);
}

static void test_depth_and_counts(void **state)
{
	struct buf b;

	buf_init(&b, 1 << 26);
	nested(&b, LIMIT_JSON_DEPTH, "[", "]");
	assert_int_equal(scan_once(buf_slice(&b)), ERRC_OK);
	nested(&b, LIMIT_JSON_DEPTH, "{\"a\":", "}");
	assert_int_equal(scan_once(buf_slice(&b)), ERRC_OK);
	nested(&b, LIMIT_JSON_DEPTH + 1, "[", "]");
	assert_int_equal(scan_once(buf_slice(&b)), ERRC_DEPTH);
	nested(&b, 1000000, "[{\"x\":", "}]");
	assert_int_equal(scan_once(buf_slice(&b)), ERRC_DEPTH);
	for (int n = LIMIT_JSON_MEMBERS; n <= LIMIT_JSON_MEMBERS + 1; n++) {
		buf_reset(&b);
		for (int i = 0; i < n; i++)
			assert_int_equal(buf_addf(&b, "%s\"k%d\":%d", i ? "," : "{", i, i), ERRC_OK);
		assert_int_equal(buf_addz(&b, "}"), ERRC_OK);
		assert_int_equal(scan_once(buf_slice(&b)),
				 n > LIMIT_JSON_MEMBERS ? ERRC_LIMIT : ERRC_OK);
	}
	buf_fini(&b);
}

static void test_members(void **state)
{
	struct slice body = SLICE_LIT(" {\"mod\\u0065l\" : \"gpt\" ,\"x\":[1, "
				      "{\"model\":2}],\n\"stream\":true,\"max_tokens\":10}");
	static const struct {
		const char *value;
		unsigned id;
		enum json_type type;
	} want[] = {{"\"gpt\"", 1, JSON_STRING},
		    {"[1, {\"model\":2}]", 0, JSON_ARRAY},
		    {"true", 2, JSON_BOOL},
		    {"10", 6, JSON_NUMBER}};

	for (size_t split = 0; split <= body.n; split++) {
		struct jscan s;

		jscan_init(&s, &names, NULL, NULL);
		assert_int_equal(scan_split(&s, body, split), ERRC_OK);
		assert_int_equal(s.members_n, ARRAY_LEN(want));
		for (unsigned i = 0; i < s.members_n; i++) {
			const struct jscan_member *m = &s.members[i];

			assert_int_equal(m->id, want[i].id);
			assert_int_equal(m->type, want[i].type);
			assert_true(slice_is(jscan_value(m, body), want[i].value));
			assert_int_equal(body.p[m->key_off], '"');
			assert_int_equal(body.p[m->key_off + m->key_len - 1], '"');
		}
		assert_ptr_equal(jscan_find(&s, K_STREAM), &s.members[2]);
		assert_null(jscan_find(&s, K_MESSAGES));
		assert_null(jscan_find(&s, 0));
		jscan_fini(&s);
	}
}

/* Writes what it sees: "path=text;" for strings, "path:type" for the rest. */
struct watch {
	struct buf out;
};

static void put_path(struct watch *w, const struct jscan *s)
{
	for (unsigned i = 0; s->depth && i <= jscan_level(s); i++) {
		unsigned id = jscan_path(s, i);
		const char *name = id == JSCAN_ELEMENT ? "*" : id ? known[id - 1].name : "?";

		assert_int_equal(buf_addf(&w->out, "/%s", name), ERRC_OK);
	}
}

static bool on_value(void *arg, const struct jscan *s, enum json_type type)
{
	struct watch *w = arg;

	put_path(w, s);
	assert_int_equal(buf_addz(&w->out, type == JSON_STRING ? "=" : ":"), ERRC_OK);
	if (type != JSON_STRING)
		assert_int_equal(buf_addf(&w->out, "%s;", json_type_name(type)), ERRC_OK);
	return true;
}

static bool on_text(void *arg, const struct jscan *s, struct slice piece)
{
	struct watch *w = arg;

	assert_int_equal(buf_adds(&w->out, piece), ERRC_OK);
	return true;
}

static void on_end(void *arg, const struct jscan *s, enum json_type type, size_t bytes)
{
	struct watch *w = arg;

	if (type == JSON_STRING)
		assert_int_equal(buf_addf(&w->out, "(%zu);", bytes), ERRC_OK);
	else if (type == JSON_OBJECT || type == JSON_ARRAY)
		assert_int_equal(buf_addz(&w->out, type == JSON_OBJECT ? "}" : "]"), ERRC_OK);
}

static const struct jscan_events watching = {.value = on_value, .text = on_text, .end = on_end};

static void test_observer(void **state)
{
	struct slice body =
		SLICE_LIT("{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":"
			  "\"a\\n\\u00e9\\ud83d\\ude00b\\ud83dc\xe2\x82\xac\"},null]}],"
			  "\"model\":\"m\",\"n\":1.5,\"e\":\"\",\"s\":\"\\udc00\\ud800\"}");
	const char *want =
		":object;/messages:array;/messages/*:object;/messages/*/?=user(4);/messages/*/"
		"content:array;/messages/*/content/*:object;"
		"/messages/*/content/*/text=a\n\xc3\xa9\xf0\x9f\x98\x80"
		"b\xef\xbf\xbd"
		"c\xe2\x82\xac(16);}/messages/*/content/*:null;]}]/model=m(1);/?:number;/?=(0);"
		"/?=\xef\xbf\xbd\xef\xbf\xbd(6);}";
	struct watch w = {{0}};
	struct jscan s;

	buf_init(&w.out, 1 << 16);
	for (size_t split = 0; split <= body.n; split++) {
		buf_reset(&w.out);
		jscan_init(&s, &names, &watching, &w);
		assert_int_equal(scan_split(&s, body, split), ERRC_OK);
		assert_string_equal(buf_cstr(&w.out), want);
		jscan_fini(&s);
	}
	buf_fini(&w.out);
}

/* How long each name and number is, that of a name when its value begins. */
static bool sizes_value(void *arg, const struct jscan *s, enum json_type type)
{
	if (jscan_path(s, jscan_level(s)) != JSCAN_ELEMENT && s->depth)
		assert_int_equal(buf_addf(arg, "%zu:", s->key_bytes), ERRC_OK);
	return false;
}

static void sizes_end(void *arg, const struct jscan *s, enum json_type type, size_t bytes)
{
	if (type == JSON_NUMBER)
		assert_int_equal(buf_addf(arg, "%zu ", bytes), ERRC_OK);
}

static void test_sizes_of_names_and_numbers(void **state)
{
	static const struct jscan_events ev = {.value = sizes_value, .end = sizes_end};
	struct slice body =
		SLICE_LIT("{\"a\":-1.5e+10 ,\"\":[0,12],\"b\\u20ac\":{\"c\\n\":7},"
			  "\"long_long_long_long_long_long_long_long_long_long_lo\\\"ng\":3}");
	struct buf got;
	struct jscan s;

	buf_init(&got, 1 << 16);
	for (size_t split = 0; split <= body.n; split++) {
		buf_reset(&got);
		jscan_init(&s, &names, &ev, &got);
		assert_int_equal(scan_split(&s, body, split), ERRC_OK);
		assert_string_equal(buf_cstr(&got), "1:8 0:1 2 4:2:1 55:1 ");
		jscan_fini(&s);
	}
	buf_fini(&got);
}

/* What stands in a body, and what it means. */
static void add_text(struct buf *body, struct buf *text, const char *in_body, const char *meant)
{
	assert_int_equal(buf_addz(body, in_body), ERRC_OK);
	assert_int_equal(buf_addz(text, meant), ERRC_OK);
}

static bool keep_text(void *arg, const struct jscan *s, struct slice piece)
{
	return buf_adds(arg, piece) == ERRC_OK;
}

/* Lines of many lengths, all escapes; long enough for several pieces. */
static void test_text_with_many_escapes(void **state)
{
	static const char *const rows[][2] = {
		{"\\n", "\n"},
		{"\\\"", "\""},
		{"\\\\", "\\"},
		{"\\/", "/"},
		{"\\t\\r", "\t\r"},
		{"\\b\\f", "\b\f"},
		{"\\u0041", "A"},
		{"\\ud83d\\ude00", "\xf0\x9f\x98\x80"},
		{"\\ud83d\\n", "\xef\xbf\xbd\n"},
		{"\xe2\x82\xac", "\xe2\x82\xac"},
	};
	static const struct jscan_events ev = {.text = keep_text};
	struct buf body, text, got;
	struct jscan s;

	buf_init(&body, 1 << 16);
	buf_init(&text, 1 << 16);
	buf_init(&got, 1 << 16);
	add_text(&body, &text, "{\"a\":\"", "");
	for (size_t i = 0; i < 400; i++) {
		for (size_t n = i * 7 % 31 + (i == 200) * 3000; n > 0; n--)
			add_text(&body, &text, "x", "x");
		add_text(&body, &text, rows[i % ARRAY_LEN(rows)][0], rows[i % ARRAY_LEN(rows)][1]);
	}
	add_text(&body, &text, "\"}", "");
	for (size_t split = 0; split <= body.len; split++) {
		buf_reset(&got);
		jscan_init(&s, NULL, &ev, &got);
		assert_int_equal(scan_split(&s, buf_slice(&body), split), ERRC_OK);
		assert_true(slice_eq(buf_slice(&got), buf_slice(&text)));
		jscan_fini(&s);
	}
	buf_fini(&body);
	buf_fini(&text);
	buf_fini(&got);
}

static bool once(void *arg, const struct jscan *s, struct slice piece)
{
	*(size_t *)arg += piece.n;
	return false;
}

static void test_observer_stops(void **state)
{
	static const struct jscan_events ev = {.text = once};
	struct slice body = SLICE_LIT("{\"a\":\"123\\n456\",\"b\":\"7\\n8\"}");
	size_t seen = 0;
	struct jscan s;

	jscan_init(&s, NULL, &ev, &seen);
	assert_int_equal(scan_split(&s, body, 0), ERRC_OK);
	assert_int_equal(seen, 4 + 2);
	jscan_fini(&s);
}

static void test_error_sticks_and_tells_where(void **state)
{
	struct jscan s;

	jscan_init(&s, &names, NULL, NULL);
	assert_int_equal(jscan_push(&s, "{\"a\":", 5), ERRC_OK);
	assert_int_equal(jscan_push(&s, " x", 2), ERRC_SYNTAX);
	assert_int_equal(s.err_off, 6);
	assert_string_equal(s.err_text, "a value was expected");
	assert_int_equal(jscan_push(&s, "1}", 2), ERRC_SYNTAX);
	assert_int_equal(jscan_end(&s), ERRC_SYNTAX);
	jscan_fini(&s);
}

static void test_out_of_memory(void **state)
{
	struct slice body = SLICE_LIT("{\"a\":1,\"b\":2}");
	enum errc e = ERRC_NOMEM;

	for (unsigned n = 1; e; n++) {
		struct jscan s;

		jscan_init(&s, &names, NULL, NULL);
		mem_fail_after(n);
		e = scan_split(&s, body, 3);
		mem_fail_after(0);
		assert_true(e == ERRC_OK || e == ERRC_NOMEM);
		jscan_fini(&s);
		assert_int_equal(mem_live_count(), 0);
	}
}

/* Over mutated texts the scanner accepts what the tree parser accepts; it takes lone surrogates as
 * well, and refuses doubled members. */
static void test_agrees_with_tree_parser(void **state)
{
	static const char seed[] = "{\"a\":[1,-2.5e+3,\"x\\n\\u00e9\xc3\xa9\xe2\x82\xac\",{\"b\":{}"
				   "},[]],\"c\":true,\"dd\":null,\"e\":\"0123456789abcdef\"}";
	static const char bytes[] = "{}[]:,\"\\0123e+-.tfn ux\x80\xc3\xe2\xf0\x01\n";
	struct text_rng rng = {{1, 2}};
	unsigned good = 0;

	for (unsigned round = 0; round < 60000; round++) {
		char text[sizeof seed];
		size_t n = sizeof seed - 1;
		struct json_doc *doc = NULL;
		enum errc a, b;

		memcpy(text, seed, sizeof seed);
		for (unsigned i = text_rng_next(&rng) % 3 + 1; i; i--)
			text[text_rng_next(&rng) % n] =
				bytes[text_rng_next(&rng) % (sizeof bytes - 1)];
		a = scan_once(slice_of(text, n));
		b = json_parse(slice_of(text, n), NULL, &doc);
		json_free(&doc);
		if (a != ERRC_DUPLICATE && !(a == ERRC_OK && memmem(text, n, "\\ud", 3)))
			assert_true((a == ERRC_OK) == (b == ERRC_OK));
		good += a == ERRC_OK;
	}
	assert_in_range(good, 1000, 59000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts),
		cmocka_unit_test(test_refuses_bad_grammar),
		cmocka_unit_test(test_refuses_bad_utf8),
		cmocka_unit_test(test_root_and_truncation),
		cmocka_unit_test(test_duplicates_and_variants),
		cmocka_unit_test(test_long_keys),
		cmocka_unit_test(test_depth_and_counts),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_sizes_of_names_and_numbers),
		cmocka_unit_test(test_observer),
		cmocka_unit_test(test_text_with_many_escapes),
		cmocka_unit_test(test_observer_stops),
		cmocka_unit_test(test_error_sticks_and_tells_where),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_agrees_with_tree_parser),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
