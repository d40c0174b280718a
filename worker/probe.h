/* `aigwctl provider test`: asks a provider for its models with each of its keys, on this worker's own pools, and tells what came. */
#ifndef AIGW_PROBE_H
#define AIGW_PROBE_H

#include "msg.h"

struct worker;

/* Takes the client's socket out of a CONTROL message and answers on it. */
void probe_serve(struct worker *w, struct msg *m);

#endif
