#include "scan.h"

#include "live_priv.h"
#include "rows_hold.h"

#define SLICE_ROWS 2048 /* of a slice, up to the end of the account that it is at */

/* One account under way. */
struct sums {
	bool any, sound;
	struct rows_account a;
	int64_t held, oldest_ms;
	uint64_t holds, state_holds;
};

static int64_t distance(int64_t a, int64_t b)
{
	return a > b ? a - b : b - a;
}

static void finish(struct scan *s, const struct sums *m)
{
	const struct rows_account *a = &m->a;
	int64_t off;

	if (!m->any)
		return;
	off = distance(a->granted_nusd, a->balance_nusd + a->held_nusd + a->settled_nusd) +
	      distance(a->held_nusd, m->held);
	s->accounts++;
	if (m->holds > 0 && (s->holds == 0 || m->oldest_ms < s->oldest_hold_ms))
		s->oldest_hold_ms = m->oldest_ms;
	s->holds += m->holds;
	s->imbalance_nusd += off;
	s->held_nusd += a->held_nusd;
	s->balance_nusd += a->balance_nusd;
	s->settled_nusd += a->settled_nusd;
	s->uncollected_nusd += a->uncollected_nusd;
	if (off == 0 && m->sound && a->holds == m->holds && m->state_holds == m->holds)
		return;
	if (s->broken_accounts++ == 0)
		s->first_broken = a->id;
}

/* Every hold is one of its key; of the other scopes it is only where they have rules. */
static enum errc add(struct sums *m, enum rows_kind kind, struct slice id, struct slice value)
{
	struct rows_state state;
	struct rows_hold hold;
	enum errc rc = ERRC_OK;

	switch (kind) {
	case ROWS_ACCOUNT:
		rc = rows_get_account(value, &m->a);
		m->any = !rc;
		m->sound = !rc && rows_account_is_sound(&m->a);
		break;
	case ROWS_STATE:
		rc = rows_get_state(value, &state);
		if (!rc && id.n > 0 && id.p[0] == ROWS_KEY)
			m->state_holds += state.holds;
		break;
	case ROWS_HOLD:
		rc = rows_get_hold(value, &hold);
		if (!rc) {
			m->held += hold.hold_nusd;
			if (m->holds == 0 || hold.admitted_boot_ms < m->oldest_ms)
				m->oldest_ms = hold.admitted_boot_ms;
			m->holds++;
		}
		break;
	default:
		break;
	}
	return rc;
}

/* The next row that counts: definitions, and the states of what is no key, are passed over at once. */
static enum errc move_on(MDB_cursor *c, uint64_t account, enum rows_kind kind, struct slice id,
			 struct slice *key, struct slice *value)
{
	static const char keys[] = {ROWS_KEY};
	struct rows_key_name to;

	if (kind == ROWS_ACCOUNT)
		to = rows_name(account, ROWS_STATE, slice_of(keys, sizeof keys));
	else if (kind == ROWS_STATE && id.n > 0 && id.p[0] > ROWS_KEY)
		to = rows_name(account, ROWS_HOLD, SLICE_NONE);
	else
		return lmdbx_move(c, MDB_NEXT, key, value);
	*key = live_name(&to);
	return lmdbx_move(c, MDB_SET_RANGE, key, value);
}

static enum errc scan_rows(struct scan *s, MDB_cursor *c, size_t accounts_max)
{
	struct rows_key_name from =
		rows_name(MAX_OF(s->next_account, (uint64_t)1), ROWS_HEAD, SLICE_NONE);
	struct slice key = live_name(&from), value, id;
	struct sums m = {0};
	uint64_t account = 0, now, until = s->rows + SLICE_ROWS;
	enum rows_kind kind;
	size_t n = 0;
	enum errc rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);

	for (; !rc; rc = move_on(c, now, kind, id, &key, &value)) {
		if (!rows_name_parse(key, &now, &kind, &id))
			return ERRC_CORRUPT;
		s->rows++;
		if (now != account) {
			finish(s, &m);
			m = (struct sums){0};
			account = now;
			if (account > ROWS_ACCOUNT_LAST) {
				s->done = true;
				return ERRC_OK;
			}
			s->next_account = account;
			if (n++ == accounts_max || s->rows > until)
				return ERRC_OK;
		}
		rc = add(&m, kind, id, value);
		if (rc)
			return rc;
	}
	return rc == ERRC_NOTFOUND ? ERRC_CORRUPT : rc; /* the tail row is always there */
}

enum errc scan_slice(struct live *l, struct scan *s, size_t accounts_max)
{
	MDB_cursor *c;
	MDB_txn *txn;
	enum errc rc;

	require(accounts_max > 0 && !s->done);
	rc = live_read_begin(l, &txn);
	if (rc)
		return rc;
	rc = lmdbx_errc(mdb_cursor_open(txn, l->rows, &c));
	if (!rc) {
		rc = scan_rows(s, c, accounts_max);
		mdb_cursor_close(c);
	}
	live_read_end(l);
	return rc;
}
