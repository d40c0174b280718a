/* The keeper process: the only writer of the durable ledger. Started by the master with a heritage before any worker. */
#ifndef AIGW_KEEPER_H
#define AIGW_KEEPER_H

#include "heritage.h"

/* Waits for state/keeper.lock, opens the stores, serves until drained or until another master's generation appears; the
 * result is the exit status. h is borrowed, its descriptors are taken over. */
int keeper_main(const struct heritage *h);

#endif
