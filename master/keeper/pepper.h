/* The node's peppers (peppers.h) and their file, state/pepper (0600), whose first one is made at the first start, once the
 * ledger is on disk: where this file is, there has been a ledger. API keys are
 * stored as HMAC-SHA-256 under them: without the file a copy of the stores says nothing about keys, and keys made under a
 * pepper are lost with it. The file is replaced as a whole, on disk before it has its name: a crash leaves the set of before
 * or that of after. Changed by the ledger thread; may be read by any. */
#ifndef AIGW_PEPPER_H
#define AIGW_PEPPER_H

#include <pthread.h>

#include "admin.h"
#include "peppers.h"

#define PEPPER_NAME "pepper"
/* An empty file of the operator's beside it, who has no copy: a new one may be made. Gone with the start that saw it. */
#define PEPPER_GIVEN_UP "pepper.lost"

struct pepper {
	pthread_mutex_t
		change; /* held while the file is written, which may last; guards `pins`; taken before `lock` */
	unsigned pins; /* backups under way: the keys in the copied ledger and the copied set belong together */
	pthread_mutex_t lock; /* guards the rest; the loop takes it, so nothing is waited for with it */
	struct peppers set;
	uint16_t in_use; /* what new keys are made with: the newest that all workers know */
	uint64_t changes_n, lost_keys;
};

void pepper_init(struct pepper *p);
void pepper_fini(struct pepper *p);
/* Reads the file; where there is none pepper_newest() is 0 until pepper_make(). A set that came with a restored ledger
 * (restored.h) takes the place of the other first, for good.
 * ERRC_CORRUPT when either is damaged: nothing has changed, and the log says where it is the restored one. */
MUSTCHECK enum errc pepper_open(struct pepper *p, const char *state);
/* Once the stores are open. Where the file was not there: makes the first one when nothing stands in the ledger yet, else, when no
 * key needs it or the operator has given it up, a new one, with a record in the ledger. ERRC_STATE: it is lost, and pepper_lost_keys() that are not revoked need it. Ledger thread. */
MUSTCHECK enum errc pepper_make(struct pepper *p, const char *state, struct admin *a);
uint64_t pepper_lost_keys(struct pepper *p);
/* Makes the first one and its file. */
MUSTCHECK enum errc pepper_first(struct pepper *p, const char *state);

/* How many changes there were since the start, for who passes them on. */
uint64_t pepper_changes(struct pepper *p);
/* The newest is in use, and there are older ones. */
bool pepper_has_old(struct pepper *p);
/* The newest one's id. */
uint16_t pepper_newest(struct pepper *p);
/* Whether keys that were made with this one can still be checked. */
bool pepper_has(struct pepper *p, uint16_t id);
/* The stored form, appended. */
MUSTCHECK enum errc pepper_encode(struct pepper *p, struct buf *out);
/* Every worker that is there knows this one: where it is the newest it comes into use. */
void pepper_known(struct pepper *p, uint16_t id);
/* Hashes a new key's text with the one in use. */
void pepper_hash(struct pepper *p, struct slice text, uint8_t hash[DIGEST_SHA256], uint16_t *id);

/* Until the end of a pin the set does not change. */
void pepper_pin(struct pepper *p);
void pepper_unpin(struct pepper *p);

/* What the peppers are needed for, newest first, without their secrets. */
struct pepper_use {
	size_t n;
	struct {
		uint16_t id;
		int64_t made_s;
		uint64_t keys;
	} v[PEPPERS_MAX];
};

/* Counts the keys that need each: not revoked, and not expired for longer than a day by `now_s`, which is trust_now_ms(): a pepper
 * that went does not come back. The secret before a rotation needs its own for as long as it is good. */
MUSTCHECK enum errc pepper_count(struct pepper *p, struct live *l, int64_t now_s,
				 struct pepper_use *out);
/* The ids of those that no key needs, which the next two take away; none where there are pins. */
size_t pepper_unneeded(struct pepper *p, const struct pepper_use *use, uint16_t ids[PEPPERS_MAX]);
/* Says of each of them in the chain that it is taken away, by `by`. */
MUSTCHECK enum errc pepper_note_removal(struct pepper *p, struct admin *a,
					const struct admin_by *by, const struct pepper_use *use);
/* What pepper_rotate() would say: ERRC_BUSY, ERRC_LIMIT. */
MUSTCHECK enum errc pepper_may_rotate(struct pepper *p, const struct pepper_use *use);
/* Takes those away that no key needs, then adds a new one, which comes into use with pepper_known(). On the ledger thread, like
 * the next. ERRC_BUSY: there are pins; ERRC_LIMIT: all PEPPERS_MAX are needed. */
MUSTCHECK enum errc pepper_rotate(struct pepper *p, const char *state, int64_t now_s,
				  const struct pepper_use *use);
/* Takes those away that no key needs; nothing where there are pins. */
MUSTCHECK enum errc pepper_prune(struct pepper *p, const char *state, const struct pepper_use *use);

#endif
