#include "scan.h"

#include <stdlib.h>

#include "live_states.h"
#include "rows_hold.h"

#define SLICE_ROWS 2048 /* rows of a slice, but for the holds of its last account */
#define HOLDS_MAX  ((size_t)64 * 1024 * 1024)

/* One account under way. */
struct sums {
	bool any, sound;
	bool whole; /* no row of it is damaged */
	struct rows_account a;
	int64_t held, oldest_ms;
	uint64_t holds;
};

/* A slice: one read transaction. */
struct look {
	struct scan *s;
	struct live *l;
	MDB_txn *txn;
	MDB_cursor *c;
	uint64_t until;  /* s->rows */
	struct buf keys; /* ids of the account's holds, sorted */
};

static int64_t distance(int64_t a, int64_t b)
{
	return a > b ? a - b : b - a;
}

/* Once for each account, whatever is broken of it. */
static void broken(struct scan *s, uint64_t account)
{
	if (s->told)
		return;
	s->told = true;
	if (s->broken_accounts++ == 0)
		s->first_broken = account;
}

static void damaged(struct scan *s, uint64_t account)
{
	if (s->damaged++ == 0)
		s->first_damaged = account;
}

/* Of all accounts there can be more than a number holds. */
static void sum_up(int64_t *sum, int64_t nusd)
{
	if (__builtin_add_overflow(*sum, nusd, sum))
		*sum = nusd < 0 ? INT64_MIN : INT64_MAX;
}

static void add_up(struct scan *s, const struct sums *m)
{
	const struct rows_account *a = &m->a;
	int64_t off = distance(a->granted_nusd, a->balance_nusd + a->held_nusd + a->settled_nusd) +
		      distance(a->held_nusd, m->held);

	s->accounts++;
	if (m->holds > 0 && (s->holds == 0 || m->oldest_ms < s->oldest_hold_ms))
		s->oldest_hold_ms = m->oldest_ms;
	s->holds += m->holds;
	if (m->whole)
		sum_up(&s->imbalance_nusd, off);
	sum_up(&s->held_nusd, a->held_nusd);
	sum_up(&s->balance_nusd, a->balance_nusd);
	sum_up(&s->settled_nusd, a->settled_nusd);
	sum_up(&s->uncollected_nusd, a->uncollected_nusd);
	if (m->whole && (off != 0 || !m->sound || a->holds != m->holds))
		broken(s, a->id);
}

/* --- its holds --- */

static int compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, ROWS_ID);
}

static enum errc add_hold(struct look *k, struct sums *m, struct slice value)
{
	struct rows_hold hold;
	enum errc rc = rows_get_hold(value, &hold);

	if (rc)
		return rc;
	m->held += hold.hold_nusd;
	if (m->holds == 0 || hold.admitted_boot_ms < m->oldest_ms)
		m->oldest_ms = hold.admitted_boot_ms;
	m->holds++;
	return buf_add(&k->keys, hold.key_id, ROWS_ID);
}

static enum errc read_holds(struct look *k, uint64_t account, struct sums *m)
{
	struct rows_key_name from = rows_name(account, ROWS_HOLD, SLICE_NONE);
	struct slice key = live_name(&from), value, id;
	enum rows_kind kind;
	uint64_t now;
	enum errc rc = lmdbx_move(k->c, MDB_SET_RANGE, &key, &value);

	buf_reset(&k->keys);
	for (; !rc; rc = lmdbx_move(k->c, MDB_NEXT, &key, &value)) {
		if (!rows_name_parse(key, &now, &kind, &id))
			return ERRC_CORRUPT;
		if (now != account || kind != ROWS_HOLD)
			break;
		k->s->rows++;
		rc = add_hold(k, m, value);
		if (live_is_damaged(rc)) {
			damaged(k->s, account);
			m->whole = false;
		} else if (rc) {
			return rc;
		}
	}
	if (!rc && m->holds > 1)
		qsort(k->keys.p, m->holds, ROWS_ID, compare_ids);
	return rc;
}

/* How many of the holds are of the key at position i, which is the first of them. */
static size_t run_of(const struct look *k, size_t i)
{
	size_t n = k->keys.len / ROWS_ID, end = i + 1;

	while (end < n && compare_ids(k->keys.p + i * ROWS_ID, k->keys.p + end * ROWS_ID) == 0)
		end++;
	return end - i;
}

