#include "ptable.h"

#include <stdlib.h>

#include "arena.h"
#include "mem.h"
#include "mpack.h"
#include "ptable_fields.h"

#define PTABLE_MAGIC 0x97ab1e01u
/* Ceiling of a decoded table; its blob is at most LIMIT_FRAME_IPC. */
#define ARENA_MAX (512u * 1024 * 1024)

struct memory {
	struct arena arena;
	struct ptable_named *named; /* all offers, sorted by provider, upstream name, model */
};

/* ---------------------------------------------------------------- reading */

struct reading {
	struct mpack_in in;
	struct arena *a;
	struct ptable *t;
};

static enum errc read_array(struct reading *r, size_t size, void *out, size_t *n)
{
	uint32_t count;
	enum errc rc = mpack_read_arr(&r->in, &count);
	void *p;

	if (rc != ERRC_OK)
		return rc;
	p = arena_zero(r->a, count ? count * size : 1);
	if (!p)
		return ERRC_NOMEM;
	memcpy(out, &p, sizeof(p));
	*n = count;
	return ERRC_OK;
}

/* The head of an element of fixed length. */
static enum errc read_head(struct reading *r, size_t wanted)
{
	uint32_t n;
	enum errc rc = mpack_read_arr(&r->in, &n);

	return rc == ERRC_OK && n != wanted ? ERRC_VERSION : rc;
}

static enum errc read_text(struct reading *r, struct slice *out)
{
	struct slice s;
	enum errc rc = mpack_read_str(&r->in, &s);

	if (rc != ERRC_OK)
		return rc;
	*out = arena_dup(r->a, s);
	return out->p ? ERRC_OK : ERRC_NOMEM;
}

static enum errc read_index(struct reading *r, size_t n, size_t *out)
{
	uint64_t v = 0;
	enum errc rc = mpack_read_u64(&r->in, &v);

	*out = (size_t)v;
	return rc == ERRC_OK && v >= n ? ERRC_RANGE : rc;
}

static enum errc read_net(struct reading *r, struct ipnet *net)
{
	size_t bits;
	enum errc rc = read_head(r, 2);

	if (rc == ERRC_OK)
		rc = mpack_read_fixed(&r->in, net->addr, sizeof(net->addr));
	if (rc == ERRC_OK)
		rc = read_index(r, 129, &bits);
	if (rc == ERRC_OK)
		net->bits = (uint8_t)bits;
	return rc;
}

static enum errc read_listeners(struct reading *r)
{
	struct settings_listener *l;
	struct settings *s = &r->t->set;
	enum errc rc = read_array(r, sizeof(*l), &l, &s->listeners_n);

	if (rc != ERRC_OK)
		return rc;
	s->listeners = l;
	for (size_t i = 0; i < s->listeners_n && rc == ERRC_OK; i++) {
		struct ipnet *nets;

		rc = read_head(r, ptable_fields_listener.n + 1);
		if (rc == ERRC_OK)
			rc = ptable_fields_unpack(&r->in, r->a, &ptable_fields_listener, &l[i]);
		if (rc == ERRC_OK)
			rc = read_array(r, sizeof(*nets), &nets, &l[i].trusted_n);
		if (rc == ERRC_OK && l[i].trusted_n > SETTINGS_TRUSTED_MAX)
			rc = ERRC_CORRUPT;
		if (rc != ERRC_OK)
			break;
		l[i].trusted = nets;
		for (size_t k = 0; k < l[i].trusted_n && rc == ERRC_OK; k++)
			rc = read_net(r, &nets[k]);
	}
	return rc;
}

static enum errc read_key(struct reading *r, struct ptable_key *k)
{
	struct slice s;
	enum errc rc = read_head(r, 3);

	if (rc == ERRC_OK)
		rc = mpack_read_u64(&r->in, &k->id);
	if (rc == ERRC_OK)
		rc = read_text(r, &k->label);
	if (rc == ERRC_OK)
		rc = mpack_read_str(&r->in, &s);
	return rc == ERRC_OK ? secret_init(&k->secret, s) : rc;
}

static enum errc read_provider(struct reading *r, struct ptable_provider *p)
{
	struct ptable_header *h = NULL;
	enum errc rc = read_head(r, ptable_fields_provider.n + 2);

