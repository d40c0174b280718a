#include "config_model.h"

#include <stddef.h>
#include <stdlib.h>

#include "caps.h"
#include "clock.h"
#include "config_fields.h"
#include "config_offer.h"
#include "config_pool.h"
#include "text.h"

/* A model as written; its offers and fallbacks join the table when all models are known. */
struct written {
	struct ptable_model m;
	struct slice display_name, owned_by;
	struct settings_list capabilities, in, out, fallbacks;
	int64_t context, max_output, min_output, image_tokens, output_image_tokens,
		media_tokens_per_kib, input_overhead;
	const struct tariff *price, *cost;
	struct yaml_node *node;
	const char *name; /* "models.gpt-5.2" */
};

static const struct settings_row rows[] = {
#define FIELD(type, member, path, min, max, def, unit, sentence)                                 \
	{path,           SETTINGS_##type, offsetof(struct written, member), min, max, def, unit, \
	 SETTINGS_CALLS, sentence},
#include "model_tbl.h"
#undef FIELD
};

struct ability {
	const char *word;
	uint32_t bit;
};

static const struct ability capabilities[] = {
	{"chat", PTABLE_IS_CHAT},
	{"embeddings", PTABLE_IS_EMBEDDING},
	{"reasoning", PTABLE_CAN_REASONING},
	{"tools", PTABLE_CAN_TOOLS},
	{"json_schema", PTABLE_CAN_JSON_SCHEMA},
	{NULL, 0},
};
static const struct ability inputs[] = {
	{"text", 0},
	{"image", PTABLE_CAN_IMAGE_IN},
	{"audio", PTABLE_CAN_AUDIO_IN},
	{"pdf", PTABLE_CAN_DOCUMENT_IN},
	{"video", 0},
	{NULL, 0},
};
static const struct ability outputs[] = {
	{"text", 0},
	{"image", PTABLE_CAN_IMAGE_OUT},
	{"audio", PTABLE_CAN_AUDIO_OUT},
	{"embedding", 0},
	{NULL, 0},
};

/* What a key gives. When it is missing: all that a chat model may take, but not reasoning (which raises the least output), and
 * text as the only output. */
static uint32_t abilities(struct config_ctx *x, const struct written *w, const char *group,
			  const char *key, const struct settings_list *given,
			  const struct ability *known)
{
	const struct yaml_node *map = group ? yaml_getz(w->node, group) : w->node;
	const struct yaml_node *n = yaml_getz(map, key);
	uint32_t can = 0;

	if (!n) {
		for (const struct ability *a = known; a->word; a++)
			can |= a->bit & ~(uint32_t)(PTABLE_CAN_REASONING | PTABLE_CAN_IMAGE_OUT |
						    PTABLE_CAN_AUDIO_OUT);
		return can;
	}
	for (size_t i = 0; i < given->n; i++) {
		const struct ability *a = known;
		struct hint h;

		hint_init(&h, given->v[i]);
		for (; a->word && !slice_is(given->v[i], a->word); a++)
			hint_add(&h, slice_str(a->word));
		if (!a->word)
			config_ctx_error(x, n->pos, "`%s.%s%s%s` knows no `" SLICE_FMT "`%s",
					 w->name, group ? group : "", group ? "." : "", key,
					 SLICE_ARG(given->v[i]), config_ctx_hint_text(x, &h));
		can |= a->bit;
	}
	return can;
}

static void read_created(struct config_ctx *x, struct written *w)
{
	const struct yaml_node *n = yaml_getz(w->node, "created");
	struct slice text;
	int64_t ms;

	if (!n || !config_ctx_text(x, n, config_ctx_fmt(x, "%s.created", w->name).p,
				   "a date such as 2025-12-11", &text))
		return;
	if (text.n == 7)
		text = config_ctx_fmt(x, SLICE_FMT "-01", SLICE_ARG(text));
	if (clock_parse(text, &ms))
		w->m.created_s = ms / 1000;
	else
		config_ctx_error(x, n->pos,
				 "`%s.created` must be a date such as 2025-12-11, not `" SLICE_FMT
				 "`",
				 w->name, SLICE_ARG(slice_sub(text, 0, 40)));
}

static void read_sizes(struct config_ctx *x, struct written *w)
{
	const struct yaml_node *n = yaml_getz(w->node, "max_output");

	if (!n && !(w->m.can & PTABLE_IS_CHAT))
		w->max_output = 0;
	else if (!n)
		w->max_output = MIN_OF(w->max_output, w->context);
	else if (w->max_output > w->context)
		config_ctx_error(x, n->pos, "`%s.max_output` is above `context`, which holds it",
				 w->name);
	if (w->max_output > 0 || !(w->m.can & PTABLE_IS_CHAT))
		return;
	/* Nothing would be held for what it writes. */
	if (yaml_getz(w->node, "capabilities"))
		config_ctx_error(x, n->pos,
				 "`%s.max_output` is 0: give what it writes at most, or leave chat "
				 "out of `capabilities`",
				 w->name);
	else
		w->m.can &= ~(uint32_t)PTABLE_IS_CHAT;
}

