#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "signals.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   30000

/* Channel and its poll handle, apart from the child: the handle closes a turn later, when a new process may run already. */
struct child_link {
	uv_poll_t poll;
	struct chan chan;
	struct child *child; /* borrowed; NULL once closed */
};

enum errc child_init(struct child *c, enum heritage_role role, unsigned slot,
		     const struct child_events *ev, void *arg)
{
	*c = (struct child){.role = role, .slot = slot, .ev = ev, .arg = arg};
	c->bell_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return c->bell_fd < 0 ? errc_from_errno(errno) : ERRC_OK;
}

const char *child_name(const struct child *c)
{
	static char name[32];

	if (c->role == HERITAGE_KEEPER)
		return "keeper";
	snprintf(name, sizeof(name), "worker %u", c->slot);
	return name;
}

int64_t child_backoff_ms(unsigned early_deaths)
{
	int64_t ms = BACKOFF_FIRST_MS;

	if (early_deaths < 2)
		return 0;
	for (unsigned i = 2; i < early_deaths && ms < BACKOFF_MAX_MS; i++)
		ms *= 2;
	return MIN_OF(ms, BACKOFF_MAX_MS);
}

/* --- channel --- */

static void link_closed(uv_handle_t *h)
{
	mem_free(CONTAINER_OF(h, struct child_link, poll));
}

static void link_close(struct child *c)
{
	struct child_link *l = c->link;

	if (!l)
		return;
	c->link = NULL;
	l->child = NULL;
	uv_close((uv_handle_t *)&l->poll, link_closed);
	chan_fini(&l->chan);
}

/* What it sends is not to be trusted any more, or it does not listen. */
static void link_failed(struct child *c, enum errc e)
{
	if (e != ERRC_EOF && e != ERRC_CONNRESET)
		log_error("child_protocol", "%s, pid %d: %s", child_name(c), (int)c->pid,
			  errc_text(e));
	link_close(c);
	if (c->pid)
		kill(c->pid, SIGKILL);
}

static void link_poll(struct child_link *l);

static bool take(void *arg, struct msg *m)
{
	struct child_link *l = arg;

	l->child->failed |= m->type == MSG_FAILED;
	l->child->ev->message(l->child->arg, l->child, m);
	return l->child != NULL;
}

static void take_messages(struct child_link *l)
{
	enum errc e = msg_receive(&l->chan, MSG_AT_MASTER, take, l);

	if (!l->child || !e)
		return;
	if (e == ERRC_EOF && l->child->state == CHILD_ENDING)
		link_close(l->child); /* it exits by itself */
	else
		link_failed(l->child, e);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct child_link *l = CONTAINER_OF(h, struct child_link, poll);
	enum errc e = ERRC_OK;

	/* First what it sent: a child that has ended with something unread makes the poll and all writing fail. */
	if (status < 0 || (events & (UV_READABLE | UV_DISCONNECT)))
		take_messages(l);
	if (!l->child)
		return;
	if (status < 0)
		e = ERRC_CONNRESET;
	else if (events & UV_WRITABLE)
		e = chan_flush(&l->chan);
	if (e)
		link_failed(l->child, e);
	else
		link_poll(l);
}

static void link_poll(struct child_link *l)
{
	int events = UV_READABLE | (chan_wants_write(&l->chan) ? UV_WRITABLE : 0);

	require(uv_poll_start(&l->poll, events, on_poll) == 0);
}

void child_send(struct child *c, const struct msg *m)
{
	enum errc e;

	if (!c->link)
		return;
	e = msg_send(&c->link->chan, m);
	/* One that has gone may have said why: that is read first. */
	if (e && e != ERRC_EOF && e != ERRC_CONNRESET)
		link_failed(c, e);
	else
		link_poll(c->link);
}

/* --- process --- */

/* Between fork and exec: nothing but system calls. */
static void become(const struct child_env *env, enum heritage_role role, struct heritage_plan *plan)
{
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	signals_ignore_in_child();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	if ((role != HERITAGE_KEEPER || fchdir(env->state_fd) == 0) && drop_apply(env->ids))
		heritage_exec(plan);
	_exit(127);
}

static enum errc spawn(struct child *c, const struct child_env *env, int chan_fd)
{
	struct heritage h = env->heritage;
	struct heritage_plan *plan = NULL;
	sigset_t all, old;
	enum errc e;

	h.role = c->role;
	h.slot = c->slot;
	h.page_slot = c->page_slot;
	h.chan_fd = chan_fd;
	h.bell_fd = c->bell_fd;
	e = heritage_plan(&h, env->exe_fd, &plan);
	if (e)
		return e;
	/* No handler of ours may run in the child. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	c->pid = fork();
	if (c->pid == 0)
		become(env, c->role, plan);
	e = c->pid < 0 ? errc_from_errno(errno) : ERRC_OK;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	heritage_plan_free(&plan);
	return e;
}

static enum errc link_open(struct child *c, uv_loop_t *loop, int fd)
{
	struct child_link *l = mem_new_of(struct child_link);

	if (!l) {
		close(fd);
		return ERRC_NOMEM;
	}
	chan_init(&l->chan, fd, LIMIT_FRAME_IPC);
	require(uv_poll_init(loop, &l->poll, fd) == 0);
	l->child = c;
	c->link = l;
	link_poll(l);
	return ERRC_OK;
}

enum errc child_start(struct child *c, const struct child_env *env)
{
	enum errc e;
	int sv[2];

	require(c->state == CHILD_EMPTY && !c->link);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) != 0)
		return errc_from_errno(errno);
	e = link_open(c, env->loop, sv[0]);
	if (!e)
		e = spawn(c, env, sv[1]);
	close(sv[1]);
	if (e) {
		c->pid = 0;
		link_close(c);
		return e;
	}
	c->state = CHILD_STARTING;
	c->asked = c->committed = 0;
	c->failed = false;
	c->reopens_log = false;
	c->started_ms = clock_boot_ms();
	atomic_store(&page_proc(env->page, c->page_slot)->started_ms, (uint64_t)c->started_ms);
	log_info("child_started", "%s, pid %d", child_name(c), (int)c->pid);
	return ERRC_OK;
}

void child_kill(struct child *c, const char *reason)
{
	if (!c->pid)
		return;
	log_warn("child_killed", "%s, pid %d: %s", child_name(c), (int)c->pid, reason);
	kill(c->pid, SIGKILL);
}

void child_ended(struct child *c, struct page *page)
{
	bool early = c->state == CHILD_STARTING;

	link_close(c);
	c->state = CHILD_EMPTY;
	c->pid = 0;
	c->reopens_log = false;
	c->early_deaths = early ? c->early_deaths + 1 : 0;
	page_clear(page, c->page_slot);
}

void child_fini(struct child *c)
{
	link_close(c);
	if (c->bell_fd >= 0)
		close(c->bell_fd);
	c->bell_fd = -1;
}
