#include "digest.h"

#include <mbedtls/version.h>
#include <mbedtls/sha256.h>

#include "secret.h"

_Static_assert(sizeof(mbedtls_sha256_context) <= sizeof(struct digest),
	       "struct digest is too small");

#define BLOCK 64

static mbedtls_sha256_context *ctx(struct digest *d)
{
	return (mbedtls_sha256_context *)d;
}

/* The functions fail only on misuse and on hardware that we do not use. */
void digest_init(struct digest *d)
{
	mbedtls_sha256_init(ctx(d));
	require(mbedtls_sha256_starts(ctx(d), 0) == 0);
}

void digest_add(struct digest *d, struct slice s)
{
	require(mbedtls_sha256_update(ctx(d), (const unsigned char *)s.p, s.n) == 0);
}

void digest_final(struct digest *d, uint8_t out[DIGEST_SHA256])
{
	require(mbedtls_sha256_finish(ctx(d), out) == 0);
	secret_wipe(d, sizeof *d);
}

void digest_sha256(struct slice s, uint8_t out[DIGEST_SHA256])
{
	struct digest d;

	digest_init(&d);
	digest_add(&d, s);
	digest_final(&d, out);
}

void digest_key_init(struct digest_key *k, struct slice key)
{
	uint8_t block[BLOCK] = {0};

	if (key.n > BLOCK)
		digest_sha256(key, block);
	else if (key.n)
		memcpy(block, key.p, key.n);
	for (size_t i = 0; i < BLOCK; i++)
		block[i] ^= 0x36;
	digest_init(&k->inner);
	digest_add(&k->inner, slice_of(block, BLOCK));
	for (size_t i = 0; i < BLOCK; i++)
		block[i] ^= 0x36 ^ 0x5c;
	digest_init(&k->outer);
	digest_add(&k->outer, slice_of(block, BLOCK));
	secret_wipe(block, sizeof block);
}

void digest_key_fini(struct digest_key *k)
{
	secret_wipe(k, sizeof *k);
}

void digest_hmac(const struct digest_key *k, struct slice s, uint8_t out[DIGEST_SHA256])
{
	struct digest d = k->inner;

	digest_add(&d, s);
	digest_final(&d, out);
	d = k->outer;
	digest_add(&d, slice_of(out, DIGEST_SHA256));
	digest_final(&d, out);
}

const char *digest_library(void)
{
	static char text[24];

	mbedtls_version_get_string(text);
	return text;
}
