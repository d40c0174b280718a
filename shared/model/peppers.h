/* The node's peppers: what API keys are hashed with before they are stored or looked up. New keys are hashed with the newest
 * one; those before it stay as long as some key needs them, so that a rotation ends no key. Each has an id, which the rows of
 * keys name. As secret as the keys: a set is ended with peppers_fini(), which wipes it. Pure. */
#ifndef AIGW_PEPPERS_H
#define AIGW_PEPPERS_H

#include "buf.h"
#include "digest.h"

#define PEPPERS_MAX       8 /* at a time: each is one more hash for what is no key of ours */
#define PEPPERS_SECRET    32
#define PEPPERS_BYTES_MAX 1024 /* of the stored form */

struct peppers_one {
	uint16_t id; /* from 1, never used again */
	int64_t made_s;
	uint8_t secret[PEPPERS_SECRET];
	struct digest_key key;
};

struct peppers {
	size_t n;
	struct peppers_one v[PEPPERS_MAX]; /* newest first */
};

/* ERRC_CORRUPT: it is not what peppers_encode() wrote, wholly and with its hash. On an error *out is empty. */
MUSTCHECK enum errc peppers_decode(struct slice bytes, struct peppers *out);
MUSTCHECK enum errc peppers_encode(const struct peppers *p, struct buf *out);
/* A new random one. ERRC_LIMIT: there are PEPPERS_MAX, or the ids are used up. */
MUSTCHECK enum errc peppers_add(struct peppers *p, int64_t now_s);
/* Takes one away, never the newest. */
void peppers_remove(struct peppers *p, uint16_t id);
/* NULL: there is none of that id. */
const struct peppers_one *peppers_find(const struct peppers *p, uint16_t id);
void peppers_fini(struct peppers *p);

#endif
