#include "book_priv.h"

static enum errc apply_account(struct book *b, const struct record *r)
{
	struct rows_account def;
	struct book_account_item *a = book_find_account(b, r->account);

	if (rows_get_account(r->change.row, &def) || def.id != r->account)
		return ERRC_CORRUPT;
	if (!a) {
		def.granted_nusd = def.balance_nusd = def.held_nusd = def.settled_nusd =
			def.uncollected_nusd = 0;
		def.holds = 0;
		return book_add_account(b, &def);
	}
	if (!slice_eq(a->row.name, def.name))
		return ERRC_CORRUPT;
	a->row.mode = def.mode;
	a->row.status = def.status;
	a->row.overdraft_nusd = def.overdraft_nusd;
	book_set_group(a, def.group);
	a->changed = true;
	return ERRC_OK;
}

static enum rows_kind kind_of(enum record_type t)
{
	switch (t) {
	case RECORD_RULES:
		return ROWS_ACCOUNT;
	case RECORD_TEAM:
		return ROWS_TEAM;
	case RECORD_KEY:
		return ROWS_KEY;
	default:
		return ROWS_USER;
	}
}

static bool has_team(const struct book *b, const struct rows_scope *def)
{
	static const char none[ROWS_ID];

	return memcmp(def->team, none, ROWS_ID) == 0 ||
	       book_find_scope(b, ROWS_TEAM, def->account, def->team);
}

static void note_scope(struct book *b, const struct rows_scope *def)
{
	struct book_account_item *a = book_find_account(b, def->account);

	if (def->kind != ROWS_ACCOUNT && def->kind != ROWS_USER)
		return;
	rows_account_note(&a->row, def);
	a->changed = true;
}

static enum errc apply_scope(struct book *b, const struct record *r)
{
	struct rows_scope def;
	struct book_item *s;
	enum errc rc = ERRC_OK;

	if (rows_get_scope(r->change.row, &def) || def.account != r->account ||
	    def.kind != kind_of(r->type) || !has_team(b, &def))
		return ERRC_CORRUPT;
	s = book_find_scope(b, def.kind, def.account, def.id);
	if (s && s->s.account != def.account)
		return ERRC_CORRUPT;
	if (!s)
		rc = book_add_scope(b, def.kind, def.account, def.id, &s);
	if (rc)
		return rc;
	note_scope(b, &def);
	if (def.kind == ROWS_USER && def.status == ROWS_REVOKED) {
		book_drop_row(s);
		return ERRC_OK;
	}
	return book_set_row(s, &def, r->change.row);
}

static enum errc apply_credit(struct book *b, const struct record *r)
{
	struct book_account_item *a = book_find_account(b, r->account);
	int64_t amount = r->type == RECORD_GRANT ? r->change.amount_nusd : -r->change.amount_nusd,
		granted, balance;

	if (!a || r->change.amount_nusd < 0 || !money_add(a->row.granted_nusd, amount, &granted) ||
	    !money_add(a->row.balance_nusd, amount, &balance))
		return ERRC_CORRUPT;
	a->row.granted_nusd = granted;
	a->row.balance_nusd = balance;
	a->changed = true;
	return ERRC_OK;
}

/* The window that the record names is the current one, the one before, a newer one, or too old to matter. */
static void charge_window(struct window_budget *w, int64_t id, int64_t nusd)
{
	if (id > w->cur.id) {
		w->prev = w->cur;
		w->cur = (struct window_sum){.id = id};
	}
	window_budget_settle(w, id, 0, nusd);
}

/* The scopes of a charge, in their order; NULL: it has none, or none that the book keeps. */
struct parties {
	struct book_account_item *account;
	struct book_item *of[ROWS_SCOPES_MAX];
};

static size_t place(enum rows_kind scope)
{
	return scope == ROWS_ACCOUNT ? 0 : scope == ROWS_TEAM ? 1 : scope == ROWS_KEY ? 2 : 3;
}

static bool counts_user(const struct book_charge *c)
{
	for (size_t i = 0; i < c->budgets.n; i++) {
		if (c->budgets.v[i].scope == ROWS_USER)
			return true;
	}
	return false;
}

/* Mostly that of its last charge. */
static struct book_item *find_team(const struct book *b, struct book_item *key,
				   const char id[ROWS_ID])
{
	if (!key->team || memcmp(key->team->s.id, id, ROWS_ID) != 0)
		key->team = book_find_scope(b, ROWS_TEAM, key->s.account, id);
	return key->team;
}

static enum errc find_parties(struct book *b, const struct book_charge *c, struct parties *p)
{
	static const char none[ROWS_ID];
	struct book_item *key = book_find_key(b, c);
	enum errc rc = ERRC_OK;

	if (!key || key->s.account != c->account)
		return ERRC_CORRUPT;
	*p = (struct parties){.account = key->of, .of = {[0] = key->of->rules, [2] = key}};
	if (memcmp(c->team, none, ROWS_ID) != 0) {
		p->of[1] = find_team(b, key, c->team);
		if (!p->of[1])
			return ERRC_CORRUPT;
	}
	if (memcmp(c->user, none, ROWS_ID) != 0) {
		p->of[3] = book_find_user(b, c);
		if (!p->of[3] && counts_user(c))
			rc = book_add_scope(b, ROWS_USER, c->account, c->user, &p->of[3]);
	}
	for (size_t i = 0; !rc && i < c->budgets.n; i++) {
		if (!p->of[place(c->budgets.v[i].scope)])
			rc = ERRC_CORRUPT;
	}
	return rc;
}

static enum errc settle(struct book_account_item *a, int64_t nusd, int64_t uncollected)
{
	int64_t settled, balance, lost;

