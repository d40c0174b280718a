/* Times a small piece of code: rounds of many calls, the best round counts, because other programs only ever add time. */
#ifndef AIGW_MICRO_H
#define AIGW_MICRO_H

#include <stdio.h>

#include "clock.h"

#define MICRO_ROUNDS 20
#define MICRO_CALLS  20000

/* Prints "<name> <ns> ns" for one call of fn. */
static inline void micro_run(const char *name, void (*fn)(void *), void *arg)
{
	int64_t best = INT64_MAX;

	for (int round = 0; round < MICRO_ROUNDS; round++) {
		int64_t start = clock_boot_ns(), took;

		for (int i = 0; i < MICRO_CALLS; i++)
			fn(arg);
		took = clock_boot_ns() - start;
		best = MIN_OF(best, took);
	}
	printf("%-44s %6.0f ns\n", name, (double)best / MICRO_CALLS);
}

#endif
