/* A node's two stores in a temporary folder, with the shorthands that the tests of shared/store share. Every function fails
 * the test when the store does not do what it is asked. */
#ifndef AIGW_TEST_RIG_H
#define AIGW_TEST_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin.h"
#include "admit.h"
#include "auth.h"
#include "progress.h"
#include "scan.h"
#include "store.h"

#define RIG_DOLLAR   MONEY_NUSD_DOLLAR

#define RIG_ESTIMATE 150 /* tokens that an ask is expected to take */

struct rig {
	char dir[128];
	struct store_opts opts;
	struct live *live;
	struct ledger *ledger;
	struct outbox_batch batch;
	struct store_started started;
	struct admin admin;
	struct admin_by by;
	struct price price;       /* 1 dollar a million in, 2 out */
	struct price per_request; /* a cent a request */
	int64_t boot_ms, wall_ms;
	uint64_t ids;
};

/* A fresh folder with nothing in it; rig_open() starts the stores as a keeper does. */
void rig_init(struct rig *r);
void rig_fini(struct rig *r);
void rig_open(struct rig *r);
void rig_close(struct rig *r);
void rig_join(struct rig *r); /* as a worker: holds need an instance */

uint64_t rig_account(struct rig *r, const char *name, int64_t credit_nusd);
/* A key without limits; *k is filled for later updates. */
void rig_key(struct rig *r, uint64_t account, const char *id, struct rows_scope *k);

/* Without limits: fill in what is needed, then rig_put() makes or replaces it. */
void rig_scope(struct rows_scope *s, uint64_t account, enum rows_kind kind, const char *name);
void rig_put(struct rig *r, struct rows_scope *s);
MUSTCHECK enum errc rig_try_put(struct rig *r, struct rows_scope *s, bool *durable);
/* Sets (ROWS_NO_LIMIT: removes) the rule of this kind that is for all models. */
void rig_limit(struct rows_scope *s, enum rows_limit kind, int64_t limit);
void rig_budget(struct rows_scope *s, int64_t nusd, struct window_spec window);
void rig_usage(struct rig *r, uint64_t account, const char *key_id, struct auth_usage *u);
/* What a scope has used; all zero when there is none. */
void rig_state(struct rig *r, uint64_t account, enum rows_kind kind, const char id[ROWS_ID],
	       struct rows_state *out);
/* The key's rule of this kind as it stands; all zero when it has none. */
struct rows_rule_now rig_rule(const struct auth_usage *u, enum rows_limit kind);

struct genid rig_id(struct rig *r);
/* An ask with one candidate: 100 tokens of input at most, `cap` of output. */
void rig_ask(struct rig *r, struct admit_op *op, struct hold_candidate *c, uint64_t account,
	     const char *key_id, const struct price *price, int64_t cap);
void rig_settle_op(struct rig *r, struct admit_op *op, uint64_t account, const struct genid *id,
		   int64_t in, int64_t out);
void rig_run(struct rig *r, struct admit_op *op);
/* Ask and run; true when granted (the slot of progress is taken and kept). */
bool rig_hold(struct rig *r, uint64_t account, const char *key_id, const struct price *price,
	      int64_t cap, struct genid *id, struct admit_op *op);
void rig_settle(struct rig *r, uint64_t account, const struct genid *id, int64_t in, int64_t out,
		struct admit_done *done);
/* A hold of which nothing is charged; a charge, the outbox's record with this number, that is taken back. */
void rig_release(struct rig *r, uint64_t account, const struct genid *id);
void rig_reverse(struct rig *r, uint64_t account, const struct genid *id, uint64_t outbox_n);

/* Equal in all but the name. */
bool rig_same(const struct rows_account *a, const struct rows_account *b);
void rig_get_account(struct rig *r, uint64_t account, struct rows_account *a);
/* Conservation over the whole live store. */
void rig_check(struct rig *r, struct scan *s);
uint64_t rig_drain(struct rig *r);
/* Drained: live store and book agree, the ledger is sound, and nothing is out of balance. */
void rig_check_books(struct rig *r);

#endif
