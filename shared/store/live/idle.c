#include "idle.h"

#include "live_states.h"

#define SLICE_ROWS 256 /* looked at in one read transaction */

bool idle_may_go(const struct rows_state *s, const struct rows_scope *every, int64_t boot_ms,
		 int64_t wall_s)
{
	if (s->holds > 0 || wall_s - s->used_s < IDLE_S)
		return false;
	for (size_t i = 0; every && i < every->limits.n; i++) {
		const struct rows_rule *r = &every->limits.v[i];
		const struct rows_counter *c = rows_state_counter(s, r);

		/* Over for as long: a clock that is set back a little finds what was used. */
		if (c && !rows_counter_is_idle(c, r, boot_ms, wall_s - IDLE_S))
			return false;
	}
	return true;
}

/* What is to be taken away. */
struct found {
	size_t n;
	struct {
		uint64_t account;
		char id[ROWS_ID];
	} of[LIMIT_TXN_OPS];
};

struct look {
	struct live *l;
	MDB_txn *txn;
	int64_t boot_ms, wall_s;
	uint64_t account; /* `every` is of this one */
	bool have_every;
	struct rows_scope every;
};

static enum errc load_every(struct look *k, uint64_t account)
{
	char id[ROWS_ID];
	enum errc rc;

	if (k->account == account)
		return ERRC_OK;
	rows_user_id(SLICE_LIT(ROWS_EVERY_USER), id);
	rc = live_get_scope(k->l, k->txn, account, ROWS_USER, id, &k->every);
	if (rc && rc != ERRC_NOTFOUND)
		return rc;
	k->have_every = !rc;
	k->account = account;
	return ERRC_OK;
}

/* What cannot be read, or cannot be judged for that, stays. */
static enum errc may_go(struct look *k, uint64_t account, const char id[ROWS_ID], struct slice row,
			bool *yes)
{
	struct rows_key_name name = rows_name_scope(account, ROWS_USER, id);
	struct rows_state s;
	struct slice own;
	enum errc rc = live_row_get(k->l, k->txn, &name, &own);

	*yes = false;
	if (rc != ERRC_NOTFOUND)
		return rc;
	rc = load_every(k, account);
	if (!rc)
		rc = rows_get_state(row, &s);
	if (!rc)
		*yes = idle_may_go(&s, k->have_every ? &k->every : NULL, k->boot_ms, k->wall_s);
	return live_is_damaged(rc) ? ERRC_OK : rc;
}

static struct rows_key_name first_state(uint64_t account)
{
	static const char none[ROWS_ID];

	return rows_name_state(account, ROWS_USER, none);
}

/* Those of end users, as many as there is room for; of a row that cannot be read none, for it cannot be written either. */
static enum errc look_at_states(struct look *k, uint64_t account, struct slice id, struct slice row,
				struct found *f)
{
	struct rows_states w;
	enum errc rc = rows_states_check(id, row);

	if (!rc)
		rc = rows_states_begin(&w, id, row);
	while (!rc && f->n < ARRAY_LEN(f->of) && !(rc = rows_states_next(&w))) {
		bool go = false;

		if (w.kind == ROWS_USER)
			rc = may_go(k, account, w.id, w.state, &go);
		if (rc || !go)
			continue;
		f->of[f->n].account = account;
		memcpy(f->of[f->n++].id, w.id, ROWS_ID);
	}
	return rc == ERRC_NOTFOUND || live_is_damaged(rc) ? ERRC_OK : rc;
}

