/* Private to the configuration: prices as an operator writes them. */
#ifndef AIGW_CONFIG_PRICE_H
#define AIGW_CONFIG_PRICE_H

#include "config_pool.h"

/* Reads `free`, a mapping, or a list of mappings of which the first whose `when` matches counts; NULL, with an error, when it
 * is no price. `path` names it in messages. */
const struct tariff *config_price_read(struct config_ctx *x, struct config_pool *pool,
				       const struct yaml_node *n, const char *path);
/* The decimal places of a price by its key: of dollars per million tokens, or of dollars each. */
int config_price_places(struct slice key);
/* Whether its rows have a price of this name: 1 all of them, 0 none, -1 some. */
int config_price_has(const struct yaml_node *price, const char *class);
/* Whether a row of it is for that tier. */
bool config_price_sells(const struct yaml_node *price, enum usage_tier tier);
/* Whether every row of a price that could be read names the class, or has nothing that it would fall back to. */
bool config_price_names(const struct yaml_node *price, const char *class, const char *fallback);

#endif
