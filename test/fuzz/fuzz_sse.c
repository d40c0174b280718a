/* Server-sent events: pieces of any size give the same frames as the whole. (Not `raw`: the LF of a CRLF that ends a frame may
 * come too late to be part of it.) */
#include "fuzz.h"
#include "sse.h"

#define SSE_FRAME_MAX 4096

struct tally {
	uint64_t hash;
	unsigned frames;
	int end;
};

static void tally_add(struct tally *t, struct slice s)
{
	t->hash = (t->hash ^ (s.p ? s.n + 1 : 0)) * UINT64_C(0x100000001b3);
	for (size_t i = 0; i < s.n; i++)
		t->hash = (t->hash ^ (uint8_t)s.p[i]) * UINT64_C(0x100000001b3);
}

static int pull(struct sse *s, struct tally *t)
{
	struct sse_event ev;
	int got;

	while ((got = sse_next(s, &ev)) == 1) {
		tally_add(t, ev.name);
		tally_add(t, ev.data);
		t->frames++;
		require(!ev.is_comment || (!ev.name.p && !ev.data.p));
	}
	return got;
}

static struct tally run(struct slice in, size_t piece)
{
	struct tally t = {.hash = UINT64_C(0xcbf29ce484222325)};
	struct sse s;

	sse_init(&s, SSE_FRAME_MAX);
	for (size_t at = 0; at < in.n && t.end == 0; at += piece) {
		sse_push(&s, (struct slice){in.p + at, MIN_OF(piece, in.n - at)});
		t.end = pull(&s, &t);
	}
	if (t.end == 0) {
		sse_finish(&s);
		t.end = pull(&s, &t);
	}
	sse_fini(&s);
	return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = {(const char *)data, n};
	struct tally whole = run(in, n ? n : 1);

	for (size_t piece = 1; piece <= 7; piece += 2) {
		struct tally t = run(in, piece);

		require(t.end == whole.end);
		require(whole.end != 0 || (t.frames == whole.frames && t.hash == whole.hash));
	}
	return 0;
}
