/* The live store: balances, keys, limits, holds and the outbox of one node, in an LMDB file on tmpfs that all workers and
 * the keeper write (design 3.4). Its folder is `<shared_memory>/<ledger_id>/` with data.mdb, lock.mdb, owners.lock and
 * progress. The keeper creates it, alone and before any worker starts; workers only open it and refuse one whose head row
 * differs. Never open it twice in a process and never across a fork. All functions may be called from any thread. Every write transaction has at most LIMIT_TXN_OPS
 * operations; read transactions last at most a millisecond. */
#ifndef AIGW_LIVE_H
#define AIGW_LIVE_H

#include <stdatomic.h>

#include "errc.h"
#include "slice.h"

struct live;
struct progress;

#define LIVE_LAYOUT      21
#define LIVE_REGIONS_MAX 512
#define LIVE_ID          16 /* bytes of a ledger_id; the folder's name is its hexadecimal form */
#define LIVE_BOOT_ID     37 /* text, with its 0 */

/* Counters in the shared page that the master watches: raised before mdb_txn_begin, after it, after commit or abort. All
 * borrowed until live_close(), all NULL where nobody watches. */
struct live_watch {
	_Atomic uint64_t *wants, *has, *done;
};

struct live_opts {
	const char *dir; /* borrowed during the call */
	uint8_t ledger_id[LIVE_ID];
	struct live_watch watch;
	/* The rest counts for live_create() only. */
	uint64_t epoch;
	size_t size_bytes;
	uint32_t regions,
		slots; /* progress: regions are for processes (three times the workers), slots for their calls */
	bool any_filesystem; /* tests: not only tmpfs */
};

struct live_head {
	uint32_t layout;
	uint8_t ledger_id[LIVE_ID];
	uint64_t epoch;
	char boot_id[LIVE_BOOT_ID];
	uint64_t dev, ino;
	uint32_t regions, slots;
};

/* Makes the folder and a new, empty store in it, which nobody else can open before live_seal(). ERRC_EXISTS when there is one, ERRC_NOSPACE when the tmpfs has no room for
 * the whole map, ERRC_INVAL when the folder is not on a tmpfs. The result is owned by the caller. */
MUSTCHECK enum errc live_create(const struct live_opts *o, struct live **out);
/* How large a store of `bytes` is made. */
size_t live_size_of(size_t bytes);
/* Makes it valid, once all rows are in that it shall begin with: a keeper that dies in between leaves nothing acceptable. */
MUSTCHECK enum errc live_seal(struct live *l);
/* Opens what is there. ERRC_NOTFOUND; ERRC_VERSION when it has another layout, which is told; ERRC_STALE when ledger_id, boot or the file itself (device and inode, which a
 * copy does not keep) differ from the head row; ERRC_CORRUPT. */
MUSTCHECK enum errc live_open(const struct live_opts *o, struct live **out);
void live_close(struct live **l);
/* Removes the store's files and folder; nobody may have it open. No error when there is none. */
MUSTCHECK enum errc live_remove(const char *dir);

/* Valid until live_close(). */
const struct live_head *live_head(const struct live *l);
/* The number of the last write transaction: nothing was written while it is the same. live_peek_txn(): of the store in the folder, whatever its
 * layout, when this process has none open there. */
MUSTCHECK enum errc live_last_txn(struct live *l, uint64_t *n);
MUSTCHECK enum errc live_peek_txn(const char *dir, uint64_t *n);
/* False when the path no longer leads to the file that is open: deleted, or replaced. */
bool live_is_in_place(const struct live *l);
/* Frees the reader slots of dead processes; *cleared may be NULL. The keeper calls it on every child death and each second. */
MUSTCHECK enum errc live_readers_check(struct live *l, int *cleared);

/* Draws an instance number (never used before in this epoch), locks its byte of owners.lock until live_close() or the
 * process's death, and takes a progress region. ERRC_LIMIT when no region is free. Once a process, workers only. */
MUSTCHECK enum errc live_join(struct live *l);
/* True when no living process has this instance number; then nobody else will use its holds. */
bool live_owner_is_dead(struct live *l, uint32_t instance);
/* The instances that have joined and whose progress region is not given back yet: at most `max`. */
struct live_owner {
	uint32_t instance, region;
};
MUSTCHECK enum errc live_instances(struct live *l, struct live_owner *out, size_t max, size_t *n);
/* Gives back the region of a dead instance that has no hold any more. ERRC_STATE when it is not its owner. */
MUSTCHECK enum errc live_part(struct live *l, const struct live_owner *owner);

/* Owned by the store, valid until live_close(). */
struct progress *live_progress(struct live *l);

struct live_space {
	size_t size_bytes, used_bytes; /* the whole map; pages that hold rows */
	uint64_t outbox_records;       /* not yet deleted by the keeper */
	int64_t outbox_age_ms;         /* of the oldest one; 0 when empty */
	uint64_t holds;
};
MUSTCHECK enum errc live_space(struct live *l, int64_t now_boot_ms, struct live_space *out);

/* Version of the library that runs here, "0.9.24"; static. */
const char *live_library(void);

/* Whether it says of a row that it cannot be read. ERRC_VERSION does too: nobody but this program made the store. */
static inline bool live_is_damaged(enum errc rc)
{
	return rc == ERRC_CORRUPT || rc == ERRC_VERSION;
}

#endif
