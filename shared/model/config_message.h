/* Messages of the configuration, one a line as config_load() appends them, taken apart again. Pure; all slices point into
 * the lines. */
#ifndef AIGW_CONFIG_MESSAGE_H
#define AIGW_CONFIG_MESSAGE_H

#include "slice.h"

struct config_message {
	struct slice level; /* "error" or "warning" */
	struct slice file;  /* empty: no place */
	struct slice text;
	uint64_t line, column; /* 0: no place */
};

/* The next message; false at the end. Empty lines are passed over. */
bool config_message_next(struct slice *lines, struct config_message *out);
/* The first error; false when there is none. */
bool config_message_first_error(struct slice lines, struct config_message *out);
/* Cuts the last line off, which config_check() adds to a success. */
struct slice config_message_cut_last(struct slice *lines);

#endif
