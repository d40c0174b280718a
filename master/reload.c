#include "reload.h"

#include <sys/resource.h>
#include <unistd.h>

#include "breaker.h"
#include "clock.h"
#include "log.h"
#include "master.h"
#include "mem.h"
#include "notify.h"
#include "secret.h"

#define PREPARE_MS  2000
#define COMMIT_MS   500
#define LOAD_NICE   5
#define CHANGES_MAX (1024 * 1024)
#define NOTE_MAX    4096
#define NOTES_MAX   64 /* that the ledger does not have */

/* What a commit changed, for the ledger's record of it: kept until the keeper says that it is there. */
struct note {
	struct list node;
	uint64_t generation;
	int64_t by;
	pid_t sent_to; /* the keeper that was told; 0: none */
	struct buf text;
};

static void start(struct master *m);

void reload_init(struct master *m)
{
	struct reload *r = &m->reload;

	buf_init(&r->messages, CONFIG_MESSAGES_MAX);
	buf_init(&r->changes, CHANGES_MAX);
	list_init(&r->notes);
	list_init(&r->fresh);
	do
		secret_random(&r->life, sizeof(r->life));
	while (r->life == 0 || r->life > INT64_MAX);
	uv_timer_init(&m->loop, &r->timer);
	r->timer.data = m;
	r->work.data = m;
}

static void note_free(struct note *n)
{
	buf_fini(&n->text);
	mem_free(n);
}

void reload_fini(struct master *m)
{
	struct list *n;

	while ((n = list_pop_front(&m->reload.notes)) != NULL)
		note_free(list_entry(n, struct note, node));
	listeners_drop(&m->reload.fresh);
	config_free(&m->reload.next);
	buf_fini(&m->reload.messages);
	buf_fini(&m->reload.changes);
}

/* --- messages to children --- */

static void send_prepare(struct master *m, struct child *c, const struct config *conf,
			 uint64_t generation)
{
	struct msg msg = {.type = MSG_PREPARE, .prepare = {.generation = generation}};
	struct buf blob;
	enum errc e;

	buf_init(&blob, LIMIT_FRAME_IPC - 1024);
	e = config_blob_kept(conf, m->boot, generation, &blob);
	if (e) {
		log_error("table_failed", "no table for %s: %s", child_name(c), errc_text(e));
		supervisor_kill(m, c, "table", "it cannot be given a table");
	} else {
		c->asked = generation;
		c->prepared = false;
		msg.prepare.blob = buf_slice(&blob);
		child_send(c, &msg);
	}
	if (blob.p)
		secret_wipe(blob.p, blob.cap);
	buf_fini(&blob);
}

/* In their order, each once to each keeper: one that ended before it had written some down leaves them to the next, which passes
 * over what the ledger has. */
static void send_notes(struct master *m, struct child *c)
{
	list_each (it, &m->reload.notes) {
		struct note *n = list_entry(it, struct note, node);
		const struct msg msg = {.type = MSG_RELOADED,
					.reloaded = {.life = m->reload.life,
						     .generation = n->generation,
						     .uid = n->by,
						     .text = buf_slice(&n->text)}};

		if (n->sent_to == c->pid)
			continue;
		n->sent_to = c->pid;
		child_send(c, &msg);
	}
}

static void send_commit(struct master *m, struct child *c, uint64_t generation)
{
	const struct msg msg = {.type = MSG_COMMIT, .commit = {.generation = generation}};

	if (c->role == HERITAGE_KEEPER)
		send_notes(m, c);
	c->committed = generation;
	child_send(c, &msg);
}

void reload_bring(struct master *m, struct child *c)
{
	send_prepare(m, c, m->config, m->config_generation);
}

/* --- the end of a run --- */

static void log_lines(enum log_level level, struct slice lines)
{
	struct slice line;

	while (lines.n) {
		(void)slice_cut(&lines, '\n', &line);
		if (line.n)
			log_event(level, "config", NULL, 0, SLICE_FMT, SLICE_ARG(line));
	}
}

