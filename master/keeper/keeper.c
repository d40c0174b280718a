#include "keeper.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "childlog.h"
#include "clock.h"
#include "keeper_state.h"
#include "keyreport.h"
#include "knote.h"
#include "ktable.h"
#include "log.h"
#include "mem.h"
#include "money.h"
#include "nudge.h"
#include "pace.h"
#include "serve.h"
#include "sweep.h"

#define TICK_MS        100
#define MASTER_LOST_MS 30000 /* design 2 */
#define DRAIN_MS       20000 /* without a master that says until when */
#define LAST_MS        2000  /* how long an end waits for a report that is being read */
#define POOL_THREADS   "3"   /* a report, and others that read beside it */

static void finish(struct keeper *k)
{
	uv_stop(&k->loop);
}

static void on_last(uv_timer_t *t)
{
	finish(t->data);
}

/* No new work from here on; what is being read may come to its end. */
static void end(struct keeper *k, enum keeper_end how, int status)
{
	k->end = how;
	k->exit_status = status;
	watch_stop(&k->watch);
	serve_stop(k->serve);
	keyreport_stop(k);
	if (k->works_n == 0)
		finish(k);
	else
		require(uv_timer_start(&k->last, on_last, LAST_MS, 0) == 0);
}

void keeper_work_over(struct keeper *k)
{
	k->works_n--;
	if (k->works_n == 0 && (k->end == KEEPER_YIELDS || k->end == KEEPER_FAILED))
		finish(k);
}

void keeper_fail(struct keeper *k, const char *fmt, ...)
{
	struct msg m = {.type = MSG_FAILED};
	char text[512];
	va_list ap;

	if (k->end == KEEPER_FAILED)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error("keeper_failed", "%s", text);
	m.failed.text = slice_str(text);
	if (klink_is_up(&k->master)) {
		(void)!klink_send(&k->master, &m);
		(void)!chan_drain(&k->master.chan, 1000);
	}
	end(k, KEEPER_FAILED, 1);
}

void keeper_check_ready(struct keeper *k)
{
	const struct msg m = {.type = MSG_READY};

	if (k->ready || !k->started || !ktable_current(k->table) || k->end != KEEPER_RUNS)
		return;
	k->ready = true;
	atomic_store(&k->proc->state, PAGE_READY);
	log_info("keeper_ready", "the ledger is open");
	(void)!klink_send(&k->master, &m);
}

/* --- what the ledger thread tells --- */

static void on_started(void *arg, const struct store_started *s)
{
	static const char *const how[] = {[STORE_ACCEPTED] = "accepted",
					  [STORE_FIRST] = "new",
					  [STORE_REBOOT] = "rebuilt after a reboot",
					  [STORE_CLEAN] = "made anew after a clean stop",
					  [STORE_RESTORED] = "made anew for a restored ledger",
					  [STORE_REBUILT] = "rebuilt"};
	char dollars[MONEY_TEXT_MAX] = "unknown";
	struct keeper *k = arg;

	log_info("stores_open", "live store %s, %llu records taken over", how[s->outcome],
		 (unsigned long long)s->taken);
	if (s->at_risk_nusd >= 0)
		money_print(s->at_risk_nusd, 2, dollars);
	if (s->outcome == STORE_REBUILT)
		log_error("live_store_gap", "%s; dollars in charges at risk: %s", s->reason,
			  dollars);
	k->started = true;
	watch_opened(&k->watch, s->outcome != STORE_ACCEPTED, clock_boot_ms());
	kmsg_peppers(k);
	ktable_started(k->table);
	keeper_check_ready(k);
}

static const char *hint(enum errc e)
{
	if (e == ERRC_PERM)
		return "; are files there another user's? Give them to the user of the keeper (the "
		       "setting `user`)";
	return e == ERRC_VERSION ? "; another version of aigwd wrote the ledger, and only that one "
				   "can read it"
				 : "";
}

static void on_failed(void *arg, enum errc e, const char *what, enum ledger_fault fault)
{
	struct keeper *k = arg;
	uint64_t keys = pepper_lost_keys(&k->pepper);

	if (keys > 0)
		keeper_fail(k,
			    "the file %s/" PEPPER_NAME
			    " is not there, and %llu keys need it: put it "
			    "back (a backup has it), or make an empty file " PEPPER_GIVEN_UP
			    " beside it, then a new one is made and each of these keys must be "
			    "rotated",
			    k->h.state, (unsigned long long)keys);
	else if (fault == LEDGER_GONE)
		keeper_fail(k,
			    "the ledger %s/ledger/data.mdb is gone, or nothing is in it, though "
			    "this node has had one: is its disk mounted? Put it back, or a backup "
			    "(aigwctl ledger restore); to begin anew, without accounts and keys, "
			    "remove ledger_id and " PEPPER_NAME " in %s",
			    k->h.state, k->h.state);
	else if (fault == LEDGER_SHORT)
		keeper_fail(k,
			    "%s: the ledger %s/ledger/data.mdb is shorter than it says, its end is "
			    "missing: put a whole copy of it back, or a backup (aigwctl ledger "
			    "restore)",
			    errc_text(e), k->h.state);
	else if (k->started && e == ERRC_STALE)
		keeper_fail(k,
			    "%s: the file %s/ledger/data.mdb is not as this node wrote it last: "
			    "another ledger was put in its place; stop the node and put its own "
			    "back, or a backup with 'aigwctl ledger restore'",
			    what, k->h.state);
	else if (k->started)
		keeper_fail(k, "%s: %s", what, errc_text(e));
	else
		keeper_fail(k, "%s in %s and %s: %s%s", what, k->h.state, k->h.live, errc_text(e),
			    hint(e));
}

