#include "admin_priv.h"

static const char no_team[ROWS_ID];

/* Whether every text that `narrow` matches is one of `wide`. A byte of any kind there must not stand for a run here. */
static bool glob_covers(struct slice wide, struct slice narrow)
{
	return slice_eq(wide, narrow) || (slice_glob(wide, narrow) &&
					  (slice_chr(wide, '?') < 0 || slice_chr(narrow, '*') < 0));
}

static bool denies(struct slice line)
{
	return line.n > 0 && line.p[0] == '!';
}

static bool any_covers(struct slice lines, struct slice narrow)
{
	struct slice line;

	while (lines.n) {
		(void)slice_cut(&lines, '\n', &line);
		if (line.n && denies(line) == denies(narrow) && glob_covers(line, narrow))
			return true;
	}
	return false;
}

/* Whether each line of one side that denies (allows) is covered by the others. *any: there is one. */
static bool all_covered(struct slice lines, struct slice by, bool deny, bool *any)
{
	struct slice line;

	*any = false;
	while (lines.n) {
		(void)slice_cut(&lines, '\n', &line);
		if (line.n == 0 || denies(line) != deny)
			continue;
		*any = true;
		if (!any_covers(by, line))
			return false;
	}
	return true;
}

/* Whether `wide` certainly allows every model that `narrow` does. */
static bool models_cover(struct slice wide, struct slice narrow)
{
	bool any, listed;

	if (!all_covered(wide, narrow, true, &any))
		return false;
	(void)all_covered(wide, SLICE_NONE, false, &listed);
	return !listed || (all_covered(narrow, wide, false, &any) && any);
}

static bool nets_cover(const struct rows_scope *wide, const struct rows_scope *narrow)
{
	if (wide->nets_n == 0)
		return true;
	for (size_t i = 0; i < narrow->nets_n; i++) {
		const struct ipnet *n = &narrow->nets[i];
		bool has = false;

		for (size_t k = 0; k < wide->nets_n && !has; k++)
			has = wide->nets[k].bits <= n->bits && ipnet_has(&wide->nets[k], n->addr);
		if (!has)
			return false;
	}
	return narrow->nets_n > 0;
}

static bool raise_gives(const struct rows_rule *from, const struct rows_rule *to)
{
	bool later = to->raise_until_s == 0
			     ? from->raise_until_s != 0
			     : from->raise_until_s != 0 && to->raise_until_s > from->raise_until_s;

	return to->raise > 0 && (to->raise > from->raise || later ||
				 (to->raise_by_window && !from->raise_by_window));
}

/* `to` NULL: the rule is removed. A window that is shorter begins anew sooner, as may one that no longer rolls, or begins with the days of
 * another zone. */
static bool rule_gives(const struct rows_rule *from, const struct rows_rule *to)
{
	if (from->shadow)
		return false;
	return !to || to->shadow || to->kind != from->kind || to->limit > from->limit ||
	       raise_gives(from, to) || to->window.unit < from->window.unit ||
	       (from->window.rolling && !to->window.rolling) || !slice_eq(to->zone, from->zone) ||
	       !models_cover(to->models, from->models);
}

static const struct rows_rule *rule_of(const struct rows_limits *l, uint32_t id)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].id == id)
			return &l->v[i];
	}
	return NULL;
}

bool admin_gives(const struct rows_scope *from, const struct rows_scope *to)
{
	if (from->status != ROWS_ACTIVE && to->status == ROWS_ACTIVE)
		return true;
	if (from->flags & ROWS_SHADOW)
		return false;
	if ((to->flags & ROWS_SHADOW) || !models_cover(from->models, to->models) ||
	    !nets_cover(from, to) ||
	    (from->expires_s != 0 && (to->expires_s == 0 || to->expires_s > from->expires_s)) ||
	    (memcmp(from->team, no_team, ROWS_ID) != 0 &&
	     memcmp(from->team, to->team, ROWS_ID) != 0))
		return true;
	for (size_t i = 0; i < from->limits.n; i++) {
		const struct rows_rule *r = &from->limits.v[i];

		if (rule_gives(r, rule_of(&to->limits, r->id)))
			return true;
	}
	return false;
}
