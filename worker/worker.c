#include "worker.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "accept.h"
#include "admin.h"
#include "clock.h"
#include "childlog.h"
#include "log.h"
#include "series.h"
#include "mem.h"
#include "nudge.h"
#include "table.h"
#include "text.h"
#include "worker_state.h"

/* A block of this size or more is rare enough for memory of its own; several smaller ones may be in work. Bodies have their pool. */
#define MEM_BIG   (1 << 20)
#define MEM_SPARE (2 << 20)

#define TICK_MS   200
#define MASTER_LOST_MS \
	30000 /* design 2: an orphan drains so long after the last sign of a master */
#define ORPHAN_DRAIN_MS 600000

void worker_fail(struct worker *w, const char *fmt, ...)
{
	char text[512];
	struct msg m = {.type = MSG_FAILED};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error("worker_failed", "%s", text);
	m.failed.text = slice_str(text);
	if (link_is_up(&w->master)) {
		(void)!link_send(&w->master, &m);
		(void)!chan_drain(&w->master.chan, 1000);
	}
	w->exit_status = 1;
	w->ended = true;
	uv_stop(&w->loop);
}

void worker_check_ready(struct worker *w)
{
	struct msg m = {.type = MSG_READY};

	if (w->ready || w->peppers.n == 0 || !table_current(w->table) ||
	    accept_open_count(w->accept) == 0)
		return;
	w->ready = true;
	atomic_store(&w->proc->state, PAGE_READY);
	log_info("worker_ready", "worker %u serves", w->h.slot);
	(void)!link_send(&w->master, &m);
}

static void ring_keeper(void *arg)
{
	struct worker *w = arg;

	(void)!eventfd_write(w->h.keeper_bell_fd, 1);
}

static enum errc lookup(void *arg, uint64_t seq, struct slice id, struct slice key_id)
{
	struct worker *w = arg;
	struct msg m = {.type = MSG_LOOKUP, .lookup = {.seq = seq, .id = id, .key = key_id}};

	if (!link_is_up(&w->keeper))
		return ERRC_AGAIN;
	return link_send(&w->keeper, &m);
}

static enum errc report(void *arg, const struct msg_report *r)
{
	struct worker *w = arg;
	struct msg m = {.type = MSG_REPORT, .report = *r};

	return link_is_up(&w->keeper) ? link_send(&w->keeper, &m) : ERRC_AGAIN;
}

static void on_bell(uv_poll_t *p, int status, int events)
{
	struct worker *w = p->data;
	eventfd_t n;

	if (status == 0 && (events & UV_READABLE))
		(void)!eventfd_read(w->h.bell_fd, &n);
	call_host_durable(w->calls);
}

/* Whether another master has taken over, or none has been seen for long. */
static bool is_orphan(struct worker *w, int64_t now_ms)
{
	int64_t seen = page_master_seen_ms(w->page);

	if (page_generation(w->page) > w->h.generation)
		return true;
	return !link_is_up(&w->master) && seen > 0 &&
	       (now_ms - seen > MASTER_LOST_MS || page_is_replaced(w->page, w->h.live));
}

static void end_drain(struct worker *w)
{
	struct msg m = {.type = MSG_DRAINED,
			.drained = {.finished = call_host_finished(w->calls), .cut = w->cut}};

	log_info("worker_drained", "%llu requests came to their end, %llu were cut",
		 (unsigned long long)m.drained.finished, (unsigned long long)w->cut);
	if (link_is_up(&w->master)) {
		(void)!link_send(&w->master, &m);
		(void)!chan_drain(&w->master.chan, 1000);
	}
	w->ended = true;
	uv_stop(&w->loop);
}

static void step_drain(struct worker *w, int64_t now_ms)
{
	struct down_stats s;

	if (w->ended)
		return;
	if (now_ms >= w->cut_at_ms)
		w->cut += call_host_cut(w->calls);
	down_stats_get(w->clients, &s);
	if (accept_open_count(w->accept) == 0 && accept_conns(w->accept) == 0 && s.open == 0 &&
	    call_host_count(w->calls) == 0)
		end_drain(w);
}

