#include "admin.h"

#include "admin_priv.h"
#include "live_states.h"
#include "text.h"
#include "user_tag.h"

#define APPLY_ROWS  ((size_t)8) /* a transaction */
#define INDEX_BYTES 512 /* that a new scope may take beside its row, in pages that are half full */

static uint64_t taken_of(const struct admin *a)
{
	const struct ledger_state *s = ledger_state(a->ledger);

	return s->taken_epoch == live_head(a->live)->epoch ? s->taken_n : 0;
}

/* A day that has ended is sealed as of a commit. */
static enum errc commit_day(struct admin *a)
{
	enum errc rc = ledger_commit(a->ledger);

	return rc ? rc : ledger_begin(a->ledger);
}

/* Everything that the outbox holds goes into the open transaction, or, of days before the last one, into others before it: what was
 * done before must stand before. */
static enum errc take_all(struct admin *a)
{
	uint64_t after = taken_of(a);
	enum errc rc;

	for (;;) {
		rc = outbox_read(a->live, after, a->batch);
		if (rc || a->batch->n == 0)
			return rc;
		rc = ledger_take(a->ledger, live_head(a->live)->epoch, a->batch);
		if (!rc) {
			after = a->batch->rows[a->batch->n - 1].n;
			continue;
		}
		if (rc == ERRC_AGAIN)
			rc = commit_day(a);
		if (rc)
			return rc;
		after = taken_of(a);
	}
}

/* One transaction, up to `seq`, the number of the last record. */
static enum errc apply_some(struct admin *a, const struct record *records, size_t n, uint64_t seq)
{
	MDB_txn *txn = NULL;
	enum errc rc = live_txn_begin(a->live, &txn);

	for (size_t i = 0; !rc && i < n; i++)
		rc = admin_apply(a->live, txn, &records[i]);
	if (!rc)
		rc = live_put_admin_seq(a->live, txn, seq);
	if (!rc)
		rc = live_txn_commit(a->live, &txn);
	live_txn_abort(a->live, &txn);
	return rc;
}

/* Requests come in between the transactions; each says how far the live store has come. */
static enum errc apply_live(struct admin *a, const struct record *records, size_t n, uint64_t seq)
{
	enum errc rc = ERRC_OK;

	for (size_t i = 0; !rc && i < n; i += APPLY_ROWS) {
		size_t some = MIN_OF(n - i, APPLY_ROWS);

		rc = apply_some(a, &records[i], some, seq - (n - i - some));
	}
	return rc;
}

/* A definition that makes the live store larger is refused before the ledger has it, and while requests still find room. */
static enum errc has_room(struct admin *a, const struct record *records, size_t n)
{
	size_t bytes = 0;
	struct live *l = a->live;
	size_t room = 0;
	MDB_txn *txn;
	enum errc rc = live_read_begin(l, &txn);

	if (rc)
		return rc;
	rc = live_room(l, txn, &room);
	live_read_end(l);
	for (size_t i = 0; i < n; i++)
		bytes += 2 * records[i].change.row.n + INDEX_BYTES;
	return !rc && room < l->size_bytes / 32 + bytes ? ERRC_FULL : rc;
}

/* What gives more: ledger first. When the live store cannot follow, admin_catch_up() does it. */
enum errc admin_give(struct admin *a, const struct record *records, size_t n, bool grows,
		     bool *durable)
{
	uint64_t seq = 0;
	enum errc rc = admin_catch_up_all(a->live, a->ledger);

	*durable = false;
	if (!rc && grows)
		rc = has_room(a, records, n);
	if (!rc)
		rc = ledger_begin(a->ledger);
	if (!rc)
		rc = take_all(a);
	if (!rc && n > 0 && ledger_ends_day(a->ledger, records[0].wall_ms))
		rc = commit_day(a);
	for (size_t i = 0; !rc && i < n; i++)
		rc = ledger_append(a->ledger, &records[i], &seq);
	if (!rc)
		rc = ledger_commit(a->ledger);
	ledger_abort(a->ledger);
	if (rc)
		return rc;
	*durable = true;
	return apply_live(a, records, n, seq);
}

/* An account may not be given bounds that its balance is beyond, nor leave shadow while it is. */
static enum errc still_sound(struct live *l, MDB_txn *txn, const struct record *r)
{
	struct rows_account now;
	enum errc rc;

	if (r->type != RECORD_ACCOUNT && r->type != RECORD_RULES)
		return ERRC_OK;
	rc = live_get_account(l, txn, r->account, &now);
	return rc || rows_account_is_sound(&now) ? rc : ERRC_STATE;
}

/* An end user that gets a row adds up from there what it uses, as in the ledger, which may have forgotten what was before. */
static enum errc begin_user(struct live *l, MDB_txn *txn, const struct record *r)
{
	struct rows_key_name name;
	struct rows_scope def;
	struct rows_state st;
	struct slice row;
	enum errc rc;

