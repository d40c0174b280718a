/* The provider table as one worker uses it: each provider with its connection pool, its keys with their shared health and the header lines
 * made in advance, each offer with its breaker and counters. Made anew for every committed table, counted, held by calls; pools, health and
 * counters themselves are keyed by ids and survive. */
#ifndef AIGW_RTABLE_H
#define AIGW_RTABLE_H

#include "breaker.h"
#include "ptable.h"
#include "series.h"
#include "upool.h"

#define RTABLE_OPS 3 /* enum dialect_op: chat, completions, embeddings */

struct rtable_key {
	const struct ptable_key *key;
	struct breaker_key *health; /* NULL: the shared table is full, no health is kept */
	struct secret line;         /* "authorization: Bearer …\r\n" */
};

struct rtable_provider {
	const struct ptable_provider *p;
	struct upool_ep *ep;             /* held */
	struct breaker_provider *health; /* or NULL */
	struct rtable_key *keys;
	size_t keys_n;
	unsigned turn;    /* rotation of the keys */
	page_u64 *ok;     /* attempts that were answered */
	struct buf fixed; /* host, user-agent and the configured headers as lines */
};

struct rtable_offer {
	struct breaker *health;   /* or NULL */
	page_u64 *ok[RTABLE_OPS]; /* requests answered 200 */
	struct series_histo *duration[RTABLE_OPS], *ttft[RTABLE_OPS];
	page_u64 *tokens[USAGE_COUNT];
	page_u64 *cost, *charged;
};

struct rtable {
	unsigned magic, refs;
	struct ptable *t;                  /* held */
	struct page *page;                 /* borrowed */
	struct rtable_provider *providers; /* as t->providers */
	struct rtable_offer *offers;       /* as t->offers */
	struct breaker_opts breaker;
};

struct rtable_cas;

struct rtable_env {
	struct tls *tls;
	struct upool *pool;
	struct page *page;
	struct rtable_cas *cas;
};

/* Trusted certificates that were read; the system's are read again when their file changed. */
MUSTCHECK enum errc rtable_cas_new(struct rtable_cas **out);
void rtable_cas_free(struct rtable_cas **c);

/* `t` is held by the result. On failure `why` says what could not be opened. */
MUSTCHECK enum errc rtable_new(const struct rtable_env *env, struct ptable *t, char *why,
			       size_t why_n, struct rtable **out);
struct rtable *rtable_hold(struct rtable *r);
void rtable_drop(struct rtable **r);

/* Opens a connection to each provider that is reached over TLS and has none: the first request need not wait for its handshake. */
void rtable_warm(struct rtable *r);

/* For a process that has not sent anything yet: no offer waits for what the one before it at this row of the page probed when it died. */
void rtable_take_over(struct rtable *r, unsigned page_slot);

struct rtable_provider *rtable_provider_of(struct rtable *r, const struct ptable_offer *o);
struct rtable_offer *rtable_offer_of(struct rtable *r, const struct ptable_offer *o);
/* The counters of a provider and of an offer, found on first use. */
page_u64 *rtable_attempts_ok(struct rtable *r, struct rtable_provider *p);
page_u64 *rtable_ok(struct rtable *r, const struct ptable_offer *o, const struct ptable_model *m,
		    unsigned op);
struct series_histo *rtable_duration(struct rtable *r, const struct ptable_offer *o,
				     const struct ptable_model *m, unsigned op);
struct series_histo *rtable_ttft(struct rtable *r, const struct ptable_offer *o,
				 const struct ptable_model *m, unsigned op);
page_u64 *rtable_tokens(struct rtable *r, const struct ptable_offer *o,
			const struct ptable_model *m, enum usage_class c);
page_u64 *rtable_cost(struct rtable *r, const struct ptable_offer *o, const struct ptable_model *m);
page_u64 *rtable_charged(struct rtable *r, const struct ptable_offer *o,
			 const struct ptable_model *m);

/* The next key in rotation that is usable now. NULL: none is; *wait_ms is the shortest wait (lowered, never raised), *limited tells that at
 * least one only rests after a 429. A provider without keys gives NULL with *none set. */
struct rtable_key *rtable_pick_key(struct rtable_provider *p, int64_t now_ms, int64_t *wait_ms,
				   bool *limited, bool *none);

#endif
