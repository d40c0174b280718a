#include "config.h"

#include "config_ctx.h"
#include "ptable_fields.h"

#define ENTRY_MAX (64 * 1024 * 1024)
#define PATH_TEXT 1024

struct diff {
	const struct ptable *old, *new;
	void (*each)(void *arg, const struct config_change *ch);
	void *arg;
	size_t n;
};

static void tell(struct diff *d, const char *kind, struct slice name,
		 enum config_change_kind change, enum settings_reload reload)
{
	struct config_change ch = {.kind = change, .reload = reload};
	struct buf b;

	buf_init(&b, PATH_TEXT);
	if (buf_addz(&b, kind) == ERRC_OK && buf_adds(&b, name) == ERRC_OK)
		ch.path = buf_slice(&b);
	else
		ch.path = name;
	d->n++;
	if (d->each)
		d->each(d->arg, &ch);
	buf_fini(&b);
}

/* ------------------------------------------------- entries as comparable bytes */

static void price_bytes(struct mpack_out *o, const struct tariff *t)
{
	uint8_t bytes[PRICE_BYTES_MAX];

	mpack_arr(o, (uint32_t)t->n);
	for (size_t i = 0; i < t->n; i++)
		mpack_bin(o, slice_of(bytes, price_encode(t->rows[i], bytes)));
}

static void listener_bytes(struct mpack_out *o, const struct settings_listener *l)
{
	ptable_fields_pack(o, &ptable_fields_listener, l);
	for (size_t i = 0; i < l->trusted_n; i++) {
		mpack_bin(o, slice_of(l->trusted[i].addr, sizeof(l->trusted[i].addr)));
		mpack_u64(o, l->trusted[i].bits);
	}
}

static void provider_bytes(struct mpack_out *o, const struct ptable_provider *p)
{
	ptable_fields_pack(o, &ptable_fields_provider, p);
	for (size_t i = 0; i < p->keys_n; i++) {
		mpack_u64(o, p->keys[i].id);
		mpack_str(o, p->keys[i].label);
	}
	for (size_t i = 0; i < p->headers_n; i++) {
		mpack_str(o, p->headers[i].name);
		mpack_str(o, p->headers[i].value);
	}
}

static void model_bytes(struct mpack_out *o, const struct ptable_model *m)
{
	ptable_fields_pack(o, &ptable_fields_model, m);
	price_bytes(o, m->price);
	mpack_arr(o, (uint32_t)m->offers_n);
	for (size_t i = 0; i < m->offers_n; i++) {
		ptable_fields_pack(o, &ptable_fields_offer, &m->offers[i]);
		mpack_str(o, m->offers[i].provider->name);
		price_bytes(o, m->offers[i].price);
		price_bytes(o, m->offers[i].cost);
	}
	for (size_t i = 0; i < m->fallbacks_n; i++)
		mpack_str(o, m->fallbacks[i]->name);
}

/* What kind of entries a walk compares. */
struct entries {
	const char *kind;
	struct slice (*name)(const struct ptable *t, size_t i);
	void (*bytes)(struct mpack_out *o, const struct ptable *t, size_t i);
};

static struct slice provider_name(const struct ptable *t, size_t i)
{
	return t->providers[i].name;
}

static void provider_at(struct mpack_out *o, const struct ptable *t, size_t i)
{
	provider_bytes(o, &t->providers[i]);
}

static struct slice model_name(const struct ptable *t, size_t i)
{
	return t->models[i].name;
}

static void model_at(struct mpack_out *o, const struct ptable *t, size_t i)
{
	model_bytes(o, &t->models[i]);
}

static struct slice group_name(const struct ptable *t, size_t i)
{
	return t->groups[i].name;
}

static void group_at(struct mpack_out *o, const struct ptable *t, size_t i)
{
	mpack_i64(o, t->groups[i].mult_ppm);
}

static struct slice listener_name(const struct ptable *t, size_t i)
{
	return t->set.listeners[i].address;
}

static void listener_at(struct mpack_out *o, const struct ptable *t, size_t i)
{
	listener_bytes(o, &t->set.listeners[i]);
}

