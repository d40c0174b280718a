#include "childlog.h"
#include "keeper_state.h"
#include "keyreport.h"
#include "knote.h"
#include "ktable.h"
#include "log.h"
#include "lookup.h"
#include "oldstore.h"
#include "secret.h"
#include "serve.h"

/* The peppers are the first message on every link. */
static void greet(struct keeper *k, struct keeper_worker *w)
{
	struct msg m = {.type = MSG_PEPPER};
	char room[PEPPERS_BYTES_MAX];
	struct buf b = {.p = room, .cap = sizeof(room), .max = sizeof(room)};

	if (!k->started || !klink_is_up(&w->link))
		return;
	require(pepper_encode(&k->pepper, &b) == ERRC_OK);
	m.pepper.secret = buf_slice(&b);
	(void)!klink_send(&w->link, &m);
	secret_wipe(room, sizeof(room));
}

/* Once every worker that is there has the newest pepper, keys may be made with it. */
static void look_for_known(struct keeper *k)
{
	if (!k->started || k->pepper_sent != pepper_changes(&k->pepper))
		return;
	for (unsigned i = 0; i < HERITAGE_WORKERS_MAX; i++) {
		if (klink_is_up(&k->workers[i].link) && k->workers[i].pepper != k->pepper_newest)
			return;
	}
	pepper_known(&k->pepper, k->pepper_newest);
	serve_peppers_known(k->serve);
}

void kmsg_peppers(struct keeper *k)
{
	uint64_t changes = pepper_changes(&k->pepper);

	if (changes != k->pepper_sent) {
		k->pepper_sent = changes;
		k->pepper_newest = pepper_newest(&k->pepper);
		for (unsigned i = 0; i < HERITAGE_WORKERS_MAX; i++)
			greet(k, &k->workers[i]);
	}
	look_for_known(k);
}

static void on_worker(struct klink *l, struct msg *m)
{
	struct keeper_worker *w = CONTAINER_OF(l, struct keeper_worker, link);

	if (m->type == MSG_LOOKUP)
		lookup_start(w, &m->lookup);
	else if (m->type == MSG_REPORT)
		keyreport_start(w, &m->report);
	else if (m->type == MSG_PEPPERED) {
		w->pepper = (uint16_t)m->peppered.id;
		look_for_known(w->k);
	}
}

static void on_worker_end(struct klink *l, enum errc e)
{
	struct keeper_worker *w = CONTAINER_OF(l, struct keeper_worker, link);

	if (e != ERRC_EOF && e != ERRC_CONNRESET)
		log_warn("worker_link", "the link to worker %u: %s", (unsigned)(w - w->k->workers),
			 errc_text(e));
	w->serial = 0;
	w->lookups_n = 0;
	look_for_known(w->k);
}

static void on_worker_link(struct keeper *k, struct msg *m)
{
	int fd = msg_take_fd(m, 0);
	struct keeper_worker *w;
	enum errc e;

	if (m->worker_link.slot >= HERITAGE_WORKERS_MAX || fd < 0) {
		keeper_fail(k, "a link without a worker");
		return;
	}
	w = &k->workers[m->worker_link.slot];
	klink_close(&w->link);
	w->k = k;
	w->serial = ++k->serials;
	w->lookups_n = 0;
	w->pepper = 0;
	w->link.on_msg = on_worker;
	w->link.on_end = on_worker_end;
	klink_init(&w->link, fd, MSG_AT_KEEPER_FROM_WORKER, LIMIT_FRAME_CONTROL);
	e = klink_watch(&w->link, &k->loop);
	if (e)
		log_error("worker_link", "no link to worker %u: %s", (unsigned)m->worker_link.slot,
			  errc_text(e));
	greet(k, w);
}

static void on_died(struct keeper *k, const struct msg_child_died *m)
{
	if (m->slot < HERITAGE_WORKERS_MAX && k->workers[m->slot].k) {
		struct keeper_worker *w = &k->workers[m->slot];

		klink_close(&w->link);
		w->serial = 0;
	}
	if (k->started)
		watch_death(&k->watch);
}

void kmsg_on_master(struct klink *l, struct msg *m)
{
	struct keeper *k = CONTAINER_OF(l, struct keeper, master);

	require_magic(k, KEEPER_MAGIC);
	switch (m->type) {
	case MSG_PREPARE:
		ktable_prepare(k->table, m->prepare.generation, m->prepare.blob);
		break;
	case MSG_COMMIT:
		ktable_commit(k->table, m->commit.generation);
		break;
	case MSG_RELOADED:
		knote_reloaded(k, &m->reloaded);
		break;
	case MSG_ABORT:
		ktable_abort(k->table, m->abort.generation);
		break;
	case MSG_WORKER_LINK:
		on_worker_link(k, m);
		break;
	case MSG_CHILD_DIED:
		on_died(k, &m->child_died);
		break;
	case MSG_LOG_REOPEN:
		if (childlog_reopen(m))
			log_warn("log_target", "the log file cannot be taken over");
		(void)!klink_send(l, &(struct msg){.type = MSG_LOG_REOPENED});
		break;
	case MSG_CONTROL:
		serve_request(k->serve, m);
		break;
	case MSG_DRAIN:
		keeper_drain(k, m->drain.deadline_ms, true);
		break;
	default: /* MSG_AT_KEEPER has no other */
		break;
	}
}

void kmsg_on_master_end(struct klink *l, enum errc e)
{
	struct keeper *k = CONTAINER_OF(l, struct keeper, master);

	/* The next master raises the generation in the page, and its keeper waits for our lock: we look often. Until then the
	 * ledger is written as before. */
	uv_timer_set_repeat(&k->tick, KEEPER_ORPHAN_TICK_MS);
	require(uv_timer_again(&k->tick) == 0);
	log_warn("master_gone", "the master is gone (%s); the ledger is kept on", errc_text(e));
}

void kmsg_store_lost(struct keeper *k)
{
	struct live *live = stores_hold(&k->stores);
	const struct msg m = {.type = MSG_STORE_RENEWED,
			      .store_renewed = {.epoch = live_head(live)->epoch + 1}};

	stores_drop(&k->stores, live);
	(void)!klink_send(&k->master, &m);
	oldstore_kill(k->page, k->h.generation);
}
