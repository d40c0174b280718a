/* What the model of world.h knows of the use of rules: windows of budgets, and limits over time, by the clocks of the world. */
#ifndef AIGW_TEST_WORLD_USE_H
#define AIGW_TEST_WORLD_USE_H

#include "rows.h"

#define WORLD_IDS     256 /* of the rules of a scope whose use is known: the newest */
#define WORLD_WINDOWS 6   /* of a budget that are known; what is older is not seen again */

/* A budget's window, by the second at which it began. */
struct model_window {
	int64_t id, used, held;
	bool durable; /* the ledger has a charge in it */
};

/* What a limit over time counts: the use of the bucket that lasts, which began at `start_ms`, and of the one before. */
struct model_rate {
	int64_t start_ms, now, before;
};

/* What one scope used of one rule. */
struct use {
	uint32_t id;
	size_t n;
	struct model_window
		w[WORLD_WINDOWS]; /* newest first: the first one is open, or was the last one to be */
	struct model_rate rate;
	int running;
};

struct model_scope;

/* Of a rule that is in force. */
struct use *world_use(struct model_scope *s, uint32_t id);
/* The window of a budget that is used now. */
int64_t world_window_of(const struct rows_rule *r, const struct use *u);
/* What is known of it; zeros where it is not open. */
struct model_window world_look(const struct use *u, int64_t window);
/* What counts as used now of a limit over time. */
int64_t world_rate_used(const struct rows_rule *r, const struct use *u);
/* Its limit now, with its raise. */
int64_t world_limit_of(const struct rows_rule *r, const struct use *u);
/* NULL: another rule is in its place, or the window is not known any more. */
struct use *world_use_known(struct model_scope *s, uint32_t id);
struct model_window *world_use_find(struct use *u, int64_t window);
/* Makes it the newest where it is not there. */
struct model_window *world_use_open(struct use *u, int64_t window);

bool world_use_is_tokens(enum rows_limit kind);
int64_t world_use_len_ms(enum rows_limit kind);
/* How a limit over so much time stands, and what of it counts. */
struct model_rate world_use_rate(const struct use *u, int64_t len);
int64_t world_use_sum(const struct model_rate *r, int64_t len);
/* What was taken then comes to more, or less: what it was more than a use that counts no longer is used now. */
void world_use_correct(struct use *u, enum rows_limit kind, int64_t taken_ms, int64_t more);

#endif
