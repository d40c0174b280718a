/* One connection to a provider: sends a request, reads its answer, is reused if both ended clean. It is made by upool (which dials) or
 * over a given xport (tests). One request at a time.
 *
 * A borrower may call up_conn_send() at once, also while the connection is still being dialled. Events are upcalls that record and wake;
 * none comes from inside a function of this module. The borrower ends by upool_give() or upool_forget() (both at any time). */
#ifndef AIGW_UP_CONN_H
#define AIGW_UP_CONN_H

#include "dial.h"
#include "http1.h"
#include "xport.h"

struct up_conn;

/* How far it came when it failed. */
enum up_conn_phase {
	UP_CONN_NAME,    /* name or TCP: nothing was sent */
	UP_CONN_TLS,     /* handshake: nothing was sent */
	UP_CONN_REQUEST, /* before any byte of an answer */
	UP_CONN_HEAD,    /* inside the head */
	UP_CONN_BODY, /* inside the body: cut (ERRC_TRUNCATED, ERRC_CONNRESET …) or bad framing (ERRC_PROTOCOL) */
};

struct up_conn_fail {
	enum errc errc;
	enum up_conn_phase phase;
	/* The connection had served before and died before any byte of this answer: safe to send once more on a fresh one. */
	bool stale;
	const char *why; /* for logs and people; valid during the call */
};

struct up_conn_events {
	/* The request is wholly in the kernel's hands; its slices are no longer borrowed. Not called if the answer ends first. */
	void (*on_sent)(void *arg);
	/* The final head (1xx are swallowed), valid during the call. */
	void (*on_head)(void *arg, const struct http1_head *head);
	/* A slice of the body without its framing, valid during the call. After up_conn_read_stop() at most the rest of the read in hand
	 * (TURN_SCRATCH bytes) still comes. */
	void (*on_body)(void *arg, struct slice data);
	/* The answer is complete. Nothing follows. */
	void (*on_end)(void *arg);
	/* Nothing follows; `f` is valid during the call. */
	void (*on_fail)(void *arg, const struct up_conn_fail *f);
};

/* Sends head and body: `v` (copied) names slices that are borrowed until on_sent, on_end, on_fail or the give/forget. At most XPORT_IOV_MAX
 * pieces. `no_body`: the answer has none (HEAD). ERRC_STATE when a request is under way. */
MUSTCHECK enum errc up_conn_send(struct up_conn *u, const struct slice *v, size_t n, bool no_body);
/* Flow of the answer; started by up_conn_send(). */
void up_conn_read_stop(struct up_conn *u);
void up_conn_read_start(struct up_conn *u);

bool up_conn_is_reused(const struct up_conn *u); /* it served a request before this one */
/* Answer and request ended, both sides keep alive, nothing lies unread. */
bool up_conn_is_reusable(const struct up_conn *u);

/* --- for upool and tests --- */

/* What upool hears; never NULL. */
struct up_conn_owner {
	/* While nobody borrows it: the peer closed it, or sent what nobody asked for. Or its dial failed. Take it out and free it. */
	void (*on_idle_end)(void *arg, struct up_conn *u);
	/* The dial ended well or not; counters. Comes before the borrower hears of it. */
	void (*on_dialed)(void *arg, struct up_conn *u, const struct dial_result *r);
};

struct up_conn_link { /* private to upool: where the connection is listed */
	struct list node;
	void *ep;
	unsigned state, generation;
	int64_t born_ms, idle_since_ms;
};

/* Over an open xport, which the connection owns on success. `owner` is borrowed. */
MUSTCHECK enum errc up_conn_new(struct turn *t, struct xport *x, const struct up_conn_owner *owner,
				void *owner_arg, struct up_conn **out);
/* Dials first. */
MUSTCHECK enum errc up_conn_dial(struct turn *t, struct dns *dns, const struct dial_target *to,
				 const struct up_conn_owner *owner, void *owner_arg,
				 struct up_conn **out);
/* The borrower; NULL takes it away. */
void up_conn_set_events(struct up_conn *u, const struct up_conn_events *ev, void *arg);
/* Ready for the next request: drops buffers, watches for the peer's end. Only when up_conn_is_reusable(). */
void up_conn_rest(struct up_conn *u);
/* Aborts whatever is under way; no event comes any more. Sets *u to NULL, memory goes at the end of the turn. Accepts NULL inside. */
void up_conn_free(struct up_conn **u);
struct up_conn_link *up_conn_link(struct up_conn *u);
struct up_conn *up_conn_of_link(struct up_conn_link *l);

#endif
