#include "idle_priv.h"
#include "live_states.h"
#include "userroom.h"

#define SLICE_ROWS  256 /* looked at in one read transaction */
#define BESIDE_ROWS 64  /* looked at to make room for another */

bool idle_counts(const struct rows_state *s, const struct rows_scope *every, int64_t boot_ms,
		 int64_t wall_s)
{
	if (s->holds > 0)
		return true;
	for (size_t i = 0; every && i < every->limits.n; i++) {
		const struct rows_rule *r = &every->limits.v[i];
		const struct rows_counter *c = rows_state_counter(s, r);

		if (c && !rows_counter_is_idle(c, r, boot_ms, wall_s))
			return true;
	}
	return false;
}

bool idle_may_go(const struct rows_state *s, const struct rows_scope *every, int64_t boot_ms,
		 int64_t wall_s)
{
	/* Without the rules too: they may have been lost, and are put back. */
	if (wall_s - s->used_s < IDLE_S)
		return false;
	/* Over for as long: a clock that is set back a little finds what was used. */
	return !idle_counts(s, every, boot_ms, wall_s - IDLE_S);
}

struct look {
	struct live *l;
	MDB_txn *txn;
	int64_t boot_ms, wall_s;
	bool is_short;    /* room is */
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

static enum errc has_row(struct live *l, MDB_txn *txn, uint64_t account, const char id[ROWS_ID],
			 bool *yes)
{
	struct rows_key_name name = rows_name_scope(account, ROWS_USER, id);
	struct slice own;
	enum errc rc = live_row_get(l, txn, &name, &own);

	*yes = rc != ERRC_NOTFOUND;
	return *yes ? rc : ERRC_OK;
}

/* What cannot be read, or cannot be judged for that, stays. */
static enum errc may_go(struct look *k, uint64_t account, const char id[ROWS_ID], struct slice row,
			bool *yes)
{
	const struct rows_scope *every;
	struct rows_state s;
	bool has_own;
	enum errc rc = has_row(k->l, k->txn, account, id, &has_own);

	*yes = false;
	if (rc || has_own)
		return rc;
	rc = load_every(k, account);
	if (!rc)
		rc = rows_get_state(row, &s);
	every = k->have_every ? &k->every : NULL;
	if (!rc)
		*yes = k->is_short ? !idle_counts(&s, every, k->boot_ms, k->wall_s - IDLE_SHORT_S)
				   : idle_may_go(&s, every, k->boot_ms, k->wall_s);
	return live_is_damaged(rc) ? ERRC_OK : rc;
}

static struct rows_key_name first_state(uint64_t account)
{
	static const char none[ROWS_ID];

	return rows_name_state(account, ROWS_USER, none);
}

/* Those of end users, as many as there is room for; of a row that cannot be read none, for it cannot be written either. */
static enum errc look_at_states(struct look *k, uint64_t account, struct slice id, struct slice row,
				struct idle_found *f)
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
			   const struct idle_found *f, struct rows_key_name *at)
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
static enum errc look(struct look *k, MDB_cursor *c, struct idle *it, struct idle_found *f)
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

static enum errc take_one(struct live *l, MDB_txn *txn, uint64_t account, const char id[ROWS_ID])
{
	struct rows_state s;
	enum errc rc = live_get_state(l, txn, account, ROWS_USER, id, &s);

	if (!rc)
		rc = userroom_note(l, txn, account, -(int64_t)s.noted);
	return rc ? rc : live_del_state(l, txn, account, ROWS_USER, id);
}

/* Once more, where nobody else writes: they may have been used since. */
static enum errc take_away(struct look *k, const struct idle_found *f, uint64_t *removed)
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
		rc = take_one(k->l, k->txn, f->of[i].account, f->of[i].id);
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

/* Whether all of their room is nearly taken. */
static enum errc look_at_room(struct look *k)
{
	struct userroom room;
	enum errc rc = userroom_look(k->l, k->txn, ROWS_ACCOUNT_HEAD, &room);

