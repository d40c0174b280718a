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
	uintptr_t x = (uintptr_t) * (const struct price *const *)a,
		  y = (uintptr_t) * (const struct price *const *)b;

	return x < y ? -1 : x > y;
}

struct price_at {
	const struct price *price;
	uint32_t index;
};

/* Where the rows of a table stand in its `prices`, to write a pointer as a number. */
struct price_index {
	struct price_at *v;
	size_t n;
};

static void pack_price(struct mpack_out *o, const struct price_index *x, const struct price *p)
{
	struct price_at wanted = {.price = p},
			*at = p && x->n ? bsearch(&wanted, x->v, x->n, sizeof(*x->v), by_address)
					: NULL;

	if (at)
		mpack_u64(o, at->index);
	else
		o->err = o->err ? o->err : ERRC_INVAL;
}

static void pack_model(struct mpack_out *o, const struct price_index *x, const struct ptable *t,
		       const struct ptable_model *m)
{
	mpack_arr(o, (uint32_t)ptable_fields_model.n + 3);
	ptable_fields_pack(o, &ptable_fields_model, m);
	pack_price(o, x, m->price);
	mpack_arr(o, (uint32_t)m->fallbacks_n);
	for (size_t i = 0; i < m->fallbacks_n; i++)
		mpack_u64(o, (uint64_t)(m->fallbacks[i] - t->models));
	mpack_arr(o, (uint32_t)m->offers_n);
	for (size_t i = 0; i < m->offers_n; i++) {
		const struct ptable_offer *of = &m->offers[i];

		mpack_arr(o, (uint32_t)ptable_fields_offer.n + 3);
		ptable_fields_pack(o, &ptable_fields_offer, of);
		mpack_u64(o, (uint64_t)(of->provider - t->providers));
		pack_price(o, x, of->price);
		pack_price(o, x, of->cost);
	}
}

static void pack_prices(struct mpack_out *o, const struct ptable *t)
{
	uint8_t bytes[PRICE_BYTES];

	mpack_arr(o, (uint32_t)t->prices_n);
	for (size_t i = 0; i < t->prices_n; i++) {
		price_encode(t->prices[i], bytes);
		mpack_bin(o, slice_of(bytes, sizeof(bytes)));
	}
}

enum errc ptable_encode(const struct ptable *t, uint64_t generation, struct buf *out)
{
	struct price_index x = {.n = t->prices_n};
	struct mpack_out o;

	x.v = mem_new((x.n + 1) * sizeof(*x.v));
	if (!x.v)
		return ERRC_NOMEM;
	for (size_t i = 0; i < x.n; i++)
		x.v[i] = (struct price_at){t->prices[i], (uint32_t)i};
	qsort(x.v, x.n, sizeof(*x.v), by_address);
	mpack_out_init(&o, out);
	mpack_arr(&o, 8);
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
	mpack_arr(&o, (uint32_t)t->models_n);
	for (size_t i = 0; i < t->models_n; i++)
		pack_model(&o, &x, t, &t->models[i]);
	mem_free(x.v);
	return mpack_out_end(&o);
}
