/* Where this process found definitions and keys before, so that a request need not search for them again: with thousands of keys every
 * step of a search is at memory that no cache has. Nothing here is believed: a place is used only in transactions in which
 * the tree of definitions is the one that it was found in, and what stands there is compared with what was asked for; whose a
 * hash is, is compared with the key's row. A fixed number of each is kept, the newest. All functions may be called from any thread. */
#ifndef AIGW_KNOWN_H
#define AIGW_KNOWN_H

#include "rows.h"

struct known;

/* Owned by the caller. Small until it fills; then it has 4 MiB more. */
MUSTCHECK enum errc known_new(struct known **out);
void known_free(struct known **k);

/* The row of a definition in the tree of that version (not 0). It may be another row, seldom. */
bool known_row(struct known *k, uint64_t version, const struct rows_key_name *name,
	       struct slice *out);
/* known_row() will be asked for rows of this account soon. */
void known_expect_rows(const struct known *k, uint64_t account);
/* `row` stays where it is as long as the version of the tree is the same. */
void known_add_row(struct known *k, uint64_t version, const struct rows_key_name *name,
		   struct slice row);

/* Whose key has, or had, a hash. */
struct known_key {
	uint64_t account;
	char id[APIKEY_ID];
	struct slice row; /* of the key in the tree of the version asked for; n is 0 where it is not known */
};

/* known_hash() will be asked for this one soon. */
void known_expect_hash(const struct known *k, const uint8_t hash[DIGEST_SHA256]);
/* The key of that hash; or of one like it. `version` 0: that of no tree. */
bool known_hash(struct known *k, uint64_t version, const uint8_t hash[DIGEST_SHA256],
		struct known_key *out);
void known_add_hash(struct known *k, uint64_t version, const uint8_t hash[DIGEST_SHA256],
		    const struct known_key *of);

#endif
