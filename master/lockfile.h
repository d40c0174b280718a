/* A lock that says "one of us runs here": a file with our pid, locked by fcntl, so that the kernel drops it with the
 * process and can name the holder. Children do not inherit it. */
#ifndef AIGW_LOCKFILE_H
#define AIGW_LOCKFILE_H

#include <sys/types.h>

#include "errc.h"

/* *fd is owned by the caller; closing it ends the lock. ERRC_BUSY when another process holds it, whose pid is in *holder
 * (0 when it has just gone). No other descriptor of the file may be opened in this process. */
MUSTCHECK enum errc lockfile_take(const char *path, int *fd, pid_t *holder);

#endif
