/* The signals of the master: HUP reload, TERM and QUIT drain, INT drain and the second time stop now, USR1 reopen logs,
 * CHLD a child has ended; all others that would end it by mistake are ignored. */
#ifndef AIGW_SIGNALS_H
#define AIGW_SIGNALS_H

struct master;

/* Before anything else: nothing kills us by the way. */
void signals_ignore(void);
void signals_start(struct master *m);

#endif
