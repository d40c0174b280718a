#include "keyreport.h"

#include "keeper_state.h"
#include "mem.h"
#include "report_pack.h"

#define WAITING_MAX 64
#define BY_MAX      64
#define FRAME_ROOM  1024 /* of the largest frame, for what stands around the rows */

struct keyreport {
	uv_work_t work;
	struct list node;
	struct keeper *k;
	unsigned slot;
	uint64_t serial, seq, account;
	int64_t since_ms, until_ms;
	char key[APIKEY_ID + 1], by[BY_MAX];
	size_t by_n;
	struct buf rows;
	bool cut;
	enum errc e;
};

static void next(struct keeper *k);

static void refuse(struct keeper_worker *w, uint64_t seq, enum errc e)
{
	struct msg m = {.type = MSG_REPORTED, .reported = {.seq = seq, .status = e}};

	/* A worker that does not read its link has other troubles: its client gives up. */
	(void)!klink_send(&w->link, &m);
}

static void run(uv_work_t *work)
{
	struct keyreport *q = CONTAINER_OF(work, struct keyreport, work);
	struct report_ask ask = {.since_ms = q->since_ms,
				 .until_ms = q->until_ms,
				 .account = q->account,
				 .key_id = q->key};
	struct live *live = stores_hold(&q->k->stores);
	struct report *r = NULL;

	if (report_put_by(&ask, slice_of(q->by, q->by_n)))
		q->e = ERRC_INVAL;
	if (!q->e)
		q->e = report_new(q->k->stores.ledger, live, &ask, &r);
	if (!q->e)
		q->e = report_pack(r, ask.by_n, &q->rows, &q->cut);
	report_free(&r);
	stores_drop(&q->k->stores, live);
}

static void done(uv_work_t *work, int status)
{
	struct keyreport *q = CONTAINER_OF(work, struct keyreport, work);
	struct keeper *k = q->k;
	struct keeper_worker *w = &k->workers[q->slot];
	struct msg m = {
		.type = MSG_REPORTED,
		.reported = {
			.seq = q->seq, .status = q->e, .rows = buf_slice(&q->rows), .cut = q->cut}};

	(void)status; /* work is never cancelled */
	if (w->serial == q->serial && q->e)
		refuse(w, q->seq, q->e);
	else if (w->serial == q->serial)
		(void)!klink_send(&w->link, &m);
	buf_fini(&q->rows);
	mem_free(q);
	k->keyreport_busy = false;
	next(k);
	keeper_work_over(k);
}

static struct keyreport *pop(struct keeper *k)
{
	struct list *n = list_pop_front(&k->keyreports);

	if (!n)
		return NULL;
	k->keyreports_n--;
	return list_entry(n, struct keyreport, node);
}

/* Starts the first one that somebody still waits for. */
static void next(struct keeper *k)
{
	struct keyreport *q;

	while (!k->keyreport_busy && (q = pop(k)) != NULL) {
		if (k->workers[q->slot].serial != q->serial) {
			mem_free(q);
			continue;
		}
		require(uv_queue_work(&k->loop, &q->work, run, done) == 0);
		k->keyreport_busy = true;
		k->works_n++;
	}
}

void keyreport_start(struct keeper_worker *w, const struct msg_report *m)
{
	struct keeper *k = w->k;
	struct keyreport *q = NULL;

	if (m->key.n != APIKEY_ID || m->by.n > BY_MAX) {
		refuse(w, m->seq, ERRC_INVAL);
		return;
	}
	if (k->started && k->end == KEEPER_RUNS && k->keyreports_n < WAITING_MAX)
		q = mem_new_of(struct keyreport);
	if (!q) {
		refuse(w, m->seq, ERRC_BUSY);
		return;
	}
	*q = (struct keyreport){.k = k,
				.slot = (unsigned)(w - k->workers),
				.serial = w->serial,
				.seq = m->seq,
				.account = m->account,
				.since_ms = m->since_ms,
				.until_ms = m->until_ms,
				.by_n = m->by.n};
	memcpy(q->key, m->key.p, APIKEY_ID);
	if (m->by.n)
		memcpy(q->by, m->by.p, m->by.n);
	buf_init(&q->rows, LIMIT_FRAME_CONTROL - FRAME_ROOM);
	list_push_back(&k->keyreports, &q->node);
	k->keyreports_n++;
	next(k);
}

void keyreport_stop(struct keeper *k)
{
	struct keyreport *q;

	while ((q = pop(k)) != NULL) {
		if (k->workers[q->slot].serial == q->serial)
			refuse(&k->workers[q->slot], q->seq, ERRC_CANCELED);
		mem_free(q);
	}
}
