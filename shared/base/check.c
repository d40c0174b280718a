#include "check.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "log.h"

/* A place that failed is remembered by a slot of this table; two places that share one cost a
 * message, no more. */
static atomic_bool reported[1024];

void check_abort(const char *expr, const char *file, int line)
{
	log_now(LOG_ERROR, "check_abort", "%s:%d: require(%s) failed", file, line, expr);
	abort();
}

bool check_report(const char *expr, const char *file, int line)
{
	size_t slot = ((uintptr_t)file / 8 + (unsigned)line) % ARRAY_LEN(reported);

	if (!atomic_exchange(&reported[slot], true))
		log_error("check_failed", "%s:%d: %s does not hold", file, line, expr);
	return true;
}
