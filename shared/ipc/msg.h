/* Messages over channels: the rows of msg_tbl.h as structs, encoded as one msgpack array [number, fields…] a frame. A
 * receiver says where it listens; a message that is not for that place, is too large, has other fields than its row or
 * other descriptors is ERRC_PROTOCOL and the peer is to be ended. */
#ifndef AIGW_MSG_H
#define AIGW_MSG_H

#include "caps.h"
#include "chan.h"

/* Places where messages arrive. */
enum msg_place {
	MSG_AT_WORKER = 1 << 0, /* from the master */
	MSG_AT_KEEPER = 1 << 1, /* from the master */
	MSG_AT_MASTER = 1 << 2, /* from a child */
	MSG_AT_KEEPER_FROM_WORKER = 1 << 3,
	MSG_AT_WORKER_FROM_KEEPER = 1 << 4,
	MSG_AT_SERVER = 1 << 5, /* from aigwctl */
	MSG_AT_CTL = 1 << 6,
};

enum msg_type {
#define MSG(NAME, name, places, limit, fds) MSG_##NAME,
#define MSG_FIELD(name, kind, field)
#define MSG_END(name)
#include "msg_tbl.h"
#undef MSG
	MSG_COUNT
};

/* struct msg_prepare { uint64_t generation; struct slice blob; } and so on. */
#define MSG_TYPE_U64 uint64_t
#define MSG_TYPE_I64 int64_t
#define MSG_TYPE_STR struct slice
#define MSG_TYPE_BIN struct slice
#undef MSG_FIELD
#undef MSG_END
#define MSG(NAME, name, places, limit, fds) struct msg_##name {
#define MSG_FIELD(name, kind, field)        MSG_TYPE_##kind field;
#define MSG_END(name) \
	}             \
	;
#include "msg_tbl.h"
#undef MSG
#undef MSG_FIELD
#undef MSG_END

struct msg {
	enum msg_type type;
	int *fds; /* sending: borrowed; receiving: as in struct chan_frame */
	unsigned fds_n;
	union {
#define MSG(NAME, name, places, limit, fds) struct msg_##name name;
#define MSG_FIELD(name, kind, field)
#define MSG_END(name)
#include "msg_tbl.h"
#undef MSG
#undef MSG_FIELD
#undef MSG_END
	};
};

const char *msg_name(enum msg_type); /* "PREPARE"; "?" for no message */

/* Appends the payload of m to out. ERRC_TOOBIG above its row's limit. */
MUSTCHECK enum errc msg_encode(const struct msg *m, struct buf *out);
/* Reads a payload that arrived at `place` with fds_n descriptors. Slices of *out point into it. */
MUSTCHECK enum errc msg_decode(struct slice payload, unsigned fds_n, enum msg_place place,
			       struct msg *out);

/* Encodes and sends or queues; m->fds are borrowed. Errors as chan_send(). */
MUSTCHECK enum errc msg_send(struct chan *c, const struct msg *m);
/* The next message: 1, 0 or -errc. Slices and descriptors of *out are valid until the next msg_next() or chan_read() on
 * c; to keep a descriptor take it with msg_take_fd(). */
MUSTCHECK int msg_next(struct chan *c, enum msg_place place, struct msg *out);
/* Reads what is there and gives each whole message to `take`, until it returns false: then the channel may be gone. ERRC_OK: wait for more;
 * ERRC_EOF: the peer has closed, everything it sent was given; anything else: the peer is to be ended. */
MUSTCHECK enum errc msg_receive(struct chan *c, enum msg_place place,
				bool (*take)(void *arg, struct msg *m), void *arg);
/* The i-th descriptor, owned by the caller from now; -1 when there is none. */
int msg_take_fd(struct msg *m, unsigned i);

#endif
