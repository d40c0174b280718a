/* Private to the configuration: reads a mapping by the rows of a table (settings_tbl.h, provider_tbl.h, model_tbl.h,
 * offer_tbl.h). Unknown keys, wrong types and numbers out of range are told; paths are made absolute in the tree too. */
#ifndef AIGW_CONFIG_FIELDS_H
#define AIGW_CONFIG_FIELDS_H

#include "config_ctx.h"

struct config_fields {
	const struct settings_row *rows;
	size_t rows_n;
	void *base; /* the struct that the rows' members belong to; holds the defaults before */
	const char *name; /* of the mapping in messages, "providers.openai"; "" at the top */
};

/* `map` that is empty or null is fine; one that is no mapping is told. Rows of type NODE are only known, not read. */
void config_fields_read(struct config_ctx *x, const struct config_fields *f, struct yaml_node *map);
/* Writes the rows' defaults into the struct; a member whose row has an empty one is left as it is. */
void config_fields_defaults(const struct config_fields *f);

#endif
