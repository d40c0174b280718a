/* What aigwctl says about itself, from the token table: help at each level, and the manual's section COMMANDS. */
#ifndef AIGW_HELP_H
#define AIGW_HELP_H

#include "command.h"
#include "term.h"

/* Help of all, of a group (cmd NULL), or of a command. Lines are broken at `width` columns. */
void help_show(struct put *p, const struct term *t, const struct command_group *g,
	       const struct command *cmd, size_t width);
/* "usage: aigwctl account create NAME [OPTION…]" */
void help_usage(struct put *p, const struct command_group *g, const struct command *cmd);
/* The sections OPTIONS and COMMANDS, in roff with the man macros. */
void help_manual(struct put *p);

#endif
