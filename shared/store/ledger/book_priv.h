/* The inside of the book: its entries, for the file that applies records to them. */
#ifndef AIGW_BOOK_PRIV_H
#define AIGW_BOOK_PRIV_H

#include "book.h"

struct book_account_item {
	struct rows_account row;
	char name[ROWS_NAME_MAX], group[ROWS_NAME_MAX];
	bool changed;
};

/* What a scope is found by. Ids of keys are unique whatever their account, which is 0 here. */
struct book_scope_name {
	char b[1 + sizeof(uint64_t) + ROWS_ID];
};

struct book_item {
	struct book_scope s; /* first: book_state() and the walks hand it out */
	struct book_scope_name name;
	char *bytes; /* of s.row, owned; as s.counters */
	bool changed, idle;
	bool row_changed; /* not only what is used */
};

/* Open addressing. The whole hash stands here: of entries that are others, which lie anywhere in memory, nothing is read. */
struct book_slot {
	uint64_t hash;
	void *item; /* NULL: empty */
};

/* Entries in the order they came, found by a hash of their key. */
struct book_table {
	void **items;
	size_t n, items_cap;
	struct book_slot *slots;
	size_t slots_n;   /* a power of two, at least twice n */
	uint64_t seed[2]; /* of the hash: clients choose what end users are called */
};

struct book {
	struct book_table accounts, names, scopes; /* names shares the items of accounts */
	uint64_t next_account;
};

/* The rules for all end users of the account that was asked about last. */
struct book_every {
	uint64_t account; /* ROWS_ACCOUNT_HEAD: none yet */
	bool there;
	struct rows_scope rules;
};
/* NULL: there are none. Valid until the next call and as long as the book does not change. */
const struct rows_scope *book_every_user(const struct book *b, uint64_t account,
					 struct book_every *e);

/* NULL when there is none. */
struct book_account_item *book_find_account(const struct book *b, uint64_t id);
struct book_item *book_find_scope(const struct book *b, enum rows_kind kind, uint64_t account,
				  const char id[ROWS_ID]);
/* ERRC_CORRUPT: the id or the name is taken; the account is unknown. */
MUSTCHECK enum errc book_add_account(struct book *b, const struct rows_account *row);
MUSTCHECK enum errc book_add_scope(struct book *b, enum rows_kind kind, uint64_t account,
				   const char id[ROWS_ID], struct book_item **out);
void book_set_group(struct book_account_item *a, struct slice group);
/* `row` is copied; what rules that are not in `def` have counted is dropped, but for those for all end users. */
MUSTCHECK enum errc book_set_row(struct book_item *s, const struct rows_scope *def,
				 struct slice row);
void book_drop_row(struct book_item *s);
/* The counter of a budget, valid until another one is made. ERRC_NOTFOUND: there is no such rule now, so nothing is counted. */
MUSTCHECK enum errc book_counter(const struct book *b, struct book_item *s, uint32_t rule,
				 struct rows_counter **out);

#endif
