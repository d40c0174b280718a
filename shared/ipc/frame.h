/* Frames of the channels between our processes and with aigwctl: eight bytes of head (payload length as a little-endian
 * u32, number of descriptors that travel with it, three zero bytes), then the payload, one msgpack array. Pure: no I/O.
 * The length is checked against the reader's ceiling before anything is reserved for it. */
#ifndef AIGW_FRAME_H
#define AIGW_FRAME_H

#include "buf.h"

#define FRAME_HEAD    8
#define FRAME_FDS_MAX 16 /* descriptors a frame */

struct frame {
	struct slice payload; /* borrowed from the input */
	unsigned fds_n;       /* how many descriptors belong to it */
	size_t total;         /* bytes of head and payload */
};

/* Looks at the front of `in`: 1 = a whole frame, 0 = more is needed (out->total tells how much once the head is there,
 * 0 before), <0 = -errc (ERRC_TOOBIG above payload_max,
 * ERRC_PROTOCOL for an odd head). out->payload is valid as long as `in`. */
MUSTCHECK int frame_parse(struct slice in, size_t payload_max, struct frame *out);
/* Writes the head of a frame; `out` holds FRAME_HEAD bytes. fds_n <= FRAME_FDS_MAX. */
void frame_head(char *out, size_t payload_n, unsigned fds_n);

#endif
