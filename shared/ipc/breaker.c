#include "breaker.h"

#include "breaker_word.h"
#include "page_mem.h"

#define OUT_FIRST_MS 60000
#define OUT_MAX_MS   3600000
#define SLOW_FLOOR   10 /* percent of requests that a slow start begins with */

/* --- rows --- */

/* The place of `id` in a table whose rows begin with their id, `step` bytes apart; NULL when all are taken. A power of two
 * places; ids are hashes already. */
static void *row_find(void *table, size_t places, size_t step, page_u32 *used, uint64_t id)
{
	require(id != 0);
	for (size_t i = 0; i < places; i++) {
		page_u64 *at = (page_u64 *)((char *)table + ((id + i) & (places - 1)) * step);
		uint64_t was = atomic_load(at);

		if (was == id)
			return at;
		if (was == 0) {
			if (atomic_load(used) >= places - places / 8)
				return NULL;
			if (atomic_compare_exchange_strong(at, &was, id)) {
				atomic_fetch_add(used, 1);
				return at;
			}
			if (was == id)
				return at;
		}
	}
	return NULL;
}

struct breaker *breaker_offer(struct page *p, uint64_t offer_id)
{
	return row_find(p->m->offers, PAGE_OFFERS, sizeof(struct breaker), &p->m->head.offers_used,
			offer_id);
}

struct breaker_key *breaker_key(struct page *p, uint64_t key_id)
{
	return row_find(p->m->keys, PAGE_KEYS, sizeof(struct breaker_key), &p->m->head.keys_used,
			key_id);
}

struct breaker_provider *breaker_provider(struct page *p, uint64_t provider_id)
{
	return row_find(p->m->providers, PAGE_PROVIDERS, sizeof(struct breaker_provider),
			&p->m->head.providers_used, provider_id);
}

/* --- offers --- */

/* A gate with a time is open until then and half open afterwards; without one it is closed and remembers how often it had
 * been opened in a row. */
enum breaker_state breaker_state(const struct breaker *b, const struct breaker_opts *o,
				 int64_t now_ms)
{
	int64_t until = breaker_word_until_ms(atomic_load(&b->gate));
	int64_t slow = (int64_t)atomic_load(&b->slow);

	if (until)
		return now_ms < until ? BREAKER_OPEN : BREAKER_HALF_OPEN;
	return slow && now_ms < slow + o->slow_start_ms ? BREAKER_SLOW_START : BREAKER_CLOSED;
}

int64_t breaker_wait_ms(const struct breaker *b, int64_t now_ms)
{
	int64_t until = breaker_word_until_ms(atomic_load(&b->gate));

	return until > now_ms ? until - now_ms : 0;
}

static bool take_probe(struct breaker *b, const struct breaker_opts *o, int64_t now_ms,
		       unsigned page_slot)
{
	uint64_t was = atomic_load(&b->probe);

	if (breaker_word_until_ms(was) > now_ms)
		return false;
	return atomic_compare_exchange_strong(&b->probe, &was,
					      ((uint64_t)(now_ms + o->probe_ms) & BREAKER_WORD_MS) |
						      (uint64_t)page_slot << 48);
}

bool breaker_admit(struct breaker *b, const struct breaker_opts *o, int64_t now_ms,
		   unsigned page_slot, uint64_t rnd, bool *probe)
{
	int64_t part;

	*probe = false;
	switch (breaker_state(b, o, now_ms)) {
	case BREAKER_CLOSED:
		return true;
	case BREAKER_OPEN:
		return false;
	case BREAKER_HALF_OPEN:
		*probe = take_probe(b, o, now_ms, page_slot);
		return *probe;
	case BREAKER_SLOW_START:
		part = (now_ms - (int64_t)atomic_load(&b->slow)) * 100 / o->slow_start_ms;
		return (int64_t)(rnd % 100) < MAX_OF(part, SLOW_FLOOR);
	}
	return false;
}

