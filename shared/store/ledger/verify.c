#include "verify.h"

#include "claimcheck.h"
#include "idcheck.h"
#include "ledger_priv.h"
#include "mem.h"
#include "retain.h"
#include "rollcheck.h"
#include "seal.h"

#define TIMES_MAX  5  /* from the begin on: records were removed under way */
#define ROUNDS_MAX 20 /* each is only what was written during the one before */

struct verify {
	struct ledger *l;
	bool charges;
	void (*progress)(void *arg, int permille);
	void *arg;
	uint64_t upto, checkpoint; /* last record; last one in the checkpoint */
	bool rows_checked;
	uint64_t rolled; /* last record in the roll-ups */
	bool rollups_checked;
	struct rollcheck rollups;
	struct claimcheck claims;
	struct idcheck ids;
	uint64_t next; /* number of the record that must follow */
	struct seal seal; /* the next one; last == UINT64_MAX: none that was there when the round began */
	struct buf sums; /* its sums */
	bool timed;      /* the record before could be read; its time: */
	int64_t last_ms;
	struct seal_chain removed; /* seals of days that are gone, as far as records tell of them */
	struct buf rows[2];        /* that are compared; with room for any row */
	uint8_t head[DIGEST_SHA256];
	struct book *book;
	struct verify_result *out;
	/* The price of the last charge: neighbours often share it. */
	uint8_t price_hash[DIGEST_SHA256];
	struct price price;
	bool have_price;
	int permille;
};

static void note(uint64_t *first, uint64_t seq)
{
	if (*first == 0)
		*first = seq;
}

static bool price_of(struct verify *v, const uint8_t hash[DIGEST_SHA256])
{
	if (v->have_price && memcmp(v->price_hash, hash, DIGEST_SHA256) == 0)
		return true;
	v->have_price = ledger_price(v->l, hash, &v->price) == ERRC_OK;
	memcpy(v->price_hash, hash, DIGEST_SHA256);
	return v->have_price;
}

/* All of them, whether a charge names them or not. */
static enum errc check_prices(struct verify *v)
{
	struct slice key = SLICE_NONE, row;
	MDB_cursor *c = NULL;
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(v->l, &txn);

	if (!rc)
		rc = lmdbx_errc(mdb_cursor_open(txn, v->l->prices, &c));
	if (!rc)
		rc = lmdbx_move(c, MDB_FIRST, &key, &row);
	for (; !rc; rc = lmdbx_move(c, MDB_NEXT, &key, &row)) {
		const uint8_t *hash = (const uint8_t *)key.p;

		if (key.n == DIGEST_SHA256 && ledger_price_is(row, hash))
			continue;
		if (v->out->bad_prices_n++ == 0)
			memcpy(v->out->bad_price, hash, MIN_OF(key.n, DIGEST_SHA256));
	}
	if (c)
		mdb_cursor_close(c);
	ledger_read_end(&txn);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

/* The charge must follow from usage, price and hold, as at settlement; and the price must be one for that moment and prompt, multiplied only for a group. */
static bool charge_is_right(struct verify *v, const struct record_charge *c)
{
	static const uint8_t none[DIGEST_SHA256];
	int64_t due;

	if (!(c->flags & RECORD_CHARGED) || memcmp(c->price_hash, none, sizeof none) == 0)
		return c->charge_nusd == 0 && c->uncollected_nusd == 0;
	if (!price_of(v, c->price_hash))
		return false;
	if (!price_counts_at(&v->price, c->admitted_ms / 1000) ||
	    !price_counts_for(&v->price, usage_input_total(&c->usage), c->usage.tier) ||
	    (c->group.n == 0 && v->price.mult_ppm != PRICE_PPM))
		return false;
	due = price_cost(&v->price, &c->usage);
	if (c->flags & RECORD_CAPPED)
		due = MIN_OF(due, c->hold_nusd);
	return c->charge_nusd + c->uncollected_nusd == due &&
	       c->charge_nusd >= MIN_OF(due, c->hold_nusd);
}

/* The index knows the last charge of each id: another number means a second one. */
static bool is_only_charge(struct verify *v, const struct genid *id, uint64_t seq)
{
	uint64_t found;

	return ledger_find_seen(v->l, id, &found) == ERRC_OK && found == seq;
}

/* A charge is taken back whole. */
static bool is_of(const struct record *charge, const struct record *back)
{
	return charge->type == RECORD_CHARGE && charge->account == back->account &&
	       charge->charge.charge_nusd == back->change.amount_nusd &&
	       charge->charge.uncollected_nusd == back->change.uncollected_nusd;
}

/* As with charges: another number means a second one. */
static bool is_only_reversal(struct verify *v, const struct genid *id, uint64_t seq)
{
	uint64_t found;

	return ledger_find_reversal(v->l, id, &found) == ERRC_OK && found == seq;
}

/* Of a charge that is no longer kept only the sums are known. */
static enum errc check_reversal(struct verify *v, const struct record *back, uint64_t seq)
{
	bool may_lack = v->out->first_seq > 1, good = false;
	struct record charge;
	struct buf b;
	uint64_t at;
	enum errc rc = ledger_find_seen(v->l, &back->change.id, &at);

