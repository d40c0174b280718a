#include "control_server.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control_verb.h"
#include "log.h"
#include "master.h"
#include "mem.h"

#define CLIENT_MAGIC 0x63746c63
#define CLIENTS_MAX  64
#define REQUEST_MS   10000
#define END_MS       1000 /* for the last frames at the end of the process */
#define FRAME_BYTES  (LIMIT_FRAME_CONTROL + 1024)
#define REST_MS      100
#define QUEUE_BYTES \
	(CONFIG_PRINT_MAX + CONFIG_PRINT_MAX / 8) /* the largest answer with its frames */
#define READ_MS 60000                             /* without a byte being taken */

/* --- the socket --- */

static enum errc set_owner(const char *path, struct slice group)
{
	const struct group *gr = NULL;
	char name[256];

	if (group.n && group.n < sizeof(name)) {
		snprintf(name, sizeof(name), SLICE_FMT, SLICE_ARG(group));
		gr = getgrnam(name);
	}
	/* Without such a group, or not as root, it is the owner's alone. */
	if (!gr || geteuid() != 0)
		return chmod(path, 0600) == 0 ? ERRC_OK : errc_from_errno(errno);
	if (chown(path, 0, gr->gr_gid) != 0 || chmod(path, 0660) != 0)
		return errc_from_errno(errno);
	return ERRC_OK;
}

enum errc control_server_open(struct master *m, struct slice path, struct slice group)
{
	struct control_server *s = &m->ctl;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	mode_t old;
	enum errc e;

	list_init(&s->clients);
	if (path.n >= sizeof(a.sun_path))
		return ERRC_TOOBIG;
	memcpy(a.sun_path, path.p, path.n);
	memcpy(s->path, a.sun_path, sizeof(s->path));
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return errc_from_errno(errno);
	(void)unlink(a.sun_path);
	old = umask(0177);
	e = bind(s->fd, (struct sockaddr *)&a, sizeof(a)) == 0 ? ERRC_OK : errc_from_errno(errno);
	umask(old);
	if (!e)
		e = set_owner(a.sun_path, group);
	if (!e && listen(s->fd, 64) != 0)
		e = errc_from_errno(errno);
	return e;
}

/* --- rights --- */

static bool is_admin(const struct settings *set, uint64_t uid)
{
	char name[256];

	if (uid == 0 || uid == geteuid())
		return true;
	for (size_t i = 0; i < set->admin_users.n; i++) {
		const struct passwd *pw;

		snprintf(name, sizeof(name), SLICE_FMT, SLICE_ARG(set->admin_users.v[i]));
		pw = getpwnam(name);
		if (pw && pw->pw_uid == uid)
			return true;
	}
	return false;
}

/* Whoever could connect may read: the socket's own mode has decided that. */
static enum errc credentials(struct control_client *c)
{
	struct ucred u;
	socklen_t n = sizeof(u);

	if (getsockopt(chan_fd(&c->chan), SOL_SOCKET, SO_PEERCRED, &u, &n) != 0)
		return errc_from_errno(errno);
	c->uid = u.uid;
	c->gid = u.gid;
	c->pid = (uint64_t)u.pid;
	c->rights = CONTROL_MAY_READ |
		    (is_admin(master_settings(c->m), u.uid) ? CONTROL_MAY_WRITE : 0);
	return ERRC_OK;
}

/* --- clients --- */

static void handle_closed(uv_handle_t *h)
{
	struct control_client *c = h->data;

	if (--c->open_handles == 0)
		mem_free(c);
}

static void client_close(struct control_client *c)
{
	require_magic(c, CLIENT_MAGIC);
	if (!list_is_linked(&c->node))
		return;
	list_remove(&c->node);
	c->m->ctl.clients_n--;
	uv_close((uv_handle_t *)&c->poll, handle_closed);
	uv_close((uv_handle_t *)&c->timer, handle_closed);
	chan_fini(&c->chan);
}

static void on_client_timer(uv_timer_t *t)
{
	client_close(t->data);
}

static void client_poll(struct control_client *c);

/* Gone, or done: closes; else waits for what comes next. */
static void client_next(struct control_client *c, enum errc e)
{
	if (e || (c->ended && !chan_wants_write(&c->chan))) {
		client_close(c);
		return;
	}
	if (c->ended)
		require(uv_timer_start(&c->timer, on_client_timer, READ_MS, 0) == 0);
	client_poll(c);
}

