/* Error bodies of contract A3 in the client's dialect. Pure. */
#ifndef AIGW_FAULT_WRITE_H
#define AIGW_FAULT_WRITE_H

#include "buf.h"
#include "fault.h"

/* {"error":{"message","type","param","code","metadata":{…}}} */
MUSTCHECK
enum errc fault_write_openai(const struct fault *f, struct slice request_id, struct buf *out);
/* The same as the last item of a chat stream, without [DONE]. */
MUSTCHECK
enum errc fault_write_openai_event(const struct fault *f, struct slice request_id, struct buf *out);
/* {"type":"error","error":{"type","message"},"request_id"} */
MUSTCHECK
enum errc fault_write_anthropic(const struct fault *f, struct slice request_id, struct buf *out);

#endif
