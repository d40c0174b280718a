/* TCP by uv_poll and our own system calls: writing can be tried without giving memory away, the peer's end is seen while reading is
 * stopped (EPOLLRDHUP), and an idle connection holds nothing but this struct. */
#include "xport.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mem.h"

#define READ_SHARE (4 * TURN_SCRATCH) /* read from one connection before others get their turn */
#define ROOM_MAX \
	(8 *     \
	 TURN_SCRATCH) /* one read into the receiver's own room; longer ones save nothing more */

struct xport_tcp {
	struct xport x;
	uv_poll_t poll; /* memory belongs to libuv until on_closed() */
	int fd;
	int armed; /* what `poll` is set to; may be more than is wanted until that comes once */
	bool reading;
	bool wants_writable;
	bool hangup_told;
	bool is_broken; /* the poll reported an error and is off: what the kernel still holds can be read, then comes the error */
	bool is_ended;  /* on_eof or on_error was given */
	bool is_closed;
	enum errc errc;
	struct turn_task task; /* reads when no poll will tell */
};

static struct xport_tcp *tcp_of(struct xport *x)
{
	require(x->magic == XPORT_MAGIC);
	return CONTAINER_OF(x, struct xport_tcp, x);
}

static void on_poll(uv_poll_t *h, int status, int events);

static int tcp_wanted(const struct xport_tcp *t)
{
	int events = 0;

	if (t->is_broken || t->is_closed)
		return 0;
	if (t->reading && !t->is_ended)
		events |= UV_READABLE;
	if (t->wants_writable)
		events |= UV_WRITABLE;
	if (!t->hangup_told && !t->is_ended)
		events |= UV_DISCONNECT;
	return events;
}

/* Sets the poll to what is wanted. With `lazy` an event that is no longer wanted stays armed until it comes: a stop and start within
 * one turn then costs no system call. */
static void tcp_arm(struct xport_tcp *t, bool lazy)
{
	int wanted = tcp_wanted(t);

	if (wanted == t->armed || (lazy && (wanted & ~t->armed) == 0))
		return;
	t->armed = wanted;
	/* Starting fails only for a descriptor that another handle polls, which is never so here. */
	if (wanted)
		require(uv_poll_start(&t->poll, wanted, on_poll) == 0);
	else
		uv_poll_stop(&t->poll);
}

/* Where the next read goes. What fits into the loop's buffer is read there, because more may come behind it. */
static struct iovec tcp_room(const struct xport_tcp *t)
{
	struct iovec room = {NULL, 0};

	if (t->x.ev->on_room)
		room = t->x.ev->on_room(t->x.arg);
	if (room.iov_len <= TURN_SCRATCH)
		return (struct iovec){turn_scratch(t->x.turn), TURN_SCRATCH};
	room.iov_len = MIN_OF(room.iov_len, (size_t)ROOM_MAX);
	return room;
}

static void tcp_read(struct xport_tcp *t)
{
	size_t got = 0;

	while ((got < READ_SHARE || t->is_broken) && t->reading && !t->is_ended && !t->is_closed) {
		struct iovec room = tcp_room(t);
		ssize_t n = recv(t->fd, room.iov_base, room.iov_len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0) {
			t->x.ev->on_data(t->x.arg, slice_of(room.iov_base, (size_t)n));
			if ((size_t)n < room.iov_len && !t->is_broken)
				return;
			got += (size_t)n;
			continue;
		}
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		t->is_ended = true;
		if (n == 0) {
			t->x.ev->on_eof(t->x.arg);
		} else {
			t->errc = errc_from_errno(errno);
			t->x.ev->on_error(t->x.arg, t->errc);
		}
	}
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct xport_tcp *t = h->data;
	bool lazy;

	require_magic(&t->x, XPORT_MAGIC);
	if (t->is_closed)
		return;
	/* A request stops reading and starts it again; what comes between would come at once again. */
	lazy = status == 0 && (events & ~tcp_wanted(t)) == 0 && !(events & UV_WRITABLE);
	if (status < 0) {
		t->is_broken = true;
		t->armed = 0;
		events = UV_READABLE | UV_WRITABLE | UV_DISCONNECT;
	}
	if ((events & UV_WRITABLE) && t->wants_writable) {
		t->wants_writable = false;
		t->x.ev->on_writable(t->x.arg);
	}
	if ((events & (UV_READABLE | UV_DISCONNECT)) && !t->is_closed)
		tcp_read(t);
	if ((events & UV_DISCONNECT) && !t->is_closed && !t->is_ended && !t->hangup_told &&
	    !t->reading) {
		t->hangup_told = true;
		t->x.ev->on_hangup(t->x.arg);
	}
	if (!t->is_closed)
		tcp_arm(t, lazy);
}

