#include "turn.h"

#include "clock.h"
#include "mem.h"

/* A turn that has work left after so much gives the poll a chance (without waiting) before it goes on. */
#define TURN_TASKS_MAX  1024 /* tasks run before hooks and flushes get their share */
#define TURN_TIMERS_MAX 4096
#define TURN_ROUNDS_MAX 8 /* run queue, hooks, flushes: again while they make work for each other */

#define TURN_MAGIC      0x5455524eu

struct turn {
	unsigned magic;
	uv_loop_t *loop; /* borrowed */
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t idle;   /* started while work is left over: the poll does not wait */
	uv_timer_t alarm; /* wakes the loop for the first timer */
	unsigned handles; /* of the above, not closed yet */
	struct list run, flush, reap, hooks;
	struct turn_timer *heap; /* pairing heap by key_ms */
	int64_t alarm_ms;        /* what `alarm` is set to; < 0: not set */
	int64_t now_us, wall_ms;
	bool clock_is_read, wall_is_read, clock_is_fake, in_step;
	struct turn_stats stats;
	char *scratch;
};

/* --- clocks --- */

static void clock_read(struct turn *t)
{
	if (t->clock_is_read || t->clock_is_fake)
		return;
	t->now_us = clock_boot_ns() / 1000;
	t->clock_is_read = true;
}

static void clock_forget(struct turn *t)
{
	t->clock_is_read = t->wall_is_read = false;
}

int64_t turn_now_us(struct turn *t)
{
	clock_read(t);
	return t->now_us;
}

int64_t turn_now_ms(struct turn *t)
{
	clock_read(t);
	return t->now_us / 1000;
}

int64_t turn_wall_ms(struct turn *t)
{
	if (!t->wall_is_read && !t->clock_is_fake) {
		t->wall_ms = clock_wall_ms();
		t->wall_is_read = true;
	}
	return t->wall_ms;
}

/* --- timers: a pairing heap whose nodes are embedded, so that setting one cannot fail --- */

/* `prev` of a first child is its parent, of the others the elder sibling; of the root NULL. */
static struct turn_timer *heap_meld(struct turn_timer *a, struct turn_timer *b)
{
	struct turn_timer *low, *high;

	if (!a || !b)
		return a ? a : b;
	low = b->key_ms < a->key_ms ? b : a;
	high = low == a ? b : a;
	high->prev = low;
	high->next = low->child;
	if (high->next)
		high->next->prev = high;
	low->child = high;
	low->next = low->prev = NULL;
	return low;
}

/* Two passes over the children of a node that went: pairs from left to right, then all from right to left. */
static struct turn_timer *heap_merge_children(struct turn_timer *first)
{
	struct turn_timer *pairs = NULL, *all = NULL;

	while (first) {
		struct turn_timer *a = first, *b = a->next;

		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = heap_meld(a, b);
		a->next = pairs; /* a stack of pairs, linked by `next` */
		pairs = a;
	}
	while (pairs) {
		struct turn_timer *p = pairs;

		pairs = p->next;
		p->next = NULL;
		all = heap_meld(all, p);
	}
	return all;
}

static void heap_insert(struct turn *t, struct turn_timer *m, int64_t key_ms)
{
	m->key_ms = key_ms;
	m->child = m->next = m->prev = NULL;
	t->heap = heap_meld(t->heap, m);
}

static void heap_remove(struct turn *t, struct turn_timer *m)
{
	struct turn_timer *rest = heap_merge_children(m->child);

	if (t->heap == m) {
		t->heap = rest;
	} else {
		if (m->prev->child == m)
			m->prev->child = m->next;
		else
			m->prev->next = m->next;
		if (m->next)
			m->next->prev = m->prev;
		t->heap = heap_meld(t->heap, rest);
	}
	m->child = m->next = m->prev = NULL;
	m->key_ms = -1;
}

