#include "batch.h"

#include "mem.h"

struct batch {
	struct turn_hook hook;
	struct turn_task wake; /* makes the turn go on when items were added outside of it */
	struct live *live;
	struct list queue;
	struct admit_rules rules;
};

static void run_some(struct batch *b, struct batch_item *const *items, size_t n)
{
	struct admit_op *ops[LIMIT_TXN_OPS] = {NULL};
	enum errc e;

	for (size_t i = 0; i < n; i++)
		ops[i] = &items[i]->op;
	e = admit_batch(b->live, &b->rules, ops, n);
	if (e && n > 1) {
		/* Nothing of it happened: whoever spoils it must fail alone. */
		for (size_t i = 0; i < n; i++)
			run_some(b, &items[i], 1);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		items[i]->result = e ? e : items[i]->op.rc;
		items[i]->done(items[i]);
	}
}

static void hook_run(struct turn_hook *h)
{
	struct batch *b = CONTAINER_OF(h, struct batch, hook);

	while (!list_is_empty(&b->queue)) {
		struct batch_item *items[LIMIT_TXN_OPS];
		size_t n = 0;

		while (n < LIMIT_TXN_OPS && !list_is_empty(&b->queue)) {
			items[n] = list_entry(list_pop_front(&b->queue), struct batch_item, node);
			items[n]->queued = false;
			n++;
		}
		run_some(b, items, n);
	}
}

static void wake_run(struct turn_task *k)
{
	(void)k; /* the hook behind the run queue does the work */
}

enum errc batch_new(struct turn *t, struct live *l, struct batch **out)
{
	struct batch *b = mem_new_of(struct batch);

	if (!b)
		return ERRC_NOMEM;
	b->live = l;
	list_init(&b->queue);
	turn_hook_init(&b->hook, t, hook_run);
	turn_task_init(&b->wake, t, wake_run);
	*out = b;
	return ERRC_OK;
}

void batch_free(struct batch **bp)
{
	struct batch *b = *bp;

	*bp = NULL;
	if (!b)
		return;
	while (!list_is_empty(&b->queue))
		list_entry(list_pop_front(&b->queue), struct batch_item, node)->queued = false;
	turn_hook_fini(&b->hook);
	turn_task_fini(&b->wake);
	mem_free(b);
}

void batch_set_rules(struct batch *b, const struct admit_rules *rules)
{
	b->rules = *rules;
}

void batch_add(struct batch *b, struct batch_item *i)
{
	require(!i->queued);
	list_push_back(&b->queue, &i->node);
	i->queued = true;
	turn_wake(&b->wake);
}

bool batch_cancel(struct batch_item *i)
{
	if (!i->queued)
		return false;
	list_remove(&i->node);
	i->queued = false;
	return true;
}
