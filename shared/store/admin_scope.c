#include "admin_priv.h"
#include "mem.h"

static const char no_team[ROWS_ID];

static bool is_scope(const struct rows_scope *s)
{
	return rows_limits_are_valid(&s->limits) && s->status < ROWS_STATUS_COUNT &&
	       s->expires_s >= 0 && s->nets_n <= ROWS_NETS_MAX &&
	       s->name.n <= (s->kind == ROWS_USER ? ROWS_TAG_MAX : ROWS_NAME_MAX);
}

static enum record_type type_of(enum rows_kind kind)
{
	switch (kind) {
	case ROWS_ACCOUNT:
		return RECORD_RULES;
	case ROWS_TEAM:
		return RECORD_TEAM;
	case ROWS_KEY:
		return RECORD_KEY;
	default:
		return RECORD_USER;
	}
}

/* `before`: bytes of the row that is there now; 0: there is none. */
static enum errc write_scope(struct admin *a, const struct admin_by *by, const struct rows_scope *s,
			     const char *what, bool restricts, size_t before, bool *durable)
{
	struct record r = admin_change(by, type_of(s->kind), s->account, what);
	struct buf b;
	enum errc rc;

	buf_init(&b, ROWS_MAX);
	rc = rows_put_scope(&b, s);
	r.change.row = buf_slice(&b);
	if (s->kind == ROWS_KEY)
		memcpy(r.change.key_id, s->id, APIKEY_ID);
	if (!rc)
		rc = restricts ? admin_withdraw(a, by->boot_ms, &r, b.len > before, durable)
			       : admin_give(a, &r, 1, b.len > before, durable);
	buf_fini(&b);
	return rc;
}

static bool has_team(const struct book *book, const struct rows_scope *k)
{
	return memcmp(k->team, no_team, ROWS_ID) == 0 ||
	       book_scope(book, ROWS_TEAM, k->account, k->team);
}

enum errc admin_key_create(struct admin *a, const struct admin_by *by, const struct rows_scope *k,
			   bool *durable)
{
	const struct book *book = ledger_book(a->ledger);

	*durable = false;
	if (k->kind != ROWS_KEY || !is_scope(k) || k->status != ROWS_ACTIVE)
		return ERRC_INVAL;
	if (!book_account(book, k->account) || !has_team(book, k))
		return ERRC_NOTFOUND;
	if (book_scope(book, ROWS_KEY, k->account, k->id))
		return ERRC_EXISTS;
	return write_scope(a, by, k, "create", false, 0, durable);
}

static bool is_repeated(const struct admin_key_new *keys, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (memcmp(keys[i].id, keys[n].id, APIKEY_ID) == 0)
			return true;
	}
	return false;
}

/* What admin_key_create() would say of it, and what the record needs of it. */
static enum errc check_new(struct admin *a, const struct admin_by *by, struct admin_key_new *key,
			   struct record *r)
{
	const struct book *book = ledger_book(a->ledger);
	struct rows_scope k, other;
	struct buf mem;
	enum errc rc = rows_get_scope(key->row, &k);

	if (rc || k.kind != ROWS_KEY || !is_scope(&k) || k.status != ROWS_ACTIVE)
		return ERRC_INVAL;
	if (!book_account(book, k.account) || !has_team(book, &k))
		return ERRC_NOTFOUND;
	buf_init(&mem, ROWS_MAX);
	rc = admin_key_get(a->live, k.id, &mem, &other, NULL);
	buf_fini(&mem);
	if (rc != ERRC_NOTFOUND)
		return rc ? rc : ERRC_EXISTS;
	memcpy(key->id, k.id, APIKEY_ID);
	*r = admin_change(by, RECORD_KEY, k.account, "import");
	r->change.row = key->row;
	memcpy(r->change.key_id, k.id, APIKEY_ID);
	return ERRC_OK;
}

enum errc admin_keys_create(struct admin *a, const struct admin_by *by, struct admin_key_new *keys,
			    size_t n, size_t *at, bool *durable)
{
	struct record *records = mem_new(n * sizeof *records);
	enum errc rc = records ? admin_catch_up(a->live, a->ledger) : ERRC_NOMEM;

	*durable = false;
	*at = n;
	for (size_t i = 0; !rc && i < n; i++) {
		rc = check_new(a, by, &keys[i], &records[i]);
		if (!rc && is_repeated(keys, i))
			rc = ERRC_EXISTS;
		if (rc)
			*at = i;
	}
	if (!rc)
		rc = admin_give(a, records, n, true, durable);
	mem_free(records);
	return rc;
}

