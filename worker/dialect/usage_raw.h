/* A provider's usage object as a record keeps it: compact, its numbers as they came, of its texts the words alone (text_is_word()), for
 * the prompt may be in it. What has no room goes by whole members, and `aigw_left_out_bytes` at the end says how much was left out. Valid
 * JSON, whatever came. Pure. */
#ifndef AIGW_USAGE_RAW_H
#define AIGW_USAGE_RAW_H

#include "slice.h"

#define USAGE_RAW_MAX  1024 /* bytes of it */
#define USAGE_RAW_MARK 48   /* that the mark takes at most */
#define USAGE_RAW_WORD 32   /* bytes of a text or a number */
#define USAGE_RAW_NAME 64   /* bytes of a member's name */

/* Writes the object into `out`; `cap` is USAGE_RAW_MARK + 2 at least, and object.n + USAGE_RAW_MARK is always enough. `left` bytes were
 * left out before. Returns the length; 0: it is no object, or malformed. */
size_t usage_raw_write(struct slice object, size_t left, char *out, size_t cap);

/* Several objects of one answer: {…}, then [{…},{…}]. Where there is no room for one more, it takes the place of the one before it. */
struct usage_raw {
	unsigned parts;
	size_t n, last;    /* where the last part begins */
	size_t said, left; /* bytes of the last part as it came; of those that gave their place */
	char p[USAGE_RAW_MAX];
};

void usage_raw_add(struct usage_raw *u, struct slice object);

#endif
