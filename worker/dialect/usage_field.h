/* What the gateway knows of a provider's usage object, as rows of usage_field_tbl.h: the readers of both dialects go by them, and what
 * is not there is unknown. Pure. */
#ifndef AIGW_USAGE_FIELD_H
#define AIGW_USAGE_FIELD_H

#include "ptable.h"

enum usage_field_rule {
	USAGE_FIELD_UNKNOWN,
	USAGE_FIELD_READ,
	USAGE_FIELD_PART,
	USAGE_FIELD_TIME,
	USAGE_FIELD_COST,
	USAGE_FIELD_SHUT,
	USAGE_FIELD_GROUP, /* an object with members that are rows themselves */
};

/* The objects inside of an OpenAI usage object. */
enum usage_field_group {
	USAGE_FIELD_TOP,
	USAGE_FIELD_IN,
	USAGE_FIELD_CACHE,
	USAGE_FIELD_OUT,
	USAGE_FIELD_SERVER,
	USAGE_FIELD_GROUPS
};

/* The group of a member of an OpenAI usage object, or of an object inside of it; USAGE_FIELD_GROUPS when it is none. */
enum usage_field_group usage_field_group(enum usage_field_group within, struct slice name);
/* What a member is, or one of an object inside of it: `within` names that, "" for the usage object itself. */
enum usage_field_rule usage_field_rule(enum ptable_dialect dialect, struct slice within,
				       struct slice name);

#endif
