#include "book_priv.h"

#include "idle.h"
#include "mem.h"
#include "secret.h"
#include "text.h"

#define AHEAD      8  /* entries that a walk asks for memory beforehand */
#define IDLE_SHARE 16 /* one in so many must be idle before they are dropped */

static struct slice account_key(const void *item)
{
	const struct book_account_item *a = item;

	return slice_of(&a->row.id, sizeof a->row.id);
}

static struct slice account_name(const void *item)
{
	return ((const struct book_account_item *)item)->row.name;
}

static struct slice scope_key(const void *item)
{
	const struct book_item *s = item;

	return slice_of(s->name.b, sizeof s->name.b);
}

static struct book_scope_name name_of(enum rows_kind kind, uint64_t account, const char id[ROWS_ID])
{
	struct book_scope_name n = {{(char)kind}};

	if (kind != ROWS_KEY)
		memcpy(n.b + 1, &account, sizeof account);
	memcpy(n.b + 1 + sizeof account, id, ROWS_ID);
	return n;
}

enum errc book_new(struct book **out)
{
	struct book *b = mem_new_of(struct book);

	if (!b)
		return ERRC_NOMEM;
	b->next_account = 1;
	secret_random(b->accounts.seed, sizeof b->accounts.seed);
	secret_random(b->names.seed, sizeof b->names.seed);
	secret_random(b->scopes.seed, sizeof b->scopes.seed);
	*out = b;
	return ERRC_OK;
}

static void free_item(struct book_item *s)
{
	mem_free(s->bytes);
	mem_free(s->s.counters);
	mem_free(s);
}

void book_free(struct book **bp)
{
	struct book *b = *bp;

	if (!b)
		return;
	for (size_t i = 0; i < b->accounts.n; i++)
		mem_free(b->accounts.items[i]);
	for (size_t i = 0; i < b->scopes.n; i++)
		free_item(b->scopes.items[i]);
	book_table_fini(&b->accounts);
	book_table_fini(&b->names);
	book_table_fini(&b->scopes);
	mem_free(b);
	*bp = NULL;
}

struct book_account_item *book_find_account(const struct book *b, uint64_t id)
{
	return book_table_find(&b->accounts, account_key, slice_of(&id, sizeof id));
}

struct book_item *book_find_scope(const struct book *b, enum rows_kind kind, uint64_t account,
				  const char id[ROWS_ID])
{
	struct book_scope_name n = name_of(kind, account, id);

	return book_table_find(&b->scopes, scope_key, slice_of(n.b, sizeof n.b));
}

static bool has_user(const struct book_charge *c)
{
	static const char none[ROWS_ID];

	return memcmp(c->user, none, ROWS_ID) != 0;
}

void book_hash(const struct book *b, struct book_charge *c)
{
	struct book_scope_name n = name_of(ROWS_KEY, c->account, c->key_id);

	c->key_hash = text_hash_wide(b->scopes.seed, slice_of(n.b, sizeof n.b));
	n = name_of(ROWS_USER, c->account, c->user);
	if (has_user(c))
		c->user_hash = text_hash_wide(b->scopes.seed, slice_of(n.b, sizeof n.b));
}

struct book_item *book_find_key(const struct book *b, const struct book_charge *c)
{
	struct book_scope_name n = name_of(ROWS_KEY, c->account, c->key_id);

	return book_table_find_hashed(&b->scopes, scope_key, slice_of(n.b, sizeof n.b), c->key_hash);
}

struct book_item *book_find_user(const struct book *b, const struct book_charge *c)
{
	struct book_scope_name n = name_of(ROWS_USER, c->account, c->user);

	if (!has_user(c))
		return NULL;
	return book_table_find_hashed(&b->scopes, scope_key, slice_of(n.b, sizeof n.b),
				      c->user_hash);
}

/* First the entry, then, once that is there, what it has counted. */
static void expect_item(const struct book_item *s, bool is_there)
{
	if (s && is_there)
		mem_fetch(s->s.counters, s->s.counters_n * sizeof *s->s.counters);
	else if (s)
		mem_fetch(s, sizeof *s);
}

