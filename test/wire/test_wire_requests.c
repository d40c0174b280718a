/* Every recorded request of the OpenAI dialect: scanned at odd splits, bounded, spliced for its own dialect, translated for Anthropic's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "rig.h"
#include "wire.h"

#define BOUNDED_MAX 1024

struct seen {
	unsigned requests, refused_by_scan, translated, refused;
	unsigned bounded, below, large_n;
	double ratio[BOUNDED_MAX], large[BOUNDED_MAX]; /* of all; of those above 1,500 tokens */
};

static unsigned wrongs;

static void wrong(const struct wire *w, const char *what, struct slice out)
{
	wrongs++;
	print_error(SLICE_FMT ": %s\n" SLICE_FMT "\n", SLICE_ARG(w->id), what,
		    SLICE_ARG(slice_sub(out, 0, 2000)));
}

static enum dialect_op op_of(const struct wire *w)
{
	return slice_is(w->api, "embeddings")    ? DIALECT_EMBEDDINGS
	       : slice_is(w->api, "completions") ? DIALECT_COMPLETIONS
						 : DIALECT_CHAT;
}

/* The prompt's real size, from the usage of a whole answer or the last of a stream; 0 without. */
static int64_t real_input(const struct wire *w)
{
	static const char mark[] = "\"prompt_tokens\":";
	struct slice s = buf_slice(&w->response);
	int64_t n = 0;

	for (size_t i = 0; i + sizeof(mark) < s.n; i++)
		if (!memcmp(s.p + i, mark, sizeof(mark) - 1))
			n = strtoll(s.p + i + sizeof(mark) - 1, NULL, 10);
	return n;
}

static void bounded(const struct wire *w, const struct rig *r, struct seen *seen)
{
	struct bound_model m = {0};
	int64_t real = real_input(w), bound = bound_tokens(&r->facts.bound, &m);
	double ratio;

	if (real <= 0 || r->facts.bound.whole_context || seen->bounded == BOUNDED_MAX)
		return;
	ratio = (double)bound / (double)real;
	seen->ratio[seen->bounded++] = ratio;
	seen->below += bound < real;
	if (getenv("AIGW_BOUND"))
		print_message("# " SLICE_FMT " real %lld bound %lld ratio %.2f\n", SLICE_ARG(w->id),
			      (long long)real, (long long)bound, ratio);
	if (real > 1500)
		seen->large[seen->large_n++] = ratio;
}

static void spliced(const struct wire *w, struct rig *r)
{
	struct json_doc *doc = NULL;
	const struct json *root;
	size_t had = json_count(json_obj_get(json_obj_get(w->root, "request"), "body"));

	if (rig_write(r, 0) != ERRC_OK || json_parse(buf_slice(&r->out), NULL, &doc) != ERRC_OK) {
		wrong(w, "not written", buf_slice(&r->out));
		return;
	}
	root = json_root(doc);
	if (!slice_is(json_str(json_obj_get(root, "model")), "up-m1"))
		wrong(w, "another model", buf_slice(&r->out));
	if (!r->facts.own_fields && json_count(root) + 1 < had)
		wrong(w, "members lost", buf_slice(&r->out));
	json_free(&doc);
}

static void translated(const struct wire *w, struct seen *seen)
{
	struct json_doc *doc = NULL;
	struct rig r;
	enum errc e;

	rig_init(&r, PTABLE_ANTHROPIC);
	r.offer.upstream = SLICE_LIT("claude-sonnet-4-5");
	assert_int_equal(rig_ask(&r, DIALECT_CHAT, buf_cstr((struct buf *)&w->request)), ERRC_OK);
	e = rig_write(&r, 0);
	if (e) {
		seen->refused++;
		if (e != ERRC_INVAL || !fault_is_set(&r.fault) || !r.fault.param[0])
			wrong(w, "refused without a name", SLICE_NONE);
		else if (getenv("AIGW_BOUND"))
			print_message("# " SLICE_FMT ": %s\n", SLICE_ARG(w->id),
				      fault_message(&r.fault));
	} else if (json_parse(buf_slice(&r.out), NULL, &doc) != ERRC_OK ||
		   !json_count(json_obj_get(json_root(doc), "messages"))) {
		wrong(w, "translated to nonsense", buf_slice(&r.out));
	} else {
		seen->translated++;
	}
	json_free(&doc);
	rig_fini(&r);
}

static void one(void *arg, const struct wire *w)
{
	static const unsigned splits[] = {0, 1, 13};
	struct seen *seen = arg;
	struct bound first = {0};

	if (!slice_is(w->dialect, "openai-chat") && !slice_is(w->api, "completions") &&
	    !slice_is(w->api, "embeddings"))
		return;
	if (!w->request.len ||
	    !slice_is(w->dialect, slice_is(w->api, "chat.completions") ? "openai-chat" : "openai"))
		return;
	seen->requests++;
	for (size_t i = 0; i < ARRAY_LEN(splits); i++) {
		struct rig r;

		rig_init(&r, PTABLE_OPENAI);
		r.split = splits[i];
		if (rig_ask(&r, op_of(w), buf_cstr((struct buf *)&w->request)) != ERRC_OK) {
			seen->refused_by_scan += i == 0;
			if (w->status < 400 && i == 0)
				print_message("# refused: " SLICE_FMT ": %s\n", SLICE_ARG(w->id),
					      fault_message(&r.fault));
			rig_fini(&r);
			return;
		}
		if (i == 0) {
			first = r.facts.bound;
			bounded(w, &r, seen);
		}
		assert_memory_equal(&first, &r.facts.bound, sizeof(first));
		spliced(w, &r);
		rig_fini(&r);
	}
	if (op_of(w) == DIALECT_CHAT)
		translated(w, seen);
}

/* Of sorted numbers. */
static double median(const double *v, unsigned n)
{
	return n ? (v[(n - 1) / 2] + v[n / 2]) / 2 : 0;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void every_recorded_request_is_understood(void **state)
{
	static struct seen seen;

	wire_each(one, &seen);
	qsort(seen.ratio, seen.bounded, sizeof(double), by_size);
	qsort(seen.large, seen.large_n, sizeof(double), by_size);
	print_message("# %u requests, %u refused; translated %u, refused by name %u\n",
		      seen.requests, seen.refused_by_scan, seen.translated, seen.refused);
	print_message("# bound: %u calls, below the real count in %u; median %.2f, of %u above "
		      "1500 tokens %.2f\n",
		      seen.bounded, seen.below, median(seen.ratio, seen.bounded), seen.large_n,
		      median(seen.large, seen.large_n));
	assert_int_equal(wrongs, 0);
	assert_true(seen.requests > 150);
	assert_true(seen.below * 50 < seen.bounded);
	assert_true(seen.large_n > 3 && median(seen.large, seen.large_n) <= 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_recorded_request_is_understood)};

	if (wire_is_absent())
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
