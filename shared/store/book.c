#include "book.h"

#include "mem.h"
#include "text.h"

#define BOOK_MAX (UINT32_MAX / 4) /* entries of a table */

struct account {
	struct rows_account row;
	char name[ROWS_NAME_MAX];
	bool changed;
};

struct key {
	char id[APIKEY_ID];
	uint64_t account;
	struct book_key k;
	char *bytes; /* of k.row, owned */
	bool changed;
};

/* Entries in the order they came, found by a hash of what `hash` returns: open addressing, positions + 1, 0 = empty. */
struct table {
	void **items;
	size_t n, items_cap;
	uint32_t *slots;
	size_t slots_n; /* a power of two, at least twice n */
};

struct book {
	struct table accounts, names, keys; /* names shares the items of accounts */
	uint64_t next_account;
};

static struct slice account_key(const void *item)
{
	const struct account *a = item;

	return slice_of(&a->row.id, sizeof a->row.id);
}

static struct slice account_name(const void *item)
{
	return ((const struct account *)item)->row.name;
}

static struct slice key_key(const void *item)
{
	return slice_of(((const struct key *)item)->id, APIKEY_ID);
}

static void *table_find(const struct table *t, struct slice (*of)(const void *), struct slice want)
{
	size_t mask = t->slots_n - 1;

	if (t->slots_n == 0)
		return NULL;
	for (size_t i = text_hash(want) & mask; t->slots[i] != 0; i = (i + 1) & mask) {
		void *item = t->items[t->slots[i] - 1];

		if (slice_eq(of(item), want))
			return item;
	}
	return NULL;
}

static void table_link(struct table *t, struct slice (*of)(const void *), uint32_t pos)
{
	size_t mask = t->slots_n - 1, i = text_hash(of(t->items[pos])) & mask;

	while (t->slots[i] != 0)
		i = (i + 1) & mask;
	t->slots[i] = pos + 1;
}

static enum errc table_grow(struct table *t, struct slice (*of)(const void *))
{
	if (t->n >= BOOK_MAX)
		return ERRC_LIMIT;
	if (t->n == t->items_cap) {
		size_t cap = t->items_cap ? t->items_cap * 2 : 64;
		void **items = mem_grow(t->items, cap * sizeof *items);

		if (!items)
			return ERRC_NOMEM;
		t->items = items;
		t->items_cap = cap;
	}
	if ((t->n + 1) * 2 > t->slots_n) {
		size_t slots_n = t->slots_n ? t->slots_n * 2 : 128;
		uint32_t *slots = mem_new(slots_n * sizeof *slots);

		if (!slots)
			return ERRC_NOMEM;
		mem_free(t->slots);
		t->slots = slots;
		t->slots_n = slots_n;
		for (uint32_t i = 0; i < t->n; i++)
			table_link(t, of, i);
	}
	return ERRC_OK;
}

/* After table_grow(). */
static void table_add(struct table *t, struct slice (*of)(const void *), void *item)
{
	t->items[t->n] = item;
	table_link(t, of, (uint32_t)t->n++);
}

static void table_fini(struct table *t)
{
	mem_free(t->items);
	mem_free(t->slots);
}

enum errc book_new(struct book **out)
{
	struct book *b = mem_new_of(struct book);

	if (!b)
		return ERRC_NOMEM;
	b->next_account = 1;
	*out = b;
	return ERRC_OK;
}

void book_free(struct book **bp)
{
	struct book *b = *bp;

	if (!b)
		return;
	for (size_t i = 0; i < b->accounts.n; i++)
		mem_free(b->accounts.items[i]);
	for (size_t i = 0; i < b->keys.n; i++) {
		struct key *k = b->keys.items[i];

		mem_free(k->bytes);
		mem_free(k);
	}
	table_fini(&b->accounts);
	table_fini(&b->names);
	table_fini(&b->keys);
	mem_free(b);
	*bp = NULL;
}

static struct account *find_account(const struct book *b, uint64_t id)
{
	return table_find(&b->accounts, account_key, slice_of(&id, sizeof id));
}

static struct key *find_key(const struct book *b, const char id[APIKEY_ID])
{
	return table_find(&b->keys, key_key, slice_of(id, APIKEY_ID));
}

static enum errc add_account(struct book *b, const struct rows_account *row)
{
	struct account *a;
	enum errc rc;

