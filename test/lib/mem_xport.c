#include "mem_xport.h"

#include "mem.h"

#define MEM_XPORT_MAX (64 << 20)

struct mem_xport {
	struct xport x;
	struct buf in, out;
	size_t step, window, roomed;
	unsigned writes;
	enum errc fail, errc;
	bool reading, wants_writable, eof, eof_told, shut, closed, is_owned;
	struct turn_task task; /* read_start calls no event: what was kept is delivered by the turn */
};

static struct mem_xport *mem_of(struct xport *x)
{
	require(x->magic == XPORT_MAGIC);
	return CONTAINER_OF(x, struct mem_xport, x);
}

/* The front of what was kept, at most n bytes. False: no memory. */
static bool deliver(struct mem_xport *m, size_t n)
{
	struct iovec room = {NULL, 0};
	char *copy = NULL;

	if (m->x.ev->on_room)
		room = m->x.ev->on_room(m->x.arg);
	if (room.iov_len > 0) {
		n = MIN_OF(n, room.iov_len);
		memcpy(room.iov_base, m->in.p, n);
		m->roomed += n;
	} else {
		/* A slice of its own, so that reading beyond it is found out. */
		copy = mem_dup(m->in.p, n);
		if (!copy)
			return false;
	}
	buf_drop_front(&m->in, n);
	m->x.ev->on_data(m->x.arg, slice_of(copy ? copy : room.iov_base, n));
	mem_free(copy);
	return true;
}

bool mem_xport_pump(struct mem_xport *m)
{
	bool moved = false;

	while (m->reading && !m->closed && !m->eof_told && !buf_is_empty(&m->in)) {
		if (!deliver(m, m->step ? MIN_OF(m->step, m->in.len) : m->in.len)) {
			mem_xport_reset(m, ERRC_NOMEM);
			return true;
		}
		moved = true;
	}
	if (m->eof && !m->eof_told && !m->closed && buf_is_empty(&m->in) && m->reading) {
		m->eof_told = true;
		m->x.ev->on_eof(m->x.arg);
		moved = true;
	}
	return moved;
}

static void on_task(struct turn_task *k)
{
	mem_xport_pump(CONTAINER_OF(k, struct mem_xport, task));
}

static void mem_read_start(struct xport *x)
{
	mem_of(x)->reading = true;
	turn_wake(&mem_of(x)->task);
}

static void mem_read_stop(struct xport *x)
{
	mem_of(x)->reading = false;
}

static enum errc mem_write(struct xport *x, const struct iovec *v, int n, size_t *taken)
{
	struct mem_xport *m = mem_of(x);

	if (m->fail) {
		m->errc = m->fail;
		return m->fail;
	}
	require(!m->shut);
	for (int i = 0; i < n; i++) {
		size_t k = MIN_OF(v[i].iov_len, m->window);
		enum errc e = buf_add(&m->out, v[i].iov_base, k);

		if (e)
			return e;
		if (m->window != SIZE_MAX)
			m->window -= k;
		*taken += k;
		if (k < v[i].iov_len) {
			m->wants_writable = true;
			break;
		}
	}
	m->writes += *taken > 0;
	return ERRC_OK;
}

static bool mem_is_drained(const struct xport *x)
{
	return x->magic == XPORT_MAGIC;
}

static void mem_shutdown(struct xport *x)
{
	mem_of(x)->shut = true;
}

static void mem_memory_free(struct mem_xport *m)
{
	turn_task_fini(&m->task);
	buf_fini(&m->in);
	buf_fini(&m->out);
	mem_free(m);
}

static void mem_close(struct xport *x)
{
	struct mem_xport *m = mem_of(x);

	require(!m->closed);
	m->closed = true;
	turn_task_fini(&m->task);
	if (!m->is_owned)
		mem_memory_free(m);
}

static const char *mem_why(const struct xport *x)
{
	return errc_text(CONTAINER_OF(x, const struct mem_xport, x)->errc);
}

