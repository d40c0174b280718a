/* What /metrics answers: the series of the shared page and what the table in force says about providers and offers. */
#ifndef AIGW_METRICS_H
#define AIGW_METRICS_H

#include "worker_state.h"

MUSTCHECK enum errc metrics_print(struct worker *w, struct buf *out);

#endif
