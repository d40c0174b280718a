/* Rows of the control protocol that show a charge: what `request show` tells of one that was made and `model price` of one that
 * would be. Amounts are exact, as text; see verbs.h for the fields. */
#ifndef AIGW_CONTROL_PRICE_H
#define AIGW_CONTROL_PRICE_H

#include "bill.h"
#include "control.h"

/* One row; the fields point into it, so that it must stay where it is until they are sent. */
struct control_price {
	struct control_field f[USAGE_COUNT + 5];
	size_t n;
	char names[USAGE_COUNT][32];
	char text[3][PRICE_WHEN_TEXT_MAX];
};

void control_price_line(struct control_price *r, const struct bill_line *l);
/* The sum, of a bill that was made at this price. */
void control_price_sum(struct control_price *r, const struct price *p, const struct bill *b);
/* The price row itself. */
void control_price_row(struct control_price *r, const struct price *p);

#endif
