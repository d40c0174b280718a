/* The framing of an HTTP/1 body: by length, chunked or until the connection closes. Hands out parts of the caller's bytes
 * without their framing. Part of http1, on its own so that it can be tested alone. Pure. */
#ifndef AIGW_HTTP1_BODY_H
#define AIGW_HTTP1_BODY_H

#include "errc.h"
#include "slice.h"

/* Bytes of chunk extensions and trailers, which are dropped, in one message. */
#define HTTP1_BODY_EXTRA_MAX (16 * 1024)

enum http1_body_kind {
	HTTP1_BODY_NONE,
	HTTP1_BODY_LENGTH,
	HTTP1_BODY_CHUNKED,
	HTTP1_BODY_UNTIL_CLOSE
};

struct http1_body {
	enum http1_body_kind kind;
	uint8_t state, digits;
	uint64_t left;   /* of the body or the chunk */
	size_t extra;    /* bytes of extensions and trailers seen */
	const char *why; /* static text on the error */
};

/* `length` counts for HTTP1_BODY_LENGTH only. */
void http1_body_init(struct http1_body *b, enum http1_body_kind kind, uint64_t length);
/* Consumes the front of *in: 1 = *part is filled (not empty, inside the caller's bytes), 0 = all was consumed and more is
 * needed, -ERRC_EOF = the body is complete, -ERRC_PROTOCOL = refused, see b->why. */
MUSTCHECK int http1_body_next(struct http1_body *b, struct slice *in, struct slice *part);

#endif
