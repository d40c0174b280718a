/* Which candidate is tried next, with which key; and what the client is told when none is left. */
#include "call_steps.h"

_Static_assert(LIMIT_CANDIDATES <= 32, "a bit for each candidate");

static void note_wait(struct call *c, int64_t wait_ms)
{
	if (wait_ms > 0 && (c->wait_ms == 0 || wait_ms < c->wait_ms))
		c->wait_ms = wait_ms;
}

/* Slow start gives an offer a growing share of what others could serve as well: where no other is left, all of it. */
static bool ask_breaker(struct call *c, struct call_attempt *a, struct breaker *b, int64_t now)
{
	uint64_t rnd = c->second_round ? 0 : text_rng_next(&c->host->rng);

	if (breaker_admit(b, &c->rt->breaker, now, c->host->env.page_slot, rnd, &a->probe))
		return true;
	if (!c->second_round && breaker_state(b, &c->rt->breaker, now) == BREAKER_SLOW_START)
		c->passed_over |= UINT32_C(1) << a->at;
	else
		c->failed_out++;
	return false;
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
	if (ro->health && !ask_breaker(c, a, ro->health, now)) {
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
	return c->grant.index[at] >= 0 && (!c->second_round || (c->passed_over >> at & 1)) &&
	       c->route.v[at].model->context > c->context_above - (c->context_above == 0);
}

static bool begin_second_round(struct call *c)
{
	if (c->second_round || c->passed_over == 0)
		return false;
	c->second_round = true;
	c->next = 0;
	return true;
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
	c->attempt->start_us = 0; /* nothing went upstream */
	c->next++;
}

enum call_next call_exhausted(struct call *c)
{
	struct fault *f = &c->fault;
	const char *text = c->last ? fault_message(c->last) : "";
	char again[FAULT_AGAIN_MAX];
	unsigned may_do = c->failed_rate + c->failed_out + c->failed_slow + c->failed_other;

	f->attempts = c->tried;
	f->attempts_n = c->tried_n;
	f->attempts_made = (int)c->tried_n;
	f->retry_after_ms = c->wait_ms;
	if (c->last && (c->context_above || (c->failed_big && !may_do))) {
		*f = *c->last;
	} else if (c->failed_rate && !c->failed_other && !c->failed_slow && !c->failed_out) {
		fault_set(f, FAULT_UPSTREAM_RATE,
			  "All providers of this model are at their limits; %s.",
			  fault_again(c->wait_ms, again));
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

enum call_next step_send(struct call *c)
{
	bool fresh = c->stale_retry;

	while (c->next < c->route.n || begin_second_round(c)) {
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
	return call_exhausted(c);
}
