/* What the master leaves to a child across fork and exec, written out: the role, names and numbers in one environment
 * variable, descriptors at the numbers that it names. Everything else is closed and the environment is cut down to a
 * fixed list (secrets of the configuration never reach a child this way). */
#ifndef AIGW_HERITAGE_H
#define AIGW_HERITAGE_H

#include <limits.h>
#include <sys/types.h>

#include "errc.h"
#include "slice.h"

#define HERITAGE_WORKERS_MAX 256
#define HERITAGE_LEDGER_ID   32 /* hexadecimal digits */

/* The state folder as the keeper opens it: it is started inside, for the way there may be open to the master only. */
#define HERITAGE_STATE_DIR "."

enum heritage_role { HERITAGE_MASTER, HERITAGE_KEEPER, HERITAGE_WORKER };

/* Paths are absolute. Descriptors that a role does not get are -1. All are owned by the child. */
struct heritage {
	enum heritage_role role;
	unsigned slot;      /* worker: 0…workers-1; keeper: 0 */
	unsigned workers;   /* slots of this master */
	unsigned page_slot; /* of this process in the shared page */
	uint64_t generation; /* of this master, as in the page; a higher one there means: another master has taken over */
	pid_t master_pid;
	int chan_fd; /* to the master */
	int page_fd; /* the shared page */
	int bell_fd; /* eventfd that is rung for this process: keeper by workers, worker by the keeper */
	int keeper_bell_fd;                        /* worker: the keeper's bell */
	int worker_bell_fds[HERITAGE_WORKERS_MAX]; /* keeper: the workers' bells by slot */
	int log_fd;                                /* an opened `file:` log target, else -1 */
	unsigned log_format, log_level;            /* enum log_format, enum log_level */
	char log_to[256];                          /* where log lines go without log_fd */
	char ledger_id[HERITAGE_LEDGER_ID + 1];
	char state[PATH_MAX]; /* the state folder, for messages; see HERITAGE_STATE_DIR */
	char live[PATH_MAX];  /* the live folder, shared_memory/<ledger_id> */
};

const char *heritage_role_name(enum heritage_role); /* "master", "keeper", "worker" */

/* In the child, first thing: HERITAGE_MASTER without a heritage. Checks that every named descriptor is open, marks all
 * close-on-exec and takes the variable out of the environment. ERRC_PROTOCOL when the text is not ours. */
MUSTCHECK enum errc heritage_take(struct heritage *out);

/* Between fork and exec: moves the descriptors of h to their numbers, closes all others from 3 on, replaces this process
 * by the program open at exe_fd. Returns only on failure. Async-signal-safe after heritage_plan(). */
struct heritage_plan;
MUSTCHECK enum errc heritage_plan(const struct heritage *h, int exe_fd, struct heritage_plan **out);
void heritage_exec(struct heritage_plan *p);
void heritage_plan_free(struct heritage_plan **p);

#endif
