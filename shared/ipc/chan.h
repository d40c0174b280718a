/* A channel: frames both ways over a connected unix stream socket, descriptors included. Non-blocking; knows no event
 * loop: its owner polls chan_fd() for reading always and for writing while chan_wants_write(), or uses chan_wait() where
 * blocking is right (aigwctl, tests). What cannot be sent at once is queued up to the ceiling. */
#ifndef AIGW_CHAN_H
#define AIGW_CHAN_H

#include "frame.h"
#include "list.h"

struct chan {
	unsigned magic;
	int fd; /* owned */
	size_t frame_max, queue_max;
	struct buf in;
	size_t in_used;             /* front of `in` that the last frame took */
	int fds[FRAME_FDS_MAX * 2]; /* received, not yet taken by a frame */
	unsigned fds_n, fds_cur;    /* fds_cur: of the current frame, at the front */
	struct list out;            /* struct chan_out, oldest first */
	size_t out_bytes;
	bool eof;
};

struct chan_frame {
	struct slice payload; /* valid until the next chan_next(), chan_read() or chan_fini() */
	int *fds; /* likewise; set an entry to -1 to keep that descriptor, the others are closed then */
	unsigned fds_n;
};

/* Takes over fd (made non-blocking, close-on-exec). frame_max is the largest payload accepted or sent. */
void chan_init(struct chan *c, int fd, size_t frame_max);
/* Changes how much may be queued, which is a few of the largest frames at first. */
void chan_set_queue(struct chan *c, size_t bytes);
/* Closes and frees everything queued. */
void chan_fini(struct chan *c);
static inline int chan_fd(const struct chan *c)
{
	return c->fd;
}

/* Reads what is there, at most 256 KiB beyond a frame in progress. ERRC_EOF once the peer has closed and nothing new came
 * (frames read before are still given by chan_next); ERRC_PROTOCOL when more descriptors came than frames named. */
MUSTCHECK enum errc chan_read(struct chan *c);
/* The next whole frame: 1 = *out is filled, 0 = read more, <0 = -errc (the peer is to be ended). */
MUSTCHECK int chan_next(struct chan *c, struct chan_frame *out);

/* Sends or queues one frame. The descriptors are borrowed (duplicated when they must wait). ERRC_LIMIT when the queue is
 * full, ERRC_TOOBIG above frame_max, ERRC_EOF or ERRC_CONNRESET when the peer has gone. */
MUSTCHECK enum errc chan_send(struct chan *c, struct slice payload, const int *fds, unsigned fds_n);
/* Sends what is queued, as far as the socket takes it. */
MUSTCHECK enum errc chan_flush(struct chan *c);
static inline bool chan_wants_write(const struct chan *c)
{
	return !list_is_empty(&c->out);
}

/* Waits until the channel can be read, sending queued output meanwhile. timeout_ms < 0: for ever.
 * ERRC_TIMEOUT when nothing came. */
MUSTCHECK enum errc chan_wait(struct chan *c, int timeout_ms);
/* Blocks until everything queued is sent. */
MUSTCHECK enum errc chan_drain(struct chan *c, int timeout_ms);

#endif
