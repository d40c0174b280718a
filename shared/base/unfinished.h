/* Folders that a backup or a restore has under way, and what is left of them by one that was killed. They are named
 * `<place>.unfinished-XXXXXX`, and whoever works on one has it locked (flock), so that one without a lock is left over. A restore's is
 * renamed to `ledger.before-<time>` before it changes places with the ledger; the file UNFINISHED_MARK in it tells until then that it
 * is not the ledger of before. What is left over has copies of books and peppers in it. */
#ifndef AIGW_UNFINISHED_H
#define AIGW_UNFINISHED_H

#include <limits.h>

#include "errc.h"

#define UNFINISHED_TAG  ".unfinished-"
#define UNFINISHED_MARK "unfinished"

/* Makes and locks a folder for `place`. `path` gets its name, which is empty on an error; *fd is owned by the caller, and the lock ends
 * with it. */
MUSTCHECK enum errc unfinished_make(const char *place, char path[PATH_MAX], int *fd);
/* Removes the folder `name` in `parent`, with all files in it and in folders in it, the mark last. */
MUSTCHECK enum errc unfinished_remove(int parent, const char *name);
/* Removes all such folders in `parent` that nobody works on. */
MUSTCHECK enum errc unfinished_sweep(int parent);
/* Takes the mark from the ledger that is in place in a node's state folder, and is sure that it does not come back with a power cut:
 * as a ledger of before it would be taken for left over. */
MUSTCHECK enum errc unfinished_end(int state);
/* Both in a state folder of which the caller has the lock, with folders that a restore had renamed already. */
MUSTCHECK enum errc unfinished_sweep_state(int state);

#endif
