/* Private to the configuration: values that come from `env:NAME` or `file:PATH`, both with a `?` at the end when they may be
 * missing. They are wiped with the configuration and never part of a message. */
#ifndef AIGW_CONFIG_SECRET_H
#define AIGW_CONFIG_SECRET_H

#include "config_ctx.h"

enum config_secret_state {
	CONFIG_SECRET_SET,
	CONFIG_SECRET_UNSET,   /* not there, and should be */
	CONFIG_SECRET_MISSING, /* not there, and may be */
	CONFIG_SECRET_BAD,     /* an error was told */
};

bool config_secret_is_reference(struct slice text);
/* Whether a header or a parameter of that name is likely to hold a credential. */
bool config_secret_is_name(struct slice name);
/* Whether it may stand in a header line: visible ASCII and spaces. */
bool config_secret_is_clean(struct slice s);
/* Reads the value that the node's text refers to; `path` names it in messages. A file's path is made absolute in the tree. An
 * unset variable is not told here. */
enum config_secret_state config_secret_read(struct config_ctx *x, struct yaml_node *n,
					    const char *path, struct slice *out);

#endif
