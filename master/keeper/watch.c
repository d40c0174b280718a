#include "watch.h"

#include "clock.h"
#include "keeper_state.h"
#include "log.h"
#include "sweep.h"

#define SECOND_MS      1000
#define HOUR_MS        3600000
#define FORGET_SLICES  64 /* of idle_slice(), a second */
#define FORGET_MS      10 /* from one to the next: it is for the requests to have the store */
#define CLAIM_SWEEPS   16 /* of idem_sweep(), a second: what was claimed at once is over at once */
#define SLICE_ACCOUNTS 64 /* looked at in one read transaction */
#define SCAN_A_SECOND  10000 /* accounts: with more a round takes longer than a second */

static void set_gauge(struct watch *w, enum page_gauge g, int64_t v)
{
	atomic_store_explicit(page_gauge(w->k->page, g), (uint64_t)v, memory_order_relaxed);
}

static struct live *hold(struct watch *w)
{
	return stores_hold(&w->k->stores);
}

static void drop(struct watch *w, struct live *live)
{
	stores_drop(&w->k->stores, live);
}

/* Once an hour. A row that cannot be read is no reason to end: what takes its place would find it too, and the workers need somebody to
 * take their records over. */
static void tell_damage(struct watch *w, enum errc e, const char *what)
{
	int64_t now_ms = clock_boot_ms();

	if (now_ms < w->damage_ms)
		return;
	w->damage_ms = now_ms + HOUR_MS;
	log_error("watch_hindered", "%s: %s: see `ledger verify`", what, errc_text(e));
}

static bool is_fine(struct watch *w, enum errc e, const char *what)
{
	if (e == ERRC_IO)
		keeper_fail(w->k, "%s: %s", what, errc_text(e));
	else if (live_is_damaged(e))
		tell_damage(w, e, what);
	else if (e)
		log_warn("watch_failed", "%s: %s", what, errc_text(e));
	return e == ERRC_OK;
}

/* --- holds of the dead --- */

/* Two sweeps at a time would clear each other's slots of progress: while a lost store is taken over, and in a drain, the
 * ledger thread does it. */
static bool may_sweep(const struct watch *w)
{
	return !w->lost && w->k->end == KEEPER_RUNS;
}

static void on_sweep(uv_timer_t *t)
{
	struct watch *w = t->data;
	struct sweep_result r;
	struct live *live;
	enum errc e;

	if (!may_sweep(w))
		return;
	live = hold(w);
	e = sweep_run(live, clock_boot_ms(), clock_wall_ms(), &r);
	drop(w, live);
	if (r.settled || r.instances)
		log_info("swept", "%u holds of dead processes settled, %u processes done with",
			 r.settled, r.instances);
	if (is_fine(w, e, "settling the holds of a dead process") && r.more)
		require(uv_timer_start(&w->sweep, on_sweep, 0, 0) == 0);
}

static void begin_sweep(struct watch *w)
{
	require(uv_timer_start(&w->sweep, on_sweep, 0, 0) == 0);
}

/* Claims on idempotency keys whose time is over. */
static void sweep_claims(struct watch *w)
{
	const struct idem_now now = {.believed_ms = trust_now_ms(&w->k->trust),
				     .wall_ms = clock_wall_ms()};
	struct live *live = hold(w);
	uint32_t removed = 1;
	enum errc e = ERRC_OK;

	for (int i = 0; !e && removed > 0 && i < CLAIM_SWEEPS; i++)
		e = idem_sweep(live, &now, &w->claims, &removed);
	drop(w, live);
	(void)is_fine(w, e, "removing idempotency keys");
}

static void check_readers(struct watch *w)
{
	struct live *live = hold(w);
	int cleared = 0;
	enum errc e = live_readers_check(live, &cleared);

	drop(w, live);
	if (is_fine(w, e, "clearing dead readers") && cleared > 0)
		log_info("readers_cleared", "readers of dead processes: %d", cleared);
}

/* --- end users who are gone --- */

/* One transaction a turn; as many as come in a second are gone in a second. */
static void on_forget(uv_timer_t *t)
{
	struct watch *w = t->data;
	uint64_t before = w->idle.removed;
	struct live *live;
	enum errc e;

	if (!may_sweep(w))
		return;
	live = hold(w);
	e = idle_slice(live, &w->idle, clock_boot_ms(), trust_now_ms(&w->k->trust));
	drop(w, live);
	if (is_fine(w, e, "forgetting end users") && w->idle.removed > before &&
	    --w->forget_slices > 0)
		require(uv_timer_start(&w->forget, on_forget, FORGET_MS, 0) == 0);
}

static void begin_forget(struct watch *w)
{
	w->forget_slices = FORGET_SLICES;
	require(uv_timer_start(&w->forget, on_forget, 0, 0) == 0);
}

/* --- the invariants --- */

