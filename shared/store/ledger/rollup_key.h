/* The stored names of roll-ups, for the files that write and read them. Pure. */
#ifndef AIGW_ROLLUP_KEY_H
#define AIGW_ROLLUP_KEY_H

#include "runs.h"

#define ROLLUP_KEY_DAY     5                                /* where the cut and the day end */
#define ROLLUP_KEY_ACCOUNT (ROLLUP_KEY_DAY + 8)             /* and the account */
#define ROLLUP_KEY_ID      (ROLLUP_KEY_ACCOUNT + APIKEY_ID) /* and the key */
#define ROLLUP_KEY_HEAD    (ROLLUP_KEY_ID + ROWS_ID)        /* and the team */
#define ROLLUP_KEY_MAX     (ROLLUP_KEY_HEAD + 2 + ROLLUP_MODEL_MAX + ROLLUP_PROVIDER_MAX + ROWS_TAG_MAX)

_Static_assert(ROLLUP_KEY_MAX <= RUNS_KEY_MAX, "names of rows");
_Static_assert(RUNS_HEAD == ROLLUP_KEY_DAY, "cut and day");

/* Cut, day, account, key, team, then the names with their lengths, last the user. */
struct rollup_key {
	size_t n;
	uint8_t b[ROLLUP_KEY_MAX];
};

/* Up to the team. */
void rollup_key_put_head(struct rollup_key *k, enum rollup_cut cut, const struct rollup_name *name);
void rollup_key_put(struct rollup_key *k, enum rollup_cut cut, const struct rollup_name *name);
/* Of the row of this cut in which what has the whole `name` counts: without the members that the cut does not have. */
void rollup_key_put_part(struct rollup_key *k, enum rollup_cut cut, const struct rollup_name *name);
/* False: no key of ours. The name points into the key. */
bool rollup_key_get(struct slice key, enum rollup_cut *cut, struct rollup_name *name);
/* The same of a key that has the head of the one before, which gave `name`: what stands behind that. */
bool rollup_key_get_rest(struct slice key, enum rollup_cut cut, struct rollup_name *name);

#endif
