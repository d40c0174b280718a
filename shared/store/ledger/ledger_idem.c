/* The ledger's list of charged requests that had an idempotency key: a row a record in the order of the records, for the last 24 hours, so that a
 * new live store gets its claims back without reading them all. */
#include "idem.h"
#include "ledger_priv.h"

#define PRUNE_ROWS 2 /* a new one; the list cannot grow beyond its time for long */

struct claim_v1 {
	int64_t made_ms, charged_ms;
	char key_id[APIKEY_ID];
	uint32_t reserved;
	uint8_t id[GENID_BYTES];
	uint8_t tag[IDEM_TAG];
};
_Static_assert(sizeof(struct claim_v1) == 80, "layout of stored rows");

static enum errc read_claim(struct slice value, struct claim_v1 *v)
{
	if (value.n != sizeof *v)
		return ERRC_CORRUPT;
	memcpy(v, value.p, sizeof *v);
	return v->reserved == 0 ? ERRC_OK : ERRC_CORRUPT;
}

/* Claims that were over when `wall_ms` was. */
static enum errc prune(struct ledger *l, MDB_cursor *c, int64_t wall_ms)
{
	struct slice key = SLICE_NONE, value;
	struct claim_v1 v;
	enum errc rc = ERRC_OK;

	for (int i = 0; !rc && i < PRUNE_ROWS; i++) {
		rc = lmdbx_move(c, MDB_FIRST, &key, &value);
		if (!rc)
			rc = read_claim(value, &v);
		if (!rc && wall_ms - v.charged_ms < IDEM_LASTS_MS)
			break;
		if (!rc)
			l->next.claims_over_seq = ledger_get_be(key.p);
		if (!rc)
			rc = lmdbx_errc(mdb_cursor_del(c, 0));
	}
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

static enum errc add(MDB_cursor *c, uint64_t seq, const struct record *r)
{
	struct claim_v1 v = {.made_ms = r->charge.admitted_ms, .charged_ms = r->wall_ms};
	uint8_t key[8];

	memcpy(v.key_id, r->charge.key_id, sizeof v.key_id);
	memcpy(v.id, r->charge.id.b, sizeof v.id);
	memcpy(v.tag, r->charge.idem.p, sizeof v.tag);
	ledger_put_be(seq, key);
	return lmdbx_cursor_put(c, slice_of(key, sizeof key), slice_of(&v, sizeof v), MDB_APPEND);
}

/* A charge that is taken back is one of the last, for it has only just come out of the outbox. */
static enum errc take_back(MDB_cursor *c, const struct record *r)
{
	struct slice key = SLICE_NONE, value;
	struct claim_v1 v;
	enum errc rc = lmdbx_move(c, MDB_LAST, &key, &value);

	while (!rc) {
		rc = read_claim(value, &v);
		if (!rc && memcmp(v.id, r->change.id.b, sizeof v.id) == 0)
			return lmdbx_errc(mdb_cursor_del(c, 0));
		if (!rc)
			rc = lmdbx_move(c, MDB_PREV, &key, &value);
	}
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

bool ledger_has_claim(const struct record *r)
{
	return r->type == RECORD_CHARGE && (r->charge.flags & RECORD_CHARGED) &&
	       r->charge.idem.n == IDEM_TAG;
}

enum errc ledger_note_claim(struct ledger *l, uint64_t seq, const struct record *r)
{
	bool charge = ledger_has_claim(r);
	MDB_cursor *c;
	enum errc rc;

	if (!charge && (r->type != RECORD_REVERSE || r->change.idem.n != IDEM_TAG))
		return ERRC_OK;
	rc = lmdbx_errc(mdb_cursor_open(l->txn, l->idem, &c));
	if (rc)
		return rc;
	if (charge) {
		rc = prune(l, c, ledger_believed_ms(l, r->wall_ms));
		if (!rc)
			rc = add(c, seq, r);
	} else {
		rc = take_back(c, r);
	}
	mdb_cursor_close(c);
	return rc;
}

/* The cursor to the oldest of the last `max` claims. */
static enum errc seek(MDB_cursor *c, size_t max, struct slice *key, struct slice *value)
{
	enum errc rc = lmdbx_move(c, MDB_LAST, key, value);

