/* Where text goes: a descriptor, whether a person reads it, and the colours that this allows. */
#ifndef AIGW_TERM_H
#define AIGW_TERM_H

#include "put.h"

enum term_color { TERM_PLAIN, TERM_BOLD, TERM_DIM, TERM_GOOD, TERM_WARN, TERM_BAD };

struct term {
	int fd; /* borrowed */
	bool is_tty, has_color;
	size_t width; /* of the terminal in columns; 0: no terminal, no limit */
};

/* Colours only on a terminal, and not with NO_COLOR or TERM=dumb in `env`. */
void term_init(struct term *t, int fd, char *const *env);
/* The size now; false when t is no terminal. */
bool term_size(const struct term *t, size_t *width, size_t *height);
/* The value of an environment variable; NULL when it is not set. Borrowed from env. */
const char *term_env(char *const *env, const char *name);

/* Writes the text in that colour, control bytes made harmless. */
void term_put(const struct term *t, struct put *p, enum term_color c, struct slice text);
/* Words that tell a state ("ready", "open", "suspended") have their colour; others are plain. */
enum term_color term_color_of(struct slice state);

#endif
