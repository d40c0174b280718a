/* Private to the configuration: price rows and tariffs, each distinct one once. */
#ifndef AIGW_CONFIG_POOL_H
#define AIGW_CONFIG_POOL_H

#include "config_ctx.h"

struct config_pool;

/* NULL without memory (noted). It lives in the arena. */
struct config_pool *config_pool_new(struct config_ctx *x);
/* The tariff of these rows; NULL without memory (noted). The rows are copied. */
const struct tariff *config_pool_tariff(struct config_ctx *x, struct config_pool *pool,
					const struct price *rows, size_t n);
/* Fills prices, sorted by hash, and tariffs of c->table. */
void config_pool_end(struct config_ctx *x, struct config_pool *pool);

#endif
