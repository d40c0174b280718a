/* Text that is built up to be printed: a growing buffer whose first failure sticks, so that printers need no checks; the one
 * who writes it out asks put_flush(). */
#ifndef AIGW_PUT_H
#define AIGW_PUT_H

#include "buf.h"

#define PUT_BYTES_MAX (1024 * 1024 * 1024)

struct put {
	struct buf b;
	enum errc err;
};

void put_init(struct put *p);
void put_fini(struct put *p);

/* Notes a failure (ERRC_OK is none) that happened while the text was made. */
void put_fail(struct put *p, enum errc e);
void put_s(struct put *p, struct slice s);
void put_z(struct put *p, const char *s);
void put_f(struct put *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
void put_i(struct put *p, int64_t v);
void put_repeat(struct put *p, char c, size_t n);
/* For terminals: what controls them (of ASCII and of Unicode, marks of direction too) and what is no UTF-8 becomes '?', so that a name
 * cannot move the cursor or read as another. */
void put_safe(struct put *p, struct slice s);
/* The same for text of several lines in any language: line ends, tabs and marks of direction pass. */
void put_lines(struct put *p, struct slice s);
/* Words with line ends between them, and behind the last, so that no line is longer than `width` where a word is not; the first
 * line has `at` columns already, the others begin with `indent` blanks. */
void put_wrapped(struct put *p, struct slice text, size_t at, size_t indent, size_t width);
/* The length of the character of UTF-8 that `s`, not empty, begins with; *width: the columns that it takes (0, 1 or 2). */
size_t put_char(struct slice s, size_t *width);
/* Columns that the text takes. */
size_t put_width(struct slice s);

/* Writes everything to fd and empties p. The sticky error, or why writing failed. */
MUSTCHECK enum errc put_flush(struct put *p, int fd);

#endif
