/* Writes one log line as text (key=value) or JSON. Pure: log.c adds the time and the process and carries lines away. What
 * stands in a value can never end a line or a string: quotes, control bytes and bytes above 126 are escaped (text: \xHH a
 * byte; JSON: \uXXXX, bytes that are no UTF-8 as the text \xHH). */
#ifndef AIGW_LOGLINE_H
#define AIGW_LOGLINE_H

#include "log.h"

#define LOGLINE_MAX 8192 /* bytes of a line, its newline included */
#define LOGLINE_VALUE_MAX \
	1024 /* bytes of a value that are looked at; the rest is cut and "..." added */

struct logline {
	int64_t wall_ms;
	enum log_level level;
	enum log_format format;
	const char *process, *event; /* either may be NULL */
	struct slice message;        /* left out when p is NULL */
	const struct log_field *fields;
	size_t field_count;
};

/* Writes the line with its newline to `out` (LOGLINE_MAX bytes) and returns its length. Fields that do not fit any more are
 * replaced by truncated=true. */
size_t logline_write(const struct logline *l, char *out);

#endif
