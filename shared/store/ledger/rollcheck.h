/* Whether the roll-ups are what the records add up to, day by day: for verify. Memory grows with the days only: that each row has what
 * it should have is seen from the sum over all of them of their numbers times the hash of their names. */
#ifndef AIGW_ROLLCHECK_H
#define AIGW_ROLLCHECK_H

#include "ledger.h"
#include "rollup.h"

struct rollcheck_day;

struct rollcheck {
	struct rollcheck_day *days; /* owned; in the order in which they came */
	size_t n, cap;
	uint64_t base;                /* records up to it are not there */
	money_wide removed_nusd;      /* what they were charged, all in all */
	money_wide reversed_nusd;     /* of that, what was reversed since */
	uint64_t seed[2], factors[9]; /* of the hash, and of the numbers */
	uint32_t forgotten; /* days before this one may lack records, and then only their sum is looked at; rows of end users also where their records are there */
};

void rollcheck_init(struct rollcheck *c, uint64_t base, money_wide removed_nusd);
void rollcheck_fini(struct rollcheck *c);
/* Each record in turn. A reversal of what is not there counts nowhere. */
MUSTCHECK enum errc rollcheck_add(struct rollcheck *c, struct ledger *l, uint64_t seq,
				  const struct record *r);
/* If the stored roll-ups go to `seq`, the last record that was added, they are compared: *day is the first one that differs,
 * ROLLUP_DAY_MAX when none does, and *upto = seq. Else *upto is where they go to. */
MUSTCHECK enum errc rollcheck_compare(struct rollcheck *c, struct ledger *l, uint64_t seq,
				      uint64_t *upto, uint32_t *day);

#endif
