/* The node's pepper: 32 random bytes in the file state/pepper (0600), made at the first start. API keys are stored as
 * HMAC-SHA-256 under it: without the file a copy of the stores says nothing about keys, and keys made under it are lost
 * with it. */
#ifndef AIGW_PEPPER_H
#define AIGW_PEPPER_H

#include "errc.h"

#define PEPPER_BYTES 32

/* One that came with a restored ledger (restored.h) takes the place of the other first. ERRC_CORRUPT when the file is not 32 bytes. The caller wipes `out`. */
MUSTCHECK enum errc pepper_open(const char *state, uint8_t out[PEPPER_BYTES]);

#endif
