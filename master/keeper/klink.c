#include "klink.h"

#include "mem.h"

static void on_poll(uv_poll_t *p, int status, int events);

static void watch(struct klink *l)
{
	int want = UV_READABLE | (chan_wants_write(&l->chan) ? UV_WRITABLE : 0);

	require(uv_poll_start(l->poll, want, on_poll) == 0);
}

static void end(struct klink *l, enum errc e)
{
	klink_close(l);
	l->on_end(l, e);
}

struct taking {
	struct klink *l;
	uv_poll_t *poll; /* of the channel that is read */
};

static bool take(void *arg, struct msg *m)
{
	struct taking *t = arg;

	t->l->on_msg(t->l, m);
	return t->l->poll == t->poll;
}

static void on_poll(uv_poll_t *p, int status, int events)
{
	struct klink *l = p->data;
	struct taking t = {l, p};
	bool waited = chan_wants_write(&l->chan);
	enum errc e = ERRC_OK;

	if (status == 0 && (events & UV_WRITABLE))
		e = chan_flush(&l->chan);
	/* A peer that closed with something unread makes the poll fail; what it sent before is still there. */
	if (!e && (status < 0 || (events & (UV_READABLE | UV_DISCONNECT))))
		e = msg_receive(&l->chan, l->place, take, &t);
	if (l->poll != p)
		return; /* closed meanwhile, or another one in its place */
	if (!e && status < 0)
		e = ERRC_CONNRESET;
	if (e) {
		end(l, e);
		return;
	}
	watch(l);
	if (waited && !chan_wants_write(&l->chan) && l->on_sent)
		l->on_sent(l);
}

void klink_init(struct klink *l, int fd, enum msg_place place, size_t frame_max)
{
	require(!l->poll);
	chan_init(&l->chan, fd, frame_max);
	l->place = place;
}

enum errc klink_watch(struct klink *l, uv_loop_t *loop)
{
	l->poll = mem_new_of(uv_poll_t);
	if (!l->poll || uv_poll_init(loop, l->poll, chan_fd(&l->chan))) {
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

void klink_close(struct klink *l)
{
	if (l->poll) {
		uv_poll_stop(l->poll);
		uv_close((uv_handle_t *)l->poll, on_closed);
		l->poll = NULL;
	}
	chan_fini(&l->chan);
}

enum errc klink_send(struct klink *l, const struct msg *m)
{
	enum errc e;

	if (!l->poll)
		return ERRC_EOF;
	e = msg_send(&l->chan, m);
	if (!e)
		watch(l);
	return e;
}
