/* Memory for the definitions and states that one operation reads from the store: one behind the other, each as long as what it has, so that those
 * with few rules, which are most, lie close together. */
#ifndef AIGW_LIVE_COPIES_H
#define AIGW_LIVE_COPIES_H

#include "mem.h"
#include "rows.h"

struct live_copies {
	char *mem; /* owned */
	size_t used, max;
};

/* Room for so many of the largest. ERRC_NOMEM. Memory that is never used is not touched. */
static inline MUSTCHECK enum errc live_copies_init(struct live_copies *c, size_t scopes,
						   size_t states)
{
	c->used = 0;
	c->max = scopes * sizeof(struct rows_scope) + states * sizeof(struct rows_state);
	c->mem = mem_grow(NULL, c->max);
	return c->mem ? ERRC_OK : ERRC_NOMEM;
}

static inline void live_copies_fini(struct live_copies *c)
{
	mem_free(c->mem);
	c->mem = NULL;
}

/* What was kept is valid until then. */
static inline void live_copies_clear(struct live_copies *c)
{
	c->used = 0;
}

/* Where the next one may be read, as large as they come. It stays once it is kept, as long as it is then. */
static inline struct rows_scope *live_copies_scope(const struct live_copies *c)
{
	require(c->max - c->used >= sizeof(struct rows_scope));
	return (struct rows_scope *)(c->mem + c->used);
}

static inline struct rows_state *live_copies_state(const struct live_copies *c)
{
	require(c->max - c->used >= sizeof(struct rows_state));
	return (struct rows_state *)(c->mem + c->used);
}

static inline void live_copies_keep_scope(struct live_copies *c, const struct rows_scope *s)
{
	c->used += offsetof(struct rows_scope, limits.v) + s->limits.n * sizeof *s->limits.v;
}

static inline void live_copies_keep_state(struct live_copies *c, const struct rows_state *s)
{
	c->used += offsetof(struct rows_state, counters) + s->n * sizeof *s->counters;
}

#endif
