/* The signals of the master: HUP reload, TERM and QUIT drain, INT drain and the second time stop now, USR1 reopen logs,
 * CHLD a child has ended; all others that would end it by mistake are ignored. */
#ifndef AIGW_SIGNALS_H
#define AIGW_SIGNALS_H

struct master;

/* Before anything else: of all signals but these and those of faults none does anything. */
void signals_ignore(void);
/* For a child between fork and exec: what the master handles for all of them (a terminal sends it to the whole group), and
 * the rest likewise; everything else is as the kernel has it. Calls nothing but system calls. */
void signals_ignore_in_child(void);
void signals_start(struct master *m);

#endif
