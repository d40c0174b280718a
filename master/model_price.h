/* The verb `model price`: what so much usage of a model would be charged, line by line, and which row of its price that is. */
#ifndef AIGW_MODEL_PRICE_H
#define AIGW_MODEL_PRICE_H

#include "control.h"
#include "ptable.h"

/* Sends rows and END. Arguments: model S, [usage S: "input=1000,output=50"], [at_s I: when it would be admitted; now],
 * [group S]. Rows:
 *   choice   model, offer (NONE: the model's own price), at_s, group (NONE), multiplier, input I (tokens read in all),
 *            rows I (of the price), why
 *   class*, bill, price   as of `request show`
 * Without usage: choice without input and why, and a row `price` for each of the price. */
MUSTCHECK enum errc model_price_serve(struct chan *chan, const struct ptable *t,
				      const struct control_field *f, size_t n);

#endif
