/* What the answer of a candidate costs us, packed into its part of a hold row: the rows of the offer's cost that count at the moment of
 * admission. Only the settlement of a dead worker's requests reads them, so they take as few bytes as they need. Pure. */
#ifndef AIGW_ROWS_COST_H
#define AIGW_ROWS_COST_H

#include "tariff.h"

#define ROWS_COST_N       (USAGE_COUNT + 3 + PRICE_WHEN_N)
#define ROWS_COST_ROW_MAX ((ROWS_COST_N + 1) / 2 + 8 * ROWS_COST_N)
#define ROWS_COST_MAX     (TARIFF_TIERS * ROWS_COST_ROW_MAX)

/* How many bytes of `out` are written. n <= TARIFF_TIERS. */
size_t rows_cost_pack(const struct price *const *rows, size_t n, uint8_t out[ROWS_COST_MAX]);
/* Of the rows the one for an input of so many tokens at that tier. ERRC_CORRUPT: they are none, or damaged. */
MUSTCHECK enum errc rows_cost_pick(struct slice bytes, int64_t input, enum usage_tier tier,
				   struct price *out);

#endif
