#include "admin.h"
#include "live_states.h"
#include "text.h"

#define SLICE_ROWS 256 /* rows a read transaction */

enum errc admin_account_find(struct live *l, struct slice name_or_id, uint64_t *account)
{
	struct rows_account a;
	MDB_txn *txn;
	uint64_t id;
	enum errc rc = live_read_begin(l, &txn);

	if (rc)
		return rc;
	rc = live_find_account(l, txn, name_or_id, account);
	if (rc == ERRC_NOTFOUND && text_u64(name_or_id, &id)) {
		rc = live_get_account(l, txn, id, &a);
		if (!rc)
			*account = id;
	}
	live_read_end(l);
	return rc;
}

/* Copies a row out of the store, so that what is read from it stays. */
static enum errc copy_row(struct live *l, MDB_txn *txn, struct rows_key_name name, struct buf *mem,
			  struct slice *out)
{
	struct slice v;
	enum errc rc = live_row_get(l, txn, &name, &v);

	buf_reset(mem);
	if (!rc)
		rc = buf_adds(mem, v);
	*out = buf_slice(mem);
	return rc;
}

enum errc admin_account_get(struct live *l, uint64_t account, struct buf *mem,
			    struct rows_account *out)
{
	struct slice row;
	MDB_txn *txn;
	enum errc rc = live_read_begin(l, &txn);

	if (rc)
		return rc;
	rc = copy_row(l, txn, rows_name(account, ROWS_ACCOUNT, SLICE_NONE), mem, &row);
	live_read_end(l);
	return rc ? rc : rows_get_account(row, out);
}

/* In an open read transaction; state may be NULL. */
static enum errc copy_scope(struct live *l, MDB_txn *txn, struct rows_key_name name,
			    struct buf *mem, struct rows_scope *out, struct rows_state *state)
{
	struct slice row;
	enum errc rc = copy_row(l, txn, name, mem, &row);

	if (!rc)
		rc = rows_get_scope(row, out);
	if (rc || !state)
		return rc;
	rc = live_get_state(l, txn, out->account, out->kind, out->id, state);
	if (!rc)
		rows_state_align(state, &out->limits, false);
	return rc;
}

enum errc admin_scope_get(struct live *l, uint64_t account, enum rows_kind kind,
			  const char id[ROWS_ID], struct buf *mem, struct rows_scope *out,
			  struct rows_state *state)
{
	static const char none[ROWS_ID];
	MDB_txn *txn;
	enum errc rc = live_read_begin(l, &txn);

	if (rc)
		return rc;
	rc = copy_scope(l, txn, rows_name_scope(account, kind, kind == ROWS_ACCOUNT ? none : id),
			mem, out, state);
	live_read_end(l);
	return rc;
}

enum errc admin_key_get(struct live *l, const char id[APIKEY_ID], struct buf *mem,
			struct rows_scope *out, struct rows_state *state)
{
	uint64_t account;
	MDB_txn *txn;
	enum errc rc = live_read_begin(l, &txn);

	if (rc)
		return rc;
	rc = live_find_key(l, txn, id, &account);
	if (!rc)
		rc = copy_scope(l, txn, rows_name_scope(account, ROWS_KEY, id), mem, out, state);
	live_read_end(l);
	return rc;
}

enum errc admin_team_find(struct live *l, uint64_t account, struct slice name_or_id,
			  char id[ROWS_ID])
{
	struct rows_scope s;
	MDB_txn *txn;
	enum errc rc = live_read_begin(l, &txn);

	if (rc)
		return rc;
	rc = live_find_team(l, txn, account, name_or_id, id);
	if (rc == ERRC_NOTFOUND && name_or_id.n == ROWS_ID) {
		rc = live_get_scope(l, txn, account, ROWS_TEAM, name_or_id.p, &s);
		if (!rc)
			memcpy(id, name_or_id.p, ROWS_ID);
	}
	live_read_end(l);
	return rc;
}

/* A walk over accounts or scopes of one kind: a slice of rows is copied in each read transaction, then handed out without one. */
struct each {
	struct live *l;
	uint64_t only;           /* account; 0: all */
	enum rows_kind kind;     /* ROWS_ACCOUNT, or the scopes */
	struct rows_key_name at; /* where the next slice begins */
	struct buf rows;         /* length (4), state's length (4), row, state */
	bool end;
};

static enum errc keep(struct each *e, struct slice row, struct slice state)
{
	uint32_t n[2] = {(uint32_t)row.n, (uint32_t)state.n};
	enum errc rc = buf_add(&e->rows, n, sizeof n);

	if (!rc)
		rc = buf_adds(&e->rows, row);
	return rc ? rc : buf_adds(&e->rows, state);
}

static enum errc keep_scope(struct each *e, MDB_txn *txn, uint64_t account, struct slice id,
			    struct slice row)
{
	struct slice state;
	enum errc rc;

