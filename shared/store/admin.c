#include "admin.h"

#include "admin_priv.h"
#include "text.h"

/* Everything that the outbox holds goes into the open transaction: what was done before must stand before. */
static enum errc take_all(struct admin *a)
{
	uint64_t epoch = live_head(a->live)->epoch;
	const struct ledger_state *s = ledger_state(a->ledger);
	uint64_t after = s->taken_epoch == epoch ? s->taken_n : 0;
	enum errc rc;

	for (;;) {
		rc = outbox_read(a->live, after, a->batch);
		if (rc || a->batch->n == 0)
			return rc;
		rc = ledger_take(a->ledger, epoch, a->batch);
		if (rc)
			return rc;
		after = a->batch->rows[a->batch->n - 1].n;
	}
}

static enum errc apply_live(struct admin *a, const struct record *records, size_t n, uint64_t seq)
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

/* A definition that makes the live store larger is refused before the ledger has it, and while requests still find room. */
static enum errc has_room(struct admin *a)
{
	struct live *l = a->live;
	size_t room = 0;
	MDB_txn *txn;
	enum errc rc = live_read_begin(l, &txn);

	if (rc)
		return rc;
	rc = live_room(l, txn, &room);
	live_read_end(l);
	return !rc && room < l->size_bytes / 32 ? ERRC_FULL : rc;
}

/* What gives more: ledger first. When the live store cannot follow, admin_catch_up() does it. */
static enum errc give(struct admin *a, const struct record *records, size_t n, bool grows,
		      bool *durable)
{
	uint64_t seq = 0;
	enum errc rc = admin_catch_up(a->live, a->ledger);

	*durable = false;
	if (!rc && grows)
		rc = has_room(a);
	if (!rc)
		rc = ledger_begin(a->ledger);
	if (!rc)
		rc = take_all(a);
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

static enum errc do_live(struct admin *a, int64_t boot_ms, const struct record *r)
{
	MDB_txn *txn = NULL;
	uint64_t n;
	enum errc rc = live_txn_begin(a->live, &txn);

	if (rc)
		return rc;
	rc = admin_apply(a->live, txn, r);
	if (!rc)
		rc = live_outbox_last(a->live, txn, &n);
	if (!rc)
		rc = live_outbox_append(a->live, txn, n + 1, boot_ms, r);
	if (!rc)
		rc = live_txn_commit(a->live, &txn);
	live_txn_abort(a->live, &txn);
	return rc;
}

/* What takes: in the live store first, its record in the outbox; then the ledger at once, if it can. */
static enum errc withdraw(struct admin *a, int64_t boot_ms, const struct record *r, bool *durable)
{
	enum errc rc = admin_catch_up(a->live, a->ledger);

	*durable = false;
	if (!rc)
		rc = do_live(a, boot_ms, r);
	if (rc)
		return rc;
	rc = ledger_begin(a->ledger);
	if (!rc)
		rc = take_all(a);
	if (!rc)
		rc = ledger_commit(a->ledger);
	ledger_abort(a->ledger);
	*durable = !rc;
	return ERRC_OK;
}

static struct record change(const struct admin_by *by, enum record_type type, uint64_t account,
			    const char *what)
{
	struct record r = {.type = type, .account = account, .wall_ms = by->wall_ms};

	r.change.who = by->who;
	r.change.note = by->note;
	r.change.what = slice_str(what);
	return r;
}

bool admin_is_name(struct slice s)
{
	if (s.n == 0 || s.n > ROWS_NAME_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if ((uint8_t)s.p[i] <= ' ' || s.p[i] == 0x7f)
			return false;
	}
	return true;
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
				   .overdraft_nusd = spec->overdraft_nusd,
				   .created_s = by->wall_ms / 1000};
	struct record r[2] = {change(by, RECORD_ACCOUNT, row.id, "create"),
			      change(by, RECORD_GRANT, row.id, "grant")};
	struct buf b;
	enum errc rc;

	if (!admin_is_name(spec->name) || spec->mode >= ROWS_MODE_COUNT ||
	    !is_amount(spec->credit_nusd) || !is_amount(spec->overdraft_nusd))
		return ERRC_INVAL;
	if (book_account_named(book, spec->name))
		return ERRC_EXISTS;
	buf_init(&b, ROWS_MAX);
	rc = rows_put_account(&b, &row);
	r[0].change.row = buf_slice(&b);
	r[1].change.amount_nusd = spec->credit_nusd;
	if (!rc)
		rc = give(a, r, spec->credit_nusd > 0 ? 2 : 1, true, durable);
	if (!rc)
		*account = row.id;
	buf_fini(&b);
	return rc;
}

enum errc admin_account_credit(struct admin *a, const struct admin_by *by, uint64_t account,
			       int64_t nusd, bool *durable)
{
	struct record r = change(by, RECORD_GRANT, account, "grant");
	const struct rows_account *row = book_account(ledger_book(a->ledger), account);
	int64_t sum;

	if (!row)
		return ERRC_NOTFOUND;
	if (nusd <= 0 || !money_add(row->granted_nusd, nusd, &sum))
		return ERRC_RANGE;
	r.change.amount_nusd = nusd;
	return give(a, &r, 1, false, durable);
}

enum errc admin_account_take(struct admin *a, const struct admin_by *by, uint64_t account,
			     int64_t nusd, bool *durable)
{
	struct record r = change(by, RECORD_TAKE, account, "take");

	if (!book_account(ledger_book(a->ledger), account))
		return ERRC_NOTFOUND;
	if (nusd <= 0 || nusd > MONEY_NUSD_MAX)
		return ERRC_RANGE;
	r.change.amount_nusd = nusd;
	return withdraw(a, by->boot_ms, &r, durable);
}

