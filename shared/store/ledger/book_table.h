/* Entries in the order they came, each found by a hash of its key. A table owns its own memory, not the entries. */
#ifndef AIGW_BOOK_TABLE_H
#define AIGW_BOOK_TABLE_H

#include "slice.h"

/* Open addressing. The whole hash stands here: of entries that are others, which lie anywhere in memory, nothing is read. */
struct book_slot {
	uint64_t hash;
	void *item; /* NULL: empty */
};

struct book_table {
	void **items;
	size_t n, items_cap;
	struct book_slot *slots;
	size_t slots_n;   /* a power of two, at least twice n */
	uint64_t seed[2]; /* of the hash, text_hash_wide(): clients choose what end users are called. Set by the caller, before anything else */
};

void book_table_fini(struct book_table *t);

/* NULL: there is none. `of` is the key of an entry; `hash` that of `want`. */
void *book_table_find(const struct book_table *t, struct slice (*of)(const void *),
		      struct slice want);
void *book_table_find_hashed(const struct book_table *t, struct slice (*of)(const void *),
			     struct slice want, uint64_t hash);

/* Before a search: asks for the memory that it begins at; then, once that is there, what most likely is the entry; NULL: there is none. */
void book_table_expect(const struct book_table *t, uint64_t hash);
const void *book_table_likely(const struct book_table *t, uint64_t hash);

/* Room for one entry more, which book_table_add() takes. */
MUSTCHECK enum errc book_table_grow(struct book_table *t);
void book_table_add(struct book_table *t, struct slice (*of)(const void *), void *item);

/* Only the first `n` of the entries, in the order in which they stand now, are left. */
void book_table_keep(struct book_table *t, struct slice (*of)(const void *), size_t n);

#endif