/* Opens a gate that still is `was`. The count in a row goes on when the gate closed not long ago. */
static bool open_gate(struct breaker *b, const struct breaker_opts *o, int64_t now_ms, uint64_t was,
		      uint64_t rnd)
{
	int64_t closed_ms = (int64_t)atomic_load(&b->slow);
	bool in_a_row = breaker_word_until_ms(was) ||
			(closed_ms && now_ms - closed_ms < o->open_max_ms);
	unsigned times = in_a_row ? breaker_word_times(was) + 1 : 1;
	int64_t until = now_ms + breaker_word_delay_ms(o->open_ms, o->open_max_ms, times, rnd);

	if (!atomic_compare_exchange_strong(&b->gate, &was, breaker_word_until(until, times)))
		return false;
	atomic_store(&b->window, 0);
	atomic_fetch_add(&b->opened, 1);
	return true;
}

static bool report_probe(struct breaker *b, const struct breaker_opts *o, int64_t now_ms, bool ok,
			 uint64_t rnd)
{
	uint64_t gate = atomic_load(&b->gate);
	bool opened = false;

	if (!ok) {
		opened = open_gate(b, o, now_ms, gate, rnd);
	} else if (breaker_word_until_ms(gate)) {
		atomic_store(&b->slow, (uint64_t)now_ms);
		atomic_store(&b->window, 0);
		(void)atomic_compare_exchange_strong(
			&b->gate, &gate, breaker_word_until(0, breaker_word_times(gate)));
	}
	atomic_store(&b->probe, 0);
	return opened;
}

bool breaker_report(struct breaker *b, const struct breaker_opts *o, int64_t now_ms, bool ok,
		    bool probe, uint64_t rnd)
{
	uint64_t was, next, gate;

	if (probe)
		return report_probe(b, o, now_ms, ok, rnd);
	gate = atomic_load(&b->gate);
	if (breaker_word_until_ms(gate))
		return false; /* began before it opened: says nothing about now */
	was = atomic_load(&b->window);
	do {
		next = breaker_word_push(was, o->of, o->window_ms, now_ms, !ok);
	} while (!atomic_compare_exchange_weak(&b->window, &was, next));
	return !ok && breaker_word_failures(next, o->of) >= o->failures &&
	       open_gate(b, o, now_ms, gate, rnd);
}

void breaker_probe_release(struct breaker *b, unsigned page_slot)
{
	uint64_t was = atomic_load(&b->probe);

	if (was && was >> 48 == page_slot)
		(void)atomic_compare_exchange_strong(&b->probe, &was, 0);
}

void breaker_speed(struct breaker *b, uint32_t ttft_ms, uint32_t tokens_per_s)
{
	uint64_t was = atomic_load(&b->speed);

	while (!atomic_compare_exchange_weak(&b->speed, &was,
					     breaker_word_smooth(was, ttft_ms, tokens_per_s)))
		;
}

void breaker_speed_get(const struct breaker *b, uint32_t *ttft_ms, uint32_t *tokens_per_s)
{
	uint64_t w = atomic_load(&b->speed);

	*ttft_ms = (uint32_t)(w >> 32);
	*tokens_per_s = (uint32_t)w;
}

/* --- provider keys --- */

void breaker_key_cool(struct breaker_key *k, int64_t until_ms, bool overloaded)
{
	uint64_t was = atomic_load(&k->cooled), is = (uint64_t)until_ms << 1 | overloaded;

	while (was >> 1 < (uint64_t)until_ms && !atomic_compare_exchange_weak(&k->cooled, &was, is))
		;
}

/* A key that is out already stays out until then: many requests that fail at once are one failure. */
void breaker_key_out(struct breaker_key *k, int64_t now_ms, int status)
{
	uint64_t was = atomic_load(&k->out);
	unsigned times = breaker_word_times(was) + 1;
	int64_t until;

	if (breaker_word_until_ms(was) > now_ms)
		return;
	/* No jitter here: 2 of 5 is the middle of its range. */
	until = now_ms + breaker_word_delay_ms(OUT_FIRST_MS, OUT_MAX_MS, times, 0) * 5 / 4;
	if (atomic_compare_exchange_strong(&k->out, &was, breaker_word_until(until, times)))
		atomic_store(&k->out_status, (uint64_t)status);
}

