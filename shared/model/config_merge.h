/* Private to the configuration: the two ways in which one file's tree joins another (contract B1). Nodes move, they are not
 * copied. Errors name both places. */
#ifndef AIGW_CONFIG_MERGE_H
#define AIGW_CONFIG_MERGE_H

#include "config_ctx.h"

/* Brings settings that may also stand at the top, such as `keepalive`, into their group. Before a file is merged. */
void config_merge_names(struct config_ctx *x, struct yaml_node *file);
/* Adds an included file: each key is given once; only the offers of one model may come from several files. */
void config_merge_include(struct config_ctx *x, struct yaml_node *root, struct yaml_node *file);
/* Applies an overlay: mappings merge, scalars and lists replace, `~` removes; what does not exist must be given whole. */
void config_merge_overlay(struct config_ctx *x, struct yaml_node *root, struct yaml_node *file);

#endif
