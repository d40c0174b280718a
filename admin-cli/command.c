#include "command.h"

/* The rows without a verb of the protocol. */
enum {
	CONTROL_DO_LOCAL_ALL = CONTROL_VERB_COUNT,
	CONTROL_DO_LOCAL_CHAT = CONTROL_VERB_COUNT,
	CONTROL_DO_LOCAL_TOP = CONTROL_VERB_COUNT,
	CONTROL_DO_LOCAL_COMPLETION = CONTROL_VERB_COUNT,
	CONTROL_DO_LOCAL_RESTORE = CONTROL_VERB_COUNT,
};

/* One array of arguments for each command. A NULL ends it, for C has no empty arrays. */
#define GROUP(words, sentence)
#define COMMAND(ID, words, run, timeout_ms, sentence) \
	static const struct command_arg args_##ID[] = {
#define WORD(type, name, field, where, need, sentence) \
	{COMMAND_##type, COMMAND_##where, false, NEED_##need, name, "", field, sentence},
#define OPTION(type, name, value, field, where, sentence) \
	{COMMAND_##type, COMMAND_##where, true, false, name, value, field, sentence},
#define COMMAND_END(ID)      \
	{                    \
		.name = NULL \
	}                    \
	}                    \
	;
#define NEED_NEEDED true
#define NEED_MAY    false
#include "command_tbl.h"
#undef GROUP
#undef COMMAND
#undef WORD
#undef OPTION
#undef COMMAND_END

static const struct command commands[] = {
#define GROUP(words, sentence)
#define COMMAND(ID, words, run, timeout_ms, sentence) \
	{words,                                       \
	 (enum control_verb)CONTROL_DO_##ID,          \
	 cmd_##run,                                   \
	 timeout_ms,                                  \
	 sentence,                                    \
	 args_##ID,                                   \
	 ARRAY_LEN(args_##ID) - 1},
#define WORD(type, name, field, where, need, sentence)
#define OPTION(type, name, value, field, where, sentence)
#define COMMAND_END(ID)
#include "command_tbl.h"
#undef GROUP
#undef COMMAND
};

static const struct command_group groups[] = {
#define GROUP(words, sentence) {words, sentence},
#define COMMAND(ID, words, run, timeout_ms, sentence)
#include "command_tbl.h"
#undef GROUP
#undef COMMAND
};

/* The row of all commands has nothing to run. */
enum control_status cmd_none(struct ctl *c)
{
	(void)c;
	return CONTROL_USAGE;
}

const struct command *command_at(size_t i)
{
	return i + 1 < ARRAY_LEN(commands) ? &commands[i + 1] : NULL;
}

const struct command *command_all(void)
{
	return &commands[0];
}

const struct command_group *command_group_at(size_t i)
{
	return i < ARRAY_LEN(groups) ? &groups[i] : NULL;
}

const struct command_group *command_group_named(struct slice words)
{
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		if (slice_is(words, groups[i].words))
			return &groups[i];
	}
	return NULL;
}

const struct command *command_named(struct slice words)
{
	for (size_t i = 1; i < ARRAY_LEN(commands); i++) {
		if (slice_is(words, commands[i].words))
			return &commands[i];
	}
	return NULL;
}

bool command_is_in(const struct command *c, const struct command_group *g)
{
	struct slice words = slice_str(c->words), head;

	return slice_cut(&words, ' ', &head) && slice_is(head, g->words);
}

const char *command_verb_text(const struct command *c)
{
	const char *space = strchr(c->words, ' ');

	return space ? space + 1 : c->words;
}

static const struct command_arg *option_of(const struct command *c, struct slice name)
{
	for (size_t i = 0; i < c->args_n; i++) {
		if (c->args[i].is_option && slice_is(name, c->args[i].name))
			return &c->args[i];
	}
	return NULL;
}

const struct command_arg *command_option(const struct command *c, struct slice name)
{
	const struct command_arg *a = c ? option_of(c, name) : NULL;

	return a ? a : option_of(&commands[0], name);
}

const struct command_arg *command_word(const struct command *c, size_t i)
{
	for (size_t k = 0; k < c->args_n; k++) {
		if (!c->args[k].is_option && i-- == 0)
			return &c->args[k];
	}
	return NULL;
}

struct slice command_choices(const struct command_arg *a)
{
	if (a->type != COMMAND_CHOICE && a->type != COMMAND_CHOICES && a->type != COMMAND_SWITCH)
		return SLICE_NONE;
	return slice_str(a->is_option ? a->value : a->name);
}

bool command_next_choice(struct slice *left, struct slice *choice)
{
	if (left->n == 0)
		return false;
	(void)slice_cut(left, '|', choice);
	return true;
}
