#include "chat_http.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "caps.h"
#include "interrupt.h"

#define PART_BYTES 16384

static enum errc wait_for(int fd, short events, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	return interrupt_poll(&p, 1, timeout_ms);
}

/* --- connecting --- */

static enum errc connect_one(const struct addrinfo *a, int timeout_ms, int *out)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0;
	socklen_t n = sizeof(err);
	enum errc e = ERRC_OK;

	if (fd < 0)
		return errc_from_errno(errno);
	if (connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
		e = errno == EINPROGRESS ? wait_for(fd, POLLOUT, timeout_ms)
					 : errc_from_errno(errno);
		if (!e && (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n) != 0 || err))
			e = errc_from_errno(err);
	}
	if (e)
		close(fd);
	else
		*out = fd;
	return e;
}

enum errc chat_http_dial(const struct uri *u, int timeout_ms, int *fd, char *why, size_t n)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
	struct addrinfo *all = NULL;
	char host[256], port[8];
	enum errc e = ERRC_DNS;
	int r;

	snprintf(host, sizeof(host), SLICE_FMT, SLICE_ARG(u->host));
	snprintf(port, sizeof(port), "%u", (unsigned)u->port);
	r = getaddrinfo(host, port, &hints, &all);
	if (r != 0) {
		snprintf(why, n, "%s: %s", host, gai_strerror(r));
		return ERRC_DNS;
	}
	for (const struct addrinfo *a = all; a && e && e != ERRC_CANCELED; a = a->ai_next)
		e = connect_one(a, timeout_ms, fd);
	freeaddrinfo(all);
	if (e)
		snprintf(why, n, "%s port %s: %s", host, port, errc_text(e));
	return e;
}

/* --- the exchange --- */

enum errc chat_http_request(struct buf *out, const struct uri *u, const char *path,
			    struct slice key, struct slice body)
{
	struct buf text;
	enum errc e;

	buf_init(&text, 64 * 1024);
	if ((e = buf_addf(&text, SLICE_FMT "%s", SLICE_ARG(u->path), path)) ||
	    (e = http1_put_request(out, SLICE_LIT("POST"), buf_slice(&text))))
		goto out;
	buf_reset(&text);
	if ((e = uri_put_host(&text, u)) || (e = http1_put_header(out, "host", buf_slice(&text))))
		goto out;
	buf_reset(&text);
	if ((e = buf_addz(&text, "Bearer ")) || (e = buf_adds(&text, key)) ||
	    (e = http1_put_header(out, "authorization", buf_slice(&text))) ||
	    (e = http1_put_header(out, "content-type", SLICE_LIT("application/json"))) ||
	    (e = http1_put_header(out, "accept", SLICE_LIT("text/event-stream, application/json"))) ||
	    (e = http1_put_header(out, "user-agent", SLICE_LIT("aigwctl/" AIGW_VERSION))) ||
	    (e = http1_put_header(out, "connection", SLICE_LIT("close"))) ||
	    (e = http1_put_header_i64(out, "content-length", (int64_t)body.n)) ||
	    (e = http1_put_end(out)))
		goto out;
	e = buf_adds(out, body);
out:
	buf_fini(&text);
	return e;
}

/* The answer may come before all is sent; then sending fails and reading tells why. */
static enum errc send_all(int fd, struct slice left, int timeout_ms)
{
	while (left.n) {
		ssize_t n = send(fd, left.p, left.n, MSG_NOSIGNAL);
		enum errc e;

		if (n > 0) {
			left = slice_sub(left, (size_t)n, left.n);
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return ERRC_OK;
		e = wait_for(fd, POLLOUT, timeout_ms);
		if (e)
			return e;
	}
	return ERRC_OK;
}

/* 1: the response is complete; 0: more; -errc. */
static int take(struct http1 *h, struct slice in, const struct chat_http_events *ev, void *arg)
{
	struct slice body;
	int r;

	while ((r = http1_next(h, &in, &body)) > 0) {
		if (r == HTTP1_DONE)
			return 1;
		if (r == HTTP1_HEAD ? !ev->on_head(arg, &h->head) : !ev->on_body(arg, body))
			return -(int)ERRC_STATE;
	}
	return r;
}

static enum errc read_all(int fd, struct http1 *h, int timeout_ms,
			  const struct chat_http_events *ev, void *arg)
{
	char part[PART_BYTES];
	int r = 0;

	while (r == 0) {
		enum errc e = wait_for(fd, POLLIN, timeout_ms);
		ssize_t n;

		if (e)
			return e;
		n = recv(fd, part, sizeof(part), 0);
		if (n > 0)
			r = take(h, slice_of(part, (size_t)n), ev, arg);
		else if (n == 0)
			r = http1_eof(h) == HTTP1_DONE ? 1 : -(int)ERRC_TRUNCATED;
		else if (errno != EAGAIN && errno != EINTR)
			return errc_from_errno(errno);
	}
	return r < 0 ? (enum errc) - r : ERRC_OK;
}

enum errc chat_http_talk(int fd, struct slice request, int timeout_ms,
			 const struct chat_http_events *ev, void *arg)
{
	const struct http1_limits limits = {
		.line_max = 8192, .head_max = LIMIT_HEAD_UP, .headers_max = LIMIT_HEADERS_COUNT};
	struct http1 h;
	enum errc e;

	http1_init(&h, HTTP1_RESPONSE, &limits);
	e = send_all(fd, request, timeout_ms);
	if (!e)
		e = read_all(fd, &h, timeout_ms, ev, arg);
	http1_fini(&h);
	return e;
}