static const struct tariff *read_price(struct config_ctx *x, struct config_pool *pool,
				       const struct written *w, const char *key)
{
	const struct yaml_node *n = yaml_getz(w->node, key);

	return n ? config_price_read(x, pool, n, config_ctx_fmt(x, "%s.%s", w->name, key).p) : NULL;
}

/* Offers are there, as a mapping that is not empty, and so is the price. */
static void check_whole(struct config_ctx *x, const struct written *w)
{
	const struct yaml_node *offers = yaml_getz(w->node, "offers");
	bool has_price = yaml_getz(w->node, "price") != NULL;

	if ((!offers || !has_price) && config_ctx_is_overlay(x, w->node->pos)) {
		config_ctx_error(
			x, w->node->key_pos,
			"`%s` does not exist, and an overlay must give a new model whole: %s",
			w->name,
			has_price ? "`offers` are missing"
			: offers  ? "`price` is missing"
				  : "`price` and `offers` are missing");
		return;
	}
	if (!has_price)
		config_ctx_error(
			x, w->node->key_pos,
			"`%s` has no price: give `price: {input: …, output: …}` or `price: free`",
			w->name);
	if (!offers || offers->is_null || (offers->kind == YAML_MAP && offers->n == 0))
		config_ctx_error(x, w->node->key_pos,
				 "`%s` has no offer: give `offers: {provider/model: {}}`", w->name);
	else if (offers->kind != YAML_MAP)
		config_ctx_error(x, offers->pos,
				 "`%s.offers` must be a mapping of provider/model to its settings",
				 w->name);
}

/* What it sells must be in every row of its price, and of its offers' own. */
static uint32_t sells(struct config_ctx *x, const struct written *w)
{
	const struct yaml_node *price = yaml_getz(w->node, "price");
	int has = config_price_has(price, "web_search");

	if (has < 0)
		config_ctx_error(
			x, price->pos,
			"`%s.price` has `web_search` in some of its rows: give it in all or none",
			w->name);
	return (has > 0 ? PTABLE_SELLS_SEARCH : 0) |
	       (config_price_sells(price, USAGE_TIER_FLEX) ? PTABLE_SELLS_FLEX : 0) |
	       (config_price_sells(price, USAGE_TIER_PRIORITY) ? PTABLE_SELLS_PRIORITY : 0);
}

/* Audio and images cost a provider more than text: that they shall cost the client the same is worth a word. */
static void check_media(struct config_ctx *x, const struct written *w)
{
	static const struct {
		bool out;
		const char *word, *class, *does, *text;
	} media[] = {
		{false, "audio", "input_audio", "takes audio", "input"},
		{true, "audio", "output_audio", "writes audio", "output"},
		{true, "image", "output_image", "writes images", "output"},
	};
	const struct yaml_node *price = yaml_getz(w->node, "price");

	for (size_t i = 0; i < ARRAY_LEN(media) && price; i++) {
		const struct settings_list *given = media[i].out ? &w->out : &w->in;
		size_t k = 0;

		while (k < given->n && !slice_is(given->v[k], media[i].word))
			k++;
		if (k < given->n && !config_price_names(price, media[i].class, media[i].text))
			config_ctx_warn(x, price->pos,
					"`%s` %s, for which its price has no `%s`: each token "
					"costs what one of `%s` does",
					w->name, media[i].does, media[i].class, media[i].text);
	}
}

static void read_model(struct config_ctx *x, struct config_pool *pool, struct written *w)
{
	struct config_fields f = {rows, ARRAY_LEN(rows), w, w->name};
	struct ptable_model *m = &w->m;

	config_fields_defaults(&f);
	config_fields_read(x, &f, w->node);
	m->name = w->node->key;
	m->id = text_hash(m->name);
	if (m->name.n == 0 || m->name.n > LIMIT_MODEL_NAME)
		config_ctx_error(x, w->node->key_pos, "a model's name must have 1 to %d bytes",
				 LIMIT_MODEL_NAME);
	if (w->node->kind != YAML_MAP && !w->node->is_null)
		return;
	m->can = abilities(x, w, NULL, "capabilities", &w->capabilities, capabilities) |
		 abilities(x, w, "modalities", "input", &w->in, inputs) |
		 abilities(x, w, "modalities", "output", &w->out, outputs);
	read_created(x, w);
	read_sizes(x, w);
	check_whole(x, w);
	m->price = read_price(x, pool, w, "price");
	w->cost = read_price(x, pool, w, "cost");
	if (m->price) {
		check_media(x, w);
		m->can |= sells(x, w);
	}
	m->display_name = w->display_name.n ? w->display_name : m->name;
	m->owned_by = w->owned_by;
	m->context = w->context;
	m->max_output = w->max_output;
	m->min_output = w->min_output;
	m->image_tokens = w->image_tokens;
	m->output_image_tokens = w->output_image_tokens;
	m->media_tokens_per_kib = w->media_tokens_per_kib;
	m->input_overhead = w->input_overhead;
}

