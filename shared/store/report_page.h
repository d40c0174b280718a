/* Pages of a report. Where a page begins is told by a cursor, the names of the row before it as text that a URL takes as it is:
 * pages put together are the whole, and when requests end meanwhile no row comes twice. Pure. */
#ifndef AIGW_REPORT_PAGE_H
#define AIGW_REPORT_PAGE_H

#include "report.h"

#define REPORT_PAGE_CURSOR_MAX 2048

struct report_page {
	size_t from, to; /* rows from <= i < to */
};

/* The rows behind the cursor (empty: from the first), at most `limit` (0: all). ERRC_SYNTAX: it is no cursor of a report by what
 * `ask` names. */
MUSTCHECK enum errc report_page_find(const struct report *r, const struct report_ask *ask,
				     struct slice cursor, size_t limit, struct report_page *out);
/* Appends the cursor of the page behind this one; nothing when no rows are left. */
MUSTCHECK enum errc report_page_next(const struct report *r, const struct report_ask *ask,
				     struct report_page page, struct buf *out);

#endif