void turn_timer_init(struct turn_timer *m, struct turn *t, void (*run)(struct turn_timer *))
{
	*m = (struct turn_timer){.turn = t, .run = run, .deadline_ms = -1, .key_ms = -1};
}

void turn_timer_set(struct turn_timer *m, int64_t deadline_ms)
{
	require(m->turn && m->run);
	m->deadline_ms = MAX_OF(deadline_ms, 0);
	if (m->key_ms >= 0 && m->key_ms <= m->deadline_ms)
		return;
	if (m->key_ms >= 0)
		heap_remove(m->turn, m);
	heap_insert(m->turn, m, m->deadline_ms);
}

void turn_timer_clear(struct turn_timer *m)
{
	m->deadline_ms = -1;
	if (m->key_ms >= 0)
		heap_remove(m->turn, m);
}

static void timers_run(struct turn *t)
{
	int64_t now_ms = turn_now_ms(t);

	/* Bounded: a timer that sets itself to a moment that has passed waits for the next turn. */
	for (unsigned n = 0; n < TURN_TIMERS_MAX && t->heap && t->heap->key_ms <= now_ms; n++) {
		struct turn_timer *m = t->heap;

		heap_remove(t, m);
		if (m->deadline_ms > now_ms) {
			heap_insert(t, m, m->deadline_ms);
			continue;
		}
		m->deadline_ms = -1;
		m->run(m);
	}
}

static void on_alarm(uv_timer_t *h)
{
	((struct turn *)h->data)->alarm_ms = -1; /* it only woke the loop; uv_prepare follows */
}

static void alarm_set(struct turn *t)
{
	int64_t now_ms;

	if (!t->heap || t->clock_is_fake)
		return;
	if (t->alarm_ms >= 0 && t->alarm_ms <= t->heap->key_ms)
		return;
	now_ms = turn_now_ms(t);
	t->alarm_ms = t->heap->key_ms;
	uv_update_time(t->loop);
	/* Both clocks are cut to whole milliseconds: one more keeps the alarm from coming just before its time. */
	uv_timer_start(&t->alarm, on_alarm, (uint64_t)MAX_OF(t->alarm_ms - now_ms, 0) + 1, 0);
}

/* --- the turn --- */

/* Runs at most `max` tasks of a list. New ones may come behind meanwhile. */
static unsigned tasks_run(struct list *tasks, unsigned max)
{
	struct list *n;
	unsigned done = 0;

	while (done < max && (n = list_pop_front(tasks))) {
		struct turn_task *k = list_entry(n, struct turn_task, node);

		k->run(k);
		done++;
	}
	return done;
}

static void hooks_run(struct turn *t)
{
	list_each_safe (it, &t->hooks) {
		struct turn_hook *h = list_entry(it, struct turn_hook, node);

		h->run(h);
	}
}

static void on_idle(uv_idle_t *h)
{
	(void)h;
}

static void turn_run(struct turn *t)
{
	int64_t start_us = turn_now_us(t);
	unsigned n = 0;

	require(!t->in_step);
	t->in_step = true;
	t->stats.turns++;
	timers_run(t);
	for (int round = 0; round < TURN_ROUNDS_MAX; round++) {
		n += tasks_run(&t->run, TURN_TASKS_MAX);
		hooks_run(t);
		if (!list_is_empty(&t->run) && round + 1 < TURN_ROUNDS_MAX && n < TURN_TASKS_MAX)
			continue;
		tasks_run(&t->flush, UINT32_MAX);
		if (list_is_empty(&t->run) || n >= TURN_TASKS_MAX)
			break;
	}
	tasks_run(&t->reap, UINT32_MAX);
	t->in_step = false;
	if (n && !t->clock_is_fake) {
		clock_forget(t);
		t->stats.longest_us = MAX_OF(t->stats.longest_us, turn_now_us(t) - start_us);
	}
}

