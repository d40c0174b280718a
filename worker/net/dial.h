/* One outgoing connection: name -> addresses -> TCP by happy eyeballs (RFC 8305: families alternate, the next address starts 250 ms
 * after the last or when it failed) -> TLS if asked -> an xport. One end: `done`, or dial_abort(). */
#ifndef AIGW_DIAL_H
#define AIGW_DIAL_H

#include "dns.h"
#include "tls.h"

struct dial;

#define DIAL_STAGGER_MS 250

struct dial_target {
	const char *host; /* name or literal; copied */
	uint16_t port;
	struct tls_client *tls;        /* NULL: plain. Held until the end */
	struct tls_sessions *sessions; /* borrowed until the xport is closed; NULL: never resumes */
	int64_t connect_ms, tls_ms;    /* limits: name and TCP together; the handshake */
};

struct dial_result {
	enum errc errc;
	const char *why;     /* for people; valid during the call */
	struct xport *xport; /* owned by the receiver; NULL on failure */
	bool tls_resumed;
	int64_t tls_us;       /* how long the handshake took; 0: there was none */
	struct dns_addr addr; /* where it went, or the last that failed */
};

/* From a turn or a callback, never from inside dial_start(). The dial is gone when it returns. */
typedef void (*dial_done_fn)(void *arg, struct dial_result *r);

MUSTCHECK enum errc dial_start(struct turn *t, struct dns *dns, const struct dial_target *to,
			       dial_done_fn done, void *arg, struct dial **out);
/* At any time and twice: *d is NULL when it returns and no call comes. */
void dial_abort(struct dial **d);

#endif
