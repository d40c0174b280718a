#include "chat_field.h"

#include "check.h"
#include "jtext.h"

#define ROW(name, rule, values, anthropic, why) \
	{name, CHAT_FIELD_##rule, values, CHAT_FIELD_##anthropic, why},

static const struct chat_field fields[] = {
#define CHAT_FIELD(id, name, rule, values, anthropic, why) ROW(name, rule, values, anthropic, why)
#define CHAT_PART(id, place, rule, values, anthropic, why)
#include "chat_field_tbl.h"
#undef CHAT_PART
#undef CHAT_FIELD
};

static const struct chat_field parts[] = {
#define CHAT_FIELD(id, name, rule, values, anthropic, why)
#define CHAT_PART(id, place, rule, values, anthropic, why) ROW(place, rule, values, anthropic, why)
#include "chat_field_tbl.h"
#undef CHAT_PART
#undef CHAT_FIELD
};

const struct chat_field *chat_field_row(enum chat_id id)
{
	require(id > CHAT_ID_NONE && id < CHAT_ID_TOP_END);
	return &fields[id - 1];
}

const struct chat_field *chat_field_part(enum chat_part part)
{
	require(part < CHAT_PART_COUNT);
	return &parts[part];
}

const struct chat_field *chat_field_named(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (slice_is(name, fields[i].name))
			return &fields[i];
	return NULL;
}

bool chat_field_takes(const struct chat_field *row, struct slice value)
{
	struct slice rest = slice_str(row->values), one;

	while (rest.n) {
		(void)slice_cut(&rest, '|', &one);
		if (slice_eq(one, value))
			return true;
	}
	return false;
}

struct slice chat_field_ordinary(const struct chat_field *row)
{
	struct slice rest = slice_str(row->values), one = SLICE_NONE;

	(void)slice_cut(&rest, '|', &one);
	return one;
}

bool chat_field_is_off(struct slice value)
{
	return value.n == 0 || slice_is(value, "false") || slice_is(value, "[]") ||
	       slice_is(value, "\"\"");
}

bool chat_field_asks(struct slice value)
{
	return !chat_field_is_off(value) && jtext_type(value) != JSON_NUMBER &&
	       !jtext_is_null(value);
}
