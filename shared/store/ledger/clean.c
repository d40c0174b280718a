#include "clean.h"

#include "ledger_priv.h"

#define CLEAN_VERSION 1
#define CLEAN_KEY     SLICE_LIT("clean")

/* Compared whole: of another version, epoch or end of the records it says nothing. */
struct clean_v1 {
	uint64_t version, epoch, last_seq, live_txn;
};
_Static_assert(sizeof(struct clean_v1) == 32, "layout of stored rows");

enum errc ledger_load_clean(struct ledger *l, MDB_txn *txn)
{
	struct clean_v1 v;
	struct slice bytes;
	enum errc rc = lmdbx_get(txn, l->meta, CLEAN_KEY, &bytes);

	l->has_clean = !rc;
	l->is_clean = false;
	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	if (bytes.n != sizeof v)
		return ERRC_OK;
	memcpy(&v, bytes.p, sizeof v);
	l->is_clean = v.version == CLEAN_VERSION && v.epoch == l->state.epoch &&
		      v.last_seq == l->state.last_seq;
	l->clean_txn = v.live_txn;
	return ERRC_OK;
}

enum errc ledger_put_clean(struct ledger *l)
{
	struct clean_v1 v = {.version = CLEAN_VERSION,
			     .epoch = l->next.epoch,
			     .last_seq = l->next.last_seq,
			     .live_txn = l->next_clean_txn};
	enum errc rc = ERRC_OK;

	if (l->next_clean)
		return lmdbx_put(l->txn, l->meta, CLEAN_KEY, slice_of(&v, sizeof v), 0);
	if (l->has_clean)
		rc = lmdbx_del(l->txn, l->meta, CLEAN_KEY);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

void ledger_clean_committed(struct ledger *l)
{
	l->has_clean = l->is_clean = l->next_clean;
	l->clean_txn = l->next_clean_txn;
}

void clean_mark(struct ledger *l, uint64_t live_txn)
{
	require(l->txn);
	l->next_clean = true;
	l->next_clean_txn = live_txn;
}

bool clean_is_marked(const struct ledger *l, uint64_t *live_txn)
{
	*live_txn = l->clean_txn;
	return l->is_clean;
}

enum errc clean_forget(struct ledger *l)
{
	enum errc rc;

	if (!l->has_clean)
		return ERRC_OK;
	rc = ledger_begin(l);
	if (!rc)
		rc = ledger_commit(l);
	ledger_abort(l);
	return rc;
}
