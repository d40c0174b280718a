/* Reads one HTTP/1.1 answer after the other, as little of it as a load generator must know: status, where it ends, how many
 * events of a stream it carried. Written apart from the gateway's own parser, so that both are not wrong in the same way. */
#ifndef AIGW_REPLY_H
#define AIGW_REPLY_H

#include "slice.h"

#define REPLY_LINE 4096

enum reply_state {
	REPLY_STATUS,
	REPLY_FIELDS,
	REPLY_BODY,
	REPLY_CHUNK_SIZE,
	REPLY_CHUNK,
	REPLY_CHUNK_END,
	REPLY_TRAILER,
	REPLY_DONE,
	REPLY_BAD
};

struct reply {
	enum reply_state state;
	int status;
	bool is_chunked, closes, lf; /* lf: the last byte of the body ended a line */
	uint64_t left;               /* of the body or chunk */
	uint64_t events;             /* empty lines in the body */
	size_t n;                    /* of line */
	char line[REPLY_LINE];
};

/* Before the first answer and between two. */
void reply_start(struct reply *r);
/* Takes bytes up to the end of the answer and returns how many; r->state is REPLY_DONE or REPLY_BAD when it is over. */
size_t reply_feed(struct reply *r, struct slice data);

#endif