	if (!money_add(a->row.settled_nusd, nusd, &settled) ||
	    !money_sub(a->row.balance_nusd, nusd, &balance) ||
	    !money_add(a->row.uncollected_nusd, uncollected, &lost) || settled < 0 || lost < 0)
		return ERRC_CORRUPT;
	a->row.settled_nusd = settled;
	a->row.balance_nusd = balance;
	a->row.uncollected_nusd = lost;
	a->changed = true;
	return ERRC_OK;
}

void book_charge_of(const struct book *b, const struct record *r, struct book_charge *out)
{
	const struct record_charge *c = &r->charge;

	out->account = r->account;
	memcpy(out->key_id, c->key_id, APIKEY_ID);
	memset(out->team, 0, ROWS_ID);
	memset(out->user, 0, ROWS_ID);
	if (c->team.n == ROWS_ID)
		memcpy(out->team, c->team.p, ROWS_ID);
	if (c->user.n)
		rows_user_id(c->user, out->user);
	book_hash(b, out);
	out->charge_nusd = c->charge_nusd;
	out->uncollected_nusd = c->uncollected_nusd;
	out->tokens = usage_total(&c->usage);
	out->used_s = c->admitted_ms / 1000;
	record_budgets_copy(&out->budgets, &c->budgets);
}

/* Every counter that is needed, before anything is changed. */
static enum errc make_counters(const struct book *b, const struct parties *p,
			       const struct record_budgets *of)
{
	struct rows_counter *c;
	enum errc rc = ERRC_OK;

	for (size_t i = 0; !rc && i < of->n; i++) {
		rc = book_counter(b, p->of[place(of->v[i].scope)], of->v[i].rule, &c);
		if (rc == ERRC_NOTFOUND)
			rc = ERRC_OK;
	}
	return rc;
}

enum errc book_apply_charge(struct book *b, const struct book_charge *c)
{
	struct parties p;
	enum errc rc;

	if (c->charge_nusd < 0 || c->uncollected_nusd < 0)
		return ERRC_CORRUPT;
	rc = find_parties(b, c, &p);
	if (!rc)
		rc = make_counters(b, &p, &c->budgets);
	if (!rc)
		rc = settle(p.account, c->charge_nusd, c->uncollected_nusd);
	if (rc)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(p.of); i++) {
		struct book_item *s = p.of[i];

		if (!s)
			continue;
		s->s.requests++;
		s->s.tokens += (uint64_t)c->tokens;
		s->s.charged_nusd += c->charge_nusd;
		s->s.used_s = MAX_OF(s->s.used_s, c->used_s);
		s->changed = true;
	}
	for (size_t i = 0; i < c->budgets.n; i++) {
		const struct record_budget *v = &c->budgets.v[i];
		struct rows_counter *n;

		if (book_counter(b, p.of[place(v->scope)], v->rule, &n) == ERRC_OK)
			charge_window(&n->budget, v->window, c->charge_nusd);
	}
	return ERRC_OK;
}

static enum errc apply_charge(struct book *b, const struct record *r)
{
	struct book_charge c;

	book_charge_of(b, r, &c);
	return book_apply_charge(b, &c);
}

static void reverse_of(const struct book *b, const struct record *r, struct book_charge *c)
{
	const struct record_change *v = &r->change;

	memset(c, 0, offsetof(struct book_charge, budgets));
	c->account = r->account;
	record_budgets_copy(&c->budgets, &v->budgets);
	memcpy(c->key_id, v->key_id, APIKEY_ID);
	if (v->team.n == ROWS_ID)
		memcpy(c->team, v->team.p, ROWS_ID);
	if (v->user.n)
		rows_user_id(v->user, c->user);
	book_hash(b, c);
}

static enum errc apply_reverse(struct book *b, const struct record *r)
{
	const struct record_change *v = &r->change;
	struct book_charge c;
	struct parties p;
	enum errc rc;

	if (v->amount_nusd < 0 || v->uncollected_nusd < 0)
		return ERRC_CORRUPT;
	reverse_of(b, r, &c);
	rc = find_parties(b, &c, &p);
	if (!rc)
		rc = make_counters(b, &p, &c.budgets);
	if (!rc)
		rc = settle(p.account, -v->amount_nusd, -v->uncollected_nusd);
	if (rc)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(p.of); i++) {
		if (!p.of[i])
			continue;
		p.of[i]->s.charged_nusd -= v->amount_nusd;
		p.of[i]->changed = true;
	}
	for (size_t i = 0; i < c.budgets.n; i++) {
		struct rows_counter *n;

		if (book_counter(b, p.of[place(c.budgets.v[i].scope)], c.budgets.v[i].rule, &n) ==
		    ERRC_OK)
			window_budget_settle(&n->budget, c.budgets.v[i].window, 0, -v->amount_nusd);
	}
	return ERRC_OK;
}

enum errc book_apply(struct book *b, const struct record *r)
{
	switch (r->type) {
	case RECORD_CHARGE:
		return apply_charge(b, r);
	case RECORD_REVERSE:
		return apply_reverse(b, r);
	case RECORD_ACCOUNT:
		return apply_account(b, r);
	case RECORD_GRANT:
	case RECORD_TAKE:
		return apply_credit(b, r);
	case RECORD_RULES:
	case RECORD_TEAM:
	case RECORD_KEY:
	case RECORD_USER:
		return apply_scope(b, r);
	case RECORD_GAP:
	case RECORD_PEPPER:
	case RECORD_RELOAD:
	case RECORD_RETAIN:
	case RECORD_RESTORE:
		return ERRC_OK;
	case RECORD_TYPE_COUNT:
		break;
	}
	return ERRC_CORRUPT;
}
