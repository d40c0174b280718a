/* A worker asks what a key has used (GET /v1/usage and the like). Added up on the loop's thread pool, one report of this kind
 * at a time: clients may ask as often as they like and must not take the threads from look-ups and from the operator. What waits
 * in the outbox is read there, so that a report is exact and yet makes the ledger write nothing. */
#ifndef AIGW_KEYREPORT_H
#define AIGW_KEYREPORT_H

struct keeper;
struct keeper_worker;
struct msg_report;

/* Answers with REPORTED, at once when too many wait. */
void keyreport_start(struct keeper_worker *w, const struct msg_report *m);
/* The keeper ends: what waits is refused. */
void keyreport_stop(struct keeper *k);

#endif