	buf_init(&b, RECORD_MAX);
	if (!rc)
		rc = claimcheck_taken_back(&v->claims, at);
	if (!rc)
		rc = ledger_get(v->l, at, &b);
	if (!rc)
		good = !record_decode(buf_slice(&b), &charge) && is_of(&charge, back);
	if (rc == ERRC_NOTFOUND) {
		good = may_lack;
		rc = ERRC_OK;
	}
	if (!rc && !(good && is_only_reversal(v, &back->change.id, seq)))
		note(&v->out->bad_record_seq, seq);
	buf_fini(&b);
	return rc;
}

/* What the seals said when the records of their days went. Older records do not have it. */
static enum errc check_removal(struct verify *v, const struct record_change *c)
{
	uint64_t last = (uint64_t)c->number;
	enum errc rc = ERRC_OK;

	if (c->row.n == 0)
		return ERRC_OK;
	if (last >= v->removed.seq)
		rc = seal_chain_to(v->l, last, &v->removed);
	if (rc && rc != ERRC_CORRUPT && rc != ERRC_NOTFOUND)
		return rc;
	if (rc || !slice_eq(c->row, slice_of(v->removed.head, DIGEST_SHA256)))
		note(&v->out->bad_seal_seq, last);
	return ERRC_OK;
}

static enum errc check_record(struct verify *v, uint64_t seq, struct slice bytes)
{
	struct record r;
	enum errc rc;

	v->timed = record_decode(bytes, &r) == ERRC_OK;
	if (!v->timed) {
		note(&v->out->bad_record_seq, seq);
		return ERRC_OK;
	}
	v->last_ms = r.wall_ms;
	rc = book_apply(v->book, &r);
	if (rc && rc != ERRC_CORRUPT)
		return rc;
	if (rc)
		note(&v->out->bad_record_seq, seq);
	rc = rollcheck_add(&v->rollups, v->l, seq, &r);
	if (!rc)
		rc = claimcheck_add(&v->claims, seq, &r);
	if (!rc)
		rc = idcheck_add(&v->ids, seq, &r);
	if (!rc && r.type == RECORD_REVERSE)
		return check_reversal(v, &r, seq);
	if (!rc && r.type == RECORD_RETAIN)
		return check_removal(v, &r.change);
	if (rc || r.type != RECORD_CHARGE)
		return rc;
	v->out->charges++;
	if (!is_only_charge(v, &r.charge.id, seq))
		note(&v->out->bad_record_seq, seq);
	if (v->charges && !charge_is_right(v, &r.charge))
		note(&v->out->bad_charge_seq, seq);
	return ERRC_OK;
}

/* As they would be stored: no member is forgotten. */
static bool account_eq(struct verify *v, const struct rows_account *a, const struct rows_account *b)
{
	buf_reset(&v->rows[0]);
	buf_reset(&v->rows[1]);
	return rows_put_account(&v->rows[0], a) == ERRC_OK &&
	       rows_put_account(&v->rows[1], b) == ERRC_OK &&
	       slice_eq(buf_slice(&v->rows[0]), buf_slice(&v->rows[1]));
}

static bool state_eq(struct verify *v, const struct book_scope *a, const struct book_scope *b)
{
	struct rows_state s;
	bool good = true;

	for (size_t i = 0; good && i < ARRAY_LEN(v->rows); i++) {
		book_state(i ? b : a, &s);
		buf_reset(&v->rows[i]);
		good = rows_put_state(&v->rows[i], &s) == ERRC_OK;
	}
	return good && slice_eq(buf_slice(&v->rows[0]), buf_slice(&v->rows[1]));
}

/* Of an end user earlier windows may be forgotten, and the totals with them while it has no row of its own: what counts is how the
 * last ones stand. */
static bool counters_eq(const struct book_scope *a, const struct book_scope *b)
{
	for (size_t i = 0; i < a->counters_n; i++) {
		const struct rows_counter *x = &a->counters[i];

		for (size_t n = 0; n < b->counters_n; n++) {
			const struct rows_counter *y = &b->counters[n];

			if (x->id == y->id && x->budget.cur.id == y->budget.cur.id &&
			    x->budget.cur.used_nusd != y->budget.cur.used_nusd)
				return false;
		}
	}
	return true;
}

static bool scope_eq(struct verify *v, const struct book_scope *a, const struct book_scope *b)
{
	if (!slice_eq(a->row, b->row))
		return false;
	if (a->kind != ROWS_USER)
		return state_eq(v, a, b);
	if (a->row.n > 0 && (a->charged_nusd != b->charged_nusd || a->requests != b->requests ||
			     a->tokens != b->tokens))
		return false;
	return counters_eq(a, b);
}

static void bad_account(struct verify *v, uint64_t account)
{
	note(&v->out->bad_account, account);
	v->out->bad_accounts_n++;
}

/* Reads the checkpoint as it is now, and up to which record it goes. */
static enum errc load_stored(struct verify *v, struct book *stored, struct ledger_state *s)
{
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(v->l, &txn);

