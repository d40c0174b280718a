/* The rows of a report while they are added up. Each name is put down once and rows know it by its number, so that the
 * million sums of a large ledger cost a few comparisons of small numbers each. A name goes in as the bytes that the roll-ups
 * have of it (an account by its number) and is made readable at the end, once; the empty name stays so. Memory is bounded: at most `max` rows; what
 * falls beyond is added to one more with empty names. */
#ifndef AIGW_TALLY_H
#define AIGW_TALLY_H

#include "arena.h"
#include "report.h"
#include "runs.h"

#define TALLY_EMPTY 0          /* the number of the empty name, in every column */
#define TALLY_NONE  UINT32_MAX /* a name that found no room */

struct tally_name;
struct tally_sum;
struct tally_slot;

/* No column. */
#define TALLY_ALL REPORT_DIMS_MAX

/* The names of one column. */
struct tally_names {
	struct tally_name *name;
	struct tally_slot *slots; /* by hash; two for each of `cap` */
	uint32_t n, cap;
	uint32_t last; /* that was asked for: neighbours have most of their names in common */
};

/* What is looked for, or where it stands. */
struct tally_place {
	uint32_t id[REPORT_DIMS_MAX];
	uint32_t hash, slot;
};

/* Sums on their way to their rows. A large table is not in the processor's cache: some are looked for at the same time. */
#define TALLY_WAIT 16
struct tally_wait {
	struct tally_place place;
	int sign;
	struct rollup_sums sums;
};

/* Likewise numbers, with the name in the column with many as it came: most have no row, and need no number. */
#define TALLY_WAIT_MANY 32
struct tally_wait_many {
	struct tally_place place;
	uint64_t words[2]; /* of the name, */
	uint32_t name_n;   /* which has so many bytes, */
	uint32_t name_hash;
	struct runs_numbers numbers;
	char name[ROWS_TAG_MAX]; /* if the words are not all of it */
};

struct tally {
	size_t by_n, many; /* many: the column with the most names, or TALLY_ALL */
	uint32_t max;
	uint64_t seed[2];
	struct arena arena;
	struct tally_names names[REPORT_DIMS_MAX];
	struct tally_sum *sums;
	struct tally_slot *slots; /* likewise */
	uint32_t n, cap;
	/* Once there are `max`: the bits of hashes that no row has are 0. A hash is of the numbers of the names, but of the name itself
	 * in the column with many: a row is found, or known not to be there, without a look for that. */
	uint64_t *sieve;
	/* The names that were last opened, and what of the hash is theirs; whether all have numbers. */
	uint32_t base[REPORT_DIMS_MAX];
	uint64_t base_sum;
	bool base_named;
	uint32_t *order; /* set by tally_end() */
	struct tally_wait wait[TALLY_WAIT];
	struct tally_wait_many wait_many[TALLY_WAIT_MANY];
	size_t waiting, many_waiting;
	struct rollup_sums rest; /* set by tally_end() */
	bool has_rest;
};

/* Names of the column `many` (TALLY_ALL: of none) are looked up by tally_name_many(). */
MUSTCHECK enum errc tally_init(struct tally *r, size_t by_n, size_t many, uint32_t max);
/* Also of one that is all 0. */
void tally_fini(struct tally *r);

/* The number of a name of this column; TALLY_NONE when there is no room for another row anyway. `name` is copied. */
MUSTCHECK enum errc tally_name(struct tally *r, size_t column, struct slice name, uint32_t *id);
/* Likewise of the column with many names, once id[] has the numbers of the others: TALLY_NONE also when there is no row with all of
 * them and no room for another. */
MUSTCHECK enum errc tally_name_many(struct tally *r, struct slice name,
				    uint32_t id[REPORT_DIMS_MAX]);
/* Adds to the row with these names, makes it if it is the first time. sign: 1 or -1. */
MUSTCHECK enum errc tally_add(struct tally *r, const uint32_t id[REPORT_DIMS_MAX],
			      const struct rollup_sums *s, int sign);
/* The same in two steps: *sums is 0, and what it is at the next call for this tally, tally_add_many() but for, is added. NULL: there is
 * no room. */
MUSTCHECK enum errc tally_open(struct tally *r, const uint32_t id[REPORT_DIMS_MAX], int sign,
			       struct rollup_sums **sums);
/* Adds to the row that has the names which were last opened, with TALLY_EMPTY in the column with many, but there this one, of 1 to
 * ROWS_TAG_MAX bytes. That is copied, the numbers are borrowed until tally_flush(). */
MUSTCHECK enum errc tally_add_many(struct tally *r, struct slice name,
				   const struct runs_numbers *numbers);
/* Whether there may be room for any such row. */
bool tally_has_many(const struct tally *r);
MUSTCHECK enum errc tally_flush(struct tally *r);
/* Makes the names readable, drops rows without requests, sorts the others; `total` is all that was added. `readable` may take memory
 * from the arena. */
MUSTCHECK enum errc tally_end(struct tally *r, const struct rollup_sums *total,
			      enum errc (*readable)(void *arg, size_t column, struct slice name,
						    struct slice *out),
			      void *arg);
/* After the end: how many there are, and one of them; names are valid until tally_fini(). */
size_t tally_n(const struct tally *r);
void tally_get(const struct tally *r, size_t i, struct report_row *out);
/* The numbers of a row; its names stay as they are. */
void tally_numbers(const struct rollup_sums *s, struct report_row *out);

#endif
