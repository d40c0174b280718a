/* Private to the configuration: reads the main file and what it includes into one tree and applies the overlays (contract
 * B1). Errors are told; a file with a syntax error counts as empty. */
#ifndef AIGW_CONFIG_FILE_H
#define AIGW_CONFIG_FILE_H

#include "config_ctx.h"

/* The merged mapping, without `include` and `overlay`; NULL only without memory. */
struct yaml_node *config_file_load(struct config_ctx *x, const char *path);
/* One file's mapping, not merged; NULL, with an error at `named` (the place that names the file), when it cannot be read, is
 * no YAML or no mapping. */
struct yaml_node *config_file_read(struct config_ctx *x, const char *path, struct yaml_pos named);

#endif
