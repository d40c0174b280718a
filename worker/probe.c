#include "probe.h"

#include <stdio.h>
#include <unistd.h>

#include "control.h"
#include "http1.h"
#include "log.h"
#include "mem.h"
#include "rtable.h"
#include "worker_state.h"

#define PROBE_MS   15000
#define TARGET_MAX 4096 /* twice the longest base_url */

/* One test that runs: the keys one after another. */
struct probe {
	struct worker *w;
	struct chan client;
	struct rtable *rt; /* held */
	struct rtable_provider *p;
	size_t key;
	struct up_conn *up;
	struct buf lines;
	struct turn_task task, reap;
	struct turn_timer timer;
	int64_t start_us;
	int status;
	bool waiting, ended, bad;
	char why[160];
};

static void on_nothing(void *arg)
{
	(void)arg;
}

static void on_head(void *arg, const struct http1_head *h)
{
	struct probe *b = arg;

	b->status = h->status;
	b->ended = true;
	turn_wake(&b->task);
}

static void on_body(void *arg, struct slice data)
{
	(void)arg;
	(void)data;
}

static void on_fail(void *arg, const struct up_conn_fail *f)
{
	struct probe *b = arg;

	snprintf(b->why, sizeof(b->why), "%s", f->why ? f->why : errc_text(f->errc));
	b->ended = true;
	turn_wake(&b->task);
}

static const struct up_conn_events events = {.on_sent = on_nothing,
					     .on_head = on_head,
					     .on_body = on_body,
					     .on_end = on_nothing,
					     .on_fail = on_fail};

static enum errc send_get(struct probe *b)
{
	const struct ptable_provider *p = b->p->p;
	struct slice v,
		key = b->key < b->p->keys_n ? secret_reveal(&b->p->keys[b->key].line) : SLICE_NONE;
	char target[TARGET_MAX];
	int n = snprintf(target, sizeof(target), SLICE_FMT "/models%s" SLICE_FMT,
			 SLICE_ARG(p->base.path), p->base.query.n ? "?" : "",
			 SLICE_ARG(p->base.query));
	enum errc e;

	if (n < 0 || (size_t)n >= sizeof(target))
		return ERRC_TOOBIG;
	buf_reset(&b->lines);
	if ((e = http1_put_request(&b->lines, SLICE_LIT("GET"), slice_str(target))) ||
	    (e = buf_adds(&b->lines, buf_slice(&b->p->fixed))) || (e = buf_adds(&b->lines, key)))
		return e;
	if (p->dialect == PTABLE_ANTHROPIC &&
	    (e = http1_put_header(&b->lines, "anthropic-version", p->anthropic_version)))
		return e;
	if ((e = http1_put_end(&b->lines)) || (e = upool_borrow(b->p->ep, true, &events, b, &b->up)))
		return e;
	v = buf_slice(&b->lines);
	return up_conn_send(b->up, &v, 1, false);
}

static void send_result(struct probe *b)
{
	struct slice label = b->key < b->p->keys_n ? b->p->keys[b->key].key->label
						   : SLICE_LIT("none");
	bool ok = b->status >= 200 && b->status < 300;
	struct control_field f[] = {
		CONTROL_S("provider", b->p->p->name),
		CONTROL_S("key", label),
		CONTROL_B("ok", ok),
		b->status ? CONTROL_I("status", b->status) : CONTROL_N("status"),
		CONTROL_I("time_ms", (turn_now_us(b->w->turn) - b->start_us) / 1000),
		CONTROL_S("error", slice_str(b->why))};

	b->bad = b->bad || !ok;
	if (control_send_row(&b->client, "test", f, ARRAY_LEN(f)) || chan_flush(&b->client))
		b->key = b->p->keys_n; /* the asker is gone */
}