	if (id.n != ROWS_ID)
		return ERRC_CORRUPT;
	rc = live_state_row(e->l, txn, account, e->kind, id.p, &state);
	if (rc == ERRC_NOTFOUND) {
		state = SLICE_NONE;
		rc = ERRC_OK;
	}
	return rc ? rc : keep(e, row, state);
}

/* The next account is found by a jump, not by passing over holds and states. */
static enum errc fill(struct each *e, MDB_txn *txn, MDB_cursor *c)
{
	struct slice key = live_name(&e->at), value, id;
	enum rows_kind kind;
	uint64_t account;
	enum errc rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);

	for (int n = 0; !rc && n < SLICE_ROWS; n++) {
		if (!rows_name_parse(key, &account, &kind, &id))
			return ERRC_CORRUPT;
		if (account > ROWS_ACCOUNT_LAST || (e->only && account != e->only)) {
			e->end = true;
			return ERRC_OK;
		}
		if (kind == e->kind)
			rc = kind == ROWS_ACCOUNT ? keep(e, value, SLICE_NONE)
						  : keep_scope(e, txn, account, id, value);
		if (rc)
			return rc;
		if (kind > e->kind || (kind == ROWS_ACCOUNT && e->kind == ROWS_ACCOUNT)) {
			e->at = rows_name(account + 1, ROWS_HEAD, SLICE_NONE);
			key = live_name(&e->at);
			rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);
		} else {
			rc = lmdbx_move(c, MDB_NEXT, &key, &value);
		}
	}
	if (rc) {
		e->end = rc == ERRC_NOTFOUND;
		return e->end ? ERRC_OK : rc;
	}
	require(key.n <= sizeof e->at.b);
	memcpy(e->at.b, key.p, key.n);
	e->at.n = key.n;
	return ERRC_OK;
}

static enum errc next_slice(struct each *e)
{
	MDB_cursor *c;
	MDB_txn *txn;
	enum errc rc = live_read_begin(e->l, &txn);

	if (rc)
		return rc;
	buf_reset(&e->rows);
	rc = lmdbx_errc(mdb_cursor_open(txn, e->kind == ROWS_ACCOUNT ? e->l->rows : e->l->defs, &c));
	if (!rc) {
		rc = fill(e, txn, c);
		mdb_cursor_close(c);
	}
	live_read_end(e->l);
	return rc;
}

static void each_init(struct each *e, struct live *l, uint64_t only, enum rows_kind kind)
{
	*e = (struct each){.l = l, .only = only, .kind = kind};
	e->at = rows_name(MAX_OF(only, (uint64_t)1), ROWS_HEAD, SLICE_NONE);
	buf_init(&e->rows, (size_t)SLICE_ROWS * (ROWS_MAX + 256));
}

/* The next pair of the slice. False: it is used up. */
static bool each_next(struct each *e, size_t *at, struct slice *row, struct slice *state)
{
	uint32_t n[2];

	if (*at == e->rows.len)
		return false;
	memcpy(n, e->rows.p + *at, sizeof n);
	*row = slice_of(e->rows.p + *at + sizeof n, n[0]);
	*state = slice_of(e->rows.p + *at + sizeof n + n[0], n[1]);
	*at += sizeof n + n[0] + n[1];
	return true;
}

enum errc admin_account_each(struct live *l,
			     enum errc (*fn)(void *arg, const struct rows_account *), void *arg)
{
	struct each e;
	enum errc rc = ERRC_OK;

	each_init(&e, l, 0, ROWS_ACCOUNT);
	while (!rc && !e.end) {
		struct slice row, state;
		size_t at = 0;

		rc = next_slice(&e);
		while (!rc && each_next(&e, &at, &row, &state)) {
			struct rows_account a;

			rc = rows_get_account(row, &a);
			if (!rc)
				rc = fn(arg, &a);
		}
	}
	buf_fini(&e.rows);
	return rc;
}

enum errc admin_scope_each(struct live *l, uint64_t account, enum rows_kind kind,
			   enum errc (*fn)(void *arg, const struct rows_scope *,
					   const struct rows_state *),
			   void *arg)
{
	struct each e;
	enum errc rc = ERRC_OK;

	each_init(&e, l, account, kind);
	while (!rc && !e.end) {
		struct slice row, state;
		size_t at = 0;

		rc = next_slice(&e);
		while (!rc && each_next(&e, &at, &row, &state)) {
			struct rows_state s;
			struct rows_scope def;

			rows_state_init(&s);
			rc = rows_get_scope(row, &def);
			if (!rc && state.n > 0)
				rc = rows_get_state(state, &s);
			if (rc)
				break;
			rows_state_align(&s, &def.limits, false);
			rc = fn(arg, &def, &s);
		}
	}
	buf_fini(&e.rows);
	return rc;
}
