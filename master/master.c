#include "master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "folders.h"
#include "ledger_id.h"
#include "lockfile.h"
#include "log.h"
#include "mem.h"
#include "notify.h"
#include "secret.h"
#include "signals.h"
#include "unfinished.h"
#include "unusable.h"

#define TICKET_MS       (INT64_C(12) * 3600 * 1000)
#define ADDRESS_WAIT_MS 1000
#define PROGRESS_BYTES  64 /* a call, design 3.4 */

const struct settings *master_settings(const struct master *m)
{
	return config_settings(m->config);
}

/* --- the log --- */

/* A file is opened here: children have no right to it. */
static int open_log_file(struct slice to)
{
	char path[PATH_MAX];

	if (!slice_has_prefix(to, SLICE_LIT("file:")))
		return -1;
	snprintf(path, sizeof(path), SLICE_FMT, SLICE_ARG(slice_sub(to, 5, to.n)));
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

enum errc master_log(struct master *m, const struct settings *set)
{
	struct log_opts o = {.format = (enum log_format)set->log_format,
			     .level = (enum log_level)set->log_level,
			     .process = "master"};
	bool is_file = slice_has_prefix(set->log_to, SLICE_LIT("file:"));
	int fd = open_log_file(set->log_to);
	char to[PATH_MAX];
	enum errc e;

	if (is_file && fd < 0)
		return errc_from_errno(errno);
	snprintf(to, sizeof(to), SLICE_FMT, SLICE_ARG(set->log_to));
	o.to = to;
	e = log_start(&o);
	if (e) {
		if (fd >= 0)
			close(fd);
		return e;
	}
	if (m->log_fd >= 0)
		close(m->log_fd);
	m->log_fd = fd;
	return ERRC_OK;
}

static void send_log(struct master *m, struct child *c, void *arg)
{
	struct msg msg = {.type = MSG_LOG_REOPEN, .fds = &m->log_fd, .fds_n = m->log_fd >= 0};

	c->reopens_log = true;
	child_send(c, &msg);
}

void master_log_send(struct master *m)
{
	supervisor_each(m, send_log, NULL);
}

static void look_reopens(struct master *m, struct child *c, void *arg)
{
	*(bool *)arg = *(bool *)arg && !c->reopens_log;
}

bool master_log_is_sent(struct master *m)
{
	bool sent = true;

	supervisor_each(m, look_reopens, &sent);
	return sent;
}

enum errc master_log_reopen(struct master *m)
{
	enum errc e = master_log(m, master_settings(m));

	if (e) {
		log_error("log_failed", "the log cannot be opened anew: %s", errc_text(e));
		return e;
	}
	master_log_send(m);
	log_info("log_reopened", "log opened anew");
	return ERRC_OK;
}

/* --- TLS tickets --- */

static void new_ticket(struct master *m)
{
	m->tickets[1] = m->tickets[0];
	secret_random(&m->tickets[0], sizeof(m->tickets[0]));
}

static void on_ticket(uv_timer_t *t)
{
	struct master *m = t->data;

	new_ticket(m);
	supervisor_tickets(m, NULL);
}

/* --- before the loop --- */

/* Says on stderr why it goes no further; the log has not been set up for that. */
static bool stop_at(const char *what, const char *path, enum errc e)
{
	fprintf(stderr, "aigwd: %s%s%s: %s\n", what, path[0] ? " " : "", path, errc_text(e));
	return false;
}

static const char state_elsewhere[] = "set `state` to another folder";
static const char socket_elsewhere[] = "set `admin: {socket: …}` to another path";

/* With what can be done about it. */
static bool stop_at_place(const char *what, const char *path, const char *elsewhere, enum errc e)
{
	struct buf why;

	buf_init(&why, UNUSABLE_MAX);
	unusable_say(&why, path, elsewhere, e);
	fprintf(stderr, "aigwd: %s %s: " SLICE_FMT "\n", what, path, SLICE_ARG(buf_slice(&why)));
	buf_fini(&why);
	return false;
}

static bool load_config(struct master *m)
{
	static char path[PATH_MAX];
	struct config_opts o = {.env = environ, .strict = m->opts->strict};
	struct buf messages;
	enum errc e;

	m->config_path = m->opts->config;
	if (!m->config_path && config_default_path(environ, path, sizeof(path)))
		m->config_path = path;
	o.path = m->config_path;
	buf_init(&messages, CONFIG_MESSAGES_MAX);
	e = config_load(&o, &messages, &m->config);
	if (messages.len)
		fputs(buf_cstr(&messages) ? messages.p : "", stderr);
	buf_fini(&messages);
	m->boot = m->config;
	return e == ERRC_OK || e == ERRC_INVAL ? e == ERRC_OK
					       : stop_at("cannot load the configuration", "", e);
}

static bool take_lock(struct master *m)
{
	char path[PATH_MAX];
	pid_t holder;
	enum errc e;

	if (snprintf(path, sizeof(path), "%s/master.lock", m->state) >= (int)sizeof(path))
		return stop_at("cannot lock", m->state, ERRC_TOOBIG);
	e = lockfile_take(path, &m->lock_fd, &holder);
	if (e == ERRC_BUSY) {
		fprintf(stderr, "aigwd: another master runs on %s: pid %d\n", m->state, (int)holder);
		return false;
	}
	return e ? stop_at_place("cannot lock", path, state_elsewhere, e) : true;
}

void master_give_state(struct master *m)
{
	enum errc e = folders_give_state(m->state_fd, &m->ids);

	if (e)
		log_error("state_folder", "cannot give the user of the keeper what is in %s: %s",
			  m->state, errc_text(e));
}

static bool open_state(struct master *m)
{
	const struct settings *set = master_settings(m);
	enum errc e = drop_lookup(set->user, set->group, &m->ids);

	if (e)
		return stop_at("unknown user or group in the settings", "user, group", e);
	snprintf(m->state, sizeof(m->state), SLICE_FMT, SLICE_ARG(set->state));
	e = folders_make(m->state, 0700, &m->ids);
	if (!e)
		m->state_fd = open(m->state, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (!e && m->state_fd < 0)
		e = errc_from_errno(errno);
	if (e)
		return stop_at_place("cannot use the state folder", m->state, state_elsewhere, e);
	if (!take_lock(m))
		return false;
	e = unfinished_sweep_state(m->state_fd);
	if (e)
		log_warn("leftover_stays", "what a restore that was cut off has left in %s: %s",
			 m->state, errc_text(e));
	e = folders_give_state(m->state_fd, &m->ids);
	if (e)
		return stop_at_place("cannot give the user of the keeper what is in", m->state,
				     state_elsewhere, e);
	e = ledger_id_open(m->state, m->ledger_id);
	return e ? stop_at_place("cannot use the ledger's id in", m->state, state_elsewhere, e)
		 : true;
}

static unsigned worker_count(const struct settings *set)
{
	int64_t n = set->workers;

	if (n == 0)
		n = uv_available_parallelism();
	return (unsigned)MIN_OF(MAX_OF(n, 1), HERITAGE_WORKERS_MAX);
}

/* The store itself, and beside it the page and a place for the progress of every call that may run: of our workers and of as
 * many that are not settled yet. */
static uint64_t live_need(const struct settings *set)
{
	uint64_t calls = (uint64_t)set->limit_calls * (2 * worker_count(set) + 2);

	return (uint64_t)set->live_size_bytes + page_bytes() + calls * PROGRESS_BYTES;
}

static const char live_elsewhere[] =
	"set `shared_memory` to a folder on a tmpfs, such as /dev/shm/aigw";

/* Says what to set: the default may not suit the machine, as in a container without a tmpfs on /run. */
static bool stop_at_live(const struct master *m, enum errc e, const char *blocked)
{
	if (e == ERRC_INVAL)
		fprintf(stderr, "aigwd: the live folder %s is not on a tmpfs; %s\n", m->live,
			live_elsewhere);
	else if (e == ERRC_NOSPACE)
		fprintf(stderr, "aigwd: %llu MiB are needed in %s: make that tmpfs larger or lower live_size\n",
			(unsigned long long)(live_need(master_settings(m)) >> 20) + 1, m->live);
	else if (e == ERRC_STATE)
		fprintf(stderr,
			"aigwd: cannot become user %s: CAP_SETUID and CAP_SETGID are missing; with "
			"`user: root` keeper and workers stay what they are\n",
			m->ids.name);
	else if (blocked[0])
		fprintf(stderr,
			"aigwd: workers, who run as user %s, may not enter %s on the way to the "
			"live "
			"folder %s: open it to them, or set `user` or `shared_memory`\n",
			m->ids.name, blocked, m->live);
	else
		return stop_at_place("cannot use the live folder", m->live, live_elsewhere, e);
	return false;
}

static bool open_live(struct master *m)
{
	char path[PATH_MAX], blocked[PATH_MAX] = "";
	const struct settings *set = master_settings(m);
	enum errc e = folders_live_path(set->shared_memory, m->ledger_id, m->live, sizeof(m->live));

	if (!e)
		e = folders_live_make(m->live, live_need(set), &m->ids);
	if (!e)
		e = folders_give_live(m->live, &m->ids);
	if (!e)
		e = folders_reach(m->live, &m->ids, blocked);
	if (e)
		return stop_at_live(m, e, blocked);
	if (snprintf(path, sizeof(path), "%s/page", m->live) >= (int)sizeof(path))
		return stop_at("cannot use", m->live, ERRC_TOOBIG);
	e = page_make(path, m->ledger_id, &m->page);
	return e ? stop_at_place("cannot make", path, live_elsewhere, e) : true;
}

enum errc master_plan_listeners(struct master *m, const struct settings *set, struct list *fresh,
				struct buf *why)
{
	bool alone = true;

	for (unsigned i = 0; i < page_slots_high(m->page) && alone; i++) {
		if (atomic_load(&page_proc(m->page, i)->generation) < m->generation)
			alone = !page_is_alive(m->page, i);
	}
	return listeners_plan(&m->listeners, set, alone, fresh, why);
}

/* The sockets of a process that was killed with us a moment ago are closed only when the last of its threads is gone: a taken
 * address is tried for a second. */
static enum errc plan_patiently(struct master *m, struct list *fresh, struct buf *why)
{
	int64_t end_ms = clock_boot_ms() + ADDRESS_WAIT_MS;
	const struct timespec pause = {.tv_nsec = 10 * CLOCK_NS_MS};
	enum errc e;

	for (;;) {
		buf_reset(why);
		e = master_plan_listeners(m, master_settings(m), fresh, why);
		if (e != ERRC_EXISTS || clock_boot_ms() > end_ms)
			return e;
		nanosleep(&pause, NULL);
	}
}

static bool bind_all(struct master *m, unsigned workers)
{
	struct list fresh;
	struct buf why;
	enum errc e;

	listeners_init(&m->listeners, workers);
	list_init(&fresh);
	buf_init(&why, 4096);
	e = plan_patiently(m, &fresh, &why);
	list_splice_back(&m->listeners.rows, &fresh);
	if (e)
		fprintf(stderr, "aigwd: %s\n", buf_cstr(&why) ? why.p : errc_text(e));
	buf_fini(&why);
	return e == ERRC_OK;
}

static bool open_control(struct master *m)
{
	const struct settings *set = master_settings(m);
	char path[PATH_MAX], *slash;
	enum errc e;

	snprintf(path, sizeof(path), SLICE_FMT, SLICE_ARG(set->admin_socket));
	slash = strrchr(path, '/');
	if (slash && slash != path) {
		*slash = 0;
		e = folders_make(path, 0755, &(struct drop_ids){0});
		if (e)
			return stop_at_place("cannot use", path, socket_elsewhere, e);
	}
	e = control_server_open(m, set->admin_socket, set->admin_group);
	snprintf(path, sizeof(path), SLICE_FMT, SLICE_ARG(set->admin_socket));
	return e ? stop_at_place("cannot listen on the control socket", path, socket_elsewhere, e)
		 : true;
}

/* What the process is, before it opens anything. */
static bool harden(struct master *m)
{
	enum errc e = drop_harden();

	signals_ignore();
	(void)prctl(PR_SET_NAME, "aigwd", 0, 0, 0);
	if (e)
		return stop_at("cannot give up privileges", "", e);
	m->exe_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	return m->exe_fd >= 0 || stop_at("cannot open", "/proc/self/exe", errc_from_errno(errno));
}

/* The order matters: nobody's generation is raised before our sockets are bound. */
static bool set_up(struct master *m)
{
	const struct settings *set;
	enum errc e;

	if (!harden(m) || !load_config(m) || !open_state(m) || !open_live(m))
		return false;
	set = master_settings(m);
	m->generation = page_generation(m->page) + 1;
	m->config_generation = atomic_load(page_gauge(m->page, PAGE_CONFIG_GENERATION)) + 1;
	(void)drop_open_files((uint64_t)set->limit_open_files);
	if (!bind_all(m, worker_count(set)) || !open_control(m))
		return false;
	e = master_log(m, set);
	if (e)
		return stop_at("cannot log to", set->log_to.p, e);
	new_ticket(m);
	new_ticket(m);
	page_raise(m->page, m->generation);
	atomic_store(page_gauge(m->page, PAGE_CONFIG_GENERATION), m->config_generation);
	atomic_store(page_gauge(m->page, PAGE_CONFIG_LAST_RELOAD), 1);
	return true;
}

/* --- the loop --- */

static void on_alive(uv_timer_t *t)
{
	notify_alive();
}

static bool start_loop(struct master *m)
{
	enum errc e;

	uv_timer_init(&m->loop, &m->alive);
	uv_timer_init(&m->loop, &m->ticket_timer);
	m->alive.data = m->ticket_timer.data = m;
	if (notify_alive_ms())
		uv_timer_start(&m->alive, on_alive, 0, (uint64_t)notify_alive_ms());
	uv_timer_start(&m->ticket_timer, on_ticket, TICKET_MS, TICKET_MS);
	reload_init(m);
	drain_init(m);
	signals_start(m);
	control_server_start(m);
	e = supervisor_init(m, m->listeners.slots);
	if (e)
		return stop_at("cannot set up the processes", "", e);
	log_info("started", "aigwd %s, pid %d, workers: %u, ledger %s, generation %llu",
		 AIGW_VERSION, (int)getpid(), m->sup.workers_n, m->ledger_id,
		 (unsigned long long)m->generation);
	if (m->ids.change && master_settings(m)->user.n == 0 &&
	    strcmp(m->ids.name, DROP_FALLBACK) == 0)
		log_warn("runs_as_nobody",
			 "there is no user aigw: keeper and workers run as %s, whom other services "
			 "may "
			 "use; make that user, or set `user`",
			 m->ids.name);
	supervisor_start(m);
	return true;
}

void master_ready(struct master *m)
{
	size_t providers, models, offers;

	m->ready = true;
	config_counts(m->config, &providers, &models, &offers);
	list_each (it, &m->listeners.rows) {
		const struct listeners_row *r = list_entry(it, struct listeners_row, node);

		log_info("listening", "%s%s, port %d", r->admin ? "admin " : "", r->address,
			 r->port);
	}
	log_info("ready", "after %lld ms; workers: %u, providers: %zu, models: %zu, offers: %zu",
		 (long long)(clock_boot_ms() - m->started_ms), m->sup.workers_n, providers, models,
		 offers);
	notify_ready();
	notify_status("Serving; workers: %u, models: %zu", m->sup.workers_n, models);
}

void master_give_up(struct master *m, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (drain_is_on(m))
		return;
	log_error("start_failed", "%s", text);
	m->exit_status = 1;
	drain_start(m, true);
}

static void close_one(uv_handle_t *h, void *arg)
{
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

void master_finish(struct master *m, int status)
{
	sigset_t all;

	/* A signal that comes once our handlers are gone must not end us with another status. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	m->exit_status = status;
	control_server_close(m, status);
	listeners_fini(&m->listeners);
	supervisor_fini(m);
	uv_walk(&m->loop, close_one, NULL);
}

static void free_all(struct master *m)
{
	if (m->config != m->boot)
		config_free(&m->config);
	config_free(&m->boot);
	page_unmap(&m->page);
	mem_free(m->sup.workers);
	mem_free(m->sup.rows);
	mem_free(m->sup.row_pids);
	secret_wipe(m->tickets, sizeof(m->tickets));
	if (m->log_fd >= 0)
		close(m->log_fd);
	if (m->exe_fd >= 0)
		close(m->exe_fd);
	if (m->state_fd >= 0)
		close(m->state_fd);
	if (m->ctl.fd >= 0)
		close(m->ctl.fd);
	if (m->lock_fd >= 0)
		close(m->lock_fd);
}

int master_main(const struct options *opts)
{
	static struct master m = {
		.lock_fd = -1, .exe_fd = -1, .state_fd = -1, .log_fd = -1, .ctl = {.fd = -1}};
	int status = 1;

	m.opts = opts;
	m.started_ms = clock_boot_ms();
	notify_init();
	if (set_up(&m)) {
		require(uv_loop_init(&m.loop) == 0);
		if (start_loop(&m)) {
			uv_run(&m.loop, UV_RUN_DEFAULT);
			reload_fini(&m);
			status = m.exit_status;
		}
		(void)uv_loop_close(&m.loop);
	}
	free_all(&m);
	notify_fini();
	log_stop();
	return status;
}
