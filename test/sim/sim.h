/* The simulator's server: HTTP/1.1 on its own connections, each playing the answer that the request's model name scripts. */
#ifndef AIGW_SIM_H
#define AIGW_SIM_H

#include "count.h"
#include "listen.h"

struct sim_opts {
	const char *exchanges; /* folder of recorded exchanges, for models `replay:PROVIDER/NAME`; NULL: none */
	int fd;                /* listens, non-blocking; taken over */
	struct tls_server *tls; /* or NULL; held */
	struct count *count;    /* borrowed */
};

struct sim;

MUSTCHECK enum errc sim_new(struct turn *t, const struct sim_opts *o, struct sim **out);
void sim_free(struct sim **s);

#endif
