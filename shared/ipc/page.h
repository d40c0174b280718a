/* The shared page: one mapped file in the live folder, made by the master, outliving it. Holds what all processes see at
 * memory speed: the master's generation, a row a process (heartbeat, wants/has/done, gauges), the durable mark, the
 * keeper's gauges, keys whose running requests end, metric series (series.h, keymeter.h) and the health of offers and provider keys
 * (breaker.h). All cells are atomics; zero is the start value of each. The layout has a version; another one is made anew. */
#ifndef AIGW_PAGE_H
#define AIGW_PAGE_H

#include <stdatomic.h>
#include <sys/types.h>

#include "apikey.h"
#include "errc.h"
#include "slice.h"

#define PAGE_SLOTS \
	512 /* rows for processes: those of this master and of older ones that still live */

typedef _Atomic uint64_t page_u64;
typedef _Atomic uint32_t page_u32;

/* CLAIMED: for a child that has not joined; pid and start are those of its master. */
enum page_state { PAGE_EMPTY, PAGE_STARTING, PAGE_READY, PAGE_DRAINING, PAGE_CLAIMED };

/* A process. Written by it alone (the master clears it before a start), read by all. */
struct page_proc {
	_Alignas(64) page_u32 pid;
	page_u32 role, slot, state; /* enum heritage_role; number in its role; enum page_state */
	page_u64 start_ticks; /* start time of the pid (proc(5) stat, field 22): tells a reused pid */
	page_u64 generation;   /* of its master */
	page_u64 heartbeat_ms; /* boot clock, every loop turn, at least every 200 ms */
	page_u64 wants, has,
		done; /* counted up before, after the begin of a live write transaction, after its end */
	page_u64 config_generation;
	page_u64 inflight; /* requests running */
	page_u64 conns_down, conns_up, conns_up_idle;
	page_u64 requests;   /* answered since its start */
	page_u64 started_ms; /* boot clock */
	page_u64 log_dropped;
};

/* Gauges that the keeper writes; workers read some for admission. */
enum page_gauge {
#define PAGE_GAUGE(NAME, metric, scale, help) PAGE_##NAME,
#include "page_gauge_tbl.h"
#undef PAGE_GAUGE
	PAGE_GAUGE_COUNT
};

enum page_ledger {
	PAGE_LEDGER_GOOD,
	PAGE_LEDGER_FAILED,
	PAGE_LEDGER_READ_ONLY
}; /* values of PAGE_LEDGER_STATE */

struct page;

/* Master: opens the page at `path`, or makes it (also in place of one with another layout, ledger or boot). */
MUSTCHECK enum errc page_make(const char *path, const char *ledger_id, struct page **out);
/* Child: maps an inherited page; takes over fd. ERRC_VERSION when its layout is another. */
MUSTCHECK enum errc page_map(int fd, struct page **out);
void page_unmap(struct page **p);
int page_fd(const struct page *p); /* borrowed */
size_t page_bytes(void);           /* its size, all of it allocated */

/* Whether another page stands in the live folder: ours was removed, and the next master has made one, where its generation
 * is. */
bool page_is_replaced(const struct page *p, const char *live);

/* The master's generation. Processes of a lower one are orphans: accept until EAGAIN, close, drain, end. */
uint64_t page_generation(struct page *p);
/* Makes a higher generation visible; the caller's own listeners are bound by then. */
void page_raise(struct page *p, uint64_t generation);
/* The master writes its heartbeat each tick; 0 when there never was one. */
void page_master_beat(struct page *p, int64_t now_ms);
int64_t page_master_seen_ms(struct page *p);
/* Set by the master at the start of a drain: /readyz answers 503. */
void page_set_draining(struct page *p, uint64_t generation);
bool page_is_draining(struct page *p, uint64_t generation);

/* The row of a process; index as in heritage.page_slot, < PAGE_SLOTS. */
struct page_proc *page_proc(struct page *p, unsigned slot);
/* Rows in use are below this; for loops. */
unsigned page_slots_high(struct page *p);
/* Master: takes a row whose process does not live and clears it; until the child joins it counts as the caller's.
 * ERRC_LIMIT when there is none. */
MUSTCHECK enum errc page_claim(struct page *p, unsigned role, unsigned number, uint64_t generation,
			       unsigned *slot);
/* Master, after a death: clears all that the process counted as running, its columns of breaker_provider included; the row
 * stays claimed. */
void page_clear(struct page *p, unsigned slot);
/* Child: fills in its pid and start; it is STARTING then. */
void page_join(struct page *p, unsigned slot);
/* True when the process that filled the row lives (and its pid was not reused). */
bool page_is_alive(struct page *p, unsigned slot);

/* The durable mark: every outbox record up to (epoch, n) is in the ledger on disk. One writer, the keeper. */
void page_durable_set(struct page *p, uint64_t epoch, uint64_t n);
bool page_durable_has(struct page *p, uint64_t epoch, uint64_t n);

/* Keys whose running requests are to end: `key revoke --now`. Workers of every master look, also those that no keeper has a channel to.
 * One writer, the keeper; at most PAGE_ENDED_MAX keys are there to be found between two looks of a worker (200 ms). */
#define PAGE_ENDED_MAX 4096
void page_end_key(struct page *p, const char id[APIKEY_ID]);
/* Where a process that begins now begins to look. */
uint64_t page_ended_now(struct page *p);
/* The next one from *seen on, which goes up; false: there is none yet. */
bool page_ended_next(struct page *p, uint64_t *seen, char id[APIKEY_ID]);

page_u64 *page_gauge(struct page *p,
		     enum page_gauge g); /* signed values are stored as their two's complement */

#endif
