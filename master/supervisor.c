#include "supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "folders.h"
#include "log.h"
#include "master.h"
#include "mem.h"
#include "nudge.h"
#include "series.h"

#define LEND_AFTER_MS  1000
#define GIVE_UP_DEATHS 5 /* of one child that says why, before everything was ready once */
#define START_MAX_MS \
	30000 /* a worker that is not ready by then is killed; the keeper may have much to read */
#define TICKET_LIFETIME_S (24 * 3600)

static void on_message(void *arg, struct child *c, struct msg *m);

static const struct child_events events = {.message = on_message};

static struct supervisor_slot *slot_of(struct child *c)
{
	return CONTAINER_OF(c, struct supervisor_slot, child);
}

/* --- what a new child is given --- */

static void send_listener(struct child *c, const struct listeners_row *r, unsigned slot)
{
	int fd = r->fds[slot];
	struct msg m = {.type = MSG_LISTEN, .fds = &fd, .fds_n = 1};

	m.listen = (struct msg_listen){
		.address = slice_str(r->address), .admin = r->admin, .slot = slot};
	child_send(c, &m);
}

static void send_unlisten(struct child *c, const struct listeners_row *r, unsigned slot, bool last)
{
	struct msg m = {.type = MSG_UNLISTEN,
			.unlisten = {.address = slice_str(r->address), .slot = slot, .last = last}};

	child_send(c, &m);
}

static void send_listeners(struct master *m, struct child *c, unsigned slot)
{
	list_each (it, &m->listeners.rows)
		send_listener(c, list_entry(it, struct listeners_row, node), slot);
}

static void send_ticket(struct child *c, const void *name, const void *key)
{
	struct msg m = {.type = MSG_TICKET_KEY};

	m.ticket_key = (struct msg_ticket_key){.name = slice_of(name, 4),
					       .key = slice_of(key, 32),
					       .lifetime_s = TICKET_LIFETIME_S};
	child_send(c, &m);
}

/* The older one first: the last one that a worker gets is for new tickets. */
void supervisor_tickets(struct master *m, struct child *c)
{
	if (c) {
		send_ticket(c, m->tickets[1].name, m->tickets[1].key);
		send_ticket(c, m->tickets[0].name, m->tickets[0].key);
		return;
	}
	for (unsigned i = 0; i < m->sup.workers_n; i++) {
		if (child_is_up(&m->sup.workers[i].child))
			send_ticket(&m->sup.workers[i].child, m->tickets[0].name, m->tickets[0].key);
	}
}

/* A socket between keeper and worker. When it cannot be made the worker goes without until one of them is new. */
static void link_up(struct master *m, struct child *worker)
{
	struct child *keeper = &m->sup.keeper.child;
	struct msg msg = {.type = MSG_WORKER_LINK, .fds_n = 1};
	int sv[2];

	if (!child_is_up(keeper) || !child_is_up(worker))
		return;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) != 0) {
		log_error("link_failed", "%s: %s", child_name(worker),
			  errc_text(errc_from_errno(errno)));
		return;
	}
	msg.fds = &sv[0];
	msg.worker_link =
		(struct msg_worker_link){.slot = worker->slot, .pid = (uint64_t)worker->pid};
	child_send(keeper, &msg);
	msg = (struct msg){.type = MSG_KEEPER_LINK, .fds = &sv[1], .fds_n = 1};
	child_send(worker, &msg);
	close(sv[0]);
	close(sv[1]);
}

static void equip(struct master *m, struct child *c)
{
	if (c->role == HERITAGE_KEEPER) {
		for (unsigned i = 0; i < m->sup.workers_n; i++)
			link_up(m, &m->sup.workers[i].child);
	} else {
		send_listeners(m, c, c->slot);
		supervisor_tickets(m, c);
		link_up(m, c);
	}
	reload_bring(m, c);
}

/* --- starting --- */

