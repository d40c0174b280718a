#include "serve.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "keeper_state.h"
#include "ktable.h"
#include "log.h"
#include "mem.h"
#include "secret.h"
#include "verbs.h"
#include "who.h"

#define CONNS_MAX   256 /* requests at a time; the master has its own limit */
#define WAITING_MAX 16  /* in a lane */

/* One request at a time, so that a thread of the pool stays free for tables and look-ups however slow aigwctl reads. */
struct lane {
	struct list waiting;
	unsigned waiting_n;
	bool busy;
};

struct serve {
	struct keeper *k;
	struct list conns;
	unsigned conns_n;
	struct lane reads, reports;
	atomic_bool cancel;
	struct list unknown; /* that go on once all workers know the newest pepper */
};

/* One request. Owned by the loop, by a thread of the pool or by the ledger thread, one after the other. */
struct serve_conn {
	struct list node, wait;
	struct serve *s;
	struct lane *lane; /* that it takes; NULL */
	struct klink link;
	uv_work_t work;
	struct writer_job job;
	uv_timer_t *timer; /* NULL until the loop sends the rest */
	size_t unread;     /* bytes of the rest when the timer was last set */
	uint64_t uid;
	char who[WHO_MAX];
	char *request; /* owned: what the fields point into; wiped: a key may be in it */
	size_t request_n;
	struct control_field f[CONTROL_FIELDS_MAX];
	struct verbs v;
};

/* --- the end of a connection --- */

static void on_timer_closed(uv_handle_t *h)
{
	mem_free(h);
}

static void conn_free(struct serve_conn *c)
{
	if (c->timer)
		uv_close((uv_handle_t *)c->timer, on_timer_closed);
	klink_close(&c->link);
	list_remove(&c->node);
	list_remove(&c->wait);
	c->s->conns_n--;
	if (c->request)
		secret_wipe(c->request, c->request_n);
	mem_free(c->request);
	mem_free(c->v.state);
	mem_free(c);
}

static void on_link_msg(struct klink *l, struct msg *m)
{
	(void)l;
	(void)m; /* one request a connection: what else comes is not read */
}

static void on_link_end(struct klink *l, enum errc e)
{
	(void)e;
	conn_free(CONTAINER_OF(l, struct serve_conn, link));
}

static void on_link_sent(struct klink *l)
{
	conn_free(CONTAINER_OF(l, struct serve_conn, link));
}

static void on_timer(uv_timer_t *t)
{
	struct serve_conn *c = t->data;
	size_t unread = c->link.chan.out_bytes;

	if (unread == c->unread)
		conn_free(c);
	c->unread = unread;
}

/* The answer is complete: what the socket did not take yet is sent by the loop. */
static void finish(struct serve_conn *c)
{
	struct keeper *k = c->s->k;

	if (c->v.revoked[0])
		page_end_key(k->page, c->v.revoked);
	if (chan_flush(&c->link.chan) || !chan_wants_write(&c->link.chan)) {
		conn_free(c);
		return;
	}
	c->timer = mem_new_of(uv_timer_t);
	if (!c->timer || uv_timer_init(&k->loop, c->timer)) {
		mem_free(c->timer);
		c->timer = NULL;
		conn_free(c);
		return;
	}
	c->timer->data = c;
	c->unread = c->link.chan.out_bytes;
	require(uv_timer_start(c->timer, on_timer, VERBS_STALL_MS, VERBS_STALL_MS) == 0);
	if (klink_watch(&c->link, &k->loop))
		conn_free(c);
}

/* --- where it is served --- */

static void dispatch(struct serve_conn *c, enum verbs_place place);
static void next_in(struct lane *l);

/* One step is done: goes on elsewhere, or is over. */
static void stepped(struct serve_conn *c)
{
	struct lane *l = c->lane;

	if (c->v.peppers && !c->v.ended) {
		c->v.peppers = false;
		list_push_back(&c->s->unknown, &c->wait);
		kmsg_peppers(c->s->k);
		return;
	}
	if (c->v.next != VERBS_NOT_OURS && !c->v.ended) {
		dispatch(c, c->v.next);
		return;
	}
	finish(c);
	if (l) {
		l->busy = false;
		next_in(l);
	}
}

static void cancel(struct serve_conn *c)
{
	verbs_end_errc(&c->v, ERRC_CANCELED, "");
	stepped(c);
}

static void run_read(uv_work_t *work)
{
	struct serve_conn *c = CONTAINER_OF(work, struct serve_conn, work);

	verbs_run(&c->v);
}

