/* Private to the configuration: the groups of accounts and what they pay of each price. */
#ifndef AIGW_CONFIG_GROUP_H
#define AIGW_CONFIG_GROUP_H

#include "config_ctx.h"

/* Fills groups of c->table from c->root. */
void config_group_read(struct config_ctx *x);
/* When the prices are there too: whether the ledger can take all that groups make of them during a reload. */
void config_group_check(struct config_ctx *x);

#endif
