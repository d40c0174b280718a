/* A request of each kind: the same facts in any split, and what is written for a provider is JSON, spliced or translated. */
#include "fuzz.h"
#include "jscan.h"
#include "rig.h"

/* By the scanner, which takes halves of surrogate pairs as the client may have sent them. */
static void must_be_json(const struct rig *r)
{
	struct jscan s;

	jscan_init(&s, NULL, NULL, NULL);
	require(jscan_push(&s, r->out.p, r->out.len) == ERRC_OK);
	require(jscan_end(&s) == ERRC_OK);
	jscan_fini(&s);
}

static enum errc run(enum dialect_op op, const char *body, unsigned split, enum ptable_dialect back,
		     struct bound *bound)
{
	struct rig r;
	enum errc e;

	rig_init(&r, back);
	r.split = split;
	e = rig_ask(&r, op, body);
	*bound = r.facts.bound;
	if (!e) {
		/* What the scan takes, the splices of the same dialect can always write. */
		enum errc w = rig_write(&r, 77);

		require(w == ERRC_OK ||
			(back == PTABLE_ANTHROPIC && w == ERRC_INVAL && fault_is_set(&r.fault)));
		if (!w)
			must_be_json(&r);
	} else {
		require(fault_is_set(&r.fault));
	}
	rig_fini(&r);
	return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct bound whole, cut;
	struct buf text;
	enum errc e;

	/* The body is a C string here: bytes behind a NUL are left out, no JSON has one. */
	buf_init(&text, n + 16);
	require(buf_add(&text, data, n) == ERRC_OK);
	for (unsigned op = 0; op < DIALECT_OP_COUNT; op++) {
		e = run(op, buf_cstr(&text), 0, PTABLE_OPENAI, &whole);
		require(run(op, buf_cstr(&text), 3,
			    op == DIALECT_CHAT ? PTABLE_ANTHROPIC : PTABLE_OPENAI, &cut) == e);
		require(e != ERRC_OK || !memcmp(&whole, &cut, sizeof(whole)));
	}
	buf_fini(&text);
	return 0;
}