void breaker_key_ok(struct breaker_key *k)
{
	if (atomic_load(&k->out) == 0)
		return;
	atomic_store(&k->out, 0);
	atomic_store(&k->out_status, 0);
}

void breaker_key_learn(struct breaker_key *k, int64_t requests, int64_t tokens, int64_t until_ms)
{
	atomic_store(&k->remaining_requests, (uint64_t)(requests + 1));
	atomic_store(&k->remaining_tokens, (uint64_t)(tokens + 1));
	atomic_store(&k->remaining_until_ms, (uint64_t)until_ms);
}

int64_t breaker_key_wait_ms(const struct breaker_key *k, int64_t now_ms, enum breaker_rest *why)
{
	int64_t out_ms = breaker_word_until_ms(atomic_load(&k->out));
	uint64_t cooled = atomic_load(&k->cooled);
	int64_t until = MAX_OF((int64_t)(cooled >> 1), out_ms);
	int64_t empty = (int64_t)atomic_load(&k->remaining_until_ms);
	bool overloaded = (cooled & 1) && (int64_t)(cooled >> 1) > now_ms;

	/* A key that said "0 left" is as good as cooled until it said it resets. */
	if (atomic_load(&k->remaining_requests) == 1 || atomic_load(&k->remaining_tokens) == 1)
		until = MAX_OF(until, empty);
	if (why)
		*why = out_ms > now_ms  ? BREAKER_OUT
		       : overloaded     ? BREAKER_OVERLOADED
		       : until > now_ms ? BREAKER_LIMITED
					: BREAKER_READY;
	return until > now_ms ? until - now_ms : 0;
}

void breaker_keys_forgive(struct page *p)
{
	for (size_t i = 0; i < PAGE_KEYS; i++) {
		if (atomic_load(&p->m->keys[i].id))
			breaker_key_ok(&p->m->keys[i]);
	}
}

/* --- providers --- */

static void count(page_u64 *cell, int64_t now_ms)
{
	uint64_t was = atomic_load(cell);

	while (!atomic_compare_exchange_weak(cell, &was, breaker_word_count(was, now_ms, 1)))
		;
}

void breaker_request_count(struct breaker_provider *b, int64_t now_ms)
{
	count(&b->requests, now_ms);
}

bool breaker_retry_take(struct breaker_provider *b, int64_t now_ms, int64_t share_ppm,
			int64_t minimum)
{
	uint64_t was = atomic_load(&b->retries);
	uint64_t room;

	do {
		room = breaker_word_rate(atomic_load(&b->requests), now_ms) * (uint64_t)share_ppm /
		       1000000;
		room = MAX_OF(room, (uint64_t)minimum);
		if (breaker_word_rate(was, now_ms) >= room)
			return false;
	} while (!atomic_compare_exchange_weak(&b->retries, &was,
					       breaker_word_count(was, now_ms, 1)));
	return true;
}

uint64_t breaker_inflight(const struct breaker_provider *b)
{
	uint64_t n = 0;

	for (size_t i = 0; i < PAGE_SLOTS; i++)
		n += atomic_load_explicit(&b->use[i].inflight, memory_order_relaxed);
	return n;
}

/* Counted first, then looked at: two workers may both give up at the last place, but never both take it. */
bool breaker_inflight_take(struct breaker_provider *b, unsigned page_slot, int64_t max)
{
	require(page_slot < PAGE_SLOTS);
	atomic_fetch_add(&b->use[page_slot].inflight, 1);
	if (max <= 0 || breaker_inflight(b) <= (uint64_t)max)
		return true;
	breaker_inflight_give(b, page_slot);
	return false;
}

void breaker_inflight_give(struct breaker_provider *b, unsigned page_slot)
{
	require(page_slot < PAGE_SLOTS);
	require(atomic_fetch_sub(&b->use[page_slot].inflight, 1) > 0);
}