/* The key leads to all others but the end user. */
static void expect_owners(const struct book_item *key, unsigned step)
{
	if (step == 2) {
		mem_fetch(key->of, sizeof *key->of);
		expect_item(key->team, false);
	} else if (step > 2) {
		expect_item(key->of->rules, step > 3);
		expect_item(step == 3 ? key->team : NULL, true);
	}
}

void book_expect(const struct book *b, const struct book_charge *c, unsigned step)
{
	const struct book_item *key, *user;

	if (step == 0) {
		book_table_expect(&b->scopes, c->key_hash);
		if (has_user(c))
			book_table_expect(&b->scopes, c->user_hash);
		return;
	}
	key = book_table_likely(&b->scopes, c->key_hash);
	user = step < 3 && has_user(c) ? book_table_likely(&b->scopes, c->user_hash) : NULL;
	expect_item(step < 3 ? key : NULL, step > 1);
	expect_item(user, step > 1);
	if (key)
		expect_owners(key, step);
}

void book_set_group(struct book_account_item *a, struct slice group)
{
	if (group.n)
		memcpy(a->group, group.p, group.n);
	a->row.group = slice_of(a->group, group.n);
}

enum errc book_add_account(struct book *b, const struct rows_account *row)
{
	struct book_account_item *a;
	enum errc rc;

	if (row->id == ROWS_ACCOUNT_HEAD || row->id > ROWS_ACCOUNT_LAST ||
	    book_find_account(b, row->id) || book_table_find(&b->names, account_name, row->name))
		return ERRC_CORRUPT;
	rc = book_table_grow(&b->accounts);
	if (!rc)
		rc = book_table_grow(&b->names);
	if (rc)
		return rc;
	a = mem_new_of(struct book_account_item);
	if (!a)
		return ERRC_NOMEM;
	a->row = *row;
	memcpy(a->name, row->name.p, row->name.n);
	a->row.name.p = a->name;
	book_set_group(a, row->group);
	a->changed = true;
	book_table_add(&b->accounts, account_key, a);
	book_table_add(&b->names, account_name, a);
	b->next_account = MAX_OF(b->next_account, row->id + 1);
	return ERRC_OK;
}

enum errc book_add_scope(struct book *b, enum rows_kind kind, uint64_t account,
			 const char id[ROWS_ID], struct book_item **out)
{
	struct book_account_item *a = book_find_account(b, account);
	struct book_item *s;
	enum errc rc;

	if (!a)
		return ERRC_CORRUPT;
	rc = book_table_grow(&b->scopes);
	if (rc)
		return rc;
	s = mem_new_of(struct book_item);
	if (!s)
		return ERRC_NOMEM;
	s->s.kind = kind;
	s->s.account = account;
	memcpy(s->s.id, id, ROWS_ID);
	s->name = name_of(kind, account, id);
	s->of = a;
	if (kind == ROWS_ACCOUNT)
		a->rules = s;
	s->changed = true;
	book_table_add(&b->scopes, scope_key, s);
	*out = s;
	return ERRC_OK;
}

static bool is_in(const struct rows_limits *l, uint32_t rule)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].id == rule)
			return l->v[i].kind == ROWS_BUDGET;
	}
	return false;
}

/* What a rule that is gone has counted goes with it. `l` are the scope's own; what an end user has used of those for all stays. */
static void drop_counters(struct book_item *s, const struct rows_limits *l)
{
	size_t to = 0;

	for (size_t i = 0; i < s->s.counters_n; i++) {
		if (s->s.counters[i].of_all || is_in(l, s->s.counters[i].id))
			s->s.counters[to++] = s->s.counters[i];
	}
	s->s.counters_n = to;
}

enum errc book_set_row(struct book_item *s, const struct rows_scope *def, struct slice row)
{
	char *bytes = mem_dup(row.p, row.n);