	if (!rc)
		rc = ledger_get_state(v->l, txn, s);
	if (!rc)
		rc = ledger_load_rows(txn, v->l->rows, stored);
	ledger_read_end(&txn);
	return rc;
}

static void compare(struct verify *v, const struct book *stored)
{
	for (size_t i = 0; i < book_accounts_n(v->book); i++) {
		const struct rows_account *a = book_account_at(v->book, i),
					  *b = book_account(stored, a->id);

		if (!b || !account_eq(v, a, b))
			bad_account(v, a->id);
	}
	for (size_t i = 0; i < book_scopes_n(v->book); i++) {
		const struct book_scope *x = book_scope_at(v->book, i),
					*y = book_scope(stored, x->kind, x->account, x->id);

		if (x->row.n == 0 && !y)
			continue; /* forgotten */
		if (!y || !scope_eq(v, x, y))
			bad_account(v, x->account);
	}
	for (size_t i = 0; i < book_scopes_n(stored); i++) {
		const struct book_scope *x = book_scope_at(stored, i);

		if (!book_scope(v->book, x->kind, x->account, x->id))
			bad_account(v, x->account);
	}
	if (book_accounts_n(stored) != book_accounts_n(v->book))
		bad_account(v, UINT64_MAX);
}

/* The stored checkpoint against what the records up to `seq` add up to. A keeper at work may have moved it on meanwhile: then
 * it is compared there. */
static enum errc check_rows(struct verify *v, uint64_t seq)
{
	struct ledger_state s;
	struct book *stored = NULL;
	enum errc rc = book_new(&stored);

	if (!rc)
		rc = load_stored(v, stored, &s);
	if (rc == ERRC_CORRUPT || rc == ERRC_VERSION) {
		bad_account(v, UINT64_MAX);
		v->rows_checked = true;
		rc = ERRC_OK;
	} else if (!rc && s.upto_seq == seq) {
		compare(v, stored);
		v->rows_checked = true;
	} else if (!rc) {
		v->checkpoint = s.upto_seq;
	}
	book_free(&stored);
	return rc;
}

/* The roll-ups likewise. */
static enum errc check_rollups(struct verify *v, uint64_t seq)
{
	uint64_t upto = 0;
	uint32_t day;
	enum errc rc = rollcheck_compare(&v->rollups, v->l, seq, &upto, &day);

	if (!rc && upto == seq) {
		v->rollups_checked = true;
		v->out->bad_day = day;
	}
	v->rolled = upto;
	return rc;
}

/* --- seals --- */

static const struct seal no_seal = {.last = UINT64_MAX};

static enum errc next_seal(struct verify *v, uint64_t from)
{
	enum errc rc = seal_from(v->l, from, &v->seal, &v->sums);

