#include "chan.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "mem.h"
#include "secret.h"

#define CHAN_MAGIC   0x6368616e
#define READ_CHUNK   (64 * 1024)
#define READ_TURN    (256 * 1024)
#define KEEP_BYTES   (16 * 1024) /* a larger input buffer is freed once it is empty */
#define QUEUE_FRAMES 4           /* largest frames that may wait */

/* A frame that waits. Its descriptors go with its first byte. */
struct chan_out {
	struct list node;
	size_t n, sent;
	int fds[FRAME_FDS_MAX]; /* owned */
	unsigned fds_n;
	char bytes[];
};

union fd_space {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * FRAME_FDS_MAX)];
};

void chan_init(struct chan *c, int fd, size_t frame_max)
{
	int fl = fcntl(fd, F_GETFL);

	*c = (struct chan){.magic = CHAN_MAGIC, .fd = fd, .frame_max = frame_max};
	require(fl >= 0 && fcntl(fd, F_SETFL, fl | O_NONBLOCK) == 0);
	require(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
	c->queue_max = QUEUE_FRAMES * (frame_max + FRAME_HEAD);
	buf_init(&c->in, frame_max + FRAME_HEAD + READ_TURN);
	list_init(&c->out);
}

void chan_set_queue(struct chan *c, size_t bytes)
{
	require_magic(c, CHAN_MAGIC);
	c->queue_max = bytes;
}

static void close_fds(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

static void out_free(struct chan *c, struct chan_out *o)
{
	list_remove(&o->node);
	c->out_bytes -= o->n;
	close_fds(o->fds, o->fds_n);
	secret_wipe(o->bytes, o->n);
	mem_free(o);
}

void chan_fini(struct chan *c)
{
	if (c->magic == 0)
		return;
	require_magic(c, CHAN_MAGIC);
	list_each_safe (it, &c->out)
		out_free(c, list_entry(it, struct chan_out, node));
	close_fds(c->fds, c->fds_n);
	if (c->in.p)
		secret_wipe(c->in.p, c->in.cap);
	buf_fini(&c->in);
	close(c->fd);
	*c = (struct chan){.fd = -1};
}

/* --- reading --- */

/* Takes what the last frame used out of the front. */
static void frame_done(struct chan *c)
{
	close_fds(c->fds, c->fds_cur);
	c->fds_n -= c->fds_cur;
	memmove(c->fds, c->fds + c->fds_cur, c->fds_n * sizeof(int));
	c->fds_cur = 0;
	if (c->in_used == 0)
		return;
	secret_wipe(c->in.p, c->in_used);
	buf_drop_front(&c->in, c->in_used);
	c->in_used = 0;
	if (buf_is_empty(&c->in) && c->in.cap > KEEP_BYTES)
		buf_fini(&c->in);
}

/* All descriptors of the message are ours from here, also when they are too many. */
static enum errc take_fds(struct chan *c, struct msghdr *m)
{
	enum errc e = m->msg_flags & MSG_CTRUNC ? ERRC_PROTOCOL : ERRC_OK;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		size_t n;
		int fd;

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
			if (c->fds_n < ARRAY_LEN(c->fds)) {
				c->fds[c->fds_n++] = fd;
			} else {
				close(fd);
				e = ERRC_PROTOCOL;
			}
		}
	}
	return e;
}

/* How much to make room for: the rest of a large frame in one piece, else a chunk. */
static size_t read_size(const struct chan *c)
{
	struct frame f;
	int r = frame_parse(buf_slice(&c->in), c->frame_max, &f);

	if (r == 0 && f.total > c->in.len + READ_CHUNK)
		return f.total - c->in.len;
	return READ_CHUNK;
}

static enum errc read_once(struct chan *c, size_t *got)
{
	union fd_space space;
	struct iovec iov;
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = space.bytes,
			   .msg_controllen = sizeof(space.bytes)};
	size_t want = read_size(c);
	enum errc e;
	ssize_t n;
	char *to;

	e = buf_reserve(&c->in, want, &to);
	if (e)
		return e;
	iov = (struct iovec){.iov_base = to, .iov_len = want};
	do {
		n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	*got = n > 0 ? (size_t)n : 0;
	if (n < 0)
		return errno == EAGAIN ? ERRC_AGAIN : errc_from_errno(errno);
	if (n == 0)
		return ERRC_EOF;
	buf_commit(&c->in, (size_t)n);
	return take_fds(c, &m);
}

enum errc chan_read(struct chan *c)
{
	size_t got, all = 0;
	enum errc e = ERRC_OK;

	require_magic(c, CHAN_MAGIC);
	frame_done(c);
	if (c->eof)
		return ERRC_EOF;
	/* Descriptors wait in a small queue: stop when it has no room for those of another frame. */
	while (all < READ_TURN && c->fds_n <= FRAME_FDS_MAX) {
		e = read_once(c, &got);
		if (e)
			break;
		all += got;
	}
	if (e == ERRC_AGAIN)
		return ERRC_OK;
	if (e == ERRC_LIMIT && c->in.len >= FRAME_HEAD)
		return ERRC_OK; /* whole frames wait: take them first */
	if (e == ERRC_EOF || e == ERRC_CONNRESET) {
		c->eof = true;
		return all ? ERRC_OK : ERRC_EOF;
	}
	return e;
}

