/* One client connection: HTTP/1.1 server over an xport. Requests are answered in order; while a call runs at most one further read
 * is kept (pipelining), and the next request is parsed only after the current answer ended. An idle connection holds no buffers.
 *
 * A connection owns itself inside its host (struct down_host). A call *borrows* it: from on_request until on_sent or on_gone returned,
 * or until it let go by down_conn_detach(). After that the pointer must not be used. Every request ends in exactly one of on_sent,
 * on_gone, down_conn_detach().
 *
 * Answers: down_conn_answer() (whole), or down_conn_start() + down_conn_write()… + down_conn_end() | down_conn_cut(). Bytes
 * gather and go out in one write at the end of the turn. Functions of this module call no event before they return. An answer
 * that starts before the request's body ended carries connection: close and is followed by a lingering close (contract A3).
 * What fails while writing is not reported by the write but by on_gone. */
#ifndef AIGW_DOWN_CONN_H
#define AIGW_DOWN_CONN_H

#include "http1.h"
#include "listen.h"
#include "xport.h"

struct down_conn;
struct down_host;

/* Why a request cannot be read. The call answers it in its dialect; the connection closes behind that answer. */
struct down_fault {
	int status; /* 400, 408, 413, 414, 415, 431, 501, 505; 500, 503: no memory */
	enum errc errc;
	const char *text; /* static; a sentence for the client, of 414, 431 and ERRC_PROTOCOL the parser's words */
};
/* Upcalls to the call that took the request: record and wake. */
struct down_conn_events {
	/* A slice of the (decoded) body, valid during the call. Not while reading is stopped. */
	void (*on_body)(void *arg, struct slice data);
	void (*on_body_end)(void *arg);
	/* The rest of the request is malformed, too large or too slow; no more body comes. Only before on_body_end. */
	void (*on_fault)(void *arg, const struct down_fault *f);
	/* The buffer fell below the low mark after down_conn_is_full(). */
	void (*on_writable)(void *arg);
	/* The answer was ended and its last byte is in the kernel's hands. Last event. */
	void (*on_sent)(void *arg);
	/* The client left, or the connection died, before that. Last event. */
	void (*on_gone)(void *arg);
	/* Room for the next n bytes of the body or less (iov_len 0: none): they may be read to there, and come by on_body next. NULL: never. */
	struct iovec (*on_room)(void *arg, size_t n);
};

/* For a receiver that wants to hear nothing more of its request: the answer is given inside on_request, or the request is cut. */
extern const struct down_conn_events down_conn_deaf;

struct down_host_events {
	/* A head is complete, or (`fault` not NULL; valid during the call) will never be: then `head` holds what is known of it (method
	 * and target; either may be empty or cut). The receiver must call down_conn_take() before it returns, later it must answer.
	 * `head` is borrowed and valid until the request ended (on_sent, on_gone, detach) or down_conn_drop_head(). */
	void (*on_request)(void *arg, struct down_conn *dc, const struct http1_head *head,
			   const struct down_fault *fault);
};

struct down_opts {
	size_t line_max, head_max, body_max; /* 414, 431, 413 (after decoding) */
	int64_t idle_ms, head_ms;            /* between requests; first byte to end of head (408) */
	int64_t body_grace_ms,
		body_rate_min; /* after that time a body must have come at so many bytes a second (408) */
	int64_t send_ms;       /* a client that takes no byte for so long is gone */
	int64_t linger_ms, drain_idle_ms;
	size_t linger_max;
	/* Of the output buffer. What one read brings on top of the high one still fits into 32 KiB, to which a buffer grows: a
	 * client that does not read costs 54 KiB in all, with 16 KiB it was 64. */
	size_t high_water, low_water;
};
#define DOWN_OPTS_DEFAULT                           \
	((struct down_opts){.line_max = 8 << 10,    \
			    .head_max = 64 << 10,   \
			    .body_max = 32 << 20,   \
			    .idle_ms = 75000,       \
			    .head_ms = 15000,       \
			    .body_grace_ms = 15000, \
			    .body_rate_min = 1024,  \
			    .send_ms = 60000,       \
			    .linger_ms = 5000,      \
			    .drain_idle_ms = 5000,  \
			    .linger_max = 32 << 20, \
			    .high_water = 12 << 10, \
			    .low_water = 4 << 10})

