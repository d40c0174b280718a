/* Generation ids: one id names a request everywhere. 16 bytes: 48 bits of wall time in
 * milliseconds, 80 random bits; as text `gen_` and 26 characters (Crockford base32) that sort like
 * the bytes. */
#ifndef AIGW_GENID_H
#define AIGW_GENID_H

#include "errc.h"
#include "slice.h"

#define GENID_BYTES 16
#define GENID_TEXT  30

struct genid {
	uint8_t b[GENID_BYTES];
};

/* Random bits from the kernel, fetched for many ids at once; a process forked from another draws
 * its own. One a thread. */
struct genid_source {
	uint32_t forks, used;
	uint8_t pool[10 * 102];
};

void genid_source_init(struct genid_source *s);
struct genid genid_next(struct genid_source *s, int64_t wall_ms);

/* The wall time that it was made at, in milliseconds. */
int64_t genid_ms(const struct genid *id);

/* NUL-terminated. */
void genid_print(const struct genid *id, char out[GENID_TEXT + 1]);
/* Exactly the printed form; letters of either case. */
bool genid_parse(struct slice text, struct genid *out);
static inline bool genid_eq(const struct genid *a, const struct genid *b)
{
	return memcmp(a->b, b->b, GENID_BYTES) == 0;
}

#endif
