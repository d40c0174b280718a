#include "help.h"

#include <stdio.h>

#define WIDTH_MAX 100
#define INDENT    2

/* --- pieces --- */

/* "  name        sentence", the sentences in one column. */
static void put_row(struct put *p, const struct term *t, const char *name, const char *sentence,
		    size_t column, size_t width)
{
	size_t n = put_width(slice_str(name));

	put_repeat(p, ' ', INDENT);
	term_put(t, p, TERM_BOLD, slice_str(name));
	if (n + INDENT + 2 > column) {
		put_z(p, "\n");
		put_repeat(p, ' ', column);
	} else
		put_repeat(p, ' ', column - INDENT - n);
	put_wrapped(p, slice_str(sentence), column, column, width);
}

static void arg_text(const struct command_arg *a, char *out, size_t n)
{
	if (a->is_option)
		snprintf(out, n, "--%s%s%s", a->name, a->value[0] ? " " : "", a->value);
	else
		snprintf(out, n, "%s", a->name);
}

static bool has_options(const struct command *c)
{
	return c->args_n && c->args[c->args_n - 1].is_option;
}

static void put_words(struct put *p, const struct command *c)
{
	const struct command_arg *a;

	for (size_t i = 0; (a = command_word(c, i)); i++)
		put_f(p, a->is_needed ? " %s" : " [%s]", a->name);
}

void help_usage(struct put *p, const struct command_group *g, const struct command *cmd)
{
	if (cmd) {
		put_f(p, "usage: aigwctl %s", cmd->words);
		put_words(p, cmd);
		put_z(p, has_options(cmd) ? " [OPTION...]\n" : "\n");
	} else if (g)
		put_f(p, "usage: aigwctl %s VERB [ARGUMENT...]\n", g->words);
	else
		put_z(p, "usage: aigwctl [OPTION...] COMMAND [ARGUMENT...]\n");
}

/* --- levels --- */

static void put_args(struct put *p, const struct term *t, const struct command *c, bool options,
		     size_t width)
{
	size_t column = 14;
	char text[128];

	for (size_t i = 0; i < c->args_n; i++) {
		arg_text(&c->args[i], text, sizeof(text));
		if (c->args[i].is_option == options && strlen(text) + INDENT + 2 <= 26)
			column = MAX_OF(column, strlen(text) + INDENT + 2);
	}
	for (size_t i = 0; i < c->args_n; i++) {
		if (c->args[i].is_option != options)
			continue;
		arg_text(&c->args[i], text, sizeof(text));
		put_row(p, t, text, c->args[i].sentence, column, width);
	}
}

static void help_command(struct put *p, const struct term *t, const struct command *c, size_t width)
{
	put_z(p, "\n");
	put_wrapped(p, slice_str(c->sentence), 0, 0, width);
	if (command_word(c, 0)) {
		put_z(p, "\n");
		put_args(p, t, c, false, width);
	}
	if (has_options(c)) {
		put_z(p, "\noptions:\n");
		put_args(p, t, c, true, width);
	}
	put_z(p, "\noptions of every command:\n");
	put_args(p, t, command_all(), true, width);
}

static void help_group(struct put *p, const struct term *t, const struct command_group *g,
		       size_t width)
{
	const struct command *c;

	put_f(p, "\n%s\n\n", g->sentence);
	for (size_t i = 0; (c = command_at(i)); i++) {
		if (command_is_in(c, g))
			put_row(p, t, command_verb_text(c), c->sentence, 14, width);
	}
	put_f(p, "\n'aigwctl %s VERB --help' explains one.\n", g->words);
}

/* The group that begins with this command, NULL if none does. */
static const struct command_group *group_of(const struct command *c)
{
	const struct command_group *g;

	for (size_t i = 0; (g = command_group_at(i)); i++) {
		if (command_is_in(c, g))
			return g;
	}
	return NULL;
}

