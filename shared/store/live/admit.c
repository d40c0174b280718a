#include "admit_priv.h"

#include "log.h"
#include "rows_user.h"

enum errc admit_load_account(struct admit_run *b, uint64_t account, struct admit_rows *r)
{
	enum errc rc = live_get_account(b->l, b->txn, account, &r->account);

	if (rc)
		return rc;
	/* Copied, for the page that it lies in moves its rows when another one is written. */
	memcpy(r->account_name, r->account.name.p, r->account.name.n);
	r->account_name[r->account.name.n] = '\0';
	r->account.name.p = r->account_name;
	if (r->account.group.n)
		memcpy(r->group, r->account.group.p, r->account.group.n);
	r->account.group.p = r->group;
	return ERRC_OK;
}

enum errc admit_load_state(struct admit_run *b, uint64_t account, struct slice several,
			   struct admit_scope *s)
{
	enum errc rc;

	s->state = live_copies_state(&b->l->copies);
	rc = live_get_state_of(b->l, b->txn, account, several, s->kind, s->id, s->state);
	if (rc)
		return rc;
	rows_state_align(s->state, &s->row->limits, s->of_all);
	live_copies_keep_state(&b->l->copies, s->state);
	return ERRC_OK;
}

/* *row is not touched on an error. */
static enum errc load_row(struct admit_run *b, const struct admit_ask *ask, enum rows_kind kind,
			  const char id[ROWS_ID], struct rows_scope **row)
{
	struct rows_scope *s = live_copies_scope(&b->l->copies);
	enum errc rc = live_get_scope(b->l, b->txn, ask->account, kind, id, s);

	if (rc)
		return rc;
	live_copies_keep_scope(&b->l->copies, s);
	*row = s;
	return ERRC_OK;
}

static void set_scope(const struct admit_ask *ask, enum rows_kind kind, const char id[ROWS_ID],
		      struct rows_scope *row, struct admit_scope *s)
{
	s->row = row;
	s->kind = kind;
	memcpy(s->id, id, ROWS_ID);
	s->name = row->name;
	s->counts = row->limits.n > 0 || kind == ROWS_KEY || kind == ROWS_TEAM;
	s->of_all = false;
	s->matched = 0;
	for (size_t i = 0; i < row->limits.n; i++) {
		row->limits.v[i].shadow |= (row->flags & ROWS_SHADOW) != 0;
		if (rows_rule_matches(&row->limits.v[i], ask->model))
			s->matched |= UINT64_C(1) << i;
	}
}

/* The definition; ERRC_NOTFOUND. Then the state, if the scope counts anything. */
static enum errc load_scope(struct admit_run *b, const struct admit_ask *ask, enum rows_kind kind,
			    const char id[ROWS_ID], struct admit_scope *s)
{
	struct rows_scope *row;
	enum errc rc = load_row(b, ask, kind, id, &row);

	if (!rc)
		set_scope(ask, kind, id, row, s);
	return rc;
}

/* The row of an end user, of the one for all the limits where that has none, or else all of that one. */
static enum errc load_user(struct admit_run *b, const struct admit_ask *ask, const char id[ROWS_ID],
			   struct admit_scope *s)
{
	struct rows_scope *own = NULL, *all = NULL;
	char every[ROWS_ID];
	enum errc rc = load_row(b, ask, ROWS_USER, id, &own);

	if (own ? own->limits.n == 0 : rc == ERRC_NOTFOUND) {
		rows_user_id(SLICE_LIT(ROWS_EVERY_USER), every);
		rc = load_row(b, ask, ROWS_USER, every, &all);
	}
	if (rc && (rc != ERRC_NOTFOUND || !own))
		return rc;
	if (own && all)
		rows_user_join(own, all);
	set_scope(ask, ROWS_USER, id, all ? all : own, s);
	s->name = ask->user;
	s->of_all = all != NULL;
	s->counts = s->counts || own; /* what it uses is shown, whatever it may */
	return ERRC_OK;
}

static enum errc add_state(struct admit_run *b, uint64_t account, struct admit_rows *r)
{
	struct admit_scope *s = &r->scopes[r->scopes_n++];

	return s->counts ? admit_load_state(b, account, r->several, s) : ERRC_OK;
}

enum errc admit_load_scopes(struct admit_run *b, const struct admit_ask *ask, struct admit_rows *r)
{
	static const char none[ROWS_ID];
	struct rows_account *a = &r->account;
	struct admit_scope *key;
	bool has_user = ask->user.n > 0 && a->flags & ROWS_ACCOUNT_USERS;
	char team[ROWS_ID], user[ROWS_ID];
	enum errc rc = live_get_states(b->l, b->txn, ask->account, &r->several);

