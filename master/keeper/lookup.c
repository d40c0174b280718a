#include "lookup.h"

#include "keeper_state.h"
#include "mem.h"

#define LOOKUPS_MAX 64 /* of one worker at a time */
#define ID_MAX      256

struct lookup {
	uv_work_t work;
	struct keeper *k;
	unsigned slot;
	uint64_t serial, seq;
	char id[ID_MAX], key[APIKEY_ID];
	size_t id_n;
	struct buf record;
	enum errc e;
};

/* A generation id names one record, whoever made it. */
static enum errc check_key(struct slice record, const char *key_id)
{
	struct record r;
	enum errc e = record_decode(record, &r);

	if (e)
		return e;
	if (r.type != RECORD_CHARGE || (key_id && memcmp(r.charge.key_id, key_id, APIKEY_ID) != 0))
		return ERRC_NOTFOUND;
	return ERRC_OK;
}

enum errc lookup_find(struct live *live, struct ledger *ledger, struct slice id, const char *key_id,
		      struct buf *out, uint64_t *seq)
{
	struct genid g;
	bool ours = genid_parse(id, &g);
	size_t from = out->len;
	enum errc e = outbox_find(live, ours ? &g : NULL, ours ? SLICE_NONE : id, key_id, out);

	*seq = 0;
	if (e != ERRC_NOTFOUND)
		return e;
	e = ours ? ledger_find(ledger, &g, seq) : ledger_find_upstream(ledger, id, key_id, seq);
	if (!e)
		e = ledger_get(ledger, *seq, out);
	if (!e)
		e = check_key(slice_sub(buf_slice(out), from, out->len), key_id);
	if (e)
		buf_truncate(out, from);
	return e;
}

static void run(uv_work_t *work)
{
	struct lookup *l = CONTAINER_OF(work, struct lookup, work);
	struct live *live = stores_hold(&l->k->stores);
	uint64_t seq;

	l->e = lookup_find(live, l->k->stores.ledger, slice_of(l->id, l->id_n), l->key, &l->record,
			   &seq);
	stores_drop(&l->k->stores, live);
}

static void answer(struct keeper_worker *w, uint64_t seq, enum errc e, struct slice record)
{
	struct msg m = {.type = MSG_FOUND, .found = {.seq = seq, .status = e, .record = record}};

	/* A worker that does not read its link has other troubles: it asks again, or its client gives up. */
	(void)!klink_send(&w->link, &m);
}

static void done(uv_work_t *work, int status)
{
	struct lookup *l = CONTAINER_OF(work, struct lookup, work);
	struct keeper *k = l->k;
	struct keeper_worker *w = &k->workers[l->slot];

	if (w->serial == l->serial) {
		w->lookups_n--;
		answer(w, l->seq, status < 0 ? ERRC_CANCELED : l->e, buf_slice(&l->record));
	}
	buf_fini(&l->record);
	mem_free(l);
	keeper_work_over(k);
}

void lookup_start(struct keeper_worker *w, const struct msg_lookup *m)
{
	struct keeper *k = w->k;
	struct lookup *l;

	if (m->key.n != APIKEY_ID || m->id.n == 0 || m->id.n > ID_MAX) {
		answer(w, m->seq, ERRC_NOTFOUND, SLICE_NONE);
		return;
	}
	l = k->started && k->end == KEEPER_RUNS && w->lookups_n < LOOKUPS_MAX
		    ? mem_new_of(struct lookup)
		    : NULL;
	if (!l) {
		answer(w, m->seq, ERRC_BUSY, SLICE_NONE);
		return;
	}
	l->k = k;
	l->slot = (unsigned)(w - k->workers);
	l->serial = w->serial;
	l->seq = m->seq;
	memcpy(l->id, m->id.p, m->id.n);
	l->id_n = m->id.n;
	memcpy(l->key, m->key.p, APIKEY_ID);
	buf_init(&l->record, RECORD_MAX);
	require(uv_queue_work(&k->loop, &l->work, run, done) == 0);
	w->lookups_n++;
	k->works_n++;
}
