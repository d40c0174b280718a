/* What a model costs: one price row, or several that count at different times and for prompts of different sizes. An operator
 * writes rules, of which the first that matches counts; they are cut into rows that exclude each other and leave no gap, so
 * that exactly one row counts for each moment and input, and a stored row shows by itself whether it was rightly chosen.
 * Pure; a tariff borrows its rows and is immutable. */
#ifndef AIGW_TARIFF_H
#define AIGW_TARIFF_H

#include "price.h"

#define TARIFF_RULES 32 /* as written; each range of hours counts */
#define TARIFF_ROWS  64
#define TARIFF_TIERS 8 /* rows of one moment: sizes of prompts, times tiers */

struct tariff {
	const struct price *const *
		rows; /* those of one moment lie together, the standard tier and the smallest prompts first */
	size_t n; /* >= 1 */
};

/* The rows that count for a request admitted then, smallest prompts first; which one it is, the tokens that it turns out to
 * read and the tier that it turns out to run at decide. Returns how many, at least 1. */
size_t tariff_tiers(const struct tariff *t, int64_t wall_s, const struct price *out[TARIFF_TIERS]);
/* The one row of that moment, input and tier. */
const struct price *tariff_pick(const struct tariff *t, int64_t wall_s, int64_t input,
				enum usage_tier tier);

/* Cuts rules, each a complete price with the conditions of its `when`, into rows. `from` says of each row which rule it
 * comes from. ERRC_INVAL: some moment or input has no rule (the last one must have no conditions); ERRC_LIMIT: more than
 * TARIFF_ROWS rows, or more than TARIFF_TIERS of one moment. n <= TARIFF_RULES. */
MUSTCHECK enum errc tariff_cut(const struct price *rules, size_t n, struct price rows[TARIFF_ROWS],
			       size_t from[TARIFF_ROWS], size_t *rows_n);

#endif
