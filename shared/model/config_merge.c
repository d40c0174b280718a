#include "config_merge.h"

static void put(struct config_ctx *x, struct yaml_node *map, struct yaml_node *child)
{
	if (yaml_put(x->a, map, child->key, child->key_pos, child) != ERRC_OK)
		config_ctx_nomem(x);
}

static const char *join(struct config_ctx *x, const char *path, struct slice key)
{
	return config_ctx_fmt(x, "%s%s" SLICE_FMT, path, *path ? "." : "", SLICE_ARG(key)).p;
}

static bool is_file_list(struct slice key)
{
	return slice_is(key, "include") || slice_is(key, "overlay");
}

/* ------------------------------------------------------------------ names */

/* Settings that people know by their last name. */
static const struct short_name {
	const char *group, *key;
} short_names[] = {
	{"timeouts", "head_after"},    {"timeouts", "keepalive"}, {"timeouts", "drain_delay"},
	{"timeouts", "drain_timeout"}, {"limits", "body_memory"}, {"limits", "answer_buffer"},
};

static struct yaml_node *group_of(struct config_ctx *x, struct yaml_node *file,
				  const struct short_name *s, struct yaml_pos pos)
{
	struct yaml_node *group = yaml_getz(file, s->group);

	if (group && !group->is_null)
		return group->kind == YAML_MAP ? group : NULL;
	group = yaml_new(x->a, YAML_MAP, pos);
	if (group && yaml_put(x->a, file, slice_str(s->group), pos, group) == ERRC_OK)
		return group;
	config_ctx_nomem(x);
	return NULL;
}

void config_merge_names(struct config_ctx *x, struct yaml_node *file)
{
	for (size_t i = 0; i < ARRAY_LEN(short_names); i++) {
		const struct short_name *s = &short_names[i];
		struct yaml_node *n = yaml_getz(file, s->key), *group;
		const struct yaml_node *old;

		group = n ? group_of(x, file, s, n->key_pos) : NULL;
		if (!group)
			continue;
		yaml_remove(file, n->key);
		old = yaml_getz(group, s->key);
		if (old)
			config_ctx_error(x, n->key_pos,
					 "`%s.%s` is given a second time (first in %s:%u:%u)",
					 s->group, s->key, old->key_pos.file, old->key_pos.line,
					 old->key_pos.column);
		else
			put(x, group, n);
	}
}

/* ---------------------------------------------------------------- include */

static void twice(struct config_ctx *x, const char *path, const struct yaml_node *first,
		  const struct yaml_node *second)
{
	config_ctx_error(x, second->key_pos, "`%s` is given a second time (first in %s:%u:%u)",
			 path, first->key_pos.file, first->key_pos.line, first->key_pos.column);
}

static bool has_only_offers(const struct yaml_node *model)
{
	return model->kind == YAML_MAP && model->n == 1 && slice_is(model->first->key, "offers") &&
	       model->first->kind == YAML_MAP;
}

static void move_children(struct config_ctx *x, struct yaml_node *to, struct yaml_node *from,
			  const char *path)
{
	for (struct yaml_node *c = from->first, *next; c; c = next) {
		const struct yaml_node *old = yaml_get(to, c->key);

		next = c->next;
		if (old)
			twice(x, join(x, path, c->key), old, c);
		else
			put(x, to, c);
	}
}

/* Two files name one model: fine when one of them brings nothing but offers. */
static void join_models(struct config_ctx *x, struct yaml_node *models, struct yaml_node *old,
			struct yaml_node *model)
{
	const char *path = join(x, "models", model->key);
	struct yaml_node *full = has_only_offers(model) ? old : model;
	struct yaml_node *part = full == old ? model : old, *offers;

	if (!has_only_offers(part) || full->kind != YAML_MAP) {
		config_ctx_error(x, model->key_pos,
				 "`%s` is given a second time (first in %s:%u:%u); only its "
				 "`offers` may come from several files",
				 path, old->key_pos.file, old->key_pos.line, old->key_pos.column);
		return;
	}
	if (full == model)
		put(x, models, model); /* takes the place of the part */
	offers = yaml_getz(full, "offers");
	if (!offers || offers->is_null)
		put(x, full, part->first);
	else if (offers->kind == YAML_MAP)
		move_children(x, offers, part->first, join(x, path, SLICE_LIT("offers")));
}

static void join_entries(struct config_ctx *x, struct yaml_node *to, struct yaml_node *from,
			 const char *path)
{
	bool models = strcmp(path, "models") == 0;

	if (!models) {
		move_children(x, to, from, path);
		return;
	}
	for (struct yaml_node *c = from->first, *next; c; c = next) {
		struct yaml_node *old = yaml_get(to, c->key);

		next = c->next;
		if (old)
			join_models(x, to, old, c);
		else
			put(x, to, c);
	}
}

/* Settings in groups (`log: {…}`) are given once each, the groups may be in several files. */
static void join_group(struct config_ctx *x, struct yaml_node *to, struct yaml_node *from,
		       const char *path, unsigned depth)
{
	for (struct yaml_node *c = from->first, *next; c; c = next) {
		struct yaml_node *old = yaml_get(to, c->key);
		const char *name = join(x, path, c->key);

		next = c->next;
		if (depth == 0 && is_file_list(c->key))
			continue;
		if (!old || (depth == 0 && old->is_null))
			put(x, to, c);
		else if (depth == 0 && c->is_null)
			continue;
		else if (old->kind != YAML_MAP || c->kind != YAML_MAP || depth == YAML_DEPTH_MAX)
			twice(x, name, old, c);
		else if (depth == 0 &&
			 (slice_is(c->key, "providers") || slice_is(c->key, "models")))
			join_entries(x, old, c, name);
		else
			join_group(x, old, c, name, depth + 1);
	}
}

