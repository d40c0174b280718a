/* What a client asks for in headers, beside its request. Pure. */
#ifndef AIGW_WISH_H
#define AIGW_WISH_H

#include "arena.h"
#include "fault.h"
#include "http1.h"

/* All slices lie in the arena that wish_read() was given; empty: not sent, or not acceptable. */
struct wish {
	bool no_fallback, clamp, keepalive_off;
	int64_t timeout_ms; /* announced by the client's SDK, less our margin; 0: none */
	struct slice client_id; /* x-client-request-id, else x-request-id: visible ASCII, it is logged and echoed */
	struct slice origin; /* CORS */
	struct slice user;   /* x-aigw-user, the end user's tag, cut behind what is too long */
	struct slice idem;   /* idempotency-key, cut likewise */
	bool idem_given, no_memory;
	/* These cross to the provider: printable ASCII. */
	struct slice anthropic_beta, anthropic_version, openai_beta, traceparent, tracestate;
};

#define WISH_IDEM_MAX 255 /* contract A8 */

/* Out of memory counts as not sent, but for what the books depend on: the idempotency key and the end user. */
void wish_read(struct wish *w, const struct http1_head *h, struct arena *a);

/* Sets the fault where a header that the books depend on is not acceptable. */
void wish_check(const struct wish *w, struct fault *f);

#endif
