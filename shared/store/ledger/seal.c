#include "seal.h"

#include <stdlib.h>

#include "ledger_priv.h"
#include "rollup.h"

_Static_assert(sizeof(struct seal) == 64 && sizeof(struct seal_sums) == 32,
	       "layout of stored rows: a seal, then its sums");

static enum errc get_seal(struct slice key, struct slice value, struct seal *out, struct slice *sums)
{
	if (key.n != 8 || value.n < sizeof *out)
		return ERRC_CORRUPT;
	memcpy(out, value.p, sizeof *out);
	*sums = slice_sub(value, sizeof *out, value.n);
	if (out->last != ledger_get_be(key.p) || out->first > out->last ||
	    sums->n / sizeof(struct seal_sums) != out->accounts_n ||
	    sums->n % sizeof(struct seal_sums) != 0)
		return ERRC_CORRUPT;
	return ERRC_OK;
}

enum errc ledger_load_sealed(struct ledger *l, MDB_txn *txn)
{
	struct slice key = SLICE_NONE, value, sums;
	struct seal s;
	MDB_cursor *c;
	enum errc rc = lmdbx_errc(mdb_cursor_open(txn, l->seals, &c));

	if (rc)
		return rc;
	rc = lmdbx_move(c, MDB_LAST, &key, &value);
	if (!rc)
		rc = get_seal(key, value, &s, &sums);
	mdb_cursor_close(c);
	if (!rc)
		l->sealed = (struct ledger_sealed){.seq = s.last, .day = s.day, .on = s.on};
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

/* Whether at that time the day of the newest record is over and has records that no seal has. Those that came behind the day's seal
 * wait for the next one. */
static bool is_over(const struct ledger_sealed *sealed, uint64_t last_seq, int64_t newest_ms,
		    int64_t wall_ms)
{
	uint32_t day = rollup_day_of(newest_ms), today = rollup_day_of(wall_ms);

	return day < today && last_seq > sealed->seq && (day > sealed->day || today != sealed->on);
}

bool seal_is_due(const struct ledger *l, int64_t wall_ms)
{
	return is_over(&l->sealed, l->state.last_seq, l->newest_ms, wall_ms);
}

static int by_account(const void *a, const void *b)
{
	const struct seal_sums *x = a, *y = b;

	return (x->account > y->account) - (x->account < y->account);
}

static enum errc put_sums(const struct book *b, struct buf *out)
{
	enum errc rc = ERRC_OK;
	char *from = out->p + out->len;
	size_t at = out->len;

	for (size_t i = 0; !rc && i < book_accounts_n(b); i++) {
		const struct rows_account *a = book_account_at(b, i);
		struct seal_sums s = {.account = a->id,
				      .granted_nusd = a->granted_nusd,
				      .settled_nusd = a->settled_nusd,
				      .uncollected_nusd = a->uncollected_nusd};

		rc = buf_add(out, &s, sizeof s);
	}
	from = out->p + at;
	if (!rc)
		qsort(from, book_accounts_n(b), sizeof(struct seal_sums), by_account);
	return rc;
}

enum errc seal_day(struct ledger *l, int64_t wall_ms)
{
	struct seal s = {.day = rollup_day_of(l->newest_ms),
			 .on = rollup_day_of(wall_ms),
			 .first = l->sealed.seq + 1,
			 .last = l->state.last_seq,
			 .accounts_n = book_accounts_n(l->book)};
	uint8_t key[8];
	struct buf row;
	enum errc rc;

	/* What is sealed is what was committed before. */
	require(l->txn && l->next.last_seq == l->state.last_seq && s.first <= s.last);
	memcpy(s.head, l->state.head, sizeof s.head);
	ledger_put_be(s.last, key);
	buf_init(&row, sizeof s + SEAL_SUMS_MAX);
	rc = buf_add(&row, &s, sizeof s);
	if (!rc)
		rc = put_sums(l->book, &row);
	if (!rc)
		rc = lmdbx_put(l->txn, l->seals, slice_of(key, sizeof key), buf_slice(&row), 0);
	if (!rc)
		l->next_sealed = (struct ledger_sealed){.seq = s.last, .day = s.day, .on = s.on};
	buf_fini(&row);
	return rc;
}

static bool is_over_in_txn(const struct ledger *l, int64_t wall_ms)
{
	return is_over(&l->next_sealed, l->next.last_seq, l->next_newest_ms, wall_ms);
}

bool ledger_ends_day(const struct ledger *l, int64_t wall_ms)
{
	return l->next.last_seq > l->state.last_seq && is_over_in_txn(l, wall_ms);
}

enum errc ledger_seal_before(struct ledger *l, int64_t wall_ms)
{
	if (!is_over_in_txn(l, wall_ms))
		return ERRC_OK;
	return ledger_ends_day(l, wall_ms) ? ERRC_AGAIN : seal_day(l, wall_ms);
}

enum errc seal_from(struct ledger *l, uint64_t seq, struct seal *out, struct buf *sums)
{
	uint8_t from[8] = {0};
	struct slice key = slice_of(from, sizeof from), value, all;
	MDB_cursor *c;
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(l, &txn);

	if (!rc)
		rc = lmdbx_errc(mdb_cursor_open(txn, l->seals, &c));
	if (rc) {
		ledger_read_end(&txn);
		return rc;
	}
	ledger_put_be(seq, from);
	rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);
	if (!rc)
		rc = get_seal(key, value, out, &all);
	if (!rc && sums) {
		buf_reset(sums);
		rc = buf_adds(sums, all);
	}
	mdb_cursor_close(c);
	ledger_read_end(&txn);
	return rc;
}

bool seal_is_of_day(const struct seal *s, int64_t last_ms)
{
	return s->day == rollup_day_of(last_ms) ||
	       s->day == rollup_day_of(last_ms + LEDGER_STEP_BACK_MS);
}

enum errc seal_chain_to(struct ledger *l, uint64_t upto, struct seal_chain *c)
{
	struct seal s = {.last = c->seq};
	enum errc rc = ERRC_OK;
	struct buf row, sums;

	buf_init(&row, sizeof s + SEAL_SUMS_MAX);
	buf_init(&sums, SEAL_SUMS_MAX);
	while (!rc && s.last < upto) {
		rc = seal_from(l, s.last + 1, &s, &sums);
		buf_reset(&row);
		if (!rc)
			rc = buf_add(&row, &s, sizeof s);
		if (!rc)
			rc = buf_adds(&row, buf_slice(&sums));
		if (!rc)
			ledger_chain(c->head, buf_slice(&row), c->head);
	}
	c->seq = s.last;
	buf_fini(&row);
	buf_fini(&sums);
	return rc || s.last == upto ? rc : ERRC_CORRUPT;
}
