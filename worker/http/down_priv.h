/* Inside of a client connection, shared by down_conn.c (life, phases), down_in.c (what the client sends), down_out.c (answers) and
 * down_host.c; for nobody else. */
#ifndef AIGW_DOWN_PRIV_H
#define AIGW_DOWN_PRIV_H

#include "down_conn.h"
#include "inflate.h"

#define DOWN_CONN_MAGIC 0x444f574eu
#define DOWN_HOST_MAGIC 0x484f5354u
#define DOWN_OUT_MAX \
	(64 << 20) /* above any whole answer; a stream is held back by its marks long before */
#define DOWN_DATE_MAX     40
#define DOWN_INFLATE_STEP 1024 /* compressed bytes a step: bounds what one step expands to */

/* IDLE -> HEAD -> CALL -> IDLE …, or CALL -> LINGER -> CLOSED; CLOSED from everywhere. */
enum down_phase {
	DOWN_IDLE,   /* no byte of a request yet */
	DOWN_HEAD,   /* some bytes of a head */
	DOWN_CALL,   /* a request is with its call, until the answer's last byte is out */
	DOWN_LINGER, /* our side is shut; what still comes is dropped */
	DOWN_CLOSED, /* waits to be reaped */
};

/* What is left to read of the request of DOWN_CALL. */
enum down_input {
	DOWN_IN_BODY,
	DOWN_IN_DONE,
	DOWN_IN_FAULT, /* nothing more of this connection is read as HTTP */
};

enum down_output { DOWN_OUT_NONE, DOWN_OUT_STREAM, DOWN_OUT_ENDED };

struct down_host {
	unsigned magic;
	struct turn *turn; /* borrowed */
	struct down_opts opts;
	struct listen_set *set; /* borrowed or NULL */
	const struct down_host_events *ev;
	void *arg;
	struct list conns; /* down_conn.node */
	struct down_stats stats;
	bool is_draining;
	int64_t date_s; /* second of `date` */
	char date[DOWN_DATE_MAX];
	size_t date_n;
};

struct down_conn {
	unsigned magic;
	struct down_host *host; /* NULL once closed */
	struct list node;
	struct xport *x; /* owned; NULL once closed */
	struct listen_peer peer;
	enum down_phase phase;
	enum down_input input;
	enum down_output output;
	const struct down_conn_events *ev; /* of the request; NULL: nobody listens */
	void *arg;

	struct http1 http;
	struct buf ahead;        /* read but not parsed */
	struct inflate *inflate; /* gzip bodies */
	struct buf inflated;
	size_t body_max, body_seen; /* decoded */
	uint64_t bytes_in, bytes_out;
	int64_t since_ms;               /* when reading of the body went on */
	int64_t body_active_ms;         /* time spent reading the body before that */
	const struct down_fault *fault; /* to be told by the step */
	size_t dropped;                 /* LINGER */

	struct buf out;
	size_t out_at; /* bytes of it that are gone */
	int64_t wrote_ms;

	bool is_reading;   /* the xport's state */
	bool body_reading; /* the call's wish */
	bool body_begun;   /* the call has asked for it at least once */
	bool body_end_told;
	bool wants_continue;                      /* 100 Continue is owed */
	bool is_head_method, is_http10, may_keep; /* of the request */
	bool closes;                              /* behind this answer */
	bool is_chunked;
	bool was_full;   /* on_writable is owed */
	bool is_blocked; /* the xport took less than all */
	bool is_dead;    /* writing failed */
	bool eof_came;
	bool has_served; /* a request before this one, or this one */
	bool was_slow;   /* the fault was a time-out */
	struct turn_timer timer, send_timer;
	struct turn_task step, flush, reap;
};

static inline struct down_conn *down_conn_check(struct down_conn *dc)
{
	require_magic(dc, DOWN_CONN_MAGIC);
	return dc;
}

/* down_out.c: hands bytes to the xport; when an ended answer is out it calls down_conn_answered(). */
void down_out_flush(struct down_conn *dc);
/* Bytes that are not with the xport yet. */
static inline size_t down_out_left(const struct down_conn *dc)
{
	return dc->out.len - dc->out_at;
}
/* Puts the interim answer into the buffer. */
void down_out_continue(struct down_conn *dc);

/* down_in.c: parses the front of *in as far as the connection's state lets it; what is used is taken off. */
void down_in_feed(struct down_conn *dc, struct slice *in);
bool down_in_can_parse(const struct down_conn *dc);
/* The rest of the request cannot be read: tells the call. */
void down_in_fault(struct down_conn *dc, const struct down_fault *f);
/* A head did not come in time: the call gets what is known of it. */
void down_in_head_slow(struct down_conn *dc);
/* Tells the call that the body has ended, once, when it has asked for the body. */
void down_in_tell_end(struct down_conn *dc);
/* The body must come at body_rate_min bytes a second once body_grace_ms are over; time in which we did not read does not count. */
void down_in_watch(struct down_conn *dc);

/* down_conn.c */
void down_conn_timer_in(struct down_conn *dc, int64_t ms);
void down_conn_answered(struct down_conn *dc);
/* Tells no call. */
void down_conn_close(struct down_conn *dc);

#endif
