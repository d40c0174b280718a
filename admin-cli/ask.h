/* Asks the daemon: one connection, one request, and the whole answer: its rows, and how it ended. */
#ifndef AIGW_ASK_H
#define AIGW_ASK_H

#include "ctl.h"

#define ASK_ROWS_MAX  1000000
#define ASK_BYTES_MAX (1024 * 1024 * 1024)

struct ask_row {
	struct slice kind;
	const struct control_field *f;
	size_t n;
};

/* Everything is valid until ask_fini(). */
struct ask_answer {
	enum errc (*take)(void *arg, const struct ask_row *r); /* of ask_command_each(); NULL */
	void *take_arg;
	struct arena arena;
	struct ask_row *rows; /* owned */
	size_t n, cap;
	enum control_status status;
	bool is_asked;        /* the daemon was reached, */
	bool is_ended;        /* and said how it ended: else that is not known */
	struct slice message; /* of a success; those of failures went to ctl_fail() */
};

/* Sends the verb with fields f, shows progress on a terminal, and returns the status at the end; failures are noted. *out is
 * to be ended by ask_fini() in any case: rows may have come before a failure. */
enum control_status ask(struct ctl *c, enum control_verb v, const struct control_field *f, size_t n,
			struct ask_answer *out);
/* The same with what the command line gave. */
enum control_status ask_command(struct ctl *c, struct ask_answer *out);
/* The same for answers that are too long to be kept: each row goes to `take`, valid during the call, which may end the talk
 * with an error. */
enum control_status ask_command_each(struct ctl *c,
				     enum errc (*take)(void *arg, const struct ask_row *r),
				     void *arg, struct ask_answer *out);
/* One line of progress, written over the one before, where a person looks; and its end. */
void ask_progress(struct ctl *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
void ask_progress_end(struct ctl *c);
/* An answer that is made here: empty, then row by row; what is given is copied. */
void ask_init(struct ask_answer *a);
MUSTCHECK enum errc ask_add(struct ask_answer *a, const char *kind, const struct control_field *f,
			    size_t n);
void ask_fini(struct ask_answer *a);

/* The first row of that kind; NULL without one. */
const struct ask_row *ask_row_of(const struct ask_answer *a, const char *kind);
/* Values of a row; NULL gives the "none" of each. */
struct slice ask_str(const struct ask_row *r, const char *name);
int64_t ask_i64(const struct ask_row *r, const char *name);

#endif
