/* Random runs that can be repeated in part. Every step draws from a generator of its own, made from the run's seed and the step's number, so
 * that leaving out some steps does not change what the others draw. When a run fails, steps are left out as long as the rest still fails, in
 * processes of their own, and the shortest list that was found is printed, with what its steps noted, as the environment that runs it
 * again: AIGW_TEST_ONLY="3,17" are the steps, AIGW_TEST_SEED and AIGW_TEST_STEPS those of the run that they are of, for what a step does
 * may depend on the length of its run. AIGW_LONG=1 runs a million steps, of a seed that nobody chose unless AIGW_TEST_SEED does. */
#ifndef AIGW_TEST_SHRINK_H
#define AIGW_TEST_SHRINK_H

#include <stddef.h>

#include "text.h"

struct shrink {
	const char *(*begin)(
		void); /* makes a fresh world; the folder to be removed should it not come to its end */
	void (*step)(struct text_rng *rng,
		     unsigned long number); /* time should pass by the number */
	void (*check)(bool last); /* everything; after each `every` steps and at the end */
	void (*end)(void);
	unsigned long seed, steps,
		every; /* seed and steps: unless the environment says something else */

	unsigned long *list; /* from here on shrink.c's own */
	size_t n, at;
	bool running;
};

/* AIGW_TEST_SEED; without it any with AIGW_LONG=1, else this one. */
unsigned long shrink_seed(unsigned long otherwise);
/* The run; fails the test where its functions do. */
void shrink_run(struct shrink *s);
/* For the test's teardown: nothing if the run came to its end. */
void shrink_failed(struct shrink *s);
/* What a step does, for the list; printf. */
void shrink_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
