/* Which charges were taken back: each once. */
#include "ledger_priv.h"

enum errc ledger_note_reversal(struct ledger *l, uint64_t seq, const struct record *r)
{
	uint8_t value[8];
	enum errc rc;

	if (r->type != RECORD_REVERSE)
		return ERRC_OK;
	ledger_put_be(seq, value);
	rc = lmdbx_put(l->txn, l->reversed, slice_of(r->change.id.b, GENID_BYTES),
		       slice_of(value, sizeof value), MDB_NOOVERWRITE);
	return rc == ERRC_EXISTS ? ERRC_DUPLICATE : rc;
}

static enum errc find(struct ledger *l, MDB_txn *txn, const struct genid *id, uint64_t *seq)
{
	struct slice v;
	enum errc rc = lmdbx_get(txn, l->reversed, slice_of(id->b, GENID_BYTES), &v);

	if (rc)
		return rc;
	if (v.n != 8)
		return ERRC_CORRUPT;
	*seq = ledger_get_be(v.p);
	return ERRC_OK;
}

enum errc ledger_forget_reversal(struct ledger *l, uint64_t seq, const struct record *r)
{
	uint64_t known;
	enum errc rc = find(l, l->txn, &r->change.id, &known);

	if (!rc && known == seq)
		rc = lmdbx_del(l->txn, l->reversed, slice_of(r->change.id.b, GENID_BYTES));
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

enum errc ledger_find_reversal(struct ledger *l, const struct genid *id, uint64_t *seq)
{
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(l, &txn);

	if (!rc)
		rc = find(l, txn, id, seq);
	ledger_read_end(&txn);
	return rc;
}
