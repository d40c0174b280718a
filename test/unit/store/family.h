/* One account with rules of its own, a team, a key in it and an end user, for the tests of several scopes at once. Every function
 * fails the test when the store does not do what it is asked. */
#ifndef AIGW_TEST_FAMILY_H
#define AIGW_TEST_FAMILY_H

#include "rig.h"

#define FAMILY_KEY "aaaaaaaaaaaa"
#define FAMILY_N   4 /* scopes */

struct family {
	struct rig *r;
	uint64_t account;
	struct rows_scope of[FAMILY_N]; /* account, team, key, user */
	struct slice user;              /* the tag of requests */
};

extern struct family family;

/* cmocka's setup and teardown: account "acme" with 100 dollars, team "growth", key "a key", end user "alice", no rules. */
int family_setup(void **state);
/* The same, with so many others in the account's row of states that those of the family stand in rows of their own. */
int family_setup_apart(void **state);
int family_teardown(void **state);
/* Writes all of them into the stores as the test changed them. */
void family_put(void);
/* Some rules of each kind, far from being used up: requests a minute, tokens a day, requests at once, a budget a day, a rolling
 * one an hour. */
void family_give_rules(struct rows_scope *s);
/* A request of the user; true: granted. */
bool family_ask(struct admit_op *op, int64_t cap, struct genid *id);
void family_hold(int64_t cap, struct genid *id);
/* One that this scope refuses. */
void family_refuse(int64_t cap, enum admit_reason why, size_t scope, struct admit_refusal *out);
void family_state(size_t scope, struct rows_state *out);
/* How the n-th rule of a scope stands. */
struct rows_rule_now family_look(size_t scope, size_t n);

#endif
