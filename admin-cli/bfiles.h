/* The files of a backup, `ledger/data.mdb`, `pepper` and `backup.json`, made so that a crash never leaves something that looks
 * complete: everything stands in a folder with a temporary name beside the place (unfinished.h), is synced, and gets its name last.
 * Folders are 0700 and files 0600, for the pepper is in them. */
#ifndef AIGW_BFILES_H
#define AIGW_BFILES_H

#include <limits.h>

#include "digest.h"

#define BFILES_DATA     "ledger/data.mdb"
#define BFILES_PEPPER   "pepper"
#define BFILES_MANIFEST "backup.json"

/* A folder under way. */
struct bfiles {
	char path[PATH_MAX]; /* empty: none is under way */
	int dir;
};

/* Removes what others who were killed have left beside where `name` will be, and makes a folder there. */
MUSTCHECK enum errc bfiles_begin(struct bfiles *b, const char *name);
/* Syncs the folder and renames it to `name`, in the same parent; ERRC_EXISTS when something is there. */
MUSTCHECK enum errc bfiles_finish(struct bfiles *b, const char *name);
/* Removes a folder under way and what a backup or a restore has in it. */
void bfiles_abort(struct bfiles *b);

/* A folder that has its name is under way again, to be removed by bfiles_abort(). */
void bfiles_resume(struct bfiles *b, const char *name);

/* A new file in the folder, to be closed with bfiles_close(), which syncs it. */
MUSTCHECK enum errc bfiles_create(struct bfiles *b, const char *name, int *fd);
MUSTCHECK enum errc bfiles_close(int *fd, enum errc so_far);
MUSTCHECK enum errc bfiles_put(struct bfiles *b, const char *name, struct slice s);

#endif
