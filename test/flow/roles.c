/* Keeper and worker for the master's flow tests: they speak the whole protocol, answer each connection with one line of
 * HTTP, and misbehave on demand. What they do is asked for by files in the state folder (named below), which the test
 * makes and removes, and by the region in the configuration. Linked with the real master as aigwd-roles. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "childlog.h"
#include "clock.h"
#include "control.h"
#include "keeper.h"
#include "log.h"
#include "page.h"
#include "ptable.h"
#include "synstop.h"
#include "worker.h"

#define LISTENERS_MAX 64
#define CONNS_MAX     512
#define BEAT_MS       50
#define ORPHAN_MS     30000
#define LATE_MS       20

struct listener {
	int fd;
	char address[128];
	unsigned slot;
};

/* A connection whose request asked to be held: it is answered at `until_ms`. */
struct conn {
	int fd;
	int64_t until_ms;
};

static struct {
	const struct heritage *h;
	struct page *page;
	struct page_proc *row;
	struct chan chan;
	struct ptable *table, *prepared;
	struct listener listeners[LISTENERS_MAX];
	unsigned listeners_n;
	struct conn conns[CONNS_MAX];
	unsigned conns_n;
	bool ready, draining;
	int64_t deadline_ms;
	uint64_t finished, cut;
	int lock_fd;
} me;

static bool asked(const char *name)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/test-%s", me.h->state, name);
	return access(path, F_OK) == 0;
}

static bool asked_slot(const char *name)
{
	char text[64];

	snprintf(text, sizeof(text), "%s-%u", name, me.h->slot);
	return asked(name) || asked(text);
}

static void tell(const struct msg *m)
{
	if (msg_send(&me.chan, m) || chan_drain(&me.chan, 1000))
		_exit(3);
}

/* The same, but not again by the process that is started next. */
static bool asked_once(const char *name)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/test-%s-%u", me.h->state, name, me.h->slot);
	return unlink(path) == 0;
}

/* --- connections --- */

static void answer(int fd, const char *status)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nconnection: close\r\n\r\n%d %u %llu",
			 status, (int)getpid(), me.h->slot,
			 me.table ? (unsigned long long)me.table->generation : 0);

	(void)!write(fd, text, (size_t)n);
	shutdown(fd, SHUT_WR);
	close(fd);
	atomic_fetch_add(&me.row->requests, 1);
}

/* "GET /hold/MS" is answered after so many milliseconds, everything else at once. */
static void take_request(int fd)
{
	struct timeval limit = {.tv_sec = 2};
	char text[1024];
	ssize_t n;
	long ms;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	if (n <= 0) {
		close(fd);
		return;
	}
	if (sscanf(text, "GET /hold/%ld", &ms) == 1 && me.conns_n < CONNS_MAX) {
		me.conns[me.conns_n++] = (struct conn){fd, clock_boot_ms() + ms};
		atomic_fetch_add(&me.row->inflight, 1);
		return;
	}
	answer(fd, page_is_draining(me.page, me.h->generation) ? "503 Draining" : "200 OK");
}

