/* What a client asks for in headers, beside its request. Pure. */
#ifndef AIGW_WISH_H
#define AIGW_WISH_H

#include "arena.h"
#include "http1.h"

/* All slices lie in the arena that wish_read() was given; empty: not sent, or not acceptable. */
struct wish {
	bool no_fallback, clamp, keepalive_off;
	int64_t timeout_ms; /* announced by the client's SDK, less our margin; 0: none */
	struct slice client_id; /* x-client-request-id, else x-request-id: visible ASCII, it is logged and echoed */
	struct slice origin; /* CORS */
	/* These cross to the provider: printable ASCII. */
	struct slice anthropic_beta, anthropic_version, openai_beta, traceparent, tracestate;
};

/* Out of memory counts as not sent. */
void wish_read(struct wish *w, const struct http1_head *h, struct arena *a);

#endif
