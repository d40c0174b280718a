/* The fields of a request and what they mean for its price, as rows of chat_field_tbl.h: the front reads and refuses by them, the
 * backs leave out by them, the manual lists them. Pure. */
#ifndef AIGW_CHAT_FIELD_H
#define AIGW_CHAT_FIELD_H

#include "slice.h"

/* Ids of top-level fields, as the scan has them. */
enum chat_id {
	CHAT_ID_NONE,
#define CHAT_FIELD(id, name, rule, values, anthropic, why) CHAT_ID_##id,
#define CHAT_PART(id, place, rule, values, anthropic, why)
#include "chat_field_tbl.h"
#undef CHAT_PART
#undef CHAT_FIELD
	CHAT_ID_TOP_END,
	CHAT_ID_BEFORE_INNER = CHAT_ID_TOP_END - 1,
#define CHAT_INNER(id, name) CHAT_ID_##id,
#include "chat_inner_tbl.h"
#undef CHAT_INNER
	CHAT_ID_END
};

enum chat_field_rule {
	CHAT_FIELD_PASS,
	CHAT_FIELD_USAGE,
	CHAT_FIELD_COUNT,
	CHAT_FIELD_UNIT,
	CHAT_FIELD_ONLY,
	CHAT_FIELD_FORCE,
	CHAT_FIELD_OWN,
	CHAT_FIELD_CAP,
	CHAT_FIELD_REFUSE,
};

/* What an Anthropic back makes of it. */
enum chat_field_at { CHAT_FIELD_SAID, CHAT_FIELD_LEFT, CHAT_FIELD_NOT };

struct chat_field {
	const char *name; /* or its place: "tools[].type" */
	enum chat_field_rule rule;
	const char *values; /* of ONLY, the one to name first: "default|auto" */
	enum chat_field_at anthropic;
	const char *why;
};

enum chat_part {
#define CHAT_FIELD(id, name, rule, values, anthropic, why)
#define CHAT_PART(id, place, rule, values, anthropic, why) CHAT_PART_##id,
#include "chat_field_tbl.h"
#undef CHAT_PART
#undef CHAT_FIELD
	CHAT_PART_COUNT
};

/* The row of a top-level id. */
const struct chat_field *chat_field_row(enum chat_id id);
const struct chat_field *chat_field_part(enum chat_part part);
/* NULL when there is no such top-level field. */
const struct chat_field *chat_field_named(struct slice name);
/* Whether the value is one of an ONLY row's. */
bool chat_field_takes(const struct chat_field *row, struct slice value);
/* The first of a row's values. */
struct slice chat_field_ordinary(const struct chat_field *row);
/* Whether a value asks for nothing, of whichever field: false, [], "" or not given. */
bool chat_field_is_off(struct slice value);
/* Whether a value, of a field that is not known, may ask for more input than itself. A number or null does not. */
bool chat_field_asks(struct slice value);

#endif