/* Where to look after this row, if not at the next (at->n = 0): the states of end users, and past accounts that never had any. */
static enum errc next_name(enum rows_kind kind, uint64_t account, struct slice id, struct slice row,
			   const struct found *f, struct rows_key_name *at)
{
	struct rows_account a;
	enum errc rc = ERRC_OK;

	at->n = 0;
	if (kind == ROWS_STATE && id.n == 0) {
		/* Those that there was no room for are there once these are gone. */
		*at = f->n == ARRAY_LEN(f->of) ? rows_name_states(account) : first_state(account);
	} else if (kind == ROWS_STATE && id.p[0] < ROWS_USER) {
		*at = first_state(account); /* there is no row of several */
	} else if (kind != ROWS_STATE || id.p[0] != ROWS_USER) {
		*at = rows_name(account + 1, ROWS_HEAD, SLICE_NONE);
		rc = kind == ROWS_ACCOUNT ? rows_get_account(row, &a) : ERRC_OK;
		if (!rc && kind == ROWS_ACCOUNT && (a.flags & ROWS_ACCOUNT_USERS))
			*at = rows_name_states(account);
	}
	return live_is_damaged(rc) ? ERRC_OK : rc;
}

/* From it->at on; n = 0 there when the round is complete. */
static enum errc look(struct look *k, MDB_cursor *c, struct idle *it, struct found *f)
{
	struct slice key = live_name(&it->at), value, id;
	struct rows_key_name next;
	enum rows_kind kind;
	uint64_t account;
	enum errc rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);

	for (int n = 0; !rc && n < SLICE_ROWS && f->n < ARRAY_LEN(f->of); n++) {
		if (!rows_name_parse(key, &account, &kind, &id))
			return ERRC_CORRUPT;
		if (account > ROWS_ACCOUNT_LAST) {
			it->at.n = 0;
			return ERRC_OK;
		}
		if (kind == ROWS_STATE)
			rc = look_at_states(k, account, id, value, f);
		if (!rc)
			rc = next_name(kind, account, id, value, f, &next);
		if (rc)
			break;
		key = next.n ? live_name(&next) : key;
		rc = lmdbx_move(c, next.n ? MDB_SET_RANGE : MDB_NEXT, &key, &value);
	}
	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_CORRUPT : rc; /* the tail row is always there */
	require(key.n <= sizeof it->at.b);
	memcpy(it->at.b, key.p, key.n);
	it->at.n = key.n;
	return ERRC_OK;
}

/* Once more, where nobody else writes: they may have been used since. */
static enum errc take_away(struct look *k, const struct found *f, uint64_t *removed)
{
	uint64_t n = 0;
	enum errc rc = live_txn_begin(k->l, &k->txn);

	k->account = ROWS_ACCOUNT_HEAD;
	for (size_t i = 0; !rc && i < f->n; i++) {
		struct slice row;
		bool go = false;

		rc = live_state_row(k->l, k->txn, f->of[i].account, ROWS_USER, f->of[i].id, &row);
		if (!rc)
			rc = may_go(k, f->of[i].account, f->of[i].id, row, &go);
		if (rc == ERRC_NOTFOUND || live_is_damaged(rc))
			rc = ERRC_OK;
		if (rc || !go)
			continue;
		rc = live_del_state(k->l, k->txn, f->of[i].account, ROWS_USER, f->of[i].id);
		k->account = ROWS_ACCOUNT_HEAD; /* what was read of it has moved */
		n++;
	}
	if (!rc)
		rc = live_txn_commit(k->l, &k->txn);
	live_txn_abort(k->l, &k->txn);
	if (!rc)
		*removed += n;
	return rc;
}

enum errc idle_slice(struct live *l, struct idle *it, int64_t boot_ms, int64_t wall_ms)
{
	struct look k = {.l = l, .boot_ms = boot_ms, .wall_s = wall_ms / 1000};
	struct found f = {.n = 0};
	MDB_cursor *c;
	enum errc rc = live_read_begin(l, &k.txn);

	if (rc)
		return rc;
	if (it->at.n == 0)
		it->at = rows_name(1, ROWS_HEAD, SLICE_NONE);
	rc = lmdbx_errc(mdb_cursor_open(k.txn, l->rows, &c));
	if (!rc) {
		rc = look(&k, c, it, &f);
		mdb_cursor_close(c);
	}
	live_read_end(l);
	return rc || f.n == 0 ? rc : take_away(&k, &f, &it->removed);
}
