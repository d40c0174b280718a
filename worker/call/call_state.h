/* The inside of a call, shared by the step files of this folder and nobody else.
 *
 * Lifetime: made by on_request, on the host's list until it is reaped at the end of the turn in which it logged. `down` is borrowed and NULL
 * once the client's connection has said its last word; `attempt` is the one at work, at most one; `rt` is held from the first step to the
 * end; `hold` goes NONE -> ASKED -> HELD -> ENDING -> ENDED, each once. Upcalls and timers record and wake; call_run() decides. */
#ifndef AIGW_CALL_STATE_H
#define AIGW_CALL_STATE_H

#include "addrs.h"
#include "arena.h"
#include "auth.h"
#include "batch.h"
#include "call.h"
#include "clock.h"
#include "fault.h"
#include "genid.h"
#include "paths.h"
#include "progress.h"
#include "relay.h"
#include "route.h"
#include "rtable.h"

#define CALL_MAGIC 0x43414c4cu

enum call_step {
#define CALL_STEP(NAME, fn, what) CALL_##NAME,
#include "call_tbl.h"
#undef CALL_STEP
	CALL_STEP_COUNT
};

enum call_next { CALL_MORE, CALL_WAIT, CALL_DONE };

enum call_hold { CALL_HOLD_NONE, CALL_HOLD_ASKED, CALL_HOLD_HELD, CALL_HOLD_ENDING, CALL_HOLD_ENDED };

/* What the client asked for in headers. */
struct call_wish {
	bool no_fallback, clamp, keepalive_off;
	int64_t timeout_ms; /* announced by the client's SDK; 0: none */
	struct slice client_id; /* x-request-id or x-client-request-id, in the arena */
	struct slice origin;    /* CORS; in the arena */
	struct slice anthropic_beta, anthropic_version, openai_beta, traceparent, tracestate; /* in the arena */
};

/* One try at one candidate. Upcalls of the connection write `head`, `ended`, `failed` and what belongs to them. */
struct call_attempt {
	struct up_conn *up;
	size_t at; /* index in route.v */
	struct rtable_provider *provider;
	struct rtable_key *key;
	struct breaker *breaker;
	bool probe, inflight, fresh;
	bool stream;    /* the provider answers with events */
	bool head, ended, failed, stale, paused;
	bool error;     /* status of 400 or more: the body is read to tell why */
	int status;
	enum errc errc;
	enum up_conn_phase phase;
	int64_t start_us, sent_us, head_us, seen_us;
	struct dialect_request req;
	struct buf lines; /* our head for the provider; holds its key: wiped */
	struct buf body;  /* of an error answer */
	struct slice up_request_id, retry_after, retry_after_ms, should_retry, openai_ms; /* in the arena */
	char why[160];
	struct relay relay;
};

struct call {
	unsigned magic;
	enum call_step step;
	int jump; /* step asked for by call_goto(), -1: none */
	struct list node;
	struct call_host *host;
	struct turn_task task, reap;
	struct turn_timer timer;
	struct arena arena;
	struct rtable *rt;
	struct down_conn *down;
	const struct http1_head *head; /* NULL once the body is read or `down` is gone */
	struct listen_peer peer;
	uint8_t addr[16]; /* of the client, behind trusted proxies */
	struct slice method, target; /* in the arena */
	struct paths_match path;
	struct call_wish wish;
	struct genid id;
	char id_text[GENID_TEXT + 1];
	struct auth_key *key; /* in the arena; NULL: not authenticated */
	struct fault fault;   /* the first one wins */
	enum record_end end;

	/* body and what was read from it */
	const struct dialect_front *front; /* NULL: a route of our own */
	enum dialect_op op;
	void *scan;
	struct buf body;
	size_t body_counted; /* of the host's sum */
	bool body_started, body_ended, reading;
	struct dialect_facts facts;
	struct dialect_env env;
	struct ir_request *ir; /* made for the first candidate that needs translation */
	struct call_reading *off; /* a thread reads the body into `ir`: arena and body are its until it is done */
	struct down_fault down_fault; /* .status != 0: the request cannot be read */

	/* candidates, hold, charge */
	struct route route;
	struct hold_candidate *hold_candidates; /* in the arena */
	size_t next;   /* candidate whose turn it is */
	struct batch_item item;
	enum call_hold hold;
	struct admit_grant grant;
	uint32_t slot; /* of progress */
	bool charged;
	struct usage usage; /* that is charged */
	struct admit_done done;
	int64_t durable_until_ms, rest_until_ms;
	unsigned settle_tries;
	bool reversing;

