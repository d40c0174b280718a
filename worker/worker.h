/* The worker process: one loop, everything of a request. Started by the master with a heritage, reads no file of the
 * configuration: table, sockets and keys come over the channel. */
#ifndef AIGW_WORKER_H
#define AIGW_WORKER_H

#include "heritage.h"

/* Serves until drained or orphaned; the result is the exit status. h is borrowed, its descriptors are taken over. */
int worker_main(const struct heritage *h);

#endif