	if (!bytes)
		return ERRC_NOMEM;
	/* What it used before may have been forgotten with it (book_each_idle()), here or in the next book. */
	if (def->kind == ROWS_USER && s->s.row.n == 0) {
		s->s.requests = s->s.tokens = 0;
		s->s.charged_nusd = s->s.used_s = 0;
	}
	mem_free(s->bytes);
	s->bytes = bytes;
	s->s.row = slice_of(bytes, row.n);
	s->s.untold_nusd = 0;
	s->changed = s->row_changed = true;
	drop_counters(s, &def->limits);
	return ERRC_OK;
}

void book_drop_row(struct book_item *s)
{
	static const struct rows_limits none;

	mem_free(s->bytes);
	s->bytes = NULL;
	s->s.row = SLICE_NONE;
	s->s.untold_nusd = 0;
	s->changed = s->row_changed = true;
	drop_counters(s, &none);
}

const struct rows_scope *book_every_user(const struct book *b, uint64_t account,
					 struct book_every *e)
{
	const struct book_item *s;
	char id[ROWS_ID];

	if (e->account != account) {
		rows_user_id(SLICE_LIT(ROWS_EVERY_USER), id);
		s = book_find_scope(b, ROWS_USER, account, id);
		e->there = s && s->s.row.n && rows_get_scope(s->s.row, &e->rules) == ERRC_OK;
		e->account = account;
	}
	return e->there ? &e->rules : NULL;
}

/* Whether the rule is one of the scope, or, for an end user, of those for all: either may have been what the hold was taken from. */
static bool is_rule_of(const struct book *b, const struct book_scope *s, uint32_t rule, bool *of_all)
{
	struct book_every every = {.account = ROWS_ACCOUNT_HEAD};
	const struct rows_scope *all;
	struct rows_scope row;

	*of_all = false;
	if (s->row.n && rows_get_scope(s->row, &row) == ERRC_OK && is_in(&row.limits, rule))
		return true;
	all = s->kind == ROWS_USER ? book_every_user(b, s->account, &every) : NULL;
	*of_all = all && is_in(&all->limits, rule);
	return *of_all;
}

/* When there are too many counters, those of rules that are gone give way. */
static void drop_gone(const struct book *b, struct book_item *s)
{
	size_t to = 0;
	bool of_all;

	for (size_t i = 0; i < s->s.counters_n; i++) {
		if (is_rule_of(b, &s->s, s->s.counters[i].id, &of_all))
			s->s.counters[to++] = s->s.counters[i];
	}
	s->s.counters_n = to;
}

static enum errc push_counter(const struct book *b, struct book_item *s,
			      const struct rows_counter *add, struct rows_counter **out)
{
	struct rows_counter *c;

	if (s->s.counters_n == ROWS_COUNTERS_MAX)
		drop_gone(b, s);
	require(s->s.counters_n < ROWS_COUNTERS_MAX);
	c = mem_grow(s->s.counters, (s->s.counters_n + 1) * sizeof *c);
	if (!c)
		return ERRC_NOMEM;
	s->s.counters = c;
	c += s->s.counters_n++;
	*c = *add;
	*out = c;
	return ERRC_OK;
}

enum errc book_counter(const struct book *b, struct book_item *s, uint32_t rule,
		       struct rows_counter **out)
{
	struct rows_counter add = {.id = rule, .kind = ROWS_BUDGET};

	for (size_t i = 0; i < s->s.counters_n; i++) {
		if (s->s.counters[i].id == rule) {
			*out = &s->s.counters[i];
			return ERRC_OK;
		}
	}
	if (!is_rule_of(b, &s->s, rule, &add.of_all))
		return ERRC_NOTFOUND;
	return push_counter(b, s, &add, out);
}

enum errc book_load_account(struct book *b, struct slice row)
{
	struct rows_account a;
	enum errc rc = rows_get_account(row, &a);

	return rc ? rc : book_add_account(b, &a);
}