/* A group with its verbs: "Accounts: who pays. Verbs: create, list." */
static void put_group_row(struct put *p, const struct term *t, const struct command_group *g,
			  size_t width)
{
	const char *between = " Verbs: ";
	const struct command *c;
	struct put text;

	put_init(&text);
	put_z(&text, g->sentence);
	for (size_t i = 0; (c = command_at(i)); i++) {
		if (!command_is_in(c, g))
			continue;
		put_f(&text, "%s%s", between, command_verb_text(c));
		between = ", ";
	}
	put_z(&text, ".");
	put_s(&text, slice_of("", 1));
	put_fail(p, text.err);
	if (!text.err)
		put_row(p, t, g->words, text.b.p, 14, width);
	put_fini(&text);
}

static void help_all(struct put *p, const struct term *t, size_t width)
{
	const struct command_group *last = NULL, *g;
	const struct command *c;

	put_z(p, "\nThe operator's tool of aigw: talks to the running aigwd over its control "
		 "socket.\n\n");
	for (size_t i = 0; (c = command_at(i)); i++) {
		g = group_of(c);
		if (!g)
			put_row(p, t, c->words, c->sentence, 14, width);
		else if (g != last)
			put_group_row(p, t, g, width);
		last = g;
	}
	put_z(p, "\noptions of every command:\n");
	put_args(p, t, command_all(), true, width);
	put_z(p, "\n'aigwctl COMMAND --help' explains one. The manual is aigwctl(1).\n");
}

void help_show(struct put *p, const struct term *t, const struct command_group *g,
	       const struct command *cmd, size_t width)
{
	width = width == 0 || width > WIDTH_MAX ? WIDTH_MAX : width;
	help_usage(p, g, cmd);
	if (cmd)
		help_command(p, t, cmd, width);
	else if (g)
		help_group(p, t, g, width);
	else
		help_all(p, t, width);
}

/* --- the manual --- */

/* A dot or quote at the start of a line and backslashes mean something to roff. */
static void put_roff(struct put *p, const char *text)
{
	for (const char *s = text; *s; s++) {
		if (*s == '\\')
			put_z(p, "\\e");
		else if (s == text && (*s == '.' || *s == '\''))
			put_f(p, "\\&%c", *s);
		else
			put_s(p, slice_of(s, 1));
	}
	put_z(p, "\n");
}

static void manual_arg(struct put *p, const struct command_arg *a)
{
	put_z(p, ".TP\n");
	if (!a->is_option)
		put_f(p, ".I %s\n", a->name);
	else {
		put_z(p, ".BR \\-\\-");
		for (const char *s = a->name; *s; s++)
			put_z(p, *s == '-' ? "\\-" : (char[]){*s, '\0'});
		put_f(p, a->value[0] ? " \" \\fI%s\\fR\"\n" : "\n", a->value);
	}
	put_roff(p, a->sentence);
}

static void manual_command(struct put *p, const struct command *c)
{
	const struct command_arg *a;

	put_f(p, ".SS %s", c->words);
	for (size_t i = 0; (a = command_word(c, i)); i++)
		put_f(p, a->is_needed ? " \\fI%s\\fR" : " [\\fI%s\\fR]", a->name);
	put_z(p, has_options(c) ? " [\\fIOPTION\\fR...]\n" : "\n");
	put_roff(p, c->sentence);
	for (size_t i = 0; i < c->args_n; i++)
		manual_arg(p, &c->args[i]);
}

void help_manual(struct put *p)
{
	const struct command *all = command_all(), *c;

	put_z(p, ".SH OPTIONS\nThese are understood with every command, anywhere on the line.\n");
	for (size_t i = 0; i < all->args_n; i++)
		manual_arg(p, &all->args[i]);
	put_z(p, ".SH COMMANDS\n");
	for (size_t i = 0; (c = command_at(i)); i++)
		manual_command(p, c);
}
