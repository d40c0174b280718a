/* The likest of some names to a word that is none of them, for "did you mean …?". Names are added one by one; the closest
 * within a distance that grows with the word's length is kept. Pure; slices are borrowed while the hint is used. */
#ifndef AIGW_HINT_H
#define AIGW_HINT_H

#include "slice.h"

struct hint {
	struct slice wanted, best; /* best.p is NULL while no name is near enough */
	unsigned distance;
};

void hint_init(struct hint *h, struct slice wanted);
void hint_add(struct hint *h, struct slice name);

#endif
