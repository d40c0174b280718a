#include "idem_tag.h"

#include <string.h>

#define HASH (IDEM_TAG / 2)

void idem_tag(struct slice word, const uint8_t bound[DIGEST_SHA256], uint8_t out[IDEM_TAG])
{
	uint8_t hash[DIGEST_SHA256];
	struct digest d;

	digest_sha256(word, hash);
	memcpy(out, hash, HASH);
	digest_init(&d);
	digest_add(&d, slice_of(hash, sizeof hash));
	digest_add(&d, slice_of(bound, DIGEST_SHA256));
	digest_final(&d, hash);
	memcpy(out + HASH, hash, HASH);
}
