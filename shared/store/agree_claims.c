#include "agree_claims.h"

#include "idem_priv.h"
#include "retain.h"

#define SLICE_CLAIMS 256 /* of a read transaction */

struct slice_of_claims {
	struct idem_row of[SLICE_CLAIMS];
	bool differs[SLICE_CLAIMS];
	size_t n;
};

/* In the same transaction: settlement ends hold and claim together. */
static enum errc has_hold(struct live *l, MDB_txn *txn, const struct idem_row *c, bool *yes)
{
	struct rows_key_name name;
	uint64_t account;
	struct slice v;
	enum errc rc = live_find_key(l, txn, c->key_id, &account);

	if (!rc) {
		name = rows_name(account, ROWS_HOLD, slice_of(c->id.b, GENID_BYTES));
		rc = live_row_get(l, txn, &name, &v);
	}
	*yes = !rc;
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

static enum errc read_claims(struct live *l, struct agree_claims *g, struct slice_of_claims *s)
{
	MDB_txn *txn;
	bool yes = true;
	enum errc rc = live_read_begin(l, &txn);

	if (rc)
		return rc;
	rc = idem_rows(l, txn, &g->at, s->of, SLICE_CLAIMS, &s->n);
	for (size_t i = 0; !rc && i < s->n; i++) {
		if (!s->of[i].completed)
			rc = has_hold(l, txn, &s->of[i], &yes);
		s->differs[i] = !s->of[i].completed && !yes;
	}
	live_read_end(l);
	return rc;
}

static bool is_of(const struct record *r, const struct idem_row *c)
{
	return r->type == RECORD_CHARGE && (r->charge.flags & RECORD_CHARGED) &&
	       genid_eq(&r->charge.id, &c->id) &&
	       memcmp(r->charge.key_id, c->key_id, APIKEY_ID) == 0 &&
	       slice_eq(r->charge.idem, slice_of(c->tag, IDEM_TAG));
}

/* ERRC_NOTFOUND: the ledger has no such charge. */
static enum errc is_charged(struct ledger *l, const struct idem_row *c, bool *yes)
{
	struct record r;
	struct buf b;
	uint64_t seq;
	enum errc rc = ledger_find_reversal(l, &c->id, &seq);

	*yes = false;
	if (rc != ERRC_NOTFOUND)
		return rc;
	buf_init(&b, RECORD_MAX);
	rc = ledger_find(l, &c->id, &seq);
	if (!rc)
		rc = ledger_get(l, seq, &b);
	if (!rc)
		*yes = record_decode(buf_slice(&b), &r) == ERRC_OK && is_of(&r, c);
	buf_fini(&b);
	return rc;
}

/* It may have been taken back since it was read. */
static enum errc is_still_there(struct live *l, const struct idem_row *c, bool *yes)
{
	enum idem_result is = IDEM_NEW;
	struct genid other;
	MDB_txn *txn;
	enum errc rc = live_read_begin(l, &txn);

	if (rc)
		return rc;
	rc = idem_look(l, txn, c->key_id, slice_of(c->tag, IDEM_TAG), &is, &other);
	*yes = !rc && is == IDEM_COMPLETED && genid_eq(&other, &c->id);
	live_read_end(l);
	return rc;
}

/* The outbox has been taken over since the claim was seen: its charge is in the ledger, unless that keeps its day no longer. */
static enum errc look(struct admin *a, const struct idem_row *c, bool may_lack, bool *differs)
{
	bool yes = true;
	enum errc rc = is_charged(a->ledger, c, &yes);

	if (rc == ERRC_NOTFOUND) {
		yes = may_lack;
		rc = ERRC_OK;
	}
	if (!rc && !yes)
		rc = is_still_there(a->live, c, differs);
	return rc;
}

enum errc agree_claims_slice(struct admin *a, struct agree_claims *g)
{
	struct slice_of_claims s = {.n = 0};
	struct retain_base base;
	uint64_t taken;
	enum errc rc;

	require(!g->done);
	rc = read_claims(a->live, g, &s);
	if (!rc)
		rc = store_drain_outbox(a->live, a->ledger, a->batch, &taken);
	if (!rc)
		rc = retain_base(a->ledger, &base, NULL);
	for (size_t i = 0; !rc && i < s.n; i++) {
		if (s.of[i].completed)
			rc = look(a, &s.of[i], base.seq > 0, &s.differs[i]);
		g->different += s.differs[i];
	}
	g->claims += s.n;
	g->done = g->at.n == 0;
	return rc;
}