static void heritage_of(struct master *m, struct heritage *h)
{
	const struct settings *set = master_settings(m);

	*h = (struct heritage){.workers = m->sup.workers_n,
			       .generation = m->generation,
			       .master_pid = getpid(),
			       .page_fd = page_fd(m->page),
			       .keeper_bell_fd = m->sup.keeper.child.bell_fd,
			       .log_fd = m->log_fd,
			       .log_format = (unsigned)set->log_format,
			       .log_level = (unsigned)set->log_level};
	memcpy(h->ledger_id, m->ledger_id, sizeof(h->ledger_id));
	memcpy(h->state, m->state, sizeof(h->state));
	memcpy(h->live, m->live, sizeof(h->live));
	if (m->log_fd < 0)
		snprintf(h->log_to, sizeof(h->log_to), SLICE_FMT, SLICE_ARG(set->log_to));
	for (unsigned i = 0; i < m->sup.workers_n; i++)
		h->worker_bell_fds[i] = m->sup.workers[i].child.bell_fd;
}

static void on_respawn(uv_timer_t *t);

static void start_later(struct supervisor_slot *s, int64_t ms)
{
	require(uv_timer_start(&s->respawn, on_respawn, (uint64_t)ms, 0) == 0);
}

/* It may be gone with the live store, and as another user the keeper could not make it. */
static void make_live_folder(struct master *m)
{
	enum errc e = folders_make(m->live, 0700, &m->ids);

	if (e)
		log_error("live_folder", "cannot make %s again: %s", m->live, errc_text(e));
}

static void start(struct supervisor_slot *s)
{
	struct master *m = s->m;
	struct child_env env = {.loop = &m->loop,
				.page = m->page,
				.ids = &m->ids,
				.exe_fd = m->exe_fd,
				.state_fd = m->state_fd};
	enum errc e;

	heritage_of(m, &env.heritage);
	if (s->child.role == HERITAGE_KEEPER) {
		env.heritage.keeper_bell_fd = -1;
		master_give_state(m);
		make_live_folder(m);
	}
	e = child_start(&s->child, &env);
	if (e) {
		log_error("child_start_failed", "%s: %s", child_name(&s->child), errc_text(e));
		s->child.early_deaths++;
		start_later(s, MAX_OF(child_backoff_ms(s->child.early_deaths), 100));
		return;
	}
	equip(m, &s->child);
}

/* May this slot have a process now? */
static bool is_wanted(const struct supervisor_slot *s)
{
	const struct master *m = s->m;

	if (s->child.role == HERITAGE_KEEPER)
		return drain_wants_keeper(m);
	return m->sup.keeper_was_ready && drain_wants_workers(m);
}

static void on_respawn(uv_timer_t *t)
{
	struct supervisor_slot *s = CONTAINER_OF(t, struct supervisor_slot, respawn);

	if (s->child.state == CHILD_EMPTY && is_wanted(s))
		start(s);
}

/* --- lending --- */

static void take_back(struct master *m, struct supervisor_slot *s)
{
	if (s->lent_to < 0)
		return;
	list_each (it, &m->listeners.rows)
		send_unlisten(&m->sup.workers[s->lent_to].child,
			      list_entry(it, struct listeners_row, node), s->child.slot, false);
	log_info("socket_returned", "worker %u gives back the sockets of worker %u",
		 (unsigned)s->lent_to, s->child.slot);
	s->lent_to = -1;
}

static int borrower(const struct master *m)
{
	unsigned least = UINT32_MAX;
	int best = -1;

	for (unsigned i = 0; i < m->sup.workers_n; i++) {
		unsigned has = 0;

		if (m->sup.workers[i].child.state != CHILD_READY)
			continue;
		for (unsigned j = 0; j < m->sup.workers_n; j++)
			has += m->sup.workers[j].lent_to == (int)i;
		if (has < least) {
			least = has;
			best = (int)i;
		}
	}
	return best;
}

