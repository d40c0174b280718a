#include "report_kept.h"

#include "ledger_priv.h"
#include "retain.h"
#include "seal.h"

enum errc report_kept_users(struct ledger *l, uint32_t *day)
{
	struct retain_base base;
	struct seal s;
	enum errc rc = retain_base(l, &base, NULL);

	*day = 0;
	if (rc || base.seq == 0)
		return rc;
	rc = seal_from(l, base.seq, &s, NULL);
	/* Names go once the last record of their day has gone. */
	if (!rc)
		*day = base.seq == s.last ? s.day + 1 : s.day;
	return rc;
}

static bool asks_users(const struct report_ask *a)
{
	bool by = a->tag.p;

	for (size_t i = 0; i < a->by_n; i++)
		by |= a->by[i] == REPORT_TAG;
	return by;
}

static enum errc on_row(void *arg, const struct rollup_name *n, const struct rollup_sums *s)
{
	(void)arg;
	(void)n;
	(void)s;
	return ERRC_TRUNCATED;
}

enum errc report_kept_check(struct ledger *l, const struct report_ask *a)
{
	struct rollup_ask ask = {.cut = a->account ? ROLLUP_PAYERS : ROLLUP_DAYS,
				 .account = a->account,
				 .key_id = a->account ? a->key_id : NULL};
	MDB_txn *txn;
	uint32_t day;
	enum errc rc;

	if (!asks_users(a))
		return ERRC_OK;
	rc = report_kept_users(l, &day);
	ask.from = rollup_day_of(MAX_OF(a->since_ms, INT64_C(0)));
	if (rc || ask.from >= day)
		return rc;
	ask.to = MIN_OF(day - 1, rollup_day_of(MAX_OF(a->until_ms - 1, INT64_C(0))));
	rc = ledger_read_begin(l, &txn);
	if (!rc)
		rc = rollup_walk(txn, l->rollups, &ask, on_row, NULL);
	ledger_read_end(&txn);
	return rc;
}
