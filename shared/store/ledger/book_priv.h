/* The inside of the book: its entries, for the file that applies records to them. */
#ifndef AIGW_BOOK_PRIV_H
#define AIGW_BOOK_PRIV_H

#include "book.h"
#include "book_table.h"

struct book_item;

struct book_account_item {
	struct rows_account row;
	struct book_item *rules; /* what it may do; NULL: nothing was said. It stays as long as the book */
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
	struct book_account_item *of;
	/* Of a key: the team of its last charge; NULL: none yet. Teams stay as long as the book. */
	struct book_item *team;
	bool changed, idle;
	bool row_changed; /* not only what is used */
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
/* Once account, key and end user are set: what the key and the end user are found by. */
void book_hash(const struct book *b, struct book_charge *c);
struct book_item *book_find_key(const struct book *b, const struct book_charge *c);
struct book_item *book_find_user(const struct book *b, const struct book_charge *c);
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
