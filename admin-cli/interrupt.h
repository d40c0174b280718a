/* Ctrl-C and the other signals that end a program, for commands that have something to put right first. Until
 * interrupt_catch() they end aigwctl as usual; from then on they are noted, and come only during interrupt_poll(), so that
 * none is missed between a check and a wait. */
#ifndef AIGW_INTERRUPT_H
#define AIGW_INTERRUPT_H

#include <poll.h>

#include "errc.h"

void interrupt_catch(void);
/* Waits as poll() does; timeout_ms <= 0: for ever. ERRC_OK: something is ready; ERRC_TIMEOUT; ERRC_CANCELED: a signal came. */
MUSTCHECK enum errc interrupt_poll(struct pollfd *p, nfds_t n, int timeout_ms);

#endif
