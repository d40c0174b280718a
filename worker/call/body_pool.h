/* Memory of long request bodies that ended, kept for those that come: taken from the system anew it would cost each of them a page
 * fault every 4 KiB, and in the gap that one leaves in the heap small blocks settle, so that the next needs another place.
 *
 * What a body gets is at most BODY_POOL_WASTE larger than it. Where nothing that is kept fits, as much of it goes before memory is taken: with the
 * bodies in work it is never more than the most that these took. Not for several threads. */
#ifndef AIGW_BODY_POOL_H
#define AIGW_BODY_POOL_H

#include "buf.h"

#define BODY_POOL_LEAST ((size_t)64 << 10) /* of what is kept */
#define BODY_POOL_STEP \
	((size_t)16 << 10) /* sizes are whole multiples, so that they fit more often */
#define BODY_POOL_WASTE ((size_t)48 << 10)
#define BODY_POOL_COUNT 16
#define BODY_POOL_BYTES ((size_t)8 << 20)

/* All zero: empty. */
struct body_pool {
	struct buf kept[BODY_POOL_COUNT]; /* the oldest first; owned */
	unsigned n;
	size_t bytes;
};

/* Gives `b`, which has a ceiling but no memory yet, room for `length` bytes within it; the memory is b's. */
MUSTCHECK enum errc body_pool_take(struct body_pool *p, size_t length, struct buf *b);
/* Takes or frees the memory of `b`, which is then as after buf_fini(). */
void body_pool_give(struct body_pool *p, struct buf *b);
/* Frees what is kept. */
void body_pool_clear(struct body_pool *p);

#endif
