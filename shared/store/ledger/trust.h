/* What the wall clock says, as far as who deletes for good may believe it. A clock that is ahead for some seconds would make everything old:
 * what goes by age goes by this time instead, which a jump does not move. It goes on as CLOCK_BOOTTIME does from where wall clock and
 * that one were apart before, and is never later than the wall clock. Once the wall clock has been as far ahead for a day of
 * CLOCK_BOOTTIME it is believed: a machine that was really off for months goes on then. How far apart they were is kept in the file
 * state/clock, over restarts and from one boot to the next, where time without power is a jump too if it was long.
 * Any thread, but for the file. */
#ifndef AIGW_TRUST_H
#define AIGW_TRUST_H

#include <pthread.h>

#include "errc.h"

#define TRUST_NAME     "clock"
#define TRUST_STEP_MS  INT64_C(600000)   /* a change of the clock that is no jump */
#define TRUST_OFF_MS   INT64_C(3600000)  /* time without power that is none */
#define TRUST_LASTS_MS INT64_C(86400000) /* for so long a jump is not believed */

struct trust {
	pthread_mutex_t lock; /* guards the rest */
	bool opened, known;   /* known: apart_ms is */
	int64_t apart_ms;     /* wall clock less boot clock, as it is believed */
	int64_t step_ms;      /* what is no jump now */
	bool jumped;
	int64_t jump_ms;  /* wall clock less boot clock, as it is */
	int64_t since_ms; /* boot clock: how long it has been so */
	int64_t spent_ms; /* so long it had been so in the boots before, until it is looked at */
	bool changed;     /* the file says something else */
	int64_t saved_ms; /* boot clock */
};

void trust_init(struct trust *t);
void trust_fini(struct trust *t);

/* The boot clock is at `boot_ms`. Reads the file, the first time; `newest_ms` is believed where there is none, or a damaged one: the time of
 * the ledger's last record; 0: the wall clock is. */
void trust_open(struct trust *t, const char *state, int64_t boot_ms, int64_t newest_ms);
/* Both clocks are looked at: the time that is believed. Tells of jumps in the log. */
int64_t trust_look(struct trust *t, int64_t boot_ms, int64_t wall_ms);
/* The same with the clocks as they are; milliseconds since 1970. */
int64_t trust_now_ms(struct trust *t);
/* Writes the file when it is due. One thread. That it cannot be written is told, and tried again later. */
void trust_save(struct trust *t, const char *state);

/* From here on what goes by its age in the ledger goes by this time, too; trust_open() is done. Borrowed until ledger_close(). */
struct ledger;
void ledger_trust(struct ledger *l, struct trust *t, const char *state);
/* What goes by its age goes by this when it is `wall_ms`, or a record of then is the newest. For the files of this folder. */
int64_t ledger_believed_ms(struct ledger *l, int64_t wall_ms);

#endif