static const struct rows_rule *rule_of(const struct rows_limits *l, uint32_t id)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].id == id)
			return &l->v[i];
	}
	return NULL;
}

/* A rule that is new, lower, or of another kind or reach may refuse what was let through. */
static bool rule_restricts(const struct rows_rule *from, const struct rows_rule *to)
{
	if (to->shadow)
		return false;
	return !from || from->shadow || from->kind != to->kind || to->limit < from->limit ||
	       to->raise < from->raise || !slice_eq(from->models, to->models) ||
	       (to->raise && to->raise_until_s != from->raise_until_s && to->raise_until_s != 0 &&
		(from->raise_until_s == 0 || to->raise_until_s < from->raise_until_s)) ||
	       (to->raise && to->raise_until_s && from->raise_by_window && !to->raise_by_window) ||
	       to->window.unit != from->window.unit || to->window.rolling != from->window.rolling ||
	       !slice_eq(to->zone, from->zone);
}

/* Whether the change takes away, and nothing but that. */
static bool restricts(const struct rows_scope *from, const struct rows_scope *to)
{
	bool less = from->flags & ROWS_SHADOW;

	if (to->status != ROWS_ACTIVE && to->status != from->status)
		return true;
	if ((to->flags & ROWS_SHADOW) || admin_gives(from, to))
		return false;
	for (size_t i = 0; i < to->limits.n; i++)
		less = less ||
		       rule_restricts(rule_of(&from->limits, to->limits.v[i].id), &to->limits.v[i]);
	if (to->expires_s != 0 && (from->expires_s == 0 || to->expires_s < from->expires_s))
		less = true;
	/* Patterns and ranges that change at all may leave something out, as may another team. */
	if ((to->models.n > 0 && !slice_eq(from->models, to->models)) ||
	    (to->nets_n > 0 && (to->nets_n != from->nets_n ||
				memcmp(to->nets, from->nets, to->nets_n * sizeof *to->nets) != 0)) ||
	    memcmp(to->team, from->team, ROWS_ID) != 0)
		less = true;
	return less;
}

/* Said once more of one that is suspended: it is in force already, whatever the ledger can take. */
static bool restricts_again(const struct rows_scope *s, const struct buf *row)
{
	struct buf b;
	bool same;

	if (s->status == ROWS_ACTIVE)
		return false;
	buf_init(&b, ROWS_MAX);
	same = !rows_put_scope(&b, s) && slice_eq(buf_slice(&b), buf_slice(row));
	buf_fini(&b);
	return same;
}

/* Over a definition that is there, read into `row`: what cannot change stays. */
static enum errc replace(struct admin *a, const struct admin_by *by, const struct rows_scope *now,
			 const struct buf *row, struct rows_scope *next, bool *durable)
{
	static const char *const whats[ROWS_STATUS_COUNT] = {
		[ROWS_ACTIVE] = "resume", [ROWS_SUSPENDED] = "suspend", [ROWS_REVOKED] = "revoke"};
	const char *what = next->status == now->status ? "update" : whats[next->status];

	memcpy(next->hash, now->hash, sizeof next->hash);
	memcpy(next->old_hash, now->old_hash, sizeof next->old_hash);
	next->old_until_s = now->old_until_s;
	next->pepper = now->pepper;
	next->old_pepper = now->old_pepper;
	next->created_s = now->created_s;
	next->limits.last_id = MAX_OF(now->limits.last_id, next->limits.last_id);
	return write_scope(a, by, next, what, restricts(now, next) || restricts_again(next, row),
			   row->len, durable);
}

