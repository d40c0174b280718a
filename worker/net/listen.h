/* Accepts clients on a listening socket that the master made. Hands up connections ready for HTTP: with TLS only after the handshake.
 * Caps: at `conns_max` connections of the worker (over all its listeners, struct listen_set) it stops accepting and the queue
 * waits; a client address above `per_address_max` is closed (trusted proxies excepted). Out of descriptors it pauses 100 ms, or until a
 * connection ends, instead of spinning. */
#ifndef AIGW_LISTEN_H
#define AIGW_LISTEN_H

#include "ipnet.h"
#include "tls.h"

struct listen;
struct listen_set;

/* A listener's trusted_proxies. Counted, since connections that are open keep theirs. */
struct listen_proxies {
	unsigned holds;
	size_t n;
	struct ipnet nets[];
};

struct listen_peer {
	uint8_t addr[16]; /* IPv4 in its mapped form; all zero for a unix socket */
	uint16_t port;
	/* NULL unless the peer is one of them and its x-forwarded-for counts; held until listen_set_gone(). */
	struct listen_proxies *proxies;
};

/* Counts connections and knows the caps, live-changeable. */
MUSTCHECK enum errc listen_set_new(struct turn *t, unsigned conns_max, unsigned per_address_max,
				   struct listen_set **out);
void listen_set_free(struct listen_set **s);
void listen_set_caps(struct listen_set *s, unsigned conns_max, unsigned per_address_max);
/* To be called once for each connection that was handed up, when it ended. */
void listen_set_gone(struct listen_set *s, const struct listen_peer *peer);

struct listen_opts {
	struct tls_server *tls;      /* NULL: plain; held */
	int64_t tls_ms;              /* limit of the handshake */
	const struct ipnet *trusted; /* copied */
	size_t trusted_n;
};

struct listen_events {
	/* `x` is owned by the receiver, reading is stopped. `peer` is valid during the call. */
	void (*on_conn)(void *arg, struct xport *x, const struct listen_peer *peer);
	/* After listen_drain(): the queue was empty and the socket is closed. */
	void (*on_drained)(void *arg);
};

/* `fd` listens, is non-blocking and owned by the listener from now on. `ev` is borrowed until listen_close(). */
MUSTCHECK enum errc listen_open(struct listen_set *s, int fd, const struct listen_opts *o,
				const struct listen_events *ev, void *arg, struct listen **out);
/* New certificate or trusted proxies; connections that are open keep theirs. */
MUSTCHECK enum errc listen_update(struct listen *l, const struct listen_opts *o);
/* What becomes of the socket when a listener is drained. A listener that ends alone shares it with the master, who gives it to the next
 * worker: there only the descriptor may go. Else no connection begins at it from now on (synstop.h), so that none is reset by the close. */
enum listen_end {
	LISTEN_END_COPY,   /* others serve with the socket: our descriptor is closed */
	LISTEN_END_SOCKET, /* nobody does: it goes once its queue is empty */
	LISTEN_END_LATE /* the same, but not before 200 ms: most handshakes with clients far away are complete then */
};
/* Accepts until the queue is empty, closes the descriptor, calls on_drained. TLS handshakes that run go on. */
void listen_drain(struct listen *l, enum listen_end end);
/* Drained, and the last handshake is over. */
bool listen_is_over(const struct listen *l);
/* At once, handshakes that run are dropped; no event comes any more. */
void listen_close(struct listen **l);

struct listen_stats {
	unsigned open; /* connections now, handshakes included */
	uint64_t refused_address, paused;
};
void listen_stats_get(const struct listen_set *s, struct listen_stats *out);

#endif
