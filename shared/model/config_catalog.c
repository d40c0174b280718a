#include "config_catalog.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config_file.h"
#include "config_price.h"
#include "money.h"
#include "price.h"
#include "text.h"

#define CATALOGS_MAX 200
#define MARKUP_MAX   (INT64_C(1000) * PRICE_PPM)

/* The catalog's keys that are not the provider's. */
static const char *const model_keys[] = {"name",
					 "created",
					 "context",
					 "max_output",
					 "modalities",
					 "image_tokens",
					 "output_image_tokens",
					 "capabilities"};

struct short_form {
	struct config_ctx *x;
	struct yaml_node *provider; /* whose key is its name */
	struct yaml_node *catalog;
	struct yaml_node *models; /* of the configuration */
	/* Models that a catalog has touched: name to a mapping that holds `open` when they had no offers of their own, so that
	 * catalogs add theirs, and `own_price` when the operator wrote their price. */
	struct yaml_node *touched;
	int64_t markup_ppm;
};

/* ---------------------------------------------------------------- folders */

/* In a build tree the program stands in build/ and the catalog in etc/catalog beside it. */
static bool build_tree_dir(char *out, size_t n)
{
	char exe[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	if (len <= 0)
		return false;
	exe[len] = '\0';
	slash = strrchr(exe, '/');
	if (!slash)
		return false;
	*slash = '\0';
	return (size_t)snprintf(out, n, "%s/../etc/catalog", exe) < n && access(out, R_OK) == 0;
}

static const char *folder(struct config_ctx *x)
{
	char near[PATH_MAX + 32], full[PATH_MAX];

	if (x->c->table.set.catalog_dir.n)
		return x->c->table.set.catalog_dir.p;
	if (x->opts->catalog_dir)
		return x->opts->catalog_dir;
	if (build_tree_dir(near, sizeof(near)) && realpath(near, full))
		return config_ctx_fmt(x, "%s", full).p;
	return AIGW_CATALOG_DIR;
}

static int by_name(const void *a, const void *b)
{
	return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

/* Names of the catalogs there are, in byte order; an unreadable folder has none. */
static void list_catalogs(struct config_ctx *x, struct settings_list *out)
{
	struct slice *v = config_ctx_array(x, CATALOGS_MAX, sizeof(*v));
	DIR *d = opendir(folder(x));

	*out = (struct settings_list){v, 0};
	while (d && v && out->n < CATALOGS_MAX) {
		const struct dirent *e = readdir(d);
		struct slice name;

		if (!e)
			break;
		name = slice_str(e->d_name);
		if (name.n > 5 && name.p[0] != '.' && slice_has_suffix(name, SLICE_LIT(".yaml")))
			v[out->n++] = config_ctx_fmt(x, SLICE_FMT,
						     SLICE_ARG(slice_sub(name, 0, name.n - 5)));
	}
	if (d)
		closedir(d);
	if (v)
		qsort(v, out->n, sizeof(*v), by_name);
}

static struct yaml_node *read_catalog(struct config_ctx *x, struct slice id, struct yaml_pos named)
{
	const char *path = config_ctx_fmt(x, "%s/" SLICE_FMT ".yaml", folder(x), SLICE_ARG(id)).p;
	struct hint hint;
	struct settings_list known;

	if (id.n && slice_chr(id, '/') < 0 && access(path, R_OK) == 0)
		return config_file_read(x, path, named);
	list_catalogs(x, &known);
	hint_init(&hint, id);
	for (size_t i = 0; i < known.n; i++)
		hint_add(&hint, known.v[i]);
	config_ctx_error(x, named, "there is no catalog `" SLICE_FMT "` in %s%s", SLICE_ARG(id),
			 folder(x), config_ctx_hint_text(x, &hint));
	return NULL;
}

/* ----------------------------------------------------------------- prices */

/* `listed` times the markup, rounded up to the last place that a price may have. */
static struct yaml_node *scaled(struct short_form *s, const struct yaml_node *listed)
{
	struct config_ctx *x = s->x;
	int scale = config_price_places(listed->key);
	char z[TEXT_DECIMAL_MAX];
	money_wide product;
	int64_t v;

	if (listed->kind != YAML_SCALAR || text_decimal(listed->text, scale, &v) != ERRC_OK || v < 0)
		return yaml_copy(x->a, listed); /* told of where prices are read */
	product = (money_wide)v * s->markup_ppm;
	product = (product + PRICE_PPM - 1) / PRICE_PPM;
	v = product > MONEY_NUSD_MAX ? MONEY_NUSD_MAX : (int64_t)product;
	return yaml_new_text(x->a, slice_of(z, text_decimal_print(v, scale, 0, z)), listed->pos);
}

static struct yaml_node *marked_up_row(struct short_form *s, const struct yaml_node *listed)
{
	struct config_ctx *x = s->x;
	struct yaml_node *out;

	if (listed->kind != YAML_MAP)
		return yaml_copy(x->a, listed);
	out = yaml_new(x->a, YAML_MAP, listed->pos);
	for (const struct yaml_node *c = listed->first; out && c; c = c->next) {
		struct yaml_node *v = slice_is(c->key, "when") ? yaml_copy(x->a, c) : scaled(s, c);

		if (!v || yaml_put(x->a, out, c->key, c->key_pos, v) != ERRC_OK)
			return NULL;
	}
	return out;
}

static struct yaml_node *marked_up(struct short_form *s, const struct yaml_node *listed)
{
	struct yaml_node *out;

	if (listed->kind != YAML_LIST)
		return marked_up_row(s, listed);
	out = yaml_new(s->x->a, YAML_LIST, listed->pos);
	for (const struct yaml_node *c = listed->first; out && c; c = c->next) {
		struct yaml_node *row = marked_up_row(s, c);

		if (!row)
			return NULL;
		yaml_append(out, row);
	}
	return out;
}

/* ----------------------------------------------------------------- models */

static void add(struct config_ctx *x, struct yaml_node *map, const char *key, struct yaml_pos pos,
		struct yaml_node *child)
{
	if (!child || yaml_put(x->a, map, slice_str(key), pos, child) != ERRC_OK)
		config_ctx_nomem(x);
}

/* The entry of that name, made when there is none; NULL when it is no mapping or without memory. */
static struct yaml_node *entry(struct config_ctx *x, struct yaml_node *map, struct slice key,
			       struct yaml_pos pos)
{
	struct yaml_node *n = yaml_get(map, key);

	if (n)
		return n->kind == YAML_MAP ? n : NULL;
	n = yaml_new(x->a, YAML_MAP, pos);
	if (!n || yaml_put(x->a, map, key, pos, n) != ERRC_OK) {
		config_ctx_nomem(x);
		return NULL;
	}
	return n;
}

static const struct yaml_node *touch(struct short_form *s, const struct yaml_node *model)
{
	struct config_ctx *x = s->x;
	struct yaml_node *t = yaml_get(s->touched, model->key);

	if (t)
		return t;
	t = entry(x, s->touched, model->key, model->pos);
	if (t && !yaml_getz(model, "offers"))
		add(x, t, "open", model->pos, yaml_new(x->a, YAML_MAP, model->pos));
	if (t && yaml_getz(model, "price"))
		add(x, t, "own_price", model->pos, yaml_new(x->a, YAML_MAP, model->pos));
	return t;
}

static void add_offer(struct short_form *s, struct yaml_node *model, const struct yaml_node *listed,
		      bool own_price)
{
	struct config_ctx *x = s->x;
	struct slice name = config_ctx_fmt(x, SLICE_FMT "/" SLICE_FMT, SLICE_ARG(s->provider->key),
					   SLICE_ARG(model->key));
	const struct yaml_node *price = yaml_getz(listed, "price");
	struct yaml_node *offers = entry(x, model, SLICE_LIT("offers"), s->provider->key_pos);
	struct yaml_node *offer = offers ? entry(x, offers, name, listed->key_pos) : NULL;

	if (!offer)
		return;
	if (!own_price && offers->n > 1) /* the first offer's price became the model's */
		add(x, offer, "price", price->key_pos, marked_up(s, price));
	add(x, offer, "cost", price->key_pos, yaml_copy(x->a, price));
}

static void add_model(struct short_form *s, const struct yaml_node *listed)
{
	struct config_ctx *x = s->x;
	struct yaml_node *model = entry(x, s->models, listed->key, listed->key_pos);
	const struct yaml_node *t = model ? touch(s, model) : NULL;

	if (!t)
		return;
	for (size_t i = 0; i < ARRAY_LEN(model_keys); i++) {
		const struct yaml_node *v = yaml_getz(listed, model_keys[i]);

		if (v && !yaml_getz(model, model_keys[i]))
			add(x, model, model_keys[i], v->key_pos, yaml_copy(x->a, v));
	}
	if (!yaml_getz(model, "price"))
		add(x, model, "price", yaml_getz(listed, "price")->key_pos,
		    marked_up(s, yaml_getz(listed, "price")));
	if (yaml_getz(t, "open"))
		add_offer(s, model, listed, yaml_getz(t, "own_price") != NULL);
}

/* At least one pattern matches and none that begins with `!`; with only such ones all others are meant. */
static bool is_selected(const struct settings_list *patterns, struct slice id)
{
	bool any_positive = false, hit = false;

	for (size_t i = 0; i < patterns->n; i++) {
		struct slice p = patterns->v[i];

		if (slice_has_prefix(p, SLICE_LIT("!"))) {
			if (slice_glob(slice_sub(p, 1, p.n), id))
				return false;
			continue;
		}
		any_positive = true;
		hit = hit || slice_glob(p, id);
	}
	return hit || (patterns->n && !any_positive);
}

static void check_patterns(struct short_form *s, const struct yaml_node *given,
			   const struct settings_list *patterns, const struct yaml_node *listed)
{
	for (size_t i = 0; i < patterns->n; i++) {
		struct slice p = patterns->v[i];
		const struct yaml_node *c = listed->first;

		if (slice_has_prefix(p, SLICE_LIT("!")))
			continue;
		while (c && !slice_glob(p, c->key))
			c = c->next;
		if (!c)
			config_ctx_error(s->x, given->pos,
					 "`providers." SLICE_FMT
					 ".models`: the catalog has no model `" SLICE_FMT "`%s",
					 SLICE_ARG(s->provider->key), SLICE_ARG(p),
					 config_ctx_hint_keys(s->x, p, listed));
	}
}

static void add_models(struct short_form *s)
{
	const struct yaml_node *given = yaml_getz(s->provider, "models"),
			       *listed = yaml_getz(s->catalog, "models");
	const char *name =
		config_ctx_fmt(s->x, "providers." SLICE_FMT ".models", SLICE_ARG(s->provider->key)).p;
	struct settings_list patterns;

	if (!given || !listed || listed->kind != YAML_MAP)
		return;
	config_ctx_texts(s->x, given, name, &patterns);
	check_patterns(s, given, &patterns, listed);
	for (const struct yaml_node *c = listed->first; c; c = c->next) {
		if (yaml_getz(c, "price") && is_selected(&patterns, c->key))
			add_model(s, c);
	}
}

/* -------------------------------------------------------------- providers */

static void add_missing(struct config_ctx *x, struct yaml_node *to, const struct yaml_node *n)
{
	struct yaml_node *copy;

	if (!n || yaml_get(to, n->key))
		return;
	copy = yaml_copy(x->a, n);
	if (!copy || yaml_put(x->a, to, n->key, n->key_pos, copy) != ERRC_OK)
		config_ctx_nomem(x);
}

static void add_key(struct config_ctx *x, struct yaml_node *provider, const struct yaml_node *env)
{
	struct yaml_node *list, *item;

	if (yaml_getz(provider, "keys") || !env || env->kind != YAML_SCALAR)
		return;
	list = yaml_new(x->a, YAML_LIST, env->pos);
	item = yaml_new_text(x->a, config_ctx_fmt(x, "env:" SLICE_FMT, SLICE_ARG(env->text)),
			     env->pos);
	add(x, provider, "keys", env->key_pos, list);
	if (list && item)
		yaml_append(list, item);
	else
		config_ctx_nomem(x);
}

static void read_markup(struct short_form *s)
{
	const struct yaml_node *n = yaml_getz(s->provider, "markup");

	s->markup_ppm = PRICE_PPM;
	if (!n)
		return;
	if (n->kind == YAML_SCALAR && text_decimal(n->text, 6, &s->markup_ppm) == ERRC_OK &&
	    s->markup_ppm > 0 && s->markup_ppm <= MARKUP_MAX)
		return;
	config_ctx_error(s->x, n->pos,
			 "`providers." SLICE_FMT ".markup` must be a number above 0 and up to 1000 "
			 "with at most 6 places, such as 1.10",
			 SLICE_ARG(s->provider->key));
	s->markup_ppm = PRICE_PPM;
}

/* False, after an error, when there is no such catalog. */
static bool expand_provider(struct short_form *s)
{
	const struct yaml_node *ref = yaml_getz(s->provider, "catalog"), *more;
	const char *path =
		config_ctx_fmt(s->x, "providers." SLICE_FMT ".catalog", SLICE_ARG(s->provider->key)).p;
	struct slice id;

	if (!config_ctx_text(s->x, ref, path, "the name of a catalog", &id))
		return false;
	s->catalog = read_catalog(s->x, id, ref->pos);
	if (!s->catalog)
		return false;
	read_markup(s);
	add_models(s);
	add_missing(s->x, s->provider, yaml_getz(s->catalog, "dialect"));
	add_missing(s->x, s->provider, yaml_getz(s->catalog, "base_url"));
	add_key(s->x, s->provider, yaml_getz(s->catalog, "env"));
	more = yaml_getz(s->catalog, "settings");
	for (const struct yaml_node *c = more ? more->first : NULL; c; c = c->next)
		add_missing(s->x, s->provider, c);
	return true;
}

static void refuse_without_catalog(struct config_ctx *x, const struct yaml_node *provider)
{
	static const char *const keys[] = {"models", "markup"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const struct yaml_node *n = yaml_getz(provider, keys[i]);

		if (n)
			config_ctx_error(x, n->key_pos,
					 "`providers." SLICE_FMT
					 ".%s` has no meaning without `catalog`",
					 SLICE_ARG(provider->key), keys[i]);
	}
}

void config_catalog_expand(struct config_ctx *x)
{
	struct yaml_node *providers = yaml_getz(x->c->root, "providers"), *root = x->c->root;
	struct short_form s = {.x = x, .touched = yaml_new(x->a, YAML_MAP, root->pos)};

	if (!providers || providers->kind != YAML_MAP || !s.touched)
		return;
	s.models = yaml_getz(root, "models");
	if (!s.models || s.models->is_null) {
		s.models = yaml_new(x->a, YAML_MAP, root->pos);
		add(x, root, "models", root->pos, s.models);
	}
	for (struct yaml_node *p = providers->first; p && x->rc == ERRC_OK; p = p->next) {
		s.provider = p;
		if (p->kind != YAML_MAP)
			continue;
		if (!yaml_getz(p, "catalog"))
			refuse_without_catalog(x, p);
		else if (s.models->kind != YAML_MAP || !expand_provider(&s))
			continue;
		yaml_remove(p, SLICE_LIT("catalog"));
		yaml_remove(p, SLICE_LIT("models"));
		yaml_remove(p, SLICE_LIT("markup"));
	}
}

/* {catalog: ID, models: ["*"]} */
static void add_default(struct config_ctx *x, struct yaml_node *providers, struct slice id)
{
	struct yaml_pos pos = {0};
	struct yaml_node *p = entry(x, providers, id, pos), *list = yaml_new(x->a, YAML_LIST, pos),
			 *all = yaml_new_text(x->a, SLICE_LIT("*"), pos);

	if (!p || !list || !all) {
		config_ctx_nomem(x);
		return;
	}
	yaml_append(list, all);
	add(x, p, "catalog", pos, yaml_new_text(x->a, id, pos));
	add(x, p, "models", pos, list);
}

struct yaml_node *config_catalog_default(struct config_ctx *x)
{
	struct yaml_node *root = yaml_new(x->a, YAML_MAP, (struct yaml_pos){0}), *providers;
	struct settings_list known;

	if (!root) {
		config_ctx_nomem(x);
		return NULL;
	}
	providers = entry(x, root, SLICE_LIT("providers"), (struct yaml_pos){0});
	list_catalogs(x, &known);
	for (size_t i = 0; providers && i < known.n; i++) {
		const struct yaml_node *catalog = read_catalog(x, known.v[i], (struct yaml_pos){0});
		const struct yaml_node *env = yaml_getz(catalog, "env");

		if (env && env->kind == YAML_SCALAR && config_ctx_env(x, env->text).n)
			add_default(x, providers, known.v[i]);
	}
	return root;
}
