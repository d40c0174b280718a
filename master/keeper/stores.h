/* The two stores as the keeper's threads share them. The ledger thread opens them and is the only one that puts another live
 * store in place; whoever else works on the live store holds it meanwhile. One that was replaced stays open until the last
 * holder has dropped it. */
#ifndef AIGW_STORES_H
#define AIGW_STORES_H

#include <pthread.h>

#include "ledger.h"

#define STORES_OPEN_MAX 4

struct stores {
	pthread_mutex_t lock; /* guards what follows, but `ledger` */
	pthread_cond_t dropped;
	struct {
		struct live *live; /* owned; NULL: free place */
		unsigned holders;
	} open[STORES_OPEN_MAX];
	unsigned current;
	struct ledger *ledger; /* owned; set once before anyone else is told of the start */
};

void stores_init(struct stores *s);
/* Closes what is open; nobody may hold a live store or read the ledger any more. */
void stores_fini(struct stores *s);
/* The live store in place, held until stores_drop(). */
struct live *stores_hold(struct stores *s);
void stores_drop(struct stores *s, struct live *live);
/* Puts `live` in place and takes it over. Waits while too many older ones are held. */
void stores_put(struct stores *s, struct live *live);

#endif
