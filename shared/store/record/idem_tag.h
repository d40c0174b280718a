/* The name of a claim on an idempotency key, as hold rows and charge records carry it. Pure. */
#ifndef AIGW_IDEM_TAG_H
#define AIGW_IDEM_TAG_H

#include "digest.h"

#define IDEM_TAG 32 /* bytes: half a hash of the word, half a hash of what it is bound to */

/* The client's word, and the SHA-256 of method, path and body. The half for the latter is mixed with the word, so that who
 * reads the ledger cannot tell from it whether a body was a certain one. */
void idem_tag(struct slice word, const uint8_t bound[DIGEST_SHA256], uint8_t out[IDEM_TAG]);

#endif