	if (rc)
		return rc;
	r->scopes_n = 0;
	if (has_user) {
		rows_user_id(ask->user, user);
		live_expect_scope(b->l, b->txn, ask->account, ROWS_USER, user);
	}
	if (a->flags & ROWS_ACCOUNT_RULES) {
		rc = load_scope(b, ask, ROWS_ACCOUNT, none, &r->scopes[0]);
		r->scopes[0].name = a->name;
		if (!rc)
			rc = add_state(b, ask->account, r);
		if (rc)
			return rc == ERRC_NOTFOUND ? ERRC_CORRUPT : rc;
	}
	/* The key says which team it is of; the team goes first. */
	key = &r->scopes[r->scopes_n];
	rc = load_scope(b, ask, ROWS_KEY, ask->key_id, key);
	if (rc)
		return rc;
	if (memcmp(key->row->team, none, ROWS_ID) != 0) {
		memcpy(team, key->row->team, ROWS_ID);
		key[1] = key[0];
		rc = load_scope(b, ask, ROWS_TEAM, team, key);
		if (!rc)
			rc = add_state(b, ask->account, r);
		if (rc)
			return rc == ERRC_NOTFOUND ? ERRC_CORRUPT : rc;
	}
	rc = add_state(b, ask->account, r);
	if (rc || !has_user)
		return rc;
	rc = load_user(b, ask, user, &r->scopes[r->scopes_n]);
	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	return add_state(b, ask->account, r);
}

enum errc admit_store(struct admit_run *b, const struct admit_rows *r)
{
	struct live_state states[ROWS_SCOPES_MAX];
	size_t n = 0;
	enum errc rc;

	if (check_fails(rows_account_is_sound(&r->account))) {
		log_error("imbalance",
			  "the sums of account %llu do not hold, the operation is refused",
			  (unsigned long long)r->account.id);
		return ERRC_INTERNAL;
	}
	for (size_t i = 0; i < r->scopes_n; i++) {
		const struct admit_scope *s = &r->scopes[i];

		if (s->counts)
			states[n++] = (struct live_state){s->kind, s->id, s->state};
	}
	rc = live_put_account(b->l, b->txn, &r->account);
	return rc ? rc : live_put_states(b->l, b->txn, r->account.id, states, n);
}

enum errc admit_next_n(struct admit_run *b, uint64_t *n)
{
	if (b->outbox_last == 0) {
		enum errc rc = live_outbox_last(b->l, b->txn, &b->outbox_last);

		if (rc)
			return rc;
	}
	*n = ++b->outbox_last;
	return ERRC_OK;
}

static enum errc run_one(struct admit_run *b, struct admit_op *op, bool *wrote)
{
	live_copies_clear(&b->l->copies);
	switch (op->kind) {
	case ADMIT_HOLD:
		return admit_hold(b, op, wrote);
	case ADMIT_SETTLE:
		return admit_settle(b, op, wrote);
	case ADMIT_RELEASE:
		return admit_release(b, op, wrote);
	case ADMIT_REVERSE:
		return admit_reverse(b, op, wrote);
	}
	return ERRC_INVAL;
}

static enum errc run_all(struct admit_run *b, struct admit_op *const *ops, size_t n)
{
	enum errc rc = live_txn_begin(b->l, &b->txn);

	if (rc)
		return rc;
	for (size_t i = 0; !rc && i < n; i++) {
		bool wrote = false;

		ops[i]->rc = run_one(b, ops[i], &wrote);
		if (ops[i]->rc && wrote)
			rc = ops[i]->rc;
	}
	if (!rc)
		rc = live_txn_commit(b->l, &b->txn);
	live_txn_abort(b->l, &b->txn);
	return rc;
}

enum errc admit_batch(struct live *l, const struct admit_rules *rules, struct admit_op *const *ops,
		      size_t n)
{
	struct admit_run b = {.l = l, .rules = rules};
	int cleared = 0;
	enum errc rc;

	require(n >= 1 && n <= LIMIT_TXN_OPS);
	rc = run_all(&b, ops, n);
	if (rc == ERRC_NOSPACE && live_readers_check(l, &cleared) == ERRC_OK && cleared > 0) {
		/* A dead reader kept the pages that became free. */
		b = (struct admit_run){.l = l, .rules = rules};
		rc = run_all(&b, ops, n);
	}
	if (rc == ERRC_NOSPACE) {
		/* Settlements have their room; it was an admission that found the store full. */
		b = (struct admit_run){.l = l, .rules = rules, .gate = ADMIT_GATE_SPACE};
		rc = run_all(&b, ops, n);
	}
	if (!rc && b.holds != 0)
		progress_count_holds(l->progress, b.holds);
	if (!rc && b.pages != 0)
		progress_count_pages(l->progress, b.pages);
	return rc;
}

const char *admit_reason_text(enum admit_reason r)
{
	static const char *const texts[] = {
#define ADMIT_REASON(id, sentence) sentence,
#include "admit_tbl.h"
#undef ADMIT_REASON
	};

	return (size_t)r < ARRAY_LEN(texts) ? texts[r] : "unknown";
}