static void probe_end(struct probe *b)
{
	if (b->bad)
		(void)!control_end(&b->client, CONTROL_REFUSED, "provider_failed",
				   "a key of provider " SLICE_FMT " did not work",
				   SLICE_ARG(b->p->p->name));
	else
		(void)!control_end(&b->client, CONTROL_DONE, "", "%s", "");
	(void)!chan_flush(&b->client);
	turn_timer_clear(&b->timer);
	turn_reap(&b->reap);
}

/* Reports the key that was asked, asks the next. */
static void probe_run(struct turn_task *k)
{
	struct probe *b = CONTAINER_OF(k, struct probe, task);
	enum errc e;

	if (b->waiting && !b->ended) {
		snprintf(b->why, sizeof(b->why), "no answer within %d seconds", PROBE_MS / 1000);
		b->ended = true;
	}
	if (b->ended) {
		send_result(b);
		upool_forget(&b->up);
		b->key++;
	}
	if (b->ended && b->key >= b->p->keys_n) {
		probe_end(b);
		return;
	}
	b->ended = false;
	b->waiting = true;
	b->status = 0;
	b->why[0] = '\0';
	b->start_us = turn_now_us(b->w->turn);
	turn_timer_set(&b->timer, turn_now_ms(b->w->turn) + PROBE_MS);
	e = send_get(b);
	if (e) {
		snprintf(b->why, sizeof(b->why), "%s", errc_text(e));
		b->ended = true;
		turn_wake(&b->task);
	}
}

static void probe_timer(struct turn_timer *m)
{
	turn_wake(&CONTAINER_OF(m, struct probe, timer)->task);
}

static void probe_reap(struct turn_task *k)
{
	struct probe *b = CONTAINER_OF(k, struct probe, reap);

	upool_forget(&b->up);
	turn_task_fini(&b->task);
	if (b->lines.p)
		secret_wipe(b->lines.p, b->lines.cap);
	buf_fini(&b->lines);
	rtable_drop(&b->rt);
	chan_fini(&b->client);
	mem_free(b);
}

static struct rtable_provider *named(struct rtable *rt, struct slice name)
{
	for (size_t i = 0; i < rt->t->providers_n; i++)
		if (slice_eq(rt->t->providers[i].name, name))
			return &rt->providers[i];
	return NULL;
}

static bool asked_provider(const struct msg *m, struct slice *name)
{
	static struct control_field f[CONTROL_FIELDS_MAX];
	struct msg request;
	size_t n;

	if (msg_decode(m->control.request, 0, MSG_AT_SERVER, &request) ||
	    request.type != MSG_REQUEST ||
	    control_verb_named(request.request.verb) != CONTROL_DO_PROVIDER_TEST ||
	    control_decode(request.request.args, f, CONTROL_FIELDS_MAX, &n))
		return false;
	return control_get_str(f, n, "provider", name);
}

void probe_serve(struct worker *w, struct msg *m)
{
	struct probe *b = mem_new_of(struct probe);
	struct rtable *rt = call_host_table(w->calls);
	struct slice name;
	int fd = msg_take_fd(m, 0);

	if (!b) {
		close(fd);
		return;
	}
	b->w = w;
	chan_init(&b->client, fd, LIMIT_FRAME_CONTROL);
	buf_init(&b->lines, 64 * 1024);
	turn_task_init(&b->task, w->turn, probe_run);
	turn_task_init(&b->reap, w->turn, probe_reap);
	turn_timer_init(&b->timer, w->turn, probe_timer);
	if (rt)
		b->rt = rtable_hold(rt);
	if (!asked_provider(m, &name))
		(void)!control_end(&b->client, CONTROL_USAGE, "usage", "name a provider");
	else if (!rt || !(b->p = named(rt, name)))
		(void)!control_end(&b->client, CONTROL_NOT_FOUND, "not_found",
				   "there is no provider " SLICE_FMT, SLICE_ARG(name));
	if (b->p) {
		turn_wake(&b->task);
		return;
	}
	(void)!chan_flush(&b->client);
	turn_reap(&b->reap);
}