static void tcp_task(struct turn_task *k)
{
	struct xport_tcp *t = CONTAINER_OF(k, struct xport_tcp, task);

	if (!t->is_closed)
		tcp_read(t);
}

static void tcp_read_start(struct xport *x)
{
	struct xport_tcp *t = tcp_of(x);

	t->reading = true;
	if (t->is_broken)
		turn_wake(&t->task);
	else
		tcp_arm(t, true);
}

static void tcp_read_stop(struct xport *x)
{
	tcp_of(x)->reading = false;
}

static enum errc tcp_write(struct xport *x, const struct iovec *v, int n, size_t *taken)
{
	struct xport_tcp *t = tcp_of(x);
	struct msghdr m = {.msg_iov = (struct iovec *)v, .msg_iovlen = (size_t)n};
	size_t total = 0;
	ssize_t sent;

	for (int i = 0; i < n; i++)
		total += v[i].iov_len;
	if (total == 0)
		return ERRC_OK;
	do {
		sent = n == 1 ? send(t->fd, v->iov_base, v->iov_len, MSG_NOSIGNAL)
			      : sendmsg(t->fd, &m, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
		t->errc = errno == EPIPE ? ERRC_CONNRESET : errc_from_errno(errno);
		return t->errc;
	}
	*taken = sent > 0 ? (size_t)sent : 0;
	if (*taken < total) {
		t->wants_writable = true;
		tcp_arm(t, true);
	}
	return ERRC_OK;
}

static bool tcp_is_drained(const struct xport *x)
{
	return x->magic == XPORT_MAGIC; /* what is taken is the kernel's */
}

static void tcp_shutdown(struct xport *x)
{
	shutdown(tcp_of(x)->fd, SHUT_WR); /* fails only when the peer is gone, which reading tells */
}

static void on_closed(uv_handle_t *h)
{
	struct xport_tcp *t = h->data;

	t->x.magic = 0;
	mem_free(t);
}

static void tcp_close(struct xport *x)
{
	struct xport_tcp *t = tcp_of(x);

	require(!t->is_closed);
	t->is_closed = true;
	turn_task_fini(&t->task);
	uv_close((uv_handle_t *)&t->poll,
		 on_closed); /* stops it first, so the descriptor can go now */
	close(t->fd);
	t->fd = -1;
}

static const char *tcp_why(const struct xport *x)
{
	return errc_text(CONTAINER_OF(x, const struct xport_tcp, x)->errc);
}

static const struct xport_ops tcp_ops = {
	.name = "tcp",
	.read_start = tcp_read_start,
	.read_stop = tcp_read_stop,
	.write = tcp_write,
	.is_drained = tcp_is_drained,
	.shutdown = tcp_shutdown,
	.close = tcp_close,
	.why = tcp_why,
};

int xport_tcp_fd(const struct xport *x)
{
	return x && x->ops == &tcp_ops ? CONTAINER_OF(x, struct xport_tcp, x)->fd : -1;
}

enum errc xport_tcp_new(struct turn *turn, int fd, struct xport **out)
{
	struct xport_tcp *t = mem_new_of(struct xport_tcp);
	int one = 1, r;

	if (!t)
		return ERRC_NOMEM;
	r = uv_poll_init(turn_loop(turn), &t->poll, fd);
	if (r != 0) {
		mem_free(t);
		return xport_errc_from_uv(r);
	}
	/* Fails on a unix socket, which has no such delay. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	t->x = (struct xport){.magic = XPORT_MAGIC, .ops = &tcp_ops, .turn = turn};
	t->fd = fd;
	t->poll.data = t;
	turn_task_init(&t->task, turn, tcp_task);
	*out = &t->x;
	return ERRC_OK;
}
