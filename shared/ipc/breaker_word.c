#include "breaker_word.h"

#define TICK_BITS   26
#define TICK_MASK   ((UINT64_C(1) << TICK_BITS) - 1)
#define COUNT_TOP   ((UINT64_C(1) << 22) - 1)
#define MINUTE_MASK ((UINT64_C(1) << 20) - 1)

uint64_t breaker_word_push(uint64_t w, unsigned of, int64_t window_ms, int64_t now_ms, bool failed)
{
	uint64_t bits = w & 0xffffffff, n = w >> 32 & 0x3f, tick = w >> 38;
	uint64_t now = (uint64_t)now_ms >> 8 & TICK_MASK;
	uint64_t age_ms = ((now - tick) & TICK_MASK) << 8;

	if (age_ms > (uint64_t)window_ms)
		bits = n = 0;
	bits = (bits << 1 | failed) & 0xffffffff;
	n = MIN_OF(n + 1, of);
	return bits | n << 32 | now << 38;
}

unsigned breaker_word_failures(uint64_t w, unsigned of)
{
	unsigned n = (unsigned)(w >> 32 & 0x3f);
	uint64_t mask;

	n = MIN_OF(n, of);
	mask = n >= 32 ? 0xffffffff : (UINT64_C(1) << n) - 1;
	return (unsigned)__builtin_popcountll(w & mask);
}

int64_t breaker_word_delay_ms(int64_t base_ms, int64_t max_ms, unsigned times, uint64_t rnd)
{
	int64_t d = MIN_OF(base_ms, max_ms);

	for (unsigned i = 1; i < times && d < max_ms; i++)
		d = d > max_ms / 2 ? max_ms : d * 2;
	return d * 4 / 5 + (int64_t)(rnd % ((uint64_t)d * 2 / 5 + 1));
}

/* Moves the counts on when the minute has changed. */
static void roll(uint64_t w, int64_t now_ms, uint64_t *minute, uint64_t *cur, uint64_t *prev)
{
	uint64_t was = w >> 44;

	*minute = (uint64_t)(now_ms / 60000) & MINUTE_MASK;
	*cur = w & COUNT_TOP;
	*prev = w >> 22 & COUNT_TOP;
	if (was == *minute)
		return;
	*prev = ((was + 1) & MINUTE_MASK) == *minute ? *cur : 0;
	*cur = 0;
}

uint64_t breaker_word_count(uint64_t w, int64_t now_ms, unsigned add)
{
	uint64_t minute, cur, prev;

	roll(w, now_ms, &minute, &cur, &prev);
	cur = MIN_OF(cur + add, COUNT_TOP);
	return cur | prev << 22 | minute << 44;
}

uint64_t breaker_word_rate(uint64_t w, int64_t now_ms)
{
	uint64_t minute, cur, prev;

	roll(w, now_ms, &minute, &cur, &prev);
	return cur + prev * (uint64_t)(60000 - now_ms % 60000) / 60000;
}

static uint32_t smooth(uint32_t old, uint32_t v)
{
	int64_t step = ((int64_t)v - old) / 8;

	if (old == 0)
		return v;
	if (step == 0)
		step = v > old ? 1 : v < old ? -1 : 0;
	return (uint32_t)(old + step);
}

uint64_t breaker_word_smooth(uint64_t w, uint32_t high, uint32_t low)
{
	return (uint64_t)smooth((uint32_t)(w >> 32), high) << 32 | smooth((uint32_t)w, low);
}
