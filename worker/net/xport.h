/* A byte stream in both directions: TCP, TLS over any lower xport, or a script in memory (tests). Ops are called through the
 * functions below. Events are upcalls: they record and wake. An event may call xport_read_stop(), xport_write(), xport_close();
 * nothing is freed inside an upcall.
 *
 * Reading starts stopped. Bytes come in slices of a buffer that the loop shares, so an idle connection holds none, unless the receiver
 * has room of its own (on_room). After on_eof or on_error nothing more is read.
 *
 * Writing never waits and never keeps a pointer: xport_write() takes what it can (sent to the kernel, or, by TLS, at most one
 * burst of records in its own buffer) and tells how much. What it did not take the caller offers again after on_writable. */
#ifndef AIGW_XPORT_H
#define AIGW_XPORT_H

#include <sys/uio.h>

#include "errc.h"
#include "slice.h"
#include "turn.h"

struct xport;

struct xport_events {
	/* `data` is valid during the call. Not called while reading is stopped. */
	void (*on_data)(void *arg, struct slice data);
	/* The peer ended its sending side and all that it sent was handed up. */
	void (*on_eof)(void *arg);
	/* The stream is dead (reset, TLS failure …). Only xport_close() is left. Comes at most once. */
	void (*on_error)(void *arg, enum errc e);
	/* Once after a write that did not take all or left xport_is_drained() false: there is room again, or all is handed over. */
	void (*on_writable)(void *arg);
	/* The peer is gone or ended its sending side, though reading is stopped or unread bytes lie before the end. At most once; on_eof or
	 * on_error may still follow when reading goes on. */
	void (*on_hangup)(void *arg);
	/* Asked before a read: where the next bytes are wanted, so that nobody copies them; iov_len 0: anywhere. It is a wish: the bytes
	 * come by on_data in any case, before anything else is called, and may lie elsewhere. NULL: never. */
	struct iovec (*on_room)(void *arg);
};

/* What an implementation provides; complete, no optional slots. */
struct xport_ops {
	const char *name;
	void (*read_start)(struct xport *x);
	void (*read_stop)(struct xport *x);
	enum errc (*write)(struct xport *x, const struct iovec *v, int n, size_t *taken);
	bool (*is_drained)(const struct xport *x);
	void (*shutdown)(struct xport *x);
	void (*close)(struct xport *x);
	const char *(*why)(const struct xport *x);
};

/* Head of every implementation's struct. Private to the implementations. */
#define XPORT_MAGIC 0x58504f52u
struct xport {
	unsigned magic;
	const struct xport_ops *ops;
	const struct xport_events *ev; /* borrowed */
	void *arg;
	struct turn *turn; /* borrowed */
};

/* `ev` is borrowed and must outlive the xport or the next call; no event comes before it is set. */
void xport_set_events(struct xport *x, const struct xport_events *ev, void *arg);
/* Both are idempotent. No on_data comes after read_stop, even inside the same event. read_start calls no event before it returns. */
void xport_read_start(struct xport *x);
void xport_read_stop(struct xport *x);
/* Takes bytes of `v` in order; *taken says how many (0 is possible and no error). The memory is the caller's again at once. Calls no
 * event. An error means the stream is dead; on_error does not follow for it. At most XPORT_IOV_MAX pieces are looked at. */
#define XPORT_IOV_MAX 64
MUSTCHECK enum errc xport_write(struct xport *x, const struct iovec *v, int n, size_t *taken);
/* All that was taken is in the kernel's hands. */
bool xport_is_drained(const struct xport *x);
/* Ends the sending side behind what was taken (TLS: close_notify first). Reading goes on. */
void xport_shutdown(struct xport *x);
/* Ends it at once and without waiting: sets *x to NULL, no event comes any more, memory goes at the end of the turn. Bytes that were
 * taken but not drained are lost. Accepts NULL inside. */
void xport_close(struct xport **x);
/* A readable cause of the last error ("certificate has expired (CN=…)"), valid until xport_close(); never NULL. */
const char *xport_why(const struct xport *x);

/* A connected, non-blocking TCP socket (TCP_NODELAY is set here). On success `fd` is owned by the xport. */
MUSTCHECK enum errc xport_tcp_new(struct turn *t, int fd, struct xport **out);
/* The descriptor, borrowed; -1 when `x` is not TCP. */
int xport_tcp_fd(const struct xport *x);
/* Translates a code of libuv. */
enum errc xport_errc_from_uv(int code);

#endif
