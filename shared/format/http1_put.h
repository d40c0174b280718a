/* Writes HTTP/1.1 heads and chunks. What could end a line or be read as another field fails with ERRC_INVAL and leaves the
 * buffer as it was: method and names must be tokens, targets visible ASCII, values ASCII without control bytes (tabs allowed). */
#ifndef AIGW_HTTP1_PUT_H
#define AIGW_HTTP1_PUT_H

#include "buf.h"

MUSTCHECK enum errc http1_put_request(struct buf *b, struct slice method, struct slice target);
/* With the customary reason; 100 to 999. */
MUSTCHECK enum errc http1_put_status(struct buf *b, int status);
MUSTCHECK enum errc http1_put_field(struct buf *b, struct slice name, struct slice value);
static inline MUSTCHECK enum errc http1_put_header(struct buf *b, const char *name,
						   struct slice value)
{
	return http1_put_field(b, slice_str(name), value);
}
MUSTCHECK enum errc http1_put_header_i64(struct buf *b, const char *name, int64_t value);
/* The blank line. */
MUSTCHECK enum errc http1_put_end(struct buf *b);
/* The line before a chunk of n > 0 bytes, at the end of `out`. The chunk is followed by HTTP1_CRLF. */
#define HTTP1_CHUNK_HEAD 18
struct slice http1_chunk_head(size_t n, char out[HTTP1_CHUNK_HEAD]);
/* The same, appended. */
MUSTCHECK enum errc http1_put_chunk_head(struct buf *b, size_t n);
/* A whole chunk; nothing for an empty one, which would end the body. */
MUSTCHECK enum errc http1_put_chunk(struct buf *b, struct slice data);
#define HTTP1_CRLF       SLICE_LIT("\r\n")
#define HTTP1_LAST_CHUNK SLICE_LIT("0\r\n\r\n")
/* "Not Found"; "Unknown" for a status without a customary text. */
const char *http1_put_reason(int status);

#endif
