#include "addrs.h"

#include "mem.h"
#include "secret.h"
#include "text.h"

#define CAP_FIRST 64

void addrs_init(struct addrs *a)
{
	memset(a, 0, sizeof(*a));
	secret_random(a->seed, sizeof(a->seed)); /* clients choose their addresses */
}

void addrs_fini(struct addrs *a)
{
	require(a->used == 0);
	mem_free(a->rows);
	a->rows = NULL;
	a->cap = 0;
}

static size_t home_of(const struct addrs *a, const uint8_t addr[ADDRS_BYTES])
{
	return (size_t)text_hash_keyed(a->seed, slice_of(addr, ADDRS_BYTES)) & (a->cap - 1);
}

/* The address's row, or the free one where it belongs. There always is a free one. */
static size_t place_of(const struct addrs *a, const uint8_t addr[ADDRS_BYTES])
{
	size_t i = home_of(a, addr);

	while (a->rows[i].n > 0 && memcmp(a->rows[i].addr, addr, ADDRS_BYTES) != 0)
		i = (i + 1) & (a->cap - 1);
	return i;
}

static enum errc grow(struct addrs *a)
{
	struct addrs_row *old = a->rows;
	size_t old_cap = a->cap, cap = old_cap ? old_cap * 2 : CAP_FIRST;
	struct addrs_row *rows = mem_new(cap * sizeof(*rows));

	if (!rows)
		return ERRC_NOMEM;
	a->rows = rows;
	a->cap = cap;
	for (size_t i = 0; i < old_cap; i++)
		if (old[i].n > 0)
			rows[place_of(a, old[i].addr)] = old[i];
	mem_free(old);
	return ERRC_OK;
}

enum errc addrs_take(struct addrs *a, const uint8_t addr[ADDRS_BYTES], uint32_t max)
{
	struct addrs_row *r;
	enum errc e;

	if (a->used * 2 >= a->cap && (e = grow(a)))
		return e;
	r = &a->rows[place_of(a, addr)];
	if (r->n >= max)
		return ERRC_LIMIT;
	if (r->n == 0) {
		memcpy(r->addr, addr, ADDRS_BYTES);
		a->used++;
	}
	r->n++;
	return ERRC_OK;
}

/* Frees row i and moves those behind it that would no longer be found. */
static void remove_row(struct addrs *a, size_t i)
{
	size_t mask = a->cap - 1;

	a->rows[i].n = 0;
	a->used--;
	for (size_t j = (i + 1) & mask; a->rows[j].n > 0; j = (j + 1) & mask) {
		size_t home = home_of(a, a->rows[j].addr);

		if (((j - home) & mask) < ((j - i) & mask))
			continue;
		a->rows[i] = a->rows[j];
		a->rows[j].n = 0;
		i = j;
	}
}

void addrs_give(struct addrs *a, const uint8_t addr[ADDRS_BYTES])
{
	size_t i;

	require(a->cap > 0);
	i = place_of(a, addr);
	require(a->rows[i].n > 0);
	if (--a->rows[i].n == 0)
		remove_row(a, i);
}