static void on_prepare(uv_prepare_t *h)
{
	struct turn *t = h->data;

	turn_run(t);
	alarm_set(t);
	if (list_is_empty(&t->run) && list_is_empty(&t->flush))
		uv_idle_stop(&t->idle);
	else
		uv_idle_start(&t->idle, on_idle);
	clock_forget(t); /* the poll may take long */
}

static void on_check(uv_check_t *h)
{
	struct turn *t = h->data;

	turn_run(t);
	if (!list_is_empty(&t->run) || !list_is_empty(&t->flush))
		uv_idle_start(&t->idle, on_idle);
}

static void on_closed(uv_handle_t *h)
{
	struct turn *t = h->data;

	if (--t->handles > 0)
		return;
	t->magic = 0;
	mem_free(t->scratch);
	mem_free(t);
}

enum errc turn_new(uv_loop_t *loop, struct turn **out)
{
	struct turn *t = mem_new_of(struct turn);

	if (!t)
		return ERRC_NOMEM;
	t->scratch = mem_new(TURN_SCRATCH);
	if (!t->scratch) {
		mem_free(t);
		return ERRC_NOMEM;
	}
	t->magic = TURN_MAGIC;
	t->loop = loop;
	t->alarm_ms = -1;
	list_init(&t->run);
	list_init(&t->flush);
	list_init(&t->reap);
	list_init(&t->hooks);
	/* None of these can fail (libuv: uv_prepare_init() and its like). */
	uv_prepare_init(loop, &t->prepare);
	uv_check_init(loop, &t->check);
	uv_idle_init(loop, &t->idle);
	uv_timer_init(loop, &t->alarm);
	t->handles = 4;
	t->prepare.data = t->check.data = t->idle.data = t->alarm.data = t;
	uv_prepare_start(&t->prepare, on_prepare);
	uv_check_start(&t->check, on_check);
	*out = t;
	return ERRC_OK;
}

void turn_free(struct turn **t)
{
	if (!*t)
		return;
	require_magic(*t, TURN_MAGIC);
	require(!(*t)->in_step);
	tasks_run(&(*t)->reap, UINT32_MAX);
	uv_close((uv_handle_t *)&(*t)->prepare, on_closed);
	uv_close((uv_handle_t *)&(*t)->check, on_closed);
	uv_close((uv_handle_t *)&(*t)->idle, on_closed);
	uv_close((uv_handle_t *)&(*t)->alarm, on_closed);
	*t = NULL;
}

uv_loop_t *turn_loop(struct turn *t)
{
	return t->loop;
}

void turn_task_init(struct turn_task *k, struct turn *t, void (*run)(struct turn_task *))
{
	list_init(&k->node);
	k->turn = t;
	k->run = run;
}

void turn_task_fini(struct turn_task *k)
{
	list_remove(&k->node);
}

void turn_wake(struct turn_task *k)
{
	if (!list_is_linked(&k->node))
		list_push_back(&k->turn->run, &k->node);
}

void turn_flush(struct turn_task *k)
{
	if (!list_is_linked(&k->node))
		list_push_back(&k->turn->flush, &k->node);
}

void turn_reap(struct turn_task *k)
{
	if (!list_is_linked(&k->node))
		list_push_back(&k->turn->reap, &k->node);
}

void turn_hook_init(struct turn_hook *h, struct turn *t, void (*run)(struct turn_hook *))
{
	h->run = run;
	list_push_back(&t->hooks, &h->node);
}

void turn_hook_fini(struct turn_hook *h)
{
	list_remove(&h->node);
}

char *turn_scratch(struct turn *t)
{
	return t->scratch;
}

void turn_stats_get(struct turn *t, struct turn_stats *out)
{
	*out = t->stats;
	t->stats.longest_us = 0;
}

void turn_fake_clock(struct turn *t, int64_t boot_ms)
{
	t->clock_is_fake = true;
	t->now_us = boot_ms * 1000;
	t->wall_ms = boot_ms;
}

void turn_step(struct turn *t)
{
	turn_run(t);
}
