#include "wish.h"

#include "apikey.h"
#include "caps.h"
#include "text.h"
#include "user_tag.h"

#define CLIENT_MARGIN_MS \
	2000 /* contract A7: the gateway ends a request so much before its client would */
#define CLIENT_LEAST_MS 1000

static struct slice keep(const struct http1_head *h, struct arena *a, const char *name, size_t max)
{
	struct slice v = http1_header(h, name);

	return v.n ? arena_dup(a, slice_sub(v, 0, max)) : SLICE_NONE;
}

/* For a header that crosses to the provider: other bytes than printable ASCII do not, so the header stays here. */
static struct slice cross(const struct http1_head *h, struct arena *a, const char *name, size_t max)
{
	struct slice v = keep(h, a, name, max);

	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] < 0x20 || v.p[i] > 0x7e)
			return SLICE_NONE;
	return v;
}

/* Visible ASCII only. */
static bool is_visible(struct slice v)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] < 0x21 || v.p[i] > 0x7e)
			return false;
	return true;
}

/* It is logged and echoed. */
static struct slice client_id(const struct http1_head *h, struct arena *a)
{
	struct slice v = http1_header(h, "x-client-request-id");

	if (!v.n)
		v = http1_header(h, "x-request-id");
	if (v.n > LIMIT_CLIENT_ID || !is_visible(v))
		return SLICE_NONE;
	v = v.n ? arena_dup(a, v) : SLICE_NONE;
	apikey_hide((char *)v.p, v.n);
	return v;
}

/* Seconds of the SDK's announced time-out, as milliseconds less the margin. A client that waits 3 s or less still gets an answer that comes
 * in the first second, or in half of its time. */
static int64_t announced_ms(const struct http1_head *h, const char *name)
{
	int64_t ms;

	if (text_decimal(http1_header(h, name), 3, &ms) || ms <= 0)
		return 0;
	return MAX_OF(ms - CLIENT_MARGIN_MS, MAX_OF(MIN_OF(ms / 2, CLIENT_LEAST_MS), 1));
}

void wish_read(struct wish *w, const struct http1_head *h, struct arena *a)
{
	int64_t read;

	w->no_fallback = slice_is(http1_header(h, "x-aigw-no-fallback"), "1");
	w->clamp = slice_is(http1_header(h, "x-aigw-clamp"), "1");
	w->keepalive_off = slice_ieq(http1_header(h, "x-aigw-keepalive"), SLICE_LIT("off"));
	w->timeout_ms = announced_ms(h, "x-stainless-timeout");
	read = announced_ms(h, "x-stainless-read-timeout");
	if (read && (!w->timeout_ms || read < w->timeout_ms))
		w->timeout_ms = read;
	w->client_id = client_id(h, a);
	w->user = keep(h, a, "x-aigw-user", USER_TAG_MAX + 1);
	w->idem_given = http1_header(h, "idempotency-key").p;
	w->idem = keep(h, a, "idempotency-key", WISH_IDEM_MAX + 1);
	w->no_memory = (http1_header(h, "idempotency-key").n && !w->idem.p) ||
		       (http1_header(h, "x-aigw-user").n && !w->user.p);
	w->origin = keep(h, a, "origin", 512);
	w->anthropic_beta = cross(h, a, "anthropic-beta", 1024);
	w->anthropic_version = cross(h, a, "anthropic-version", 64);
	w->openai_beta = cross(h, a, "openai-beta", 1024);
	w->traceparent = cross(h, a, "traceparent", 128);
	w->tracestate = cross(h, a, "tracestate", 1024);
}

void wish_check(const struct wish *w, struct fault *f)
{
	if (w->user.n && !user_tag_is_good(w->user))
		fault_field(f, FAULT_INVALID_VALUE, "x-aigw-user",
			    "The header `x-aigw-user` must be " USER_TAG_RULES ".");
	if (w->no_memory)
		fault_errc(f, ERRC_NOMEM, "header");
	if (w->idem_given && (w->idem.n == 0 || w->idem.n > WISH_IDEM_MAX || !is_visible(w->idem)))
		fault_field(
			f, FAULT_INVALID_VALUE, "idempotency-key",
			"The header `idempotency-key` must be 1 to %d visible ASCII characters.",
			WISH_IDEM_MAX);
}