enum errc admin_account_set_status(struct admin *a, const struct admin_by *by, uint64_t account,
				   enum rows_status status, bool *durable)
{
	struct record r =
		change(by, RECORD_ACCOUNT, account, status == ROWS_ACTIVE ? "resume" : "suspend");
	struct rows_account row;
	struct buf mem, b;
	enum errc rc;

	if (status != ROWS_ACTIVE && status != ROWS_SUSPENDED)
		return ERRC_INVAL;
	buf_init(&mem, ROWS_MAX);
	buf_init(&b, ROWS_MAX);
	rc = admin_account_get(a->live, account, &mem, &row);
	if (!rc) {
		/* A definition: the sums are not its business. */
		row.status = status;
		row.granted_nusd = row.balance_nusd = row.held_nusd = row.settled_nusd =
			row.uncollected_nusd = 0;
		row.holds = 0;
		rc = rows_put_account(&b, &row);
	}
	r.change.row = buf_slice(&b);
	if (!rc)
		rc = status == ROWS_ACTIVE ? give(a, &r, 1, false, durable)
					   : withdraw(a, by->boot_ms, &r, durable);
	buf_fini(&mem);
	buf_fini(&b);
	return rc;
}

static bool is_key(const struct rows_key *k)
{
	const struct rows_limits *l = &k->limits;

	for (size_t i = 0; i < ROWS_LIMIT_COUNT; i++) {
		if (l->rate[i] < ROWS_NO_LIMIT)
			return false;
	}
	return l->concurrency >= ROWS_NO_LIMIT && l->budget_nusd >= ROWS_NO_LIMIT &&
	       l->budget.unit < WINDOW_COUNT && k->status < ROWS_STATUS_COUNT &&
	       k->expires_s >= 0 && k->name.n <= ROWS_NAME_MAX;
}

static enum errc write_key(struct admin *a, const struct admin_by *by, const struct rows_key *k,
			   const char *what, bool restricts, bool grows, bool *durable)
{
	struct record r = change(by, RECORD_KEY, k->account, what);
	struct buf b;
	enum errc rc;

	buf_init(&b, ROWS_MAX);
	rc = rows_put_key(&b, k);
	r.change.row = buf_slice(&b);
	memcpy(r.change.key_id, k->id, APIKEY_ID);
	if (!rc)
		rc = restricts ? withdraw(a, by->boot_ms, &r, durable)
			       : give(a, &r, 1, grows, durable);
	buf_fini(&b);
	return rc;
}

enum errc admin_key_create(struct admin *a, const struct admin_by *by, const struct rows_key *k,
			   bool *durable)
{
	const struct book *book = ledger_book(a->ledger);

	if (!is_key(k) || k->status != ROWS_ACTIVE)
		return ERRC_INVAL;
	if (!book_account(book, k->account))
		return ERRC_NOTFOUND;
	if (book_key(book, k->id))
		return ERRC_EXISTS;
	return write_key(a, by, k, "create", false, true, durable);
}

static bool lowers(int64_t from, int64_t to)
{
	return to != ROWS_NO_LIMIT && (from == ROWS_NO_LIMIT || to < from);
}

static bool restricts(const struct rows_key *from, const struct rows_key *to)
{
	bool less = lowers(from->limits.concurrency, to->limits.concurrency) ||
		    lowers(from->limits.budget_nusd, to->limits.budget_nusd);

	for (size_t i = 0; i < ROWS_LIMIT_COUNT; i++)
		less = less || lowers(from->limits.rate[i], to->limits.rate[i]);
	if (to->expires_s != 0 && (from->expires_s == 0 || to->expires_s < from->expires_s))
		less = true;
	/* Patterns and ranges that change at all may leave something out. */
	if ((to->models.n > 0 && !slice_eq(from->models, to->models)) ||
	    (to->nets_n > 0 && (to->nets_n != from->nets_n ||
				memcmp(to->nets, from->nets, to->nets_n * sizeof *to->nets) != 0)))
		less = true;
	return less || (to->status != ROWS_ACTIVE && to->status != from->status);
}

static bool is_larger(const struct rows_key *from, const struct rows_key *to)
{
	return to->name.n > from->name.n || to->models.n > from->models.n ||
	       to->nets_n > from->nets_n;
}

enum errc admin_key_update(struct admin *a, const struct admin_by *by, const struct rows_key *k,
			   bool *durable)
{
	struct rows_key now, next = *k;
	struct buf mem;
	enum errc rc;

	if (!is_key(k))
		return ERRC_INVAL;
	buf_init(&mem, ROWS_MAX);
	rc = admin_key_get(a->live, k->id, &mem, &now, NULL);
	if (!rc && now.status == ROWS_REVOKED)
		rc = ERRC_STATE;
	if (!rc && next.account != now.account)
		rc = ERRC_INVAL;
	if (!rc) {
		memcpy(next.hash, now.hash, sizeof next.hash);
		next.created_s = now.created_s;
		rc = write_key(a, by, &next, next.status == ROWS_REVOKED ? "revoke" : "update",
			       restricts(&now, &next), is_larger(&now, &next), durable);
	}
	buf_fini(&mem);
	return rc;
}

enum errc admin_key_revoke(struct admin *a, const struct admin_by *by, const char id[APIKEY_ID],
			   bool *durable)
{
	struct rows_key now;
	struct buf mem;
	enum errc rc;

	buf_init(&mem, ROWS_MAX);
	rc = admin_key_get(a->live, id, &mem, &now, NULL);
	if (!rc && now.status == ROWS_REVOKED)
		*durable = true; /* nothing is left to do; the first time has its record */
	else if (!rc) {
		now.status = ROWS_REVOKED;
		rc = write_key(a, by, &now, "revoke", true, false, durable);
	}
	buf_fini(&mem);
	return rc;
}
