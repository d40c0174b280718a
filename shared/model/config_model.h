/* Private to the configuration: models and their offers, typed and checked. */
#ifndef AIGW_CONFIG_MODEL_H
#define AIGW_CONFIG_MODEL_H

#include "config_ctx.h"

/* Fills models, offers and prices of c->table from c->root; providers are there already. */
void config_model_read(struct config_ctx *x);

#endif
