#include "agree.h"

#include "admin_priv.h"
#include "be.h"
#include "rows_states.h"

#define ROWS_A_SLICE 512 /* compared in one transaction: half a millisecond */
#define ROUNDS_MAX   8   /* of taking over, while the workers go on */

/* What the ledger says of one account, and the outbox beside it. */
struct expected {
	uint64_t account;
	int64_t granted, settled, uncollected;
};

/* The accounts of a slice, in order. */
struct slice_of_accounts {
	struct expected of[AGREE_SLICE];
	bool waits[AGREE_SLICE];   /* it has records in the outbox: its rows are not compared */
	bool differs[AGREE_SLICE]; /* some row of it does */
	bool unread[AGREE_SLICE];  /* its sums cannot be read */
	struct rows_account live[AGREE_SLICE]; /* without names */
	size_t n;
	bool last; /* there is none behind them */
};

static enum errc read_accounts(MDB_cursor *c, uint64_t from, struct slice_of_accounts *s)
{
	struct rows_key_name at = rows_name(MAX_OF(from, (uint64_t)1), ROWS_HEAD, SLICE_NONE);
	struct slice key = live_name(&at), value, id;
	enum rows_kind kind;
	uint64_t account;
	enum errc rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);

	while (!rc) {
		if (!rows_name_parse(key, &account, &kind, &id))
			return ERRC_CORRUPT;
		s->last = account > ROWS_ACCOUNT_LAST;
		if (s->last || s->n == AGREE_SLICE)
			return ERRC_OK;
		if (kind == ROWS_ACCOUNT) {
			struct rows_account *a = &s->live[s->n];

			rc = rows_get_account(value, a);
			s->unread[s->n] = live_is_damaged(rc);
			if (rc && !s->unread[s->n])
				return rc;
			a->id = account;
			a->name = SLICE_NONE;
			s->n++;
		}
		at = rows_name(account + 1, ROWS_HEAD, SLICE_NONE);
		key = live_name(&at);
		rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);
	}
	return rc == ERRC_NOTFOUND ? ERRC_CORRUPT : rc; /* the tail row is always there */
}

static void expect(const struct book *b, struct slice_of_accounts *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct rows_account *a = book_account(b, s->live[i].id);

		s->of[i] = (struct expected){.account = s->live[i].id};
		if (!a)
			continue;
		s->of[i].granted = a->granted_nusd;
		s->of[i].settled = a->settled_nusd;
		s->of[i].uncollected = a->uncollected_nusd;
	}
}

static struct expected *find(struct slice_of_accounts *s, uint64_t account)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->of[mid].account < account)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->n && s->of[lo].account == account ? &s->of[lo] : NULL;
}

static void add(struct slice_of_accounts *s, const struct record *r)
{
	struct expected *e = find(s, r->account);

	if (!e)
		return;
	s->waits[e - s->of] = true;
	if (r->type == RECORD_CHARGE) {
		e->settled += r->charge.charge_nusd;
		e->uncollected += r->charge.uncollected_nusd;
	} else if (r->type == RECORD_REVERSE) {
		e->settled -= r->change.amount_nusd;
		e->uncollected -= r->change.uncollected_nusd;
	} else if (r->type == RECORD_TAKE) {
		e->granted -= r->change.amount_nusd;
	}
}

static enum errc add_outbox(MDB_cursor *c, uint64_t taken, struct slice_of_accounts *s)
{
	struct rows_key_name at = rows_name_outbox(taken + 1);
	struct slice key = live_name(&at), value, bytes;
	struct live_outbox_head head;
	struct record r;
	enum errc rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);

	while (!rc) {
		if (!live_outbox_parse(value, &head, &bytes))
			return ERRC_CORRUPT;
		rc = record_decode(bytes, &r);
		if (rc)
			return rc;
		add(s, &r);
		rc = lmdbx_move(c, MDB_NEXT, &key, &value);
	}
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

static bool has_budget(const struct book_scope *s, uint32_t rule)
{
	struct rows_scope def;

	if (s->row.n == 0 || rows_get_scope(s->row, &def))
		return false;
	for (size_t i = 0; i < def.limits.n; i++) {
		if (def.limits.v[i].id == rule)
			return def.limits.v[i].kind == ROWS_BUDGET;
	}
	return false;
}

/* A window that only holds have opened is not in the ledger; of a rule that is gone nothing counts. */
static bool budget_agrees(const struct book_scope *in_book, const struct rows_counter *c)
{
	const struct window_sum *live = &c->budget.cur;

	for (size_t i = 0; i < in_book->counters_n; i++) {
		const struct window_sum *b = &in_book->counters[i].budget.cur;

		if (in_book->counters[i].id != c->id)
			continue;
		if (live->id == b->id)
			return live->used_nusd == b->used_nusd;
		return live->id > b->id ? live->used_nusd == 0 : b->used_nusd == 0;
	}
	return live->used_nusd == 0 || !has_budget(in_book, c->id);
}

