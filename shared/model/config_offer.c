#include "config_offer.h"

#include <stddef.h>
#include <stdlib.h>

#include "caps.h"
#include "config_fields.h"
#include "text.h"

struct written {
	int64_t weight, priority;
	int cap_field;
	const struct tariff *price;
};

static const struct settings_row rows[] = {
#define FIELD(type, member, path, min, max, def, unit, sentence)                                 \
	{path,           SETTINGS_##type, offsetof(struct written, member), min, max, def, unit, \
	 SETTINGS_CALLS, sentence},
#include "offer_tbl.h"
#undef FIELD
};

static const struct slice cap_fields[] = {
	{"", 0}, {"max_tokens", 10}, {"max_completion_tokens", 21}};

static const struct ptable_provider *provider_of(struct config_ctx *x, const struct yaml_node *n,
						 const char *name, struct slice *upstream)
{
	struct slice provider;
	const struct ptable_provider *p;
	bool named = (*upstream = n->key, slice_cut(upstream, '/', &provider));

	if (!named || provider.n == 0 || upstream->n == 0) {
		config_ctx_error(x, n->key_pos, "`%s` must be named provider/model", name);
		return NULL;
	}
	if (upstream->n > LIMIT_MODEL_NAME)
		config_ctx_error(
			x, n->key_pos,
			"`%s`: the provider's name of the model must have at most %d bytes", name,
			LIMIT_MODEL_NAME);
	p = ptable_provider(&x->c->table, provider);
	if (!p)
		config_ctx_error(
			x, n->key_pos, "`%s`: there is no provider `" SLICE_FMT "`%s", name,
			SLICE_ARG(provider),
			config_ctx_hint_keys(x, provider, yaml_getz(x->c->root, "providers")));
	return p;
}

/* An offer's own price sells what the model's does. */
static void check_sells(struct config_ctx *x, const struct ptable_model *model,
			const struct yaml_node *offer, const char *name)
{
	const struct yaml_node *price = yaml_getz(offer, "price");

	if (!price)
		return;
	if ((model->can & PTABLE_SELLS_SEARCH) && config_price_has(price, "web_search") < 1)
		config_ctx_error(x, price->pos,
				 "`%s.price` has no `web_search`, which the price of its model has",
				 name);
	if (((model->can & PTABLE_SELLS_FLEX) && !config_price_sells(price, USAGE_TIER_FLEX)) ||
	    ((model->can & PTABLE_SELLS_PRIORITY) &&
	     !config_price_sells(price, USAGE_TIER_PRIORITY)))
		config_ctx_error(x, price->pos,
				 "`%s.price` has no row for a `service_tier` that the price of its "
				 "model has one for",
				 name);
}

static const struct tariff *read_price(struct config_ctx *x, struct config_pool *pool,
				       const struct yaml_node *offer, const char *name,
				       const char *key)
{
	const struct yaml_node *n = yaml_getz(offer, key);

	return n ? config_price_read(x, pool, n, config_ctx_fmt(x, "%s.%s", name, key).p) : NULL;
}

/* By priority, then the heavier first, then by name. */
static int by_rank(const void *a, const void *b)
{
	const struct ptable_offer *x = a, *y = b;
	int c;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	if (x->weight != y->weight)
		return x->weight > y->weight ? -1 : 1;
	c = slice_cmp(x->provider->name, y->provider->name);
	return c ? c : slice_cmp(x->upstream, y->upstream);
}

static void read_offer(struct config_ctx *x, struct config_pool *pool,
		       const struct ptable_model *model, const struct tariff *cost,
		       struct yaml_node *n, const char *name, struct ptable_offer *o)
{
	struct written w = {0};
	struct config_fields f = {rows, ARRAY_LEN(rows), &w, name};
	const struct tariff *own_cost;

	config_fields_defaults(&f);
	config_fields_read(x, &f, n);
	w.price = read_price(x, pool, n, name, "price");
	check_sells(x, model, n, name);
	own_cost = read_price(x, pool, n, name, "cost");
	o->weight = (int)w.weight;
	o->priority = (int)w.priority;
	o->cap_field = cap_fields[w.cap_field];
	o->price = w.price ? w.price : model->price;
	o->cost = own_cost ? own_cost : cost ? cost : o->price;
	o->id = text_hash(config_ctx_fmt(x, SLICE_FMT "|" SLICE_FMT, SLICE_ARG(model->name),
					 SLICE_ARG(n->key)));
}

size_t config_offer_read(struct config_ctx *x, struct config_pool *pool,
			 const struct ptable_model *model, const struct tariff *cost,
			 struct yaml_node *map, const char *name, struct ptable_offer *out)
{
	size_t n = 0;

	if (map->n > CONFIG_OFFERS_MAX) {
		config_ctx_error(x, map->pos, "`%s.offers` has %zu offers, more than %d", name,
				 map->n, CONFIG_OFFERS_MAX);
		return 0;
	}
	for (struct yaml_node *c = map->first; c; c = c->next) {
		const char *path =
			config_ctx_fmt(x, "%s.offers." SLICE_FMT, name, SLICE_ARG(c->key)).p;
		struct ptable_offer o = {0};

		o.provider = provider_of(x, c, path, &o.upstream);
		read_offer(x, pool, model, cost, c, path, &o);
		if (o.provider && !o.provider->off)
			out[n++] = o;
	}
	qsort(out, n, sizeof(*out), by_rank);
	return n;
}