	if (row->id == ROWS_ACCOUNT_HEAD || row->id == ROWS_ACCOUNT_TAIL ||
	    find_account(b, row->id) || table_find(&b->names, account_name, row->name))
		return ERRC_CORRUPT;
	rc = table_grow(&b->accounts, account_key);
	if (!rc)
		rc = table_grow(&b->names, account_name);
	if (rc)
		return rc;
	a = mem_new_of(struct account);
	if (!a)
		return ERRC_NOMEM;
	a->row = *row;
	memcpy(a->name, row->name.p, row->name.n);
	a->row.name.p = a->name;
	a->changed = true;
	table_add(&b->accounts, account_key, a);
	table_add(&b->names, account_name, a);
	b->next_account = MAX_OF(b->next_account, row->id + 1);
	return ERRC_OK;
}

static enum errc set_key_row(struct key *k, struct slice row)
{
	char *bytes = mem_dup(row.p, row.n);

	if (!bytes)
		return ERRC_NOMEM;
	mem_free(k->bytes);
	k->bytes = bytes;
	k->k.row = slice_of(bytes, row.n);
	k->changed = true;
	return ERRC_OK;
}

static enum errc add_key(struct book *b, const struct rows_key *def, struct slice row,
			 const struct rows_state *state)
{
	struct key *k;
	enum errc rc;

	if (!find_account(b, def->account) || find_key(b, def->id))
		return ERRC_CORRUPT;
	rc = table_grow(&b->keys, key_key);
	if (rc)
		return rc;
	k = mem_new_of(struct key);
	if (!k)
		return ERRC_NOMEM;
	memcpy(k->id, def->id, APIKEY_ID);
	k->account = def->account;
	k->k.state = *state;
	rc = set_key_row(k, row);
	if (rc) {
		mem_free(k);
		return rc;
	}
	table_add(&b->keys, key_key, k);
	return ERRC_OK;
}

static enum errc apply_account(struct book *b, const struct record *r)
{
	struct rows_account def;
	struct account *a = find_account(b, r->account);

	if (rows_get_account(r->change.row, &def) || def.id != r->account)
		return ERRC_CORRUPT;
	if (!a) {
		def.granted_nusd = def.balance_nusd = def.held_nusd = def.settled_nusd =
			def.uncollected_nusd = 0;
		def.holds = 0;
		return add_account(b, &def);
	}
	if (!slice_eq(a->row.name, def.name))
		return ERRC_CORRUPT;
	a->row.mode = def.mode;
	a->row.status = def.status;
	a->row.overdraft_nusd = def.overdraft_nusd;
	a->changed = true;
	return ERRC_OK;
}

static enum errc apply_key(struct book *b, const struct record *r)
{
	static const struct rows_state none;
	struct rows_key def;
	struct key *k;

	if (rows_get_key(r->change.row, &def) || def.account != r->account)
		return ERRC_CORRUPT;
	k = find_key(b, def.id);
	if (!k)
		return add_key(b, &def, r->change.row, &none);
	return k->account == def.account ? set_key_row(k, r->change.row) : ERRC_CORRUPT;
}

static enum errc apply_credit(struct book *b, const struct record *r)
{
	struct account *a = find_account(b, r->account);
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

static enum errc settle(struct book *b, uint64_t account, const char key_id[APIKEY_ID],
			int64_t nusd, int64_t uncollected, struct key **key)
{
	struct account *a = find_account(b, account);
	struct key *k = find_key(b, key_id);
	int64_t settled, balance, lost;

	if (!a || !k || k->account != account || !money_add(a->row.settled_nusd, nusd, &settled) ||
	    !money_sub(a->row.balance_nusd, nusd, &balance) ||
	    !money_add(a->row.uncollected_nusd, uncollected, &lost) || settled < 0)
		return ERRC_CORRUPT;
	a->row.settled_nusd = settled;
	a->row.balance_nusd = balance;
	a->row.uncollected_nusd = lost;
	a->changed = true;
	k->k.state.charged_nusd += nusd;
	k->changed = true;
	*key = k;
	return ERRC_OK;
}

struct book_charge book_charge_of(const struct record *r)
{
	const struct record_charge *c = &r->charge;
	struct book_charge out = {.account = r->account,
				  .budget = c->flags & RECORD_BUDGET,
				  .charge_nusd = c->charge_nusd,
				  .uncollected_nusd = c->uncollected_nusd,
				  .tokens = usage_total(&c->usage),
				  .used_s = c->admitted_ms / 1000,
				  .budget_id = c->budget_id};

