/* Counters by API key, for `metrics: {by_key: on}`: a bounded table in the shared page, a row a key. A key has a row to itself or,
 * once all are taken, counts in the row `other`, always with all of its counters. Rows stay until the machine is restarted, like
 * all counters of the page. */
#ifndef AIGW_KEYMETER_H
#define AIGW_KEYMETER_H

#include "buf.h"
#include "page.h"
#include "usage.h"

#define KEYMETER_KEYS_MAX 1024 /* that have a row; the manual says so */

enum keymeter_cell {
#define KEYMETER(NAME, series, value) KEYMETER_##NAME,
#include "keymeter_tbl.h"
#undef KEYMETER
	KEYMETER_TOKENS, /* the first of USAGE_COUNT cells */
	KEYMETER_CELLS = KEYMETER_TOKENS + USAGE_COUNT
};

struct keymeter;

/* The row of a key, made when new; never NULL. Valid while the page is mapped. Texts are borrowed during the call. */
struct keymeter *keymeter_of(struct page *p, struct slice key_id, struct slice account);
void keymeter_add(struct keymeter *k, enum keymeter_cell c, uint64_t n);
/* The cell of requests that a client saw end with this status; 0: it saw none. */
enum keymeter_cell keymeter_of_status(int status);

/* Appends all rows as Prometheus text; cells that are 0 are left out. */
MUSTCHECK enum errc keymeter_print(struct page *p, struct buf *out);

#endif
