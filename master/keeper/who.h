/* The name of a unix user, for the ledger. */
#ifndef AIGW_WHO_H
#define AIGW_WHO_H

#include <stdint.h>

#define WHO_MAX 64

/* "uid:1000" where there is none. Names may come over the network: never on the loop or the ledger thread. */
void who_name(uint64_t uid, char out[WHO_MAX]);

#endif
