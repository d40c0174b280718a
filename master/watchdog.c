#include "watchdog.h"

const char *watchdog_reason_text(enum watchdog_reason r)
{
	static const char *const texts[] = {"none", "holds the writer lock and does not move",
					    "keeps others from the writer lock",
					    "its loop does not turn"};

	return (unsigned)r < ARRAY_LEN(texts) ? texts[r] : "?";
}

bool watchdog_nudges(const struct watchdog_row *r)
{
	return r->same_want >= WATCHDOG_WAIT_TICKS;
}

static unsigned count(bool same, unsigned n)
{
	return same ? n + 1 : 0;
}

static void observe(struct watchdog_row *r, bool on_time)
{
	bool still = on_time && r->alive && r->wants == r->was_wants && r->has == r->was_has &&
		     r->done == r->was_done;

	r->same_lock = count(still && r->has != r->done, r->same_lock);
	r->same_want = count(still && r->has == r->done && r->wants != r->has, r->same_want);
	r->same_beat =
		count(on_time && r->alive && r->beats && r->heartbeat_ms == r->was_heartbeat_ms,
		      r->same_beat);
	r->was_wants = r->wants;
	r->was_has = r->has;
	r->was_done = r->done;
	r->was_heartbeat_ms = r->heartbeat_ms;
}

/* All that move want only, and somebody has for long: the holder died or stopped between getting the lock and saying so.
 * A stopped one is meant before the one that waits longest. */
static int blocker(const struct watchdog_row *rows, size_t n)
{
	int best = -1;

	for (size_t i = 0; i < n; i++) {
		if (rows[i].same_want < WATCHDOG_LOCK_TICKS)
			continue;
		if (best < 0 || (rows[i].stopped && !rows[best].stopped) ||
		    (rows[i].stopped == rows[best].stopped &&
		     rows[i].same_want > rows[best].same_want))
			best = (int)i;
	}
	return best;
}

int watchdog_tick(struct watchdog_row *rows, size_t n, bool on_time, enum watchdog_reason *why)
{
	bool held = false;

	*why = WATCHDOG_NONE;
	for (size_t i = 0; i < n; i++)
		observe(&rows[i], on_time);
	for (size_t i = 0; i < n; i++) {
		if (rows[i].same_lock >= WATCHDOG_LOCK_TICKS) {
			*why = WATCHDOG_HOLDS_LOCK;
			return (int)i;
		}
		held = held || (rows[i].alive && rows[i].has != rows[i].done);
	}
	if (!held && blocker(rows, n) >= 0) {
		*why = WATCHDOG_BLOCKS_LOCK;
		return blocker(rows, n);
	}
	for (size_t i = 0; i < n; i++) {
		if (rows[i].same_beat >= WATCHDOG_BEAT_TICKS) {
			*why = WATCHDOG_NO_BEAT;
			return (int)i;
		}
	}
	return -1;
}