enum errc admin_key_update(struct admin *a, const struct admin_by *by, const struct rows_scope *k,
			   bool *durable)
{
	struct rows_scope now, next = *k;
	struct buf mem;
	enum errc rc;

	*durable = false;
	if (k->kind != ROWS_KEY || !is_scope(k))
		return ERRC_INVAL;
	buf_init(&mem, ROWS_MAX);
	rc = admin_catch_up_of(a->live, a->ledger, k->account, ROWS_KEY, k->id);
	if (!rc)
		rc = admin_key_get(a->live, k->id, &mem, &now, NULL);
	if (!rc && now.status == ROWS_REVOKED)
		rc = ERRC_STATE;
	if (!rc && next.account != now.account)
		rc = ERRC_INVAL;
	if (!rc && !has_team(ledger_book(a->ledger), k))
		rc = ERRC_NOTFOUND;
	if (!rc)
		rc = replace(a, by, &now, &mem, &next, durable);
	buf_fini(&mem);
	return rc;
}

enum errc admin_key_rotate(struct admin *a, const struct admin_by *by, const char id[APIKEY_ID],
			   const uint8_t hash[DIGEST_SHA256], uint16_t pepper, int64_t old_until_s,
			   bool *durable)
{
	struct rows_scope key;
	struct buf mem;
	enum errc rc;

	*durable = false;
	if (old_until_s < 0)
		return ERRC_INVAL;
	buf_init(&mem, ROWS_MAX);
	rc = admin_catch_up(a->live, a->ledger);
	if (!rc)
		rc = admin_key_get(a->live, id, &mem, &key, NULL);
	if (!rc && key.status == ROWS_REVOKED)
		rc = ERRC_STATE;
	if (!rc) {
		memset(key.old_hash, 0, sizeof key.old_hash);
		if (old_until_s)
			memcpy(key.old_hash, key.hash, sizeof key.old_hash);
		key.old_pepper = old_until_s ? key.pepper : 0;
		memcpy(key.hash, hash, sizeof key.hash);
		key.pepper = pepper;
		key.old_until_s = old_until_s;
		rc = write_scope(a, by, &key, "rotate", false, mem.len, durable);
	}
	buf_fini(&mem);
	return rc;
}

enum errc admin_key_revoke(struct admin *a, const struct admin_by *by, const char id[APIKEY_ID],
			   bool now, bool *durable)
{
	struct rows_scope key;
	struct buf mem;
	enum errc rc;

	*durable = false;
	buf_init(&mem, ROWS_MAX);
	rc = admin_catch_up_of(a->live, a->ledger, 0, ROWS_KEY, id);
	if (!rc)
		rc = admin_key_get(a->live, id, &mem, &key, NULL);
	if (!rc && key.status == ROWS_REVOKED && !now)
		admin_make_durable(
			a, durable); /* the first time has its record, which may be waiting */
	else if (!rc) {
		key.status = ROWS_REVOKED;
		rc = write_scope(a, by, &key, now ? "revoke now" : "revoke", true, mem.len, durable);
	}
	buf_fini(&mem);
	return rc;
}

static bool is_team(const struct rows_scope *t)
{
	return t->kind == ROWS_TEAM && is_scope(t) && t->status != ROWS_REVOKED &&
	       admin_is_name(t->name);
}

enum errc admin_team_create(struct admin *a, const struct admin_by *by, struct rows_scope *t,
			    bool *durable)
{
	const struct book *book = ledger_book(a->ledger);
	char id[ROWS_ID];
	enum errc rc;

	*durable = false;
	if (!is_team(t) || !admin_is_new_name(t->name))
		return ERRC_INVAL;
	if (!book_account(book, t->account))
		return ERRC_NOTFOUND;
	rc = admin_catch_up(a->live, a->ledger);
	if (!rc)
		rc = admin_team_find(a->live, t->account, t->name, id);
	if (rc != ERRC_NOTFOUND)
		return rc ? rc : ERRC_EXISTS;
	apikey_make_id(t->id);
	return write_scope(a, by, t, "create", false, 0, durable);
}

enum errc admin_team_update(struct admin *a, const struct admin_by *by, const struct rows_scope *t,
			    bool *durable)
{
	struct rows_scope now, next = *t;
	struct buf mem;
	enum errc rc;

	*durable = false;
	if (!is_team(t))
		return ERRC_INVAL;
	buf_init(&mem, ROWS_MAX);
	rc = admin_catch_up_of(a->live, a->ledger, t->account, ROWS_TEAM, t->id);
	if (!rc)
		rc = admin_scope_get(a->live, t->account, ROWS_TEAM, t->id, &mem, &now, NULL);
	if (!rc && !slice_eq(now.name, t->name))
		rc = ERRC_INVAL;
	if (!rc)
		rc = replace(a, by, &now, &mem, &next, durable);
	buf_fini(&mem);
	return rc;
}

