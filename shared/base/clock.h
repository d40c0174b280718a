/* The three clocks. `boot` (CLOCK_BOOTTIME) is one clock for all processes of the machine and is never stepped: deadlines,
 * rate windows. `wall` (CLOCK_REALTIME) is for budget windows, expiry and what people read. Pure code takes times as
 * arguments; only loops and tools read clocks. */
#ifndef AIGW_CLOCK_H
#define AIGW_CLOCK_H

#include <stdint.h>

#include "slice.h"

#define CLOCK_NS_S  INT64_C(1000000000)
#define CLOCK_NS_MS INT64_C(1000000)

int64_t clock_boot_ns(void);
int64_t clock_boot_ms(void);
/* The boot clock for who counts in days; no deadline goes by it. */
int64_t clock_age_ms(void);
int64_t clock_wall_ns(void);
int64_t clock_wall_ms(void);
int64_t clock_wall_s(void);

/* Days from 1970-01-01 to a date of the Gregorian calendar (the 13th month is the next January), and the date of such a day;
 * years 0 to 100,000. */
int64_t clock_days(int64_t y, int m, int d);
void clock_date(int64_t days, int *y, int *m, int *d);

/* "2026-11-25T09:30:00Z", or with milliseconds "2026-11-25T09:30:00.123Z"; `out` holds at least CLOCK_TEXT_MAX bytes. Years
 * 1970 to 9999; outside of it the nearest is written. Returns the length. */
#define CLOCK_TEXT_MAX 32
size_t clock_format_s(int64_t wall_s, char *out);
size_t clock_format_ms(int64_t wall_ms, char *out);
/* Reads the RFC 3339 form (with Z or an offset, fraction optional) or a bare date (midnight UTC). False when it is neither. */
bool clock_parse(struct slice text, int64_t *wall_ms_out);

#endif