static void read_done(uv_work_t *work, int status)
{
	struct serve_conn *c = CONTAINER_OF(work, struct serve_conn, work);
	struct keeper *k = c->s->k;

	(void)status; /* work is never cancelled */
	stepped(c);
	keeper_work_over(k);
}

static void start_read(struct serve_conn *c)
{
	require(uv_queue_work(&c->s->k->loop, &c->work, run_read, read_done) == 0);
	c->s->k->works_n++;
}

static bool is_gone(const struct serve_conn *c)
{
	struct pollfd p = {.fd = chan_fd(&c->link.chan), .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static struct serve_conn *pop(struct lane *l)
{
	struct list *n = list_pop_front(&l->waiting);

	if (!n)
		return NULL;
	l->waiting_n--;
	return list_entry(n, struct serve_conn, wait);
}

/* What nobody waits for any more is not made. */
static void next_in(struct lane *l)
{
	struct serve_conn *c = NULL;

	while (!l->busy && (c = pop(l)) != NULL && is_gone(c))
		conn_free(c);
	if (l->busy || !c)
		return;
	l->busy = true;
	c->lane = l;
	start_read(c);
}

static void drop_gone(struct lane *l)
{
	list_each_safe (it, &l->waiting) {
		struct serve_conn *c = list_entry(it, struct serve_conn, wait);

		if (!is_gone(c))
			continue;
		l->waiting_n--;
		conn_free(c);
	}
}

static void start_in(struct serve_conn *c, struct lane *l)
{
	if (c->lane) {
		start_read(c);
		return;
	}
	if (l->waiting_n == WAITING_MAX)
		drop_gone(l);
	if (l->waiting_n == WAITING_MAX) {
		verbs_end(&c->v, CONTROL_REFUSED, "busy",
			  "too many such requests at once; try again");
		finish(c);
		return;
	}
	list_push_back(&l->waiting, &c->wait);
	l->waiting_n++;
	next_in(l);
}

static enum errc run_write(struct writer_job *j, struct admin *a)
{
	struct serve_conn *c = CONTAINER_OF(j, struct serve_conn, job);

	c->v.admin = a;
	verbs_run(&c->v);
	c->v.admin = NULL;
	return c->v.failed;
}

static void write_done(struct writer_job *j, enum errc e)
{
	struct serve_conn *c = CONTAINER_OF(j, struct serve_conn, job);

	if (e == ERRC_CANCELED)
		cancel(c);
	else
		stepped(c);
}

static void submit(struct serve_conn *c)
{
	struct keeper *k = c->s->k;

	if (k->end != KEEPER_RUNS) {
		cancel(c);
		return;
	}
	c->job = (struct writer_job){.run = run_write, .done = write_done};
	writer_submit(k->writer, &c->job);
}

static void find_name(uv_work_t *work)
{
	struct serve_conn *c = CONTAINER_OF(work, struct serve_conn, work);

	who_name(c->uid, c->who);
}

static void name_found(uv_work_t *work, int status)
{
	struct serve_conn *c = CONTAINER_OF(work, struct serve_conn, work);
	struct keeper *k = c->s->k;

	(void)status;
	submit(c);
	keeper_work_over(k);
}

static void start_write(struct serve_conn *c)
{
	if (c->who[0]) {
		submit(c);
		return;
	}
	require(uv_queue_work(&c->s->k->loop, &c->work, find_name, name_found) == 0);
	c->s->k->works_n++;
}

static void dispatch(struct serve_conn *c, enum verbs_place place)
{
	switch (place) {
	case VERBS_ON_LEDGER:
		start_write(c);
		break;
	case VERBS_READ:
		start_in(c, &c->s->reads);
		break;
	case VERBS_REPORT:
		start_in(c, &c->s->reports);
		break;
	case VERBS_NOT_OURS:
		verbs_end(&c->v, CONTROL_USAGE, "unknown_verb", "the keeper does not serve this");
		finish(c);
		break;
	}
}

/* --- a new request --- */

static enum errc decode(struct serve_conn *c, struct slice request, enum control_verb *verb,
			size_t *n)
{
	struct msg m;
	enum errc e;

	c->request = mem_dup(request.p, request.n);
	if (!c->request)
		return ERRC_NOMEM;
	c->request_n = request.n;
	e = msg_decode(slice_of(c->request, request.n), 0, MSG_AT_SERVER, &m);
	if (e)
		return e;
	*verb = control_verb_named(m.request.verb);
	return control_decode(m.request.args, c->f, CONTROL_FIELDS_MAX, n);
}

/* The group that an account shall be in, when the configuration has none of that name; else empty. */
static struct slice unknown_group(const struct serve_conn *c)
{
	const struct ptable *t = ktable_current(c->s->k->table);
	struct slice group = verb_args_str(c->v.args, "group");

	if (group.n == 0 || slice_is(group, "none") || (t && ptable_group(t, group)))
		return SLICE_NONE;
	return group;
}

static bool refuse(struct serve_conn *c, enum errc e, uint64_t rights)
{
	struct keeper *k = c->s->k;
	struct slice group;

	if (e)
		verbs_end(&c->v, CONTROL_REFUSED, "protocol", "the request cannot be read: %s",
			  errc_text(e));
	else if (!k->started || k->end != KEEPER_RUNS)
		verbs_end(&c->v, CONTROL_REFUSED, "unavailable",
			  "the ledger is not open; try again");
	else if (c->s->conns_n > CONNS_MAX)
		verbs_end(&c->v, CONTROL_REFUSED, "busy", "too many requests at once; try again");
	else if (c->v.verb < CONTROL_VERB_COUNT && !(rights & control_verb_row(c->v.verb)->right))
		verbs_end(&c->v, CONTROL_NOT_ALLOWED, "not_allowed",
			  "'%s' changes the ledger and you may only read",
			  control_verb_row(c->v.verb)->text);
	else if ((group = unknown_group(c)).n)
		verbs_end(&c->v, CONTROL_NOT_FOUND, "not_found",
			  "the configuration has no group '" SLICE_FMT "'",
			  SLICE_ARG(slice_sub(group, 0, ROWS_NAME_MAX)));
	return c->v.ended;
}

void serve_request(struct serve *s, struct msg *m)
{
	struct serve_conn *c = mem_new_of(struct serve_conn);
	int fd = msg_take_fd(m, 0);
	enum control_verb verb = CONTROL_VERB_COUNT;
	size_t n = 0;
	enum errc e;

	if (!c || fd < 0) {
		if (fd >= 0)
			close(fd);
		mem_free(c);
		return;
	}
	c->s = s;
	c->uid = m->control.uid;
	list_init(&c->wait);
	list_push_back(&s->conns, &c->node);
	s->conns_n++;
	c->link.on_msg = on_link_msg;
	c->link.on_end = on_link_end;
	c->link.on_sent = on_link_sent;
	klink_init(&c->link, fd, MSG_AT_SERVER, LIMIT_FRAME_CONTROL);
	e = decode(c, m->control.request, &verb, &n);
	c->v = (struct verbs){.verb = verb,
			      .args = {c->f, n},
			      .chan = &c->link.chan,
			      .stores = &s->k->stores,
			      .pepper = &s->k->pepper,
			      .trust = &s->k->trust,
			      .who = c->who,
			      .cancel = &s->cancel};
	if (refuse(c, e, m->control.rights))
		finish(c);
	else
		dispatch(c, verbs_place_of(c->v.verb));
}

enum errc serve_new(struct keeper *k, struct serve **out)
{
	struct serve *s = mem_new_of(struct serve);

	if (!s)
		return ERRC_NOMEM;
	s->k = k;
	list_init(&s->conns);
	list_init(&s->reads.waiting);
	list_init(&s->reports.waiting);
	list_init(&s->unknown);
	*out = s;
	return ERRC_OK;
}

static void cancel_waiting(struct lane *l)
{
	struct serve_conn *c;

	while ((c = pop(l)) != NULL)
		cancel(c);
}

void serve_peppers_known(struct serve *s)
{
	struct list *n;

	while ((n = list_pop_front(&s->unknown)) != NULL) {
		struct serve_conn *c = list_entry(n, struct serve_conn, wait);

		c->v.known = true;
		dispatch(c, c->v.next);
	}
}

void serve_stop(struct serve *s)
{
	atomic_store(&s->cancel, true);
	serve_peppers_known(s); /* known or not */
	cancel_waiting(&s->reads);
	cancel_waiting(&s->reports);
}

void serve_free(struct serve **sp)
{
	struct serve *s = *sp;

	*sp = NULL;
	if (!s)
		return;
	list_each_safe (it, &s->conns)
		conn_free(list_entry(it, struct serve_conn, node));
	mem_free(s);
}
