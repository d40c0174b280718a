/* Requests of aigwctl that the master handed over, socket included. What writes runs on the ledger thread, what reads on the
 * loop's pool, reports one at a time; the answer is sent from there as far as the socket takes it, the rest by the loop. */
#ifndef AIGW_SERVE_H
#define AIGW_SERVE_H

#include "msg.h"

struct keeper;
struct serve;

MUSTCHECK enum errc serve_new(struct keeper *k, struct serve **out);
/* No thread is at a request any more. */
void serve_free(struct serve **s);
/* Answers a CONTROL message; its socket is taken over. */
void serve_request(struct serve *s, struct msg *m);
/* All workers know the newest pepper: what waits for that goes on. */
void serve_peppers_known(struct serve *s);
/* Reports that run give up soon, those that wait at once. */
void serve_stop(struct serve *s);

#endif