/* ----------------------------------------------------- joining the models */

struct reading {
	struct config_ctx *x;
	struct config_pool *pool;
	struct written *all; /* sorted by name */
	size_t n;
	struct ptable_model *models;
	struct ptable_offer *offers;
	size_t offers_n;
};

static int by_name(const void *a, const void *b)
{
	return slice_cmp(((const struct written *)a)->m.name, ((const struct written *)b)->m.name);
}

static void join_offers(struct reading *r, size_t i)
{
	struct written *w = &r->all[i];
	struct ptable_model *m = &r->models[i];
	struct yaml_node *map = yaml_getz(w->node, "offers");
	struct ptable_offer *first = &r->offers[r->offers_n];

	m->offers = first;
	if (map && map->kind == YAML_MAP)
		m->offers_n = config_offer_read(r->x, r->pool, m, w->cost, map, w->name, first);
	for (size_t k = 0; k < m->offers_n; k++)
		first[k].index = (uint32_t)r->offers_n++;
	if (m->owned_by.n == 0)
		m->owned_by = m->offers_n ? first->provider->name : SLICE_LIT("aigw");
}

static void join_fallbacks(struct reading *r, size_t i)
{
	const struct written *w = &r->all[i];
	const struct yaml_node *n = yaml_getz(w->node, "fallbacks"),
			       *models = yaml_getz(r->x->c->root, "models");
	const struct ptable_model **out = config_ctx_array(r->x, w->fallbacks.n, sizeof(*out));
	struct ptable_model *m = &r->models[i];

	m->fallbacks = out;
	for (size_t k = 0; out && k < w->fallbacks.n; k++) {
		struct slice name = w->fallbacks.v[k];
		const struct ptable_model *to = ptable_model(&r->x->c->table, name);

		if (!to)
			config_ctx_error(
				r->x, n->pos, "`%s.fallbacks`: there is no model `" SLICE_FMT "`%s",
				w->name, SLICE_ARG(name), config_ctx_hint_keys(r->x, name, models));
		else if (to == m)
			config_ctx_error(r->x, n->pos, "`%s.fallbacks` names the model itself",
					 w->name);
		else
			out[m->fallbacks_n++] = to;
	}
}

static void join(struct reading *r)
{
	struct ptable *t = &r->x->c->table;

	for (size_t i = 0; i < r->n; i++) {
		r->models[i] = r->all[i].m;
		r->models[i].index = (uint32_t)i;
		join_offers(r, i);
	}
	t->models = r->models;
	t->models_n = r->n;
	t->offers = r->offers;
	t->offers_n = r->offers_n;
	for (size_t i = 0; i < r->n; i++)
		join_fallbacks(r, i);
}

static size_t count_offers(const struct yaml_node *models)
{
	size_t n = 0;

	for (const struct yaml_node *c = models->first; c; c = c->next) {
		const struct yaml_node *offers = yaml_getz(c, "offers");

		n += offers ? offers->n : 0;
	}
	return n;
}

void config_model_read(struct config_ctx *x)
{
	const struct yaml_node *map = yaml_getz(x->c->root, "models");
	struct reading r = {.x = x};
	size_t offers;

	if (!map || map->is_null)
		return;
	if (map->kind != YAML_MAP) {
		config_ctx_error(x, map->pos, "`models` must be a mapping of names to models");
		return;
	}
	offers = count_offers(map);
	r.pool = config_pool_new(x);
	r.all = config_ctx_array(x, map->n, sizeof(*r.all));
	r.models = config_ctx_array(x, map->n, sizeof(*r.models));
	r.offers = config_ctx_array(x, offers, sizeof(*r.offers));
	if (!r.pool || !r.all || !r.models || !r.offers)
		return;
	for (struct yaml_node *c = map->first; c && x->rc == ERRC_OK; c = c->next) {
		struct written *w = &r.all[r.n++];

		w->node = c;
		w->name = config_ctx_fmt(x, "models." SLICE_FMT, SLICE_ARG(c->key)).p;
		read_model(x, r.pool, w);
	}
	qsort(r.all, r.n, sizeof(*r.all), by_name);
	join(&r);
	config_pool_end(x, r.pool);
}
