#include "retain.h"

#include "ledger_priv.h"
#include "log.h"
#include "rollup.h"
#include "seal.h"

#define STEP_RECORDS 500 /* removed in one transaction */
#define STEP_ROWS    500
#define STEP_USERS   8192 /* looked for: a millisecond */
#define STEP_RUNS    64   /* of some sixty rows each */
#define BASE_KEY     SLICE_LIT("base")
#define SEALS_KEY    SLICE_LIT("removed_seals")

_Static_assert(sizeof(struct retain_base) == 40 && sizeof(struct seal_chain) == 40,
	       "layout of stored rows");

enum errc ledger_get_base(struct ledger *l, MDB_txn *txn, struct retain_base *out)
{
	struct slice v;
	enum errc rc = lmdbx_get(txn, l->meta, BASE_KEY, &v);

	*out = (struct retain_base){0};
	if (rc == ERRC_NOTFOUND)
		return ERRC_OK;
	if (!rc && v.n != sizeof *out)
		rc = ERRC_CORRUPT;
	if (!rc)
		memcpy(out, v.p, sizeof *out);
	return rc;
}

enum errc retain_base(struct ledger *l, struct retain_base *out, struct book **book)
{
	MDB_txn *txn = NULL;
	enum errc rc = book ? book_new(book) : ERRC_OK;

	if (!rc)
		rc = ledger_read_begin(l, &txn);
	if (!rc)
		rc = ledger_get_base(l, txn, out);
	if (!rc && book)
		rc = ledger_load_rows(txn, l->base, *book);
	ledger_read_end(&txn);
	if (rc && book)
		book_free(book);
	return rc;
}

enum errc retain_first_day(struct ledger *l, uint32_t *day, bool *whole)
{
	struct retain_base base;
	struct seal s;
	enum errc rc = retain_base(l, &base, NULL);

	*day = 0;
	*whole = true;
	if (rc || base.seq == 0)
		return rc;
	rc = seal_from(l, base.seq, &s, NULL);
	if (rc)
		return rc;
	*day = s.day + 1;
	*whole = base.seq == s.last;
	return ERRC_OK;
}

/* --- which day --- */

static enum errc used_bytes(struct ledger *l, MDB_txn *txn, int64_t *bytes)
{
	const MDB_dbi trees[] = {l->records, l->ids, l->upstream};
	enum errc rc = ERRC_OK;

	*bytes = 0;
	for (size_t i = 0; !rc && i < ARRAY_LEN(trees); i++) {
		size_t n = 0;

		rc = lmdbx_used(txn, trees[i], &n);
		*bytes += (int64_t)n;
	}
	return rc;
}

static bool is_too_old(const struct retain_keep *keep, const struct seal *s, int64_t wall_ms)
{
	return keep->days > 0 && (int64_t)s->day + keep->days < (int64_t)rollup_day_of(wall_ms);
}

/* A record that cannot be read has been told of when it came. */
static bool is_what_its_seal_says(const struct seal *s, struct slice hash_and_record)
{
	struct slice bytes = slice_sub(hash_and_record, DIGEST_SHA256, hash_and_record.n);
	struct record r;

	return memcmp(hash_and_record.p, s->head, DIGEST_SHA256) == 0 &&
	       (record_decode(bytes, &r) || seal_is_of_day(s, r.wall_ms));
}

/* The record of a removal, and nothing since: its own removal would only leave another one. */
static bool is_idle_since_removal(const struct ledger *l, const struct seal *s,
				  struct slice hash_and_record)
{
	enum record_type type;

	return s->first == s->last && s->last == l->state.last_seq &&
	       !record_peek(slice_sub(hash_and_record, DIGEST_SHA256, hash_and_record.n), &type) &&
	       type == RECORD_RETAIN;
}

/* Whether checkpoint and roll-ups are past the seal, so that nothing will be read from its records again, and chain and day are what
 * it says: if not, verify shall find it as it is. */
static enum errc may_go(struct ledger *l, MDB_txn *txn, const struct seal *s, bool *yes)
{
	struct slice v;
	uint64_t rolled;
	uint8_t key[8];
	enum errc rc = ledger_rolled_upto(l, txn, &rolled);