void worker_drain(struct worker *w, int64_t deadline_ms, bool last)
{
	w->cut_at_ms = deadline_ms;
	if (!w->draining) {
		w->draining = true;
		atomic_store(&w->proc->state, PAGE_DRAINING);
		log_info("worker_drain", "worker %u drains: %u requests run", w->h.slot,
			 call_host_count(w->calls));
		call_host_drain(w->calls);
		accept_drain(w->accept, last);
		down_host_drain(w->clients);
	}
	step_drain(w, clock_boot_ms());
}

static int64_t drain_timeout_ms(const struct worker *w)
{
	const struct ptable *t = table_current(w->table);

	return t ? t->set.drain_timeout_ms : ORPHAN_DRAIN_MS;
}

static void on_tick(uv_timer_t *t)
{
	struct worker *w = t->data;
	int64_t now = clock_boot_ms();
	struct down_stats s;

	atomic_store_explicit(&w->proc->heartbeat_ms, (uint64_t)now, memory_order_relaxed);
	down_stats_get(w->clients, &s);
	atomic_store_explicit(&w->proc->conns_down, s.open, memory_order_relaxed);
	atomic_store_explicit(&w->proc->log_dropped, log_dropped(), memory_order_relaxed);
	call_host_publish(w->calls);
	call_host_tidy(w->calls);
	/* The mark in the page moves without a ring when the keeper is of another master, or died before it rang. */
	call_host_durable(w->calls);
	call_host_end_keys(w->calls);
	if (!w->draining && is_orphan(w, now)) {
		log_info("worker_orphan", "another master serves now; this worker drains");
		/* The master's copies of the sockets died with it, and the other orphans drain as well. */
		worker_drain(w, now + drain_timeout_ms(w), true);
	}
	if (w->draining)
		step_drain(w, now);
}

static void on_beat(struct turn_hook *h)
{
	struct worker *w = CONTAINER_OF(h, struct worker, beat);

	atomic_store_explicit(&w->proc->heartbeat_ms, (uint64_t)turn_now_ms(w->turn),
			      memory_order_relaxed);
}

static void on_term(uv_signal_t *s, int signum)
{
	struct worker *w = s->data;

	(void)signum;
	/* Asked alone: the master gives the sockets to the next one. */
	worker_drain(w, clock_boot_ms() + drain_timeout_ms(w), false);
}

static enum errc open_live(struct worker *w)
{
	struct live_opts o = {
		.dir = w->h.live,
		.watch = {.wants = &w->proc->wants, .has = &w->proc->has, .done = &w->proc->done}};
	enum errc e;

	if (!text_unhex(slice_str(w->h.ledger_id), o.ledger_id, sizeof(o.ledger_id)))
		return ERRC_PROTOCOL;
	e = live_open(&o, &w->live);
	return e ? e : live_join(w->live);
}

static enum errc open_net(struct worker *w)
{
	struct down_opts o = DOWN_OPTS_DEFAULT;
	struct call_env env;
	enum errc e;

	if ((e = turn_new(&w->loop, &w->turn)) || (e = tls_new(w->turn, &w->tls)) ||
	    (e = dns_new(w->turn, 30000, &w->dns)) || (e = upool_new(w->turn, w->dns, &w->pool)) ||
	    (e = accept_new(w, &w->accept)))
		return e;
	env = (struct call_env){.turn = w->turn,
				.tls = w->tls,
				.pool = w->pool,
				.live = w->live,
				.page = w->page,
				.page_slot = w->h.page_slot,
				.generation = w->h.generation,
				.peppers = &w->peppers,
				.ring_keeper = ring_keeper,
				.lookup = lookup,
				.report = report,
				.arg = w};
	if ((e = call_host_new(&env, &w->calls)) ||
	    (e = down_host_new(w->turn, &o, accept_set(w->accept), &call_host_down_events, w->calls,
			       &w->clients)) ||
	    (e = admin_new(w, &w->admin)) || (e = table_new(w, &w->table)))
		return e;
	turn_hook_init(&w->beat, w->turn, on_beat);
	return ERRC_OK;
}

