/* The time zones of this process by name: read from the system's tzdata (/usr/share/zoneinfo, or where TZDIR says) at their first
 * use, then kept for the life of the process. Any thread may call.
 *
 * A limit's row carries the name only. The alternative, a table of borders written into the row at each edit, needs no file in
 * the workers but would freeze the rules of that day: zones change by decree, a tzdata upgrade must reach limits that nobody
 * edits. So every process that counts reads the files itself, which costs it some 0.1 ms a zone, once: as a rule when the key of
 * a request is looked up, before the transaction that counts. UTC needs no file. */
#ifndef AIGW_ZONES_H
#define AIGW_ZONES_H

#include "zone.h"

#define ZONES_NAME_MAX 63   /* bytes of a zone's name */
#define ZONES_MAX      1024 /* different names a process keeps; tzdata has about 600 */

/* Whether it can be a zone's name: words of letters, digits, `_`, `-` and `+`, with `/` between them. Files of other names are
 * never opened. */
bool zones_name_is_valid(struct slice name);

/* For who sets a zone. *out is valid as long as the process; NULL for "" and "UTC". ERRC_INVAL (no such name can be),
 * ERRC_NOTFOUND (no such file), ERRC_SYNTAX (no zone, or one with leap seconds), ERRC_LIMIT, ERRC_IO, ERRC_NOMEM. */
MUSTCHECK enum errc zones_find(struct slice name, const struct zone **out);

/* For who counts: what cannot be had is UTC, told in one log line a name. It is tried again at most once a minute. */
const struct zone *zones_get(struct slice name);

/* At the end of a process, or of a test: no zone may be used any more. */
void zones_fini(void);

#endif
