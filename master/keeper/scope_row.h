/* How a scope (account, team, key, end user) is shown to operators: the fields that all of them share, and one row for each of
 * its rules. */
#ifndef AIGW_SCOPE_ROW_H
#define AIGW_SCOPE_ROW_H

#include "verbs.h"

#define SCOPE_ROW_FIELDS 30 /* that scope_row_fill() writes at most */

/* Texts that the fields point to; valid until scope_row_fini(). */
struct scope_row_texts {
	struct buf models, nets;
};
void scope_row_init(struct scope_row_texts *t);
void scope_row_fini(struct scope_row_texts *t);

/* "active", "suspended", "revoked", "expired"; static. */
const char *scope_row_status(const struct rows_scope *k, int64_t now_s);
/* models, ip, shadow, expires_s. */
MUSTCHECK enum errc scope_row_access(struct control_field *f, size_t *n, const struct rows_scope *k,
				     struct scope_row_texts *t);
#define SCOPE_ROW_ACCESS 4
/* The limits that have an option of their own, these, ip, expires_s, created_s, and what is used. */
MUSTCHECK enum errc scope_row_fill(struct control_field *f, size_t *n, const struct rows_scope *k,
				   const struct rows_state *s, struct scope_row_texts *t,
				   int64_t now_s);

/* One number of a row, or that there is none. */
struct control_field scope_row_number(const char *name, int64_t v, bool known);
/* A row of kind `limit`: a rule of a scope as it stands, or the credit of an account. */
struct scope_row_limit {
	const char *scope, *limit, *unit; /* static */
	struct slice name;                /* of the scope, for people */
	struct slice text;
	uint32_t id;        /* 0: the credit */
	int64_t max;        /* ROWS_NO_LIMIT: none */
	int64_t used, held; /* held: -1 where nothing is held */
	int64_t remaining;
	int64_t reset_s; /* 0: never */
	int64_t raise, raise_until_s;
	int64_t granted, overdraft; /* of credit: both are in `max`; ROWS_NO_LIMIT: there is none */
	bool shadow;
};
MUSTCHECK enum errc scope_row_send(struct verbs *v, const struct scope_row_limit *l);
/* "budget per day, rolling, for gpt-5*, only counted": a rule as people read it, whose parts are these; an empty zone or list is none. */
#define SCOPE_ROW_RULE_TEXT 256
struct slice scope_row_rule_text(char out[SCOPE_ROW_RULE_TEXT], const char *text, bool rolling,
				 struct slice zone, const char *models, bool shadow);
/* Of a rule: what follows from its kind and from how it stands. */
void scope_row_stand(struct scope_row_limit *l, enum rows_limit kind, bool credit,
		     const struct rows_rule_now *now);
/* One row for each rule of a scope. */
MUSTCHECK enum errc scope_row_limits(struct verbs *v, const struct rows_scope *k,
				     const struct rows_state *s);

#endif
