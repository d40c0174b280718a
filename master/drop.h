/* Privileges: whom keeper and workers run as, and what every process gives up. */
#ifndef AIGW_DROP_H
#define AIGW_DROP_H

#include <sys/types.h>

#include "errc.h"
#include "slice.h"

#define DROP_FALLBACK "nobody" /* where neither a user is set nor aigw exists */

struct drop_ids {
	bool change; /* false: we are not root, or run as root was asked for */
	uid_t uid;
	gid_t gid;
	char name[64]; /* the user's, for messages; "" without a change */
};

/* Looks up user and group of the settings; empty ones: the user aigw, else nobody, and its own group. ERRC_NOTFOUND when a
 * named one does not exist. Does nothing but `change = false` when the caller is not root. */
MUSTCHECK enum errc drop_lookup(struct slice user, struct slice group, struct drop_ids *out);
/* Between fork and exec: supplementary groups, group, user, for good. System calls only. False when one of them fails. */
bool drop_apply(const struct drop_ids *ids);
/* Whatever the process is: no new privileges, no core file, not readable by others (/proc, ptrace). */
MUSTCHECK enum errc drop_harden(void);
/* Raises the limit of open files: to `files`, or as far as it goes when that is 0. Returns what it is then. */
uint64_t drop_open_files(uint64_t files);

#endif
