#include "metrics.h"

#include "clock.h"
#include "keymeter.h"
#include "rtable.h"
#include "series.h"

static enum errc put_connections(struct worker *w, const struct rtable *rt, struct buf *out)
{
	unsigned high = page_slots_high(w->page);
	enum errc e = ERRC_OK;

	for (size_t i = 0; i < rt->t->providers_n && !e; i++) {
		const struct breaker_provider *b = rt->providers[i].health;
		const struct slice used[] = {rt->t->providers[i].name, SLICE_LIT("used")};
		const struct slice idle[] = {rt->t->providers[i].name, SLICE_LIT("idle")};
		uint64_t used_n = 0, idle_n = 0;

		for (unsigned s = 0; b && s < high; s++) {
			used_n += atomic_load(&b->use[s].conns_used);
			idle_n += atomic_load(&b->use[s].conns_idle);
		}
		e = series_put(out, SERIES_UPSTREAM_CONNECTIONS, i == 0, used, 2, (int64_t)used_n);
		if (!e)
			e = series_put(out, SERIES_UPSTREAM_CONNECTIONS, false, idle, 2,
				       (int64_t)idle_n);
	}
	return e;
}

static int64_t badness(const struct rtable *rt, const struct ptable_offer *o, int64_t now_ms)
{
	static const int64_t of[] = {
		[BREAKER_CLOSED] = 0, [BREAKER_SLOW_START] = 1, [BREAKER_HALF_OPEN] = 2, [BREAKER_OPEN] = 3};
	const struct breaker *b = rt->offers[o->index].health;

	return b ? of[breaker_state(b, &rt->breaker, now_ms)] : 0;
}

/* A model may have several offers of one provider, whose labels would be the same: the first of them speaks for all. */
static enum errc put_offers_of(const struct rtable *rt, const struct ptable_model *m, bool *title,
			       struct buf *out)
{
	int64_t now_ms = clock_boot_ms();
	enum errc e = ERRC_OK;

	for (size_t i = 0; i < m->offers_n && !e; i++) {
		const struct ptable_provider *p = m->offers[i].provider;
		const struct slice values[] = {m->name, p->name};
		bool is_first = true;
		int64_t worst = 0;

		for (size_t j = 0; j < m->offers_n; j++) {
			if (m->offers[j].provider != p)
				continue;
			is_first = is_first && j >= i;
			worst = MAX_OF(worst, badness(rt, &m->offers[j], now_ms));
		}
		if (is_first) {
			e = series_put(out, SERIES_OFFER_STATE, *title, values, 2, worst);
			*title = false;
		}
	}
	return e;
}

enum errc metrics_print(struct worker *w, struct buf *out)
{
	const struct rtable *rt = call_host_table(w->calls);
	enum errc e;
	bool title = true;

	call_host_publish(w->calls);
	e = series_print(w->page, out);
	if (e || !rt)
		return e;
	e = put_connections(w, rt, out);
	for (size_t i = 0; i < rt->t->models_n && !e; i++)
		e = put_offers_of(rt, &rt->t->models[i], &title, out);
	if (!e && rt->t->set.metrics_by_key)
		e = keymeter_print(w->page, out);
	return e;
}
