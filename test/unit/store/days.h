/* A ledger of some days, each sealed when the next one begins, for the tests of seals and retention. Every function fails the test when
 * the ledger does not do what it is asked. */
#ifndef AIGW_TEST_DAYS_H
#define AIGW_TEST_DAYS_H

#include "retain.h"
#include "rig.h"
#include "rollup.h"
#include "verify.h"

#define DAYS_KEY     "aaaaaaaaaaaa"
#define DAYS_0       INT64_C(1790035200000) /* 2026-09-22T00:00:00Z */
#define DAYS_N       5
#define DAYS_CHARGES 1300 /* charges: more than one step removes */

struct days {
	struct rig rig;
	uint64_t account, charges;
	int64_t now_ms;
};

/* cmocka's setup and teardown: account "acme" with a key on the first of the days. */
int days_setup(void **state);
int days_teardown(void **state);
/* The id of the n-th charge. */
struct genid days_id_of(uint64_t n);
/* One commit of n charges as the keeper's: a day that is over is sealed first. */
void days_take(struct days *s, size_t n);
void days_checkpoint(struct ledger *l);
/* DAYS_N days of DAYS_CHARGES charges. */
void days_fill(struct days *s);
void days_verify_good(struct days *s, struct verify_result *v);
void days_reopen(struct days *s);
/* All steps, verified one by one, with restarts between them; the number of them. */
int days_retain(struct days *s, const struct retain_keep *keep, bool restart);

#endif