static void scanned(struct watch *w)
{
	const struct scan *s = &w->round;
	int64_t off = scan_off(s);

	set_gauge(w, PAGE_IMBALANCE_NUSD, off);
	set_gauge(w, PAGE_HOLDS, (int64_t)s->holds);
	set_gauge(w, PAGE_HELD_NUSD, s->held_nusd);
	set_gauge(w, PAGE_HOLD_AGE_MS,
		  s->oldest_hold_ms ? MAX_OF(clock_boot_ms() - s->oldest_hold_ms, 0) : 0);
	if (off && !w->told)
		log_error("imbalance",
			  "the books are out of balance by %lld nano-dollars in %llu accounts, "
			  "first account %llu; rows that cannot be read: %llu, first account %llu",
			  (long long)s->imbalance_nusd, (unsigned long long)s->broken_accounts,
			  (unsigned long long)s->first_broken, (unsigned long long)s->damaged,
			  (unsigned long long)s->first_damaged);
	w->told = off != 0;
	w->scan_ms += MAX_OF((int64_t)(s->accounts * SECOND_MS / SCAN_A_SECOND), SECOND_MS);
}

static void on_scan(uv_timer_t *t)
{
	struct watch *w = t->data;
	struct live *live = hold(w);
	enum errc e = scan_slice(live, &w->round, SLICE_ACCOUNTS);

	drop(w, live);
	if (live_is_damaged(e))
		set_gauge(w, PAGE_IMBALANCE_NUSD, 1); /* nobody knows */
	w->scanning = is_fine(w, e, "checking the balances") && !w->round.done;
	if (w->scanning)
		require(uv_timer_start(&w->scan, on_scan, 0, 0) == 0);
	else if (!e)
		scanned(w);
}

static void begin_scan(struct watch *w, int64_t now_ms)
{
	if (w->scanning || now_ms < w->scan_ms)
		return;
	w->scanning = true;
	w->scan_ms = now_ms;
	w->round = (struct scan){.done = false};
	require(uv_timer_start(&w->scan, on_scan, 0, 0) == 0);
}

/* --- each tick --- */

static void measure(struct watch *w, int64_t now_ms)
{
	struct live *live = hold(w);
	struct live_space s;
	enum errc e = live_space(live, now_ms, &s);

	drop(w, live);
	if (!is_fine(w, e, "measuring the live store"))
		return;
	set_gauge(w, PAGE_LIVE_BYTES, (int64_t)s.used_bytes);
	set_gauge(w, PAGE_LIVE_BYTES_MAX, (int64_t)s.size_bytes);
	set_gauge(w, PAGE_OUTBOX_RECORDS, (int64_t)s.outbox_records);
	set_gauge(w, PAGE_LEDGER_LAG_MS, s.outbox_age_ms);
}

static void check_place(struct watch *w)
{
	struct live *live = hold(w);
	bool there = live_is_in_place(live);

	drop(w, live);
	if (there && !w->lost)
		return;
	if (!w->lost)
		log_error("live_store_lost",
			  "%s was removed or replaced: all workers are replaced, a new one is made",
			  w->k->h.live);
	/* Said again until it is done: a process may have been started in between. */
	kmsg_store_lost(w->k);
	if (w->lost)
		return;
	w->lost = true;
	writer_renew(w->k->writer);
}

void watch_init(struct watch *w, struct keeper *k)
{
	*w = (struct watch){.k = k};
	uv_timer_init(&k->loop, &w->sweep);
	uv_timer_init(&k->loop, &w->scan);
	uv_timer_init(&k->loop, &w->forget);
	w->sweep.data = w->scan.data = w->forget.data = w;
}

/* The gauges outlive this process and the store: until the next turn they would tell of one that is gone. In a new one no hold is
 * out. */
void watch_opened(struct watch *w, bool new_live, int64_t now_ms)
{
	static const enum page_gauge none[] = {PAGE_HOLDS, PAGE_HELD_NUSD, PAGE_HOLD_AGE_MS,
					       PAGE_IMBALANCE_NUSD};

	measure(w, now_ms);
	if (!new_live)
		return;
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		set_gauge(w, none[i], 0);
	/* A look at the invariants that is under way began in the one before. */
	uv_timer_stop(&w->scan);
	w->scanning = false;
	w->scan_ms = 0;
}

void watch_tick(struct watch *w, int64_t now_ms)
{
	measure(w, now_ms);
	if (now_ms - w->second_ms < SECOND_MS)
		return;
	w->second_ms = now_ms;
	check_place(w);
	check_readers(w);
	begin_sweep(w);
	sweep_claims(w);
	begin_scan(w, now_ms);
	begin_forget(w);
}

void watch_death(struct watch *w)
{
	check_readers(w);
	begin_sweep(w);
}

void watch_renewed(struct watch *w, int64_t now_ms)
{
	w->lost = false;
	watch_opened(w, true, now_ms);
}

void watch_stop(struct watch *w)
{
	uv_timer_stop(&w->sweep);
	uv_timer_stop(&w->scan);
	uv_timer_stop(&w->forget);
}
