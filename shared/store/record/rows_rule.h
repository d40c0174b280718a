/* The rules of one scope (account, team, key or end user): any number up to ROWS_RULES_MAX of limits over time, on requests
 * at once, and of budgets, each for all models or those that its patterns match. A rule's id is unique in its scope and
 * never used again: it names the rule's counter in the scope's state, so that an edited limit keeps its use. Pure: the
 * caller passes the times. */
#ifndef AIGW_ROWS_RULE_H
#define AIGW_ROWS_RULE_H

#include "window.h"

#define ROWS_NO_LIMIT INT64_C(-1) /* "none" differs from a limit of 0, which refuses everything */
/* Of a scope. More than any needs: a limit for each of some dozen models beside the fifteen windows of a budget. With more than 64 a request
 * would have to remember in more than a word which of them are about it, and twice as many counters would no longer be told in a byte. */
#define ROWS_RULES_MAX    64
#define ROWS_MODELS_MAX   1024  /* bytes of all model patterns of a scope, and of a rule */
#define ROWS_PATTERNS_MAX 16384 /* bytes of the model patterns of all rules of a scope */
#define ROWS_RULE_ID_MAX  INT32_MAX

/* What a rule limits; a part of stored rows. Those below ROWS_LIMIT_COUNT are rates, windows that slide. */
enum rows_limit {
#define LIMIT_ROW(id, name, text, counts, len_ms) ROWS_##id,
#include "limits_tbl.h"
#undef LIMIT_ROW
	ROWS_LIMIT_COUNT,
	ROWS_CONCURRENCY = 16,
	ROWS_BUDGET,
	ROWS_LIMIT_END
};

struct rows_rule {
	uint32_t id;
	enum rows_limit kind;
	bool shadow;          /* counts what it would refuse, refuses nothing */
	bool raise_by_window; /* of a budget whose windows end */
	bool credit; /* a budget in total that is credit: `limit` is what was granted, `raise` the overdraft */
	int64_t limit; /* nano-dollars for a budget */
	struct window_spec
		window; /* of a budget; a decoded rule has the zone that its name stands for in this process */
	struct slice zone; /* name of the time zone of its calendar; empty: UTC */
	struct slice models; /* patterns as in rows_models_allow(), on the model asked for; empty: all */
	/* For a while the limit is higher by `raise`: before that second, or (raise_by_window) in windows that begin before it;
	 * 0: until it is taken back. */
	int64_t raise, raise_until_s;
};

struct rows_limits {
	size_t n;
	uint32_t last_id; /* the highest id ever given; 0: none */
	struct rows_rule
		v[ROWS_RULES_MAX]; /* at the end: what is behind the last rule is neither read nor written */
};

/* What is used of a rule. */
struct rows_counter {
	uint32_t id; /* of the rule */
	enum rows_limit kind;
	bool of_all; /* of an end user: the rule is one of those for all */
	union {
		struct window_rate rate;
		struct window_budget budget;
		int64_t running; /* concurrency with patterns; without, all holds of the scope count */
	};
};

void rows_limits_init(struct rows_limits *l); /* no limit at all */
/* A new rule at the end, valid until rules are removed. NULL: there is no room for one. */
struct rows_rule *rows_limits_add(struct rows_limits *l, enum rows_limit kind, int64_t limit);
void rows_limits_remove(struct rows_limits *l, uint32_t id);
/* The one with this id; the first one of a kind that is for all models and not only counted. NULL: there is none. */
struct rows_rule *rows_limits_by_id(struct rows_limits *l, uint32_t id);
struct rows_rule *rows_limits_find(struct rows_limits *l, enum rows_limit kind);
/* The credit that is for all models and not only counted, which rows_limits_find() passes over. NULL: there is none. */
struct rows_rule *rows_limits_credit(struct rows_limits *l);
/* What rows_limits_find() limits; ROWS_NO_LIMIT also where there is none. */
int64_t rows_limits_get(const struct rows_limits *l, enum rows_limit kind);
/* Sets it, makes it or (ROWS_NO_LIMIT) removes it. ERRC_LIMIT: there is no room. */
MUSTCHECK enum errc rows_limits_set(struct rows_limits *l, enum rows_limit kind, int64_t limit);

/* Bytes of the model patterns of all rules. */
size_t rows_limits_patterns(const struct rows_limits *l);
/* Whether the rules can be stored: kinds, limits, unique ids up to last_id, patterns no longer than ROWS_PATTERNS_MAX; what never ends does
 * not roll, and a credit is such a budget, whose overdraft does not end either. */
bool rows_limits_are_valid(const struct rows_limits *l);

/* "rpm", "concurrency", "budget"; NULL for no kind. */
const char *rows_limit_word(enum rows_limit kind);
/* "requests a minute", "requests at once", "budget per month", "credit"; static. */
const char *rows_rule_text(const struct rows_rule *r);
bool rows_limit_is_tokens(enum rows_limit kind);
/* Length of the window of a rate. */
int64_t rows_limit_len_ms(enum rows_limit kind);

/* Its patterns as text, "gpt-*, o1", as many as there is room for, with a 0 at the end; empty: all models. */
void rows_rule_models(const struct rows_rule *r, char *out, size_t size);
bool rows_rule_matches(const struct rows_rule *r, struct slice model);
/* Gives a budget another kind of window, as window_change() does. A raise by windows then ends with the window that lasts: one of another
 * kind is none of those that it was given for. What becomes a total has it up to the time when it would have ended. */
void rows_rule_set_window(struct rows_rule *r, struct window_spec to, int64_t wall_s);
/* The id of the budget window that a use at this second would be in. `c` may be NULL: nothing is used yet. */
int64_t rows_rule_window(const struct rows_rule *r, const struct rows_counter *c, int64_t wall_s);
/* The limit at a second, raise included, of a budget's window that began at another; also of one that is over. */
int64_t rows_rule_limit_at(const struct rows_rule *r, int64_t begun_s, int64_t wall_s);
/* The limit that counts now, raise included. `c` may be NULL: nothing is used yet. */
int64_t rows_rule_limit(const struct rows_rule *r, const struct rows_counter *c, int64_t wall_s);

/* How a rule stands at a moment. */
struct rows_rule_now {
	int64_t limit, used;
	/* How much of the limit is a raise, up to when; 0: none lasts, or until it is revoked. */
	int64_t raise, raise_until_s;
	int64_t held;      /* budget: in holds of this window; 0 for the others */
	int64_t remaining; /* never below 0 */
	/* Rates: until nothing of it is used, 0: nothing is. Budgets: until the window ends, and the wall second of that; both
	 * WINDOW_NEVER where it does not, 0 where none is open: what rolls begins with the first use. */
	int64_t reset_ms, reset_s;
};
/* `holds` are those of the scope. */
void rows_rule_look(const struct rows_rule *r, const struct rows_counter *c, uint32_t holds,
		    int64_t boot_ms, int64_t wall_ms, struct rows_rule_now *out);
/* True when the counter says nothing any more: no different from none. */
bool rows_counter_is_idle(const struct rows_counter *c, const struct rows_rule *r, int64_t boot_ms,
			  int64_t wall_s);

#endif
