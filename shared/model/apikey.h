/* API keys: `sk-aigw-<12 public id>-<43 secret>`. The public id may be shown and logged; the whole
 * key is stored nowhere, only its HMAC-SHA-256 under the node's pepper. */
#ifndef AIGW_APIKEY_H
#define AIGW_APIKEY_H

#include "digest.h"

#define APIKEY_ID     12 /* lower-case letters and digits */
#define APIKEY_SECRET 43 /* 32 random bytes, base64url */
#define APIKEY_TEXT   (8 + APIKEY_ID + 1 + APIKEY_SECRET)

struct apikey {
	char id[APIKEY_ID + 1];
	char text[APIKEY_TEXT + 1];
};

/* A new random id alone, of what has no secret; without an end. */
void apikey_make_id(char id[APIKEY_ID]);
/* A new random key. The caller shows `text` once and ends it with apikey_fini(), which wipes it. */
void apikey_make(struct apikey *k);
/* A new secret for the id that a key has already. */
void apikey_make_for(struct apikey *k, const char id[APIKEY_ID]);
void apikey_fini(struct apikey *k);

/* Without white space and one pair of quotes around it, as people paste credentials. */
struct slice apikey_trim(struct slice s);
/* Checks the form of a trimmed credential; *id then points to its public id. */
bool apikey_parse(struct slice text, struct slice *id);
/* For texts of clients that are logged or recorded: overwrites the secret of each key in it, also of one that is cut at the end. */
void apikey_hide(char *text, size_t n);
/* What is stored and looked up; `text` has been parsed. */
void apikey_hash(const struct digest_key *pepper, struct slice text, uint8_t out[DIGEST_SHA256]);

#endif
