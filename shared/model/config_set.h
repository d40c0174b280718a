/* Private to the configuration: the global settings, typed and checked, and the listeners. */
#ifndef AIGW_CONFIG_SET_H
#define AIGW_CONFIG_SET_H

#include "config_ctx.h"

/* Fills c->table.set from c->root. */
void config_set_read(struct config_ctx *x);

#endif