static bool scope_agrees(const struct book *b, uint64_t account, enum rows_kind kind,
			 const char id[ROWS_ID], const struct rows_state *s)
{
	const struct book_scope *in_book = book_scope(b, kind, account, id);

	if (!in_book)
		return kind != ROWS_KEY && kind != ROWS_TEAM;
	/* Those of an end user begin anew in the live store when its lost definition is put back. */
	if ((kind == ROWS_KEY || kind == ROWS_TEAM) &&
	    (in_book->charged_nusd != s->charged_nusd || in_book->requests != s->requests ||
	     in_book->tokens != s->tokens))
		return false;
	for (size_t i = 0; i < s->n; i++) {
		if (s->counters[i].kind == ROWS_BUDGET && !budget_agrees(in_book, &s->counters[i]))
			return false;
	}
	return true;
}

/* The states that a row has. */
static enum errc states_agree(const struct book *b, uint64_t account, struct slice id,
			      struct slice row, bool *yes)
{
	struct rows_states w;
	struct rows_state s;
	enum errc rc = rows_states_begin(&w, id, row);

	*yes = true;
	while (!rc && !(rc = rows_states_next(&w))) {
		rc = rows_get_state(w.state, &s);
		if (!rc && !scope_agrees(b, account, w.kind, w.id, &s))
			*yes = false;
	}
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

/* A row in the two forms that are to be the same, as they would be stored: no member is forgotten. */
struct pair {
	struct buf of[2];
};

static bool is_same(const struct pair *p)
{
	return slice_eq(buf_slice(&p->of[0]), buf_slice(&p->of[1]));
}

/* What an account may do; its sums are compared with those of the outbox beside it. */
static bool account_agrees(struct pair *p, const struct rows_account *live,
			   const struct rows_account *in_book)
{
	struct rows_account a = *live;

	a.granted_nusd = in_book->granted_nusd;
	a.balance_nusd = in_book->balance_nusd;
	a.held_nusd = in_book->held_nusd;
	a.settled_nusd = in_book->settled_nusd;
	a.uncollected_nusd = in_book->uncollected_nusd;
	a.holds = in_book->holds;
	buf_reset(&p->of[0]);
	buf_reset(&p->of[1]);
	return !rows_put_account(&p->of[0], &a) && !rows_put_account(&p->of[1], in_book) &&
	       is_same(p);
}

static bool definition_agrees(struct pair *p, const struct book_scope *in_book,
			      const struct rows_scope *live)
{
	struct rows_scope def;

	if (!in_book || in_book->row.n == 0)
		return false;
	buf_reset(&p->of[0]);
	buf_reset(&p->of[1]);
	if (rows_put_scope(&p->of[0], live) || rows_get_scope(in_book->row, &def) ||
	    rows_put_scope(&p->of[1], &def))
		return false;
	return is_same(p);
}

/* A slice: one read transaction. */
struct look {
	struct agree *g;
	MDB_cursor *c, *defs;
	const struct book *book;
	struct pair pair;
	size_t rows;
};

static void damaged(struct agree *g, uint64_t account)
{
	if (g->damaged++ == 0)
		g->first_damaged = account;
}

static enum errc row_agrees(struct look *k, uint64_t account, enum rows_kind kind, struct slice id,
			    struct slice row, bool *yes)
{
	const struct rows_account *in_book = book_account(k->book, account);
	struct rows_account a;
	struct rows_scope def;
	enum errc rc;

	if (kind == ROWS_ACCOUNT) {
		rc = rows_get_account(row, &a);
		if (rc)
			return rc;
		*yes = in_book && account_agrees(&k->pair, &a, in_book);
	} else if (kind == ROWS_STATE) {
		return states_agree(k->book, account, id, row, yes);
	} else {
		rc = id.n == ROWS_ID ? rows_get_scope(row, &def) : ERRC_CORRUPT;
		if (rc)
			return rc;
		if (kind == ROWS_RULES)
			kind = ROWS_ACCOUNT;
		*yes = definition_agrees(&k->pair, book_scope(k->book, kind, account, id.p), &def);
	}
	return ERRC_OK;
}

/* What there is of one account in a tree, from `from` on, up to the slice's end. */
static enum errc look_at_tree(struct look *k, MDB_cursor *c, const struct rows_key_name *from,
			      bool waits, bool *differs)
{
	struct agree *g = k->g;
	struct slice key = live_name(from), value, id;
	uint64_t account = be_get(from->b, 8), now;
	enum rows_kind kind;
	bool yes;
	enum errc rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);

	for (; !rc; rc = lmdbx_move(c, MDB_NEXT, &key, &value)) {
		if (!rows_name_parse(key, &now, &kind, &id))
			return ERRC_CORRUPT;
		if (now != account || kind > ROWS_STATE)
			return ERRC_OK;
		if (k->rows == ROWS_A_SLICE) {
			g->inside = true;
			memcpy(g->at.b, key.p, key.n);
			g->at.n = key.n;
			return ERRC_OK;
		}
		k->rows++;
		rc = waits ? ERRC_OK : row_agrees(k, account, kind, id, value, &yes);
		if (live_is_damaged(rc))
			damaged(g, account);
		else if (rc)
			return rc;
		else if (!waits && !yes)
			*differs = true;
	}
	return rc == ERRC_NOTFOUND && c == k->defs ? ERRC_OK : rc;
}