static void finish(struct master *m, bool ok, bool changed)
{
	struct reload *r = &m->reload;
	const struct reload_result res = {.run = r->run,
					  .ok = ok,
					  .changed = changed,
					  .generation = m->config_generation,
					  .messages = buf_slice(&r->messages),
					  .changes = buf_slice(&r->changes)};

	r->phase = RELOAD_IDLE;
	uv_timer_stop(&r->timer);
	log_lines(ok ? LOG_WARN : LOG_ERROR, res.messages);
	if (!ok)
		log_error("reload_refused", "generation %llu stays in force",
			  (unsigned long long)m->config_generation);
	else if (changed)
		log_info("reloaded", "generation %llu", (unsigned long long)m->config_generation);
	else
		log_info("reload_unchanged", "generation %llu stays in force",
			 (unsigned long long)m->config_generation);
	atomic_store(page_gauge(m->page, PAGE_CONFIG_LAST_RELOAD), ok);
	control_server_reloaded(m, &res);
	listeners_drop(&r->fresh);
	config_free(&r->next);
	if (m->ready && !drain_is_on(m))
		notify_ready();
	if (r->again && !drain_is_on(m))
		start(m);
}

static void refuse(struct master *m, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void refuse(struct master *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)!(int)buf_addvf(&m->reload.messages, fmt, ap);
	va_end(ap);
	(void)!(int)buf_addc(&m->reload.messages, '\n');
	finish(m, false, false);
}

/* --- prepare and commit --- */

static void abort_one(struct master *m, struct child *c, void *arg)
{
	const struct msg msg = {.type = MSG_ABORT, .abort = {.generation = m->reload.generation}};

	if (c->asked == m->reload.generation)
		child_send(c, &msg);
}

static bool is_pending(const struct master *m, const struct child *c)
{
	return child_is_up(c) && c->asked == m->reload.generation && !c->prepared;
}

static void count_pending(struct master *m, struct child *c, void *arg)
{
	*(unsigned *)arg += is_pending(m, c);
}

static void name_pending(struct master *m, struct child *c, void *arg)
{
	struct buf *b = arg;

	if (is_pending(m, c))
		(void)!(int)buf_addf(b, "%s%s", b->len ? ", " : "", child_name(c));
}

static void commit_one(struct master *m, struct child *c, void *arg)
{
	if (child_is_up(c) && c->asked == m->reload.generation)
		send_commit(m, c, m->reload.generation);
}

/* Another log file: opened here, where we may, and handed out. */
static void take_log(struct master *m, const struct settings *old)
{
	const struct settings *set = master_settings(m);
	bool moved = !slice_eq(old->log_to, set->log_to);
	enum errc e;

	e = moved ? master_log(m, set) : ERRC_OK;
	if (!moved && (old->log_level != set->log_level || old->log_format != set->log_format))
		e = master_log(m, set);
	if (e)
		log_error("log_failed", SLICE_FMT ": %s; the old target stays",
			  SLICE_ARG(set->log_to), errc_text(e));
	else if (moved)
		master_log_send(m);
}

static void count_behind(struct master *m, struct child *c, void *arg)
{
	uint64_t has = atomic_load(&page_proc(m->page, c->page_slot)->config_generation);

	*(unsigned *)arg += child_is_up(c) && c->committed == m->config_generation &&
			    has < m->config_generation;
}

/* A child tells in its row of the page that it has taken the table. */
static void on_committing(uv_timer_t *t)
{
	struct master *m = t->data;
	unsigned behind = 0;

	supervisor_each(m, count_behind, &behind);
	if (behind == 0 || clock_boot_ms() >= m->reload.until_ms)
		finish(m, true, true);
}

/* "changed models.a.price, added providers.b, and 3 more" */
static void describe(struct slice left, struct buf *out)
{
	static const char *const words[] = {
		[CONFIG_ADDED] = "added", [CONFIG_REMOVED] = "removed", [CONFIG_CHANGED] = "changed"};
	struct slice path;
	enum config_change_kind kind;
	bool waits;
	size_t more = 0;

	while (reload_next_change(&left, &kind, &waits, &path)) {
		if (more || out->len + path.n + 64 > NOTE_MAX ||
		    buf_addf(out, "%s%s " SLICE_FMT, out->len ? ", " : "", words[kind],
			     SLICE_ARG(path)))
			more++;
	}
	if (more)
		(void)!(int)buf_addf(out, ", and %zu more", more);
}

