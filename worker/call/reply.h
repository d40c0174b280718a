/* Answers of the gateway's own making, and the lines above every answer: ids, what was used, limits, CORS. All write to the call's client
 * connection, which must not be NULL. */
#ifndef AIGW_REPLY_H
#define AIGW_REPLY_H

#include "call_steps.h"

/* Lines that every answer has; into the host's scratch buffer, which is emptied first. */
MUSTCHECK enum errc reply_lines(struct call *c, struct buf *b);
/* Lines of a proxied answer: provider, attempts, times, limits. `whole`: its charge too. */
MUSTCHECK enum errc reply_lines_up(struct call *c, struct buf *b, bool whole);

/* Sends the head of a proxied answer whose end is not known yet: a stream, or a whole answer too long to be held. */
MUSTCHECK enum errc reply_stream_head(struct call *c);

/* Ends the request with a body of our own; `type` is its content type. Nothing is written if the client is gone. */
void reply_body(struct call *c, int status, const char *type, struct slice body);
/* Ends the request with c->fault in the caller's dialect. */
void reply_fault(struct call *c);
/* 204 of a CORS preflight. */
void reply_preflight(struct call *c);

#endif
