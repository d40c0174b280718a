/* The verbs that the master serves itself. */
#ifndef AIGW_CONTROL_VERB_H
#define AIGW_CONTROL_VERB_H

#include "control_server.h"

/* Answers, or notes what the client waits for. args is the request's encoded fields, valid during the call. */
MUSTCHECK enum errc control_verb_serve(struct control_client *c, enum control_verb v,
				       struct slice args);
/* Rows "message" {level, file, line, column, text} from the lines of config_load(). */
MUSTCHECK enum errc control_verb_messages(struct control_client *c, struct slice lines);
/* An END whose place and message are those of the first error among the lines. */
MUSTCHECK enum errc control_verb_end_errors(struct control_client *c, enum control_status status,
					    const char *code, struct slice lines);

#endif
