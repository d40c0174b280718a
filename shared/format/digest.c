#include "digest.h"

#include <mbedtls/version.h>
#include <mbedtls/sha256.h>

#include "be.h"
#include "secret.h"
#include "sha256x.h"

/* What struct digest is where the processor hashes. */
struct own {
	uint32_t state[8];
	uint64_t bytes;
	uint8_t rest[SHA256X_BLOCK]; /* the last bytes % SHA256X_BLOCK */
};

_Static_assert(sizeof(mbedtls_sha256_context) <= sizeof((struct digest *)0)->opaque &&
		       sizeof(struct own) <= sizeof((struct digest *)0)->opaque,
	       "struct digest is too small");

#define BLOCK SHA256X_BLOCK

static bool only_library;

void digest_only_library(bool on)
{
	only_library = on;
}

static mbedtls_sha256_context *ctx(struct digest *d)
{
	return (mbedtls_sha256_context *)d->opaque;
}

static struct own *own(struct digest *d)
{
	return (struct own *)d->opaque;
}

static void own_init(struct own *o)
{
	/* FIPS 180-4, 5.3.3. */
	static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
					  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

	memcpy(o->state, first, sizeof first);
	o->bytes = 0;
}

static void own_add(struct own *o, const uint8_t *p, size_t n)
{
	size_t have = o->bytes % BLOCK, take = MIN_OF(n, (size_t)BLOCK - have);

	o->bytes += n;
	if (have > 0) {
		memcpy(o->rest + have, p, take);
		if (have + take < BLOCK)
			return;
		sha256x_blocks(o->state, o->rest, 1);
		p += take;
		n -= take;
	}
	if (n >= BLOCK)
		sha256x_blocks(o->state, p, n / BLOCK);
	memcpy(o->rest, p + n / BLOCK * BLOCK, n % BLOCK);
}

/* A bit 1, zeros, and the length in bits as the last 8 bytes of a block. */
static void own_final(struct own *o, uint8_t out[DIGEST_SHA256])
{
	size_t have = o->bytes % BLOCK;

	o->rest[have++] = 0x80;
	memset(o->rest + have, 0, BLOCK - have);
	if (have > BLOCK - 8) {
		sha256x_blocks(o->state, o->rest, 1);
		memset(o->rest, 0, BLOCK);
	}
	be_put(o->rest + BLOCK - 8, 8, o->bytes * 8);
	sha256x_blocks(o->state, o->rest, 1);
	for (size_t i = 0; i < 8; i++)
		be_put(out + 4 * i, 4, o->state[i]);
}

/* The library's functions fail only on misuse and on hardware that we do not use. */
void digest_init(struct digest *d)
{
	d->is_own = sha256x_is_here() && !only_library;
	if (d->is_own) {
		own_init(own(d));
		return;
	}
	mbedtls_sha256_init(ctx(d));
	require(mbedtls_sha256_starts(ctx(d), 0) == 0);
}

void digest_add(struct digest *d, struct slice s)
{
	if (s.n == 0)
		return;
	if (d->is_own)
		own_add(own(d), (const uint8_t *)s.p, s.n);
	else
		require(mbedtls_sha256_update(ctx(d), (const unsigned char *)s.p, s.n) == 0);
}

void digest_final(struct digest *d, uint8_t out[DIGEST_SHA256])
{
	if (d->is_own)
		own_final(own(d), out);
	else
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
