/* Patches a JSON object without copying it: a list of edits (replace, remove, append) over the body
 * that jscan went through, and the result as slices: before, new, after. Everything is borrowed:
 * body and replacement texts must stay valid for as long as the slices are used. Fixed size;
 * nothing is allocated. */
#ifndef AIGW_JSPLICE_H
#define AIGW_JSPLICE_H

#include "jscan.h"

#define JSPLICE_EDITS_MAX 22
/* Enough for every combination of that many edits. */
#define JSPLICE_SLICES_MAX (4 * JSPLICE_EDITS_MAX + 4)

enum jsplice_kind { JSPLICE_REPLACE, JSPLICE_REMOVE, JSPLICE_APPEND };

struct jsplice_edit {
	enum jsplice_kind kind;
	uint32_t off, len; /* replaced range; the removed member's key offset */
	struct slice text;
};

struct jsplice {
	struct slice body;
	const struct jscan *scan;
	unsigned n;
	bool full; /* an edit did not fit */
	struct jsplice_edit edits[JSPLICE_EDITS_MAX];
};

/* `scan` has been through jscan_end() without error over exactly `body`. */
void jsplice_init(struct jsplice *s, const struct jscan *scan, struct slice body);

/* A new value (JSON text) for a member. */
void jsplice_set(struct jsplice *s, const struct jscan_member *m, struct slice value);
/* Any range of the body, inside a value: `old` must point into the body. */
void jsplice_range(struct jsplice *s, struct slice old, struct slice text);
void jsplice_remove(struct jsplice *s, const struct jscan_member *m);
/* A further member, complete: "\"stream\":true". */
void jsplice_append(struct jsplice *s, struct slice member);

/* Writes the parts to out[JSPLICE_SLICES_MAX], their number to *n, the sum of their lengths to
 * *bytes. ERRC_LIMIT when there were too many edits, ERRC_INVAL when two of them overlap. */
MUSTCHECK
enum errc jsplice_build(struct jsplice *s, struct slice *out, unsigned *n, size_t *bytes);

#endif