	*yes = false;
	if (rc || s->last > l->state.upto_seq || s->last > rolled)
		return rc;
	ledger_put_be(s->last, key);
	rc = lmdbx_get(txn, l->records, slice_of(key, sizeof key), &v);
	if (!rc && v.n >= DIGEST_SHA256)
		*yes = is_what_its_seal_says(s, v);
	if (!*yes)
		log_error(
			"retention_stopped",
			"the chain at record %llu, or its day, is not what was sealed: nothing is "
			"removed",
			(unsigned long long)s->last);
	else if (is_idle_since_removal(l, s, v))
		*yes = false;
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

/* ERRC_NOTFOUND: no day is to be removed. */
static enum errc choose(struct ledger *l, const struct retain_keep *keep, int64_t wall_ms,
			const struct retain_base *base, struct seal *s)
{
	int64_t bytes = 0;
	bool yes = false;
	MDB_txn *txn;
	enum errc rc = seal_from(l, base->seq + 1, s, NULL);

	if (rc)
		return rc;
	rc = ledger_read_begin(l, &txn);
	if (!rc && keep->bytes > 0)
		rc = used_bytes(l, txn, &bytes);
	/* A day that was begun is finished. */
	if (!rc && (base->seq >= s->first || is_too_old(keep, s, ledger_believed_ms(l, wall_ms)) ||
		    bytes > (keep->bytes > 0 ? keep->bytes : INT64_MAX)))
		rc = may_go(l, txn, s, &yes);
	ledger_read_end(&txn);
	return rc || yes ? rc : ERRC_NOTFOUND;
}

/* --- removing --- */

static enum errc forget_id(struct ledger *l, const struct genid *id, uint64_t seq)
{
	struct slice key = slice_of(id->b, GENID_BYTES), v;
	enum errc rc = lmdbx_get(l->txn, l->ids, key, &v);

	if (!rc && v.n == 8 && ledger_get_be(v.p) == seq)
		rc = lmdbx_del(l->txn, l->ids, key);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

/* Adds the record to the base. One that cannot be read or contradicts the others has been told of when it came. */
static enum errc add_up(struct ledger *l, uint64_t seq, struct slice bytes, struct retain_base *base)
{
	struct record r;
	enum errc rc;

	if (record_decode(bytes, &r))
		return ERRC_OK;
	rc = book_apply(l->base_book, &r);
	if (rc == ERRC_CORRUPT)
		rc = ERRC_OK;
	if (!rc && r.type == RECORD_CHARGE)
		rc = forget_id(l, &r.charge.id, seq);
	if (!rc && r.type == RECORD_REVERSE)
		rc = ledger_forget_reversal(l, seq, &r);
	return rc;
}

static enum errc remove_records(struct ledger *l, const struct seal *s, struct retain_base *base)
{
	struct slice key = SLICE_NONE, value;
	MDB_cursor *c;
	enum errc rc = lmdbx_errc(mdb_cursor_open(l->txn, l->records, &c));

	if (rc)
		return rc;
	rc = lmdbx_move(c, MDB_FIRST, &key, &value);
	for (int n = 0; !rc && n < STEP_RECORDS && base->seq < s->last; n++) {
		if (key.n != 8 || value.n < DIGEST_SHA256 || ledger_get_be(key.p) != base->seq + 1) {
			rc = ERRC_CORRUPT;
			break;
		}
		memcpy(base->head, value.p, DIGEST_SHA256);
		base->seq++;
		rc = add_up(l, base->seq, slice_sub(value, DIGEST_SHA256, value.n - DIGEST_SHA256),
			    base);
		if (!rc)
			rc = lmdbx_errc(mdb_cursor_del(c, 0));
		if (!rc)
			rc = lmdbx_move(c, MDB_NEXT, &key, &value);
	}
	mdb_cursor_close(c);
	/* The record of the removal will be the only one. */
	return rc == ERRC_NOTFOUND && base->seq == s->last ? ERRC_OK : rc;
}

static enum errc write_base(struct ledger *l, const struct retain_base *base)
{
	enum errc rc = ledger_put_rows(l->txn, l->base, l->base_book);

	return rc ? rc : lmdbx_put(l->txn, l->meta, BASE_KEY, slice_of(base, sizeof *base), 0);
}

static enum errc step(struct ledger *l, const struct seal *s, struct retain_base *base)
{
	enum errc rc = ERRC_OK;

	/* Ids that wait in memory would be written after their records are gone. */
	if (l->idindex.n > 0 && l->idindex.entries[0].seq <= s->last)
		rc = ledger_write_index(l, l->txn, l->state.last_seq);
	if (!rc)
		rc = remove_records(l, s, base);
	return rc ? rc : write_base(l, base);
}

/* The hash over the seals up to this one. */
static enum errc chain_seals(struct ledger *l, const struct seal *s, struct seal_chain *c)
{
	struct slice v;
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(l, &txn);