	if (r->type != RECORD_USER)
		return ERRC_OK;
	rc = rows_get_scope(r->change.row, &def);
	if (rc)
		return rc;
	name = rows_name_scope(def.account, ROWS_USER, def.id);
	rc = live_row_get(l, txn, &name, &row);
	if (rc != ERRC_NOTFOUND)
		return rc;
	rc = live_get_state(l, txn, def.account, ROWS_USER, def.id, &st);
	if (rc)
		return rc;
	st.requests = st.tokens = 0;
	st.charged_nusd = st.used_s = 0;
	return live_put_state(l, txn, def.account, ROWS_USER, def.id, &st);
}

static enum errc do_live(struct admin *a, int64_t boot_ms, const struct record *r)
{
	MDB_txn *txn = NULL;
	uint64_t n;
	enum errc rc = live_txn_begin(a->live, &txn);

	if (rc)
		return rc;
	rc = begin_user(a->live, txn, r);
	if (!rc)
		rc = admin_apply(a->live, txn, r);
	if (!rc)
		rc = still_sound(a->live, txn, r);
	if (!rc)
		rc = live_outbox_last(a->live, txn, &n);
	if (!rc)
		rc = live_outbox_append(a->live, txn, n + 1, boot_ms, r);
	if (!rc)
		rc = live_txn_commit(a->live, &txn);
	live_txn_abort(a->live, &txn);
	return rc;
}

void admin_make_durable(struct admin *a, bool *durable)
{
	enum errc rc = ledger_begin(a->ledger);

	if (!rc)
		rc = take_all(a);
	if (!rc)
		rc = ledger_commit(a->ledger);
	ledger_abort(a->ledger);
	a->not_durable = rc;
	*durable = !rc;
}

/* What takes: in the live store first, its record in the outbox; then the ledger at once, if it can. */
enum errc admin_withdraw(struct admin *a, int64_t boot_ms, const struct record *r, bool grows,
			 bool *durable)
{
	enum errc rc = grows ? has_room(a, r, 1) : ERRC_OK;

	*durable = false;
	if (!rc)
		rc = do_live(a, boot_ms, r);
	if (!rc)
		admin_make_durable(a, durable);
	return rc;
}

struct record admin_change(const struct admin_by *by, enum record_type type, uint64_t account,
			   const char *what)
{
	struct record r = {.type = type, .account = account, .wall_ms = by->wall_ms};

	r.change.who = by->who;
	r.change.note = by->note;
	r.change.what = slice_str(what);
	return r;
}

enum errc admin_note(struct admin *a, const struct admin_by *by, enum record_type type,
		     const char *what, int64_t number)
{
	struct record r = admin_change(by, type, 0, what);
	bool durable;

	r.change.number = number;
	return admin_give(a, &r, 1, false, &durable);
}

enum errc admin_note_reload(struct admin *a, const struct admin_by *by, uint64_t life,
			    uint64_t generation)
{
	const struct ledger_state *s = ledger_state(a->ledger);
	struct record r = admin_change(by, RECORD_RELOAD, 0, "in force");
	bool durable;

	if (s->reload_life == life && generation <= s->reload_number)
		return ERRC_OK;
	r.change.epoch = life;
	r.change.number = (int64_t)generation;
	return admin_give(a, &r, 1, false, &durable);
}

bool admin_is_name(struct slice s)
{
	return s.n <= ROWS_NAME_MAX && user_tag_is_good(s) && slice_chr(s, ' ') < 0;
}

bool admin_is_new_name(struct slice s)
{
	return admin_is_name(s) && slice_chr(s, '/') < 0;
}

static bool is_amount(int64_t nusd)
{
	return nusd >= 0 && nusd <= MONEY_NUSD_MAX;
}

enum errc admin_account_create(struct admin *a, const struct admin_by *by,
			       const struct admin_account_spec *spec, uint64_t *account,
			       bool *durable)
{
	const struct book *book = ledger_book(a->ledger);
	struct rows_account row = {.id = book_next_account(book),
				   .mode = spec->mode,
				   .name = spec->name,
				   .group = spec->group,
				   .overdraft_nusd = spec->overdraft_nusd,
				   .created_s = by->wall_ms / 1000};
	struct record r[2] = {admin_change(by, RECORD_ACCOUNT, row.id, "create"),
			      admin_change(by, RECORD_GRANT, row.id, "grant")};
	struct buf b;
	enum errc rc;

	*durable = false;
	if (!admin_is_new_name(spec->name) || (spec->group.n && !admin_is_name(spec->group)) ||
	    spec->mode >= ROWS_MODE_COUNT || !is_amount(spec->credit_nusd) ||
	    !is_amount(spec->overdraft_nusd))
		return ERRC_INVAL;
	if (book_account_named(book, spec->name))
		return ERRC_EXISTS;
	buf_init(&b, ROWS_MAX);
	rc = rows_put_account(&b, &row);
	r[0].change.row = buf_slice(&b);
	r[1].change.amount_nusd = spec->credit_nusd;
	if (!rc)
		rc = admin_give(a, r, spec->credit_nusd > 0 ? 2 : 1, true, durable);
	if (!rc)
		*account = row.id;
	buf_fini(&b);
	return rc;
}