static const struct entries listeners = {"listen ", listener_name, listener_at};
static const struct entries groups = {"groups.", group_name, group_at};
static const struct entries providers = {"providers.", provider_name, provider_at};
static const struct entries models = {"models.", model_name, model_at};

/* Without memory two entries count as different: a reload too many does no harm. */
static bool differ(const struct diff *d, const struct entries *e, size_t i, size_t k)
{
	struct mpack_out o, n;
	struct buf a, b;
	bool result;

	buf_init(&a, ENTRY_MAX);
	buf_init(&b, ENTRY_MAX);
	mpack_out_init(&o, &a);
	mpack_out_init(&n, &b);
	e->bytes(&o, d->old, i);
	e->bytes(&n, d->new, k);
	result = mpack_out_end(&o) != ERRC_OK || mpack_out_end(&n) != ERRC_OK ||
		 !slice_eq(buf_slice(&a), buf_slice(&b));
	/* Header values and TLS keys are secrets. */
	secret_wipe(a.p, a.len);
	secret_wipe(b.p, b.len);
	buf_fini(&a);
	buf_fini(&b);
	return result;
}

/* Both sides are sorted by name. */
static void walk_sorted(struct diff *d, const struct entries *e, size_t old_n, size_t new_n)
{
	size_t i = 0, k = 0;

	while (i < old_n || k < new_n) {
		int c = i == old_n   ? 1
			: k == new_n ? -1
				     : slice_cmp(e->name(d->old, i), e->name(d->new, k));

		if (c < 0) {
			tell(d, e->kind, e->name(d->old, i++), CONFIG_REMOVED, SETTINGS_LIVE);
		} else if (c > 0) {
			tell(d, e->kind, e->name(d->new, k++), CONFIG_ADDED, SETTINGS_LIVE);
		} else {
			if (differ(d, e, i, k))
				tell(d, e->kind, e->name(d->new, k), CONFIG_CHANGED, SETTINGS_LIVE);
			i++;
			k++;
		}
	}
}

static size_t find_listener(const struct ptable *t, struct slice address)
{
	size_t i = 0;

	while (i < t->set.listeners_n && !slice_eq(t->set.listeners[i].address, address))
		i++;
	return i;
}

static void walk_listeners(struct diff *d)
{
	for (size_t i = 0; i < d->old->set.listeners_n; i++) {
		struct slice address = d->old->set.listeners[i].address;
		size_t k = find_listener(d->new, address);

		if (k == d->new->set.listeners_n)
			tell(d, listeners.kind, address, CONFIG_REMOVED, SETTINGS_LIVE);
		else if (differ(d, &listeners, i, k))
			tell(d, listeners.kind, address, CONFIG_CHANGED, SETTINGS_LIVE);
	}
	for (size_t k = 0; k < d->new->set.listeners_n; k++) {
		struct slice address = d->new->set.listeners[k].address;

		if (find_listener(d->old, address) == d->old->set.listeners_n)
			tell(d, listeners.kind, address, CONFIG_ADDED, SETTINGS_LIVE);
	}
}

size_t config_diff(const struct config *old, const struct config *new_config,
		   void (*each)(void *arg, const struct config_change *ch), void *arg)
{
	struct diff d = {&old->table, &new_config->table, each, arg, 0};

	for (size_t i = 0; i < settings_rows_n; i++) {
		const struct settings_row *row = &settings_rows[i];
		bool ca = row->offset == offsetof(struct settings, upstream_ca_file) &&
			  !slice_eq(d.old->set.upstream_ca_pem, d.new->set.upstream_ca_pem);

		if (ca || !settings_equal(row, &d.old->set, &d.new->set))
			tell(&d, "", slice_str(row->path), CONFIG_CHANGED, row->reload);
	}
	walk_listeners(&d);
	walk_sorted(&d, &groups, d.old->groups_n, d.new->groups_n);
	walk_sorted(&d, &providers, d.old->providers_n, d.new->providers_n);
	walk_sorted(&d, &models, d.old->models_n, d.new->models_n);
	return d.n;
}