static void make_note(struct reload *r)
{
	struct note *n = mem_new_of(struct note);

	if (!n) {
		log_error("reload_unrecorded", "configuration %llu: %s",
			  (unsigned long long)r->generation, errc_text(ERRC_NOMEM));
		return;
	}
	n->generation = r->generation;
	n->by = r->by;
	buf_init(&n->text, NOTE_MAX);
	describe(buf_slice(&r->changes), &n->text);
	list_push_back(&r->notes, &n->node);
	r->notes_n++;
}

static void commit(struct master *m)
{
	struct config *old = m->config;
	struct list gone;

	make_note(&m->reload);
	uv_timer_stop(&m->reload.timer);
	m->config = m->reload.next;
	m->reload.next = NULL;
	m->config_generation = m->reload.generation;
	atomic_store(page_gauge(m->page, PAGE_CONFIG_GENERATION), m->config_generation);
	supervisor_each(m, commit_one, NULL);
	list_init(&gone);
	listeners_gone(&m->listeners, &gone);
	supervisor_listen(m, &m->reload.fresh, &gone);
	listeners_drop(&gone);
	list_splice_back(&m->listeners.rows, &m->reload.fresh);
	take_log(m, config_settings(old));
	if (old != m->boot)
		config_free(&old);
	m->reload.phase = RELOAD_COMMITTING;
	m->reload.until_ms = clock_boot_ms() + COMMIT_MS;
	require(uv_timer_start(&m->reload.timer, on_committing, 0, 1) == 0);
}

static void look(struct master *m)
{
	unsigned pending = 0;

	if (m->reload.phase != RELOAD_PREPARING)
		return;
	supervisor_each(m, count_pending, &pending);
	if (pending == 0)
		commit(m);
}

static void on_timeout(uv_timer_t *t)
{
	struct master *m = t->data;
	struct buf names;

	buf_init(&names, 4096);
	supervisor_each(m, name_pending, &names);
	supervisor_each(m, abort_one, NULL);
	refuse(m, "no answer within %d ms from " SLICE_FMT, PREPARE_MS,
	       SLICE_ARG(buf_slice(&names)));
	buf_fini(&names);
}

/* Children that are still being brought to the committed table join once they have it. */
static void prepare_one(struct master *m, struct child *c, void *arg)
{
	if (c->committed == m->config_generation && child_is_up(c))
		send_prepare(m, c, m->reload.next, m->reload.generation);
}

static void prepare(struct master *m)
{
	m->reload.phase = RELOAD_PREPARING;
	/* A number is never used twice: a late answer to a run that was given up must not count for this one. */
	m->reload.generation = MAX_OF(m->config_generation, m->reload.generation) + 1;
	require(uv_timer_start(&m->reload.timer, on_timeout, PREPARE_MS, 0) == 0);
	supervisor_each(m, prepare_one, NULL);
	look(m);
}

void reload_prepared(struct master *m, struct child *c, uint64_t generation)
{
	if (generation != c->asked)
		return; /* of a run that was given up */
	if (m->reload.phase == RELOAD_PREPARING && generation == m->reload.generation) {
		c->prepared = true;
		look(m);
		return;
	}
	if (generation > m->config_generation)
		return;
	send_commit(m, c, generation);
	if (generation < m->config_generation)
		send_prepare(m, c, m->config, m->config_generation);
	else if (m->reload.phase == RELOAD_PREPARING)
		send_prepare(m, c, m->reload.next, m->reload.generation);
}

void reload_rejected(struct master *m, struct child *c, uint64_t generation, struct slice text)
{
	if (generation != c->asked)
		return;
	if (m->reload.phase == RELOAD_PREPARING && generation == m->reload.generation) {
		supervisor_each(m, abort_one, NULL);
		refuse(m, "%s rejects it: " SLICE_FMT, child_name(c), SLICE_ARG(text));
		return;
	}
	if (generation > m->config_generation)
		return;
	if (!m->ready) {
		master_give_up(m, "%s rejects the configuration: " SLICE_FMT, child_name(c),
			       SLICE_ARG(text));
		return;
	}
	log_error("table_rejected", "%s: " SLICE_FMT, child_name(c), SLICE_ARG(text));
	supervisor_kill(m, c, "table", "it rejects the table in force");
}

