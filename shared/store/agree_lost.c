#include "agree_lost.h"

#include "admin_priv.h"
#include "live_states.h"
#include "log.h"

enum lost { LOST_NOTHING, LOST_DEFINITION, LOST_OTHER };

struct found {
	size_t n;
	size_t of[AGREE_LOST_SLICE]; /* positions of scopes whose definition is lost */
};

struct look {
	struct live *l;
	MDB_txn *txn;
	int64_t wall_s;
};

/* --- one of them --- */

static enum errc is_account_there(const struct look *k, const struct rows_account *in_book,
				  bool *yes)
{
	struct rows_account a;
	uint64_t named = 0;
	enum errc rc = live_get_account(k->l, k->txn, in_book->id, &a);

	if (!rc)
		rc = live_find_account(k->l, k->txn, in_book->name, &named);
	*yes = !rc && named == in_book->id;
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

/* Admission goes by what the account says of these. One that cannot be read has been counted itself. */
static enum errc is_marked(const struct look *k, const struct rows_scope *def, bool *yes)
{
	struct rows_account a, marked;
	enum errc rc = live_get_account(k->l, k->txn, def->account, &a);

	if (!rc) {
		marked = a;
		rows_account_note(&marked, def);
	}
	*yes = live_is_damaged(rc) || (!rc && marked.flags == a.flags);
	return live_is_damaged(rc) ? ERRC_OK : rc;
}

static enum errc leads_to(const struct look *k, const uint8_t hash[DIGEST_SHA256],
			  const struct rows_scope *key, bool *yes)
{
	uint64_t account = 0;
	char id[ROWS_ID];
	enum errc rc = live_find_hash(k->l, k->txn, hash, &account, id);

	*yes = !rc && account == key->account && memcmp(id, key->id, ROWS_ID) == 0;
	return rc;
}

/* Its id, its secret, and the one before during its time of grace. */
static enum errc is_key_indexed(const struct look *k, const struct rows_scope *key, bool *yes)
{
	uint64_t account = 0;
	enum errc rc = live_find_key(k->l, k->txn, key->id, &account);

	*yes = !rc && account == key->account;
	if (!rc && *yes)
		rc = leads_to(k, key->hash, key, yes);
	if (!rc && *yes && k->wall_s < key->old_until_s)
		rc = leads_to(k, key->old_hash, key, yes);
	return rc;
}

/* What leads to it. */
static enum errc is_indexed(const struct look *k, const struct rows_scope *def, bool *yes)
{
	char id[ROWS_ID];
	enum errc rc;

	if (def->kind == ROWS_USER || def->kind == ROWS_ACCOUNT)
		return is_marked(k, def, yes);
	if (def->kind == ROWS_KEY)
		return is_key_indexed(k, def, yes);
	rc = live_find_team(k->l, k->txn, def->account, def->name, id);
	*yes = !rc && memcmp(id, def->id, ROWS_ID) == 0;
	return rc;
}

/* Of a budget that is over, or a rule that is gone, nothing need be there. */
static bool counts(const struct rows_scope *def, const struct rows_counter *c, int64_t wall_s)
{
	for (size_t i = 0; i < def->limits.n; i++) {
		const struct rows_rule *r = &def->limits.v[i];

		if (r->id == c->id && r->kind == ROWS_BUDGET)
			return !rows_counter_is_idle(c, r, 0, wall_s);
	}
	return false;
}

static bool has_counter(const struct rows_state *s, uint32_t id)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->counters[i].id == id)
			return true;
	}
	return false;
}

