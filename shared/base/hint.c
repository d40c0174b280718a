#include "hint.h"

#define NAME_MAX_HINTED 64 /* longer names are no typing errors */

/* Edits (insert, delete, replace, swap of neighbours) that turn a into b. */
static unsigned distance(struct slice a, struct slice b)
{
	unsigned row[3][NAME_MAX_HINTED + 1];

	for (size_t j = 0; j <= b.n; j++)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a.n; i++) {
		unsigned *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= b.n; j++) {
			unsigned same = last[j - 1] + (a.p[i - 1] != b.p[j - 1]);

			now[j] = MIN_OF(same, MIN_OF(last[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
				now[j] = MIN_OF(now[j], before[j - 2] + 1);
		}
	}
	return row[a.n % 3][b.n];
}

void hint_init(struct hint *h, struct slice wanted)
{
	*h = (struct hint){.wanted = wanted,
			   .distance = wanted.n < 4 ? 2 : 3 + (unsigned)(wanted.n > 8)};
}

void hint_add(struct hint *h, struct slice name)
{
	unsigned d;

	if (h->wanted.n > NAME_MAX_HINTED || name.n > NAME_MAX_HINTED)
		return;
	d = distance(h->wanted, name);
	if (d < h->distance) {
		h->distance = d;
		h->best = name;
	}
}
