#include "admin_priv.h"
#include "live_states.h"
#include "running.h"

#define BEHIND_ROWS 256 /* records that are walked over rather than noted as seen */

static enum errc apply_account(struct live *l, MDB_txn *txn, const struct record *r)
{
	struct rows_account def, now;
	char name[ROWS_NAME_MAX];
	enum errc rc = rows_get_account(r->change.row, &def);

	if (rc)
		return rc;
	rc = live_get_account(l, txn, r->account, &now);
	if (rc == ERRC_NOTFOUND) {
		def.granted_nusd = def.balance_nusd = def.held_nusd = def.settled_nusd =
			def.uncollected_nusd = 0;
		def.holds = 0;
		return admin_put_account(l, txn, &def);
	}
	if (rc)
		return rc;
	memcpy(name, now.name.p, now.name.n);
	now.name.p = name;
	now.group = def.group;
	now.mode = def.mode;
	now.status = def.status;
	now.overdraft_nusd = def.overdraft_nusd;
	return live_put_account(l, txn, &now);
}

/* The account as it stands, to be written back: what it points to is in `mem`. */
static enum errc get_account(struct live *l, MDB_txn *txn, uint64_t account,
			     char mem[2 * ROWS_NAME_MAX], struct rows_account *a)
{
	enum errc rc = live_get_account(l, txn, account, a);

	if (rc)
		return rc;
	memcpy(mem, a->name.p, a->name.n);
	a->name.p = mem;
	if (a->group.n)
		memcpy(mem + ROWS_NAME_MAX, a->group.p, a->group.n);
	a->group.p = mem + ROWS_NAME_MAX;
	return ERRC_OK;
}

static enum errc apply_credit(struct live *l, MDB_txn *txn, const struct record *r)
{
	int64_t amount = r->type == RECORD_GRANT ? r->change.amount_nusd : -r->change.amount_nusd;
	struct rows_account a;
	char mem[2 * ROWS_NAME_MAX];
	enum errc rc = get_account(l, txn, r->account, mem, &a);

	if (rc)
		return rc;
	if (!money_add(a.granted_nusd, amount, &a.granted_nusd) ||
	    !money_add(a.balance_nusd, amount, &a.balance_nusd))
		return ERRC_RANGE;
	return rows_account_is_sound(&a) ? live_put_account(l, txn, &a) : ERRC_STATE;
}

/* Admission looks for rules and end users only where the account says that there are any, and at its floor where that holds. */
static enum errc mark_account(struct live *l, MDB_txn *txn, const struct rows_scope *def)
{
	struct rows_account a, now;
	char mem[2 * ROWS_NAME_MAX];
	enum errc rc = get_account(l, txn, def->account, mem, &now);

	if (rc)
		return rc;
	a = now;
	rows_account_note(&a, def);
	return a.flags == now.flags && a.user_rules == now.user_rules
		       ? ERRC_OK
		       : live_put_account(l, txn, &a);
}

static enum errc remove_user(struct live *l, MDB_txn *txn, const struct rows_scope *u)
{
	struct rows_key_name name = rows_name_scope(u->account, ROWS_USER, u->id);
	enum errc rc = live_row_del(l, txn, &name);

	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	return running_count_user(l, txn, u->account, u->id);
}

/* Whether requests that run must be counted in a limit that the definition brings, or in those for all that hold an end user again
 * who loses its own. A definition before it that cannot be read had none. */
static enum errc look_at_running(struct live *l, MDB_txn *txn, const struct rows_scope *def,
				 bool *due, bool *of_all)
{
	struct rows_scope was;
	enum errc rc;

	*of_all = def->kind == ROWS_USER && def->limits.n == 0;
	*due = running_is_due(NULL, def);
	if (!*due && !*of_all)
		return ERRC_OK;
	rc = live_get_scope(l, txn, def->account, def->kind, def->id, &was);
	if (!rc) {
		*due = running_is_due(&was, def);
		*of_all = *of_all && was.limits.n > 0;
	}
	return rc == ERRC_NOTFOUND || live_is_damaged(rc) ? ERRC_OK : rc;
}

static enum errc put_scope(struct live *l, MDB_txn *txn, const struct rows_scope *def)
{
	bool due, of_all;
	enum errc rc = look_at_running(l, txn, def, &due, &of_all);

	if (!rc)
		rc = live_put_scope(l, txn, def);
	if (!rc && of_all)
		rc = running_count_user(l, txn, def->account, def->id);
	return !rc && due ? running_count(l, txn, def) : rc;
}

static bool has_hash(const struct rows_scope *k, const uint8_t hash[DIGEST_SHA256])
{
	return memcmp(k->hash, hash, DIGEST_SHA256) == 0 ||
	       (k->old_until_s && memcmp(k->old_hash, hash, DIGEST_SHA256) == 0);
}

/* Secrets that a key has no longer leave the index. Of one that cannot be read they stay, and lead to a row that knows them no more. */
static enum errc forget_hashes(struct live *l, MDB_txn *txn, const struct rows_scope *key)
{
	struct rows_scope now;
	enum errc rc = live_get_scope(l, txn, key->account, ROWS_KEY, key->id, &now);

	if (rc)
		return rc == ERRC_NOTFOUND || live_is_damaged(rc) ? ERRC_OK : rc;
	if (!has_hash(key, now.hash))
		rc = live_unindex_hash(l, txn, now.hash);
	if (!rc && now.old_until_s && !has_hash(key, now.old_hash))
		rc = live_unindex_hash(l, txn, now.old_hash);
	return rc;
}

