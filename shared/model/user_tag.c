#include "user_tag.h"

#include "jstep.h"

/* Past one character that shows, or the given end when there is none. */
static const char *pass(const char *p, const char *end)
{
	const char *next;

	if ((uint8_t)*p < 0x80)
		return (uint8_t)*p < 0x20 || *p == 0x7f ? NULL : p + 1;
	next = jstep_utf8(p, end);
	/* U+0080 to U+009F are controls too. */
	for (const char *q = p; q + 1 < next; q++)
		if ((uint8_t)q[0] == 0xc2 && (uint8_t)q[1] < 0xa0)
			return NULL;
	return next > p ? next : NULL;
}

bool user_tag_is_good(struct slice s)
{
	const char *p = s.p, *end = s.p + s.n;

	if (s.n == 0 || s.n > USER_TAG_MAX || s.p[0] == ' ' || s.p[s.n - 1] == ' ')
		return false;
	while (p && p < end)
		p = pass(p, end);
	return p;
}
