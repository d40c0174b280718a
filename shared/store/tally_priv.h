/* The inside of a tally, for its files. */
#ifndef AIGW_TALLY_PRIV_H
#define AIGW_TALLY_PRIV_H

#include "tally.h"

/* Where an entry stands, and what tells most others apart without a look at it. */
struct tally_slot {
	uint32_t hash;
	uint32_t at; /* position + 1; 0: empty */
};

struct tally_name {
	struct slice name; /* in the arena */
	uint64_t words[2]; /* of the name that it was put down as */
	uint32_t hash;     /* of that, too; the empty name's is 0 */
	uint32_t next;     /* that was asked for after this one the last time */
};

/* A report tells no sequence numbers, which stand first: their place has the numbers of the names, so that a row lies in fewer lines of
 * memory. */
struct tally_sum {
	union {
		uint32_t id[REPORT_DIMS_MAX];
		struct rollup_sums sums;
	};
};

_Static_assert(offsetof(struct rollup_sums, requests) >= sizeof(uint32_t[REPORT_DIMS_MAX]),
	       "their place");

/* Adds all that tally_open() has given out. */
MUSTCHECK enum errc tally_add_waiting(struct tally *r);

#endif