void config_merge_include(struct config_ctx *x, struct yaml_node *root, struct yaml_node *file)
{
	join_group(x, root, file, "", 0);
}

/* ---------------------------------------------------------------- overlay */

enum level { LEVEL_ROOT, LEVEL_ENTRIES, LEVEL_ENTRY, LEVEL_OFFERS, LEVEL_OTHER };

struct level_at {
	enum level level;
	bool models;
};

static struct level_at level_below(struct level_at at, struct slice key)
{
	struct level_at below = {LEVEL_OTHER, at.models};

	if (at.level == LEVEL_ROOT && (slice_is(key, "providers") || slice_is(key, "models")))
		below = (struct level_at){LEVEL_ENTRIES, slice_is(key, "models")};
	else if (at.level == LEVEL_ENTRIES)
		below.level = LEVEL_ENTRY;
	else if (at.level == LEVEL_ENTRY && at.models && slice_is(key, "offers"))
		below.level = LEVEL_OFFERS;
	return below;
}

/* What an overlay adds must be whole. A new model is checked with all others, for a catalog may complete it; a provider and an
 * offer are checked here. Strips nothing: an entry that is refused is still added, so that it is not told of again. */
static void check_whole(struct config_ctx *x, struct level_at at, const struct yaml_node *map,
			const struct yaml_node *c, const char *path)
{
	if (at.level == LEVEL_ENTRIES && !at.models && !yaml_getz(c, "base_url") &&
	    !yaml_getz(c, "catalog"))
		config_ctx_error(x, c->key_pos,
				 "`%s` does not exist%s, and an overlay must give a new provider "
				 "whole: `dialect` and `base_url`, or `catalog`",
				 path, config_ctx_hint_keys(x, c->key, map));
	if (at.level == LEVEL_OFFERS && (!yaml_getz(c, "weight") || !yaml_getz(c, "priority")))
		config_ctx_error(x, c->key_pos,
				 "`%s` does not exist%s, and an overlay must give a new offer "
				 "whole: `weight` and `priority`",
				 path, config_ctx_hint_keys(x, c->key, map));
}

/* Whether a setting or a group of settings has that path, or it is about what is no setting. */
static bool may_be_set(const char *path)
{
	static const char *const others[] = {"listen", "providers", "models", "groups"};
	struct slice name = slice_str(path), rest = name, first;

	(void)slice_cut(&rest, '.', &first);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		if (slice_is(first, others[i]))
			return true;
	}
	for (size_t i = 0; i < settings_rows_n; i++) {
		struct slice row = slice_str(settings_rows[i].path);

		if (slice_eq(row, name) || (slice_has_prefix(row, name) && row.p[name.n] == '.'))
			return true;
	}
	return false;
}

/* Whether the path is about a provider, a model or a group, where nothing is there that no file has given. */
static bool is_entry(const char *path)
{
	struct slice rest = slice_str(path), first;

	(void)slice_cut(&rest, '.', &first);
	return slice_is(first, "providers") || slice_is(first, "models") ||
	       slice_is(first, "groups");
}

/* Whether a null removes; else it stays for the reader, which tells that it knows no such key. Only names of entries have dots. */
static bool removes(const char *path, struct slice key)
{
	return may_be_set(path) && (is_entry(path) || slice_chr(key, '.') < 0);
}

static void remove_key(struct config_ctx *x, struct level_at at, struct yaml_node *map,
		       struct yaml_node *c, const char *path)
{
	if (!removes(path, c->key)) {
		put(x, map, c);
		return;
	}
	if (!yaml_get(map, c->key) && at.level != LEVEL_ROOT && is_entry(path))
		config_ctx_error(x, c->key_pos, "`%s` does not exist%s, so that `~` removes nothing",
				 path, config_ctx_hint_keys(x, c->key, map));
	yaml_remove(map, c->key);
}

/* Drops the nulls of what an overlay adds: there is nothing that they could remove. */
static void drop_nulls(struct config_ctx *x, struct yaml_node *n, const char *path)
{
	if (n->kind != YAML_MAP)
		return;
	for (struct yaml_node *c = n->first, *next; c; c = next) {
		const char *name = join(x, path, c->key);

		next = c->next;
		if (!c->is_null || !c->text.n)
			drop_nulls(x, c, name);
		else if (removes(name, c->key))
			yaml_remove(n, c->key);
	}
}

static void overlay(struct config_ctx *x, struct level_at at, struct yaml_node *to,
		    struct yaml_node *from, const char *path)
{
	for (struct yaml_node *c = from->first, *next; c; c = next) {
		struct yaml_node *old = yaml_get(to, c->key);
		const char *name = join(x, path, c->key);

		next = c->next;
		if (at.level == LEVEL_ROOT &&
		    (is_file_list(c->key) || slice_is(c->key, "region"))) {
			config_ctx_error(x, c->key_pos, "`%s` cannot stand in an overlay", name);
		} else if (c->is_null && c->text.n) {
			remove_key(x, at, to, c, name);
		} else if (old && old->kind == YAML_MAP && c->kind == YAML_MAP) {
			overlay(x, level_below(at, c->key), old, c, name);
		} else if (old && old->kind == YAML_MAP && c->is_null) {
			continue; /* a group with nothing in it */
		} else {
			if (!old)
				check_whole(x, at, to, c, name);
			drop_nulls(x, c, name);
			put(x, to, c);
		}
	}
}

void config_merge_overlay(struct config_ctx *x, struct yaml_node *root, struct yaml_node *file)
{
	overlay(x, (struct level_at){LEVEL_ROOT, false}, root, file, "");
}