	/* attempts */
	struct call_attempt *attempt; /* in the arena; the one at work or the last one */
	struct fault_attempt tried[LIMIT_ATTEMPTS];
	struct record_attempt records[LIMIT_ATTEMPTS];
	size_t tried_n;
	struct fault *last;  /* of the last attempt that failed; in the arena */
	int64_t context_above; /* only models with more context are left to try; 0: all */
	bool stale_retry;    /* the next attempt repeats one whose connection had gone stale */
	unsigned failed_rate, failed_out, failed_slow, failed_other; /* candidates given up, by cause */
	int64_t wait_ms; /* the shortest cool-down met */
	int64_t lost_cost_nusd;
	uint64_t own_seq; /* of a lookup that runs */
	enum errc own_status;
	struct slice own_record; /* in the arena */
	bool own_found;

	/* the answer */
	bool head_sent, end_sent, down_done, down_gone, canceled, unlogged, addr_counted;
	int status; /* that the client saw; 0: none yet */
	int64_t start_us, body_us, commit_us, first_us, end_us;
	int64_t flush_at_ms; /* an item held back goes out then; 0: none */
	uint64_t bytes_in, bytes_out;
};

struct call_host {
	unsigned magic;
	struct call_env env;
	struct rtable *rt, *next; /* in force; prepared */
	struct rtable_cas *cas;
	struct batch *batch;
	struct list calls;
	struct list lookups; /* private to own.c */
	unsigned count;
	struct addrs addrs;
	uint64_t finished, seq;
	size_t body_bytes;
	bool draining;
	struct buf scratch; /* head lines and bodies of short answers; nobody keeps it over a return to the loop */
	struct genid_source ids;
	struct text_rng rng;
	uint64_t requests;
};

/* call.c. Ends the call with `end` unless it has an end already: aborts the attempt, wakes; goes on at SETTLE. May be called from any upcall,
 * also twice. */
void call_cancel(struct call *c, enum record_end end);
void call_wake(struct call *c);
static inline struct turn *call_turn(const struct call *c)
{
	return c->host->env.turn;
}
/* The clock itself, not the turn's: for what is reported about times. */
static inline int64_t call_now_us(void)
{
	return clock_boot_ns() / 1000;
}
static inline const struct settings *call_set(const struct call *c)
{
	return &c->rt->t->set;
}
/* Goes to a step out of order; used as `return call_goto(c, CALL_LOG)`. */
enum call_next call_goto(struct call *c, enum call_step step);
/* Where an end that is known goes on: SETTLE. */
enum call_next call_end(struct call *c, enum record_end end);

/* The steps, each in its own file or with its neighbours. */
#define CALL_STEP(NAME, fn, what) enum call_next fn(struct call *c);
#include "call_tbl.h"
#undef CALL_STEP

/* step_body.c */
extern const struct down_conn_events call_down_events;
void call_body_free(struct call *c);

/* step_read.c. Whether candidate `at` needs the neutral form, which is not there yet. */
bool call_needs_reading(const struct call *c, size_t at);
/* A thread is at work on the call: nothing may be done with it until it wakes. */
bool call_is_off(const struct call *c);
/* Drops what a finished thread left behind. */
void call_read_forget(struct call *c);

/* attempt.c */
enum errc call_attempt_start(struct call *c);
/* The attempt is over; its connection goes back or away, its relay is freed. `ok` counts for breaker and key, -1: no verdict. */
void call_attempt_end(struct call *c, int ok);
/* Notes it among the tried ones. */
void call_attempt_record(struct call *c, int status, const char *code);
/* What a deadline that has passed says of the provider, for call_attempt_end(): nothing when it had less than half of its own time, because
 * the client's announced time-out or earlier attempts took the rest, and nothing when the total time ends a stream that flows. */
int call_timeout_verdict(const struct call *c);
/* What the attempt's failure means: breaker, key; sets the fault of a final one. True: try the next. */
bool call_attempt_judge(struct call *c);

/* own.c */
void call_own_forget(struct call *c);

/* access.c */
void call_access_log(struct call *c);
void call_count(struct call *c);

#endif
