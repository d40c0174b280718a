#include "drain.h"

#include <sys/wait.h>

#include "clock.h"
#include "log.h"
#include "master.h"
#include "notify.h"

#define PROGRESS_MS  10000
#define GRACE_MS     5000 /* after the deadline, for error items and settlement */
#define GRACE_NOW_MS 3000
#define KEEPER_MS \
	20000 /* for the last records to be on disk; all ends within 30 s of the deadline */

static void next_step(struct master *m);

void drain_init(struct master *m)
{
	uv_timer_init(&m->loop, &m->drain.step);
	uv_timer_init(&m->loop, &m->drain.progress);
	m->drain.step.data = m->drain.progress.data = m;
}

bool drain_is_on(const struct master *m)
{
	return m->drain.phase != DRAIN_OFF;
}

bool drain_wants_workers(const struct master *m)
{
	return m->drain.phase <= DRAIN_DELAY;
}

bool drain_wants_keeper(const struct master *m)
{
	return m->drain.phase <= DRAIN_WORKERS;
}

static uint64_t running(struct master *m)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < m->sup.workers_n; i++) {
		if (m->sup.workers[i].child.pid)
			n += atomic_load(
				&page_proc(m->page, m->sup.workers[i].child.page_slot)->inflight);
	}
	return n;
}

static void on_progress(uv_timer_t *t)
{
	struct master *m = t->data;
	int64_t left_s = (m->drain.deadline_ms - clock_boot_ms()) / 1000;

	if (m->drain.phase == DRAIN_KEEPER) {
		log_info("draining", "the keeper takes the last records into the ledger");
		notify_status("Draining: the last records");
		return;
	}
	log_info("draining", "%llu requests running, %u workers, %lld s left",
		 (unsigned long long)running(m), supervisor_workers_up(m),
		 (long long)MAX_OF(left_s, 0));
	notify_status("Draining: %llu requests running, %lld s left",
		      (unsigned long long)running(m), (long long)MAX_OF(left_s, 0));
	control_server_progress(m, "%llu requests running, %lld s left",
				(unsigned long long)running(m), (long long)MAX_OF(left_s, 0));
}

static void kill_worker(struct master *m, struct child *c, void *arg)
{
	if (c->role == HERITAGE_WORKER)
		supervisor_kill(m, c, "drain", "still running after the end of the drain");
}

static void on_step(uv_timer_t *t)
{
	next_step(t->data);
}

static void step_at(struct master *m, int64_t at_ms)
{
	int64_t wait = at_ms - clock_boot_ms();

	require(uv_timer_start(&m->drain.step, on_step, (uint64_t)MAX_OF(wait, 0), 0) == 0);
}

static void stop_workers(struct master *m)
{
	m->drain.phase = DRAIN_WORKERS;
	listeners_fini(&m->listeners);
	supervisor_drain(m, m->drain.deadline_ms);
	step_at(m, m->drain.kill_ms);
	if (supervisor_workers_up(m) == 0)
		next_step(m);
}

static void stop_keeper(struct master *m)
{
	struct child *k = &m->sup.keeper.child;
	struct msg msg = {.type = MSG_DRAIN, .drain = {.deadline_ms = clock_boot_ms() + KEEPER_MS}};

	m->drain.phase = DRAIN_KEEPER;
	uv_timer_stop(&m->sup.keeper.respawn);
	if (!k->pid) {
		next_step(m);
		return;
	}
	k->state = CHILD_ENDING;
	child_send(k, &msg);
	step_at(m, msg.drain.deadline_ms);
}

/* The timer of the phase has run out, or what it waited for is gone. */
static void next_step(struct master *m)
{
	switch (m->drain.phase) {
	case DRAIN_DELAY:
		stop_workers(m);
		break;
	case DRAIN_WORKERS:
		if (supervisor_workers_up(m) == 0)
			stop_keeper(m);
		else
			supervisor_each(m, kill_worker, NULL);
		break;
	case DRAIN_KEEPER:
		if (m->sup.keeper.child.pid) {
			supervisor_kill(m, &m->sup.keeper.child, "drain",
					"still running after the end of the drain");
			break;
		}
		m->drain.phase = DRAIN_DONE;
		log_info("drained", "%llu requests finished, %llu cut",
			 (unsigned long long)m->drain.finished, (unsigned long long)m->drain.cut);
		master_finish(m, m->exit_status);
		break;
	case DRAIN_OFF:
	case DRAIN_DONE:
		break;
	}
}

static void shorten(struct master *m)
{
	int64_t now_ms = clock_boot_ms();

	if (m->drain.now)
		return;
	m->drain.now = true;
	m->drain.deadline_ms = now_ms;
	m->drain.kill_ms = now_ms + GRACE_NOW_MS;
	log_warn("stop_now", "%llu requests are cut", (unsigned long long)running(m));
	if (m->drain.phase == DRAIN_DELAY)
		stop_workers(m);
	else if (m->drain.phase == DRAIN_WORKERS) {
		supervisor_drain(m, now_ms);
		step_at(m, m->drain.kill_ms);
	}
}

void drain_start(struct master *m, bool now)
{
	const struct settings *set = master_settings(m);
	int64_t now_ms = clock_boot_ms();

	if (drain_is_on(m)) {
		if (now)
			shorten(m);
		return;
	}
	m->drain.phase = DRAIN_DELAY;
	m->drain.deadline_ms = now_ms + set->drain_delay_ms + set->drain_timeout_ms;
	m->drain.kill_ms = m->drain.deadline_ms + GRACE_MS;
	page_set_draining(m->page, m->generation);
	notify_stopping(m->drain.kill_ms - now_ms + KEEPER_MS);
	log_info("drain_started", "%llu requests running", (unsigned long long)running(m));
	require(uv_timer_start(&m->drain.progress, on_progress, PROGRESS_MS, PROGRESS_MS) == 0);
	if (now)
		shorten(m);
	else
		step_at(m, now_ms + set->drain_delay_ms);
}

void drain_worker_done(struct master *m, struct child *c, uint64_t finished, uint64_t cut)
{
	m->drain.finished += finished;
	m->drain.cut += cut;
	log_info("worker_drained", "%s: %llu requests finished, %llu cut", child_name(c),
		 (unsigned long long)finished, (unsigned long long)cut);
}

void drain_child_gone(struct master *m, struct child *c, int status)
{
	if (m->drain.phase == DRAIN_WORKERS && c->role == HERITAGE_WORKER &&
	    supervisor_workers_up(m) == 0)
		next_step(m);
	if (m->drain.phase != DRAIN_KEEPER || c->role != HERITAGE_KEEPER)
		return;
	/* What it had not taken waits in the live store for the next start. */
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		m->exit_status = 1;
	next_step(m);
}
