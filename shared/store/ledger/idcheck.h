/* Whether the rows that find a charge by its provider's id are what the records say, for verify: each charge that has such an id
 * stands where it is sought, and nothing else does. They are read a group of numbers at a time, 8 MB, when the walk over the
 * records comes to it; what is not in rows by then waits in memory and is made of the records themselves. */
#ifndef AIGW_IDCHECK_H
#define AIGW_IDCHECK_H

#include "ledger_priv.h"

struct idcheck {
	struct ledger *l;
	uint64_t *marks;    /* by number, of the group that was read last; owned */
	uint64_t next;      /* first number behind that group; 0: none was read */
	uint64_t from, end; /* marks[0] is of `from`; there are none from `end` on */
	uint64_t bad_seq;   /* the first record that the rows do not agree with; 0: none */
};

void idcheck_init(struct idcheck *c, struct ledger *l);
void idcheck_fini(struct idcheck *c);
/* Each record in turn. */
MUSTCHECK enum errc idcheck_add(struct idcheck *c, uint64_t seq, const struct record *r);

#endif
