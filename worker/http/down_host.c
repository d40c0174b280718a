#include "down_priv.h"
#include "mem.h"

enum errc down_host_new(struct turn *t, const struct down_opts *o, struct listen_set *set,
			const struct down_host_events *ev, void *arg, struct down_host **out)
{
	struct down_host *h = mem_new_of(struct down_host);

	if (!h)
		return ERRC_NOMEM;
	h->magic = DOWN_HOST_MAGIC;
	h->turn = t;
	h->opts = *o;
	h->set = set;
	h->ev = ev;
	h->arg = arg;
	list_init(&h->conns);
	*out = h;
	return ERRC_OK;
}

void down_host_free(struct down_host **p)
{
	struct down_host *h = *p;

	if (!h)
		return;
	require_magic(h, DOWN_HOST_MAGIC);
	while (!list_is_empty(&h->conns))
		down_conn_close(list_entry(h->conns.next, struct down_conn, node));
	h->magic = 0;
	mem_free(h);
	*p = NULL;
}

void down_host_set_opts(struct down_host *h, const struct down_opts *o)
{
	h->opts = *o;
}

void down_host_drain(struct down_host *h)
{
	require_magic(h, DOWN_HOST_MAGIC);
	h->is_draining = true;
	list_each (it, &h->conns) {
		struct down_conn *dc = list_entry(it, struct down_conn, node);

		if (dc->phase == DOWN_IDLE)
			down_conn_timer_in(dc, h->opts.drain_idle_ms);
	}
}

void down_stats_get(const struct down_host *h, struct down_stats *out)
{
	*out = h->stats;
}