static void on_renewed(void *arg)
{
	struct keeper *k = arg;

	log_warn("live_store_renewed", "a new live store is there");
	watch_renewed(&k->watch, clock_boot_ms());
}

static const struct writer_events writer_events = {
	.started = on_started, .failed = on_failed, .renewed = on_renewed};

enum errc keeper_open(struct keeper *k, const struct settings *set)
{
	struct writer_opts o = {.h = &k->h,
				.page = k->page,
				.stores = &k->stores,
				.trust = &k->trust,
				.upkeep = &k->upkeep,
				.pepper = &k->pepper,
				.ev = &writer_events,
				.arg = k};

	o.durability = (enum settings_durability)set->durability;
	o.live_bytes = (size_t)set->live_size_bytes;
	/* Three times the workers: beside each one the orphans of two masters, or dead processes that are not settled yet; and some for
	 * a crash loop. */
	o.regions = MIN_OF(3 * k->h.workers + 2, LIVE_REGIONS_MAX);
	o.slots = (uint32_t)set->limit_calls;
	return writer_new(&k->loop, &o, &k->writer);
}

/* --- the end --- */

/* No worker is left: what dead ones held is settled, all of it goes into the ledger, and the next start has nothing to replay. */
static enum errc drain_all(struct writer_job *j, struct admin *a)
{
	const struct keeper *k = CONTAINER_OF(j, const struct keeper, drain);
	struct sweep_result swept = {.more = true};
	uint64_t taken;
	enum errc e = ERRC_OK, damage = ERRC_OK;

	while (!e && swept.more)
		e = sweep_run(a->live, clock_boot_ms(), clock_wall_ms(), &swept);
	/* A hold that cannot be read keeps none of the others back. */
	if (live_is_damaged(e)) {
		damage = e;
		e = ERRC_OK;
	}
	if (!e)
		e = store_drain_outbox(a->live, a->ledger, a->batch, &taken);
	if (!e)
		e = ledger_begin(a->ledger);
	if (!e)
		e = ledger_checkpoint(a->ledger);
	if (!e && !damage && k->node_stops)
		e = store_mark_clean(a->live, a->ledger);
	if (!e)
		e = ledger_commit(a->ledger);
	ledger_abort(a->ledger);
	return e ? e : damage;
}

static void on_drain_again(uv_timer_t *t)
{
	struct keeper *k = t->data;

	writer_submit(k->writer, &k->drain);
}

static void drained(struct writer_job *j, enum errc e)
{
	struct keeper *k = CONTAINER_OF(j, struct keeper, drain);

	if (e == ERRC_CANCELED)
		return;
	if (e == ERRC_NOSPACE && clock_boot_ms() + 2 * PACE_RETRY_MS < k->drain_until_ms) {
		log_error("drain_no_space",
			  "no space for the last records; tried again each second");
		require(uv_timer_start(&k->last, on_drain_again, PACE_RETRY_MS, 0) == 0);
	} else if (e == ERRC_MOVED)
		keeper_fail(k,
			    "the ledger %s/ledger/data.mdb was removed or replaced: what it lacks "
			    "cannot be written and stays in the live store %s, if that is there",
			    k->h.state, k->h.live);
	else if (e)
		keeper_fail(
			k, "the last records could not be written: %s; they stay in the live store",
			errc_text(e));
	else
		end(k, KEEPER_YIELDS, 0);
}

void keeper_drain(struct keeper *k, int64_t deadline_ms, bool node_stops)
{
	if (k->end != KEEPER_RUNS)
		return;
	k->drain_until_ms = deadline_ms;
	atomic_store(&k->proc->state, PAGE_DRAINING);
	if (!k->started) {
		end(k, KEEPER_YIELDS, 0);
		return;
	}
	k->end = KEEPER_DRAINS;
	k->node_stops = node_stops;
	k->drain = (struct writer_job){.run = drain_all, .done = drained, .last = true};
	writer_submit(k->writer, &k->drain);
}

/* Those that are alive. What dead ones have left is for the drain, and it may be that nothing of it can be settled; nor does anybody
 * wait for a store whose workers cannot be told. */
static bool has_workers(struct keeper *k)
{
	struct live_owner owners[LIVE_REGIONS_MAX];
	struct live *live = stores_hold(&k->stores);
	bool alive = false;
	size_t n = 0;
	enum errc e = live_instances(live, owners, ARRAY_LEN(owners), &n);

	for (size_t i = 0; i < n; i++)
		alive |= !live_owner_is_dead(live, owners[i].instance);
	stores_drop(&k->stores, live);
	return alive || (e && !live_is_damaged(e));
}

