/* Where this process found definitions and keys before, so that a request need not search for them again: with thousands of keys every
 * step of a search is at memory that no cache has. Nothing here is believed: a place is used only in transactions in which
 * the tree of definitions is the one that it was found in, and what stands there is compared with what was asked for; whose a
 * hash is, is compared with the key's row. A fixed number of each is kept, the newest. All functions may be called from any thread. */
#ifndef AIGW_KNOWN_H
#define AIGW_KNOWN_H

#include "rows.h"

struct known;

/* Owned by the caller; memory is taken as it fills. */
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

/* known_hash() will be asked for this one soon. */
void known_expect_hash(const struct known *k, const uint8_t hash[DIGEST_SHA256]);
/* Whose key has, or had, that hash; or one like it. */
bool known_hash(struct known *k, const uint8_t hash[DIGEST_SHA256], uint64_t *account,
		char id[APIKEY_ID]);
void known_add_hash(struct known *k, const uint8_t hash[DIGEST_SHA256], uint64_t account,
		    const char id[APIKEY_ID]);

#endif