/* The values are compared by agree.h. */
static enum errc is_state_there(const struct look *k, const struct book_scope *s,
				const struct rows_scope *def, bool *yes)
{
	struct rows_state st = {.n = 0};
	struct slice v;
	enum errc rc = live_state_row(k->l, k->txn, s->account, s->kind, s->id, &v);

	if (!rc)
		rc = rows_get_state(v, &st);
	*yes = !rc || s->requests == 0 || (s->kind != ROWS_KEY && s->kind != ROWS_TEAM);
	for (size_t i = 0; i < s->counters_n; i++) {
		if (counts(def, &s->counters[i], k->wall_s) && !has_counter(&st, s->counters[i].id))
			*yes = false;
	}
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

static enum errc look_at_scope(const struct look *k, const struct book_scope *s, enum lost *what)
{
	struct rows_key_name name = rows_name_scope(s->account, s->kind, s->id);
	struct rows_scope def;
	struct slice v;
	bool yes = true;
	enum errc rc = ERRC_OK;

	*what = LOST_NOTHING;
	if (s->row.n == 0)
		return ERRC_OK; /* what such an end user has used is swept when it counts no more */
	rc = live_row_get(k->l, k->txn, &name, &v);
	if (!rc)
		rc = rows_get_scope(v, &def);
	if (!rc)
		rc = rows_get_scope(s->row, &def);
	if (!rc)
		rc = is_indexed(k, &def, &yes);
	if (rc == ERRC_NOTFOUND || live_is_damaged(rc) || (!rc && !yes)) {
		*what = LOST_DEFINITION;
		return ERRC_OK;
	}
	if (!rc)
		rc = is_state_there(k, s, &def, &yes);
	if (!rc && !yes)
		*what = LOST_OTHER;
	return rc;
}

/* --- a slice --- */

static void note_damage(struct agree_lost *g, uint64_t account)
{
	if (g->damaged++ == 0)
		g->first_damaged = account;
}

static void note(struct agree_lost *g, uint64_t account)
{
	if (g->lost++ == 0)
		g->first_account = account;
}

static enum errc look(struct look *k, const struct book *b, struct agree_lost *g, struct found *f)
{
	size_t accounts = book_accounts_n(b), all = accounts + book_scopes_n(b);
	enum errc rc = ERRC_OK;

	for (size_t n = 0; !rc && n < AGREE_LOST_SLICE && g->at < all; n++) {
		size_t i = g->at++;
		enum lost what = LOST_NOTHING;
		uint64_t account;
		bool yes;

		if (i < accounts) {
			account = book_account_at(b, i)->id;
			rc = is_account_there(k, book_account_at(b, i), &yes);
			what = yes ? LOST_NOTHING : LOST_OTHER;
		} else {
			account = book_scope_at(b, i - accounts)->account;
			rc = look_at_scope(k, book_scope_at(b, i - accounts), &what);
		}
		if (live_is_damaged(rc)) {
			note_damage(g, account);
			rc = ERRC_OK;
			continue;
		}
		if (rc || what == LOST_NOTHING)
			continue;
		note(g, account);
		if (what == LOST_DEFINITION)
			f->of[f->n++] = i - accounts;
	}
	g->done = g->at >= all;
	return rc;
}

/* As if its record came once more; sums and usage that are there are kept. */
static enum errc put_back(struct live *l, MDB_txn *txn, const struct book_scope *s)
{
	static const enum record_type types[] = {[ROWS_ACCOUNT] = RECORD_RULES,
						 [ROWS_TEAM] = RECORD_TEAM,
						 [ROWS_KEY] = RECORD_KEY,
						 [ROWS_USER] = RECORD_USER};
	struct record r = {.account = s->account, .change = {.row = s->row}};

	require(s->kind < ARRAY_LEN(types) && types[s->kind]);
	r.type = types[s->kind];
	return admin_apply(l, txn, &r);
}

static enum errc mend_some(struct admin *a, const struct found *f, size_t from, size_t to)
{
	MDB_txn *txn = NULL;
	enum errc rc = live_txn_begin(a->live, &txn);

	for (size_t i = from; !rc && i < to; i++)
		rc = put_back(a->live, txn, book_scope_at(ledger_book(a->ledger), f->of[i]));
	if (!rc)
		rc = live_txn_commit(a->live, &txn);
	live_txn_abort(a->live, &txn);
	return rc;
}

/* One whose account is lost itself, or cannot be read, cannot be put back; nothing of its transaction was. */
static enum errc try_some(struct admin *a, const struct found *f, size_t from, size_t to,
			  uint64_t *mended)
{
	enum errc rc = mend_some(a, f, from, to);

	if (!rc)
		*mended += to - from;
	return rc == ERRC_NOTFOUND || live_is_damaged(rc) ? ERRC_OK : rc;
}

/* Together; those of a transaction that comes to nothing each by itself. */
static enum errc mend(struct admin *a, const struct found *f, uint64_t *mended)
{
	enum errc rc = ERRC_OK;

	for (size_t i = 0, to; !rc && i < f->n; i = to) {
		uint64_t before = *mended;

		to = MIN_OF(i + LIMIT_TXN_OPS, f->n);
		rc = try_some(a, f, i, to, mended);
		if (*mended > before)
			continue;
		for (size_t k = i; !rc && k < to; k++)
			rc = try_some(a, f, k, k + 1, mended);
	}
	return rc;
}

enum errc agree_lost_slice(struct admin *a, struct agree_lost *g, bool mends, int64_t wall_s)
{
	struct look k = {.l = a->live, .wall_s = wall_s};
	struct found f = {.n = 0};
	uint64_t taken;
	enum errc rc;

	require(!g->done);
	rc = admin_catch_up(a->live, a->ledger);
	if (!rc)
		rc = store_drain_outbox(a->live, a->ledger, a->batch, &taken);
	if (!rc)
		rc = live_read_begin(a->live, &k.txn);
	if (rc)
		return rc;
	rc = look(&k, ledger_book(a->ledger), g, &f);
	live_read_end(a->live);
	return rc || !mends ? rc : mend(a, &f, &g->mended);
}

void agree_lost_tell(const struct agree_lost *g)
{
	if (g->lost == 0)
		return;
	log_error("live_rows_lost",
		  "the live store had lost %llu things that the ledger has, the first of account "
		  "%llu; definitions put back: %llu; `ledger verify` tells what is left",
		  (unsigned long long)g->lost, (unsigned long long)g->first_account,
		  (unsigned long long)g->mended);
}
