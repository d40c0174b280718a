#include "stores.h"

void stores_init(struct stores *s)
{
	*s = (struct stores){.current = 0};
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->dropped, NULL);
}

/* One that nobody holds and that is not in place. With the lock. */
static void close_if_over(struct stores *s, unsigned i)
{
	if (i == s->current || s->open[i].holders > 0)
		return;
	live_close(&s->open[i].live);
	pthread_cond_signal(&s->dropped);
}

void stores_fini(struct stores *s)
{
	for (unsigned i = 0; i < STORES_OPEN_MAX; i++)
		live_close(&s->open[i].live);
	ledger_close(&s->ledger);
	pthread_cond_destroy(&s->dropped);
	pthread_mutex_destroy(&s->lock);
}

struct live *stores_hold(struct stores *s)
{
	struct live *live;

	pthread_mutex_lock(&s->lock);
	s->open[s->current].holders++;
	live = s->open[s->current].live;
	pthread_mutex_unlock(&s->lock);
	return live;
}

void stores_drop(struct stores *s, struct live *live)
{
	unsigned i = 0;

	pthread_mutex_lock(&s->lock);
	while (s->open[i].live != live)
		i++;
	require(i < STORES_OPEN_MAX && s->open[i].holders > 0);
	s->open[i].holders--;
	close_if_over(s, i);
	pthread_mutex_unlock(&s->lock);
}

void stores_put(struct stores *s, struct live *live)
{
	unsigned old, i = 0;

	pthread_mutex_lock(&s->lock);
	while (s->open[i].live) {
		i++;
		if (i == STORES_OPEN_MAX) {
			pthread_cond_wait(&s->dropped, &s->lock);
			i = 0;
		}
	}
	old = s->current;
	s->open[i].live = live;
	s->current = i;
	close_if_over(s, old);
	pthread_mutex_unlock(&s->lock);
}
