#include "config_pool.h"

#include <stdlib.h>

struct entry {
	uint8_t hash[DIGEST_SHA256];
	const void *p; /* NULL: free */
};

/* Open addressing by hash, at most half full. */
struct set {
	size_t cap, n;
	struct entry *v;
};

struct config_pool {
	struct set prices, tariffs;
};

static struct entry *place(const struct set *s, const uint8_t hash[DIGEST_SHA256])
{
	size_t i;

	memcpy(&i, hash, sizeof(i));
	for (i &= s->cap - 1; s->v[i].p; i = (i + 1) & (s->cap - 1))
		if (memcmp(s->v[i].hash, hash, DIGEST_SHA256) == 0)
			break;
	return &s->v[i];
}

/* Room for one more; false without memory. */
static bool reserve(struct config_ctx *x, struct set *s)
{
	struct set bigger = {.cap = s->cap ? 2 * s->cap : 64, .n = s->n};

	if (s->cap && 2 * (s->n + 1) <= s->cap)
		return true;
	bigger.v = config_ctx_array(x, bigger.cap, sizeof(*bigger.v));
	if (!bigger.v)
		return false;
	for (size_t i = 0; i < s->cap; i++)
		if (s->v[i].p)
			*place(&bigger, s->v[i].hash) = s->v[i];
	*s = bigger;
	return true;
}

struct config_pool *config_pool_new(struct config_ctx *x)
{
	return config_ctx_array(x, 1, sizeof(struct config_pool));
}

static const struct price *intern(struct config_ctx *x, struct set *s, const struct price *p,
				  uint8_t hash[DIGEST_SHA256])
{
	struct entry *e;
	struct price *copy;

	if (!reserve(x, s))
		return NULL;
	price_hash(p, hash);
	e = place(s, hash);
	if (e->p)
		return e->p;
	copy = config_ctx_array(x, 1, sizeof(*copy));
	if (!copy)
		return NULL;
	*copy = *p;
	memcpy(e->hash, hash, DIGEST_SHA256);
	e->p = copy;
	s->n++;
	return copy;
}

const struct tariff *config_pool_tariff(struct config_ctx *x, struct config_pool *pool,
					const struct price *rows, size_t n)
{
	const struct price *same[TARIFF_ROWS], **kept;
	uint8_t hashes[TARIFF_ROWS][DIGEST_SHA256], hash[DIGEST_SHA256];
	struct tariff *t;
	struct entry *e;

	require(n >= 1 && n <= TARIFF_ROWS);
	for (size_t i = 0; i < n; i++) {
		same[i] = intern(x, &pool->prices, &rows[i], hashes[i]);
		if (!same[i])
			return NULL;
	}
	if (!reserve(x, &pool->tariffs))
		return NULL;
	digest_sha256(slice_of(hashes, n * sizeof(hashes[0])), hash);
	e = place(&pool->tariffs, hash);
	if (e->p)
		return e->p;
	t = config_ctx_array(x, 1, sizeof(*t));
	kept = config_ctx_array(x, n, sizeof(*kept));
	if (!t || !kept)
		return NULL;
	memcpy(kept, same, n * sizeof(*kept));
	*t = (struct tariff){kept, n};
	memcpy(e->hash, hash, sizeof(hash));
	e->p = t;
	pool->tariffs.n++;
	return t;
}

static int by_hash(const void *a, const void *b)
{
	return memcmp(((const struct entry *)a)->hash, ((const struct entry *)b)->hash,
		      DIGEST_SHA256);
}

/* All of a set, sorted by hash; NULL without memory. */
static void *gather(struct config_ctx *x, struct set *s)
{
	const void **all = config_ctx_array(x, s->n, sizeof(*all));
	size_t n = 0;

	for (size_t i = 0; i < s->cap; i++)
		if (s->v[i].p)
			s->v[n++] = s->v[i];
	if (n)
		qsort(s->v, n, sizeof(*s->v), by_hash);
	for (size_t i = 0; all && i < n; i++)
		all[i] = s->v[i].p;
	return all;
}

void config_pool_end(struct config_ctx *x, struct config_pool *pool)
{
	struct ptable *t = &x->c->table;

	t->prices = gather(x, &pool->prices);
	t->tariffs = gather(x, &pool->tariffs);
	t->prices_n = t->prices ? pool->prices.n : 0;
	t->tariffs_n = t->tariffs ? pool->tariffs.n : 0;
}
