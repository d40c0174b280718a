/* One POST over plain HTTP/1.1, blocking: the answer is handed out as it comes. For `aigwctl chat`. */
#ifndef AIGW_CHAT_HTTP_H
#define AIGW_CHAT_HTTP_H

#include "http1.h"
#include "uri.h"

struct chat_http_events {
	/* Both valid during the call. False ends the exchange with ERRC_STATE. */
	bool (*on_head)(void *arg, const struct http1_head *head);
	bool (*on_body)(void *arg, struct slice part);
};

/* Connects to the host of u. `why` (n bytes) says what went wrong. The descriptor is the caller's. */
MUSTCHECK enum errc chat_http_dial(const struct uri *u, int timeout_ms, int *fd, char *why,
				   size_t n);
/* Appends the request: POST to `path` below that of u, with `key` as credential and a JSON body. */
MUSTCHECK enum errc chat_http_request(struct buf *out, const struct uri *u, const char *path,
				      struct slice key, struct slice body);
/* Sends it over fd and reads one response to its end. timeout_ms: of silence, <= 0 for none. ERRC_TIMEOUT, ERRC_TRUNCATED or
 * ERRC_CONNRESET when it was cut, ERRC_PROTOCOL when it is no HTTP, ERRC_CANCELED by interrupt.h, ERRC_STATE. */
MUSTCHECK enum errc chat_http_talk(int fd, struct slice request, int timeout_ms,
				   const struct chat_http_events *ev, void *arg);

#endif
