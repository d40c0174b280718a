/* The incremental scanner: pieces of any size give the verdict and the members of the whole, what it accepts the tree parser accepts,
 * the text iterators find the same members, and a body patched by jsplice is accepted again. */
#include "fuzz.h"
#include "jscan.h"
#include "jsplice.h"
#include "json.h"
#include "jtext.h"

static const struct jscan_name known[] = {
	{"model", true}, {"stream", true}, {"messages", true}, {"content", false}, {"text", false},
};

struct tally {
	uint64_t hash;
	size_t bytes;
};

static bool on_text(void *arg, const struct jscan *s, struct slice piece)
{
	struct tally *t = arg;

	for (size_t i = 0; i < piece.n; i++)
		t->hash = (t->hash ^ (uint8_t)piece.p[i]) * UINT64_C(0x100000001b3);
	t->hash += jscan_path(s, jscan_level(s));
	t->bytes += piece.n;
	return true;
}

static void on_end(void *arg, const struct jscan *s, enum json_type type, size_t bytes)
{
	struct tally *t = arg;

	if (type == JSON_STRING)
		t->bytes -= bytes;
	require(t->bytes == 0);
}

static const struct jscan_events events = {.text = on_text, .end = on_end};

static enum errc scan(struct jscan *s, const struct jscan_names *names, struct tally *t,
		      struct slice in, size_t piece)
{
	enum errc e = ERRC_OK;

	*t = (struct tally){0};
	jscan_init(s, names, &events, t);
	for (size_t at = 0; at < in.n && !e; at += piece)
		e = jscan_push(s, in.p + at, MIN_OF(piece, in.n - at));
	return e ? e : jscan_end(s);
}

/* Lone surrogates are JSON for the scanner and not for the tree parser. */
static bool may_have_surrogates(struct slice in)
{
	return slice_find(in, SLICE_LIT("\\ud")) >= 0 || slice_find(in, SLICE_LIT("\\uD")) >= 0;
}

static void check_tree(const struct jscan *s, struct slice in)
{
	struct json_doc *doc = NULL;
	struct jtext it = jtext_obj(in);
	struct slice key, val;

	if (may_have_surrogates(in))
		return;
	require(json_parse(in, NULL, &doc) == ERRC_OK);
	require(json_count(json_root(doc)) == s->members_n);
	json_free(&doc);
	for (unsigned i = 0; i < s->members_n; i++) {
		require(jtext_obj_next(&it, &key, &val) == 1);
		require(slice_eq(val, jscan_value(&s->members[i], in)));
	}
	require(jtext_obj_next(&it, &key, &val) == 0);
}

static void check_splice(const struct jscan *s, const struct jscan_names *names, struct slice in)
{
	struct slice parts[JSPLICE_SLICES_MAX];
	struct jsplice sp;
	struct tally t;
	struct jscan again;
	unsigned n;
	size_t bytes, sum = 0;

	jsplice_init(&sp, s, in);
	for (unsigned i = 0; i < s->members_n && i < JSPLICE_EDITS_MAX - 1; i++) {
		if (i % 3 == 0)
			jsplice_remove(&sp, &s->members[i]);
		if (i % 3 == 1)
			jsplice_set(&sp, &s->members[i], SLICE_LIT("[0]"));
	}
	jsplice_append(&sp, SLICE_LIT("\"\\u0000 new\":1"));
	require(jsplice_build(&sp, parts, &n, &bytes) == ERRC_OK);
	t = (struct tally){0};
	jscan_init(&again, names, &events, &t);
	for (unsigned i = 0; i < n; i++) {
		require(jscan_push(&again, parts[i].p, parts[i].n) == ERRC_OK);
		sum += parts[i].n;
	}
	require(jscan_end(&again) == ERRC_OK && sum == bytes);
	jscan_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = {(const char *)data, n};
	struct jscan_names names;
	struct jscan whole, s;
	struct tally a, b;
	enum errc e;

	jscan_names_init(&names, known, ARRAY_LEN(known));
	e = scan(&whole, &names, &a, in, n ? n : 1);
	for (size_t piece = 1; piece <= 17; piece += 4) {
		require(scan(&s, &names, &b, in, piece) == e);
		require(e || (s.members_n == whole.members_n && s.err_off == whole.err_off &&
			      b.bytes == a.bytes));
		jscan_fini(&s);
	}
	if (!e) {
		check_tree(&whole, in);
		if (slice_find(in, SLICE_LIT(" new")) < 0)
			check_splice(&whole, &names, in);
	}
	jscan_fini(&whole);
	return 0;
}