	for (size_t i = 1; !rc && i < max; i++)
		rc = lmdbx_move(c, MDB_PREV, key, value);
	return rc == ERRC_NOTFOUND ? lmdbx_move(c, MDB_FIRST, key, value) : rc;
}

enum errc ledger_each_claim(struct ledger *l, int64_t wall_ms, size_t max,
			    enum errc (*fn)(void *arg, const struct ledger_claim *), void *arg)
{
	struct slice key = SLICE_NONE, value;
	struct ledger_claim out;
	struct claim_v1 v;
	MDB_cursor *c;
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(l, &txn);

	if (rc)
		return rc;
	rc = lmdbx_errc(mdb_cursor_open(txn, l->idem, &c));
	if (rc) {
		ledger_read_end(&txn);
		return rc;
	}
	for (rc = seek(c, max, &key, &value); !rc; rc = lmdbx_move(c, MDB_NEXT, &key, &value)) {
		rc = read_claim(value, &v);
		if (!rc && wall_ms - v.made_ms < IDEM_LASTS_MS) {
			out = (struct ledger_claim){.made_ms = v.made_ms,
						    .tag = slice_of(v.tag, sizeof v.tag)};
			memcpy(out.key_id, v.key_id, sizeof out.key_id);
			memcpy(out.id.b, v.id, sizeof v.id);
			rc = fn(arg, &out);
		}
		if (rc)
			break;
	}
	mdb_cursor_close(c);
	ledger_read_end(&txn);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

/* The number of a row of the list; 0: there is none. */
static enum errc row_at(MDB_cursor *c, MDB_cursor_op op, struct slice *key, struct slice *value,
			uint64_t *seq)
{
	enum errc rc = lmdbx_move(c, op, key, value);

	*seq = !rc && key->n == 8 ? ledger_get_be(key->p) : 0;
	if (rc == ERRC_NOTFOUND)
		return ERRC_OK;
	return !rc && *seq == 0 ? ERRC_CORRUPT : rc;
}

static enum errc look_from(MDB_cursor *c, uint64_t seq, struct ledger_claim_at *out)
{
	uint8_t from[8] = {0};
	struct slice key = slice_of(from, sizeof from), value;
	struct claim_v1 v = {.made_ms = 0};
	enum errc rc = row_at(c, MDB_LAST, &key, &value, &out->last);

	ledger_put_be(seq, from);
	key = slice_of(from, sizeof from);
	out->seq = out->last;
	if (!rc)
		rc = row_at(c, MDB_SET_RANGE, &key, &value, &out->seq);
	if (!rc && out->seq != 0)
		rc = read_claim(value, &v);
	if (!rc && out->seq == 0)
		out->seq = UINT64_MAX;
	out->made_ms = v.made_ms;
	out->charged_ms = v.charged_ms;
	memcpy(out->key_id, v.key_id, sizeof out->key_id);
	memcpy(out->id.b, v.id, sizeof v.id);
	memcpy(out->tag, v.tag, sizeof out->tag);
	return rc;
}

enum errc ledger_claim_from(struct ledger *l, uint64_t seq, struct ledger_claim_at *out)
{
	struct ledger_state s;
	MDB_cursor *c;
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(l, &txn);

	if (!rc)
		rc = ledger_get_state(l, txn, &s);
	if (!rc)
		rc = lmdbx_errc(mdb_cursor_open(txn, l->idem, &c));
	if (!rc) {
		out->upto_seq = s.last_seq;
		out->over_seq = s.claims_over_seq;
		rc = look_from(c, seq, out);
		mdb_cursor_close(c);
	}
	ledger_read_end(&txn);
	return rc;
}
