#include "known.h"

#include <stdatomic.h>

#include "mem.h"

/* Sets of rows and of owners: with 20,000 accounts of four rows one row in 200 finds its sets full, and of 10,000 keys one
 * owner in 90. */
#define ROWS_BITS   15
#define ROWS_WAYS   4
#define OWNERS_BITS 15
#define OWNERS_WAYS 2

/* Of an age that is not the table's: nothing. */
struct row {
	const char *p;
	uint32_t tag;
	uint16_t n, age;
};

/* Account 0: nothing yet. */
struct owner {
	uint64_t account;
	uint32_t tag;
	char id[APIKEY_ID];
};

/* A set is one line of memory: what else it has comes with the first. Rows of accounts with many, and owners, have the newest first. */
struct row_set {
	_Alignas(MEM_LINE) struct row ways[ROWS_WAYS];
};

struct owner_set {
	_Alignas(MEM_LINE) struct owner ways[OWNERS_WAYS];
};

_Static_assert(sizeof(struct row_set) == MEM_LINE, "one line of memory");
_Static_assert(sizeof(struct owner_set) == MEM_LINE, "one line of memory");

struct tables {
	struct row_set rows[1 << ROWS_BITS];
	struct owner_set owners[1 << OWNERS_BITS];
};

struct known {
	atomic_bool busy; /* some thread is at the tables: for others nothing is known meanwhile */
	uint16_t age;     /* of the rows that are of `version` */
	uint64_t version;
	struct tables *at; /* in `memory` */
	char memory[sizeof(struct tables) + MEM_LINE];
};

enum errc known_new(struct known **out)
{
	struct known *k = mem_new_of(struct known);

	if (!k)
		return ERRC_NOMEM;
	atomic_init(&k->busy, false);
	k->age = 1;
	k->at = (struct tables *)(((uintptr_t)k->memory + MEM_LINE - 1) / MEM_LINE * MEM_LINE);
	*out = k;
	return ERRC_OK;
}

void known_free(struct known **k)
{
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

static uint64_t mix(uint64_t h)
{
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 32;
}

/* Where a row may be: in the set of its account, so that what a request needs of an account with few of them is one line of memory, or in one
 * that is chosen by the whole name. */
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
	return &k->at->rows[h >> (64 - ROWS_BITS)];
}

static struct owner_set *owners_of(const struct known *k, uint64_t h)
{
	return &k->at->owners[h >> (64 - OWNERS_BITS)];
}

/* As good as any: a hash is spread evenly. */
static uint64_t mix_hash(const uint8_t hash[DIGEST_SHA256])
{
	uint64_t h;

	memcpy(&h, hash, sizeof h);
	return h;
}

/* Whether the rows are those of that version. With a newer one they all are of an age that is over. */
static bool is_of(struct known *k, uint64_t version)
{
	if (version <= k->version)
		return version == k->version;
	k->version = version;
	if (++k->age == 0) {
		memset(k->at->rows, 0, sizeof k->at->rows);
		k->age = 1;
	}
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

static struct row *find(const struct known *k, const struct place *p)
{
	struct row *r = find_row(rows_of(k, p->home), k->age, (uint32_t)p->own);

	return r ? r : find_row(rows_of(k, p->own), k->age, (uint32_t)p->own);
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
	if (is_of(k, version))
		*make_room(k, &p) = (struct row){
			.p = row.p, .tag = (uint32_t)p.own, .n = (uint16_t)row.n, .age = k->age};
	leave(k);
}

static bool find_owner(const struct owner_set *s, uint32_t tag, struct owner *out)
{
	for (size_t i = 0; i < OWNERS_WAYS; i++) {
		if (s->ways[i].account != 0 && s->ways[i].tag == tag) {
			*out = s->ways[i];
			return true;
		}
	}
	return false;
}

void known_expect_hash(const struct known *k, const uint8_t hash[DIGEST_SHA256])
{
	mem_fetch_read(owners_of(k, mix_hash(hash)), sizeof(struct owner_set));
}

bool known_hash(struct known *k, const uint8_t hash[DIGEST_SHA256], uint64_t *account,
		char id[APIKEY_ID])
{
	uint64_t h = mix_hash(hash);
	struct owner owner;
	bool found;

	if (!enter(k))
		return false;
	found = find_owner(owners_of(k, h), (uint32_t)h, &owner);
	leave(k);
	if (!found)
		return false;
	*account = owner.account;
	memcpy(id, owner.id, APIKEY_ID);
	return true;
}

void known_add_hash(struct known *k, const uint8_t hash[DIGEST_SHA256], uint64_t account,
		    const char id[APIKEY_ID])
{
	struct owner owner = {.account = account};
	uint64_t h = mix_hash(hash);
	struct owner_set *s;

	owner.tag = (uint32_t)h;
	memcpy(owner.id, id, APIKEY_ID);
	s = owners_of(k, h);
	if (!enter(k))
		return;
	memmove(s->ways + 1, s->ways, sizeof s->ways - sizeof s->ways[0]);
	s->ways[0] = owner;
	leave(k);
}
