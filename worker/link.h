/* A channel on the worker's loop: reads when there is something, flushes what is queued, hands up whole messages. The keeper's twin is klink.h:
 * no floor below both may use libuv. */
#ifndef AIGW_LINK_H
#define AIGW_LINK_H

#include <uv.h>

#include "msg.h"

struct link {
	struct chan chan;
	uv_poll_t *poll; /* owned; NULL: the link is down */
	enum msg_place place;
	/* m is valid during the call. */
	void (*on_msg)(void *arg, struct msg *m);
	/* The link went down: ERRC_EOF, or what the peer did wrong. It may be opened again. */
	void (*on_end)(void *arg, enum errc e);
	void *arg;
};

/* Takes over fd. The callbacks and arg were set by the caller and are kept over close and open. */
MUSTCHECK enum errc link_open(struct link *l, uv_loop_t *loop, int fd, enum msg_place place,
			      size_t frame_max);
/* Allowed when down. Calls nothing. */
void link_close(struct link *l);
static inline bool link_is_up(const struct link *l)
{
	return l->poll != NULL;
}
/* ERRC_EOF when the link is down. */
MUSTCHECK enum errc link_send(struct link *l, const struct msg *m);

#endif
