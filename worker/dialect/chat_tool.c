#include "chat_tool.h"

#include <stdio.h>

#include "chat_field.h"
#include "jtext.h"

#define TYPE_ROOM 128 /* more than any type that is taken, escapes included */

/* The members that say what an entry is. */
enum { TOOL_TYPE, TOOL_FUNCTION, TOOL_NAME, TOOL_MEMBERS };

static const char *const tool_members[TOOL_MEMBERS] = {"type", "function", "name"};

/* An entry of one of the lists. */
struct tool {
	struct fault *f;
	const char *list;
	unsigned i;
	bool asks; /* one that is not known may */
	bool given[TOOL_MEMBERS];
	struct slice value[TOOL_MEMBERS]; /* "" of what is null or not given */
};

/* `member` is "" for the entry itself. */
static void tool_bad(const struct tool *t, enum fault_kind kind, const char *member,
		     const char *text)
{
	char param[FAULT_PARAM_MAX];

	snprintf(param, sizeof(param), "%s[%u]%s%s", t->list, t->i, member[0] ? "." : "", member);
	fault_field(t->f, kind, param, "'%s'%s", param, text);
}

/* What else stands beside them: text for the model, and how it is read. */
static bool tool_is_harmless(struct slice key)
{
	static const char *const names[] = {
		"description", "parameters",    "strict",        "custom",
		"format",      "cache_control", "defer_loading", "input_examples",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (jtext_key_is(key, names[i]))
			return true;
	return false;
}

/* Of two, readers disagree which one counts, and some take other letters for the same. */
static void tool_member(struct tool *t, struct slice key, struct slice value)
{
	bool known = false;

	for (unsigned m = 0; m < TOOL_MEMBERS; m++) {
		if (!jtext_key_like(key, tool_members[m]))
			continue;
		known = true;
		if (t->given[m] || !jtext_key_is(key, tool_members[m]))
			tool_bad(t, FAULT_INVALID_VALUE, tool_members[m],
				 " must be given once, and in small letters.");
		t->given[m] = true;
		if (!jtext_is_null(value))
			t->value[m] = value;
	}
	if (!known && chat_field_asks(value))
		t->asks |= !tool_is_harmless(key);
}

static void tool_type(const struct tool *t)
{
	char room[TYPE_ROOM];
	struct buf b = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
	struct slice type = t->value[TOOL_TYPE];

	if (jtext_type(type) != JSON_STRING)
		tool_bad(t, FAULT_INVALID_VALUE, "type", " must be a string.");
	else if (type.n > sizeof(room) || jtext_str(type, &b) ||
		 !chat_field_takes(chat_field_part(CHAT_PART_TOOL_TYPE), buf_slice(&b)))
		tool_bad(t, FAULT_UNSUPPORTED_FIELD, "type",
			 ": tools that the provider runs have no price here; use 'function' or "
			 "'custom'.");
}

/* An entry of `tools`; some clients leave the type of a function out. */
static void tool_judge(const struct tool *t)
{
	if (t->value[TOOL_TYPE].n)
		tool_type(t);
	else if (!t->value[TOOL_FUNCTION].n)
		tool_bad(t, FAULT_MISSING_FIELD, "type",
			 " is missing: give 'function' or 'custom'; other tools have no price "
			 "here.");
	else if (jtext_type(t->value[TOOL_FUNCTION]) != JSON_OBJECT)
		tool_bad(t, FAULT_INVALID_VALUE, "function", " must be an object.");
}

static void tool_judge_function(const struct tool *t)
{
	if (t->value[TOOL_TYPE].n)
		tool_type(t);
	if (!t->value[TOOL_NAME].n)
		tool_bad(t, FAULT_MISSING_FIELD, "name", " is missing.");
	else if (jtext_type(t->value[TOOL_NAME]) != JSON_STRING)
		tool_bad(t, FAULT_INVALID_VALUE, "name", " must be a string.");
}

/* Reads the entry that stands next. */
static void tool_read(struct tool *t, struct jtext *it)
{
	struct jtext in = jtext_enter_obj(it);
	struct slice key, value;

	if (jtext_peek(it) != JSON_OBJECT) {
		tool_bad(t, FAULT_INVALID_VALUE, "", " must be an object.");
		return;
	}
	while (jtext_obj_next(&in, &key, &value) > 0)
		tool_member(t, key, value);
	jtext_leave(it, &in);
}

static bool tool_list(struct slice list, const char *name, void (*judge)(const struct tool *),
		      struct fault *f)
{
	bool asks = false;
	struct jtext it = jtext_arr(list);
	int more = 1;

	if (!list.n || jtext_is_null(list))
		return false;
	if (jtext_type(list) != JSON_ARRAY)
		fault_field(f, FAULT_INVALID_VALUE, name, "'%s' must be a list.", name);
	for (unsigned i = 0; !fault_is_set(f) && (more = jtext_arr_more(&it)) > 0; i++) {
		struct tool t = {.f = f, .list = name, .i = i};

		tool_read(&t, &it);
		judge(&t);
		asks |= t.asks;
	}
	/* What could not be walked was not judged. */
	if (more < 0)
		fault_field(f, FAULT_INVALID_VALUE, name, "'%s' cannot be read.", name);
	return asks;
}

bool chat_tool_judge(struct slice list, struct fault *f)
{
	return tool_list(list, "tools", tool_judge, f);
}

bool chat_tool_judge_functions(struct slice list, struct fault *f)
{
	return tool_list(list, "functions", tool_judge_function, f);
}