	if (rc == ERRC_OK)
		rc = ptable_fields_unpack(&r->in, r->a, &ptable_fields_provider, p);
	if (rc == ERRC_OK)
		rc = read_array(r, sizeof(*p->keys), &p->keys, &p->keys_n);
	for (size_t i = 0; rc == ERRC_OK && i < p->keys_n; i++)
		rc = read_key(r, &p->keys[i]);
	if (rc == ERRC_OK)
		rc = read_array(r, sizeof(*h), &h, &p->headers_n);
	p->headers = h;
	for (size_t i = 0; rc == ERRC_OK && i < p->headers_n; i++) {
		rc = read_head(r, 2);
		if (rc == ERRC_OK)
			rc = read_text(r, &h[i].name);
		if (rc == ERRC_OK)
			rc = read_text(r, &h[i].value);
	}
	return rc;
}

static enum errc read_providers(struct reading *r)
{
	struct ptable_provider *p;
	enum errc rc = read_array(r, sizeof(*p), &p, &r->t->providers_n);

	if (rc != ERRC_OK)
		return rc;
	r->t->providers = p;
	for (size_t i = 0; i < r->t->providers_n && rc == ERRC_OK; i++) {
		rc = read_provider(r, &p[i]);
		if (rc == ERRC_OK && i && slice_cmp(p[i - 1].name, p[i].name) >= 0)
			rc = ERRC_CORRUPT;
	}
	return rc;
}

static enum errc read_prices(struct reading *r)
{
	struct price *p;
	enum errc rc = read_array(r, sizeof(void *), &r->t->prices, &r->t->prices_n);

	if (rc != ERRC_OK)
		return rc;
	p = arena_zero(r->a, (r->t->prices_n + 1) * sizeof(*p));
	if (!p)
		return ERRC_NOMEM;
	for (size_t i = 0; i < r->t->prices_n && rc == ERRC_OK; i++) {
		struct slice bytes;

		r->t->prices[i] = &p[i];
		rc = mpack_read_bin(&r->in, &bytes);
		if (rc == ERRC_OK)
			rc = price_decode(bytes, &p[i]);
	}
	return rc;
}

static enum errc read_rows(struct reading *r, struct tariff *tariff)
{
	const struct price **rows;
	enum errc rc = read_array(r, sizeof(*rows), &rows, &tariff->n);

	if (rc == ERRC_OK && (tariff->n == 0 || tariff->n > TARIFF_ROWS))
		return ERRC_CORRUPT;
	tariff->rows = rc == ERRC_OK ? rows : NULL;
	for (size_t k = 0; rc == ERRC_OK && k < tariff->n; k++) {
		size_t i = 0;

		rc = read_index(r, r->t->prices_n, &i);
		rows[k] = rc == ERRC_OK ? r->t->prices[i] : NULL;
	}
	return rc;
}

static enum errc read_tariffs(struct reading *r)
{
	struct tariff *v;
	enum errc rc = read_array(r, sizeof(void *), &r->t->tariffs, &r->t->tariffs_n);

	if (rc != ERRC_OK)
		return rc;
	v = arena_zero(r->a, (r->t->tariffs_n + 1) * sizeof(*v));
	if (!v)
		return ERRC_NOMEM;
	for (size_t i = 0; i < r->t->tariffs_n && rc == ERRC_OK; i++) {
		r->t->tariffs[i] = &v[i];
		rc = read_rows(r, &v[i]);
	}
	return rc;
}

static enum errc read_groups(struct reading *r)
{
	struct ptable_group *g;
	enum errc rc = read_array(r, sizeof(*g), &g, &r->t->groups_n);

	if (rc != ERRC_OK)
		return rc;
	r->t->groups = g;
	for (size_t i = 0; i < r->t->groups_n && rc == ERRC_OK; i++) {
		rc = read_head(r, 2);
		if (rc == ERRC_OK)
			rc = read_text(r, &g[i].name);
		if (rc == ERRC_OK)
			rc = mpack_read_i64(&r->in, &g[i].mult_ppm);
		if (rc == ERRC_OK && (g[i].mult_ppm < 1 || g[i].mult_ppm > PRICE_PPM_MAX ||
				      (i && slice_cmp(g[i - 1].name, g[i].name) >= 0)))
			rc = ERRC_CORRUPT;
	}
	return rc;
}

static enum errc read_price(struct reading *r, const struct tariff **out)
{
	size_t i;
	enum errc rc = read_index(r, r->t->tariffs_n, &i);

	if (rc == ERRC_OK)
		*out = r->t->tariffs[i];
	return rc;
}

static enum errc read_offer(struct reading *r, struct ptable_offer *of)
{
	size_t provider = 0;
	enum errc rc = read_head(r, ptable_fields_offer.n + 3);

	if (rc == ERRC_OK)
		rc = ptable_fields_unpack(&r->in, r->a, &ptable_fields_offer, of);
	if (rc == ERRC_OK)
		rc = read_index(r, r->t->providers_n, &provider);
	if (rc == ERRC_OK)
		rc = read_price(r, &of->price);
	if (rc == ERRC_OK)
		rc = read_price(r, &of->cost);
	if (rc == ERRC_OK)
		of->provider = &r->t->providers[provider];
	return rc;
}

