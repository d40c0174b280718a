#include "route.h"

#include <stdio.h>

#include "rows.h"

/* What a model must be set to have; why not names the setting. */
static const struct ability {
	uint32_t bit;
	const char *what, *why;
} abilities[] = {
	{PTABLE_CAN_IMAGE_IN, "images", "`modalities.input` has no `image`"},
	{PTABLE_CAN_AUDIO_IN, "audio", "`modalities.input` has no `audio`"},
	{PTABLE_CAN_DOCUMENT_IN, "documents", "`modalities.input` has no `pdf`"},
	{PTABLE_CAN_TOOLS, "tools", "`capabilities` have no `tools`"},
	{PTABLE_IS_CHAT, "chat", "`capabilities` have no `chat`"},
	{PTABLE_IS_EMBEDDING, "embeddings", "`capabilities` have no `embeddings`"},
	{PTABLE_CAN_AUDIO_OUT, "audio output", "`modalities.output` has no `audio`"},
};

#define SOLD (PTABLE_SELLS_SEARCH | PTABLE_SELLS_FLEX | PTABLE_SELLS_PRIORITY)
/* What only those have whose price has it: the field that asks for it, and why not. */
static const struct ability sold[] = {
	{PTABLE_SELLS_SEARCH, "web_search_options",
	 "searches are charged by the call, and its price has no `web_search`"},
	{PTABLE_SELLS_FLEX, "service_tier", "its price has no row for the tier `flex`"},
	{PTABLE_SELLS_PRIORITY, "service_tier", "its price has no row for the tier `priority`"},
};

static const struct ability *first_of(const struct ability *v, size_t n, uint32_t missing)
{
	for (size_t i = 0; i < n; i++)
		if (missing & v[i].bit)
			return &v[i];
	return NULL;
}

/* What the model lacks, or NULL. A model of whose abilities nothing is known is taken at the operator's word, but sells nothing that its
 * price does not have. */
static const struct ability *lacks(const struct ptable_model *m, uint32_t needs)
{
	uint32_t missing = needs & ~m->can;
	const struct ability *a = first_of(sold, ARRAY_LEN(sold), missing);

	if (a || (m->can & ~(uint32_t)SOLD) == 0)
		return a;
	return first_of(abilities, ARRAY_LEN(abilities), missing);
}

static void set_lacking(const struct ptable_model *m, const struct ability *a, struct fault *f)
{
	if (a->bit & SOLD)
		fault_field(f, FAULT_UNSUPPORTED_FIELD, a->what,
			    "'%s' as it is asked for is not supported by model `" SLICE_FMT
			    "`: %s.",
			    a->what, SLICE_ARG(m->name), a->why);
	else
		fault_field(f, FAULT_UNSUPPORTED_FIELD, "model",
			    "Model `" SLICE_FMT "` does not take %s: its %s.", SLICE_ARG(m->name),
			    a->what, a->why);
}

static bool may_think(const struct ptable_model *m, const struct dialect_facts *facts)
{
	return (m->can & PTABLE_CAN_REASONING) || facts->thinking || facts->thinking_beside;
}

/* Also where the request says that it shall not: there are models that think all the same. Of budgets only the one that such providers know. */
static int64_t beside_of(const struct ptable_offer *o, const struct ptable_model *m,
			 const struct dialect_facts *facts)
{
	int64_t most = may_think(m, facts) ? o->provider->reasoning_beside : 0;

	return facts->thinking_beside ? MIN_OF(facts->thinking_beside, most) : most;
}

/* With its reasoning beside the cap a choice needs none for it. */
static int64_t min_output_of(const struct ptable *t, const struct ptable_model *m,
			     const struct dialect_facts *facts, int64_t beside)
{
	int64_t least = m->min_output;

	if (least == 0)
		least = may_think(m, facts) && !beside ? t->set.min_output_reasoning
						       : t->set.min_output;
	if (beside)
		return least;
	return MAX_OF(least, facts->thinking_budget ? facts->thinking_budget + 1 : 0);
}

static void swap_offers(const struct ptable_offer **a, const struct ptable_offer **b)
{
	const struct ptable_offer *t = *a;

	*a = *b;
	*b = t;
}

/* A weighted permutation: at each place one of those left, with a chance by its weight. */
static void shuffle(const struct ptable_offer **v, size_t n, struct text_rng *rng)
{
	for (size_t i = 0; i + 1 < n; i++) {
		uint64_t sum = 0, at;

		for (size_t j = i; j < n; j++)
			sum += (uint64_t)v[j]->weight;
		if (sum == 0)
			return;
		at = text_rng_next(rng) % sum;
		for (size_t j = i; j < n; j++) {
			if (at < (uint64_t)v[j]->weight) {
				swap_offers(&v[i], &v[j]);
				break;
			}
			at -= (uint64_t)v[j]->weight;
		}
	}
}

