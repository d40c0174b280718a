#include "pace.h"

/* A record waits for the next begin and then for the commit itself: together within 50 ms, and 1 s. */
#define GROUP_MS 40
#define ASYNC_MS 950

void pace_init(struct pace *p, enum settings_durability durability, int64_t now_ms, uint64_t tail)
{
	*p = (struct pace){.interval_ms = durability == SETTINGS_DURABILITY_ASYNC ? ASYNC_MS
										  : GROUP_MS,
			   .began_ms = now_ms,
			   .checkpoint_ms = tail < PACE_TAIL ? now_ms : now_ms - PACE_CHECKPOINT_MS,
			   .dirty = tail > 0};
}

void pace_ring(struct pace *p)
{
	p->rung = true;
}

int64_t pace_wait_ms(const struct pace *p, int64_t now_ms)
{
	int64_t at = p->rung ? now_ms : p->began_ms + p->interval_ms;

	return MAX_OF(MAX_OF(at, p->retry_ms) - now_ms, 0);
}

bool pace_is_due(const struct pace *p, int64_t now_ms)
{
	return pace_wait_ms(p, now_ms) == 0;
}

bool pace_wants_checkpoint(const struct pace *p, int64_t now_ms)
{
	return p->dirty && now_ms - p->checkpoint_ms >= PACE_CHECKPOINT_MS;
}

void pace_begin(struct pace *p, int64_t now_ms)
{
	p->began_ms = now_ms;
	p->rung = false;
}

void pace_good(struct pace *p, int64_t now_ms, bool took, bool checkpointed)
{
	p->retry_ms = 0;
	if (checkpointed) {
		p->checkpoint_ms = now_ms;
		/* The checkpoint is as of the commit before: what came with this one is for the next. */
		p->dirty = false;
	}
	p->dirty |= took;
}

void pace_failed(struct pace *p, int64_t now_ms)
{
	p->retry_ms = now_ms + PACE_RETRY_MS;
}
