#include "ptable.h"

#include <stdlib.h>

#include "mem.h"
#include "mpack.h"
#include "ptable_fields.h"

static void pack_listener(struct mpack_out *o, const struct settings_listener *l)
{
	mpack_arr(o, (uint32_t)ptable_fields_listener.n + 1);
	ptable_fields_pack(o, &ptable_fields_listener, l);
	mpack_arr(o, (uint32_t)l->trusted_n);
	for (size_t i = 0; i < l->trusted_n; i++) {
		mpack_arr(o, 2);
		mpack_bin(o, slice_of(l->trusted[i].addr, sizeof(l->trusted[i].addr)));
		mpack_u64(o, l->trusted[i].bits);
	}
}

static void pack_provider(struct mpack_out *o, const struct ptable_provider *p)
{
	mpack_arr(o, (uint32_t)ptable_fields_provider.n + 2);
	ptable_fields_pack(o, &ptable_fields_provider, p);
	mpack_arr(o, (uint32_t)p->keys_n);
	for (size_t i = 0; i < p->keys_n; i++) {
		mpack_arr(o, 3);
		mpack_u64(o, p->keys[i].id);
		mpack_str(o, p->keys[i].label);
		mpack_str(o, secret_reveal(&p->keys[i].secret));
	}
	mpack_arr(o, (uint32_t)p->headers_n);
	for (size_t i = 0; i < p->headers_n; i++) {
		mpack_arr(o, 2);
		mpack_str(o, p->headers[i].name);
		mpack_str(o, p->headers[i].value);
	}
}

static int by_address(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t) * (const void *const *)a, y = (uintptr_t) * (const void *const *)b;

	return x < y ? -1 : x > y;
}

struct index_at {
	const void *p;
	uint32_t index;
};

/* Where things stand in a list of the table, to write a pointer as a number. */
struct index {
	struct index_at *v;
	size_t n;
};

static enum errc index_make(struct index *x, const void *list, size_t n)
{
	const void *const *all = list;

	x->v = mem_new((n + 1) * sizeof(*x->v));
	if (!x->v)
		return ERRC_NOMEM;
	x->n = n;
	for (size_t i = 0; i < n; i++)
		x->v[i] = (struct index_at){all[i], (uint32_t)i};
	qsort(x->v, n, sizeof(*x->v), by_address);
	return ERRC_OK;
}

static void pack_index(struct mpack_out *o, const struct index *x, const void *p)
{
	struct index_at wanted = {.p = p},
			*at = p && x->n ? bsearch(&wanted, x->v, x->n, sizeof(*x->v), by_address)
					: NULL;

	if (at)
		mpack_u64(o, at->index);
	else
		o->err = o->err ? o->err : ERRC_INVAL;
}

static void pack_model(struct mpack_out *o, const struct index *x, const struct ptable *t,
		       const struct ptable_model *m)
{
	mpack_arr(o, (uint32_t)ptable_fields_model.n + 3);
	ptable_fields_pack(o, &ptable_fields_model, m);
	pack_index(o, x, m->price);
	mpack_arr(o, (uint32_t)m->fallbacks_n);
	for (size_t i = 0; i < m->fallbacks_n; i++)
		mpack_u64(o, (uint64_t)(m->fallbacks[i] - t->models));
	mpack_arr(o, (uint32_t)m->offers_n);
	for (size_t i = 0; i < m->offers_n; i++) {
		const struct ptable_offer *of = &m->offers[i];

		mpack_arr(o, (uint32_t)ptable_fields_offer.n + 3);
		ptable_fields_pack(o, &ptable_fields_offer, of);
		mpack_u64(o, (uint64_t)(of->provider - t->providers));
		pack_index(o, x, of->price);
		pack_index(o, x, of->cost);
	}
}

static void pack_prices(struct mpack_out *o, const struct ptable *t)
{
	uint8_t bytes[PRICE_BYTES_MAX];

	mpack_arr(o, (uint32_t)t->prices_n);
	for (size_t i = 0; i < t->prices_n; i++)
		mpack_bin(o, slice_of(bytes, price_encode(t->prices[i], bytes)));
}

static void pack_tariffs(struct mpack_out *o, const struct index *prices, const struct ptable *t)
{
	mpack_arr(o, (uint32_t)t->tariffs_n);
	for (size_t i = 0; i < t->tariffs_n; i++) {
		mpack_arr(o, (uint32_t)t->tariffs[i]->n);
		for (size_t k = 0; k < t->tariffs[i]->n; k++)
			pack_index(o, prices, t->tariffs[i]->rows[k]);
	}
}

static void pack_groups(struct mpack_out *o, const struct ptable *t)
{
	mpack_arr(o, (uint32_t)t->groups_n);
	for (size_t i = 0; i < t->groups_n; i++) {
		mpack_arr(o, 2);
		mpack_str(o, t->groups[i].name);
		mpack_i64(o, t->groups[i].mult_ppm);
	}
}

enum errc ptable_encode(const struct ptable *t, uint64_t generation, struct buf *out)
{
	struct index prices = {0}, tariffs = {0};
	struct mpack_out o;
	enum errc rc = index_make(&prices, t->prices, t->prices_n);

	if (!rc)
		rc = index_make(&tariffs, t->tariffs, t->tariffs_n);
	if (rc)
		goto out;
	mpack_out_init(&o, out);
	mpack_arr(&o, 10);
	mpack_u64(&o, PTABLE_FIELDS_VERSION);
	mpack_u64(&o, generation);
	ptable_fields_pack_settings(&o, &t->set);
	mpack_str(&o, t->set.upstream_ca_pem);
	mpack_arr(&o, (uint32_t)t->set.listeners_n);
	for (size_t i = 0; i < t->set.listeners_n; i++)
		pack_listener(&o, &t->set.listeners[i]);
	mpack_arr(&o, (uint32_t)t->providers_n);
	for (size_t i = 0; i < t->providers_n; i++)
		pack_provider(&o, &t->providers[i]);
	pack_prices(&o, t);
	pack_tariffs(&o, &prices, t);
	pack_groups(&o, t);
	mpack_arr(&o, (uint32_t)t->models_n);
	for (size_t i = 0; i < t->models_n; i++)
		pack_model(&o, &tariffs, t, &t->models[i]);
	rc = mpack_out_end(&o);
out:
	mem_free(prices.v);
	mem_free(tariffs.v);
	return rc;
}
