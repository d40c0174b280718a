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
#include "body_pool.h"
#include "call_host.h"
#include "call_parts.h"
#include "clock.h"
#include "genid.h"
#include "paths.h"
#include "route.h"
#include "wish.h"

#define CALL_MAGIC 0x43414c4cu

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
	bool proxied;                  /* the peer is a trusted proxy */
	bool addr_unknown;           /* of the client; `addr` is the proxy's that did not tell it */
	uint8_t addr[16];            /* of the client, behind trusted proxies */
	struct slice method, target; /* in the arena */
	struct paths_match path;
	struct wish wish;
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
	size_t body_counted;   /* of the host's sum */
	size_t answer_counted; /* likewise: of its answer, what is not written yet */
	bool body_started, body_ended, reading;
	struct dialect_facts facts;
	struct dialect_env env;
	struct ir_request *ir; /* made for the first candidate that needs translation */
	struct call_reading *
		off; /* a thread reads the body into `ir`: arena and body are its until it is done */
	struct slice user; /* the end user's tag */
	struct digest *bound; /* what an idempotency key is bound to, as far as it came; NULL: none was given */
	struct slice idem;            /* the claim's tag */
	struct down_fault down_fault; /* .status != 0: the request cannot be read */

	/* candidates, hold, charge */
	struct route route;
	struct hold_candidate *hold_candidates; /* in the arena */
	size_t next;                            /* candidate whose turn it is */
	uint32_t passed_over; /* bits of candidates that were left out for being in slow start */
	bool second_round;    /* they are tried now, for no other was left */
	struct batch_item item;
	enum call_hold hold;
	struct admit_grant grant; /* of a refused request only `requests` and `tokens` */
	uint32_t slot;            /* of progress */
	bool charged;
	struct usage usage; /* that is charged */
	struct admit_done done;
	int64_t durable_until_ms, rest_until_ms;
	unsigned settle_tries, reverse_tries;
	bool reversing;
	bool owing, owe_over; /* in step_owe() */
	int64_t owe_at_ms;    /* the settlement is asked for then; 0: it was */

	/* attempts */
	struct call_attempt *attempt; /* in the arena; the one at work or the last one */
	struct fault_attempt tried[LIMIT_ATTEMPTS];
	struct record_attempt records[LIMIT_ATTEMPTS];
	size_t tried_n;
	struct fault *last;    /* of the last attempt that failed; in the arena */
	int64_t context_above; /* only models with more context are left to try; 0: all */
	bool stale_retry;      /* the next attempt repeats one whose connection had gone stale */
	unsigned failed_rate, failed_big, failed_out, failed_slow,
		failed_other; /* candidates given up, by cause */
	int64_t wait_ms;      /* the shortest cool-down met */
	int64_t lost_cost_nusd;
	int64_t admitted_wall_ms;  /* whose prices count */
	struct call_lookup lookup; /* of the routes that the keeper answers */

	/* the answer */
	bool head_sent, end_sent, canceled, unlogged, addr_counted;
	int status; /* that the client saw; 0: none yet */
	/* Moments of call_now_us(), 0: not yet. Head here, body here, first content out, first byte out, last byte out. */
	int64_t start_us, body_us, commit_us, first_us, end_us;
	/* When the client left whose answer is drained, and what had come of it by then. */
	int64_t left_ms, left_tokens;
	uint64_t left_bytes;
	int64_t flush_at_ms; /* an item held back goes out then; 0: none */
	uint64_t bytes_in, bytes_out;
};

struct call_host {
	unsigned magic;
	struct call_env env;
	struct rtable *rt, *next; /* in force; prepared */
	struct rtable_cas *cas;
	struct batch *batch;
	struct list calls, spares; /* spares: memory of calls that ended, by `node` */
	unsigned count, spares_n, owing;
	struct addrs addrs;
	uint64_t finished, seq;
	uint64_t ended_seen; /* of the keys in the page whose requests end */
	size_t answer_bytes;
	/* Held now; the most since call_host_tidy() looked; the most that memory is kept for. */
	size_t body_bytes, body_most, body_kept;
	struct body_pool bodies;
	bool draining;
	struct buf scratch; /* head lines and bodies of short answers; nobody keeps it over a return to the loop */
	struct genid_source ids;
	struct text_rng rng;
	uint64_t requests;
};

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

#endif
