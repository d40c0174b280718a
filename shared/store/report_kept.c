#include "report_kept.h"

#include "ledger_priv.h"
#include "retain.h"

enum errc report_kept_users(struct ledger *l, uint32_t *day)
{
	bool whole;
	enum errc rc = retain_first_day(l, day, &whole);

	/* Names go once the last record of their day has gone. */
	if (!rc && !whole)
		(*day)--;
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
