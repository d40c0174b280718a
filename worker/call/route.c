#include "route.h"

static const struct {
	uint32_t bit;
	const char *what;
} abilities[] = {
	{PTABLE_CAN_IMAGE_IN, "images"},
	{PTABLE_CAN_AUDIO_IN, "audio"},
	{PTABLE_CAN_DOCUMENT_IN, "documents"},
	{PTABLE_CAN_TOOLS, "tools"},
	{PTABLE_IS_CHAT, "chat"},
	{PTABLE_IS_EMBEDDING, "embeddings"},
	{PTABLE_CAN_AUDIO_OUT, "audio output"},
};

/* What the model lacks, or NULL. A model of whose abilities nothing is known is taken at the operator's word. */
static const char *lacks(const struct ptable_model *m, uint32_t needs)
{
	if (m->can == 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(abilities); i++)
		if ((needs & abilities[i].bit) && !(m->can & abilities[i].bit))
			return abilities[i].what;
	return NULL;
}

static int64_t min_output_of(const struct ptable *t, const struct ptable_model *m,
			     const struct dialect_facts *facts)
{
	int64_t least = m->min_output;

	if (least == 0)
		least = (m->can & PTABLE_CAN_REASONING) || facts->thinking
				? t->set.min_output_reasoning
				: t->set.min_output;
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
	struct bound_model bm = {.context = m->context,
				 .image_tokens = m->image_tokens,
				 .media_tokens_per_kib = m->media_tokens_per_kib,
				 .input_overhead = m->input_overhead};

	for (size_t i = 0; i < m->offers_n && n < LIMIT_CANDIDATES; i++)
		if (!only || only == &m->offers[i])
			v[n++] = &m->offers[i];
	for (size_t from = 0, to; from < n; from = to) {
		for (to = from + 1; to < n && v[to]->priority == v[from]->priority;)
			to++;
		shuffle(&v[from], to - from, rng);
	}
	for (size_t i = 0; i < n && out->n < LIMIT_CANDIDATES; i++)
		out->v[out->n++] =
			(struct route_candidate){.offer = v[i],
						 .model = m,
						 .input_bound = bound_tokens(&facts->bound, &bm),
						 .min_output = min_output_of(t, m, facts)};
}

enum errc route_build(const struct ptable *t, const struct dialect_facts *facts, bool alone,
		      struct text_rng *rng, struct route *out, struct fault *f)
{
	const struct ptable_offer *only = NULL;
	const struct ptable_model *m = ptable_model(t, facts->model);
	const char *missing;

	out->n = 0;
	if (!m)
		only = ptable_offer_named(t, facts->model, &m);
	if (!m) {
		fault_field(f, FAULT_MODEL_UNKNOWN, "model",
			    "There is no model `" SLICE_FMT
			    "` here; GET /v1/models lists those that there are.",
			    SLICE_ARG(slice_sub(facts->model, 0, 200)));
		return ERRC_NOTFOUND;
	}
	out->asked = m;
	missing = lacks(m, facts->needs);
	if (!missing)
		add_model(t, m, only, facts, rng, out);
	for (size_t i = 0; !alone && i < m->fallbacks_n; i++)
		if (m->fallbacks[i] != m && !lacks(m->fallbacks[i], facts->needs))
			add_model(t, m->fallbacks[i], NULL, facts, rng, out);
	if (out->n > 0)
		return ERRC_OK;
	if (missing)
		fault_field(f, FAULT_UNSUPPORTED_FIELD, "model",
			    "Model `" SLICE_FMT "` does not take %s.", SLICE_ARG(m->name), missing);
	else
		fault_set(f, FAULT_OVERLOADED, "Model `" SLICE_FMT "` has no provider now.",
			  SLICE_ARG(m->name));
	return ERRC_NOTFOUND;
}
