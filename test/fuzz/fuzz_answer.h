/* What the entries of answers share. */
#ifndef AIGW_FUZZ_ANSWER_H
#define AIGW_FUZZ_ANSWER_H

#include "fault_write.h"
#include "json.h"
#include "rig.h"
#include "sse.h"

/* Each item that the gateway wrote itself is JSON. */
static inline void fuzz_items_are_json(struct slice out)
{
	struct json_doc *doc = NULL;
	struct sse_event ev;
	struct sse s;

	sse_init(&s, 64 * 1024 * 1024);
	sse_push(&s, out);
	while (sse_next(&s, &ev) > 0) {
		if (slice_is(ev.data, "[DONE]"))
			continue;
		require(json_parse(ev.data, NULL, &doc) == ERRC_OK);
		json_free(&doc);
	}
	sse_fini(&s);
}

/* An answer that is no success: the next byte chooses the status, a line is retry-after, the rest the body. There is always a fault, and what
 * it says is written as JSON. */
static inline void fuzz_error(struct slice in, enum ptable_dialect back)
{
	static const int statuses[] = {0,   300, 307, 400, 401, 402, 403, 404,
				       408, 413, 422, 429, 500, 501, 503, 529};
	struct dialect_answer a = {.now_s = 1790000000};
	struct dialect_verdict v;
	struct json_doc *doc = NULL;
	struct fault f;
	struct buf out;

	if (in.n)
		a.status = statuses[(unsigned char)in.p[0] % ARRAY_LEN(statuses)];
	in = slice_sub(in, 1, in.n);
	if (slice_cut(&in, '\n', &a.retry_after))
		a.body = in;
	else
		a.body = a.retry_after;
	a.retry_after_ms = slice_has_prefix(a.retry_after, SLICE_LIT("ms:"))
				   ? slice_sub(a.retry_after, 3, a.retry_after.n)
				   : SLICE_NONE;
	dialect_back(back)->classify(&a, &f, &v);
	require(fault_is_set(&f));
	require(fault_status(&f) >= 400 && fault_status(&f) < 600);
	buf_init(&out, 65536);
	require(fault_write_openai(&f, SLICE_LIT("gen_x"), &out) == ERRC_OK);
	require(json_parse(buf_slice(&out), NULL, &doc) == ERRC_OK);
	json_free(&doc);
	buf_fini(&out);
}

/* The first byte chooses: 1 stream, 2 usage asked, 4 completions, 8 embeddings, 16 an error. Any split gives the same end and the same bytes. */
static inline void fuzz_answer(const uint8_t *data, size_t n, enum ptable_dialect back)
{
	static const unsigned splits[] = {0, 1, 7};
	struct buf first;
	bool ended = false;

	if (!n)
		return;
	if (data[0] & 16) {
		fuzz_error(slice_of(data + 1, n - 1), back);
		return;
	}
	buf_init(&first, 64 * 1024 * 1024);
	for (size_t i = 0; i < ARRAY_LEN(splits); i++) {
		struct rig r;

		rig_init(&r, back);
		r.split = splits[i];
		r.facts.stream = data[0] & 1;
		r.facts.include_usage = data[0] & 2;
		if (back == PTABLE_OPENAI)
			r.facts.op = data[0] & 4   ? DIALECT_COMPLETIONS
				     : data[0] & 8 ? DIALECT_EMBEDDINGS
						   : DIALECT_CHAT;
		if (rig_answer(&r, slice_of(data + 1, n - 1), data[0] & 1) == ERRC_OK) {
			require(r.ended != r.failed);
			require(i == 0 || r.ended == ended);
			require(i == 0 || slice_eq(buf_slice(&first), buf_slice(&r.out)));
			if (back == PTABLE_ANTHROPIC && (data[0] & 1))
				fuzz_items_are_json(buf_slice(&r.out));
			ended = r.ended;
			if (i == 0)
				require(buf_adds(&first, buf_slice(&r.out)) == ERRC_OK);
		}
		rig_fini(&r);
	}
	buf_fini(&first);
}

#endif
