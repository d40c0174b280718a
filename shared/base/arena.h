/* Memory of one request: allocated piece by piece, freed at once. Resources that are not memory hang on it as hooks, run
 * last in first out by arena_fini(). A pointer from an arena is valid until arena_fini() or arena_reset(). */
#ifndef AIGW_ARENA_H
#define AIGW_ARENA_H

#include <stdarg.h>

#include "errc.h"
#include "slice.h"

struct arena_block;
struct arena_hook;

struct arena {
	struct arena_block *head;
	struct arena_hook *hooks;
	size_t used, max; /* bytes handed out (rounded up to 16) and their ceiling */
	size_t first;     /* bytes of the first block */
};

void arena_init(struct arena *a, size_t max);
/* With a first block of this size: for an arena whose use is known. */
void arena_init_first(struct arena *a, size_t max, size_t first);
void arena_fini(struct arena *a);
/* Runs the hooks and keeps the first block for the next use. */
void arena_reset(struct arena *a);

/* Aligned for any type, not zeroed; NULL when memory or the ceiling is used up. */
MUSTCHECK void *arena_get(struct arena *a, size_t n);
MUSTCHECK void *arena_zero(struct arena *a, size_t n);
#define arena_new(a, type) ((type *)arena_zero((a), sizeof(type)))
/* n must be bounded by the caller: the product is not checked. */
#define arena_array(a, type, n) ((type *)arena_zero((a), sizeof(type) * (n)))
/* A copy with a NUL behind it. p == NULL in the result means no memory. */
MUSTCHECK struct slice arena_dup(struct arena *a, struct slice s);
/* The pieces one after the other, likewise. */
MUSTCHECK struct slice arena_join(struct arena *a, const struct slice *v, size_t n);
MUSTCHECK struct slice arena_fmt(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
MUSTCHECK enum errc arena_on_fini(struct arena *a, void (*fn)(void *), void *arg);

#endif
