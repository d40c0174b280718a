#include "book_table.h"

#include "mem.h"
#include "text.h"

#define ENTRIES_MAX (UINT32_MAX / 4)

void *book_table_find_hashed(const struct book_table *t, struct slice (*of)(const void *),
			     struct slice want, uint64_t hash)
{
	size_t mask = t->slots_n - 1;

	if (t->slots_n == 0)
		return NULL;
	for (size_t i = hash & mask; t->slots[i].item; i = (i + 1) & mask) {
		void *item = t->slots[i].item;

		if (t->slots[i].hash == hash && slice_eq(of(item), want))
			return item;
	}
	return NULL;
}

void *book_table_find(const struct book_table *t, struct slice (*of)(const void *),
		      struct slice want)
{
	return book_table_find_hashed(t, of, want, text_hash_wide(t->seed, want));
}

void book_table_expect(const struct book_table *t, uint64_t hash)
{
	if (t->slots_n > 0)
		mem_fetch(&t->slots[hash & (t->slots_n - 1)], sizeof *t->slots);
}

const void *book_table_likely(const struct book_table *t, uint64_t hash)
{
	size_t mask = t->slots_n - 1, i = hash & mask;

	if (t->slots_n == 0)
		return NULL;
	while (t->slots[i].item && t->slots[i].hash != hash)
		i = (i + 1) & mask;
	return t->slots[i].item;
}

static void link_slot(struct book_table *t, struct book_slot s)
{
	size_t mask = t->slots_n - 1, i = s.hash & mask;

	while (t->slots[i].item)
		i = (i + 1) & mask;
	t->slots[i] = s;
}

static struct book_slot *new_slots(size_t n)
{
	size_t bytes = n * sizeof(struct book_slot);

	return bytes % MEM_HUGE == 0 ? mem_new_huge(bytes) : mem_new(bytes);
}

enum errc book_table_grow(struct book_table *t)
{
	if (t->n >= ENTRIES_MAX)
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
		struct book_table old = *t;
		size_t slots_n = t->slots_n ? t->slots_n * 2 : 128;
		struct book_slot *slots = new_slots(slots_n);

		if (!slots)
			return ERRC_NOMEM;
		t->slots = slots;
		t->slots_n = slots_n;
		for (size_t i = 0; i < old.slots_n; i++) {
			if (old.slots[i].item)
				link_slot(t, old.slots[i]);
		}
		mem_free(old.slots);
	}
	return ERRC_OK;
}

void book_table_add(struct book_table *t, struct slice (*of)(const void *), void *item)
{
	t->items[t->n++] = item;
	link_slot(t, (struct book_slot){text_hash_wide(t->seed, of(item)), item});
}

void book_table_fini(struct book_table *t)
{
	mem_free(t->items);
	mem_free(t->slots);
}

void book_table_keep(struct book_table *t, struct slice (*of)(const void *), size_t n)
{
	t->n = n;
	memset(t->slots, 0, t->slots_n * sizeof *t->slots);
	for (size_t i = 0; i < n; i++)
		link_slot(t, (struct book_slot){text_hash_wide(t->seed, of(t->items[i])),
						t->items[i]});
}