void reload_noted(struct master *m, uint64_t generation)
{
	struct reload *r = &m->reload;

	while (!list_is_empty(&r->notes)) {
		struct note *n = list_entry(r->notes.next, struct note, node);

		if (n->generation > generation)
			break;
		list_remove(&n->node);
		note_free(n);
		r->notes_n--;
	}
}

void reload_gone(struct master *m)
{
	look(m);
}

/* --- loading --- */

static void add_change(void *arg, const struct config_change *ch)
{
	struct buf *b = arg;
	char head[2] = {(char)('0' + ch->kind), ch->reload == SETTINGS_RESTART ? '1' : '0'};
	size_t start_n = b->len;

	if (buf_add(b, head, 2) || buf_adds(b, ch->path) || buf_addc(b, 0))
		buf_truncate(b, start_n);
}

bool reload_next_change(struct slice *changes, enum config_change_kind *kind,
			bool *waits_for_restart, struct slice *path)
{
	struct slice one;

	if (changes->n < 3)
		return false;
	(void)slice_cut(changes, 0, &one);
	*kind = (enum config_change_kind)(one.p[0] - '0');
	*waits_for_restart = one.p[1] == '1';
	*path = slice_sub(one, 2, one.n);
	return true;
}

static void load(uv_work_t *w)
{
	struct master *m = w->data;
	struct config_opts o = {.path = m->config_path, .env = environ};

	/* Requests come first; no thread of this pool does anything else. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(),
			  getpriority(PRIO_PROCESS, (id_t)getpid()) + LOAD_NICE);
	m->reload.loaded = config_load(&o, &m->reload.messages, &m->reload.next);
}

/* A log that cannot be opened must show before anything has changed. */
static bool can_log(struct master *m, const struct settings *next)
{
	char to[PATH_MAX];
	enum errc e = ERRC_OK;

	snprintf(to, sizeof(to), SLICE_FMT, SLICE_ARG(next->log_to));
	if (!slice_eq(next->log_to, master_settings(m)->log_to))
		e = log_try(to);
	if (e)
		refuse(m, "cannot log to %s: %s", to, errc_text(e));
	return e == ERRC_OK;
}

static void loaded(uv_work_t *w, int status)
{
	struct master *m = w->data;
	struct reload *r = &m->reload;
	enum errc e;

	if (drain_is_on(m)) {
		refuse(m, "the gateway is stopping");
		return;
	}
	if (r->loaded != ERRC_OK) {
		if (r->messages.len == 0)
			refuse(m, "%s", errc_text(r->loaded));
		else
			finish(m, false, false);
		return;
	}
	/* Whoever reloads may have mended a provider account: try its keys again. */
	breaker_keys_forgive(m->page);
	if (config_diff(m->config, r->next, add_change, &r->changes) == 0) {
		finish(m, true, false);
		return;
	}
	if (r->notes_n >= NOTES_MAX) {
		refuse(m, "the ledger lacks the records of the last %d reloads: try again",
		       NOTES_MAX);
		return;
	}
	if (!can_log(m, config_settings(r->next)))
		return;
	e = master_plan_listeners(m, config_settings(r->next), &r->fresh, &r->messages);
	if (e)
		refuse(m, "the listeners cannot be changed");
	else
		prepare(m);
}

static void start(struct master *m)
{
	struct reload *r = &m->reload;

	r->phase = RELOAD_LOADING;
	if (r->again)
		r->by = r->again_by;
	r->again = false;
	r->run++;
	buf_reset(&r->messages);
	buf_reset(&r->changes);
	/* The command that asks for it may have been run by the service manager. */
	master_give_state(m);
	if (m->ready)
		notify_reloading();
	require(uv_queue_work(&m->loop, &r->work, load, loaded) == 0);
}

uint64_t reload_request(struct master *m, int64_t uid)
{
	if (m->reload.phase == RELOAD_IDLE) {
		m->reload.by = uid;
		start(m);
		return m->reload.run;
	}
	m->reload.again = true;
	m->reload.again_by = uid;
	return m->reload.run + 1;
}