static size_t holds_of(const struct look *k, const char *id)
{
	size_t lo = 0, n = k->keys.len / ROWS_ID, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (compare_ids(k->keys.p + mid * ROWS_ID, id) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && compare_ids(k->keys.p + lo * ROWS_ID, id) == 0 ? run_of(k, lo) : 0;
}

/* --- its keys --- */

/* Each that has holds must say so; one that cannot be read is counted with the states. */
static enum errc check_holders(struct look *k, uint64_t account)
{
	enum errc rc = ERRC_OK;

	for (size_t i = 0, run; !rc && i * ROWS_ID < k->keys.len; i += run) {
		struct rows_state state;

		run = run_of(k, i);
		rc = live_get_state(k->l, k->txn, account, ROWS_KEY, k->keys.p + i * ROWS_ID,
				    &state);
		if (!rc && state.holds != run)
			broken(k->s, account);
		if (live_is_damaged(rc))
			rc = ERRC_OK;
	}
	return rc;
}

/* And each that says so must have them. Unless `whole` not all holds are known. */
static enum errc check_state(struct look *k, uint64_t account, const char *id, struct slice row,
			     bool whole)
{
	struct rows_state state;
	enum errc rc = rows_get_state(row, &state);

	k->s->rows++;
	if (!rc && whole && state.holds > 0 && state.holds != holds_of(k, id))
		broken(k->s, account);
	return rc;
}

/* The states of all keys that a row has. */
static enum errc check_row(struct look *k, uint64_t account, struct slice id, struct slice row,
			   bool whole)
{
	struct rows_states w;
	enum errc rc = rows_states_begin(&w, id, row);

	while (!rc && !(rc = rows_states_next(&w))) {
		if (w.kind == ROWS_KEY)
			rc = check_state(k, account, w.id, w.state, whole);
	}
	if (live_is_damaged(rc))
		damaged(k->s, account);
	return rc == ERRC_NOTFOUND || live_is_damaged(rc) ? ERRC_OK : rc;
}

/* Those of several scopes in one row. */
static enum errc check_several(struct look *k, uint64_t account, bool whole)
{
	struct slice several;
	enum errc rc = live_get_states(k->l, k->txn, account, &several);

	if (live_is_damaged(rc)) {
		damaged(k->s, account);
		return ERRC_OK;
	}
	return rc || several.n == 0 ? rc : check_row(k, account, SLICE_NONE, several, whole);
}

/* The others, from s->at on, or up to a slice's end. */
static enum errc check_states(struct look *k, uint64_t account, bool whole)
{
	struct rows_key_name from = rows_name_state(account, ROWS_KEY, k->s->at);
	struct slice key = live_name(&from), value, id;
	enum rows_kind kind;
	uint64_t now;
	enum errc rc = lmdbx_move(k->c, MDB_SET_RANGE, &key, &value);

	k->s->inside = false;
	for (; !rc; rc = lmdbx_move(k->c, MDB_NEXT, &key, &value)) {
		if (!rows_name_parse(key, &now, &kind, &id))
			return ERRC_CORRUPT;
		if (now != account || kind != ROWS_STATE || id.n != 1 + ROWS_ID ||
		    id.p[0] != ROWS_KEY)
			return ERRC_OK;
		if (k->s->rows >= k->until) {
			k->s->inside = true;
			memcpy(k->s->at, id.p + 1, ROWS_ID);
			return ERRC_OK;
		}
		rc = check_row(k, account, id, value, whole);
		if (rc)
			return rc;
	}
	return rc;
}

/* Its first slice, and the only one that adds up: sums, and every hold with its key. */
static enum errc begin_account(struct look *k, uint64_t account, enum rows_kind kind,
			       struct slice value)
{
	struct sums m = {.whole = true};
	enum errc rc = kind == ROWS_ACCOUNT ? rows_get_account(value, &m.a) : ERRC_OK;

	m.any = !rc && kind == ROWS_ACCOUNT;
	if (live_is_damaged(rc)) {
		damaged(k->s, account);
		rc = ERRC_OK;
	}
	m.sound = m.any && rows_account_is_sound(&m.a);
	k->s->told = false;
	memset(k->s->at, 0, sizeof k->s->at);
	if (!rc)
		rc = read_holds(k, account, &m);
	if (rc)
		return rc;
	if (m.any)
		add_up(k->s, &m);
	if (m.whole)
		rc = check_holders(k, account);
	if (!rc)
		rc = check_several(k, account, m.whole);
	return rc ? rc : check_states(k, account, m.whole);
}

/* One that has more keys than a slice has rows: what the others have meanwhile is read anew. */
static enum errc go_on_inside(struct look *k)
{
	struct sums m = {.whole = true};
	enum errc rc = read_holds(k, k->s->next_account, &m);

	if (!rc)
		rc = check_states(k, k->s->next_account, m.whole);
	if (!rc && !k->s->inside)
		k->s->next_account++;
	return rc;
}

static enum errc scan_rows(struct look *k, size_t accounts_max)
{
	struct scan *s = k->s;
	enum errc rc = s->inside ? go_on_inside(k) : ERRC_OK;

	for (size_t n = 0; !rc && !s->inside && n < accounts_max && s->rows < k->until; n++) {
		struct rows_key_name from =
			rows_name(MAX_OF(s->next_account, (uint64_t)1), ROWS_HEAD, SLICE_NONE);
		struct slice key = live_name(&from), value, id;
		enum rows_kind kind;
		uint64_t account;

		rc = lmdbx_move(k->c, MDB_SET_RANGE, &key, &value);
		if (rc || !rows_name_parse(key, &account, &kind, &id))
			return ERRC_CORRUPT; /* the tail row is always there */
		s->done = account > ROWS_ACCOUNT_LAST;
		if (s->done)
			return ERRC_OK;
		s->rows++;
		s->next_account = account;
		rc = begin_account(k, account, kind, value);
		if (!rc && !s->inside)
			s->next_account = account + 1;
	}
	return rc == ERRC_NOTFOUND ? ERRC_CORRUPT : rc;
}

enum errc scan_slice(struct live *l, struct scan *s, size_t accounts_max)
{
	struct look k = {.s = s, .l = l, .until = s->rows + SLICE_ROWS};
	enum errc rc;

	require(accounts_max > 0 && !s->done);
	buf_init(&k.keys, HOLDS_MAX);
	rc = live_read_begin(l, &k.txn);
	if (rc)
		return rc;
	rc = lmdbx_errc(mdb_cursor_open(k.txn, l->rows, &k.c));
	if (!rc) {
		rc = scan_rows(&k, accounts_max);
		mdb_cursor_close(k.c);
	}
	live_read_end(l);
	buf_fini(&k.keys);
	return rc;
}

int64_t scan_off(const struct scan *s)
{
	return s->imbalance_nusd != 0 ? s->imbalance_nusd
				      : (int64_t)(s->broken_accounts + s->damaged);
}