static enum errc hand_over(struct control_client *c, struct child *to, struct slice request)
{
	int fd = chan_fd(&c->chan);
	struct msg m = {.type = MSG_CONTROL, .fds = &fd, .fds_n = 1};

	if (!to || !child_is_up(to)) {
		c->ended = true;
		return control_end(&c->chan, CONTROL_REFUSED, "unavailable",
				   "%s is not running; try again", to ? child_name(to) : "a worker");
	}
	m.control = (struct msg_control){
		.uid = c->uid, .gid = c->gid, .pid = c->pid, .rights = c->rights, .request = request};
	child_send(to, &m);
	return ERRC_EOF; /* our copy is closed */
}

static enum errc serve(struct control_client *c, struct slice payload, const struct msg_request *q)
{
	enum control_verb v = control_verb_named(q->verb);
	const struct control_verb_row *row;

	c->ended = true;
	if (q->version != CONTROL_VERSION)
		return control_end(&c->chan, CONTROL_REFUSED, "version",
				   "aigwctl speaks version %llu, aigwd %s version %d",
				   (unsigned long long)q->version, AIGW_VERSION, CONTROL_VERSION);
	if (v == CONTROL_VERB_COUNT)
		return control_end(&c->chan, CONTROL_USAGE, "unknown_verb",
				   "aigwd does not know '" SLICE_FMT "'",
				   SLICE_ARG(slice_sub(q->verb, 0, 64)));
	row = control_verb_row(v);
	if (!(c->rights & row->right))
		return control_end(&c->chan, CONTROL_NOT_ALLOWED, "not_allowed",
				   "'%s' is for root, the user of aigwd, and admin.users",
				   row->text);
	if (row->server == CONTROL_BY_KEEPER)
		return hand_over(c, &c->m->sup.keeper.child, payload);
	if (row->server == CONTROL_BY_WORKER)
		return hand_over(c, supervisor_any_worker(c->m), payload);
	c->ended = false;
	return control_verb_serve(c, v, q->args);
}

static enum errc client_read(struct control_client *c)
{
	struct chan_frame f;
	enum errc e = chan_read(&c->chan);
	struct msg m;
	int r;

	if (e)
		return e;
	r = chan_next(&c->chan, &f);
	if (r <= 0)
		return (enum errc) - r;
	/* One request a connection. */
	if (c->ended || c->waits_for_run || c->waits_for_end || c->waits_for_log)
		return ERRC_PROTOCOL;
	e = msg_decode(f.payload, f.fds_n, MSG_AT_SERVER, &m);
	if (e)
		return e;
	uv_timer_stop(&c->timer);
	return serve(c, f.payload, &m.request);
}

static void on_client(uv_poll_t *h, int status, int events)
{
	struct control_client *c = h->data;
	enum errc e = status < 0 ? ERRC_IO : ERRC_OK;

	require_magic(c, CLIENT_MAGIC);
	if (!e && (events & UV_WRITABLE))
		e = chan_flush(&c->chan);
	if (!e && (events & (UV_READABLE | UV_DISCONNECT)))
		e = client_read(c);
	client_next(c, e);
}

static void client_poll(struct control_client *c)
{
	int events = UV_READABLE | (chan_wants_write(&c->chan) ? UV_WRITABLE : 0);

	require(uv_poll_start(&c->poll, events, on_client) == 0);
}

static void client_new(struct master *m, int fd)
{
	struct control_client *c =
		m->ctl.clients_n < CLIENTS_MAX ? mem_new_of(struct control_client) : NULL;

	if (!c) {
		close(fd);
		return;
	}
	c->magic = CLIENT_MAGIC;
	c->m = m;
	c->open_handles = 2;
	chan_init(&c->chan, fd, FRAME_BYTES);
	chan_set_queue(&c->chan, QUEUE_BYTES);
	require(uv_poll_init(&m->loop, &c->poll, fd) == 0);
	uv_timer_init(&m->loop, &c->timer);
	c->poll.data = c->timer.data = c;
	list_push_back(&m->ctl.clients, &c->node);
	m->ctl.clients_n++;
	if (credentials(c)) {
		client_close(c);
		return;
	}
	require(uv_timer_start(&c->timer, on_client_timer, REQUEST_MS, 0) == 0);
	client_poll(c);
}

