/* What the files of this folder do for each other, by file; the steps of call_tbl.h among it. */
#ifndef AIGW_CALL_STEPS_H
#define AIGW_CALL_STEPS_H

#include "call_state.h"

/* call.c. A call for the head of a request, in the host's list until it is freed; NULL: no memory. `dc` and `head` are borrowed as
 * call_state.h says, `fault` is valid during the call. */
struct call *call_new(struct call_host *h, struct down_conn *dc, const struct http1_head *head,
		      const struct down_fault *fault);
/* At once: for the end of the host. A call that ran to its end is reaped by its own task. */
void call_free(struct call *c);
/* Frees the memory that call_free() keeps for the next ones. */
void call_spares_free(struct call_host *h);

/* Ends the call with `end` unless it has an end already: aborts the attempt, wakes; goes on at SETTLE. May be called from any upcall,
 * also twice. */
void call_cancel(struct call *c, enum record_end end);
void call_wake(struct call *c);
/* Goes to a step out of order, used as `return call_goto(c, CALL_SENT)`; ends the request and goes on at SETTLE. The step's row in call_tbl.h must
 * allow it. */
enum call_next call_goto(struct call *c, enum call_step step);
enum call_next call_end(struct call *c, enum record_end end);

/* The steps, each in its own file or with its neighbours. */
#define CALL_STEP(NAME, fn, to, ends, what) enum call_next fn(struct call *c);
#include "call_tbl.h"
#undef CALL_STEP

/* step_body.c */
extern const struct down_conn_events call_down_events;
void call_body_free(struct call *c);
/* Sets the fault that c->down_fault means for the client. */
void call_set_down_fault(struct call *c);

/* step_auth.c. What is said of a key whose address ranges do not have the client; static. */
const char *call_not_from_here(const struct call *c);

/* step_read.c. Whether candidate `at` needs the neutral form, which is not there yet. */
bool call_needs_reading(const struct call *c, size_t at);
/* A thread is at work on the call: nothing may be done with it until it wakes. */
bool call_is_off(const struct call *c);
/* Drops what the thread left behind; waits for one that is at work. */
void call_read_forget(struct call *c);

/* attempt.c */
enum errc call_attempt_start(struct call *c);
/* The stream was stopped, for it used up its hold: nothing more is read of it, the relay stays for the answer's end. */
void call_attempt_stop(struct call *c);
/* What the attempt says of its offer, for the breaker: it answered (1), failed (0), neither (-1). The first time counts. */
void call_attempt_verdict(struct call *c, int ok);
/* The attempt is over; its connection goes back or away, its relay is freed. `ok` counts for breaker and key, -1: no verdict. */
void call_attempt_end(struct call *c, int ok);
/* What was sent to prove who we are, borrowed from the table; empty: nothing. Only to hide it. */
struct slice call_attempt_credential(const struct call_attempt *a);
/* Notes where it stands, for who settles the request if this process dies: it has lasted `ms`, -1: it goes on. */
void call_attempt_note(const struct call *c, int status, int64_t ms, bool failed);
/* Notes it among the tried ones. */
void call_attempt_record(struct call *c, int status, const char *code);
/* The same for one that is given up: what it reported is our cost and nobody's charge. */
void call_attempt_lose(struct call *c, int status, const char *code);
/* For the metrics: how the attempt failed. */
void call_attempt_count(struct call *c, const char *result);
/* What the attempt's provider reported so far; a total that it did not divide is divided by what came of it, and output of which it does
 * not say how much is reasoning, sound or pictures, where these have a price of their own. */
void call_reported(const struct call *c, struct usage *out);
/* step_settle.c. The same with what is missing put in, as it is charged; `cut`: more may have come of it than was reported. */
void call_used(const struct call *c, bool cut, struct usage *out);
/* Whether no more than the hold is charged for it: what nobody reported is no real cost. */
bool call_is_capped(const struct call *c, const struct usage *u);
/* What the request itself adds to what a provider reports: its images, and a search and the tier
 * where none is reported. */