/* The host: options, list and counters of client connections. `set` is told of every connection that ends; NULL in tests. */
MUSTCHECK enum errc down_host_new(struct turn *t, const struct down_opts *o, struct listen_set *set,
				  const struct down_host_events *ev, void *arg,
				  struct down_host **out);
/* Closes what is open without a word. */
void down_host_free(struct down_host **h);
/* Live: counts for what happens from now on. */
void down_host_set_opts(struct down_host *h, const struct down_opts *o);
/* Answers get connection: close; idle connections go after drain_idle_ms and still serve what arrives until then. */
void down_host_drain(struct down_host *h);
struct down_stats {
	unsigned open, busy; /* connections; those with a request */
	uint64_t requests, gone, bytes_in, bytes_out;
};
void down_stats_get(const struct down_host *h, struct down_stats *out);

/* Serves `x`, which the host's new connection owns (on failure it was closed). `peer` is copied. */
MUSTCHECK enum errc down_conn_open(struct down_host *h, struct xport *x,
				   const struct listen_peer *peer);

/* Names the receiver of this request's events; `ev` is borrowed until its last event or detach. */
void down_conn_take(struct down_conn *dc, const struct down_conn_events *ev, void *arg);
/* Valid while the connection is borrowed. */
const struct listen_peer *down_conn_peer(const struct down_conn *dc);

/* Flow of the body. It starts stopped: nothing is read (and no 100 Continue sent) before the first down_conn_read_start(). */
void down_conn_read_start(struct down_conn *dc);
void down_conn_read_stop(struct down_conn *dc);
/* The head of this request is not needed any more: its memory goes. After on_body_end. */
void down_conn_drop_head(struct down_conn *dc);

/* What stands above an answer. The connection adds date, connection, keep-alive and the framing (content-length or
 * transfer-encoding); `fields` holds complete lines "name: value\r\n" made by http1_put_field(). */
struct down_answer {
	int status;
	struct slice fields; /* borrowed during the call */
	bool close;          /* close behind it in any case */
};

/* A whole answer of the given pieces; copied or sent before it returns. To HEAD and for 204 and 304 the body is left out. Ends the
 * request: on_sent or on_gone follows. ERRC_STATE after a start, ERRC_NOMEM: nothing was written. */
MUSTCHECK enum errc down_conn_answer(struct down_conn *dc, const struct down_answer *a,
				     const struct slice *body, size_t n);
/* Begins a streamed answer: chunked, to HTTP/1.0 until close. */
MUSTCHECK enum errc down_conn_start(struct down_conn *dc, const struct down_answer *a);
/* One chunk of all pieces together; copied. Empty ones are left out. Past the high mark it still takes everything (the caller minds
 * down_conn_is_full()). ERRC_NOMEM: nothing was taken. */
MUSTCHECK enum errc down_conn_writev(struct down_conn *dc, const struct slice *v, size_t n);
static inline enum errc down_conn_write(struct down_conn *dc, struct slice s)
{
	return down_conn_writev(dc, &s, 1);
}
/* The final chunk goes out with what was written in this turn. on_sent or on_gone follows. */
MUSTCHECK enum errc down_conn_end(struct down_conn *dc);
/* Ends a started answer visibly cut: what was written, then FIN without the final chunk, never a reset. Before the start: closes without an
 * answer. on_sent or on_gone follows. */
void down_conn_cut(struct down_conn *dc);
/* The caller goes away: no event comes any more. An answer that was ended is still sent, one that was not is cut. Sets *dc to NULL, accepts
 * NULL inside. */
void down_conn_detach(struct down_conn **dc);

bool down_conn_is_full(const struct down_conn *dc); /* above the high mark: stop reading up */
/* When anything was last written (turn_now_ms), for keep-alive comments. */
int64_t down_conn_wrote_ms(const struct down_conn *dc);
/* Bytes of this request: read (as on the wire) and written into the buffer (head included). */
uint64_t down_conn_bytes_in(const struct down_conn *dc);
uint64_t down_conn_bytes_out(const struct down_conn *dc);
#endif
