/* A value that must not leak: wiped on free, compared in constant time, and there is no way to print one. */
#ifndef AIGW_SECRET_H
#define AIGW_SECRET_H

#include "errc.h"
#include "slice.h"

struct secret {
	char *p; /* owned, NUL behind it */
	size_t n;
};

MUSTCHECK enum errc secret_init(struct secret *s, struct slice value); /* copies */
/* Wipes and frees; accepts an empty one. */
void secret_fini(struct secret *s);
/* For the one place that writes it to the wire; valid until secret_fini(). Never pass it to a log function. */
static inline struct slice secret_reveal(const struct secret *s)
{
	return (struct slice){s->p, s->n};
}
/* Overwrites every occurrence of `value` in the n bytes at `text` with asterisks, and a beginning of it (of SECRET_HINT bytes or more) at
 * their end, where the text may have been cut. For words of a peer that knows the secret and may repeat it. */
#define SECRET_HINT 8
void secret_hide(char *text, size_t n, struct slice value);
bool secret_eq(struct slice a, struct slice b); /* constant time for equal lengths */
void secret_wipe(void *p, size_t n);

/* n random bytes from the kernel. Aborts when the kernel has none: nothing may go on with guessable keys. */
void secret_random(void *p, size_t n);

#endif
