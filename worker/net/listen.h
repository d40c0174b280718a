/* Accepts clients on a listening socket that the master made. Hands up connections ready for HTTP: with TLS only after the handshake.
 * Caps: connections a worker (over all its listeners, struct listen_set) and a client address (trusted proxies excepted). Out of
 * descriptors it pauses 100 ms instead of spinning. */
#ifndef AIGW_LISTEN_H
#define AIGW_LISTEN_H

#include "tls.h"

struct listen;
struct listen_set;

struct listen_peer {
	uint8_t v6;	 /* 1: ip holds 16 bytes; 0: 4 (also for IPv4-mapped IPv6); AF_UNIX and unknown: all zero */
	uint8_t trusted; /* in the listener's trusted_proxies: x-forwarded-for counts */
	uint16_t port;
	uint8_t ip[16];
};

struct listen_net {
	uint8_t v6, bits;
	uint8_t ip[16];
};
/* Reads "10.0.0.0/8", "::1", "192.0.2.7"; ERRC_SYNTAX otherwise. */
MUSTCHECK enum errc listen_net_parse(struct slice text, struct listen_net *out);
bool listen_net_has(const struct listen_net *nets, size_t n, uint8_t v6, const uint8_t *ip);

/* Counts connections and knows the caps, live-changeable. */
MUSTCHECK enum errc listen_set_new(struct turn *t, unsigned conns_max, unsigned per_address_max, struct listen_set **out);
void listen_set_free(struct listen_set **s);
void listen_set_caps(struct listen_set *s, unsigned conns_max, unsigned per_address_max);
/* To be called once for each connection that was handed up, when it ended. */
void listen_set_gone(struct listen_set *s, const struct listen_peer *peer);

struct listen_opts {
	struct tls_server *tls; /* NULL: plain; held */
	int64_t tls_ms;		/* limit of the handshake */
	const struct listen_net *trusted; /* copied */
	size_t trusted_n;
};

struct listen_events {
	/* `x` is owned by the receiver, reading is stopped. `peer` is valid during the call. */
	void (*on_conn)(void *arg, struct xport *x, const struct listen_peer *peer);
	/* After listen_drain(): the queue was empty and the socket is closed. */
	void (*on_drained)(void *arg);
};

/* `fd` listens, is non-blocking and owned by the listener from now on. `ev` is borrowed until listen_close(). */
MUSTCHECK enum errc listen_open(struct listen_set *s, int fd, const struct listen_opts *o, const struct listen_events *ev, void *arg,
				struct listen **out);
/* New certificate or trusted proxies; connections that are open keep theirs. */
MUSTCHECK enum errc listen_update(struct listen *l, const struct listen_opts *o);
void listen_pause(struct listen *l);
void listen_resume(struct listen *l);
/* Accepts until the queue is empty, closes the socket, calls on_drained. Handshakes that run go on. */
void listen_drain(struct listen *l);
/* At once, handshakes that run are dropped; no event comes any more. */
void listen_close(struct listen **l);

struct listen_stats {
	unsigned open;	     /* connections now, handshakes included */
	uint64_t accepted, refused_cap, refused_address, paused, tls_failed;
};
void listen_stats_get(const struct listen_set *s, struct listen_stats *out);

#endif
