/* The world of test_model_scopes.c and the model of it, which is nothing but sums in memory: one account, its teams, keys and end users with
 * their rules, holds, and what each rule has used on each day. Functions that admit and settle do it in the stores and in the model, and fail
 * the test where the two differ. */
#ifndef AIGW_TEST_WORLD_H
#define AIGW_TEST_WORLD_H

#include "rig.h"
#include "world_use.h"

#include "text.h"

#define WORLD_TEAMS 2
#define WORLD_KEYS \
	8 /* that there ever are; some to begin with, one more for each that is revoked */
#define WORLD_ACTIVE_KEYS 3
#define WORLD_USERS \
	3 /* the first has rules of its own at times, the others those for all, where there are any */
#define WORLD_HOLDS  32
#define WORLD_DAY_MS INT64_C(86400000)
#define WORLD_MODELS 2
#define WORLD_FRESH  128
#define WORLD_ZONE   "Area/York"

extern const char *const world_models[WORLD_MODELS];
extern const char *const world_tags[WORLD_USERS];

/* Of a settlement. */
struct model_done {
	uint64_t outbox_n;
	int64_t charge, lost; /* lost: of what was due, what no credit was left for */
};

struct model_scope {
	/* Whose limits count, and which says the rest: of an end user without limits, or a row, those for all or none. */
	struct rows_scope *def, *row;
	enum rows_kind kind;
	int holds;
	struct use use[WORLD_IDS]; /* see world_use() */
};

struct model_taken {
	uint32_t rule;
	enum rows_limit kind;
	int64_t window; /* of a budget */
};

/* What a worker has noted of a request that has a slot of progress. */
struct model_progress {
	int64_t in, out, events, bytes;
	bool reported, finished;
};

struct model_hold {
	bool used, orphan; /* orphan: its worker is dead, and its slot leads a sweep to it */
	uint32_t slot;     /* PROGRESS_NO_SLOT: none */
	struct model_progress came;
	struct genid id;
	int key, user, model; /* user -1: none */
	int64_t nusd, boot_ms;
	size_t n;
	struct {
		struct model_scope *scope;
		size_t n;
		struct model_taken of[ROWS_RULES_MAX];
	} of[ROWS_SCOPES_MAX];
};

struct world {
	struct rig r;
	struct text_rng *rng; /* of the step */
	uint64_t account;
	int64_t granted, settled, held, uncollected, overdraft;
	bool suspended, postpaid; /* the account */
	struct {
		struct model_hold hold;
		int64_t nusd, lost; /* below 0: taken back */
	} fresh[WORLD_FRESH]; /* charges, and what was taken back, that only the live store has */
	size_t fresh_n;
	uint64_t verified; /* the last record, when the ledger was verified */
	uint64_t step_ms,
		number; /* how much passes in a step, so that a run of any length has room for its days; of the last step */
	struct rows_scope account_def, team_def[WORLD_TEAMS], key_def[WORLD_KEYS], own_def,
		every_def, no_def;
	bool own_there, every_there;
	uint32_t user_ids; /* the last one of a rule of any end user */
	int keys_n;
	struct model_scope acc, team[WORLD_TEAMS], key[WORLD_KEYS], user[WORLD_USERS];
	int team_of[WORLD_KEYS]; /* -1: none */
	struct model_hold holds[WORLD_HOLDS];
	unsigned long refused_n[ADMIT_REASON_COUNT], losses, deaths, swept, raised, rewindowed,
		credits, full, steps_back, switches, takes, shadows, stays, payments, unpaid,
		grants;
	int rests, dead; /* dead: workers that no sweep has come to */
};

extern struct world world;

/* A fresh one, whose first day is the seed's; its folder. */
const char *world_begin(uint64_t seed);
uint64_t world_pick(uint64_t n); /* below n, from the generator of the step */
int64_t world_now_s(void);
/* The account: its credit only counts. */
bool world_in_shadow(void);
/* What it has, in whatever way it pays, may not go below 0 by what it asks for. */
bool world_has_floor(void);
int64_t world_balance(void);
int64_t world_available(void); /* with its overdraft */
/* Whose limits each end user has, after one of the definitions came, went or changed. */
void world_set_users(void);
/* One more key. */
void world_add_key(void);
/* The ledger takes what the outbox holds; it has. */
void world_drain(void);
void world_drained(void);
/* In the model alone: what runs counts in the limits of requests at once that there are now. */
void world_count_running(void);
/* A request of any key and end user for any model, admitted or refused as the model says. */
void world_admit(void);
/* A hold is settled, released, or settled and taken back. */
void world_end_one(void);
void world_release(struct model_hold *h);
bool world_settle(struct model_hold *h, struct model_done *done); /* false: somebody died */
void world_reverse(struct model_hold *h, const struct model_done *done);
/* In the model alone: the hold ends with this charge and so many tokens. */
void world_end_hold(struct model_hold *h, const struct model_done *done, int64_t tokens);
/* In the model alone: nothing is left but what the ledger has. */
void world_lose(void);

#endif
