/* A few shares of something, in rising order, as settings give them: "0.8", "80%", "1". Pure. */
#ifndef AIGW_SHARES_H
#define AIGW_SHARES_H

#include "settings.h"

#define SHARES_MAX     8
#define SHARES_PPM_MAX 10000000 /* ten times the whole */

struct shares {
	size_t n;
	int64_t ppm[SHARES_MAX];
};

/* False when one is no share above 0, or there are too many. Duplicates count once. */
bool shares_read(const struct settings_list *l, struct shares *out);
/* The highest one that `part` of `whole` has reached, in millionths; 0: none. whole > 0. */
int64_t shares_reached(const struct shares *s, int64_t part, int64_t whole);

#endif