static void accept_all(int fd)
{
	int c;

	while ((c = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		synstop_undo(c);
		take_request(c);
	}
}

/* As the real worker does: the last user of a socket leaves none in its queue. */
static void close_listener(unsigned i, bool last)
{
	if (last && synstop_set(me.listeners[i].fd))
		(void)poll(NULL, 0, LATE_MS);
	accept_all(me.listeners[i].fd);
	close(me.listeners[i].fd);
	me.listeners[i] = me.listeners[--me.listeners_n];
}

static void end_conns(void)
{
	int64_t now_ms = clock_boot_ms();

	for (unsigned i = 0; i < me.conns_n;) {
		bool late = me.draining && now_ms >= me.deadline_ms;

		if (now_ms < me.conns[i].until_ms && !late) {
			i++;
			continue;
		}
		me.finished += me.draining && !late;
		me.cut += late;
		answer(me.conns[i].fd, late ? "500 Cut" : "200 OK");
		me.conns[i] = me.conns[--me.conns_n];
		atomic_fetch_sub(&me.row->inflight, 1);
	}
}

/* --- messages --- */

static void on_prepare(const struct msg *m)
{
	struct msg reply = {.type = MSG_PREPARED, .prepared = {.generation = m->prepare.generation}};
	struct slice region;

	if (ptable_decode(m->prepare.blob, &me.prepared) != ERRC_OK)
		_exit(4);
	region = me.prepared->set.region;
	if (slice_is(region, "silent") && me.h->role == HERITAGE_WORKER && me.h->slot == 1)
		return;
	if (slice_is(region, "fatal") && me.h->role == HERITAGE_WORKER && me.h->slot == 1)
		abort();
	if (slice_is(region, "rejected") && me.h->role == HERITAGE_WORKER && me.h->slot == 1) {
		reply = (struct msg){.type = MSG_REJECTED};
		reply.rejected = (struct msg_rejected){.generation = m->prepare.generation,
						       .text = SLICE_LIT("not this one")};
	}
	tell(&reply);
}

static void on_commit(void)
{
	ptable_drop(&me.table);
	me.table = me.prepared;
	me.prepared = NULL;
	atomic_store(&me.row->config_generation, me.table->generation);
	if (childlog_apply(&me.table->set))
		_exit(5);
	if (me.ready)
		return;
	me.ready = true;
	atomic_store(&me.row->state, PAGE_READY);
	tell(&(struct msg){.type = MSG_READY});
}

static void on_control(struct msg *m)
{
	struct chan c;
	struct msg request;

	chan_init(&c, msg_take_fd(m, 0), LIMIT_FRAME_CONTROL + 1024);
	if (msg_decode(m->control.request, 0, MSG_AT_SERVER, &request) ||
	    control_end(&c, CONTROL_DONE, "", "%s: uid %llu, rights %llu, verb " SLICE_FMT,
			heritage_role_name(me.h->role), (unsigned long long)m->control.uid,
			(unsigned long long)m->control.rights, SLICE_ARG(request.request.verb)))
		_exit(6);
	(void)!(int)chan_drain(&c, 1000);
	chan_fini(&c);
}

static void on_listen(struct msg *m)
{
	struct listener *l = &me.listeners[me.listeners_n];

	if (me.listeners_n == LISTENERS_MAX)
		_exit(7);
	*l = (struct listener){.fd = msg_take_fd(m, 0), .slot = (unsigned)m->listen.slot};
	snprintf(l->address, sizeof(l->address), SLICE_FMT, SLICE_ARG(m->listen.address));
	me.listeners_n++;
}

static void on_unlisten(const struct msg *m)
{
	for (unsigned i = me.listeners_n; i-- > 0;) {
		if (me.listeners[i].slot == m->unlisten.slot &&
		    slice_is(m->unlisten.address, me.listeners[i].address))
			close_listener(i, m->unlisten.last != 0);
	}
}

static void start_drain(int64_t deadline_ms)
{
	me.draining = true;
	me.deadline_ms = deadline_ms;
	atomic_store(&me.row->state, PAGE_DRAINING);
	while (me.listeners_n)
		close_listener(0, true);
}

static void on_message(struct msg *m)
{
	int fd;

	switch (m->type) {
	case MSG_PREPARE:
		on_prepare(m);
		break;
	case MSG_COMMIT:
		on_commit();
		break;
	case MSG_ABORT:
		ptable_drop(&me.prepared);
		break;
	case MSG_DRAIN:
		start_drain(m->drain.deadline_ms);
		break;
	case MSG_LOG_REOPEN:
		if (childlog_reopen(m))
			_exit(8);
		log_info("role_log", "log opened anew");
		tell(&(struct msg){.type = MSG_LOG_REOPENED});
		break;
	case MSG_CONTROL:
		on_control(m);
		break;
	case MSG_LISTEN:
		on_listen(m);
		break;
	case MSG_UNLISTEN:
		on_unlisten(m);
		break;
	case MSG_CHILD_DIED:
		log_info("role_child_died", "slot %llu", (unsigned long long)m->child_died.slot);
		break;
	case MSG_WORKER_LINK:
	case MSG_KEEPER_LINK:
		fd = msg_take_fd(m, 0);
		close(fd);
		break;
	default:
		break;
	}
}

/* --- the loop --- */

static bool read_master(void)
{
	enum errc e = chan_read(&me.chan);
	struct msg m;
	int r;

	while ((r = msg_next(&me.chan, me.h->role == HERITAGE_KEEPER ? MSG_AT_KEEPER : MSG_AT_WORKER,
			     &m)) == 1)
		on_message(&m);
	if (r < 0)
		_exit(9);
	return e == ERRC_OK;
}

/* As a process that is stopped inside a write transaction, or before one. */
static void misbehave(void)
{
	if (me.h->role != HERITAGE_WORKER)
		return;
	if (asked_once("hold-lock")) {
		atomic_fetch_add(&me.row->wants, 1);
		atomic_fetch_add(&me.row->has, 1);
		for (;;)
			pause();
	}
	if (asked_once("want-lock")) {
		atomic_fetch_add(&me.row->wants, 1);
		raise(SIGSTOP);
	}
	if (asked_once("no-beat")) {
		for (;;)
			pause();
	}
	if (asked_once("bad-message")) {
		(void)!(int)chan_send(&me.chan, SLICE_LIT("nonsense"), NULL, 0);
		for (;;)
			pause();
	}
}

static bool is_orphan(void)
{
	return page_generation(me.page) > me.h->generation ||
	       clock_boot_ms() - page_master_seen_ms(me.page) > ORPHAN_MS;
}

static bool is_done(void)
{
	return me.draining && me.conns_n == 0;
}

static void loop(void)
{
	struct pollfd p[LISTENERS_MAX + 1];
	bool master = true;

	while (!is_done()) {
		unsigned n = 0;

		p[n++] = (struct pollfd){.fd = master ? chan_fd(&me.chan) : -1, .events = POLLIN};
		for (unsigned i = 0; i < me.listeners_n && me.ready; i++)
			p[n++] = (struct pollfd){.fd = me.listeners[i].fd, .events = POLLIN};
		(void)poll(p, n, BEAT_MS);
		atomic_store(&me.row->heartbeat_ms, (uint64_t)clock_boot_ms());
		for (unsigned i = 1; i < n; i++) {
			if (p[i].revents)
				accept_all(me.listeners[i - 1].fd);
		}
		if (p[0].revents)
			master = read_master();
		end_conns();
		misbehave();
		if (!me.draining && is_orphan())
			start_drain(clock_boot_ms() + 10000);
	}
}

static void begin(const struct heritage *h, const char *name)
{
	me.h = h;
	if (page_map(h->page_fd, &me.page) || childlog_start(h, name))
		_exit(10);
	me.row = page_proc(me.page, h->page_slot);
	page_join(me.page, h->page_slot);
	chan_init(&me.chan, h->chan_fd, LIMIT_FRAME_IPC);
	if (asked_slot("crash") && h->role == HERITAGE_WORKER)
		abort();
	if (asked("crash-keeper") && h->role == HERITAGE_KEEPER)
		abort();
	if (asked_slot("failed") && h->role == HERITAGE_WORKER) {
		tell(&(struct msg){.type = MSG_FAILED,
				   .failed = {SLICE_LIT("the disk is made of cheese")}});
		_exit(1);
	}
}

static int end(void)
{
	struct msg m = {.type = MSG_DRAINED, .drained = {.finished = me.finished, .cut = me.cut}};

	if (msg_send(&me.chan, &m) == ERRC_OK)
		(void)!(int)chan_drain(&me.chan, 1000);
	ptable_drop(&me.table);
	ptable_drop(&me.prepared);
	chan_fini(&me.chan);
	page_unmap(&me.page);
	log_stop();
	return 0;
}

int worker_main(const struct heritage *h)
{
	static char name[32];

	snprintf(name, sizeof(name), "worker-%u", h->slot);
	begin(h, name);
	loop();
	return end();
}

/* Holds the lock that only one keeper may hold, as the real one does. */
int keeper_main(const struct heritage *h)
{
	char path[PATH_MAX + 64];

	begin(h, "keeper");
	snprintf(path, sizeof(path), "%s/keeper.lock", h->state);
	me.lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (me.lock_fd < 0 || flock(me.lock_fd, LOCK_EX) != 0)
		_exit(11);
	loop();
	close(me.lock_fd);
	return end();
}