static enum errc open_loop(struct worker *w)
{
	if (uv_loop_init(&w->loop) || uv_timer_init(&w->loop, &w->tick) ||
	    uv_signal_init(&w->loop, &w->term) || uv_poll_init(&w->loop, &w->bell, w->h.bell_fd))
		return ERRC_SYSTEM;
	w->loop.data = w->tick.data = w->term.data = w->bell.data = w;
	return ERRC_OK;
}

static enum errc start(struct worker *w)
{
	enum errc e;

	w->master =
		(struct link){.on_msg = worker_on_master, .on_end = worker_on_master_end, .arg = w};
	w->keeper =
		(struct link){.on_msg = worker_on_keeper, .on_end = worker_on_keeper_end, .arg = w};
	if ((e = page_map(w->h.page_fd, &w->page)))
		return e;
	(void)series_cell(w->page, SERIES_UNCOLLECTED,
			  SLICE_NONE); /* without labels it is there from the start */
	page_join(w->page, w->h.page_slot);
	w->proc = page_proc(w->page, w->h.page_slot);
	if ((e = open_loop(w)) ||
	    (e = link_open(&w->master, &w->loop, w->h.chan_fd, MSG_AT_WORKER, LIMIT_FRAME_IPC)) ||
	    (e = open_live(w)) || (e = open_net(w)))
		return e;
	uv_timer_start(&w->tick, on_tick, 0, TICK_MS);
	uv_signal_start(&w->term, on_term, SIGTERM);
	uv_poll_start(&w->bell, UV_READABLE, on_bell);
	return ERRC_OK;
}

static void close_handle(uv_handle_t *h)
{
	if (h->loop && !uv_is_closing(h))
		uv_close(h, NULL);
}

/* Frees from the top down, then lets libuv call what it still owes. */
static void stop(struct worker *w)
{
	link_close(&w->master);
	link_close(&w->keeper);
	table_free(&w->table);
	admin_free(&w->admin);
	if (w->clients)
		down_host_free(&w->clients);
	if (w->calls)
		call_host_free(&w->calls);
	accept_free(&w->accept);
	if (w->pool)
		upool_free(&w->pool);
	if (w->dns)
		dns_free(&w->dns);
	if (w->tls)
		tls_free(&w->tls);
	if (w->turn) {
		turn_hook_fini(&w->beat);
		turn_free(&w->turn);
	}
	if (w->live)
		live_close(&w->live);
	close_handle((uv_handle_t *)&w->tick);
	close_handle((uv_handle_t *)&w->term);
	close_handle((uv_handle_t *)&w->bell);
	if (w->loop.data == w) {
		uv_run(&w->loop, UV_RUN_DEFAULT);
		uv_loop_close(&w->loop);
	}
	if (w->page)
		page_unmap(&w->page);
	peppers_fini(&w->peppers);
}

int worker_main(const struct heritage *h)
{
	static char name[32];
	struct worker *w = mem_new_of(struct worker);
	int status = 1;
	enum errc e;

	if (!w)
		return 1;
	mem_keep(MEM_BIG, MEM_SPARE);
	w->magic = WORKER_MAGIC;
	w->h = *h;
	snprintf(name, sizeof(name), "worker-%u", h->slot);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	nudge_take();
	if (childlog_start(h, name))
		fprintf(stderr, "aigwd: %s has no log\n", name);
	e = start(w);
	if (e)
		worker_fail(w, "worker %u cannot start: %s", h->slot, errc_text(e));
	while (!w->ended && uv_run(&w->loop, UV_RUN_DEFAULT) != 0)
		;
	status = w->exit_status;
	stop(w);
	log_stop();
	mem_free(w);
	return status;
}