static void add_model(const struct ptable *t, const struct ptable_model *m,
		      const struct ptable_offer *only, const struct dialect_facts *facts,
		      struct text_rng *rng, struct route *out)
{
	const struct ptable_offer *v[LIMIT_CANDIDATES];
	size_t n = 0;
	int64_t bound;
	struct bound_model bm = {.context = m->context,
				 .image_tokens = m->image_tokens,
				 .media_tokens_per_kib = m->media_tokens_per_kib,
				 .input_overhead = m->input_overhead};

	bound = bound_tokens(&facts->bound, &bm);
	for (size_t i = 0; i < m->offers_n && n < LIMIT_CANDIDATES; i++)
		if (!only || only == &m->offers[i])
			v[n++] = &m->offers[i];
	for (size_t from = 0, to; from < n; from = to) {
		for (to = from + 1; to < n && v[to]->priority == v[from]->priority;)
			to++;
		shuffle(&v[from], to - from, rng);
	}
	for (size_t i = 0; i < n && out->n < LIMIT_CANDIDATES; i++) {
		int64_t beside = beside_of(v[i], m, facts);

		out->v[out->n++] =
			(struct route_candidate){.offer = v[i],
						 .model = m,
						 .input_bound = bound,
						 .input_likely = bound_likely(&facts->bound, bound),
						 .beside = beside,
						 .min_output = min_output_of(t, m, facts, beside)};
	}
}

/* Names the models that the key may ask for instead, as many as there is room for. */
static void set_ambiguous(const struct ptable_named *v, size_t n, const struct route_ask *ask,
			  struct fault *f)
{
	char list[FAULT_MESSAGE_MAX / 2] = "";
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		struct slice name = v[i].model->name;

		if (name.n + sizeof(", ``") > sizeof(list) - at)
			break;
		if (rows_lists_allow(ask->allowed, name))
			at += (size_t)snprintf(list + at, sizeof(list) - at, "%s`" SLICE_FMT "`",
					       at ? ", " : "", SLICE_ARG(name));
	}
	fault_field(f, FAULT_MODEL_UNKNOWN, "model",
		    "`" SLICE_FMT
		    "` stands for no model: it is offered at more than one price%s%s.",
		    SLICE_ARG(slice_sub(ask->facts->model, 0, 200)), at ? "; ask for one of " : "",
		    list);
}

/* The model and, when the name is "provider/model", its one offer. Models that have an offer at the same price differ for nobody's purse;
 * the first that the key may use is meant. */
static bool find_asked(const struct ptable *t, const struct route_ask *ask,
		       struct ptable_named *out, struct fault *f)
{
	const struct ptable_named *v;
	struct slice name = ask->facts->model;
	size_t n;

	*out = (struct ptable_named){.model = ptable_model(t, name)};
	if (out->model)
		return true;
	n = ptable_offers_named(t, name, &v);
	for (size_t i = 1; i < n; i++) {
		if (v[i].offer->price != v[0].offer->price) {
			set_ambiguous(v, n, ask, f);
			return false;
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (!out->model || (rows_lists_allow(ask->allowed, v[i].model->name) &&
				    !rows_lists_allow(ask->allowed, out->model->name)))
			*out = v[i];
	}
	if (n == 0)
		fault_field(f, FAULT_MODEL_UNKNOWN, "model",
			    "There is no model `" SLICE_FMT
			    "` here; GET /v1/models lists those that there are.",
			    SLICE_ARG(slice_sub(name, 0, 200)));
	return n > 0;
}

enum errc route_build(const struct ptable *t, const struct route_ask *ask, struct text_rng *rng,
		      struct route *out, struct fault *f)
{
	const struct dialect_facts *facts = ask->facts;
	const struct ptable_model *m;
	struct ptable_named asked;
	const struct ability *missing;

	out->n = 0;
	if (!find_asked(t, ask, &asked, f))
		return ERRC_NOTFOUND;
	out->asked = m = asked.model;
	missing = lacks(m, facts->needs);
	if (!missing)
		add_model(t, m, asked.offer, facts, rng, out);
	for (size_t i = 0; !ask->alone && i < m->fallbacks_n; i++)
		if (m->fallbacks[i] != m && !lacks(m->fallbacks[i], facts->needs))
			add_model(t, m->fallbacks[i], NULL, facts, rng, out);
	if (out->n > 0)
		return ERRC_OK;
	if (missing)
		set_lacking(m, missing, f);
	else
		fault_set(f, FAULT_OVERLOADED, "Model `" SLICE_FMT "` has no provider now.",
			  SLICE_ARG(m->name));
	return ERRC_NOTFOUND;
}