static const struct xport_ops mem_ops = {
	.name = "mem",
	.read_start = mem_read_start,
	.read_stop = mem_read_stop,
	.write = mem_write,
	.is_drained = mem_is_drained,
	.shutdown = mem_shutdown,
	.close = mem_close,
	.why = mem_why,
};

enum errc mem_xport_new(struct turn *t, struct mem_xport **out, struct xport **face)
{
	struct mem_xport *m = mem_new_of(struct mem_xport);

	if (!m)
		return ERRC_NOMEM;
	m->x = (struct xport){.magic = XPORT_MAGIC, .ops = &mem_ops, .turn = t};
	m->window = SIZE_MAX;
	m->is_owned = true;
	buf_init(&m->in, MEM_XPORT_MAX);
	buf_init(&m->out, MEM_XPORT_MAX);
	turn_task_init(&m->task, t, on_task);
	*out = m;
	*face = &m->x;
	return ERRC_OK;
}

void mem_xport_free(struct mem_xport **p)
{
	struct mem_xport *m = *p;

	if (!m)
		return;
	*p = NULL;
	m->is_owned = false;
	if (m->closed)
		mem_memory_free(m);
}

enum errc mem_xport_feed(struct mem_xport *m, struct slice data, size_t step)
{
	enum errc e = buf_adds(&m->in, data);

	m->step = step;
	if (!e)
		mem_xport_pump(m);
	return e;
}

void mem_xport_eof(struct mem_xport *m)
{
	m->eof = true;
	if (!mem_xport_pump(m) && !m->closed && !m->eof_told && m->x.ev)
		m->x.ev->on_hangup(m->x.arg);
}

void mem_xport_reset(struct mem_xport *m, enum errc e)
{
	m->errc = e;
	m->fail = e;
	m->reading = false;
	m->eof_told = true; /* nothing comes behind it */
	buf_reset(&m->in);
	if (!m->closed && m->x.ev)
		m->x.ev->on_error(m->x.arg, e);
}

size_t mem_xport_roomed(const struct mem_xport *m)
{
	return m->roomed;
}

void mem_xport_window(struct mem_xport *m, size_t n)
{
	m->window = n;
	if (n > 0 && m->wants_writable && !m->closed) {
		m->wants_writable = false;
		m->x.ev->on_writable(m->x.arg);
	}
}

void mem_xport_fail_write(struct mem_xport *m, enum errc e)
{
	m->fail = e;
}

struct slice mem_xport_out(const struct mem_xport *m)
{
	return buf_slice(&m->out);
}

void mem_xport_take(struct mem_xport *m)
{
	buf_reset(&m->out);
}

unsigned mem_xport_writes(const struct mem_xport *m)
{
	return m->writes;
}

bool mem_xport_is_shut(const struct mem_xport *m)
{
	return m->shut;
}

bool mem_xport_is_closed(const struct mem_xport *m)
{
	return m->closed;
}

bool mem_xport_is_reading(const struct mem_xport *m)
{
	return m->reading;
}

static bool carry(struct mem_xport *from, struct mem_xport *to, size_t step)
{
	bool moved = from->out.len > 0;

	if (moved) {
		struct buf bytes = from->out;

		buf_init(&from->out, MEM_XPORT_MAX);
		if (mem_xport_feed(to, buf_slice(&bytes), step))
			mem_xport_reset(to, ERRC_NOMEM);
		buf_fini(&bytes);
	}
	if ((from->shut || from->closed) && !to->eof) {
		mem_xport_eof(to);
		moved = true;
	}
	return moved;
}

bool mem_xport_exchange(struct mem_xport *a, struct mem_xport *b, size_t step)
{
	bool moved = false;

	while (carry(a, b, step) | carry(b, a, step) | mem_xport_pump(a) | mem_xport_pump(b))
		moved = true;
	return moved;
}
