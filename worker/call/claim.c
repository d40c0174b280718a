/* The idempotency key of a request (contract A8): the tag by which the stores know it. */
#include "call_steps.h"
#include "idem.h"

enum errc call_claim_begin(struct call *c)
{
	if (!c->wish.idem.n)
		return ERRC_OK;
	c->bound = arena_new(&c->arena, struct digest);
	if (!c->bound)
		return ERRC_NOMEM;
	digest_init(c->bound);
	digest_add(c->bound, c->method);
	digest_add(c->bound, SLICE_LIT(" "));
	digest_add(c->bound, call_path(c));
	digest_add(c->bound, SLICE_LIT("\n"));
	return ERRC_OK;
}

enum errc call_claim_end(struct call *c)
{
	uint8_t bound[DIGEST_SHA256], *tag;

	if (!c->bound)
		return ERRC_OK;
	tag = arena_array(&c->arena, uint8_t, IDEM_TAG);
	if (!tag)
		return ERRC_NOMEM;
	digest_final(c->bound, bound);
	idem_tag(c->wish.idem, bound, tag);
	c->idem = slice_of(tag, IDEM_TAG);
	return ERRC_OK;
}