void call_pieces(const struct call *c, struct usage *u);
/* What the key's account pays of each price, by its group. */
int64_t call_mult_ppm(const struct call *c);
/* attempt.c. What so much usage costs the account, at the price that is held for. */
int64_t call_price(const struct call *c, const struct usage *u);
/* What so much usage of the offer costs us, at the cost of the moment of admission. */
int64_t call_cost(const struct call *c, const struct ptable_offer *o, const struct usage *u);
/* What a deadline that has passed says of the provider, for call_attempt_end(): nothing when it had less than half of its own time, because
 * the client's announced time-out or earlier attempts took the rest, and nothing when the total time ends a stream that flows. */
int call_timeout_verdict(const struct call *c);
/* What the client is told of a connection that failed; static. The log gets the cause in full, with the provider's address. */
const char *call_attempt_fail_text(const struct call *c);
/* What the attempt's failure means: breaker, key; sets the fault of a final one. True: try the next. */
bool call_attempt_judge(struct call *c);

/* step_relay.c. Counts what of the attempt's answer is kept, in the host's sum. */
void call_answer_count(struct call *c);

/* step_finish.c. Ends the client's answer with c->fault, as error answer or error item. c->down must be there. */
void call_tell_fault(struct call *c);

/* deadline.c. True: the total time is over; the fault is set and the call ends. A provider's own deadline that has passed is noted as a failure
 * of its connection. */
bool call_deadline_passed(struct call *c);
/* Whether the total time that is over was lowered by what the client announced: then it left, like one that closes. */
bool call_deadline_is_clients(const struct call *c);
/* For how long the client, by not reading, has kept the provider from sending. */
int64_t call_waited_ms(const struct call *c);
/* Whether that is so long that a provider may give up for it: then that its answer breaks off behind commit is the client's doing, and no refund. */
bool call_is_held_up(const struct call *c);
/* Wakes the call at the next of its moments. */
void call_deadline_arm(struct call *c);
/* Sends a stream's early head or its client's sign of life, if one is due. */
MUSTCHECK enum errc call_sign_of_life(struct call *c);

/* claim.c. An idempotency key is bound to method, path and body: begins with the first two; `idem` becomes the tag once the body was added to
 * `bound`. ERRC_NOMEM. */
MUSTCHECK enum errc call_claim_begin(struct call *c);
MUSTCHECK enum errc call_claim_end(struct call *c);

/* leave.c. The client is gone: aborts, or goes on for nobody. */
void call_leave(struct call *c);
/* The client's own time is over. True: it was told so, and its answer is to be drained all the same. */
bool call_leave_at_deadline(struct call *c);
/* Whether enough was read for a client that is gone; and when that is at the latest. */
bool call_leave_is_over(const struct call *c);
int64_t call_leave_until(const struct call *c);

/* step_send.c. No candidate is left: what most of them failed of decides about the fault (contract A3). */
enum call_next call_exhausted(struct call *c);

/* step_head.c. The attempt failed before commit: tries its candidate again (stale connection, another key), the next one, or ends the call. */
enum call_next call_failover(struct call *c);

/* own_ask.c. The routes that the keeper answers; as a step. */
enum call_next call_own_ask(struct call *c);
/* No answer of the keeper is waited for any more. */
void call_own_forget(struct call *c);

/* step_settle.c. The provider's answer came to its proper end, whether or not somebody was there to get it. */
bool call_is_whole(const struct call *c);

/* step_owe.c. The worker ends: a settlement that is owed is left to the keeper. */
void call_owe_end(struct call *c);

/* access.c. The path without its query, which may hold a key. */
struct slice call_path(const struct call *c);
void call_access_log(struct call *c);
void call_count(struct call *c);
/* The charge of one that was counted without it. */
void call_count_late(struct call *c);

#endif
