/* The commands of aigwctl as data: rows of command_tbl.h. */
#ifndef AIGW_COMMAND_H
#define AIGW_COMMAND_H

#include "control.h"

struct ctl;

/* How an argument's text becomes the value of its field. */
enum command_type {
	COMMAND_FLAG,   /* an option without value: true; in a file it has on or off */
	COMMAND_SWITCH, /* on, off: a truth value */
	COMMAND_TEXT,
	COMMAND_SECRET,    /* a text that may be a whole API key: never printed again */
	COMMAND_LIST,      /* a text; repeated ones are joined by commas; none is the empty text */
	COMMAND_CHOICE,    /* one of the words that its VALUE lists */
	COMMAND_CHOICES,   /* some of them, with commas */
	COMMAND_USD,       /* dollars >= 0, to nano-dollars */
	COMMAND_USD_NONE,  /* likewise; none is -1 */
	COMMAND_USD_MORE,  /* likewise, or with a + in front: what is added; a text */
	COMMAND_COUNT,     /* a whole number >= 0; none is -1 */
	COMMAND_SPAN,      /* a time span, to milliseconds */
	COMMAND_SPAN_NONE, /* likewise; none is -1 */
	COMMAND_SINCE,     /* a time, or a span before now: wall milliseconds */
	COMMAND_WHEN,      /* a time, a span from now, or never (0): wall seconds */
};

enum command_where { COMMAND_SEND, COMMAND_LOCAL };

struct command_arg {
	enum command_type type;
	enum command_where where;
	bool is_option, is_needed;
	const char *name; /* of an option without its dashes; of a word as it is written in the usage line */
	const char *value; /* what stands for an option's value: "" without one, choices as a|b|c */
	const char *field;
	const char *sentence;
};

struct command {
	const char *words;      /* "account create" */
	enum control_verb verb; /* CONTROL_VERB_COUNT: none */
	enum control_status (*run)(struct ctl *);
	int timeout_ms;
	const char *sentence;
	const struct command_arg *args;
	size_t args_n;
};

struct command_group {
	const char *words, *sentence;
};

/* The i-th command in the table's order; NULL behind the last. */
const struct command *command_at(size_t i);
/* The options that every command has. */
const struct command *command_all(void);
const struct command_group *command_group_at(size_t i);
/* The group or the command of exactly these words; NULL without one. */
const struct command_group *command_group_named(struct slice words);
const struct command *command_named(struct slice words);
/* True when the command belongs to the group: its words begin with the group's. */
bool command_is_in(const struct command *c, const struct command_group *g);
/* The verb of a command in a group, else all of its words. */
const char *command_verb_text(const struct command *c);
/* The option of that name, of the command or of all; NULL without one. */
const struct command_arg *command_option(const struct command *c, struct slice name);
/* The i-th argument that is no option; NULL behind the last. */
const struct command_arg *command_word(const struct command *c, size_t i);
/* The choices of an argument: its VALUE, or a word's name. Cuts the next one from *left; false at the end. */
struct slice command_choices(const struct command_arg *a);
bool command_next_choice(struct slice *left, struct slice *choice);

/* Every run function of the table. */
#define GROUP(words, sentence)
#define COMMAND(ID, words, run, timeout_ms, sentence) enum control_status cmd_##run(struct ctl *);
#define WORD(type, name, field, where, need, sentence)
#define OPTION(type, name, value, field, where, sentence)
#define COMMAND_END(ID)
#include "command_tbl.h"
#undef GROUP
#undef COMMAND
#undef WORD
#undef OPTION
#undef COMMAND_END

#endif