static enum errc read_fallbacks(struct reading *r, const struct ptable_model *all,
				struct ptable_model *m)
{
	const struct ptable_model **f;
	enum errc rc = read_array(r, sizeof(*f), &f, &m->fallbacks_n);

	if (rc != ERRC_OK)
		return rc;
	m->fallbacks = f;
	for (size_t i = 0; i < m->fallbacks_n && rc == ERRC_OK; i++) {
		size_t index = 0;

		rc = read_index(r, r->t->models_n, &index);
		f[i] = rc == ERRC_OK ? &all[index] : NULL;
	}
	return rc;
}

static enum errc read_model(struct reading *r, const struct ptable_model *all,
			    struct ptable_model *m)
{
	struct ptable_offer *of = NULL;
	enum errc rc = read_head(r, ptable_fields_model.n + 3);

	m->index = (uint32_t)(m - all);
	if (rc == ERRC_OK)
		rc = ptable_fields_unpack(&r->in, r->a, &ptable_fields_model, m);
	if (rc == ERRC_OK)
		rc = read_price(r, &m->price);
	if (rc == ERRC_OK)
		rc = read_fallbacks(r, all, m);
	if (rc == ERRC_OK)
		rc = read_array(r, sizeof(*of), &of, &m->offers_n);
	m->offers = of;
	for (size_t i = 0; rc == ERRC_OK && i < m->offers_n; i++)
		rc = read_offer(r, &of[i]);
	return rc;
}

/* Brings the offers, which came model by model, into one array. */
static enum errc gather_offers(struct reading *r, struct ptable_model *models, size_t n)
{
	struct ptable_offer *all;
	size_t total = 0, at = 0;

	for (size_t i = 0; i < n; i++)
		total += models[i].offers_n;
	all = arena_zero(r->a, (total + 1) * sizeof(*all));
	if (!all)
		return ERRC_NOMEM;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < models[i].offers_n; k++) {
			all[at + k] = models[i].offers[k];
			all[at + k].index = (uint32_t)(at + k);
		}
		models[i].offers = &all[at];
		at += models[i].offers_n;
	}
	r->t->offers = all;
	r->t->offers_n = total;
	return ERRC_OK;
}

static enum errc read_models(struct reading *r)
{
	struct ptable_model *m;
	enum errc rc = read_array(r, sizeof(*m), &m, &r->t->models_n);

	if (rc != ERRC_OK)
		return rc;
	r->t->models = m;
	for (size_t i = 0; i < r->t->models_n && rc == ERRC_OK; i++) {
		rc = read_model(r, m, &m[i]);
		if (rc == ERRC_OK && i && slice_cmp(m[i - 1].name, m[i].name) >= 0)
			rc = ERRC_CORRUPT;
	}
	return rc == ERRC_OK ? gather_offers(r, m, r->t->models_n) : rc;
}

static int by_provider_upstream(const void *a, const void *b)
{
	const struct ptable_named *x = a, *y = b;
	int c = slice_cmp(x->offer->provider->name, y->offer->provider->name);

	c = c ? c : slice_cmp(x->offer->upstream, y->offer->upstream);
	if (c)
		return c;
	return x->offer->index < y->offer->index ? -1 : x->offer->index > y->offer->index;
}

static enum errc index_names(struct reading *r, struct memory *memory)
{
	const struct ptable *t = r->t;
	struct ptable_named *v = arena_zero(r->a, (t->offers_n + 1) * sizeof(*v));

	if (!v)
		return ERRC_NOMEM;
	for (size_t i = 0; i < t->models_n; i++) {
		const struct ptable_model *m = &t->models[i];

		for (size_t k = 0; k < m->offers_n; k++)
			v[m->offers[k].index] = (struct ptable_named){&m->offers[k], m};
	}
	qsort(v, t->offers_n, sizeof(*v), by_provider_upstream);
	memory->named = v;
	return ERRC_OK;
}

static enum errc read_table(struct reading *r, struct memory *memory)
{
	size_t version = 0;
	enum errc rc = read_head(r, 10);

