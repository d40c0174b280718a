/* Private to the configuration: the offers of one model. */
#ifndef AIGW_CONFIG_OFFER_H
#define AIGW_CONFIG_OFFER_H

#include "config_ctx.h"
#include "config_price.h"

#define CONFIG_OFFERS_MAX 64

/* Reads the mapping `offers` of a model, whose name, price and `name` ("models.gpt") are given, into at most map->n places at
 * `out`, sorted as ptable.h says; offers of providers that are off are left out. `price` may be NULL after an error, `cost` when
 * the model gives none. Returns how many there are. */
size_t config_offer_read(struct config_ctx *x, struct config_pool *pool,
			 const struct ptable_model *model, const struct tariff *cost,
			 struct yaml_node *map, const char *name, struct ptable_offer *out);

#endif
