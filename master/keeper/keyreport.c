#include "keyreport.h"

#include "admin.h"
#include "arena.h"
#include "keeper_state.h"
#include "mem.h"
#include "report_pack.h"

#define WAITING_MAX 64
#define NAMES_BYTES 8192 /* above the largest question */
#define FRAME_ROOM  1024 /* of the largest frame, for what stands around the rows */

struct keyreport {
	uv_work_t work;
	struct list node;
	struct keeper *k;
	unsigned slot;
	uint64_t serial, seq;
	struct report_ask ask;       /* names in `names`; without the team */
	struct slice by, team, page; /* there too */
	size_t limit;
	struct arena names;
	struct buf rows, next;
	enum errc e;
};

static void next(struct keeper *k);

static void refuse(struct keeper_worker *w, uint64_t seq, enum errc e)
{
	struct msg m = {.type = MSG_REPORTED, .reported = {.seq = seq, .status = e}};

	/* A worker that does not read its link has other troubles: its client gives up. */
	(void)!klink_send(&w->link, &m);
}

/* ERRC_NOTFOUND: the account has no such team. */
static enum errc put_team(struct live *live, struct slice team, struct report_ask *ask,
			  char id[ROWS_ID])
{
	enum errc e = team.n ? admin_team_find(live, ask->account, team, id) : ERRC_OK;

	ask->team = team.n ? id : NULL;
	return e;
}

static void run(uv_work_t *work)
{
	struct keyreport *q = CONTAINER_OF(work, struct keyreport, work);
	struct live *live = stores_hold(&q->k->stores);
	struct report_ask ask = q->ask;
	struct report *r = NULL;
	struct report_page page;
	char team[ROWS_ID];

	if (report_put_by(&ask, q->by))
		q->e = ERRC_INVAL;
	if (!q->e)
		q->e = put_team(live, q->team, &ask, team);
	if (!q->e)
		q->e = report_new(q->k->stores.ledger, live, &ask, &r);
	if (!q->e)
		q->e = report_page_find(r, &ask, q->page, q->limit, &page);
	if (!q->e)
		q->e = report_pack(r, ask.by_n, &page, &q->rows);
	if (!q->e)
		q->e = report_page_next(r, &ask, page, &q->next);
	report_free(&r);
	stores_drop(&q->k->stores, live);
}

static void question_free(struct keyreport **qp)
{
	arena_fini(&(*qp)->names);
	buf_fini(&(*qp)->rows);
	buf_fini(&(*qp)->next);
	mem_free(*qp);
	*qp = NULL;
}

static void done(uv_work_t *work, int status)
{
	struct keyreport *q = CONTAINER_OF(work, struct keyreport, work);
	struct keeper *k = q->k;
	struct keeper_worker *w = &k->workers[q->slot];
	struct msg m = {.type = MSG_REPORTED,
			.reported = {.seq = q->seq,
				     .status = q->e,
				     .rows = buf_slice(&q->rows),
				     .next = buf_slice(&q->next)}};

	(void)status; /* work is never cancelled */
	if (w->serial == q->serial && q->e)
		refuse(w, q->seq, q->e);
	else if (w->serial == q->serial)
		(void)!klink_send(&w->link, &m);
	question_free(&q);
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
			question_free(&q);
			continue;
		}
		require(uv_queue_work(&k->loop, &q->work, run, done) == 0);
		k->keyreport_busy = true;
		k->works_n++;
	}
}

/* What is not given is of any. */
static struct slice keep(struct keyreport *q, struct slice name, enum errc *e)
{
	struct slice kept = name.n && !*e ? arena_dup(&q->names, name) : SLICE_NONE;

	if (name.n && !*e && !kept.p)
		*e = ERRC_NOMEM;
	return kept;
}

/* An empty name is one too, where it is meant. */
static struct slice keep_or_none(struct keyreport *q, struct slice name, uint64_t none, enum errc *e)
{
	return none ? SLICE_LIT("") : keep(q, name, e);
}

static enum errc question_new(struct keeper_worker *w, const struct msg_report *m,
			      struct keyreport **out)
{
	struct keyreport *q = mem_new_of(struct keyreport);
	enum errc e = ERRC_OK;

	if (!q)
		return ERRC_NOMEM;
	q->k = w->k;
	q->slot = (unsigned)(w - w->k->workers);
	q->serial = w->serial;
	q->seq = m->seq;
	arena_init(&q->names, NAMES_BYTES);
	buf_init(&q->rows, LIMIT_FRAME_CONTROL - FRAME_ROOM - REPORT_PAGE_CURSOR_MAX);
	buf_init(&q->next, REPORT_PAGE_CURSOR_MAX);
	q->limit = m->limit;
	q->ask = (struct report_ask){.since_ms = m->since_ms,
				     .until_ms = m->until_ms,
				     .waiting = true,
				     .account = m->account,
				     .key_id = keep(q, m->key, &e).p,
				     .model = keep_or_none(q, m->model, m->no_model, &e),
				     .provider = keep_or_none(q, m->provider, m->no_provider, &e),
				     .tag = keep_or_none(q, m->tag, m->no_tag, &e)};
	q->by = keep(q, m->by, &e);
	q->team = keep(q, m->team, &e);
	q->page = keep(q, m->page, &e);
	if (e)
		question_free(&q);
	*out = q;
	return e;
}

void keyreport_start(struct keeper_worker *w, const struct msg_report *m)
{
	struct keyreport *q = NULL;
	struct keeper *k = w->k;
	enum errc e = ERRC_BUSY;

	if (m->key.n != APIKEY_ID)
		e = ERRC_INVAL;
	else if (k->started && k->end == KEEPER_RUNS && k->keyreports_n < WAITING_MAX)
		e = question_new(w, m, &q);
	if (e) {
		refuse(w, m->seq, e);
		return;
	}
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
		question_free(&q);
	}
}
