#include "samples.h"

#include <stdlib.h>

#include "clock.h"
#include "mem.h"

#define LATE_NS (5 * CLOCK_NS_MS)

void samples_add(struct samples *s, int64_t ns)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 4096;
		s->ns = mem_grow(s->ns, s->cap * sizeof(*s->ns));
		require(s->ns);
	}
	s->ns[s->n++] = ns;
}

static int order(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void print_at(const struct samples *s, struct json_out *o, const char *key, size_t ppm)
{
	size_t at = s->n * ppm / 1000000;

	json_out_key(o, key);
	json_out_decimal(o, s->n > 0 ? s->ns[MIN_OF(at, s->n - 1)] : 0, 3, 1);
}

void samples_print(struct samples *s, struct json_out *o, const char *key)
{
	size_t late = 0;

	if (s->n > 0)
		qsort(s->ns, s->n, sizeof(*s->ns), order);
	while (late < s->n && s->ns[s->n - 1 - late] > LATE_NS)
		late++;
	json_out_key(o, key);
	json_out_obj(o);
	json_out_ki64(o, "count", (int64_t)s->n);
	print_at(s, o, "p50", 500000);
	print_at(s, o, "p90", 900000);
	print_at(s, o, "p99", 990000);
	print_at(s, o, "p999", 999000);
	print_at(s, o, "max", 1000000);
	json_out_ki64(o, "over_5ms", (int64_t)late);
	json_out_obj_end(o);
}

void samples_fini(struct samples *s)
{
	mem_free(s->ns);
	*s = (struct samples){NULL, 0, 0};
}