	if (rc)
		v->seal = no_seal;
	if (rc != ERRC_CORRUPT)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	note(&v->out->bad_seal_seq, from);
	return ERRC_OK;
}

/* Every account of the book, and no other. */
static bool sums_are_right(const struct verify *v)
{
	size_t n = v->sums.len / sizeof(struct seal_sums);

	for (size_t i = 0; i < n; i++) {
		const struct rows_account *a;
		struct seal_sums s;

		memcpy(&s, v->sums.p + i * sizeof s, sizeof s);
		a = book_account(v->book, s.account);
		if (!a || a->granted_nusd != s.granted_nusd || a->settled_nusd != s.settled_nusd ||
		    a->uncollected_nusd != s.uncollected_nusd)
			return false;
	}
	return n == book_accounts_n(v->book);
}

/* The records up to the seal's last one have been added up. */
static enum errc check_seal(struct verify *v)
{
	uint64_t last = v->seal.last;
	enum errc rc;

	v->out->seals++;
	if (memcmp(v->seal.head, v->head, DIGEST_SHA256) != 0 || !sums_are_right(v) ||
	    (v->timed && !seal_is_of_day(&v->seal, v->last_ms)))
		note(&v->out->bad_seal_seq, last);
	rc = next_seal(v, last + 1);
	if (v->seal.last != UINT64_MAX && v->seal.first != last + 1)
		note(&v->out->bad_seal_seq, v->seal.last);
	return rc;
}

/* Of days whose records are gone the seals must follow each other up to what is left. */
static enum errc check_removed(struct verify *v, uint64_t base)
{
	uint64_t first = 1;
	enum errc rc = next_seal(v, 1);

	while (!rc && v->seal.last < base) {
		v->out->seals++;
		if (v->seal.first != first)
			note(&v->out->bad_seal_seq, v->seal.last);
		v->rollups.forgotten = MAX_OF(v->rollups.forgotten, v->seal.day + 1);
		first = v->seal.last + 1;
		rc = next_seal(v, first);
	}
	if (!rc && v->seal.last != UINT64_MAX && v->seal.first != first)
		note(&v->out->bad_seal_seq, v->seal.last);
	/* Of this day some are gone, but not all. */
	if (!rc && v->seal.last != UINT64_MAX && v->seal.first <= base)
		v->rollups.forgotten = MAX_OF(v->rollups.forgotten, v->seal.day + 1);
	if (!rc && base > 0 && v->seal.last == base)
		rc = check_seal(v);
	return rc;
}

static enum errc on_item(void *arg, const struct ledger_item *item)
{
	struct verify *v = arg;
	uint8_t want[DIGEST_SHA256];
	int permille = (int)(item->seq * 1000 / v->upto);
	enum errc rc;

	v->out->records++;
	ledger_chain(v->head, item->record, want);
	if (memcmp(want, item->hash, DIGEST_SHA256) != 0 || item->seq != v->next)
		note(&v->out->bad_chain_seq, item->seq);
	/* Goes on with what is stored: one wrong record is named, not all after it. */
	memcpy(v->head, item->hash, DIGEST_SHA256);
	v->next = item->seq + 1;
	rc = check_record(v, item->seq, item->record);
	if (!rc && item->seq == v->checkpoint && !v->rows_checked)
		rc = check_rows(v, item->seq);
	if (!rc && item->seq == v->rolled && !v->rollups_checked)
		rc = check_rollups(v, item->seq);
	if (!rc && item->seq == v->seal.last)
		rc = check_seal(v);
	if (v->progress && permille != v->permille) {
		v->permille = permille;
		v->progress(v->arg, permille);
	}
	return rc;
}

static int64_t at_most(money_wide sum)
{
	return (int64_t)MAX_OF(MIN_OF(sum, (money_wide)INT64_MAX), (money_wide)INT64_MIN);
}

static void sum_up(struct verify *v)
{
	money_wide granted = 0, settled = 0, uncollected = 0;

	if (!v->book)
		return;
	for (size_t i = 0; i < book_accounts_n(v->book); i++) {
		const struct rows_account *a = book_account_at(v->book, i);

		granted += a->granted_nusd;
		settled += a->settled_nusd;
		uncollected += a->uncollected_nusd;
	}
	v->out->granted_nusd = at_most(granted);
	v->out->settled_nusd = at_most(settled);
	v->out->uncollected_nusd = at_most(uncollected);
}

/* From *seq to what is the end now. */
static enum errc go_on(struct verify *v, uint64_t *seq)
{
	struct ledger_state s;
	enum errc rc = ledger_read_state(v->l, &s);

