/* The world of test_model_scopes.c and the model of it, which is nothing but sums in memory: one account, its teams, keys and end users with
 * their rules, holds, and what each rule has used on each day. Functions that admit and settle do it in the stores and in the model, and fail
 * the test where the two differ. */
#ifndef AIGW_TEST_WORLD_H
#define AIGW_TEST_WORLD_H

#include "rig.h"

#include "text.h"

#define WORLD_TEAMS  2
#define WORLD_KEYS   3
#define WORLD_USERS  3 /* the first has rules of its own, the others those for all */
#define WORLD_HOLDS  32
#define WORLD_IDS    96 /* of the rules that one definition ever has */
#define WORLD_DAYS   128
#define WORLD_DAY_MS INT64_C(86400000)
#define WORLD_MODELS 2
#define WORLD_FRESH  128
#define WORLD_ZONE   "Area/York"

extern const char *const world_models[WORLD_MODELS];
extern const char *const world_tags[WORLD_USERS];

/* What one scope used of one rule. Totals stand at day 0. */
struct use {
	int64_t used[WORLD_DAYS], held[WORLD_DAYS];
	int running;
};

struct model_scope {
	struct rows_scope *def; /* of an end user without a row: that of all */
	enum rows_kind kind;
	int holds;
	struct use use[WORLD_IDS];
};

struct model_hold {
	bool used;
	struct genid id;
	int64_t nusd, wall_s;
	size_t n;
	struct {
		struct model_scope *scope;
		size_t n;
		uint32_t rule[ROWS_RULES_MAX];
	} of[ROWS_SCOPES_MAX];
};

struct world {
	struct rig r;
	struct text_rng *rng; /* of the step */
	uint64_t account;
	int64_t granted, settled, held, day0;
	struct {
		struct model_hold hold;
		int64_t nusd;
	} fresh[WORLD_FRESH]; /* charges, and what was taken back, that only the live store has */
	size_t fresh_n;
	uint64_t verified; /* the last record, when the ledger was verified */
	uint64_t step_ms,
		number; /* how much passes in a step, so that a run of any length has room for its days; of the last step */
	struct rows_scope account_def, team_def[WORLD_TEAMS], key_def[WORLD_KEYS], own_def,
		every_def;
	struct model_scope acc, team[WORLD_TEAMS], key[WORLD_KEYS], user[WORLD_USERS];
	int team_of[WORLD_KEYS]; /* -1: none */
	struct model_hold holds[WORLD_HOLDS];
	unsigned long refused_n[ADMIT_REASON_COUNT], losses, deaths, raised;
	int rests;
};

extern struct world world;

/* A fresh one; its folder. */
const char *world_begin(void);
uint64_t world_pick(uint64_t n); /* below n, from the generator of the step */
int64_t world_now_s(void);
/* Which window of a rule a moment belongs to; 0 for a total. */
int64_t world_day_of(const struct rows_rule *r, int64_t wall_s);
/* Its limit now, with its raise. */
int64_t world_limit_of(const struct rows_rule *r);
/* NULL: the scope has it no more. */
const struct rows_rule *world_rule_of(const struct model_scope *s, uint32_t id);

/* The ledger takes what the outbox holds. */
void world_drain(void);
/* A request of any key and end user for any model, admitted or refused as the model says. */
void world_admit(void);
/* A hold is settled, released, or settled and taken back. */
void world_end_one(void);
void world_release(struct model_hold *h);
/* In the model alone: the hold ends with this charge, also with none where it is lost with the live store. */
void world_end_hold(struct model_hold *h, int64_t charge);
/* In the model alone: this much more is used, or less, of what the hold counts in. */
void world_use_budgets(const struct model_hold *h, int64_t nusd);

#endif
