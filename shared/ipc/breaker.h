/* Health shared by all workers, in the shared page: a breaker an offer, cool-downs and limits a provider key, retry budget
 * and running requests a provider. Rows are found by 64-bit id once and kept by pointer while the page is mapped; every
 * change is one lock-free atomic operation. The arithmetic is pure (breaker_word.h); times are boot-clock milliseconds. */
#ifndef AIGW_BREAKER_H
#define AIGW_BREAKER_H

#include "page.h"

/* Why a provider key rests: after a 429, after a 529, or because it was refused. */
enum breaker_rest { BREAKER_READY, BREAKER_LIMITED, BREAKER_OVERLOADED, BREAKER_OUT };

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN, BREAKER_SLOW_START };

/* One offer. Opaque cells; use the functions. */
struct breaker {
	page_u64 id;
	page_u64 window; /* the last results, one bit each */
	page_u64 gate;   /* open until, how often in a row */
	page_u64 probe;  /* who probes, until when */
	page_u64 slow;   /* slow start began */
	page_u64 speed;  /* smoothed time to first token and tokens a second */
	page_u64 opened; /* how often, for operators */
	page_u64 spare;
};

/* One provider key. */
struct breaker_key {
	page_u64 id;
	page_u64 cooled;     /* until when, times two, plus one after a 529 */
	page_u64 out;        /* out until, how often in a row */
	page_u64 out_status; /* the status that took it out, for operators */
	page_u64 remaining_requests, remaining_tokens; /* learned; value + 1, 0 = unknown */
	page_u64 remaining_until_ms;
	page_u64 spare;
};

/* One process at a provider: it alone writes. */
struct breaker_use {
	page_u32 inflight;               /* requests, by breaker_inflight_take() and _give() */
	page_u32 conns_used, conns_idle; /* set by the worker for aigw_upstream_connections */
};

/* One provider. */
struct breaker_provider {
	page_u64 id;
	page_u64 requests, retries;         /* of this and the last minute */
	struct breaker_use use[PAGE_SLOTS]; /* by page row */
};

/* Rows by id (not 0), made when new; NULL when the table is full: then there is no shared health for it. */
struct breaker *breaker_offer(struct page *p, uint64_t offer_id);
struct breaker_key *breaker_key(struct page *p, uint64_t key_id);
struct breaker_provider *breaker_provider(struct page *p, uint64_t provider_id);

struct breaker_opts {
	unsigned failures, of;        /* N of the last M results open it; M <= 32 */
	int64_t window_ms;            /* results are forgotten when none came for so long */
	int64_t open_ms, open_max_ms; /* first cool-down, doubled up to the ceiling, +-20 % jitter */
	int64_t probe_ms;             /* a probe that did not report for so long is given up */
	int64_t slow_start_ms;
};

enum breaker_state breaker_state(const struct breaker *b, const struct breaker_opts *o,
				 int64_t now_ms);
/* Milliseconds until an open one lets a probe through; 0 when it is not open. */
int64_t breaker_wait_ms(const struct breaker *b, int64_t now_ms);
/* May a request go there now? Half open: true for exactly one caller on the node, which is then the probe (*probe is set
 * and it must report); slow start: true with rising probability, `rnd` decides. */
bool breaker_admit(struct breaker *b, const struct breaker_opts *o, int64_t now_ms,
		   unsigned page_slot, uint64_t rnd, bool *probe);
/* The result of an attempt. True when this call opened the breaker. */
bool breaker_report(struct breaker *b, const struct breaker_opts *o, int64_t now_ms, bool ok,
		    bool probe, uint64_t rnd);
/* A probe that ended without a verdict (client gone, drain). */
void breaker_probe_release(struct breaker *b, unsigned page_slot);
/* Smoothed figures, weight 1/8. */
void breaker_speed(struct breaker *b, uint32_t ttft_ms, uint32_t tokens_per_s);
void breaker_speed_get(const struct breaker *b, uint32_t *ttft_ms, uint32_t *tokens_per_s);

/* 429, or 529 (`overloaded`): cool until then; an earlier one never shortens a later one. */
void breaker_key_cool(struct breaker_key *k, int64_t until_ms, bool overloaded);
/* 401, 402, 403: out, at first for a minute, doubled each time in a row up to an hour. */
void breaker_key_out(struct breaker_key *k, int64_t now_ms, int status);
void breaker_key_ok(struct breaker_key *k);
/* Learned from x-ratelimit-remaining-*; -1 = not told. */
void breaker_key_learn(struct breaker_key *k, int64_t requests, int64_t tokens, int64_t until_ms);
/* 0 = usable now, else milliseconds until it is. *why (may be NULL) tells what it rests for. */
int64_t breaker_key_wait_ms(const struct breaker_key *k, int64_t now_ms, enum breaker_rest *why);
/* Every key that was taken out is tried again: after a reload, the operator may have mended it. */
void breaker_keys_forgive(struct page *p);

/* Retry budget: of the last minute's requests the share, at least `minimum`. breaker_retry_take() counts a retry when there
 * is room. */
void breaker_request_count(struct breaker_provider *b, int64_t now_ms);
bool breaker_retry_take(struct breaker_provider *b, int64_t now_ms, int64_t share_ppm,
			int64_t minimum);
/* Requests running at the provider, all workers. Take is refused (false) at `max` (0: no limit). A dead worker's share is
 * cleared with its page row. */
bool breaker_inflight_take(struct breaker_provider *b, unsigned page_slot, int64_t max);
void breaker_inflight_give(struct breaker_provider *b, unsigned page_slot);
uint64_t breaker_inflight(const struct breaker_provider *b);

#endif
