/* Files that are there whole or not at all, whatever ends the process or the machine: written aside, synced, then given their name.
 * A name that is new, or new for another file, is there for good only once its folder is on disk too. */
#ifndef AIGW_FILES_H
#define AIGW_FILES_H

#include <limits.h>
#include <sys/types.h>

#include "errc.h"
#include "slice.h"

/* What is written aside has this behind its name. */
#define FILES_ASIDE ".new"

MUSTCHECK enum errc files_sync_folder(const char *path);
/* The folder in which `path` is, which may end with slashes. */
void files_parent(const char *path, char out[PATH_MAX]);
/* What has just been given the name `path` keeps it. */
MUSTCHECK enum errc files_sync_parent(const char *path);
/* All of it, however many calls that takes. */
MUSTCHECK enum errc files_write(int fd, struct slice s);

enum files_how { FILES_NEW, FILES_REPLACE };

/* Makes the file `name` in the folder `dir`, a descriptor that can be synced; when it returns, file and name are on disk. What
 * somebody who was killed left aside is removed, so only one at a time may put a file of this name. On an error nothing is left
 * aside. ERRC_EXISTS, with FILES_NEW: the name is taken. */
MUSTCHECK enum errc files_put(int dir, const char *name, mode_t mode, struct slice bytes,
			      enum files_how how);

#endif
