#include "known.h"

#include <stdatomic.h>

#include "mem.h"

/* Sets of rows, and as many of owners: with 20,000 accounts of four rows one row in 200 finds its sets full, and of 10,000 keys one
 * owner in 90. A gateway with few keys never has more than the small ones. */
#define SETS_BITS   15
#define SMALL_BITS  9
#define ROWS_WAYS   4
#define OWNERS_WAYS 2

/* Of an age that is not the table's: nothing. */
struct row {
	const char *p;
	uint32_t tag;
	uint16_t n, age;
};

/* Account 0: nothing yet. The row is none of an age that is not the table's. */
struct owner {
	uint64_t account;
	uint64_t row; /* its address, and below it its age: addresses of programs have 48 bits */
	char id[APIKEY_ID];
	uint16_t tag, row_n;
};

#define AGE_BITS 16

/* A set is one line of memory: what else it has comes with the first. Rows of accounts with many, and owners, have the newest first. */
struct row_set {
	_Alignas(MEM_LINE) struct row ways[ROWS_WAYS];
};

struct owner_set {
	_Alignas(MEM_LINE) struct owner ways[OWNERS_WAYS];
};

_Static_assert(sizeof(struct row_set) == MEM_LINE, "one line of memory");
_Static_assert(sizeof(struct owner_set) == MEM_LINE, "one line of memory");
_Static_assert(sizeof(uintptr_t) == sizeof(uint64_t), "addresses of programs have 48 bits");

struct tables {
	struct row_set *rows;
	struct owner_set *owners;
	unsigned bits; /* of the number of sets */
};

struct small {
	struct row_set rows[1 << SMALL_BITS];
	struct owner_set owners[1 << SMALL_BITS];
};

struct large {
	struct row_set rows[1 << SETS_BITS];
	struct owner_set owners[1 << SETS_BITS];
};

_Static_assert(sizeof(struct large) % MEM_HUGE == 0, "whole pages");

struct known {
	atomic_bool busy; /* some thread is at the tables: for others nothing is known meanwhile */
	uint16_t age;     /* of the rows that are of `version` */
	uint64_t version;
	size_t added;                      /* into the small tables, rows of `version` and owners */
	_Atomic(const struct tables *) at; /* one of the following */
	struct tables small, large;
	struct large *owned; /* what is in `large`; NULL: not yet */
	char memory[sizeof(struct small) + MEM_LINE];
};

enum errc known_new(struct known **out)
{
	struct known *k = mem_new_of(struct known);
	struct small *s;

	if (!k)
		return ERRC_NOMEM;
	s = (struct small *)(((uintptr_t)k->memory + MEM_LINE - 1) / MEM_LINE * MEM_LINE);
	k->small = (struct tables){s->rows, s->owners, SMALL_BITS};
	k->age = 1;
	atomic_init(&k->busy, false);
	atomic_init(&k->at, &k->small);
	*out = k;
	return ERRC_OK;
}

void known_free(struct known **k)
{
	if (*k)
		mem_free((*k)->owned);
	mem_free(*k);
	*k = NULL;
}

static bool enter(struct known *k)
{
	return !atomic_exchange_explicit(&k->busy, true, memory_order_acquire);
}

static void leave(struct known *k)
{
	atomic_store_explicit(&k->busy, false, memory_order_release);
}

static const struct tables *tables_of(const struct known *k)
{
	return atomic_load_explicit(&k->at, memory_order_acquire);
}

/* One more is in the tables. Before the small ones are full, large ones take their place; what was known is found again as it is asked for.
 * Without memory for them the small ones do. */
static void count_added(struct known *k)
{
	if (tables_of(k) != &k->small || ++k->added != (size_t)2 << SMALL_BITS)
		return;
	k->owned = mem_new_huge(sizeof *k->owned);
	if (!k->owned)
		return;
	k->large = (struct tables){k->owned->rows, k->owned->owners, SETS_BITS};
	atomic_store_explicit(&k->at, &k->large, memory_order_release);
}

static uint64_t mix(uint64_t h)
{
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 32;
}

/* Where a row may be: in the set of its account, so that what a request needs of an account with few of them is one line of memory, or, once that
 * one is full, in one that is chosen by the whole name. */
struct place {
	uint64_t home, own;
};

static struct place place_of(const struct rows_key_name *name)
{
	struct place p = {0, 0};

	for (size_t i = 0; i < name->n; i += sizeof p.own) {
		uint64_t part = 0;

		memcpy(&part, name->b + i, MIN_OF(name->n - i, sizeof part));
		p.own = mix(p.own ^ part);
		if (i == 0)
			p.home = p.own; /* the account comes first */
	}
	return p;
}

static struct row_set *rows_of(const struct known *k, uint64_t h)
{
	const struct tables *t = tables_of(k);

	return &t->rows[h >> (64 - t->bits)];
}

static struct owner_set *owners_of(const struct known *k, uint64_t h)
{
	const struct tables *t = tables_of(k);

	return &t->owners[h >> (64 - t->bits)];
}

/* As good as any: a hash is spread evenly. */
static uint64_t mix_hash(const uint8_t hash[DIGEST_SHA256])
{
	uint64_t h;

	memcpy(&h, hash, sizeof h);
	return h;
}

