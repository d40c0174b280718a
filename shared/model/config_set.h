/* Private to the configuration: the global settings, typed and checked, and the listeners. */
#ifndef AIGW_CONFIG_SET_H
#define AIGW_CONFIG_SET_H

#include "config_ctx.h"

/* Fills c->table.set from c->root. */
void config_set_read(struct config_ctx *x);

/* Reads "127.0.0.1:8080", "localhost:8080" (which is the same) or "[::1]:8080"; *host has no brackets. False when it is not of
 * that form. */
bool config_set_address(struct slice text, struct slice *host, int *port);

#endif