	*c = (struct seal_chain){0};
	if (!rc)
		rc = lmdbx_get(txn, l->meta, SEALS_KEY, &v);
	if (!rc && v.n != sizeof *c)
		rc = ERRC_CORRUPT;
	if (!rc)
		memcpy(c, v.p, sizeof *c);
	ledger_read_end(&txn);
	return rc && rc != ERRC_NOTFOUND ? rc : seal_chain_to(l, s->last, c);
}

/* That a day has gone stands in the chain like what people do, and with it what its seal says. */
static enum errc note_day(struct ledger *l, const struct seal *s, const struct seal_chain *c,
			  int64_t wall_ms)
{
	enum errc rc = lmdbx_put(l->txn, l->meta, SEALS_KEY, slice_of(c, sizeof *c), 0);
	struct record r = {.type = RECORD_RETAIN, .wall_ms = wall_ms};
	uint64_t seq;

	r.change.who = SLICE_LIT("aigwd");
	r.change.what = SLICE_LIT("removed");
	r.change.number = (int64_t)s->last;
	r.change.row = slice_of(c->head, sizeof c->head);
	return rc ? rc : ledger_append(l, &r, &seq);
}

static enum errc run(struct ledger *l, const struct seal *s, int64_t wall_ms,
		     struct retain_base *base)
{
	struct retain_base now;
	struct seal_chain seals;
	enum errc rc = ERRC_OK;

	if (!l->base_book)
		rc = retain_base(l, &now, &l->base_book);
	if (!rc && s->last - base->seq <= STEP_RECORDS) /* it ends with this step */
		rc = chain_seals(l, s, &seals);
	l->forget_at = 0;
	if (!rc)
		rc = ledger_begin(l);
	if (!rc)
		rc = step(l, s, base);
	if (!rc && base->seq == s->last)
		rc = note_day(l, s, &seals, wall_ms);
	if (!rc)
		rc = ledger_commit(l);
	ledger_abort(l);
	if (rc) /* it has what is still there */
		book_free(&l->base_book);
	else
		book_clean(l->base_book);
	return rc;
}

/* End users whom the ledger's book has forgotten (book_each_idle()) need not stand in the base either. Step by step once through all of
 * its scopes: with each day that goes, and however many users there are. */
static enum errc forget_users(struct ledger *l, bool *more)
{
	size_t end = MIN_OF(l->forget_at + STEP_USERS, book_scopes_n(l->base_book));
	enum errc rc = ERRC_OK;
	int n = 0;

	for (; !rc && n < STEP_ROWS && l->forget_at < end; l->forget_at++) {
		const struct book_scope *s = book_scope_at(l->base_book, l->forget_at);
		struct rows_key_name name = rows_name_state(s->account, s->kind, s->id);

		if (s->row.n > 0 || book_scope(l->book, s->kind, s->account, s->id))
			continue;
		rc = lmdbx_del(l->txn, l->base, slice_of(name.b, name.n));
		n += !rc;
		if (rc == ERRC_NOTFOUND)
			rc = ERRC_OK;
	}
	*more = l->forget_at < book_scopes_n(l->base_book);
	return rc;
}

/* What is left of days that are gone, in any transaction's time: rows that lead to no record, and names of end users. */
static enum errc tidy(struct ledger *l, uint32_t day, uint64_t seq, bool *more)
{
	bool tags = false, ids = false, users = false;
	enum errc rc = ledger_begin(l);

	if (!rc)
		rc = forget_users(l, &users);
	if (!rc)
		rc = rollup_forget_tags(l->txn, l->rollups, day, STEP_RUNS, &tags);
	if (!rc)
		rc = idindex_forget(l->txn, l->upstream, seq, STEP_ROWS, &ids);
	if (!rc)
		rc = ledger_commit(l);
	ledger_abort(l);
	*more = tags || ids || users;
	return rc;
}

enum errc retain_step(struct ledger *l, const struct retain_keep *keep, int64_t wall_ms, bool *more)
{
	struct retain_base base;
	struct seal s;
	enum errc rc;

	*more = false;
	if (keep->days <= 0 && keep->bytes <= 0 && !l->base_book)
		return ERRC_OK;
	rc = retain_base(l, &base, NULL);
	if (!rc)
		rc = choose(l, keep, wall_ms, &base, &s);
	if (rc == ERRC_NOTFOUND) {
		bool begun = l->base_book;

		/* A day has just gone. */
		rc = begun ? tidy(l, l->removed_day, base.seq, more) : ERRC_OK;
		if (!rc && begun && !*more)
			book_free(&l->base_book);
		return rc;
	}
	if (rc)
		return rc;
	rc = run(l, &s, wall_ms, &base);
	if (!rc && base.seq == s.last) {
		l->removed_day = s.day;
		log_info("day_removed", "records %llu to %llu were removed; their seal stays",
			 (unsigned long long)s.first, (unsigned long long)s.last);
	}
	*more = !rc;
	return rc;
}
