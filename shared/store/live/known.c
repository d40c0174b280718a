#include "known.h"

#include <stdatomic.h>

#include "mem.h"

#define ROWS_BITS   16
#define HASHES_BITS 15

/* Version 0, account 0: nothing yet. */
struct row {
	const char *p;
	uint64_t version;
	uint32_t n, tag;
};

struct owner {
	uint64_t account;
	uint32_t tag;
	char id[APIKEY_ID];
};

struct known {
	atomic_bool busy; /* some thread is at the tables: for others nothing is known meanwhile */
	struct row rows[1 << ROWS_BITS];
	struct owner owners[1 << HASHES_BITS];
};

enum errc known_new(struct known **out)
{
	struct known *k = mem_new_of(struct known);

	if (!k)
		return ERRC_NOMEM;
	atomic_init(&k->busy, false);
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

bool known_row(struct known *k, uint64_t version, const struct rows_key_name *name,
	       struct slice *out)
{
	uint64_t h = mix_name(name);
	struct row row;

	if (!enter(k))
		return false;
	row = k->rows[h >> (64 - ROWS_BITS)];
	leave(k);
	if (row.version != version || row.tag != (uint32_t)h)
		return false;
	*out = slice_of(row.p, row.n);
	return true;
}

void known_expect_row(const struct known *k, const struct rows_key_name *name)
{
	mem_fetch_read(&k->rows[mix_name(name) >> (64 - ROWS_BITS)], sizeof *k->rows);
}

void known_add_row(struct known *k, uint64_t version, const struct rows_key_name *name,
		   struct slice row)
{
	uint64_t h = mix_name(name);

	if (!enter(k))
		return;
	k->rows[h >> (64 - ROWS_BITS)] = (struct row){
		.p = row.p, .version = version, .n = (uint32_t)row.n, .tag = (uint32_t)h};
	leave(k);
}

bool known_hash(struct known *k, const uint8_t hash[DIGEST_SHA256], uint64_t *account,
		char id[APIKEY_ID])
{
	struct owner owner;
	uint64_t h;

	memcpy(&h, hash, sizeof h);
	if (!enter(k))
		return false;
	owner = k->owners[h >> (64 - HASHES_BITS)];
	leave(k);
	if (owner.account == 0 || owner.tag != (uint32_t)h)
		return false;
	*account = owner.account;
	memcpy(id, owner.id, APIKEY_ID);
	return true;
}

void known_add_hash(struct known *k, const uint8_t hash[DIGEST_SHA256], uint64_t account,
		    const char id[APIKEY_ID])
{
	struct owner owner = {.account = account};
	uint64_t h;

	memcpy(&h, hash, sizeof h);
	owner.tag = (uint32_t)h;
	memcpy(owner.id, id, APIKEY_ID);
	if (!enter(k))
		return;
	k->owners[h >> (64 - HASHES_BITS)] = owner;
	leave(k);
}
