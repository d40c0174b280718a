/* SHA-256 by the processor's own instructions, where it has them (x86-64 with SHA extensions): a block in a sixth of the
 * time that portable code takes. Only digest.c uses it. */
#ifndef AIGW_SHA256X_H
#define AIGW_SHA256X_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256X_BLOCK 64

/* Whether this processor can. Asked once a process; any thread. */
bool sha256x_is_here(void);
/* Adds blocks_n blocks at `p` to the state. Only where sha256x_is_here(). */
void sha256x_blocks(uint32_t state[8], const uint8_t *p, size_t blocks_n);

#endif