static void lend(struct master *m, int64_t now_ms)
{
	for (unsigned i = 0; i < m->sup.workers_n && drain_wants_workers(m); i++) {
		struct supervisor_slot *s = &m->sup.workers[i];

		if (!s->away_since_ms || now_ms - s->away_since_ms < LEND_AFTER_MS ||
		    s->lent_to >= 0)
			continue;
		s->lent_to = borrower(m);
		if (s->lent_to < 0)
			return;
		log_warn("socket_lent", "worker %u is away: worker %u accepts on its sockets", i,
			 (unsigned)s->lent_to);
		send_listeners(m, &m->sup.workers[s->lent_to].child, i);
	}
}

void supervisor_listen(struct master *m, struct list *fresh, struct list *gone)
{
	for (unsigned i = 0; i < m->sup.workers_n; i++) {
		struct supervisor_slot *s = &m->sup.workers[i];
		struct child *c = s->lent_to >= 0 ? &m->sup.workers[s->lent_to].child : &s->child;

		if (!child_is_up(c))
			continue;
		list_each (it, fresh)
			send_listener(c, list_entry(it, struct listeners_row, node), i);
		list_each (it, gone)
			send_unlisten(c, list_entry(it, struct listeners_row, node), i, true);
	}
}

/* --- messages --- */

static void on_ready(struct master *m, struct child *c)
{
	struct supervisor_slot *s = slot_of(c);

	if (c->state != CHILD_STARTING)
		return;
	c->state = CHILD_READY;
	c->early_deaths = 0;
	s->away_since_ms = 0;
	log_info("child_ready", "%s, pid %d, after %lld ms", child_name(c), (int)c->pid,
		 (long long)(clock_boot_ms() - c->started_ms));
	if (c->role == HERITAGE_WORKER)
		take_back(m, s);
	if (c->role == HERITAGE_KEEPER && !m->sup.keeper_was_ready) {
		m->sup.keeper_was_ready = true;
		for (unsigned i = 0; i < m->sup.workers_n; i++)
			start_later(&m->sup.workers[i], 0);
	}
	if (!m->ready && m->sup.keeper_was_ready && supervisor_workers_ready(m) == m->sup.workers_n)
		master_ready(m);
}

static void on_failed(struct master *m, struct child *c, struct slice text)
{
	log_error("child_failed", "%s, pid %d: " SLICE_FMT, child_name(c), (int)c->pid,
		  SLICE_ARG(text));
	/* What is in the way may go by itself, as the processes of an older master do; not for ever, though. */
	if (!m->ready && c->early_deaths >= GIVE_UP_DEATHS)
		master_give_up(m, "%s cannot start: " SLICE_FMT, child_name(c), SLICE_ARG(text));
}

static void on_store_renewed(struct master *m, uint64_t epoch)
{
	log_warn("store_renewed",
		 "the keeper made a new live store, epoch %llu: workers are replaced",
		 (unsigned long long)epoch);
	make_live_folder(m);
	for (unsigned i = 0; i < m->sup.workers_n; i++)
		supervisor_kill(m, &m->sup.workers[i].child, "store_renewed",
				"it has the old live store");
}

static void on_message(void *arg, struct child *c, struct msg *msg)
{
	struct master *m = arg;

	switch (msg->type) {
	case MSG_READY:
		on_ready(m, c);
		break;
	case MSG_RELOAD_NOTED:
		reload_noted(m, msg->reload_noted.generation);
		break;
	case MSG_PREPARED:
		reload_prepared(m, c, msg->prepared.generation);
		break;
	case MSG_REJECTED:
		reload_rejected(m, c, msg->rejected.generation, msg->rejected.text);
		break;
	case MSG_DRAINED:
		drain_worker_done(m, c, msg->drained.finished, msg->drained.cut);
		break;
	case MSG_FAILED:
		on_failed(m, c, msg->failed.text);
		break;
	case MSG_STORE_RENEWED:
		on_store_renewed(m, msg->store_renewed.epoch);
		break;
	case MSG_LOG_REOPENED:
		c->reopens_log = false;
		control_server_log_sent(m);
		break;
	default: /* MSG_AT_MASTER has no other */
		break;
	}
}

