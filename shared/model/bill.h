/* A charge as arithmetic that people can follow: one line a class of what was used, their exact sum, the multiplier, and the
 * one rounding at the end. bill.total_nusd is price_cost() of the same. Pure. */
#ifndef AIGW_BILL_H
#define AIGW_BILL_H

#include "price.h"

struct bill_line {
	const char *unit; /* a class of usage_tbl.h, or "request"; static */
	int64_t n;        /* tokens or pieces of it; output without the reasoning in it */
	money_wide price_pusd, amount_pusd;
};

#define BILL_LINES_MAX (USAGE_COUNT + 1)
struct bill {
	struct bill_line lines[BILL_LINES_MAX];
	size_t n;
	money_wide sum_pusd;    /* of the lines */
	money_wide scaled_ausd; /* times the multiplier: atto-dollars, 10^-18 */
	int64_t total_nusd;     /* rounded up */
};

/* A line for each class that the usage has, and for the request where it has a price. All amounts are 0 when the price is
 * free. */
void bill_make(const struct price *p, const struct usage *u, struct bill *out);

/* v * 10^-scale dollars, exactly, with at least one place: "0.000175". `out` holds BILL_TEXT_MAX bytes; returns the length.
 * v >= 0. */
#define BILL_TEXT_MAX 64
#define BILL_PUSD     12
#define BILL_AUSD     18
size_t bill_print(money_wide v, unsigned scale, char *out);

#endif
