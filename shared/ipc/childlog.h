/* The log of a child: what log.to means for a process that may not be allowed to open the file itself. stderr and syslog are
 * opened by the child; a file is opened by the master, whose descriptor comes in the heritage and with LOG_REOPEN (after
 * SIGUSR1, and after a COMMIT that changed log.to to a file). */
#ifndef AIGW_CHILDLOG_H
#define AIGW_CHILDLOG_H

#include "heritage.h"
#include "msg.h"
#include "settings.h"

/* First thing in a child: writes where and how the heritage says. `process` is valid for the process's life. */
MUSTCHECK enum errc childlog_start(const struct heritage *h, const char *process);
/* After a commit: level, format and target. Until a new file's descriptor comes the old target stays. */
MUSTCHECK enum errc childlog_apply(const struct settings *set);
/* On LOG_REOPEN; takes the descriptor out of m. */
MUSTCHECK enum errc childlog_reopen(struct msg *m);

#endif