/* Another master has begun, with a keeper of its own that waits for the lock; or none has been seen for long, and the workers
 * have drained. */
static void look_for_master(struct keeper *k, int64_t now_ms)
{
	int64_t seen = page_master_seen_ms(k->page);

	if (page_generation(k->page) > k->h.generation ||
	    (!klink_is_up(&k->master) && page_is_replaced(k->page, k->h.live))) {
		log_info("keeper_yields", "another master serves now; its keeper goes on");
		end(k, KEEPER_YIELDS, 0);
	} else if (!klink_is_up(&k->master) && now_ms - seen > MASTER_LOST_MS &&
		   !(k->started && has_workers(k))) {
		log_info("keeper_orphan", "no master, and no worker any more");
		keeper_drain(k, now_ms + DRAIN_MS, false);
	}
}

static void on_tick(uv_timer_t *t)
{
	struct keeper *k = t->data;
	int64_t now = clock_boot_ms();

	require_magic(k, KEEPER_MAGIC);
	atomic_store_explicit(&k->proc->heartbeat_ms, (uint64_t)now, memory_order_relaxed);
	atomic_store_explicit(&k->proc->log_dropped, log_dropped(), memory_order_relaxed);
	if (k->end == KEEPER_RUNS)
		look_for_master(k, now);
	if (k->end != KEEPER_RUNS || !k->started)
		return;
	watch_tick(&k->watch, now);
	knote_tick(k, now);
	kmsg_peppers(k);
}

static void on_term(uv_signal_t *s, int signum)
{
	(void)signum;
	keeper_drain(s->data, clock_boot_ms() + DRAIN_MS, false);
}

/* --- start and stop --- */

static enum errc start(struct keeper *k)
{
	enum errc e = page_map(k->h.page_fd, &k->page);

	if (e)
		return e;
	page_join(k->page, k->h.page_slot);
	k->proc = page_proc(k->page, k->h.page_slot);
	if (uv_timer_init(&k->loop, &k->tick) || uv_timer_init(&k->loop, &k->last) ||
	    uv_signal_init(&k->loop, &k->term))
		return ERRC_SYSTEM;
	k->tick.data = k->last.data = k->term.data = k;
	watch_init(&k->watch, k);
	k->master.on_msg = kmsg_on_master;
	k->master.on_end = kmsg_on_master_end;
	klink_init(&k->master, k->h.chan_fd, MSG_AT_KEEPER, LIMIT_FRAME_IPC);
	if ((e = klink_watch(&k->master, &k->loop)) || (e = ktable_new(k, &k->table)) ||
	    (e = serve_new(k, &k->serve)))
		return e;
	require(uv_timer_start(&k->tick, on_tick, 0, TICK_MS) == 0);
	require(uv_signal_start(&k->term, on_term, SIGTERM) == 0);
	return ERRC_OK;
}

static void close_handle(uv_handle_t *h, void *arg)
{
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

static void stop(struct keeper *k)
{
	writer_free(&k->writer);
	/* A report that is still being read uses all of this: it goes with the process. */
	if (k->works_n > 0)
		return;
	knote_fini(k);
	stores_fini(&k->stores);
	upkeep_fini(&k->upkeep);
	pepper_fini(&k->pepper);
	trust_fini(&k->trust);
	serve_free(&k->serve);
	ktable_free(&k->table);
	for (unsigned i = 0; i < HERITAGE_WORKERS_MAX; i++)
		klink_close(&k->workers[i].link);
	klink_close(&k->master);
	uv_walk(&k->loop, close_handle, NULL);
	(void)uv_run(&k->loop, UV_RUN_DEFAULT);
	require(uv_loop_close(&k->loop) == 0);
	page_unmap(&k->page);
}

static void ignore_signals(void)
{
	static const int ignored[] = {SIGPIPE, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		signal(ignored[i], SIG_IGN);
}

int keeper_main(const struct heritage *h)
{
	struct keeper *k = mem_new_of(struct keeper);
	int status = 1;
	enum errc e;

	ignore_signals();
	nudge_take();
	if (childlog_start(h, "keeper"))
		fprintf(stderr, "aigwd: the keeper has no log\n");
	setenv("UV_THREADPOOL_SIZE", POOL_THREADS, 1);
	if (!k || uv_loop_init(&k->loop))
		return 1;
	k->magic = KEEPER_MAGIC;
	k->h = *h;
	stores_init(&k->stores);
	trust_init(&k->trust);
	pepper_init(&k->pepper);
	upkeep_init(&k->upkeep, &k->pepper);
	list_init(&k->keyreports);
	list_init(&k->notes);
	e = start(k);
	if (e) {
		log_error("keeper_failed", "the keeper cannot start: %s", errc_text(e));
	} else {
		uv_run(&k->loop, UV_RUN_DEFAULT);
		status = k->exit_status;
		stop(k);
	}
	log_stop();
	if (k->works_n > 0)
		_Exit(status);
	mem_free(k);
	return status;
}
