/* The states of several scopes of an account in one row, each behind its kind and id: what a request reads and writes of them is one row then.
 * Such a row's id is empty; the others have the state of one scope. Pure. */
#ifndef AIGW_ROWS_STATES_H
#define AIGW_ROWS_STATES_H

#include "rows.h"

#define ROWS_STATES_MAX 1024 /* bytes of such a row: a few of them share a page of the store */

struct rows_key_name rows_name_states(uint64_t account);

/* A walk over the states that a row has. Borrows the row. */
struct rows_states {
	struct slice left;
	bool one; /* the row of one scope */
	/* After rows_states_next(). */
	enum rows_kind kind;
	const char *id;     /* ROWS_ID bytes */
	struct slice state; /* for rows_get_state() */
};

/* `id` as in the row's key. ERRC_VERSION, ERRC_CORRUPT: also a row of several without any, which is never written. */
MUSTCHECK enum errc rows_states_begin(struct rows_states *w, struct slice id, struct slice row);
/* ERRC_NOTFOUND: there are no more. ERRC_CORRUPT. */
MUSTCHECK enum errc rows_states_next(struct rows_states *w);

/* Whether the walk comes to its end: what is behind a state may be damaged too. ERRC_VERSION, ERRC_CORRUPT. */
MUSTCHECK enum errc rows_states_check(struct slice id, struct slice row);

/* Bytes that a state takes in a row of several, and that such a row has without any. */
#define ROWS_STATES_ENTRY(n) (1 + ROWS_ID + 2 + (n))
#define ROWS_STATES_EMPTY    1
/* Begins a row of several in an empty buffer; adds one. ERRC_NOMEM, ERRC_LIMIT. */
MUSTCHECK enum errc rows_states_start(struct buf *out);
MUSTCHECK enum errc rows_states_add(struct buf *out, enum rows_kind kind, const char id[ROWS_ID],
				    struct slice state);

#endif
