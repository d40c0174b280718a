/* Rules of a scope as operators type them: words with spaces between them, rules with commas between them.
 *	requests=60/minute | requests=5000/day | tokens=100000/minute | tokens=1000000/day | concurrency=5
 *	budget=10.50/month      dollars in each minute, hour, day, week, month, quarter, year, or in total
 *	credit=50 overdraft=5   dollars that were granted, and how far they may be overdrawn; credit=+20: more than were
 * and after it, in any order: zone=Europe/Berlin (whose calendar a budget follows), rolling (a period begins with the first use),
 * models=gpt-5*|!*-preview (for these models only), shadow (count what would be refused, refuse nothing), and for a while
 * raise=5 with windows=2 (the period that lasts and the next one; of those that roll, that begin within so many lengths), with
 * until=2026-12-31, or until raise=off. A number before it, as in `3:budget=20/month` or `3:raise=5 windows=1`, changes the rule
 * with that id and keeps its use; what is not named stays (but a raise by windows, where theirs change), zone=UTC, rolling=off, models=all and shadow=off take away. Pure, but
 * that a time zone is looked up in the system's. */
#ifndef AIGW_RULE_ARGS_H
#define AIGW_RULE_ARGS_H

#include "buf.h"
#include "rows.h"

#define RULE_ARGS_WHY 256
/* Of a limit that would be one more than ROWS_RULES_MAX, by whichever option. */
#define RULE_ARGS_FULL \
	"there are %d limits, as many as there may be: change one by its id, or remove one"
/* Bytes of patterns that one call may name: all that a scope may have, and those of the rule that is too much. */
#define RULE_ARGS_MEM (ROWS_PATTERNS_MAX + ROWS_MODELS_MAX + 1)

/* Adds or changes what `text` says; `state` is what is used of the rules, NULL: nothing yet; `of_each`: each end user has them, and uses
 * of its own that are not known here. Slices of the rules then point into
 * `text`, or into `mem`, which must have RULE_ARGS_MEM bytes reserved. False with the reason in `why`, which
 * begins with the option's name. */
bool rule_args_put(struct slice text, int64_t wall_s, const struct rows_state *state, bool of_each,
		   struct rows_limits *l, struct buf *mem, char why[RULE_ARGS_WHY]);
/* "50", or "+20": more than what `was` grants, which must be a credit. False: it is no such amount. */
bool rule_args_credit(struct slice text, const struct rows_rule *was, int64_t *out);
/* Removes the rules with these ids, "3,4". */
bool rule_args_remove(struct slice text, struct rows_limits *l, char why[RULE_ARGS_WHY]);
#endif