/* The rows of one account, from k->g->at on if it was begun before, up to the slice's end. With `waits` they are passed over: the
 * ledger does not have all that counts in them. */
static enum errc look_at_rows(struct look *k, uint64_t account, bool waits, bool *differs)
{
	struct rows_key_name from = rows_name(account, ROWS_RULES, SLICE_NONE);
	enum errc rc = ERRC_OK;

	if (k->g->inside)
		from = k->g->at;
	k->g->inside = false;
	if (rows_name_is_scope(&from)) {
		rc = look_at_tree(k, k->defs, &from, waits, differs);
		from = rows_name(account, ROWS_ACCOUNT, SLICE_NONE);
	}
	return rc || k->g->inside ? rc : look_at_tree(k, k->c, &from, waits, differs);
}

/* When there are many the slice ends with this account, or inside it, for the transaction is to be short. */
static enum errc look_at_all(struct look *k, struct slice_of_accounts *s)
{
	enum errc rc = ERRC_OK;

	for (size_t i = 0; !rc && i < s->n; i++) {
		rc = look_at_rows(k, s->live[i].id, s->waits[i], &s->differs[i]);
		if (k->rows == ROWS_A_SLICE && (i + 1 < s->n || k->g->inside)) {
			s->n = i + 1;
			s->last = false;
		}
	}
	return rc;
}

static bool is_same_sums(const struct rows_account *a, const struct expected *e)
{
	return a->granted_nusd == e->granted && a->settled_nusd == e->settled &&
	       a->uncollected_nusd == e->uncollected;
}

static void compare(struct agree *g, const struct slice_of_accounts *s, bool begun)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct expected *e = &s->of[i];
		const struct rows_account *a = &s->live[i];

		/* Of one that was begun before the rest follows. */
		if (i > 0 || !begun) {
			g->accounts++;
			g->told = false;
		}
		if (g->told || (!s->differs[i] && (s->unread[i] || is_same_sums(a, e))))
			continue;
		g->told = true;
		if (g->different++ == 0)
			g->first_different = a->id;
	}
}

/* All in one read transaction: the accounts and what waits beside them belong to one moment. */
static enum errc look(struct admin *a, MDB_txn *txn, uint64_t taken, struct agree *g,
		      struct slice_of_accounts *s)
{
	struct look k = {.g = g, .book = ledger_book(a->ledger)};
	char *room;
	enum errc rc = lmdbx_errc(mdb_cursor_open(txn, a->live->rows, &k.c));

	if (rc)
		return rc;
	rc = lmdbx_errc(mdb_cursor_open(txn, a->live->defs, &k.defs));
	for (size_t i = 0; i < ARRAY_LEN(k.pair.of); i++) {
		buf_init(&k.pair.of[i], ROWS_MAX);
		if (!rc)
			rc = buf_reserve(&k.pair.of[i], ROWS_MAX, &room);
	}
	if (!rc)
		rc = read_accounts(k.c, g->next_account, s);
	expect(k.book, s);
	if (!rc)
		rc = add_outbox(k.c, taken, s);
	if (!rc)
		rc = look_at_all(&k, s);
	for (size_t i = 0; i < ARRAY_LEN(k.pair.of); i++)
		buf_fini(&k.pair.of[i]);
	if (k.defs)
		mdb_cursor_close(k.defs);
	mdb_cursor_close(k.c);
	return rc;
}

/* Until little waits: the read transaction below has to read the rest. */
static enum errc take_over(struct admin *a)
{
	uint64_t taken = 1;
	enum errc rc = admin_catch_up(a->live, a->ledger);

	for (int i = 0; !rc && taken > 0 && i < ROUNDS_MAX; i++)
		rc = store_drain_outbox(a->live, a->ledger, a->batch, &taken);
	return rc;
}

enum errc agree_slice(struct admin *a, struct agree *g)
{
	struct slice_of_accounts s = {.n = 0};
	const struct ledger_state *st = ledger_state(a->ledger);
	MDB_txn *txn;
	bool begun = g->inside;
	enum errc rc;

	require(!g->done);
	rc = take_over(a);
	if (!rc)
		rc = live_read_begin(a->live, &txn);
	if (rc)
		return rc;
	rc = look(a, txn, st->taken_epoch == live_head(a->live)->epoch ? st->taken_n : 0, g, &s);
	live_read_end(a->live);
	if (rc)
		return rc == ERRC_VERSION ? ERRC_CORRUPT : rc;
	compare(g, &s, begun);
	if (s.n > 0)
		g->next_account = s.live[s.n - 1].id + !g->inside;
	g->done = s.last;
	if (g->done) {
		uint64_t known = book_accounts_n(ledger_book(a->ledger));

		g->missing = known > g->accounts ? known - g->accounts : g->accounts - known;
	}
	return ERRC_OK;
}
