#include "link.h"

#include "mem.h"

static void on_poll(uv_poll_t *p, int status, int revents);

static void watch(struct link *l)
{
	int want = UV_READABLE | (chan_wants_write(&l->chan) ? UV_WRITABLE : 0);

	uv_poll_start(l->poll, want, on_poll);
}

static void end(struct link *l, enum errc e)
{
	link_close(l);
	l->on_end(l->arg, e);
}

static enum errc take_messages(struct link *l)
{
	struct msg m;
	int got = 0;

	while (l->poll && (got = msg_next(&l->chan, l->place, &m)) > 0)
		l->on_msg(l->arg, &m);
	return l->poll && got < 0 ? (enum errc) - got : ERRC_OK;
}

static void on_poll(uv_poll_t *p, int status, int revents)
{
	struct link *l = p->data;
	enum errc e = status < 0 ? ERRC_IO : ERRC_OK, read_e = ERRC_OK;

	if (!e && (revents & UV_WRITABLE))
		e = chan_flush(&l->chan);
	if (!e && (revents & UV_READABLE))
		read_e = chan_read(&l->chan);
	if (!e && (!read_e || read_e == ERRC_EOF))
		e = take_messages(l);
	if (!l->poll)
		return;
	if (!e)
		e = read_e == ERRC_AGAIN ? ERRC_OK : read_e;
	if (e)
		end(l, e);
	else
		watch(l);
}

enum errc link_open(struct link *l, uv_loop_t *loop, int fd, enum msg_place place, size_t frame_max)
{
	require(!l->poll);
	chan_init(&l->chan, fd, frame_max);
	l->place = place;
	l->poll = mem_new_of(uv_poll_t);
	if (!l->poll || uv_poll_init(loop, l->poll, fd)) {
		mem_free(l->poll);
		l->poll = NULL;
		chan_fini(&l->chan);
		return ERRC_NOMEM;
	}
	l->poll->data = l;
	watch(l);
	return ERRC_OK;
}

static void on_closed(uv_handle_t *h)
{
	mem_free(h);
}

void link_close(struct link *l)
{
	if (!l->poll)
		return;
	uv_poll_stop(l->poll);
	uv_close((uv_handle_t *)l->poll, on_closed);
	l->poll = NULL;
	chan_fini(&l->chan);
}

enum errc link_send(struct link *l, const struct msg *m)
{
	enum errc e;

	if (!l->poll)
		return ERRC_EOF;
	e = msg_send(&l->chan, m);
	if (!e)
		watch(l);
	return e;
}