static enum errc load_counters(const struct book *b, struct book_item *s,
			       const struct rows_state *from)
{
	enum errc rc = from->holds ? ERRC_CORRUPT : ERRC_OK;

	s->s.requests = from->requests;
	s->s.tokens = from->tokens;
	s->s.charged_nusd = from->charged_nusd;
	s->s.used_s = from->used_s;
	for (size_t i = 0; !rc && i < from->n; i++) {
		struct rows_counter *c;
		bool of_all;

		if (from->counters[i].kind != ROWS_BUDGET)
			return ERRC_CORRUPT;
		/* Those for all users may be read later than the states of some. */
		if (from->counters[i].of_all || is_rule_of(b, &s->s, from->counters[i].id, &of_all))
			rc = push_counter(b, s, &from->counters[i], &c);
	}
	return rc;
}

/* Of a checkpoint: what is noted in a live store never stands there. */
static enum errc get_state(struct slice row, struct rows_state *out)
{
	enum errc rc = rows_get_state(row, out);

	return !rc && out->noted != 0 ? ERRC_CORRUPT : rc;
}

enum errc book_load_scope(struct book *b, struct slice row, struct slice state)
{
	struct rows_state from;
	struct rows_scope def;
	struct book_item *s;
	enum errc rc = rows_get_scope(row, &def);

	if (!rc)
		rc = get_state(state, &from);
	if (!rc && book_find_scope(b, def.kind, def.account, def.id))
		rc = ERRC_CORRUPT;
	if (!rc)
		rc = book_add_scope(b, def.kind, def.account, def.id, &s);
	if (!rc)
		rc = book_set_row(s, &def, row);
	return rc ? rc : load_counters(b, s, &from);
}

enum errc book_load_state(struct book *b, uint64_t account, const char user[ROWS_ID],
			  struct slice state)
{
	struct rows_state from;
	struct book_item *s;
	enum errc rc = get_state(state, &from);

	if (!rc && book_find_scope(b, ROWS_USER, account, user))
		rc = ERRC_CORRUPT;
	if (!rc)
		rc = book_add_scope(b, ROWS_USER, account, user, &s);
	return rc ? rc : load_counters(b, s, &from);
}

const struct rows_account *book_account(const struct book *b, uint64_t account)
{
	const struct book_account_item *a = book_find_account(b, account);

	return a ? &a->row : NULL;
}

const struct rows_account *book_account_named(const struct book *b, struct slice name)
{
	const struct book_account_item *a = book_table_find(&b->names, account_name, name);

	return a ? &a->row : NULL;
}

const struct book_scope *book_scope(const struct book *b, enum rows_kind kind, uint64_t account,
				    const char id[ROWS_ID])
{
	const struct book_item *s = book_find_scope(b, kind, account, id);

	return s ? &s->s : NULL;
}

void book_note_untold(struct book *b, const struct book_scope *s, int64_t nusd)
{
	struct book_item *item = book_find_scope(b, s->kind, s->account, s->id);

	if (item && item->s.row.n)
		item->s.untold_nusd = nusd;
}

void book_state(const struct book_scope *s, struct rows_state *out)
{
	rows_state_init(out);
	out->requests = s->requests;
	out->tokens = s->tokens;
	out->charged_nusd = s->charged_nusd;
	out->used_s = s->used_s;
	out->n = s->counters_n;
	if (s->counters_n)
		memcpy(out->counters, s->counters, s->counters_n * sizeof *s->counters);
}

void book_state_now(const struct book *b, const struct book_scope *s, struct rows_state *out)
{
	size_t to = 0;
	bool of_all;

	book_state(s, out);
	if (out->n <= ROWS_RULES_MAX)
		return;
	for (size_t i = 0; i < out->n; i++) {
		if (is_rule_of(b, s, out->counters[i].id, &of_all))
			out->counters[to++] = out->counters[i];
	}
	out->n = to;
}

uint64_t book_next_account(const struct book *b)
{
	return b->next_account;
}

size_t book_accounts_n(const struct book *b)
{
	return b->accounts.n;
}

