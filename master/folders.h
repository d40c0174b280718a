/* The folders that a node lives in: state (on disk) and live (on a tmpfs). Made when missing, owned by whom keeper and
 * workers run as, closed to others. */
#ifndef AIGW_FOLDERS_H
#define AIGW_FOLDERS_H

#include "drop.h"
#include "slice.h"

/* Makes `path` and what is missing above it; the last one gets mode and owner. */
MUSTCHECK enum errc folders_make(const char *path, mode_t mode, const struct drop_ids *ids);
/* Writes the live folder's path: `shared_memory`, or its default when empty, then the ledger's id. */
MUSTCHECK enum errc folders_live_path(struct slice shared_memory, const char *ledger_id, char *out,
				      size_t n);
/* Makes it. ERRC_INVAL when it does not lie on a tmpfs, ERRC_NOSPACE when fewer than `need` bytes are free there and no
 * store is there yet. */
MUSTCHECK enum errc folders_live_make(const char *path, uint64_t need, const struct drop_ids *ids);

/* Makes the state folder, and what keeper and workers have in the folders, theirs again: another `user` may have been set, or the service
 * manager have given all of the state folder to root, as systemd does whenever it runs a command of the service: each start and reload. */
MUSTCHECK enum errc folders_give_state(int dir, const struct drop_ids *ids);
MUSTCHECK enum errc folders_give_live(const char *path, const struct drop_ids *ids);
/* Whether those who run as `ids` get into `path`. ERRC_PERM when not; `blocked`, of PATH_MAX bytes, then names the first folder
 * on the way that they may not enter. ERRC_STATE: this root may not become them. Forks a process that tries it as they would. */
MUSTCHECK enum errc folders_reach(const char *path, const struct drop_ids *ids, char *blocked);

#endif
