/* When a call is woken next while a provider works on it, and what has passed by then: the total time, the provider's next sign of life, an
 * early head, a sign of life for the client, an item held back. Moments are milliseconds of turn_now_ms(). */
#include <stdio.h>

#include "call_steps.h"
#include "reply.h"

/* No provider gives up sooner. In all, for some have a time for the whole answer; and a client that waits a little less each time has all the
 * answer's time to wait more often. */
#define HELD_UP_MS 1000

static int64_t ms_of(int64_t us)
{
	return us / 1000;
}

/* A limit lowered by what the client announced, while it waits. */
static int64_t lowered(const struct call *c, int64_t ms)
{
	return c->wish.timeout_ms && !c->left_ms ? MIN_OF(ms, c->wish.timeout_ms) : ms;
}

static int64_t total_ms(const struct call *c)
{
	const struct ptable_provider *p = c->attempt->provider->p;

	return c->facts.stream ? p->total_stream_ms : p->total_whole_ms;
}

static int64_t total_deadline(const struct call *c)
{
	return ms_of(c->start_us) + lowered(c, total_ms(c));
}

/* When the provider must have shown its next sign of life: never while we ourselves do not read because the client is slow. */
static int64_t up_deadline(const struct call *c)
{
	const struct call_attempt *a = c->attempt;
	const struct ptable_provider *p = a->provider->p;

	if (a->paused)
		return INT64_MAX;
	if (!a->head)
		return ms_of(a->start_us) + lowered(c, c->facts.stream ? p->first_byte_stream_ms
								       : p->first_byte_whole_ms);
	return ms_of(a->seen_us) + p->between_ms;
}

/* When a stream's head goes out although no candidate has answered yet; INT64_MAX: never, or it is out. */
static int64_t early_head(const struct call *c)
{
	if (!c->facts.stream || c->head_sent || !c->down || call_set(c)->head_after_ms <= 0)
		return INT64_MAX;
	return ms_of(c->body_us) + call_set(c)->head_after_ms;
}

/* When the client gets a sign of life; INT64_MAX: it or its key wants none, no stream is out, or enough waits for the client to read it:
 * a comment behind that shows nothing, and would grow a buffer that is as large as it should get. */
static int64_t next_keepalive(const struct call *c)
{
	int64_t every_ms = c->key->keepalive_ms >= 0 ? c->key->keepalive_ms
						     : call_set(c)->keepalive_ms;

	if (!c->head_sent || !c->facts.stream || !c->down || every_ms <= 0 ||
	    c->wish.keepalive_off || down_conn_is_full(c->down))
		return INT64_MAX;
	return down_conn_wrote_ms(c->down) + every_ms;
}

enum errc call_sign_of_life(struct call *c)
{
	int64_t now = turn_now_ms(call_turn(c));

	if (now >= early_head(c))
		return reply_stream_head(c);
	if (now >= next_keepalive(c))
		return down_conn_write(c->down, c->front->keepalive);
	return ERRC_OK;
}

bool call_deadline_is_clients(const struct call *c)
{
	return lowered(c, total_ms(c)) < total_ms(c);
}

int64_t call_waited_ms(const struct call *c)
{
	const struct call_attempt *a = c->attempt;

	return a->waited_ms + (a->full_ms ? turn_now_ms(call_turn(c)) - a->full_ms : 0);
}

bool call_is_held_up(const struct call *c)
{
	return call_waited_ms(c) >= HELD_UP_MS;
}

void call_deadline_arm(struct call *c)
{
	int64_t at = MIN_OF(MIN_OF(total_deadline(c), up_deadline(c)),
			    MIN_OF(early_head(c), next_keepalive(c)));

	at = MIN_OF(at, call_leave_until(c));
	turn_timer_set(&c->timer, c->flush_at_ms ? MIN_OF(at, c->flush_at_ms) : at);
}

/* A deadline of ours has passed: recorded as the connection's failure. */
static void time_out(struct call *c, const char *why)
{
	struct call_attempt *a = c->attempt;

	a->failed = true;
	a->stale = false;
	a->errc = ERRC_TIMEOUT;
	a->phase = a->head ? UP_CONN_BODY : UP_CONN_REQUEST;
	snprintf(a->why, sizeof(a->why), "%s", why);
}

bool call_deadline_passed(struct call *c)
{
	int64_t now = turn_now_ms(call_turn(c));
	struct call_attempt *a = c->attempt;

	if (now >= total_deadline(c)) {
		fault_set(&c->fault, FAULT_UPSTREAM_TIMEOUT,
			  "The request was not finished within its total time of %lld seconds.",
			  (long long)(total_deadline(c) - ms_of(c->start_us)) / 1000);
		return true;
	}
	if (!a->failed && !a->ended && now >= up_deadline(c))
		time_out(c, a->head ? "no byte for too long in the middle of the answer"
				    : "no answer in time");
	return false;
}
