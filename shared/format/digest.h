/* SHA-256 and HMAC-SHA-256, by the processor's own instructions (sha256x.h) or else by mbedTLS, only included in
 * digest.c. Constant-time comparison is secret_eq(). */
#ifndef AIGW_DIGEST_H
#define AIGW_DIGEST_H

#include "errc.h"
#include "slice.h"

#define DIGEST_SHA256 32

/* A running hash: plain memory, no ending function; digest_final() wipes it. Copies go on
 * independently. */
struct digest {
	uint64_t opaque[15];
	bool is_own; /* not the library's */
};

void digest_init(struct digest *d);
void digest_add(struct digest *d, struct slice s);
void digest_final(struct digest *d, uint8_t out[DIGEST_SHA256]);

/* The hash of one piece. */
void digest_sha256(struct slice s, uint8_t out[DIGEST_SHA256]);

/* A key with the inner and outer block hashed in advance: one check of a short message costs two
 * blocks. As secret as the key: wiped by digest_key_fini(). */
struct digest_key {
	struct digest inner, outer;
};

void digest_key_init(struct digest_key *k, struct slice key);
void digest_key_fini(struct digest_key *k);
void digest_hmac(const struct digest_key *k, struct slice s, uint8_t out[DIGEST_SHA256]);

/* For tests: on, digests are the library's from their next digest_init() on, whatever the processor can. */
void digest_only_library(bool on);

/* Version of the library that runs here, "3.6.6"; static. */
const char *digest_library(void);

#endif
