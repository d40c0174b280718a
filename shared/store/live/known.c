#include "known.h"

#include <stdatomic.h>

#include "mem.h"

/* Sets of rows and of owners: with 10,000 keys in four scopes one row in 200 finds its set full, and one owner in 90. */
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

/* The newest first. A set is one line of memory: what else it has comes with the first. */
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

/* Of account, kind and id. */
static uint64_t mix_name(const struct rows_key_name *name)
{
	uint64_t h = 0, part;

	for (size_t i = 0; i < name->n; i += sizeof part) {
		part = 0;
		memcpy(&part, name->b + i, MIN_OF(name->n - i, sizeof part));
		h = mix(h ^ part);
	}
	return h;
}

static struct row_set *rows_of(const struct known *k, uint64_t h)
{
	return &k->at->rows[h >> (64 - ROWS_BITS)];
}

static struct owner_set *owners_of(const struct known *k, uint64_t h)
{
	return &k->at->owners[h >> (64 - OWNERS_BITS)];
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

static bool find_row(const struct row_set *s, uint16_t age, uint32_t tag, struct slice *out)
{
	for (size_t i = 0; i < ROWS_WAYS; i++) {
		if (s->ways[i].age == age && s->ways[i].tag == tag) {
			*out = slice_of(s->ways[i].p, s->ways[i].n);
			return true;
		}
	}
	return false;
}

bool known_row(struct known *k, uint64_t version, const struct rows_key_name *name,
	       struct slice *out)
{
	uint64_t h = mix_name(name);
	bool found;

	if (!enter(k))
		return false;
	found = is_of(k, version) && find_row(rows_of(k, h), k->age, (uint32_t)h, out);
	leave(k);
	return found;
}

void known_expect_row(const struct known *k, const struct rows_key_name *name)
{
	mem_fetch_read(rows_of(k, mix_name(name)), sizeof(struct row_set));
}

void known_add_row(struct known *k, uint64_t version, const struct rows_key_name *name,
		   struct slice row)
{
	uint64_t h = mix_name(name);
	struct row_set *s = rows_of(k, h);

	if (row.n > UINT16_MAX || !enter(k))
		return;
	if (is_of(k, version)) {
		memmove(s->ways + 1, s->ways, sizeof s->ways - sizeof s->ways[0]);
		s->ways[0] = (struct row){
			.p = row.p, .tag = (uint32_t)h, .n = (uint16_t)row.n, .age = k->age};
	}
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

bool known_hash(struct known *k, const uint8_t hash[DIGEST_SHA256], uint64_t *account,
		char id[APIKEY_ID])
{
	struct owner owner;
	uint64_t h;
	bool found;

	memcpy(&h, hash, sizeof h);
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
	struct owner_set *s;
	uint64_t h;

	memcpy(&h, hash, sizeof h);
	owner.tag = (uint32_t)h;
	memcpy(owner.id, id, APIKEY_ID);
	s = owners_of(k, h);
	if (!enter(k))
		return;
	memmove(s->ways + 1, s->ways, sizeof s->ways - sizeof s->ways[0]);
	s->ways[0] = owner;
	leave(k);
}
