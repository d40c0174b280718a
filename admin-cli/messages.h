/* Messages of the configuration in an answer: rows of kind "message". */
#ifndef AIGW_MESSAGES_H
#define AIGW_MESSAGES_H

#include "ask.h"

/* Adds them from lines as config_load() writes them. */
MUSTCHECK enum errc messages_add(struct ask_answer *a, struct slice lines);
/* For people, one a line as compilers write them: "file:line:column: error: text". */
void messages_put(const struct ask_answer *a, const struct term *t, struct put *p);

#endif
