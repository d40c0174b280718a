#include "ledger_priv.h"

static bool is_name(struct slice key, const struct rows_key_name *name)
{
	return slice_eq(key, slice_of(name->b, name->n));
}

static enum errc load_account(struct book *b, struct slice key, struct slice row)
{
	struct rows_key_name name;
	struct rows_account def;
	enum errc rc = rows_get_account(row, &def);

	if (rc)
		return rc;
	name = rows_name(def.id, ROWS_ACCOUNT, SLICE_NONE);
	return is_name(key, &name) ? book_load_account(b, row) : ERRC_CORRUPT;
}

static enum errc load_scope(struct book *b, MDB_txn *txn, MDB_dbi db, struct slice key,
			    struct slice row)
{
	struct rows_key_name name;
	struct rows_scope def;
	struct slice state;
	enum errc rc = rows_get_scope(row, &def);

	if (rc)
		return rc;
	name = rows_name_scope(def.account, def.kind, def.id);
	if (!is_name(key, &name))
		return ERRC_CORRUPT;
	name = rows_name_state(def.account, def.kind, def.id);
	rc = lmdbx_get(txn, db, slice_of(name.b, name.n), &state);
	return rc ? ERRC_CORRUPT : book_load_scope(b, row, state);
}

static enum errc load_row(struct book *b, MDB_txn *txn, MDB_dbi db, struct slice key,
			  struct slice value)
{
	struct slice id;
	enum rows_kind kind;
	uint64_t account;

	if (!rows_name_parse(key, &account, &kind, &id))
		return ERRC_CORRUPT;
	if (kind == ROWS_ACCOUNT)
		return load_account(b, key, value);
	if (kind >= ROWS_RULES && kind <= ROWS_USER)
		return load_scope(b, txn, db, key, value);
	/* States are read with their rows, which stand before them. */
	if (kind != ROWS_STATE || id.n != 1 + ROWS_ID || id.p[0] != ROWS_USER ||
	    book_scope(b, ROWS_USER, account, id.p + 1))
		return ERRC_OK;
	return book_load_state(b, account, id.p + 1, value);
}

enum errc ledger_load_rows(MDB_txn *txn, MDB_dbi db, struct book *b)
{
	struct slice key = SLICE_NONE, value;
	MDB_cursor *c;
	enum errc rc = lmdbx_errc(mdb_cursor_open(txn, db, &c));

	if (rc)
		return rc;
	rc = lmdbx_move(c, MDB_FIRST, &key, &value);
	while (!rc) {
		rc = load_row(b, txn, db, key, value);
		if (!rc)
			rc = lmdbx_move(c, MDB_NEXT, &key, &value);
	}
	mdb_cursor_close(c);
	if (rc == ERRC_NOTFOUND)
		rc = ERRC_OK;
	if (!rc)
		book_clean(b);
	return rc;
}

/* Where changed rows go. */
struct writing {
	MDB_txn *txn;
	MDB_dbi db;
	MDB_cursor *c; /* most rows are neighbours of the one before */
	struct buf row;
};

static enum errc put_row(struct writing *w, struct rows_key_name name)
{
	return lmdbx_cursor_put(w->c, slice_of(name.b, name.n), buf_slice(&w->row), 0);
}

static enum errc put_scope_row(struct writing *w, const struct book_scope *s)
{
	struct rows_key_name name = rows_name_scope(s->account, s->kind, s->id);
	struct slice key = slice_of(name.b, name.n);
	enum errc rc;

	if (s->row.n)
		return lmdbx_cursor_put(w->c, key, s->row, 0);
	rc = lmdbx_del(w->txn, w->db, key);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

static enum errc put_changed(void *arg, const struct rows_account *a, const struct book_scope *s,
			     bool row)
{
	struct writing *w = arg;
	struct rows_state state;
	enum errc rc = ERRC_OK;

	buf_reset(&w->row);
	if (a) {
		rc = rows_put_account(&w->row, a);
		return rc ? rc : put_row(w, rows_name(a->id, ROWS_ACCOUNT, SLICE_NONE));
	}
	if (row)
		rc = put_scope_row(w, s);
	book_state(s, &state);
	if (!rc)
		rc = rows_put_state(&w->row, &state);
	return rc ? rc : put_row(w, rows_name_state(s->account, s->kind, s->id));
}

enum errc ledger_put_rows(MDB_txn *txn, MDB_dbi db, struct book *b)
{
	struct writing w = {.txn = txn, .db = db};
	enum errc rc = lmdbx_errc(mdb_cursor_open(txn, db, &w.c));

	if (rc)
		return rc;
	buf_init(&w.row, ROWS_MAX);
	rc = book_each_changed(b, put_changed, &w);
	buf_fini(&w.row);
	mdb_cursor_close(w.c);
	return rc;
}

static enum errc forget(void *arg, const struct book_scope *s)
{
	struct writing *w = arg;
	struct rows_key_name name = rows_name_state(s->account, s->kind, s->id);
	enum errc rc = lmdbx_del(w->txn, w->db, slice_of(name.b, name.n));

	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

enum errc ledger_forget_rows(MDB_txn *txn, MDB_dbi db, struct book *b, int64_t wall_s)
{
	struct writing w = {.txn = txn, .db = db};

	return book_each_idle(b, wall_s, forget, &w);
}
