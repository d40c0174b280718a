/* Private to the configuration: the shipped catalog (etc/catalog, its README has the format) and the short form of a provider
 * that refers to it. Expansion changes the tree: afterwards nothing in it refers to the catalog. */
#ifndef AIGW_CONFIG_CATALOG_H
#define AIGW_CONFIG_CATALOG_H

#include "config_ctx.h"

/* Completes providers with `catalog:` and adds the models that their patterns select. */
void config_catalog_expand(struct config_ctx *x);
/* The tree of no configuration at all: every catalog provider whose customary variable is set, with all its models. NULL only
 * without memory. */
struct yaml_node *config_catalog_default(struct config_ctx *x);

#endif
