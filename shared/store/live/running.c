#include "running.h"

#include "live_states.h"
#include "rows_hold.h"

static bool is_same(const struct rows_rule *a, const struct rows_rule *b)
{
	return a->id == b->id && a->kind == b->kind && slice_eq(a->models, b->models);
}

static bool has_rule(const struct rows_scope *s, const struct rows_rule *r)
{
	for (size_t i = 0; s && i < s->limits.n; i++) {
		if (is_same(&s->limits.v[i], r))
			return true;
	}
	return false;
}

bool running_is_due(const struct rows_scope *was, const struct rows_scope *def)
{
	bool known = def->kind == ROWS_KEY || def->kind == ROWS_TEAM;

	for (size_t i = 0; i < def->limits.n; i++) {
		const struct rows_rule *r = &def->limits.v[i];

		if (r->kind == ROWS_CONCURRENCY && (!known || r->models.n) && !has_rule(was, r))
			return true;
	}
	return false;
}

/* The holds of an account, one after the other, and the state of the scope that they count in. */
struct count {
	struct live *l;
	MDB_txn *txn;
	const struct rows_scope *def;
	const char *user; /* only those of this end user; NULL: of all that the definition is for */
	char every[ROWS_ID];
	bool loaded, changed; /* `state`, of `id`; not written yet */
	char id[ROWS_ID];
	struct rows_state state;
	struct buf row; /* a copy of what stands in `hold` */
	struct rows_hold hold;
};

static bool is_every(const struct count *c)
{
	return memcmp(c->def->id, c->every, ROWS_ID) == 0;
}

static enum errc write_state(struct count *c)
{
	bool changed = c->loaded && c->changed;

	c->loaded = c->changed = false;
	return changed ? live_put_state(c->l, c->txn, c->def->account, c->def->kind, c->id,
					&c->state)
		       : ERRC_OK;
}

static enum errc load_state(struct count *c, const char id[ROWS_ID])
{
	enum errc rc = live_get_state(c->l, c->txn, c->def->account, c->def->kind, id, &c->state);

	if (rc)
		return rc;
	rows_state_align(&c->state, &c->def->limits,
			 is_every(c) && memcmp(id, c->every, ROWS_ID) != 0);
	memcpy(c->id, id, ROWS_ID);
	c->loaded = true;
	return ERRC_OK;
}

/* Whether the definition holds this end user. */
static enum errc is_for_user(struct count *c, const char id[ROWS_ID], bool *yes)
{
	struct rows_scope own;
	enum errc rc;

	*yes = memcmp(c->def->id, id, ROWS_ID) == 0;
	if (*yes || !is_every(c) || (c->user && memcmp(c->user, id, ROWS_ID) != 0))
		return ERRC_OK;
	rc = live_get_scope(c->l, c->txn, c->def->account, ROWS_USER, id, &own);
	*yes = rc ? rc == ERRC_NOTFOUND : own.limits.n == 0;
	return *yes ? ERRC_OK : rc;
}

static struct rows_held *held_of(struct rows_hold *h, enum rows_kind kind, const char id[ROWS_ID])
{
	for (size_t i = 0; i < h->scopes_n; i++) {
		if (h->scopes[i].kind == kind && memcmp(h->scopes[i].id, id, ROWS_ID) == 0)
			return &h->scopes[i];
	}
	return NULL;
}

/* Whether the request is of the scope, and the id of that. */
static enum errc is_of(struct count *c, char id[ROWS_ID], bool *yes)
{
	struct rows_hold *h = &c->hold;

	memcpy(id, c->def->id, ROWS_ID);
	*yes = c->def->kind == ROWS_ACCOUNT || held_of(h, c->def->kind, id);
	if (c->def->kind != ROWS_USER)
		return ERRC_OK;
	*yes = h->user.n > 0;
	if (!*yes)
		return ERRC_OK;
	rows_user_id(h->user, id);
	return is_for_user(c, id, yes);
}

static bool has_taken(const struct rows_held *held, uint32_t rule, size_t *at)
{
	for (*at = 0; *at < held->n; ++*at) {
		if (held->taken[*at].rule == rule)
			return true;
	}
	return false;
}

/* One of its rules with patterns: the request takes it, or no longer does. True: something changed. */
static bool take_rule(struct count *c, struct rows_held *held, size_t i)
{
	const struct rows_rule *r = &c->def->limits.v[i];
	int64_t *running = &c->state.counters[i].running;
	size_t at;
	bool has = has_taken(held, r->id, &at), matches = rows_rule_matches(r, c->hold.model_asked);

	if (has == matches || (matches && held->n == ROWS_RULES_MAX))
		return false;
	if (matches) {
		held->taken[held->n++] = (struct rows_taken){.rule = r->id};
		++*running;
		return true;
	}
	held->n--;
	memmove(&held->taken[at], &held->taken[at + 1], (held->n - at) * sizeof *held->taken);
	*running = MAX_OF(*running - 1, 0);
	return true;
}

/* A limit that the request counts in, in a scope in which it does not count yet. */
static bool is_met(const struct count *c)
{
	for (size_t i = 0; i < c->def->limits.n; i++) {
		const struct rows_rule *r = &c->def->limits.v[i];

		if (r->kind == ROWS_CONCURRENCY && rows_rule_matches(r, c->hold.model_asked))
			return true;
	}
	return false;
}

