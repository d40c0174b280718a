/* The claims of the last 24 hours into a new live store. */
#include "idem_priv.h"

#include "ledger.h"

#define FILL_ROWS 1000 /* a transaction while nobody else works on the store */

struct fill {
	struct live *l;
	MDB_txn *txn;
	size_t n;
};

static enum errc begin_next(struct fill *f)
{
	enum errc rc = f->txn ? live_txn_commit(f->l, &f->txn) : ERRC_OK;

	live_txn_abort(f->l, &f->txn);
	return rc ? rc : live_txn_begin(f->l, &f->txn);
}

static enum errc fill_one(void *arg, const struct ledger_claim *c)
{
	struct fill *f = arg;
	enum errc rc = f->n++ % FILL_ROWS == 0 ? begin_next(f) : ERRC_OK;

	if (!rc)
		rc = idem_claim(f->l, f->txn, c->key_id, c->tag, &c->id, c->made_ms);
	return rc ? rc : idem_end(f->l, f->txn, c->key_id, c->tag, &c->id, true);
}

enum errc idem_fill(struct live *l, struct ledger *ledger, int64_t wall_ms)
{
	struct fill f = {.l = l};
	enum errc rc = ledger_each_claim(ledger, wall_ms, idem_most(l), fill_one, &f);

	if (!rc && f.txn)
		rc = live_txn_commit(l, &f.txn);
	live_txn_abort(l, &f.txn);
	return rc;
}