/* --- ends --- */

static void count_restart(struct master *m, const char *reason)
{
	struct slice value = slice_str(reason);
	char text[SERIES_LABELS_MAX];

	series_add(
		series_cell(m->page, SERIES_WORKER_RESTARTS,
			    slice_of(text, series_labels(SERIES_WORKER_RESTARTS, &value, 1, text))),
		1);
}

static const char *meaning(const struct child *c, int sig)
{
	if (sig != SIGBUS)
		return "";
	return c->role == HERITAGE_KEEPER
		       ? ": the ledger's file is shorter than it says, or its disk fails"
		       : ": a file in the live folder was cut short, or the machine's memory fails";
}

static void log_end(struct supervisor_slot *s, pid_t pid, int status)
{
	struct child *c = &s->child;
	bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0 && c->state == CHILD_ENDING;
	const char *when = c->state == CHILD_STARTING ? " before it was ready" : "";

	/* Whoever said why and closed its channel may have been killed while it tidied up. */
	if (c->failed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		log_error("child_died", "%s, pid %d: ended for that%s", child_name(c), (int)pid,
			  when);
	else if (WIFSIGNALED(status))
		log_error("child_died", "%s, pid %d: signal %d%s%s", child_name(c), (int)pid,
			  WTERMSIG(status), when, meaning(c, WTERMSIG(status)));
	else if (good)
		log_info("child_ended", "%s, pid %d", child_name(c), (int)pid);
	else
		log_error("child_died", "%s, pid %d: exit status %d%s", child_name(c), (int)pid,
			  WEXITSTATUS(status), when);
}

static void tell_keeper(struct master *m, struct child *c, pid_t pid)
{
	struct msg msg = {.type = MSG_CHILD_DIED,
			  .child_died = {.slot = c->slot, .pid = (uint64_t)pid}};

	if (c->role == HERITAGE_WORKER && child_is_up(&m->sup.keeper.child))
		child_send(&m->sup.keeper.child, &msg);
}

/* The dead one may have had the wake-up for the writer lock that another one waits for. */
static void nudge_waiting(struct master *m)
{
	for (unsigned i = 0; i < page_slots_high(m->page); i++) {
		struct page_proc *p = page_proc(m->page, i);

		if (atomic_load(&p->wants) != atomic_load(&p->has) && page_is_alive(m->page, i))
			kill((pid_t)atomic_load(&p->pid), NUDGE_SIGNAL);
	}
}

static void respawn(struct supervisor_slot *s)
{
	int64_t wait_ms = child_backoff_ms(s->child.early_deaths);

	if (!is_wanted(s))
		return;
	if (wait_ms == 0) {
		start(s);
		return;
	}
	log_warn("child_backoff", "%s died %u times before it was ready: next start in %lld ms",
		 child_name(&s->child), s->child.early_deaths, (long long)wait_ms);
	start_later(s, wait_ms);
}

static void ended(struct supervisor_slot *s, int status)
{
	struct master *m = s->m;
	struct child *c = &s->child;
	const char *reason = s->killed ? s->killed : WIFSIGNALED(status) ? "signal" : "exit";
	int64_t now_ms = clock_boot_ms();
	pid_t pid = c->pid;

	nudge_waiting(m);
	log_end(s, pid, status);
	child_ended(c, m->page);
	if (!s->away_since_ms)
		s->away_since_ms = now_ms;
	s->killed = NULL;
	for (unsigned i = 0; i < m->sup.workers_n; i++) {
		if (c->role == HERITAGE_WORKER && m->sup.workers[i].lent_to == (int)c->slot)
			m->sup.workers[i].lent_to = -1;
	}
	tell_keeper(m, c, pid);
	reload_gone(m);
	control_server_log_sent(m);
	if (c->role == HERITAGE_WORKER && is_wanted(s))
		count_restart(m, reason);
	respawn(s);
	drain_child_gone(m, c, status);
}

static void reap_slot(struct supervisor_slot *s)
{
	int status;

	if (s->child.pid && waitpid(s->child.pid, &status, WNOHANG) == s->child.pid)
		ended(s, status);
}

void supervisor_reap(struct master *m)
{
	reap_slot(&m->sup.keeper);
	for (unsigned i = 0; i < m->sup.workers_n; i++)
		reap_slot(&m->sup.workers[i]);
}

void supervisor_kill(struct master *m, struct child *c, const char *label, const char *reason)
{
	if (!c->pid)
		return;
	slot_of(c)->killed = label;
	child_kill(c, reason);
}

/* --- watchdog --- */

/* State letter of proc(5) stat. */
static bool is_stopped(uint32_t pid)
{
	char path[64], text[512];
	const char *end;
	FILE *f;
	bool yes = false;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (fgets(text, sizeof(text), f)) {
		end = strrchr(text, ')');
		yes = end && end[1] == ' ' && (end[2] == 'T' || end[2] == 't');
	}
	fclose(f);
	return yes;
}

static struct child *child_with_pid(struct master *m, uint32_t pid)
{
	if ((uint32_t)m->sup.keeper.child.pid == pid)
		return &m->sup.keeper.child;
	for (unsigned i = 0; i < m->sup.workers_n; i++) {
		if ((uint32_t)m->sup.workers[i].child.pid == pid)
			return &m->sup.workers[i].child;
	}
	return NULL;
}

/* Processes of older masters are watched as well: one that holds the lock stops us all. */
static void observe(struct master *m, unsigned i)
{
	struct watchdog_row *r = &m->sup.rows[i];
	struct page_proc *p = page_proc(m->page, i);
	uint32_t pid = atomic_load(&p->pid);

	if (pid != m->sup.row_pids[i])
		*r = (struct watchdog_row){0};
	m->sup.row_pids[i] = pid;
	r->alive = pid && pid != (uint32_t)getpid() && page_is_alive(m->page, i);
	if (!r->alive)
		return;
	r->wants = atomic_load(&p->wants);
	r->has = atomic_load(&p->has);
	r->done = atomic_load(&p->done);
	r->heartbeat_ms = atomic_load(&p->heartbeat_ms);
	r->beats = atomic_load(&p->state) == PAGE_READY && child_with_pid(m, pid);
	r->stopped = r->wants != r->has && is_stopped(pid);
}

static void kill_row(struct master *m, unsigned i, enum watchdog_reason why)
{
	struct child *c = child_with_pid(m, m->sup.row_pids[i]);

	if (c) {
		supervisor_kill(m, c, "watchdog", watchdog_reason_text(why));
		return;
	}
	log_warn("orphan_killed", "pid %u of an older master: %s", m->sup.row_pids[i],
		 watchdog_reason_text(why));
	kill((pid_t)m->sup.row_pids[i], SIGKILL);
}

static void check_starts(struct master *m, int64_t now_ms)
{
	for (unsigned i = 0; i < m->sup.workers_n; i++) {
		struct child *c = &m->sup.workers[i].child;

		if (c->state == CHILD_STARTING && now_ms - c->started_ms > START_MAX_MS)
			supervisor_kill(m, c, "start", "it was not ready in time");
	}
}

static void on_tick(uv_timer_t *t)
{
	struct master *m = t->data;
	int64_t now_ms = clock_boot_ms();
	bool on_time = now_ms - m->sup.tick_ms <= WATCHDOG_LATE_MS;
	unsigned high = page_slots_high(m->page);
	enum watchdog_reason why;
	int victim;

	m->sup.tick_ms = now_ms;
	page_master_beat(m->page, now_ms);
	/* A flood of signals may have cost us one of SIGCHLD. */
	supervisor_reap(m);
	for (unsigned i = 0; i < high; i++)
		observe(m, i);
	victim = watchdog_tick(m->sup.rows, high, on_time, &why);
	for (unsigned i = 0; i < high; i++) {
		if (watchdog_nudges(&m->sup.rows[i]))
			kill((pid_t)m->sup.row_pids[i], NUDGE_SIGNAL);
	}
	if (victim >= 0)
		kill_row(m, (unsigned)victim, why);
	check_starts(m, now_ms);
	lend(m, now_ms);
}

/* --- all of them --- */

static enum errc slot_init(struct master *m, struct supervisor_slot *s, enum heritage_role role,
			   unsigned slot)
{
	enum errc e;

	s->m = m;
	s->lent_to = -1;
	s->away_since_ms = clock_boot_ms();
	uv_timer_init(&m->loop, &s->respawn);
	e = child_init(&s->child, role, slot, &events, m);
	return e ? e : page_claim(m->page, role, slot, m->generation, &s->child.page_slot);
}

enum errc supervisor_init(struct master *m, unsigned workers)
{
	struct supervisor *s = &m->sup;
	enum errc e;

	s->workers = mem_new(workers * sizeof(*s->workers));
	s->rows = mem_new(PAGE_SLOTS * sizeof(*s->rows));
	s->row_pids = mem_new(PAGE_SLOTS * sizeof(*s->row_pids));
	if (!s->workers || !s->rows || !s->row_pids)
		return ERRC_NOMEM;
	uv_timer_init(&m->loop, &s->tick);
	s->tick.data = m;
	e = slot_init(m, &s->keeper, HERITAGE_KEEPER, 0);
	for (; s->workers_n < workers && !e; s->workers_n++)
		e = slot_init(m, &s->workers[s->workers_n], HERITAGE_WORKER, s->workers_n);
	return e;
}

void supervisor_start(struct master *m)
{
	m->sup.tick_ms = clock_boot_ms();
	page_master_beat(m->page, m->sup.tick_ms);
	require(uv_timer_start(&m->sup.tick, on_tick, WATCHDOG_TICK_MS, WATCHDOG_TICK_MS) == 0);
	start(&m->sup.keeper);
}

void supervisor_fini(struct master *m)
{
	child_fini(&m->sup.keeper.child);
	for (unsigned i = 0; i < m->sup.workers_n; i++)
		child_fini(&m->sup.workers[i].child);
}

void supervisor_each(struct master *m, void (*fn)(struct master *m, struct child *c, void *arg),
		     void *arg)
{
	if (m->sup.keeper.child.pid)
		fn(m, &m->sup.keeper.child, arg);
	for (unsigned i = 0; i < m->sup.workers_n; i++) {
		if (m->sup.workers[i].child.pid)
			fn(m, &m->sup.workers[i].child, arg);
	}
}

unsigned supervisor_workers_up(const struct master *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->sup.workers_n; i++)
		n += m->sup.workers[i].child.pid != 0;
	return n;
}

unsigned supervisor_workers_ready(const struct master *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->sup.workers_n; i++)
		n += m->sup.workers[i].child.state == CHILD_READY;
	return n;
}

struct child *supervisor_any_worker(struct master *m)
{
	static unsigned turn;

	for (unsigned i = 0; i < m->sup.workers_n; i++) {
		struct child *c = &m->sup.workers[turn++ % m->sup.workers_n].child;

		if (c->state == CHILD_READY)
			return c;
	}
	return NULL;
}

void supervisor_drain(struct master *m, int64_t deadline_ms)
{
	struct msg msg = {.type = MSG_DRAIN, .drain = {.deadline_ms = deadline_ms}};

	for (unsigned i = 0; i < m->sup.workers_n; i++) {
		struct child *c = &m->sup.workers[i].child;

		uv_timer_stop(&m->sup.workers[i].respawn);
		if (c->state == CHILD_STARTING)
			supervisor_kill(m, c, "drain", "not ready yet when the drain began");
		if (!c->pid)
			continue;
		c->state = CHILD_ENDING;
		child_send(c, &msg);
	}
}
