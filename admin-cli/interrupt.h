/* Ctrl-C and the other signals that end a program, for commands that have something to put right first. Until
 * interrupt_catch() they end aigwctl as usual; from then on they are noted, and come only during interrupt_poll(), so that
 * none is missed between a check and a wait. */
#ifndef AIGW_INTERRUPT_H
#define AIGW_INTERRUPT_H

#include <stdbool.h>

#include <poll.h>

#include "errc.h"

/* One that is ignored, as nohup has it, stays so. */
void interrupt_catch(void);
bool interrupt_is_caught(void);
/* The signal that came; 0: none. */
int interrupt_came(void);
/* Once it is caught and all is put right: the program ends by the signal after all, as who waits for it expects. */
void interrupt_die(int signal_number);
/* Waits as poll() does; timeout_ms <= 0: for ever. ERRC_OK: something is ready; ERRC_TIMEOUT; ERRC_CANCELED: a signal came. */
MUSTCHECK enum errc interrupt_poll(struct pollfd *p, nfds_t n, int timeout_ms);
/* The same for what is better waited for than lost: once a signal came, so long still. */
MUSTCHECK enum errc interrupt_poll_last(struct pollfd *p, nfds_t n, int timeout_ms, int last_ms);

#endif
