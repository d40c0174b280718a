/* The turn of a worker's loop, driven by uv_prepare and uv_check. One turn: due timers -> run queue -> batch hooks, both again
 * while they make work (bounded) -> flush list, one write each -> again while flushing made work (bounded) -> reap list. Work that
 * is left over makes the next poll return at once; a loop without work sleeps. So a lone request is never kept for a batch to
 * fill, and what a batch finished goes out in the same turn.
 *
 * Callbacks of libuv and upcalls of lower modules record and wake; decisions are made by tasks. Everything here belongs to the
 * loop's thread. Tasks and timers are embedded in their owner, who takes them off (turn_task_fini, turn_timer_clear) before its
 * memory goes. */
#ifndef AIGW_TURN_H
#define AIGW_TURN_H

#include <uv.h>

#include "errc.h"
#include "list.h"

struct turn;

/* Something to be done once. Private but for reading `turn`. */
struct turn_task {
	struct list node;
	struct turn *turn; /* borrowed */
	void (*run)(struct turn_task *);
};

/* Private. `run` is called by a turn, never from inside turn_timer_set(). */
struct turn_timer {
	struct turn *turn; /* borrowed */
	void (*run)(struct turn_timer *);
	int64_t deadline_ms; /* what was asked; < 0: not set */
	int64_t key_ms; /* place in the heap: a later deadline moves it only when the key comes due */
	struct turn_timer *child, *next, *prev;
};

/* Called once every round behind the run queue: a place for batches. */
struct turn_hook {
	struct list node;
	void (*run)(struct turn_hook *);
};

/* `loop` is borrowed and must outlive the turn, which keeps it running: end with uv_stop() or turn_free(). */
MUSTCHECK enum errc turn_new(uv_loop_t *loop, struct turn **out);
/* Ends the turn's handles (run the loop once more before closing it). Runs what is on the reap list. Accepts NULL inside. */
void turn_free(struct turn **t);
uv_loop_t *turn_loop(struct turn *t);

/* Clocks, read at most once between two polls. `us` and `ms` are CLOCK_BOOTTIME, wall is CLOCK_REALTIME. */
int64_t turn_now_us(struct turn *t);
int64_t turn_now_ms(struct turn *t);
int64_t turn_wall_ms(struct turn *t);

void turn_task_init(struct turn_task *k, struct turn *t, void (*run)(struct turn_task *));
/* Takes it off whichever list it is on. May be called twice. */
void turn_task_fini(struct turn_task *k);
/* Puts the task on the run queue, on the flush list, or on the reap list. Nothing happens if it is on a list already. A reap
 * task frees its owner: nothing may touch the owner after the turn. A task serves one of the three lists only. */
void turn_wake(struct turn_task *k);
void turn_flush(struct turn_task *k);
void turn_reap(struct turn_task *k);

void turn_timer_init(struct turn_timer *m, struct turn *t, void (*run)(struct turn_timer *));
/* Due at `deadline_ms` of turn_now_ms(); replaces an earlier setting. Moving it later costs nothing. The timer is clear when
 * `run` is called. */
void turn_timer_set(struct turn_timer *m, int64_t deadline_ms);
/* Allowed when not set. Must be called before the memory of a timer that was ever set is freed. */
void turn_timer_clear(struct turn_timer *m);
static inline bool turn_timer_is_set(const struct turn_timer *m)
{
	return m->deadline_ms >= 0;
}

/* `h` is borrowed until turn_hook_fini(). Hooks run in the order in which they came. */
void turn_hook_init(struct turn_hook *h, struct turn *t, void (*run)(struct turn_hook *));
void turn_hook_fini(struct turn_hook *h);

/* A buffer shared by all readers of the loop, TURN_SCRATCH bytes: valid until the callback that took it returns. Only one at a
 * time may use it; a transport takes it while it reads and hands slices of it upward. What was read is kept whole for a client that does
 * not read, which costs 9 KiB less than with reads of 32 KiB. Larger ones save no CPU, not for answers of 64 KiB either. */
#define TURN_SCRATCH (16 * 1024)
char *turn_scratch(struct turn *t);

/* What the turn did, for metrics. */
struct turn_stats {
	uint64_t turns;
	int64_t longest_us; /* longest turn since the last turn_stats_get() */
};
void turn_stats_get(struct turn *t, struct turn_stats *out);

/* For tests: from now on the clocks stand at `boot_ms` (wall the same) until set again, and one turn is run without polling. */
void turn_fake_clock(struct turn *t, int64_t boot_ms);
void turn_step(struct turn *t);

#endif