	if (rc == ERRC_OK)
		rc = read_index(r, SIZE_MAX, &version);
	if (rc == ERRC_OK && version != PTABLE_FIELDS_VERSION)
		rc = ERRC_VERSION;
	if (rc == ERRC_OK)
		rc = mpack_read_u64(&r->in, &r->t->generation);
	if (rc == ERRC_OK)
		rc = ptable_fields_unpack_settings(&r->in, r->a, &r->t->set);
	if (rc == ERRC_OK)
		rc = read_text(r, &r->t->set.upstream_ca_pem);
	if (rc == ERRC_OK)
		rc = read_listeners(r);
	if (rc == ERRC_OK)
		rc = read_providers(r);
	if (rc == ERRC_OK)
		rc = read_prices(r);
	if (rc == ERRC_OK)
		rc = read_tariffs(r);
	if (rc == ERRC_OK)
		rc = read_groups(r);
	if (rc == ERRC_OK)
		rc = read_models(r);
	if (rc == ERRC_OK && !mpack_is_end(&r->in))
		rc = ERRC_CORRUPT;
	return rc == ERRC_OK ? index_names(r, memory) : rc;
}

enum errc ptable_decode(struct slice blob, struct ptable **out)
{
	struct ptable *t = mem_new_of(struct ptable);
	struct memory *memory = mem_new_of(struct memory);
	struct reading r = {.t = t};
	enum errc rc;

	*out = NULL;
	if (!t || !memory) {
		mem_free(t);
		mem_free(memory);
		return ERRC_NOMEM;
	}
	*t = (struct ptable){.magic = PTABLE_MAGIC, .refs = 1, .memory = memory};
	arena_init(&memory->arena, ARENA_MAX);
	r.a = &memory->arena;
	mpack_in_init(&r.in, blob);
	rc = read_table(&r, memory);
	if (rc == ERRC_OK)
		*out = t;
	else
		ptable_drop(&t);
	return rc;
}

struct ptable *ptable_hold(struct ptable *t)
{
	require_magic(t, PTABLE_MAGIC);
	t->refs++;
	return t;
}

static void wipe(struct slice s)
{
	if (s.n)
		secret_wipe((char *)(uintptr_t)s.p, s.n);
}

static void wipe_secrets(struct ptable *t)
{
	for (size_t i = 0; i < t->providers_n; i++) {
		const struct ptable_provider *p = &t->providers[i];

		for (size_t k = 0; p->keys && k < p->keys_n; k++)
			secret_fini(&p->keys[k].secret);
		for (size_t k = 0; p->headers && k < p->headers_n; k++)
			wipe(p->headers[k].value);
	}
	for (size_t i = 0; i < t->set.listeners_n; i++)
		wipe(t->set.listeners[i].key_pem);
}

void ptable_drop(struct ptable **t)
{
	struct ptable *x = *t;
	struct memory *memory;

	*t = NULL;
	if (!x)
		return;
	require_magic(x, PTABLE_MAGIC);
	require(x->refs > 0);
	if (--x->refs)
		return;
	memory = x->memory;
	wipe_secrets(x);
	arena_fini(&memory->arena);
	mem_free(memory);
	x->magic = 0;
	mem_free(x);
}

/* ---------------------------------------------------------------- lookups */

const struct ptable_model *ptable_model(const struct ptable *t, struct slice name)
{
	size_t lo = 0, hi = t->models_n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = slice_cmp(name, t->models[mid].name);

		if (c == 0)
			return &t->models[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

const struct ptable_provider *ptable_provider(const struct ptable *t, struct slice name)
{
	size_t lo = 0, hi = t->providers_n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = slice_cmp(name, t->providers[mid].name);

		if (c == 0)
			return &t->providers[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

const struct ptable_group *ptable_group(const struct ptable *t, struct slice name)
{
	size_t i = 0;

	while (i < t->groups_n && !slice_eq(t->groups[i].name, name))
		i++;
	return i < t->groups_n ? &t->groups[i] : NULL;
}

int64_t ptable_group_ppm(const struct ptable *t, struct slice name)
{
	const struct ptable_group *g = ptable_group(t, name);

	return g ? g->mult_ppm : PRICE_PPM;
}

static int name_cmp(struct slice provider, struct slice upstream, const struct ptable_offer *o)
{
	int c = slice_cmp(provider, o->provider->name);

	return c ? c : slice_cmp(upstream, o->upstream);
}

size_t ptable_offers_named(const struct ptable *t, struct slice name,
			   const struct ptable_named **first)
{
	const struct memory *memory = t->memory;
	struct slice upstream = name, provider;
	size_t lo = 0, hi = t->offers_n, n = 0;

	*first = NULL;
	if (!slice_cut(&upstream, '/', &provider))
		return 0;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (name_cmp(provider, upstream, memory->named[mid].offer) <= 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	while (lo + n < t->offers_n && !name_cmp(provider, upstream, memory->named[lo + n].offer))
		n++;
	if (n > 0)
		*first = &memory->named[lo];
	return n;
}