enum errc admin_account_credit(struct admin *a, const struct admin_by *by, uint64_t account,
			       int64_t nusd, bool *durable)
{
	struct record r = admin_change(by, RECORD_GRANT, account, "grant");
	const struct rows_account *row = book_account(ledger_book(a->ledger), account);
	int64_t sum;

	*durable = false;
	if (!row)
		return ERRC_NOTFOUND;
	if (nusd <= 0 || !money_add(row->granted_nusd, nusd, &sum))
		return ERRC_RANGE;
	r.change.amount_nusd = nusd;
	return admin_give(a, &r, 1, false, durable);
}

enum errc admin_account_take(struct admin *a, const struct admin_by *by, uint64_t account,
			     int64_t nusd, bool *durable)
{
	struct record r = admin_change(by, RECORD_TAKE, account, "take");
	enum errc rc;

	*durable = false;
	if (!book_account(ledger_book(a->ledger), account))
		return ERRC_NOTFOUND;
	if (nusd <= 0 || nusd > MONEY_NUSD_MAX)
		return ERRC_RANGE;
	r.change.amount_nusd = nusd;
	rc = admin_catch_up_of(a->live, a->ledger, account, ROWS_ACCOUNT, NULL);
	return rc ? rc : admin_withdraw(a, by->boot_ms, &r, false, durable);
}

static enum errc write_account(struct admin *a, const struct admin_by *by,
			       const struct rows_account *row, const char *what, bool restricts,
			       bool grows, bool *durable)
{
	struct record r = admin_change(by, RECORD_ACCOUNT, row->id, what);
	struct rows_account def = *row;
	struct buf b;
	enum errc rc;

	/* A definition: the sums are not its business. */
	def.granted_nusd = def.balance_nusd = def.held_nusd = def.settled_nusd =
		def.uncollected_nusd = 0;
	def.holds = 0;
	def.flags = 0;
	buf_init(&b, ROWS_MAX);
	rc = rows_put_account(&b, &def);
	r.change.row = buf_slice(&b);
	if (!rc)
		rc = restricts ? admin_withdraw(a, by->boot_ms, &r, grows, durable)
			       : admin_give(a, &r, 1, grows, durable);
	buf_fini(&b);
	return rc;
}

enum errc admin_account_set_status(struct admin *a, const struct admin_by *by, uint64_t account,
				   enum rows_status status, bool *durable)
{
	bool resume = status == ROWS_ACTIVE;
	struct rows_account row;
	struct buf mem;
	enum errc rc;

	*durable = false;
	if (status != ROWS_ACTIVE && status != ROWS_SUSPENDED)
		return ERRC_INVAL;
	buf_init(&mem, ROWS_MAX);
	rc = admin_catch_up_of(a->live, a->ledger, account, ROWS_ACCOUNT, NULL);
	if (!rc)
		rc = admin_account_get(a->live, account, &mem, &row);
	row.status = status;
	if (!rc)
		rc = write_account(a, by, &row, resume ? "resume" : "suspend", !resume, false,
				   durable);
	buf_fini(&mem);
	return rc;
}

/* Whether it takes, and gives nothing with it but where it suspends. Another group may pay less. */
static bool account_restricts(const struct rows_account *from, const struct rows_account *to)
{
	bool bounded = from->mode == ROWS_PREPAID;

	if (to->status != from->status)
		return to->status != ROWS_ACTIVE;
	if (!slice_eq(to->group, from->group) ||
	    (bounded && (to->mode != ROWS_PREPAID || to->overdraft_nusd > from->overdraft_nusd)))
		return false;
	return (to->mode == ROWS_PREPAID && !bounded) || to->overdraft_nusd < from->overdraft_nusd;
}

enum errc admin_account_update(struct admin *a, const struct admin_by *by,
			       const struct rows_account *row, bool *durable)
{
	struct rows_account now;
	struct buf mem;
	enum errc rc;

	*durable = false;
	if (row->mode >= ROWS_MODE_COUNT || !is_amount(row->overdraft_nusd) ||
	    (row->status != ROWS_ACTIVE && row->status != ROWS_SUSPENDED) ||
	    (row->group.n && !admin_is_name(row->group)))
		return ERRC_INVAL;
	buf_init(&mem, ROWS_MAX);
	rc = admin_catch_up(a->live, a->ledger);
	if (!rc)
		rc = admin_account_get(a->live, row->id, &mem, &now);
	if (!rc && !slice_eq(now.name, row->name))
		rc = ERRC_INVAL;
	if (!rc)
		rc = write_account(a, by, row, "update", account_restricts(&now, row),
				   row->group.n > now.group.n, durable);
	buf_fini(&mem);
	return rc;
}
