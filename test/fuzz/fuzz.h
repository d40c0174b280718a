/* What a fuzz entry is: one function, linked either with libFuzzer (./dev fuzz) or with replay.c, which feeds it the corpus in
 * ordinary test runs. It must not keep anything from call to call. A finding is an abort: require() what must hold. */
#ifndef AIGW_FUZZ_H
#define AIGW_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* The input is borrowed and valid during the call, not NUL-terminated, and n may be 0. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#endif
