#include "arena.h"

#include <stdio.h>

#include "mem.h"

#define ALIGN 16
#define BLOCK_MIN \
	2048 /* blocks are of this size until eight of them are used, then a quarter of what is used */
#define BLOCK_MAX (64 * 1024)

/* Blocks form a list, newest first; only the newest is filled further. */
struct arena_block {
	struct arena_block *next;
	size_t len, cap;
	char data[] __attribute__((aligned(ALIGN)));
};

struct arena_hook {
	struct arena_hook *next;
	void (*fn)(void *);
	void *arg;
};

void arena_init(struct arena *a, size_t max)
{
	arena_init_first(a, max, BLOCK_MIN);
}

void arena_init_first(struct arena *a, size_t max, size_t first)
{
	*a = (struct arena){.max = MIN_OF(max, SIZE_MAX / 4), .first = first};
}

static void run_hooks(struct arena *a)
{
	while (a->hooks) {
		struct arena_hook *h = a->hooks;

		a->hooks = h->next;
		h->fn(h->arg);
	}
}

/* Frees all blocks but the oldest, which is returned (NULL when there is none). */
static struct arena_block *free_blocks(struct arena *a)
{
	struct arena_block *b = a->head;

	while (b && b->next) {
		struct arena_block *next = b->next;

		mem_free(b);
		b = next;
	}
	return b;
}

void arena_fini(struct arena *a)
{
	run_hooks(a);
	mem_free(free_blocks(a));
	arena_init_first(a, a->max, a->first);
}

void arena_reset(struct arena *a)
{
	run_hooks(a);
	a->head = free_blocks(a);
	if (a->head)
		a->head->len = 0;
	a->used = 0;
}

static bool add_block(struct arena *a, size_t n)
{
	size_t cap = MIN_OF(MAX_OF(a->used / 4, (size_t)BLOCK_MIN), (size_t)BLOCK_MAX);
	struct arena_block *b;

	cap = MAX_OF(a->head ? cap : a->first, n);
	b = mem_grow(NULL, sizeof(*b) + cap);
	if (!b)
		return false;
	*b = (struct arena_block){.next = a->head, .cap = cap};
	a->head = b;
	return true;
}

void *arena_get(struct arena *a, size_t n)
{
	void *p;

	if (n > a->max)
		return NULL;
	n = (MAX_OF(n, (size_t)1) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (n > a->max - MIN_OF(a->used, a->max))
		return NULL;
	if ((!a->head || n > a->head->cap - a->head->len) && !add_block(a, n))
		return NULL;
	p = a->head->data + a->head->len;
	a->head->len += n;
	a->used += n;
	return p;
}

void *arena_zero(struct arena *a, size_t n)
{
	void *p = arena_get(a, n);

	if (p)
		memset(p, 0, n);
	return p;
}

struct slice arena_dup(struct arena *a, struct slice s)
{
	char *p = s.n < SIZE_MAX ? arena_get(a, s.n + 1) : NULL;

	if (!p)
		return SLICE_NONE;
	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return slice_of(p, s.n);
}

struct slice arena_join(struct arena *a, const struct slice *v, size_t n)
{
	size_t total = 0, at = 0;
	char *p;

	for (size_t i = 0; i < n; i++)
		if (__builtin_add_overflow(total, v[i].n, &total))
			return SLICE_NONE;
	p = total < SIZE_MAX ? arena_get(a, total + 1) : NULL;
	if (!p)
		return SLICE_NONE;
	for (size_t i = 0; i < n; at += v[i++].n)
		if (v[i].n)
			memcpy(p + at, v[i].p, v[i].n);
	p[at] = '\0';
	return slice_of(p, at);
}

struct slice arena_fmt(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	p = n < 0 ? NULL : arena_get(a, (size_t)n + 1);
	if (!p)
		return SLICE_NONE;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return slice_of(p, (size_t)n);
}

enum errc arena_on_fini(struct arena *a, void (*fn)(void *), void *arg)
{
	struct arena_hook *h = arena_get(a, sizeof(*h));

	if (!h)
		return ERRC_NOMEM;
	*h = (struct arena_hook){.next = a->hooks, .fn = fn, .arg = arg};
	a->hooks = h;
	return ERRC_OK;
}