size_t book_scopes_n(const struct book *b)
{
	return b->scopes.n;
}

const struct rows_account *book_account_at(const struct book *b, size_t i)
{
	return &((const struct book_account_item *)b->accounts.items[i])->row;
}

const struct book_scope *book_scope_at(const struct book *b, size_t i)
{
	return &((const struct book_item *)b->scopes.items[i])->s;
}

/* A walk is at position `i`: asks for the entry that comes some steps later. */
static void expect_next(const struct book_table *t, size_t i, size_t bytes)
{
	if (i + AHEAD < t->n)
		mem_fetch(t->items[i + AHEAD], bytes);
}

/* Likewise, and for what a changed scope has counted once that scope is there. */
static void expect_changed(const struct book_table *scopes, size_t i)
{
	const struct book_item *s;

	expect_next(scopes, i, sizeof *s);
	if (i + AHEAD / 2 >= scopes->n)
		return;
	s = scopes->items[i + AHEAD / 2];
	if (s->changed)
		mem_fetch(s->s.counters, s->s.counters_n * sizeof *s->s.counters);
}

enum errc book_each_changed(struct book *b,
			    enum errc (*fn)(void *arg, const struct rows_account *,
					    const struct book_scope *, bool row),
			    void *arg)
{
	enum errc rc = ERRC_OK;

	for (size_t i = 0; !rc && i < b->accounts.n; i++) {
		const struct book_account_item *a = b->accounts.items[i];

		expect_next(&b->accounts, i, sizeof *a);
		if (a->changed)
			rc = fn(arg, &a->row, NULL, false);
	}
	for (size_t i = 0; !rc && i < b->scopes.n; i++) {
		const struct book_item *s = b->scopes.items[i];

		expect_changed(&b->scopes, i);
		if (s->changed)
			rc = fn(arg, NULL, &s->s, s->row_changed);
	}
	return rc;
}

static bool may_go(const struct book *b, const struct book_item *s, int64_t wall_s,
		   struct book_every *e)
{
	struct rows_state st;

	if (s->s.kind != ROWS_USER || s->s.row.n || wall_s - s->s.used_s < IDLE_S)
		return false;
	book_state(&s->s, &st);
	return idle_may_go(&st, book_every_user(b, s->s.account, e), 0, wall_s);
}

enum errc book_each_idle(struct book *b, int64_t wall_s,
			 enum errc (*fn)(void *arg, const struct book_scope *), void *arg)
{
	struct book_every every = {.account = ROWS_ACCOUNT_HEAD};
	size_t n = 0;
	enum errc rc = ERRC_OK;

	for (size_t i = 0; i < b->scopes.n; i++) {
		struct book_item *s = b->scopes.items[i];

		expect_next(&b->scopes, i, sizeof *s);
		s->idle = may_go(b, s, wall_s, &every);
		n += s->idle;
	}
	/* The table is put together anew without them: not for a few. */
	for (size_t i = 0; n > 0 && i < b->scopes.n; i++) {
		struct book_item *s = b->scopes.items[i];

		if (n <= b->scopes.n / IDLE_SHARE)
			s->idle = false;
		else if (s->idle && !rc)
			rc = fn(arg, &s->s);
	}
	return rc;
}

/* Positions change. */
static void drop_idle(struct book_table *t)
{
	size_t to = 0;

	for (size_t i = 0; i < t->n; i++) {
		struct book_item *s = t->items[i];

		if (s->idle)
			free_item(s);
		else
			t->items[to++] = s;
	}
	if (to == t->n)
		return;
	book_table_keep(t, scope_key, to);
}

void book_clean(struct book *b)
{
	for (size_t i = 0; i < b->accounts.n; i++)
		((struct book_account_item *)b->accounts.items[i])->changed = false;
	for (size_t i = 0; i < b->scopes.n; i++) {
		struct book_item *s = b->scopes.items[i];

		expect_next(&b->scopes, i, sizeof *s);
		s->changed = s->row_changed = false;
	}
	drop_idle(&b->scopes);
}