	memcpy(out.key_id, c->key_id, APIKEY_ID);
	return out;
}

enum errc book_apply_charge(struct book *b, const struct book_charge *c)
{
	struct key *k;
	enum errc rc;

	if (c->charge_nusd < 0 || c->uncollected_nusd < 0)
		return ERRC_CORRUPT;
	rc = settle(b, c->account, c->key_id, c->charge_nusd, c->uncollected_nusd, &k);
	if (rc)
		return rc;
	k->k.state.requests++;
	k->k.state.tokens += (uint64_t)c->tokens;
	k->k.state.used_s = MAX_OF(k->k.state.used_s, c->used_s);
	if (c->budget)
		charge_window(&k->k.state.budget, c->budget_id, c->charge_nusd);
	return ERRC_OK;
}

static enum errc apply_charge(struct book *b, const struct record *r)
{
	struct book_charge c = book_charge_of(r);

	return book_apply_charge(b, &c);
}

static enum errc apply_reverse(struct book *b, const struct record *r)
{
	const struct record_change *c = &r->change;
	struct key *k;
	enum errc rc;

	if (c->amount_nusd < 0)
		return ERRC_CORRUPT;
	rc = settle(b, r->account, c->key_id, -c->amount_nusd, 0, &k);
	if (!rc && (c->flags & RECORD_BUDGET))
		window_budget_settle(&k->k.state.budget, c->budget_id, 0, -c->amount_nusd);
	return rc;
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
	case RECORD_KEY:
		return apply_key(b, r);
	case RECORD_GAP:
		return ERRC_OK;
	case RECORD_TYPE_COUNT:
		break;
	}
	return ERRC_CORRUPT;
}

enum errc book_load_account(struct book *b, struct slice row)
{
	struct rows_account a;
	enum errc rc = rows_get_account(row, &a);

	return rc ? rc : add_account(b, &a);
}

enum errc book_load_key(struct book *b, struct slice row, struct slice state)
{
	struct rows_key k;
	struct rows_state s;
	enum errc rc = rows_get_key(row, &k);

	if (!rc)
		rc = rows_get_state(state, &s);
	return rc ? rc : add_key(b, &k, row, &s);
}

const struct rows_account *book_account(const struct book *b, uint64_t account)
{
	const struct account *a = find_account(b, account);

	return a ? &a->row : NULL;
}

const struct rows_account *book_account_named(const struct book *b, struct slice name)
{
	const struct account *a = table_find(&b->names, account_name, name);

	return a ? &a->row : NULL;
}

const struct book_key *book_key(const struct book *b, const char id[APIKEY_ID])
{
	const struct key *k = find_key(b, id);

	return k ? &k->k : NULL;
}

uint64_t book_next_account(const struct book *b)
{
	return b->next_account;
}

size_t book_accounts_n(const struct book *b)
{
	return b->accounts.n;
}

size_t book_keys_n(const struct book *b)
{
	return b->keys.n;
}

const struct rows_account *book_account_at(const struct book *b, size_t i)
{
	return &((const struct account *)b->accounts.items[i])->row;
}

const struct book_key *book_key_at(const struct book *b, size_t i)
{
	return &((const struct key *)b->keys.items[i])->k;
}

enum errc book_each_changed(struct book *b,
			    enum errc (*fn)(void *arg, const struct rows_account *,
					    const struct book_key *),
			    void *arg)
{
	enum errc rc = ERRC_OK;

	for (size_t i = 0; !rc && i < b->accounts.n; i++) {
		const struct account *a = b->accounts.items[i];

		if (a->changed)
			rc = fn(arg, &a->row, NULL);
	}
	for (size_t i = 0; !rc && i < b->keys.n; i++) {
		const struct key *k = b->keys.items[i];

		if (k->changed)
			rc = fn(arg, NULL, &k->k);
	}
	return rc;
}

void book_clean(struct book *b)
{
	for (size_t i = 0; i < b->accounts.n; i++)
		((struct account *)b->accounts.items[i])->changed = false;
	for (size_t i = 0; i < b->keys.n; i++)
		((struct key *)b->keys.items[i])->changed = false;
}