static enum errc apply_scope(struct live *l, MDB_txn *txn, const struct record *r)
{
	struct rows_scope def;
	enum errc rc = rows_get_scope(r->change.row, &def);

	if (!rc && def.account != r->account)
		rc = ERRC_CORRUPT;
	if (rc)
		return rc;
	if (def.kind == ROWS_USER && def.status == ROWS_REVOKED)
		return remove_user(l, txn, &def);
	if (def.kind == ROWS_KEY)
		rc = forget_hashes(l, txn, &def);
	if (!rc)
		rc = put_scope(l, txn, &def);
	if (!rc && (def.kind == ROWS_ACCOUNT || def.kind == ROWS_USER))
		rc = mark_account(l, txn, &def);
	return rc ? rc : live_index_scope(l, txn, &def);
}

enum errc admin_apply(struct live *l, MDB_txn *txn, const struct record *r)
{
	switch (r->type) {
	case RECORD_ACCOUNT:
		return apply_account(l, txn, r);
	case RECORD_GRANT:
	case RECORD_TAKE:
		return apply_credit(l, txn, r);
	case RECORD_RULES:
	case RECORD_TEAM:
	case RECORD_KEY:
	case RECORD_USER:
		return apply_scope(l, txn, r);
	default:
		return ERRC_OK;
	}
}

static enum errc catch_up_one(void *arg, const struct ledger_item *item)
{
	struct live *l = arg;
	struct record r;
	MDB_txn *txn = NULL;
	enum errc rc = record_decode(item->record, &r);

	if (rc)
		return rc;
	/* What came through the outbox was done here before; definitions may be set again, a take may not. */
	if (r.type == RECORD_TAKE || r.type == RECORD_CHARGE || r.type == RECORD_REVERSE)
		return ERRC_OK;
	rc = live_txn_begin(l, &txn);
	if (rc)
		return rc;
	rc = admin_apply(l, txn, &r);
	if (!rc)
		rc = live_put_admin_seq(l, txn, item->seq);
	if (!rc)
		rc = live_txn_commit(l, &txn);
	live_txn_abort(l, &txn);
	return rc;
}

/* All that the ledger has is in the live store. Noted now and then, so that what is left to walk over after a crash is never
 * more than came with the change that it met, however many charges there were since the one before. */
static enum errc note_seen(struct live *l, uint64_t seq)
{
	MDB_txn *txn = NULL;
	enum errc rc = live_txn_begin(l, &txn);

	if (rc)
		return rc;
	rc = live_put_admin_seq(l, txn, seq);
	if (!rc)
		rc = live_txn_commit(l, &txn);
	live_txn_abort(l, &txn);
	return rc;
}

/* How far the live store says that it has come. */
static enum errc seen(struct live *l, uint64_t *seq)
{
	MDB_txn *txn;
	enum errc rc = live_read_begin(l, &txn);

	if (rc)
		return rc;
	rc = live_get_admin_seq(l, txn, seq);
	live_read_end(l);
	return rc;
}

/* `behind`: how many records it may have and not say so. */
static enum errc catch_up(struct live *l, struct ledger *ledger, uint64_t behind)
{
	const struct ledger_state *s = ledger_state(ledger);
	uint64_t seq, next;
	enum errc rc = seen(l, &seq);

	if (rc)
		return rc;
	next = seq + 1;
	if (seq < s->admin_seq)
		rc = ledger_walk(ledger, &next, s->admin_seq, catch_up_one, l);
	if (!rc && MAX_OF(seq, s->admin_seq) + behind < s->last_seq)
		rc = note_seen(l, s->last_seq);
	return rc;
}

enum errc admin_catch_up(struct live *l, struct ledger *ledger)
{
	return catch_up(l, ledger, BEHIND_ROWS);
}

enum errc admin_catch_up_all(struct live *l, struct ledger *ledger)
{
	return catch_up(l, ledger, 0);
}

/* A scope, and whether anything of it waits. */
struct waiting {
	uint64_t account;
	enum rows_kind kind;
	const char *id;
};

static bool is_of(const struct record *r, const struct waiting *w)
{
	struct rows_scope def;

	switch (r->type) {
	case RECORD_ACCOUNT:
	case RECORD_GRANT:
	case RECORD_RULES:
		return w->kind == ROWS_ACCOUNT && r->account == w->account;
	case RECORD_TEAM:
	case RECORD_KEY:
	case RECORD_USER:
		return rows_get_scope(r->change.row, &def) != ERRC_OK ||
		       (def.kind == w->kind && memcmp(def.id, w->id, ROWS_ID) == 0 &&
			(def.kind == ROWS_KEY || def.account == w->account));
	default:
		return false;
	}
}

static enum errc look_at_one(void *arg, const struct ledger_item *item)
{
	struct record r;
	enum errc rc = record_decode(item->record, &r);

	return !rc && is_of(&r, arg) ? ERRC_EXISTS : rc;
}

/* What waits includes what came through the outbox since the live store noted how far it was: that is set again with the rest, and
 * must not be set over what is newer. */
enum errc admin_catch_up_of(struct live *l, struct ledger *ledger, uint64_t account,
			    enum rows_kind kind, const char *id)
{
	const struct ledger_state *s = ledger_state(ledger);
	struct waiting w = {account, kind, id};
	enum errc behind = admin_catch_up(l, ledger);
	uint64_t seq;

	if (!behind || seen(l, &seq))
		return behind;
	seq++;
	return ledger_walk(ledger, &seq, s->admin_seq, look_at_one, &w) ? behind : ERRC_OK;
}