static void on_accept(uv_poll_t *h, int status, int events);

static void listen_on(struct master *m)
{
	require(uv_poll_start(&m->ctl.poll, UV_READABLE, on_accept) == 0);
}

static void on_rest(uv_timer_t *t)
{
	struct master *m = t->data;

	if (m->ctl.fd >= 0)
		listen_on(m);
}

static void on_accept(uv_poll_t *h, int status, int events)
{
	struct master *m = h->data;
	int fd;

	while ((fd = accept4(m->ctl.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		client_new(m, fd);
	if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
		return;
	uv_poll_stop(h);
	require(uv_timer_start(&m->ctl.rest, on_rest, REST_MS, 0) == 0);
}

void control_server_start(struct master *m)
{
	require(uv_poll_init(&m->loop, &m->ctl.poll, m->ctl.fd) == 0);
	uv_timer_init(&m->loop, &m->ctl.rest);
	m->ctl.poll.data = m->ctl.rest.data = m;
	listen_on(m);
}

void control_server_close(struct master *m, int status)
{
	list_each_safe (it, &m->ctl.clients) {
		struct control_client *c = list_entry(it, struct control_client, node);
		enum errc e = ERRC_OK;

		if (c->waits_for_end)
			e = status == 0 ? control_end(&c->chan, CONTROL_DONE, "", "stopped")
					: control_end(&c->chan, CONTROL_REFUSED, "failed",
						      "stopped with an error; see the log");
		if (!e)
			(void)!(int)chan_drain(&c->chan, END_MS);
		client_close(c);
	}
	if (m->ctl.fd < 0)
		return;
	uv_close((uv_handle_t *)&m->ctl.poll, NULL);
	close(m->ctl.fd);
	(void)unlink(m->ctl.path);
	m->ctl.fd = -1;
}

/* --- those who wait --- */

static enum errc send_changes(struct control_client *c, const struct reload_result *res)
{
	static const char *const kinds[] = {"added", "removed", "changed"};
	struct slice left = res->changes, path;
	enum config_change_kind kind;
	enum errc e = ERRC_OK;
	bool waits;

	while (!e && reload_next_change(&left, &kind, &waits, &path)) {
		const struct control_field f[] = {CONTROL_S("path", path),
						  CONTROL_S("change", slice_str(kinds[kind])),
						  CONTROL_B("waits_for_restart", waits)};

		e = control_send_row(&c->chan, "change", f, ARRAY_LEN(f));
	}
	return e;
}

static enum errc send_reloaded(struct control_client *c, const struct reload_result *res)
{
	enum errc e = control_verb_messages(c, res->messages);

	if (e)
		return e;
	if (!res->ok)
		return control_verb_end_errors(c, CONTROL_REFUSED, "reload_refused", res->messages);
	e = send_changes(c, res);
	if (e)
		return e;
	return control_end(&c->chan, CONTROL_DONE, "",
			   res->changed ? "generation %llu is in force"
					: "nothing has changed; generation %llu stays in force",
			   (unsigned long long)res->generation);
}

void control_server_reloaded(struct master *m, const struct reload_result *res)
{
	list_each_safe (it, &m->ctl.clients) {
		struct control_client *c = list_entry(it, struct control_client, node);

		if (c->waits_for_run != res->run)
			continue;
		c->waits_for_run = 0;
		c->ended = true;
		client_next(c, send_reloaded(c, res));
	}
}

void control_server_log_sent(struct master *m)
{
	if (!master_log_is_sent(m))
		return;
	list_each_safe (it, &m->ctl.clients) {
		struct control_client *c = list_entry(it, struct control_client, node);

		if (!c->waits_for_log)
			continue;
		c->waits_for_log = false;
		c->ended = true;
		client_next(c, control_end(&c->chan, CONTROL_DONE, "", "the log is open anew"));
	}
}

void control_server_progress(struct master *m, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	list_each_safe (it, &m->ctl.clients) {
		struct control_client *c = list_entry(it, struct control_client, node);

		if (c->waits_for_end)
			client_next(c, control_send_progress(&c->chan, "%s", text));
	}
}
