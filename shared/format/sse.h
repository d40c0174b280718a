/* Server-sent events, incremental. The reader takes the stream in whatever pieces it comes and hands out whole frames: it
 * copies nothing when a frame lies in the pushed bytes, and holds only the unfinished frame otherwise. Line ends are LF,
 * CRLF or CR. A frame ends at its CR at once, an LF that may follow is dropped. Pure. */
#ifndef AIGW_SSE_H
#define AIGW_SSE_H

#include "buf.h"

/* One frame. All slices are valid until the next call that takes the reader, and while the pushed bytes are. */
struct sse_event {
	struct slice name;  /* of `event:`; p is NULL without one */
	struct slice data;  /* several lines joined by LF; p is NULL without a `data` line */
	struct slice raw;   /* the frame as it came, its blank line included */
	bool is_comment;    /* nothing but comment lines */
	bool is_unfinished; /* the stream ended before the frame's blank line */
};

struct sse {
	struct buf held;   /* the frame that began in an earlier push */
	struct buf joined; /* data of several lines */
	struct slice in; /* pushed and not consumed yet; begins at a frame while `held` is empty */
	size_t max, lines_len; /* lines_len: bytes of the current frame that are whole lines */
	size_t name_at, name_n, data_at, data_n;
	uint64_t events; /* frames handed out that are no comments; the caller may read it */
	enum errc failed;
	bool has_name, has_data, is_joined, has_field, has_comment;
	bool skip_lf, started, finished, held_given;
};

/* No memory is taken. A frame of more than `max` bytes fails with ERRC_TOOBIG. */
void sse_init(struct sse *s, size_t max);
void sse_fini(struct sse *s);

/* `in` is borrowed until sse_next() returned 0, or error; not before then may the next be pushed. */
void sse_push(struct sse *s, struct slice in);
/* No more will come: sse_next() then also gives a last frame that has no blank line. */
void sse_finish(struct sse *s);
/* 1 = *out is filled, 0 = needs more, <0 = -errc, which stays (-ERRC_TOOBIG, -ERRC_NOMEM). */
MUSTCHECK int sse_next(struct sse *s, struct sse_event *out);

/* Writes a frame: `event:` unless name is empty, one `data:` line for each line of data. ERRC_INVAL when name has a line end. */
MUSTCHECK enum errc sse_put(struct buf *out, struct slice name, struct slice data);
/* Writes a comment frame; `text` has no line end (else ERRC_INVAL). */
MUSTCHECK enum errc sse_put_comment(struct buf *out, struct slice text);

#endif
