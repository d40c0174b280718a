/* The stream contract A4 as a check of what a chat client gets. */
#ifndef AIGW_TEST_A4_H
#define AIGW_TEST_A4_H

#include "buf.h"

struct a4 {
	const char *bad; /* what is wrong, NULL: nothing */
	unsigned items, usages, finishes, choices, errors;
	bool done;
	int64_t prompt, completion;
	struct buf text, thinking,
		calls;   /* of all choices, in order; names and arguments of calls */
	char finish[32]; /* of the first choice */
};

void a4_init(struct a4 *a);
void a4_fini(struct a4 *a);
/* Reads a whole client stream. With asked == false the rules for a client that did not ask for usage hold. */
void a4_stream(struct a4 *a, struct slice out, bool asked);
/* Reads a provider's own stream the same way, without holding it to the rules. */
void a4_collect(struct a4 *a, struct slice bytes);
/* Reads a whole chat answer. */
void a4_whole(struct a4 *a, struct slice body);

#endif
