/* The command line of aigwctl: finds the command in the token table and turns its arguments into fields of the control
 * protocol. Options may stand anywhere, as --name VALUE or --name=VALUE; -- ends them. Pure: the time comes in. */
#ifndef AIGW_PARSE_H
#define AIGW_PARSE_H

#include "arena.h"
#include "command.h"

enum parse_want { PARSE_RUN, PARSE_HELP, PARSE_VERSION };

struct parse_fields {
	struct control_field f[CONTROL_FIELDS_MAX];
	size_t n;
};

struct parse {
	struct arena arena;
	int64_t now_ms; /* wall */
	enum parse_want want;
	const struct command *cmd;         /* NULL with help or version of all, or of a group */
	const struct command_group *group; /* of which help is asked */
	struct parse_fields send, local; /* names and texts are the table's, argv's or the arena's */
	char error[512];                 /* what is wrong with the line; empty: nothing */
};

void parse_init(struct parse *p, int64_t now_ms);
void parse_fini(struct parse *p);
/* argv without the program's name; borrowed as long as p. ERRC_INVAL with p->error, or ERRC_NOMEM. What was understood
 * before the error stands in p. */
MUSTCHECK enum errc parse_args(struct parse *p, int argc, char *const *argv);

/* As if --name=text stood on the line of p->cmd, an option that is sent to the daemon; messages call it by its name alone. The text is
 * borrowed. */
MUSTCHECK enum errc parse_option(struct parse *p, struct slice name, struct slice text);
/* Such an option is on or off. */
bool parse_is_switch(const struct parse *p, struct slice name);

/* Values of local fields; absent: "" with p == NULL, `otherwise`, false. */
struct slice parse_local_str(const struct parse *p, const char *field);
int64_t parse_local_i64(const struct parse *p, const char *field, int64_t otherwise);
bool parse_local_bool(const struct parse *p, const char *field);
/* True when a field that is sent was given. */
bool parse_has(const struct parse *p, const char *field);

#endif
