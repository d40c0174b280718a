/* gzip and deflate (zlib) bodies, decoded as they come, with a ceiling over all output: what a small body expands to is
 * bounded. Exactly one compressed stream is read; anything behind it is an error. Pure. */
#ifndef AIGW_INFLATE_H
#define AIGW_INFLATE_H

#include "buf.h"

enum inflate_format { INFLATE_GZIP, INFLATE_DEFLATE };

struct inflate;

/* Owned by the caller until inflate_free(). `max` is the ceiling over all output. */
MUSTCHECK enum errc inflate_new(enum inflate_format format, size_t max, struct inflate **out);
/* Accepts NULL inside. */
void inflate_free(struct inflate **z);
/* Decodes all of `in` and appends to `out`. ERRC_TOOBIG: the ceiling, or that of `out`; ERRC_SYNTAX: not such a stream,
 * damaged, or bytes behind its end. After an error only inflate_free() may follow. */
MUSTCHECK enum errc inflate_push(struct inflate *z, struct slice in, struct buf *out);
/* ERRC_TRUNCATED unless the stream came to its end, checksum included. */
MUSTCHECK enum errc inflate_finish(const struct inflate *z);

/* Version of the library that runs here, "1.2.13"; static. */
const char *inflate_library(void);

#endif
