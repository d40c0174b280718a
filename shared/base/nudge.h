/* Threads that wait for a lock whose wake-up may get lost with a process: whoever is killed between being woken and taking the lock
 * has had the only one, and a lock that was taken anew in between does not know of those who wait any more. A signal makes them look
 * again; sent to the process it is passed on to each thread that waits. */
#ifndef AIGW_NUDGE_H
#define AIGW_NUDGE_H

#include <signal.h>

#define NUDGE_SIGNAL  SIGURG
#define NUDGE_WAITING 8 /* threads at a time; more are not found */

/* Once a process, at its start. */
void nudge_take(void);
/* Around the wait: from here on the calling thread is one of them, until nudge_end() with the result. Cheap; any thread. */
int nudge_begin(void);
void nudge_end(int place);

#endif