/* New rules of an end user get the ids behind those that the account's users have or had; of `last` there were some before. */
static enum errc draw_ids(struct admin *a, struct rows_scope *next, uint32_t last)
{
	struct rows_account account;
	uint32_t from;
	struct buf mem;
	enum errc rc;

	if (next->kind != ROWS_USER || next->limits.last_id <= last)
		return ERRC_OK;
	buf_init(&mem, ROWS_MAX);
	rc = admin_account_get(a->live, next->account, &mem, &account);
	buf_fini(&mem);
	if (rc)
		return rc;
	from = MAX_OF(account.user_rules, last);
	if (next->limits.last_id - last > ROWS_RULE_ID_MAX - from)
		return ERRC_LIMIT;
	for (size_t i = 0; i < next->limits.n; i++) {
		if (next->limits.v[i].id > last)
			next->limits.v[i].id += from - last;
	}
	next->limits.last_id += from - last;
	return ERRC_OK;
}

/* Makes or replaces. Before the first definition everything was allowed. That of an end user begins in the live store, in the order of what is
 * settled: the ledger adds up what it uses from the same request on. */
static enum errc set(struct admin *a, const struct admin_by *by, struct rows_scope *next,
		     bool *durable)
{
	static const struct rows_scope all;
	struct rows_scope now = {.limits.last_id = 0};
	bool made;
	struct buf mem;
	enum errc rc;

	if (!book_account(ledger_book(a->ledger), next->account))
		return ERRC_NOTFOUND;
	rc = admin_catch_up(a->live, a->ledger);
	if (rc)
		return rc;
	buf_init(&mem, ROWS_MAX);
	rc = admin_scope_get(a->live, next->account, next->kind, next->id, &mem, &now, NULL);
	made = rc == ERRC_NOTFOUND;
	if (!rc || made)
		rc = draw_ids(a, next, made ? 0 : now.limits.last_id);
	if (!rc && made)
		rc = write_scope(a, by, next, "create",
				 next->kind == ROWS_USER || restricts(&all, next), 0, durable);
	else if (!rc)
		rc = replace(a, by, &now, &mem, next, durable);
	buf_fini(&mem);
	return rc;
}

enum errc admin_user_set(struct admin *a, const struct admin_by *by, struct rows_scope *u,
			 bool *durable)
{
	struct rows_scope next = *u;
	enum errc rc;

	*durable = false;
	if (u->kind != ROWS_USER || !is_scope(u) || u->name.n == 0 || u->status == ROWS_REVOKED)
		return ERRC_INVAL;
	rows_user_id(u->name, next.id);
	rc = set(a, by, &next, durable);
	if (!rc)
		u->limits = next.limits;
	return rc;
}

enum errc admin_user_remove(struct admin *a, const struct admin_by *by, uint64_t account,
			    struct slice tag, bool *durable)
{
	struct rows_scope now;
	char id[ROWS_ID];
	struct buf mem;
	enum errc rc;

	*durable = false;
	rows_user_id(tag, id);
	buf_init(&mem, ROWS_MAX);
	rc = admin_catch_up(a->live, a->ledger);
	if (!rc)
		rc = admin_scope_get(a->live, account, ROWS_USER, id, &mem, &now, NULL);
	now.status = ROWS_REVOKED;
	if (!rc)
		rc = write_scope(a, by, &now, "remove", false, mem.len, durable);
	buf_fini(&mem);
	return rc;
}

enum errc admin_rules_set(struct admin *a, const struct admin_by *by, const struct rows_scope *s,
			  bool *durable)
{
	struct rows_scope next = *s;

	*durable = false;
	if (s->kind != ROWS_ACCOUNT || !is_scope(s) || s->status != ROWS_ACTIVE)
		return ERRC_INVAL;
	memset(next.id, 0, ROWS_ID);
	return set(a, by, &next, durable);
}