	if (!rc)
		k->is_short = userroom_is_short(&room);
	return rc;
}

enum errc idle_slice(struct live *l, struct idle *it, int64_t boot_ms, int64_t wall_ms)
{
	struct look k = {.l = l, .boot_ms = boot_ms, .wall_s = wall_ms / 1000};
	struct idle_found f = {.n = 0};
	MDB_cursor *c;
	enum errc rc = live_read_begin(l, &k.txn);

	if (rc)
		return rc;
	if (it->at.n == 0)
		it->at = rows_name(1, ROWS_HEAD, SLICE_NONE);
	rc = look_at_room(&k);
	if (!rc)
		rc = lmdbx_errc(mdb_cursor_open(k.txn, l->rows, &c));
	if (!rc) {
		rc = look(&k, c, it, &f);
		mdb_cursor_close(c);
	}
	live_read_end(l);
	return rc || f.n == 0 ? rc : take_away(&k, &f, &it->removed);
}

struct beside {
	struct live *l;
	MDB_txn *txn;
	const struct rows_scope *every;
	int64_t boot_ms;
	size_t bytes; /* that are wanted */
	struct idle_found *out;
};

static enum errc look_beside(struct beside *b, struct slice key, struct slice row)
{
	const char *id = key.p + key.n - ROWS_ID;
	struct idle_found *f = b->out;
	struct rows_state s;
	bool has_own;
	enum errc rc = rows_get_state(row, &s);

	if (rc || idle_counts(&s, b->every, b->boot_ms, 0))
		return live_is_damaged(rc) ? ERRC_OK : rc;
	rc = has_row(b->l, b->txn, b->every->account, id, &has_own);
	if (rc || has_own)
		return rc;
	f->bytes += s.noted;
	f->of[f->n].account = b->every->account;
	memcpy(f->of[f->n++].id, id, ROWS_ID);
	return ERRC_OK;
}

static bool is_enough(const struct beside *b)
{
	return b->out->bytes >= b->bytes || b->out->n == ARRAY_LEN(b->out->of);
}

/* From where the last look came to, round the account's. */
static enum errc look_round(struct beside *b, MDB_cursor *c)
{
	struct rows_key_name from = rows_name_state(b->every->account, ROWS_USER, b->l->users_at),
			     first = first_state(b->every->account);
	struct slice key = live_name(&from), value;
	bool round = false;
	enum errc rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);

	for (int n = 0; !rc && n < BESIDE_ROWS && !is_enough(b); n++) {
		if (key.n == first.n && memcmp(key.p, first.b, first.n - ROWS_ID) == 0) {
			rc = look_beside(b, key, value);
			if (!rc)
				rc = lmdbx_move(c, MDB_NEXT, &key, &value);
			continue;
		}
		if (round)
			break;
		round = true;
		key = live_name(&first);
		rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);
	}
	memset(b->l->users_at, 0, ROWS_ID);
	if (!rc && key.n == first.n)
		memcpy(b->l->users_at, key.p + key.n - ROWS_ID, ROWS_ID);
	return rc;
}

/* Those that stand in rows of their own. */
enum errc idle_find(struct live *l, MDB_txn *txn, const struct rows_scope *every, size_t bytes,
		    int64_t boot_ms, struct idle_found *out)
{
	struct beside b = {l, txn, every, boot_ms, bytes, out};
	MDB_cursor *c;
	enum errc rc = lmdbx_errc(mdb_cursor_open(txn, l->rows, &c));

	out->n = out->bytes = 0;
	if (rc)
		return rc;
	rc = look_round(&b, c);
	mdb_cursor_close(c);
	return rc;
}

enum errc idle_take(struct live *l, MDB_txn *txn, const struct idle_found *f)
{
	enum errc rc = ERRC_OK;

	for (size_t i = 0; !rc && i < f->n; i++)
		rc = take_one(l, txn, f->of[i].account, f->of[i].id);
	return rc;
}
