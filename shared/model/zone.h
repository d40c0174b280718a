/* One time zone: when its local clock shows which date. Made from the bytes of a TZif file (RFC 8536, versions 1 to 4); beyond
 * the last change that the file lists, its rule for all years to come (the POSIX TZ text at its end) goes on. Pure; zones.h finds
 * the file. Times are wall seconds, days are counted from 1970-01-01; NULL is UTC.
 *
 * A local day begins at the first instant at which the zone shows that date or a later one. So days tile the time line also
 * where the clock skips midnight (the day begins at 01:00), where it falls back over midnight (the repeated end of yesterday
 * belongs to today), and where a date is left out altogether (that day is empty). */
#ifndef AIGW_ZONE_H
#define AIGW_ZONE_H

#include "errc.h"
#include "slice.h"

#define ZONE_FILE_MAX 65536 /* bytes of a TZif file */

struct zone;

/* *out is owned by the caller until zone_free(); `bytes` are valid during the call. ERRC_SYNTAX: no TZif, one that contradicts itself, or one
 * that counts leap seconds (Unix time does not). ERRC_NOMEM. */
MUSTCHECK enum errc zone_parse(struct slice bytes, struct zone **out);
void zone_free(struct zone **zp);

/* Seconds to add to wall time for local time. */
int32_t zone_offset_s(const struct zone *z, int64_t wall_s);
/* The day that has begun last. */
int64_t zone_day(const struct zone *z, int64_t wall_s);
int64_t zone_day_begin_s(const struct zone *z, int64_t day);

/* Windows of `len_s` (a minute, an hour) by elapsed time: they begin when the local clock shows a multiple of it, so that the hour
 * that a zone repeats is two windows; and where the offset changes by less than a whole one (Lord Howe: half an hour), which
 * makes two short windows instead of one. The begin of the window around `wall_s`, and of the one that follows. */
int64_t zone_tick_begin_s(const struct zone *z, int64_t len_s, int64_t wall_s);
int64_t zone_tick_next_s(const struct zone *z, int64_t len_s, int64_t wall_s);

#endif
