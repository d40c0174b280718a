/* Private to the configuration: price mappings. Equal prices are one row of the table. */
#ifndef AIGW_CONFIG_PRICE_H
#define AIGW_CONFIG_PRICE_H

#include "config_ctx.h"

struct config_price_pool;

/* NULL without memory (noted). `max` is the number of rows there can be. */
struct config_price_pool *config_price_pool_new(struct config_ctx *x, size_t max);
/* Reads `free` or a mapping; NULL, with an error, when it is no price. `path` names it in messages. */
const struct price *config_price_read(struct config_ctx *x, struct config_price_pool *pool,
				      const struct yaml_node *n, const char *path);
/* Fills c->table.prices, sorted by hash. */
void config_price_pool_end(struct config_ctx *x, struct config_price_pool *pool);

#endif
