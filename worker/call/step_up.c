#include <stdio.h>

#include "call_steps.h"
#include "reply.h"

#define FLUSH_MS 250 /* contract A4: a finish chunk waits so long for its usage */

static int64_t ms_of(int64_t us)
{
	return us / 1000;
}

/* A limit lowered by what the client announced. */
static int64_t lowered(const struct call *c, int64_t ms)
{
	return c->wish.timeout_ms ? MIN_OF(ms, c->wish.timeout_ms) : ms;
}

static int64_t total_deadline(const struct call *c)
{
	const struct settings *s = call_set(c);

	return ms_of(c->start_us) +
	       lowered(c, c->facts.stream ? s->timeout_total_ms : s->timeout_total_whole_ms);
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

static bool wants_keepalive(const struct call *c)
{
	return c->head_sent && c->facts.stream && c->down && call_set(c)->keepalive_ms > 0 &&
	       !c->wish.keepalive_off;
}

static void arm(struct call *c)
{
	int64_t at = MIN_OF(total_deadline(c), up_deadline(c));

	if (c->facts.stream && !c->head_sent && call_set(c)->head_after_ms > 0)
		at = MIN_OF(at, ms_of(c->body_us) + call_set(c)->head_after_ms);
	if (wants_keepalive(c))
		at = MIN_OF(at, down_conn_wrote_ms(c->down) + call_set(c)->keepalive_ms);
	if (c->flush_at_ms)
		at = MIN_OF(at, c->flush_at_ms);
	turn_timer_set(&c->timer, at);
}

/* The fault when no candidate is left: what most of them failed of decides (contract A3). */
static enum call_next exhausted(struct call *c)
{
	struct fault *f = &c->fault;
	const char *text = c->last ? fault_message(c->last) : "";

	f->attempts = c->tried;
	f->attempts_n = c->tried_n;
	f->attempts_made = (int)c->tried_n;
	f->retry_after_ms = c->wait_ms;
	if (c->context_above && c->last) {
		*f = *c->last;
	} else if (c->failed_rate && !c->failed_other && !c->failed_slow && !c->failed_out) {
		fault_set(f, FAULT_UPSTREAM_RATE,
			  "All providers of `" SLICE_FMT
			  "` are at their limits; try again in %lld seconds.",
			  SLICE_ARG(c->route.asked->name),
			  (long long)(MAX_OF(c->wait_ms, 1000) + 999) / 1000);
	} else if (c->tried_n == 0 || (c->failed_out && !c->failed_other && !c->failed_slow)) {
		fault_set(f, FAULT_OVERLOADED, "No provider of `" SLICE_FMT "` is available now%s%s",
			  SLICE_ARG(c->route.asked->name), *text ? ": " : ".", text);
	} else if (c->failed_slow && !c->failed_other) {
		fault_set(f, FAULT_UPSTREAM_TIMEOUT, "%s", text);
	} else {
		fault_set(f, FAULT_UPSTREAM, "%s", text);
	}
	if (c->last) {
		memcpy(f->provider, c->last->provider, sizeof(f->provider));
		memcpy(f->provider_code, c->last->provider_code, sizeof(f->provider_code));
		f->provider_status = c->last->provider_status;
	}
	return call_end(c, f->kind == FAULT_UPSTREAM_TIMEOUT ? RECORD_END_TIMEOUT
							     : RECORD_END_UPSTREAM_ERROR);
}

static void note_wait(struct call *c, int64_t wait_ms)
{
	if (wait_ms > 0 && (c->wait_ms == 0 || wait_ms < c->wait_ms))
		c->wait_ms = wait_ms;
}

/* Prepares the attempt at candidate `at`: key, breaker, room. False: it cannot be tried now. */
static bool take_candidate(struct call *c, struct call_attempt *a, size_t at)
{
	const struct ptable_offer *o = c->route.v[at].offer;
	struct rtable_offer *ro = rtable_offer_of(c->rt, o);
	int64_t now = turn_now_ms(call_turn(c)), wait = 0;
	bool limited = false, none = false;

	a->at = at;
	a->provider = rtable_provider_of(c->rt, o);
	if (c->tried_n > 0 && !c->stale_retry && a->provider->health &&
	    !breaker_retry_take(a->provider->health, now, call_set(c)->retry_share_ppm,
				call_set(c)->retry_minimum))
		return false;
	a->key = rtable_pick_key(a->provider, now, &wait, &limited, &none);
	if (!a->key && !none) {
		c->failed_rate += limited;
		c->failed_out += !limited;
		note_wait(c, wait);
		return false;
	}
	if (ro->health && !breaker_admit(ro->health, &c->rt->breaker, now, c->host->env.page_slot,
					 text_rng_next(&c->host->rng), &a->probe)) {
		c->failed_out++;
		note_wait(c, breaker_wait_ms(ro->health, now));
		return false;
	}
	a->breaker = ro->health;
	if (a->provider->health &&
	    !breaker_inflight_take(a->provider->health, c->host->env.page_slot,
				   a->provider->p->max_inflight)) {
		c->failed_out++;
		if (a->probe)
			breaker_probe_release(a->breaker, c->host->env.page_slot);
		a->breaker = NULL;
		return false;
	}
	a->inflight = a->provider->health != NULL;
	return true;
}

static bool may_try(const struct call *c, size_t at)
{
	return c->grant.index[at] >= 0 &&
	       c->route.v[at].model->context > c->context_above - (c->context_above == 0);
}

/* A fresh attempt in the memory of the last one. */
static struct call_attempt *new_attempt(struct call *c)
{
	if (!c->attempt)
		c->attempt = arena_new(&c->arena, struct call_attempt);
	else
		memset(c->attempt, 0, sizeof(*c->attempt));
	return c->attempt;
}

/* Starting failed: a request that this back cannot express, or our own lack. */
static void start_failed(struct call *c, enum errc e)
{
	struct fault f = c->fault;

	memset(&c->fault, 0, sizeof(c->fault));
	if (!fault_is_set(&f))
		fault_errc(&f, e, "request");
	if (!c->last)
		c->last = arena_new(&c->arena, struct fault);
	if (c->last)
		*c->last = f;
	call_attempt_end(c, -1);
	c->next++;
}

enum call_next step_send(struct call *c)
{
	bool fresh = c->stale_retry;

	while (c->next < c->route.n) {
		struct call_attempt *a;
		enum errc e;

		if (c->tried_n >= (size_t)MIN_OF(call_set(c)->retry_attempts, LIMIT_ATTEMPTS))
			break;
		if (!may_try(c, c->next)) {
			c->next++;
			continue;
		}
		if (call_needs_reading(c, c->next))
			return call_goto(c, CALL_READ);
		a = new_attempt(c);
		if (!a) {
			fault_errc(&c->fault, ERRC_NOMEM, "attempt");
			return call_end(c, RECORD_END_INTERNAL);
		}
		if (!take_candidate(c, a, c->next)) {
			c->next++;
			continue;
		}
		a->fresh = fresh;
		c->stale_retry = false;
		e = call_attempt_start(c);
		if (!e)
			return CALL_MORE;
		start_failed(c, e);
	}
	if (c->last && c->tried_n == 0 && !c->failed_out && !c->failed_rate) {
		c->fault = *c->last;
		return call_end(c, RECORD_END_REJECTED);
	}
	return exhausted(c);
}

/* After a failure before commit: the same candidate with its next key, or the next one. */
static enum call_next try_next(struct call *c, bool same)
{
	turn_timer_clear(&c->timer);
	c->next += !same;
	return call_goto(c, CALL_SEND);
}

static enum call_next failed(struct call *c)
{
	struct call_attempt *a = c->attempt;
	unsigned resting = c->failed_rate + c->failed_out;
	bool key_trouble = a->error && (a->status == 401 || a->status == 402 || a->status == 403),
	     same;

	if (a->failed && a->stale) {
		call_attempt_end(c, -1);
		c->stale_retry = true;
		return try_next(c, true);
	}
	if (!call_attempt_judge(c))
		return call_end(c, RECORD_END_REJECTED);
	same = (key_trouble || c->failed_rate + c->failed_out > resting) && a->provider->keys_n > 1;
	/* The client wants no failover; another key of the same provider is none. */
	if (c->wish.no_fallback && !same)
		return exhausted(c);
	return try_next(c, same);
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

/* Checks the deadlines. True: the call ends now, its fault is set. */
static bool check_deadlines(struct call *c)
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

enum call_next step_head(struct call *c)
{
	struct call_attempt *a = c->attempt;

	if (check_deadlines(c)) {
		call_attempt_record(c, a->head ? a->status : 0, "timeout");
		call_attempt_end(c, call_timeout_verdict(c));
		return call_end(c, RECORD_END_TIMEOUT);
	}
	if (a->failed || (a->error && a->ended))
		return failed(c);
	if (c->facts.stream && !c->head_sent && c->down && call_set(c)->head_after_ms > 0 &&
	    turn_now_ms(call_turn(c)) >= ms_of(c->body_us) + call_set(c)->head_after_ms &&
	    reply_stream_head(c)) {
		fault_errc(&c->fault, ERRC_NOMEM, "head");
		return call_end(c, RECORD_END_INTERNAL);
	}
	if (wants_keepalive(c) &&
	    turn_now_ms(call_turn(c)) >= down_conn_wrote_ms(c->down) + call_set(c)->keepalive_ms)
		(void)!down_conn_write(c->down, c->front->keepalive);
	if (a->head && !a->error)
		return CALL_MORE;
	arm(c);
	return CALL_WAIT;
}

/* Whether what was encoded may go out now. */
static bool is_open(const struct call *c)
{
	const struct relay *r = &c->attempt->relay;

	if (!c->facts.stream)
		return r->out.len > (size_t)call_set(c)->limit_answer_buffer_bytes;
	return r->committed || r->frames > LIMIT_HOLDBACK_FRAMES ||
	       r->out.len > LIMIT_HOLDBACK_BYTES;
}

/* With durability settle nothing goes out once the usage is known: it waits for the charge. */
static bool waits_for_charge(const struct call *c)
{
	return call_set(c)->durability == SETTINGS_DURABILITY_SETTLE && c->attempt->relay.settling;
}

static enum errc write_out(struct call *c)
{
	struct relay *r = &c->attempt->relay;
	enum errc e;

	if (!c->head_sent && (e = reply_stream_head(c)))
		return e;
	if (!c->commit_us) {
		c->commit_us = call_now_us();
		if (c->attempt->sent_us)
			call_body_free(
				c); /* no other candidate will need it, and it is not being sent any more */
	}
	e = down_conn_write(c->down, buf_slice(&r->out));
	if (down_conn_is_full(c->down))
		buf_fini(&r->out); /* nothing comes into it before the client has read */
	else
		buf_reset(&r->out);
	return e;
}

/* Flow control: reading stops while the client's buffer is full. */
static void mind_flow(struct call *c)
{
	struct call_attempt *a = c->attempt;
	bool full = c->down && down_conn_is_full(c->down);

	if (full == a->paused || a->ended || a->failed)
		return;
	a->paused = full;
	if (full)
		up_conn_read_stop(a->up);
	else
		up_conn_read_start(a->up);
	a->seen_us = turn_now_us(call_turn(c));
}

static void hold_or_flush(struct call *c)
{
	struct relay *r = &c->attempt->relay;
	int64_t now = turn_now_ms(call_turn(c));

	if (!relay_is_holding(r)) {
		c->flush_at_ms = 0;
	} else if (!c->flush_at_ms) {
		c->flush_at_ms = now + FLUSH_MS;
	} else if (now >= c->flush_at_ms) {
		relay_flush(r);
		c->flush_at_ms = 0;
	}
}

static bool is_empty_answer(const struct call *c)
{
	const struct relay *r = &c->attempt->relay;

	return r->ended && c->op == DIALECT_CHAT && !r->finish && r->content_events == 0;
}

/* The answer failed: before commit another candidate, after it the error item. */
static enum call_next broken(struct call *c)
{
	struct call_attempt *a = c->attempt;
	struct relay *r = &a->relay;

	if (!c->commit_us && !(c->head_sent && !c->facts.stream))
		return failed(c);
	if (a->failed)
		fault_set(&c->fault,
			  a->errc == ERRC_TIMEOUT ? FAULT_UPSTREAM_TIMEOUT : FAULT_UPSTREAM,
			  "Provider `" SLICE_FMT "` broke off its answer: %s.",
			  SLICE_ARG(a->provider->p->name), a->why);
	else
		c->fault = r->fault;
	return call_end(c, a->errc == ERRC_TIMEOUT && a->failed ? RECORD_END_TIMEOUT
								: RECORD_END_UPSTREAM_ERROR);
}

/* The client left under policy `drain`: what comes is only counted, up to the cap. */
static bool drained_enough(struct call *c)
{
	struct relay *r = &c->attempt->relay;

	buf_reset(&r->out);
	return r->content_bytes > (uint64_t)call_set(c)->client_gone_cap_bytes;
}

enum call_next step_relay(struct call *c)
{
	struct call_attempt *a = c->attempt;
	struct relay *r = &a->relay;
	enum errc e = ERRC_OK;

	if (!r->ended && check_deadlines(c))
		return call_end(c, RECORD_END_TIMEOUT);
	hold_or_flush(c);
	if (r->out.len && c->down && is_open(c) && !waits_for_charge(c))
		e = write_out(c);
	if (e || r->errc) {
		fault_errc(&c->fault, e ? e : r->errc, "answer");
		return call_end(c, RECORD_END_INTERNAL);
	}
	if (is_empty_answer(c) || r->failed || (a->failed && !r->ended))
		return broken(c);
	if (r->ended)
		return call_end(c, RECORD_END_DONE);
	if (!c->down && drained_enough(c))
		return call_end(c, RECORD_END_CLIENT_GONE);
	mind_flow(c);
	if (wants_keepalive(c) &&
	    turn_now_ms(call_turn(c)) >= down_conn_wrote_ms(c->down) + call_set(c)->keepalive_ms)
		e = down_conn_write(c->down, c->front->keepalive);
	arm(c);
	return CALL_WAIT;
}
