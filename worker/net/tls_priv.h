/* Between tls.c (the process's part), tls_conf.c (contexts), tls_engine.c (the library's side of a connection), tls_thread.c and xport_tls.c (the
 * transport); for nobody else. */
#ifndef AIGW_TLS_PRIV_H
#define AIGW_TLS_PRIV_H

#include "buf.h"
#include "tls.h"

struct mbedtls_ssl_context;
struct xport_tls;
struct tls_tickets;

/* Work for the thread. Whoever submitted it leaves it and all that hangs on it alone until `done`. */
struct tls_job {
	struct list node;
	void (*work)(struct tls_job *j); /* in the thread */
	void (*done)(struct tls_job *j); /* in the loop, from a callback */
};

#define TLS_RECORD   16384
#define TLS_BURST    TLS_RECORD /* plaintext encrypted before the lower xport is asked */
#define TLS_WIRE_MAX (TLS_BURST + 4096)

#define TLS_MAGIC    0x544c5321u
struct tls {
	unsigned magic;
	struct turn *turn; /* borrowed */
	uv_async_t async;
	uv_thread_t thread;
	uv_mutex_t lock;
	uv_cond_t wake;
	struct list todo, finished; /* by `lock` */
	bool stop;                  /* by `lock` */
	struct tls_stats stats;     /* loop */
	/* Shared by all connections while one call of the loop works: plaintext read, plaintext gathered, ciphertext made. */
	char *plain_in, *plain_out;
	struct buf wire;
	struct tls_tickets *tickets;
	bool ticket_taken; /* thread: the step under way accepted a ticket */
};

void tls_submit(struct tls *tls, struct tls_job *j);

enum errc tls_thread_start(struct tls *tls);
/* Waits for its end. What was under way or waited is done with: `done` is called. */
void tls_thread_stop(struct tls *tls);
/* In the loop: calls `done` of what the thread finished. */
void tls_thread_finish(struct tls *tls);

/* The library's context of one connection, with its buffers. */
#define TLS_ENGINE_MAGIC 0x544c5345u
/* Bytes a peer may send before the handshake is done; chains are at most some 10 KiB. */
#define TLS_HANDSHAKE_MAX (256 * 1024)
#define TLS_WHY_MAX       200
struct tls_engine {
	unsigned magic;
	struct tls_job job;
	struct tls *tls;
	struct xport_tls *user;    /* NULL: closed, free it when it is back */
	struct tls_client *client; /* held, one of the two */
	struct tls_server *server;
	struct mbedtls_ssl_context *ssl; /* owned */
	struct buf in, out;              /* handshake: bytes from and for the peer */
	const char *p,
		*end; /* what the library reads next: in `in`, later in the lower xport's slice */
	struct buf *sink;  /* where the library's records go: `out`, later tls->wire */
	bool is_away;      /* with the thread */
	bool is_verified;  /* a chain was looked at: not resumed (client) */
	bool ticket_taken; /* resumed (server) */
	uint8_t ip[16]; /* what the certificate must be for when the host is an address (client) */
	size_t ip_n;    /* 0: it is a name */
	int result;     /* of the last step */
	unsigned cleared; /* of the sessions, when it began (client) */
	char why[TLS_WHY_MAX];
};
MUSTCHECK enum errc tls_engine_client(struct tls_client *c, const char *hostname,
				      struct tls_sessions *sessions,
				      void (*done)(struct tls_job *j), struct tls_engine **out);
MUSTCHECK enum errc tls_engine_server(struct tls_server *s, void (*done)(struct tls_job *j),
				      struct tls_engine **out);
void tls_engine_free(struct tls_engine *g);
/* Keeps the session of the connection for the next one, if there is one to keep and nobody has cleared them since it began. */
void tls_engine_save(struct tls_engine *g, struct tls_sessions *s);

/* Translates a code of mbedTLS; `why` gets its text. */
enum errc tls_errc(int code, char *why, size_t why_n);

#endif
