/* Which process is to be killed: one that holds the live store's writer lock and does not move, for that lock has no
 * time-out, or one whose loop does not turn. Pure: rows and ticks in, a verdict out. */
#ifndef AIGW_WATCHDOG_H
#define AIGW_WATCHDOG_H

#include "check.h"

#define WATCHDOG_TICK_MS 400
#define WATCHDOG_LATE_MS \
	600 /* a tick that comes later than this after the one before says nothing about others */
#define WATCHDOG_LOCK_TICKS 3
#define WATCHDOG_WAIT_TICKS 1 /* then one that waits is nudged */
#define WATCHDOG_BEAT_TICKS 25

/* One process over time. The caller fills the upper part each tick, zeroes the lower one for a new process. */
struct watchdog_row {
	bool alive, stopped; /* stopped: by a signal, as /proc says */
	bool beats;          /* its heartbeat counts: it is ready */
	uint64_t wants, has, done, heartbeat_ms;
	uint64_t was_wants, was_has, was_done, was_heartbeat_ms;
	unsigned same_lock, same_want, same_beat; /* on-time ticks without a change */
};

enum watchdog_reason { WATCHDOG_NONE, WATCHDOG_HOLDS_LOCK, WATCHDOG_BLOCKS_LOCK, WATCHDOG_NO_BEAT };

/* One tick. on_time: false resets all counts. At most one row is named, for a kill may free the others: its index is
 * returned with *why, or -1. */
int watchdog_tick(struct watchdog_row *rows, size_t n, bool on_time, enum watchdog_reason *why);
const char *watchdog_reason_text(enum watchdog_reason);
/* After a tick: whether this one waits for the lock so long that it should look again, see nudge.h. */
bool watchdog_nudges(const struct watchdog_row *r);

#endif
