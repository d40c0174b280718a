#include "ledger_priv.h"
#include "log.h"

/* Up to which record the stored indexes go. */
#define INDEXED_KEY SLICE_LIT("indexed")

enum errc ledger_write_index(struct ledger *l, MDB_txn *txn, uint64_t upto)
{
	uint8_t seq[8];
	enum errc rc = idindex_write(&l->idindex, txn, l->ids, l->upstream);

	ledger_put_be(upto, seq);
	return rc ? rc : lmdbx_put(txn, l->meta, INDEXED_KEY, slice_of(seq, sizeof seq), 0);
}

enum errc ledger_indexed_upto(struct ledger *l, MDB_txn *txn, uint64_t *seq)
{
	struct slice v;
	enum errc rc = lmdbx_get(txn, l->meta, INDEXED_KEY, &v);

	if (!rc && v.n != 8)
		rc = ERRC_CORRUPT;
	if (!rc)
		*seq = ledger_get_be(v.p);
	return rc;
}

/* One transaction: what is in memory, after all that was there if the index begins `anew`. */
static enum errc store(struct ledger *l, uint64_t upto, bool anew)
{
	MDB_txn *txn;
	enum errc rc = lmdbx_errc(mdb_txn_begin(l->env, NULL, 0, &txn));

	if (rc)
		return rc;
	if (anew)
		rc = lmdbx_errc(mdb_drop(txn, l->upstream, 0));
	if (!rc)
		rc = ledger_write_index(l, txn, upto);
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	rc = lmdbx_commit(txn);
	if (!rc)
		idindex_committed(&l->idindex);
	return rc;
}

/* A record that cannot be read is for verify to find. */
static enum errc add_item(void *arg, const struct ledger_item *item)
{
	struct ledger *l = arg;
	struct record r;
	enum errc rc;

	if (record_decode(item->record, &r) || r.type != RECORD_CHARGE)
		return ERRC_OK;
	rc = idindex_add(&l->idindex, item->seq, &r.charge);
	if (!rc && !l->read_only && l->idindex.n >= IDINDEX_ROWS_MAX)
		rc = ERRC_AGAIN;
	return rc;
}

enum errc ledger_catch_up_index(struct ledger *l)
{
	uint64_t seq = 0;
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(l, &txn);

	if (!rc)
		rc = ledger_indexed_upto(l, txn, &seq);
	ledger_read_end(&txn);
	if (rc == ERRC_NOTFOUND) {
		if (l->read_only)
			return ERRC_OK; /* then the tree of generation ids has all of them */
		if (l->state.last_seq > 0)
			log_info("ledger_index", "the index by the providers' ids is made anew");
		rc = store(l, 0, true);
	}
	if (rc)
		return rc;
	for (seq++;;) {
		rc = ledger_walk(l, &seq, l->state.last_seq, add_item, l);
		idindex_committed(&l->idindex);
		if (rc != ERRC_AGAIN)
			return rc;
		rc = store(l, seq - 1, false);
		if (rc)
			return rc;
	}
}
