/* TLS by mbedTLS, 1.2 and 1.3. One `struct tls` a worker owns the thread that makes all handshakes of both sides; the library's
 * context of a connection has one owner: the thread until the handshake is done, the loop from then on. Contexts (trust, certificate)
 * are immutable and counted, so that a reload swaps one pointer while connections keep theirs. */
#ifndef AIGW_TLS_H
#define AIGW_TLS_H

#include "secret.h"
#include "xport.h"

struct tls;
struct tls_client;
struct tls_server;
struct tls_sessions;

/* Opens crypto (after exec, once a process) and starts the thread. */
MUSTCHECK enum errc tls_new(struct turn *t, struct tls **out);
/* Ends the thread. All xports made with it are closed before. */
void tls_free(struct tls **tls);

/* What a provider's chain is verified against: certificates in PEM form, or (empty) the system's
 * store. Chain and name are always verified. `why` (of `why_n` bytes) gets a readable cause on
 * failure. */
MUSTCHECK enum errc tls_client_new(struct tls *tls, struct slice roots_pem, char *why, size_t why_n,
				   struct tls_client **out);
/* Changes when the system's store does: its file's time and size. */
int64_t tls_system_roots_stamp(void);
struct tls_client *tls_client_hold(struct tls_client *c);
void tls_client_drop(struct tls_client **c);

/* Our certificate chain and key, PEM, copied. Refused when they do not belong together. */
MUSTCHECK enum errc tls_server_new(struct tls *tls, struct slice chain_pem, struct slice key_pem,
				   char *why, size_t why_n, struct tls_server **out);
struct tls_server *tls_server_hold(struct tls_server *s);
void tls_server_drop(struct tls_server **s);

/* The key for session tickets, made by the master for all workers every 12 h; the one before it is still accepted. Without one, and
 * with a key older than 24 h, tickets are made with a random key of this process. */
#define TLS_TICKET_NAME 4
#define TLS_TICKET_KEY  32
struct tls_ticket_key {
	uint8_t name[TLS_TICKET_NAME];
	uint8_t key[TLS_TICKET_KEY];
};
MUSTCHECK enum errc tls_set_ticket_key(struct tls *tls, const struct tls_ticket_key *key);

/* The last session of one endpoint, to resume with. Belongs to the loop. */
MUSTCHECK enum errc tls_sessions_new(struct tls_sessions **out);
void tls_sessions_free(struct tls_sessions **s);
/* Forgets it, and takes none of connections that were begun before: the next handshake looks at a certificate. */
void tls_sessions_clear(struct tls_sessions *s);

/* How a handshake ended. `why` is valid during the call. */
struct tls_result {
	enum errc errc; /* ERRC_TLS_CERT when the peer's certificate was refused, ERRC_TLS, ERRC_CONNRESET, ERRC_EOF … */
	const char *why;
	bool resumed;
	const char *version; /* "TLSv1.3"; static */
};
/* Comes once, from the loop. On failure only xport_close() is left. */
typedef void (*tls_done_fn)(void *arg, const struct tls_result *r);

/* Stacks TLS on `*lower`, which it takes over (sets it to NULL) on success. `hostname` (a name or an IP literal) is what the
 * certificate must be for; copied, never NULL or empty. `sessions` may be NULL, else borrowed until the xport is closed. Reading and
 * writing start after `done`. Calls nothing before it returns. */
MUSTCHECK enum errc tls_connect(struct tls_client *c, struct xport **lower, const char *hostname,
				struct tls_sessions *sessions, tls_done_fn done, void *arg,
				struct xport **out);
MUSTCHECK enum errc tls_accept(struct tls_server *s, struct xport **lower, tls_done_fn done,
			       void *arg, struct xport **out);

/* Counters of this worker, for metrics. */
struct tls_stats {
	uint64_t client_full, client_resumed, client_failed, server_full, server_resumed,
		server_failed;
	unsigned queued; /* handshakes with the thread now */
};
void tls_stats_get(const struct tls *tls, struct tls_stats *out);

#endif
