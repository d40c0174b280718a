#include "body_pool.h"

static struct buf take_at(struct body_pool *p, unsigned i)
{
	struct buf b = p->kept[i];

	p->n--;
	p->bytes -= b.cap;
	memmove(&p->kept[i], &p->kept[i + 1], (p->n - i) * sizeof(p->kept[0]));
	return b;
}

static void free_oldest(struct body_pool *p)
{
	struct buf b = take_at(p, 0);

	buf_fini(&b);
}

/* The smallest that is kept and fits, BODY_POOL_COUNT without one. */
static unsigned find(const struct body_pool *p, size_t length, size_t max)
{
	unsigned best = BODY_POOL_COUNT;

	for (unsigned i = 0; i < p->n; i++) {
		size_t cap = p->kept[i].cap;

		if (cap >= length && cap - length <= BODY_POOL_WASTE && cap <= max &&
		    (best == BODY_POOL_COUNT || cap < p->kept[best].cap))
			best = i;
	}
	return best;
}

static void make_way(struct body_pool *p, size_t bytes)
{
	size_t freed = 0;

	while (p->n > 0 && freed < bytes) {
		freed += p->kept[0].cap;
		free_oldest(p);
	}
}

enum errc body_pool_take(struct body_pool *p, size_t length, struct buf *b)
{
	size_t steps = (length + BODY_POOL_STEP - 1) / BODY_POOL_STEP;
	struct buf kept;
	unsigned at;
	char *room;

	require(b->cap == 0);
	if (length < BODY_POOL_LEAST || length > b->max)
		return buf_reserve(b, length, &room);
	at = find(p, length, b->max);
	if (at == BODY_POOL_COUNT) {
		make_way(p, length);
		return buf_reserve(b, MIN_OF(steps * BODY_POOL_STEP, b->max), &room);
	}
	kept = take_at(p, at);
	b->p = kept.p;
	b->cap = kept.cap;
	return ERRC_OK;
}

void body_pool_give(struct body_pool *p, struct buf *b)
{
	if (b->cap < BODY_POOL_LEAST || p->n == BODY_POOL_COUNT ||
	    b->cap > BODY_POOL_BYTES - p->bytes) {
		buf_fini(b);
		return;
	}
	p->bytes += b->cap;
	p->kept[p->n++] = *b;
	*b = (struct buf){.max = b->max};
}

void body_pool_clear(struct body_pool *p)
{
	while (p->n > 0)
		free_oldest(p);
}
