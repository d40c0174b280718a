/* Private to the configuration: providers, typed and checked. */
#ifndef AIGW_CONFIG_PROVIDER_H
#define AIGW_CONFIG_PROVIDER_H

#include "config_ctx.h"

/* Fills c->table.providers, sorted by name, from c->root. */
void config_provider_read(struct config_ctx *x);

#endif
