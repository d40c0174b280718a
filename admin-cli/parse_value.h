/* One argument's text to the value of its field, by the type that the token table gives. Pure. */
#ifndef AIGW_PARSE_VALUE_H
#define AIGW_PARSE_VALUE_H

#include "command.h"

/* Fills type and value of *out; texts point into `text`. On ERRC_INVAL `why` (n bytes) says what was expected. */
MUSTCHECK enum errc parse_value(const struct command_arg *a, struct slice text, int64_t now_ms,
				struct control_field *out, char *why, size_t n);

#endif
