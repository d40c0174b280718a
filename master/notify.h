/* Tells the service manager how we are (sd_notify(3)), without its library: datagrams to the socket that $NOTIFY_SOCKET
 * names. Without one everything here does nothing. */
#ifndef AIGW_NOTIFY_H
#define AIGW_NOTIFY_H

#include "errc.h"

/* Reads $NOTIFY_SOCKET and $WATCHDOG_USEC once and takes them out of the environment. */
void notify_init(void);
void notify_ready(void);
void notify_reloading(void);
/* The end comes within so many milliseconds: the manager is to wait as long, also where its own limit is lower. */
void notify_stopping(int64_t within_ms);
void notify_status(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Every so many milliseconds notify_alive() is wanted; 0: never. */
int64_t notify_alive_ms(void);
void notify_alive(void);
void notify_fini(void);

#endif
