#include "usage_field.h"

static const struct group {
	enum usage_field_group within, group;
	const char *name;
} groups[] = {
#define CHAT_GROUP(within, group, name) {USAGE_FIELD_##within, USAGE_FIELD_##group, name},
#include "usage_field_tbl.h"
};

static const struct row {
	enum ptable_dialect dialect;
	enum usage_field_group group; /* OpenAI's */
	const char *within;           /* Anthropic's */
	const char *name;
	enum usage_field_rule rule;
} rows[] = {
#define CHAT_READ(group, name, count) \
	{PTABLE_OPENAI, USAGE_FIELD_##group, "", name, USAGE_FIELD_READ},
#define CHAT_KNOWN(group, name, rule, why) \
	{PTABLE_OPENAI, USAGE_FIELD_##group, "", name, USAGE_FIELD_##rule},
#define ANTHROPIC_READ(within, name, count) \
	{PTABLE_ANTHROPIC, USAGE_FIELD_TOP, within, name, USAGE_FIELD_READ},
#define ANTHROPIC_KNOWN(within, name, rule, why) \
	{PTABLE_ANTHROPIC, USAGE_FIELD_TOP, within, name, USAGE_FIELD_##rule},
#include "usage_field_tbl.h"
};

enum usage_field_group usage_field_group(enum usage_field_group within, struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		if (groups[i].within == within && slice_is(name, groups[i].name))
			return groups[i].group;
	return USAGE_FIELD_GROUPS;
}

/* Of an OpenAI object that is known by its name alone: one name is one group, wherever it stands. */
static enum usage_field_group group_of(struct slice name)
{
	if (name.n == 0)
		return USAGE_FIELD_TOP;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		if (slice_is(name, groups[i].name))
			return groups[i].group;
	return USAGE_FIELD_GROUPS;
}

static bool is_group(enum ptable_dialect dialect, struct slice within, struct slice name)
{
	if (dialect == PTABLE_OPENAI)
		return usage_field_group(group_of(within), name) != USAGE_FIELD_GROUPS;
	if (within.n)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].dialect == dialect && slice_is(name, rows[i].within))
			return true;
	return false;
}

enum usage_field_rule usage_field_rule(enum ptable_dialect dialect, struct slice within,
				       struct slice name)
{
	bool named = dialect == PTABLE_ANTHROPIC;
	enum usage_field_group group = named ? USAGE_FIELD_TOP : group_of(within);

	if (is_group(dialect, within, name))
		return USAGE_FIELD_GROUP;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].dialect == dialect && rows[i].group == group &&
		    slice_is(named ? within : SLICE_NONE, rows[i].within) &&
		    slice_is(name, rows[i].name))
			return rows[i].rule;
	return USAGE_FIELD_UNKNOWN;
}
