#include "ledger_priv.h"

/* Up to which record the stored roll-ups go. */
#define ROLLED_KEY SLICE_LIT("rolled")

enum errc ledger_write_rollups(struct ledger *l, MDB_txn *txn, uint64_t upto)
{
	uint8_t seq[8];
	enum errc rc = rollup_write(&l->rollup, txn, l->rollups);

	ledger_put_be(upto, seq);
	return rc ? rc : lmdbx_put(txn, l->meta, ROLLED_KEY, slice_of(seq, sizeof seq), 0);
}

enum errc ledger_rolled_upto(struct ledger *l, MDB_txn *txn, uint64_t *seq)
{
	struct slice v;
	enum errc rc = lmdbx_get(txn, l->meta, ROLLED_KEY, &v);

	*seq = 0;
	if (rc == ERRC_NOTFOUND)
		return ERRC_OK;
	if (!rc && v.n != 8)
		rc = ERRC_CORRUPT;
	if (!rc)
		*seq = ledger_get_be(v.p);
	return rc;
}

static enum errc find_charge(void *arg, const struct genid *id, struct buf *b)
{
	struct ledger *l = arg;
	uint64_t seq;
	enum errc rc = ledger_find(l, id, &seq);

	return rc ? rc : ledger_get(l, seq, b);
}

enum errc ledger_count_rollups(struct ledger *l)
{
	return rollup_committed(&l->rollup, find_charge, l);
}

/* A record that cannot be read is for verify to find. */
static enum errc add_item(void *arg, const struct ledger_item *item)
{
	struct ledger *l = arg;
	struct record r;
	enum errc rc;

	if (record_decode(item->record, &r))
		return ERRC_OK;
	rc = rollup_add(&l->rollup, item->seq, &r);
	if (!rc)
		rc = ledger_count_rollups(l);
	if (!rc && rollup_is_full(&l->rollup))
		rc = ERRC_AGAIN;
	return rc;
}

/* One transaction: what is in memory. */
static enum errc store(struct ledger *l, uint64_t upto)
{
	MDB_txn *txn;
	enum errc rc = lmdbx_errc(mdb_txn_begin(l->env, NULL, 0, &txn));

	if (rc)
		return rc;
	rc = ledger_write_rollups(l, txn, upto);
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	rc = lmdbx_commit(txn);
	return rc ? rc : ledger_count_rollups(l);
}

enum errc ledger_catch_up_rollups(struct ledger *l)
{
	uint64_t seq;
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(l, &txn);

	if (!rc)
		rc = ledger_rolled_upto(l, txn, &seq);
	ledger_read_end(&txn);
	if (rc || l->read_only)
		return rc; /* then nobody asks for them but verify, which reads the rows */
	for (seq++;;) {
		rc = ledger_walk(l, &seq, l->state.last_seq, add_item, l);
		if (rc != ERRC_AGAIN)
			return rc;
		rc = store(l, seq - 1);
		if (rc)
			return rc;
	}
}