	if (rc)
		return rc;
	v->upto = s.last_seq;
	v->checkpoint = s.upto_seq;
	claimcheck_go_on(&v->claims, &s);
	if (v->seal.last == UINT64_MAX)
		rc = next_seal(v, *seq);
	if (!rc && v->checkpoint == *seq - 1 && !v->rows_checked)
		rc = check_rows(v, *seq - 1);
	if (!rc && !v->rollups_checked)
		rc = check_rollups(v, *seq - 1);
	if (!rc)
		rc = ledger_walk(v->l, seq, s.last_seq, on_item, v);
	if (!rc && (memcmp(v->head, s.head, DIGEST_SHA256) != 0 || v->next != s.last_seq + 1))
		v->out->bad_head = true;
	return rc;
}

/* Of all accounts. */
static money_wide settled_of(const struct book *b)
{
	money_wide sum = 0;

	for (size_t i = 0; i < book_accounts_n(b); i++)
		sum += book_account_at(b, i)->settled_nusd;
	return sum;
}

/* What removed records came to is where it begins. */
static enum errc begin(struct verify *v, struct retain_base *base)
{
	char *room;
	enum errc rc = retain_base(v->l, base, &v->book);

	v->out->bad_base = rc == ERRC_CORRUPT;
	for (size_t i = 0; !rc && i < ARRAY_LEN(v->rows); i++)
		rc = buf_reserve(&v->rows[i], ROWS_MAX, &room);
	if (rc)
		return rc;
	memcpy(v->head, base->head, sizeof v->head);
	v->next = v->out->first_seq = base->seq + 1;
	rollcheck_init(&v->rollups, base->seq, settled_of(v->book));
	return check_removed(v, base->seq);
}

/* *moved: records were removed that it had not seen. */
static enum errc verify_once(struct verify *v, bool *moved)
{
	struct retain_base base, now;
	enum errc rc = begin(v, &base);
	uint64_t seq = base.seq + 1;

	for (int round = 0; !rc && !(v->rows_checked && v->rollups_checked) && round < ROUNDS_MAX;
	     round++)
		rc = go_on(v, &seq);
	if (v->out->bad_base) {
		*moved = false;
		return ERRC_OK;
	}
	if (!rc && !(v->rows_checked && v->rollups_checked))
		rc = ERRC_AGAIN;
	if (!rc && claimcheck_waits(&v->claims))
		rc = go_on(v, &seq);
	if (!rc)
		rc = check_prices(v);
	claimcheck_end(&v->claims);
	v->out->bad_claim_seq = v->claims.bad_seq;
	v->out->bad_id_seq = v->ids.bad_seq;
	sum_up(v);
	if (!rc)
		rc = retain_base(v->l, &now, NULL);
	*moved = !rc && now.seq != base.seq;
	return rc;
}

enum errc verify_ledger(struct ledger *l, bool charges, void (*progress)(void *arg, int permille),
			void *arg, struct verify_result *out)
{
	bool moved = true;
	enum errc rc = ERRC_OK;

	for (int time = 0; !rc && moved && time < TIMES_MAX; time++) {
		struct verify v = {.l = l,
				   .charges = charges,
				   .progress = progress,
				   .arg = arg,
				   .seal = no_seal,
				   .out = out};

		*out = (struct verify_result){.bad_day = ROLLUP_DAY_MAX};
		buf_init(&v.sums, SEAL_SUMS_MAX);
		buf_init(&v.rows[0], ROWS_MAX);
		buf_init(&v.rows[1], ROWS_MAX);
		claimcheck_init(&v.claims, l);
		idcheck_init(&v.ids, l);
		rc = verify_once(&v, &moved);
		rollcheck_fini(&v.rollups);
		claimcheck_fini(&v.claims);
		idcheck_fini(&v.ids);
		buf_fini(&v.sums);
		buf_fini(&v.rows[0]);
		buf_fini(&v.rows[1]);
		book_free(&v.book);
	}
	return !rc && moved ? ERRC_AGAIN : rc;
}

enum errc verify_folder(const char *dir, enum ledger_fault *fault)
{
	struct ledger_opts o = {.dir = dir, .read_only = true, .fault = fault};
	struct ledger *l = NULL;
	struct verify_result r;
	enum errc rc = ledger_open(&o, &l);

	if (!rc)
		rc = verify_ledger(l, false, NULL, NULL, &r);
	if (!rc && !verify_is_good(&r))
		rc = ERRC_CORRUPT;
	ledger_close(&l);
	return rc;
}
