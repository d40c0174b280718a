/* A channel on the keeper's loop: to the master, to a worker, to aigwctl. Callbacks may close it. The worker's twin is link.h: no floor below both
 * may use libuv. */
#ifndef AIGW_KLINK_H
#define AIGW_KLINK_H

#include <uv.h>

#include "msg.h"

struct klink {
	struct chan chan;
	uv_poll_t *poll; /* owned; NULL while it is not watched */
	enum msg_place place;
	/* `m` is valid during the call. */
	void (*on_msg)(struct klink *l, struct msg *m);
	/* It has ended (the peer closed, or broke the protocol) and is closed already. */
	void (*on_end)(struct klink *l, enum errc e);
	/* May be NULL: everything queued has been sent. */
	void (*on_sent)(struct klink *l);
};

/* Takes over fd, which is not watched yet. The caller has set the three functions. */
void klink_init(struct klink *l, int fd, enum msg_place place, size_t frame_max);
/* Begins to watch; on failure it is closed. */
MUSTCHECK enum errc klink_watch(struct klink *l, uv_loop_t *loop);
/* May be called twice. */
void klink_close(struct klink *l);
static inline bool klink_is_up(const struct klink *l)
{
	return l->poll != NULL;
}
/* ERRC_EOF when it is not up. */
MUSTCHECK enum errc klink_send(struct klink *l, const struct msg *m);

#endif
