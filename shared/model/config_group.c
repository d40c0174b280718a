#include "config_group.h"

#include <stdlib.h>

#include "text.h"

#define GROUPS_MAX 64
#define NAME_MAX_N 64
#define ROWS_MAX_N 100000 /* of all groups: written to the ledger before a reload is over */

static int by_name(const void *a, const void *b)
{
	return slice_cmp(((const struct ptable_group *)a)->name,
			 ((const struct ptable_group *)b)->name);
}

static bool is_name(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
		      (s.p[i] >= '0' && s.p[i] <= '9') || slice_chr(SLICE_LIT("-_."), s.p[i]) >= 0))
			return false;
	return s.n >= 1 && s.n <= NAME_MAX_N && !slice_is(s, "none");
}

static void read_group(struct config_ctx *x, const struct yaml_node *n, struct ptable_group *g)
{
	g->name = n->key;
	if (!is_name(n->key))
		config_ctx_error(
			x, n->key_pos,
			"a group's name must be 1 to %d letters, digits, `-`, `_` and `.`, and "
			"not none",
			NAME_MAX_N);
	if (n->kind != YAML_SCALAR || text_decimal(n->text, 6, &g->mult_ppm) != ERRC_OK ||
	    g->mult_ppm < 1 || g->mult_ppm > PRICE_PPM_MAX)
		config_ctx_error(x, n->pos,
				 "`groups." SLICE_FMT
				 "` must be a number above 0 and up to 1000 with at most 6 places, "
				 "such as 0.9: what its accounts pay of each price",
				 SLICE_ARG(n->key));
}

void config_group_read(struct config_ctx *x)
{
	const struct yaml_node *map = yaml_getz(x->c->root, "groups");
	struct ptable_group *all;
	size_t n = 0;

	if (!map || map->is_null)
		return;
	if (map->kind != YAML_MAP || map->n > GROUPS_MAX) {
		config_ctx_error(
			x, map->pos,
			"`groups` must be a mapping of at most %d names to multipliers such "
			"as {partner: 0.9}",
			GROUPS_MAX);
		return;
	}
	all = config_ctx_array(x, map->n, sizeof(*all));
	if (!all)
		return;
	for (const struct yaml_node *c = map->first; c; c = c->next)
		read_group(x, c, &all[n++]);
	qsort(all, n, sizeof(*all), by_name);
	x->c->table.groups = all;
	x->c->table.groups_n = n;
}

void config_group_check(struct config_ctx *x)
{
	const struct ptable *t = &x->c->table;
	const struct yaml_node *map = yaml_getz(x->c->root, "groups");

	if (t->groups_n * t->prices_n > ROWS_MAX_N)
		config_ctx_error(x, map->pos,
				 "`groups`: %zu groups times %zu different prices are more than "
				 "%d rows",
				 t->groups_n, t->prices_n, ROWS_MAX_N);
}