/* Rows of before must not be taken for those of an age that comes again. */
static void begin_ages(struct known *k)
{
	const struct tables *t = tables_of(k);

	memset(t->rows, 0, sizeof *t->rows << t->bits);
	memset(t->owners, 0, sizeof *t->owners << t->bits);
	k->age = 1;
}

/* Whether the rows are those of that version. With a newer one they all are of an age that is over. */
static bool is_of(struct known *k, uint64_t version)
{
	if (version <= k->version)
		return version == k->version;
	k->version = version;
	k->added = 0;
	if (++k->age == 0)
		begin_ages(k);
	return true;
}

static struct row *find_row(struct row_set *s, uint16_t age, uint32_t tag)
{
	for (size_t i = 0; i < ROWS_WAYS; i++) {
		if (s->ways[i].age == age && s->ways[i].tag == tag)
			return &s->ways[i];
	}
	return NULL;
}

static struct row *find_free(struct row_set *s, uint16_t age)
{
	for (size_t i = 0; i < ROWS_WAYS; i++) {
		if (s->ways[i].age != age)
			return &s->ways[i];
	}
	return NULL;
}

/* As long as there is room at home no row went elsewhere, and memory that is far is not asked. */
static struct row *find(const struct known *k, const struct place *p)
{
	struct row_set *home = rows_of(k, p->home);
	struct row *r = find_row(home, k->age, (uint32_t)p->own);

	if (r || find_free(home, k->age))
		return r;
	return find_row(rows_of(k, p->own), k->age, (uint32_t)p->own);
}

bool known_row(struct known *k, uint64_t version, const struct rows_key_name *name,
	       struct slice *out)
{
	struct place p = place_of(name);
	const struct row *r;

	if (!enter(k))
		return false;
	r = is_of(k, version) ? find(k, &p) : NULL;
	if (r)
		*out = slice_of(r->p, r->n);
	leave(k);
	return r != NULL;
}

void known_expect_rows(const struct known *k, uint64_t account)
{
	struct rows_key_name name = rows_name(account, ROWS_ACCOUNT, SLICE_NONE);

	mem_fetch_read(rows_of(k, place_of(&name).home), sizeof(struct row_set));
}

/* Room for a row: its own, what is free at home, or that of the oldest of the other set. */
static struct row *make_room(const struct known *k, const struct place *p)
{
	struct row *r = find(k, p);
	struct row_set *s = rows_of(k, p->own);

	if (!r)
		r = find_free(rows_of(k, p->home), k->age);
	if (r)
		return r;
	memmove(s->ways + 1, s->ways, sizeof s->ways - sizeof s->ways[0]);
	return s->ways;
}

void known_add_row(struct known *k, uint64_t version, const struct rows_key_name *name,
		   struct slice row)
{
	struct place p = place_of(name);

	if (row.n > UINT16_MAX || !enter(k))
		return;
	if (is_of(k, version)) {
		*make_room(k, &p) = (struct row){
			.p = row.p, .tag = (uint32_t)p.own, .n = (uint16_t)row.n, .age = k->age};
		count_added(k);
	}
	leave(k);
}

static struct owner *find_owner(struct owner_set *s, uint16_t tag)
{
	for (size_t i = 0; i < OWNERS_WAYS; i++) {
		if (s->ways[i].account != 0 && s->ways[i].tag == tag)
			return &s->ways[i];
	}
	return NULL;
}

void known_expect_hash(const struct known *k, const uint8_t hash[DIGEST_SHA256])
{
	mem_fetch_read(owners_of(k, mix_hash(hash)), sizeof(struct owner_set));
}

static struct slice row_of(const struct owner *o, uint16_t age)
{
	if ((uint16_t)o->row != age)
		return SLICE_NONE;
	return slice_of((const char *)(uintptr_t)(o->row >> AGE_BITS), o->row_n);
}

bool known_hash(struct known *k, uint64_t version, const uint8_t hash[DIGEST_SHA256],
		struct known_key *out)
{
	uint64_t h = mix_hash(hash);
	const struct owner *o;

	if (!enter(k))
		return false;
	o = find_owner(owners_of(k, h), (uint16_t)h);
	if (o) {
		out->account = o->account;
		memcpy(out->id, o->id, APIKEY_ID);
		out->row = version && is_of(k, version) ? row_of(o, k->age) : SLICE_NONE;
	}
	leave(k);
	return o != NULL;
}

/* Room for an owner: its own, or that of the oldest. */
static struct owner *make_owner(struct owner_set *s, uint16_t tag)
{
	struct owner *o = find_owner(s, tag);

	if (o)
		return o;
	memmove(s->ways + 1, s->ways, sizeof s->ways - sizeof s->ways[0]);
	return s->ways;
}

void known_add_hash(struct known *k, uint64_t version, const uint8_t hash[DIGEST_SHA256],
		    const struct known_key *of)
{
	uint64_t h = mix_hash(hash);
	struct owner owner = {.account = of->account, .tag = (uint16_t)h};

	memcpy(owner.id, of->id, APIKEY_ID);
	if (!enter(k))
		return;
	if (version && of->row.n <= UINT16_MAX && is_of(k, version)) {
		owner.row = (uint64_t)(uintptr_t)of->row.p << AGE_BITS | k->age;
		owner.row_n = (uint16_t)of->row.n;
	}
	*make_owner(owners_of(k, h), owner.tag) = owner;
	count_added(k);
	leave(k);
}