static bool take(struct count *c)
{
	struct rows_hold *h = &c->hold;
	struct rows_held *held = held_of(h, c->def->kind, c->id);
	bool changed = false;

	if (!held) {
		if (h->scopes_n == ROWS_SCOPES_MAX || !is_met(c))
			return false;
		held = &h->scopes[h->scopes_n++];
		held->kind = c->def->kind;
		memcpy(held->id, c->id, ROWS_ID);
		held->n = 0;
		c->state.holds++;
		c->state.used_s = MAX_OF(c->state.used_s, h->admitted_wall_ms / 1000);
		changed = true;
	}
	for (size_t i = 0; i < c->def->limits.n; i++) {
		const struct rows_rule *r = &c->def->limits.v[i];

		if (r->kind == ROWS_CONCURRENCY && r->models.n)
			changed = take_rule(c, held, i) || changed;
	}
	return changed;
}

/* The hold is encoded from the copy that its slices point to. */
static enum errc write_hold(struct count *c, const struct rows_key_name *name)
{
	enum errc rc;

	buf_reset(&c->l->scratch);
	rc = rows_put_hold(&c->l->scratch, &c->hold);
	if (rc)
		return rc;
	c->changed = true;
	return live_row_put(c->l, c->txn, name, buf_slice(&c->l->scratch), 0);
}

/* What cannot be read counts nowhere. */
static enum errc count_hold(struct count *c, const struct rows_key_name *name)
{
	char id[ROWS_ID];
	bool yes;
	enum errc rc = rows_get_hold(buf_slice(&c->row), &c->hold);

	if (!rc)
		rc = is_of(c, id, &yes);
	if (!rc && yes && c->loaded && memcmp(c->id, id, ROWS_ID) != 0)
		rc = write_state(c);
	if (!rc && yes && !c->loaded)
		rc = load_state(c, id);
	if (rc)
		return live_is_damaged(rc) ? ERRC_OK : rc;
	return yes && take(c) ? write_hold(c, name) : ERRC_OK;
}

/* The hold of this name, or else the next one of the account, into c->row. ERRC_NOTFOUND: there is none. */
static enum errc find_hold(struct count *c, MDB_cursor *at, struct rows_key_name *name)
{
	struct slice key = live_name(name), value, id;
	enum rows_kind kind;
	uint64_t account;
	enum errc rc = lmdbx_move(at, MDB_SET_RANGE, &key, &value);

	if (rc)
		return rc;
	if (!rows_name_parse(key, &account, &kind, &id) || account != c->def->account ||
	    kind != ROWS_HOLD)
		return ERRC_NOTFOUND;
	*name = rows_name(account, ROWS_HOLD, id);
	buf_reset(&c->row);
	return buf_adds(&c->row, value);
}

static enum errc count_all(struct count *c)
{
	struct rows_key_name name = rows_name(c->def->account, ROWS_HOLD, SLICE_NONE);
	MDB_cursor *at;
	enum errc rc = lmdbx_errc(mdb_cursor_open(c->txn, c->l->rows, &at));

	if (rc)
		return rc;
	for (rc = find_hold(c, at, &name); !rc; rc = find_hold(c, at, &name)) {
		rc = count_hold(c, &name);
		if (rc)
			break;
		name.b[name.n++] = 0; /* the least name behind it */
	}
	mdb_cursor_close(at);
	return rc == ERRC_NOTFOUND ? write_state(c) : rc;
}

static enum errc count(struct live *l, MDB_txn *txn, const struct rows_scope *def, const char *user)
{
	struct count *c = mem_new(sizeof *c);
	enum errc rc;

	if (!c)
		return ERRC_NOMEM;
	c->l = l;
	c->txn = txn;
	c->def = def;
	c->user = user;
	c->loaded = c->changed = false;
	rows_user_id(SLICE_LIT(ROWS_EVERY_USER), c->every);
	buf_init(&c->row, ROWS_MAX);
	rc = count_all(c);
	buf_fini(&c->row);
	mem_free(c);
	return rc;
}

enum errc running_count(struct live *l, MDB_txn *txn, const struct rows_scope *def)
{
	return count(l, txn, def, NULL);
}

enum errc running_count_user(struct live *l, MDB_txn *txn, uint64_t account, const char id[ROWS_ID])
{
	struct rows_key_name name;
	struct rows_scope def;
	char every[ROWS_ID];
	struct slice row;
	struct buf copy;
	enum errc rc;

	rows_user_id(SLICE_LIT(ROWS_EVERY_USER), every);
	name = rows_name_scope(account, ROWS_USER, every);
	rc = live_row_get(l, txn, &name, &row);
	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	buf_init(&copy, ROWS_MAX);
	rc = buf_adds(&copy, row);
	if (!rc)
		rc = rows_get_scope(buf_slice(&copy), &def);
	if (!rc && running_is_due(NULL, &def))
		rc = count(l, txn, &def, id);
	buf_fini(&copy);
	return live_is_damaged(rc) ? ERRC_OK : rc;
}
