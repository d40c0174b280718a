/* The keeper's start: opens the ledger, decides whether the live store that it finds is the right one (design 3.4,
 * Identity), and rebuilds it from the ledger if not. Only the keeper calls it, alone; workers may run, of this master or an older one. */
#ifndef AIGW_STORE_H
#define AIGW_STORE_H

#include "ledger.h"

struct store_opts {
	const char *state_dir; /* of the ledger; borrowed during the call, like the rest */
	const char *shared_dir; /* the live store's folder is below it, named after the ledger_id; NULL or empty: the
				   default for a user, /dev/shm/aigw-<uid>-<8 hex of the ledger_id> */
	const uint8_t *ledger_id; /* LIVE_ID bytes; NULL: a new ledger gets a random one */
	struct live_watch watch;
	struct trust *trust; /* for ledger_trust(); NULL: the wall clock is believed */
	size_t live_bytes;
	uint32_t regions, slots;
	/* A live store was taken away that processes may still have: whatever they do with it is lost, so they are to end. NULL: nobody has. */
	void (*on_removed)(void *arg);
	void *arg;
	bool had_ledger; /* it is known of this state folder; that there is a live store is seen here */
	bool any_filesystem;       /* tests */
	uint64_t ledger_map_bytes; /* 0: the default */
};

#define STORE_LIVE_DIR 256

enum store_outcome {
	STORE_ACCEPTED, /* the live store that was there goes on */
	STORE_FIRST,    /* a new ledger */
	STORE_REBOOT,   /* rebuilt because the machine was restarted: expected */
	STORE_CLEAN,    /* made anew after a clean stop: nothing is lost but what counts rates */
	STORE_RESTORED, /* the ledger is from a backup: whatever was in the live store is of another life */
	STORE_REBUILT, /* rebuilt for another reason: an operator should know */
};

struct store_started {
	enum store_outcome outcome;
	const char *reason; /* static: what was wrong with the old live store; NULL when accepted */
	int64_t at_risk_nusd; /* unless accepted: charges and holds seen in the old one that the ledger lacks; -1: unknown */
	uint64_t taken; /* outbox records that were taken over from the live store during start */
	char live_dir[STORE_LIVE_DIR]; /* what workers open */
	/* About the size that the live store should have; 0: it has it. On ERRC_NOSPACE: it was too small for what the ledger has, else end users
	 * without a definition are refused. */
	uint64_t live_needs_bytes;
	enum ledger_fault fault; /* on an error: what is wrong with the ledger, if that is it */
};

/* Both results are owned by the caller: live_close(), ledger_close(). On return the ledger has everything that the outbox
 * held when it was looked at (it is still there, to be deleted), and administrative records that had not reached the live
 * store are applied there. */
MUSTCHECK enum errc store_start(const struct store_opts *o, struct live **live,
				struct ledger **ledger, struct store_started *out);

/* Makes a new live store in place of one that was removed or replaced while it was in use: the epoch rises, everything is
 * filled in from the ledger. Before it nobody but the caller may have the old one open, and its outbox must be in the ledger:
 * then nothing is lost. The result is owned by the caller; the old one is closed by the caller, afterwards. */
MUSTCHECK enum errc store_renew(const struct store_opts *o, struct ledger *ledger,
				struct live **live, struct store_started *out);

/* With the ledger's transaction open, which is the last one: marks a clean stop, if no process has the live store open that may charge and
 * the ledger has all of it. The caller knows that none will come. Ledger thread only. */
MUSTCHECK enum errc store_mark_clean(struct live *live, struct ledger *ledger);

/* Takes over all that the outbox holds now into the ledger, in as many commits as it needs, and deletes it from the outbox.
 * For a start, a drain's end, and before administrative records. Ledger thread only. */
MUSTCHECK enum errc store_drain_outbox(struct live *live, struct ledger *ledger,
				       struct outbox_batch *b, uint64_t *taken);

#endif
