/* Times that were measured one by one, and what stands out in them. */
#ifndef AIGW_SAMPLES_H
#define AIGW_SAMPLES_H

#include "json_out.h"

struct samples {
	int64_t *ns; /* owned */
	size_t n, cap;
};

/* Ends the program when there is no memory. */
void samples_add(struct samples *s, int64_t ns);
/* Writes count, percentiles and how many were over 5 ms as an object of microseconds; sorts. */
void samples_print(struct samples *s, struct json_out *o, const char *key);
void samples_fini(struct samples *s);

#endif
