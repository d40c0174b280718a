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
	struct lookup_found found;
	enum errc e;
};

/* --- the record and what belongs to it --- */

/* A generation id names one record, whoever made it. */
static enum errc complete(struct ledger *l, const char *key_id, struct lookup_found *f)
{
	struct record r;
	uint64_t at;
	enum errc e = record_decode(buf_slice(&f->record), &r);

	if (e)
		return e;
	if (r.type != RECORD_CHARGE || (key_id && memcmp(r.charge.key_id, key_id, APIKEY_ID) != 0))
		return ERRC_NOTFOUND;
	e = ledger_price_bytes(l, r.charge.price_hash, &f->price_bytes);
	/* Another row than the one that was charged would be shown as true. */
	if (!e && !ledger_price_is(buf_slice(&f->price_bytes), r.charge.price_hash))
		e = ERRC_CORRUPT;
	f->priced = !e && price_decode(buf_slice(&f->price_bytes), &f->price) == ERRC_OK;
	if (e == ERRC_NOTFOUND)
		e = ERRC_OK;
	if (!e && f->seq)
		e = ledger_hash(l, f->seq, f->hash);
	if (e || f->seq == 0)
		return e;
	e = ledger_find_reversal(l, &r.charge.id, &at);
	f->reversed |= !e;
	return e == ERRC_NOTFOUND ? ERRC_OK : e;
}

/* What takes a charge of the ledger back may wait for it still, under the generation id. */
static enum errc look_for_reversal(struct live *live, struct lookup_found *f)
{
	struct record r;
	struct buf none;
	enum errc e = record_decode(buf_slice(&f->record), &r);

	if (e || r.type != RECORD_CHARGE)
		return e;
	buf_init(&none, RECORD_MAX);
	e = outbox_find(live, &r.charge.id, SLICE_NONE, NULL, &none, &f->reversed);
	buf_fini(&none);
	return e == ERRC_NOTFOUND || e == ERRC_BUSY ? ERRC_OK : e;
}

enum errc lookup_find(struct live *live, struct ledger *ledger, struct slice id, const char *key_id,
		      struct lookup_found *out)
{
	struct genid g;
	bool ours = genid_parse(id, &g);
	enum errc e, waits;

	*out = (struct lookup_found){.seq = 0};
	buf_init(&out->record, RECORD_MAX);
	buf_init(&out->price_bytes, RECORD_MAX);
	e = outbox_find(live, ours ? &g : NULL, ours ? SLICE_NONE : id, key_id, &out->record,
			&out->reversed);
	waits = e;
	if (e == ERRC_NOTFOUND || e == ERRC_BUSY) {
		e = ours ? ledger_find(ledger, &g, &out->seq)
			 : ledger_find_upstream(ledger, id, key_id, &out->seq);
		if (!e)
			e = ledger_get(ledger, out->seq, &out->record);
		if (e == ERRC_NOTFOUND)
			e = waits; /* it may be among those that nobody has looked at */
		else if (!e && !ours)
			e = look_for_reversal(live, out);
	}
	return e ? e : complete(ledger, key_id, out);
}

void lookup_fini(struct lookup_found *f)
{
	buf_fini(&f->record);
	buf_fini(&f->price_bytes);
}

/* --- for a worker --- */

static void run(uv_work_t *work)
{
	struct lookup *l = CONTAINER_OF(work, struct lookup, work);
	struct live *live = stores_hold(&l->k->stores);

	l->e = lookup_find(live, l->k->stores.ledger, slice_of(l->id, l->id_n), l->key, &l->found);
	stores_drop(&l->k->stores, live);
}

static void refuse(struct keeper_worker *w, uint64_t seq, enum errc e)
{
	struct msg m = {.type = MSG_FOUND, .found = {.seq = seq, .status = e}};

	/* A worker that does not read its link has other troubles: it asks again, or its client gives up. */
	(void)!klink_send(&w->link, &m);
}

static void answer(struct keeper_worker *w, uint64_t seq, const struct lookup_found *f)
{
	struct msg m = {.type = MSG_FOUND,
			.found = {.seq = seq,
				  .record = buf_slice(&f->record),
				  .price = buf_slice(&f->price_bytes),
				  .at = f->seq,
				  .reversed = f->reversed}};

	if (f->seq)
		m.found.hash = slice_of(f->hash, sizeof f->hash);
	(void)!klink_send(&w->link, &m);
}

static void done(uv_work_t *work, int status)
{
	struct lookup *l = CONTAINER_OF(work, struct lookup, work);
	struct keeper *k = l->k;
	struct keeper_worker *w = &k->workers[l->slot];

	(void)status; /* work is never cancelled */
	if (w->serial == l->serial) {
		w->lookups_n--;
		if (l->e)
			refuse(w, l->seq, l->e);
		else
			answer(w, l->seq, &l->found);
	}
	lookup_fini(&l->found);
	mem_free(l);
	keeper_work_over(k);
}

void lookup_start(struct keeper_worker *w, const struct msg_lookup *m)
{
	struct keeper *k = w->k;
	struct lookup *l;

	if (m->key.n != APIKEY_ID || m->id.n == 0 || m->id.n > ID_MAX) {
		refuse(w, m->seq, ERRC_NOTFOUND);
		return;
	}
	l = k->started && k->end == KEEPER_RUNS && w->lookups_n < LOOKUPS_MAX
		    ? mem_new_of(struct lookup)
		    : NULL;
	if (!l) {
		refuse(w, m->seq, ERRC_BUSY);
		return;
	}
	l->k = k;
	l->slot = (unsigned)(w - k->workers);
	l->serial = w->serial;
	l->seq = m->seq;
	memcpy(l->id, m->id.p, m->id.n);
	l->id_n = m->id.n;
	memcpy(l->key, m->key.p, APIKEY_ID);
	require(uv_queue_work(&k->loop, &l->work, run, done) == 0);
	w->lookups_n++;
	k->works_n++;
}
