/* The listening sockets: for every address one SO_REUSEPORT socket a worker slot, kept by the master, so that a worker's
 * death never drops a queue of connections. No event loop here. */
#ifndef AIGW_LISTENERS_H
#define AIGW_LISTENERS_H

#include "list.h"
#include "settings.h"

struct listeners_row {
	struct list node;
	char *address; /* owned; as in the settings */
	bool admin;
	int port;  /* the one that is bound */
	bool keep; /* set and cleared by listeners_plan() */
	unsigned fds_n;
	int fds[]; /* by worker slot; owned */
};

struct listeners {
	unsigned slots;
	struct list rows; /* struct listeners_row */
};

void listeners_init(struct listeners *l, unsigned slots);
/* Closes every socket. */
void listeners_fini(struct listeners *l);

/* Binds what `set` names and `l` has not, into the empty list `fresh`; marks in l what stays. alone: nobody else may hold the
 * addresses (false when processes of an older master may still listen). On failure nothing is left open and `why` says what
 * was wrong. */
MUSTCHECK enum errc listeners_plan(struct listeners *l, const struct settings *set, bool alone,
				   struct list *fresh, struct buf *why);
/* Moves the rows that the last plan did not mark to `gone`. The fresh ones are taken in by splicing them to l->rows. */
void listeners_gone(struct listeners *l, struct list *gone);
/* Closes and frees the rows of a list. */
void listeners_drop(struct list *rows);

#endif