int chan_next(struct chan *c, struct chan_frame *out)
{
	struct frame f;
	int r;

	require_magic(c, CHAN_MAGIC);
	frame_done(c);
	r = frame_parse(buf_slice(&c->in), c->frame_max, &f);
	if (r == 0 && buf_is_empty(&c->in) && c->fds_n)
		return -ERRC_PROTOCOL; /* descriptors that no frame named */
	if (r <= 0)
		return r;
	if (f.fds_n > c->fds_n)
		return -ERRC_PROTOCOL;
	c->in_used = f.total;
	c->fds_cur = f.fds_n;
	*out = (struct chan_frame){.payload = f.payload, .fds = c->fds, .fds_n = f.fds_n};
	return 1;
}

/* --- writing --- */

/* Sends from one frame, its descriptors with its first byte. *sent counts on. */
static enum errc send_some(int fd, const char *bytes, size_t n, const int *fds, unsigned fds_n,
			   size_t *sent)
{
	union fd_space space;
	struct iovec iov = {.iov_base = (char *)bytes + *sent, .iov_len = n - *sent};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t r;

	if (*sent == 0 && fds_n) {
		memset(&space, 0, sizeof(space));
		m.msg_control = space.bytes;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * fds_n);
		*CMSG_FIRSTHDR(&m) = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
						      .cmsg_type = SCM_RIGHTS,
						      .cmsg_len = CMSG_LEN(sizeof(int) * fds_n)};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, sizeof(int) * fds_n);
	}
	do {
		r = sendmsg(fd, &m, MSG_NOSIGNAL);
	} while (r < 0 && errno == EINTR);
	if (r < 0) {
		if (errno == EAGAIN)
			return ERRC_AGAIN;
		return errno == EPIPE ? ERRC_EOF : errc_from_errno(errno);
	}
	*sent += (size_t)r;
	return ERRC_OK;
}

static enum errc out_new(struct chan *c, struct slice payload, const int *fds, unsigned fds_n,
			 struct chan_out **out)
{
	size_t n = FRAME_HEAD + payload.n;
	struct chan_out *o = mem_new(sizeof(*o) + n);

	if (!o)
		return ERRC_NOMEM;
	o->n = n;
	frame_head(o->bytes, payload.n, fds_n);
	if (payload.n)
		memcpy(o->bytes + FRAME_HEAD, payload.p, payload.n);
	for (; o->fds_n < fds_n; o->fds_n++) {
		o->fds[o->fds_n] = fcntl(fds[o->fds_n], F_DUPFD_CLOEXEC, 0);
		if (o->fds[o->fds_n] < 0) {
			close_fds(o->fds, o->fds_n);
			mem_free(o);
			return ERRC_LIMIT;
		}
	}
	list_push_back(&c->out, &o->node);
	c->out_bytes += n;
	*out = o;
	return ERRC_OK;
}

enum errc chan_flush(struct chan *c)
{
	require_magic(c, CHAN_MAGIC);
	while (!list_is_empty(&c->out)) {
		struct chan_out *o = list_entry(c->out.next, struct chan_out, node);
		enum errc e = send_some(c->fd, o->bytes, o->n, o->fds, o->fds_n, &o->sent);

		if (e == ERRC_AGAIN)
			return ERRC_OK;
		if (e)
			return e;
		if (o->sent == o->n)
			out_free(c, o);
	}
	return ERRC_OK;
}

enum errc chan_send(struct chan *c, struct slice payload, const int *fds, unsigned fds_n)
{
	struct chan_out *o;
	enum errc e;

	require_magic(c, CHAN_MAGIC);
	require(fds_n <= FRAME_FDS_MAX);
	if (payload.n > c->frame_max)
		return ERRC_TOOBIG;
	if (c->out_bytes + FRAME_HEAD + payload.n > c->queue_max)
		return ERRC_LIMIT;
	e = out_new(c, payload, fds, fds_n, &o);
	return e ? e : chan_flush(c);
}

/* --- blocking use --- */

/* Milliseconds left, for poll; -1 stays -1. */
static int left_ms(int64_t until_ms)
{
	int64_t left;

	if (until_ms < 0)
		return -1;
	left = until_ms - clock_boot_ms();
	return left < 0 ? 0 : (int)left;
}

/* Polls once and flushes. *readable tells whether there is input or an end of it. */
static enum errc poll_once(struct chan *c, short events, int64_t until_ms, bool *readable)
{
	struct pollfd p = {.fd = c->fd, .events = events};
	int r;

	if (chan_wants_write(c))
		p.events |= POLLOUT;
	r = poll(&p, 1, left_ms(until_ms));
	*readable = r > 0 && (p.revents & (POLLIN | POLLHUP | POLLERR));
	if (r < 0 && errno != EINTR)
		return errc_from_errno(errno);
	if (r == 0)
		return ERRC_TIMEOUT;
	return r > 0 && (p.revents & POLLOUT) ? chan_flush(c) : ERRC_OK;
}

enum errc chan_wait(struct chan *c, int timeout_ms)
{
	int64_t until_ms = timeout_ms < 0 ? -1 : clock_boot_ms() + timeout_ms;
	bool readable = false;

	while (!readable) {
		enum errc e = poll_once(c, POLLIN, until_ms, &readable);

		if (e)
			return e;
	}
	return ERRC_OK;
}

enum errc chan_drain(struct chan *c, int timeout_ms)
{
	int64_t until_ms = timeout_ms < 0 ? -1 : clock_boot_ms() + timeout_ms;
	enum errc e = chan_flush(c);
	bool readable;

	while (e == ERRC_OK && chan_wants_write(c))
		e = poll_once(c, 0, until_ms, &readable);
	return e;
}
