/* The claims of the last 24 hours into a new live store. */
#include "idem_priv.h"

#include "ledger.h"
#include "log.h"

#define FILL_ROWS  1000 /* a transaction while nobody else works on the store */
#define FILL_BYTES 320  /* more than a claim takes, however the rows come to lie */

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

	return rc ? rc : idem_restore(f->l, f->txn, c->key_id, c->tag, &c->id, c->made_ms);
}

/* Beside what is there, in at most half of the store: new ones may have a quarter. */
static enum errc fits(struct live *l, size_t *claims)
{
	MDB_txn *txn;
	size_t bytes = 0;
	enum errc rc = live_read_begin(l, &txn);

	if (rc)
		return rc;
	rc = live_room(l, txn, &bytes);
	live_read_end(l);
	*claims = MIN_OF(bytes, l->size_bytes / 2) / FILL_BYTES;
	return rc;
}

enum errc idem_fill(struct live *l, struct ledger *ledger, int64_t wall_ms)
{
	struct fill f = {.l = l};
	size_t most = 0;
	enum errc rc = fits(l, &most);

	if (!rc)
		rc = ledger_each_claim(ledger, wall_ms, most, fill_one, &f);
	if (!rc && f.txn)
		rc = live_txn_commit(l, &f.txn);
	live_txn_abort(l, &f.txn);
	if (!rc && f.n == most)
		log_warn(
			"idempotency_keys_left_out",
			"live_size has room for the last %zu idempotency keys of charged requests: "
			"one before may be charged again",
			most);
	return rc;
}
