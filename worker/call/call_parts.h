/* The parts of a call: its steps, a lookup, one attempt. See call_state.h. */
#ifndef AIGW_CALL_PARTS_H
#define AIGW_CALL_PARTS_H

#include "own_usage.h"
#include "relay.h"
#include "rtable.h"

enum call_step {
#define CALL_STEP(NAME, fn, to, ends, what) CALL_##NAME,
#include "call_tbl.h"
#undef CALL_STEP
	CALL_STEP_COUNT
};

enum call_next { CALL_MORE, CALL_WAIT, CALL_DONE };

enum call_hold {
	CALL_HOLD_NONE,
	CALL_HOLD_ASKED,
	CALL_HOLD_HELD,
	CALL_HOLD_ENDING,
	CALL_HOLD_ENDED
};

/* A question to the keeper, which answers through call_host_found(). */
struct call_lookup {
	uint64_t seq;     /* 0: none runs */
	int64_t until_ms; /* 0: nothing was asked */
	bool answered;    /* what follows counts; slices are in the arena */
	enum errc status;
	struct msg_found found;
	struct msg_reported reported;
	struct own_usage *usage; /* what was asked of a report; in the arena */
};

/* One try at one candidate. Upcalls of the connection write `head`, `ended`, `failed` and what belongs to them. */
struct call_attempt {
	struct up_conn *up;
	size_t at; /* index in route.v */
	struct rtable_provider *provider;
	struct rtable_key *key;
	struct breaker *breaker;
	bool probe, inflight, fresh;
	bool stream; /* the provider answers with events */
	bool head, ended, failed, stale, paused;
	bool recorded; /* stands among the request's attempts: the last of them */
	bool lost;     /* given up, its cost is told */
	bool given_up; /* before commit: another one is tried, or none, and nobody pays for it */
	bool of_key;   /* what failed it is its key's trouble: another key may do */
	bool too_long; /* the error answer is longer than is kept of one: its end is not waited for */
	bool error; /* another status than 200, or another kind of body than was asked for: it is read to tell why */
	int status;
	enum errc errc;
	enum up_conn_phase phase;
	int64_t start_us, sent_us, head_us, seen_us;
	/* Since when the client's buffer is full, 0: it is not; and how long it was before: as long the provider waited. */
	int64_t full_ms, waited_ms;
	struct dialect_request req;
	struct buf lines; /* our head for the provider; holds its key: wiped */
	struct buf body;  /* of an error answer */
	struct slice up_request_id, retry_after, retry_after_ms, should_retry,
		openai_ms; /* in the arena */
	char why[160];
	struct relay relay;
};

#endif
