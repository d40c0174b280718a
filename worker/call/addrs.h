/* Requests in progress by client address. Bounded by the number of requests: an address without any takes no room. */
#ifndef AIGW_ADDRS_H
#define AIGW_ADDRS_H

#include "errc.h"

#define ADDRS_BYTES 16

struct addrs_row {
	uint8_t addr[ADDRS_BYTES];
	uint32_t n; /* 0: free */
};

struct addrs {
	struct addrs_row *rows; /* owned; `cap` of them, a power of two */
	size_t cap, used;
	uint8_t seed[16];
};

/* No memory is taken until the first address. */
void addrs_init(struct addrs *a);
void addrs_fini(struct addrs *a);
/* Counts one more. ERRC_LIMIT: the address has `max` already; ERRC_NOMEM. Nothing is counted then. */
MUSTCHECK enum errc addrs_take(struct addrs *a, const uint8_t addr[ADDRS_BYTES], uint32_t max);
/* One that was taken. */
void addrs_give(struct addrs *a, const uint8_t addr[ADDRS_BYTES]);

#endif
