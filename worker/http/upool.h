/* Connections to providers, one pool an endpoint: last in first out, limits on idle time, age and number. Endpoints are keyed by an id (the
 * provider's) and survive reloads of the provider table. A connection is in exactly one list of its endpoint (dialling, idle, busy); one
 * function moves it. */
#ifndef AIGW_UPOOL_H
#define AIGW_UPOOL_H

#include "up_conn.h"

struct upool;
struct upool_ep;

/* Where an endpoint is and how it is used. All strings are copied. */
struct upool_spec {
	uint64_t id;
	const char *host; /* name or literal; also the name the certificate must be for */
	uint16_t port;
	struct tls_client *tls;                      /* NULL: plain; held */
	int64_t connect_ms, tls_ms, idle_ms, age_ms; /* age 0: no limit */
	unsigned conns_max, idle_max;                /* 0: the defaults below */
};
#define UPOOL_CONNS_MAX 4096
#define UPOOL_IDLE_MAX  256

MUSTCHECK enum errc upool_new(struct turn *t, struct dns *dns, struct upool **out);
/* Borrowed connections are aborted without an event. */
void upool_free(struct upool **p);

/* Finds the endpoint of spec->id or makes it; holds it for the caller. A changed spec counts from now on: idle connections to the old
 * place are closed, busy ones are not reused. */
MUSTCHECK enum errc upool_ep_get(struct upool *p, const struct upool_spec *spec,
				 struct upool_ep **out);
/* The last drop closes its idle connections; busy ones end with their request. */
void upool_ep_drop(struct upool_ep **ep);

/* Takes an idle connection to `ep`, or starts one. The result is owned by the caller until upool_give() or upool_forget(). `ev` is
 * borrowed and must outlive that. Calls no event before returning. `fresh`: never an idle one (the retry after a stale one).
 * ERRC_BUSY: conns_max is reached. */
MUSTCHECK enum errc upool_borrow(struct upool_ep *ep, bool fresh, const struct up_conn_events *ev,
				 void *arg, struct up_conn **out);
/* Gives it back: kept if reusable, else closed. Sets *u to NULL, accepts NULL inside. No event comes any more. */
void upool_give(struct up_conn **u);
/* Aborts whatever it does (x_abort): at any time, twice. */
void upool_forget(struct up_conn **u);

/* Opens connections until `n` are idle or being dialled (after a start or reload). */
void upool_warm(struct upool_ep *ep, unsigned n);

/* For tests: an idle connection over an open transport, which it owns on success, as if it had been dialled. */
MUSTCHECK enum errc upool_adopt(struct upool_ep *ep, struct xport *x);

struct upool_stats {
	unsigned dialing, idle, busy;
	uint64_t dialed, dial_failed, borrowed, reused, tls_full, tls_resumed;
};
/* Of one endpoint, or (`ep` NULL) the sum. */
void upool_stats_get(const struct upool *p, const struct upool_ep *ep, struct upool_stats *out);

#endif
