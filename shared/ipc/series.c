#include "series.h"

#include <stdlib.h>

#include "mem.h"
#include "page_mem.h"
#include "text.h"

enum type { COUNTER, GAUGE, HISTO };
static const char *const types[] = {"counter", "gauge", "histogram"};

static const struct row {
	const char *name;
	enum type type;
	int scale;
	const char *labels, *help;
} rows[] = {
#define SERIES(NAME, text, type, scale, labels, help) \
	[SERIES_##NAME] = {text, type, scale, labels, help},
#include "series_tbl.h"
#undef SERIES
};

static const struct gauge_row {
	const char *name;
	int scale;
	const char *help;
} gauges[] = {
#define PAGE_GAUGE(NAME, metric, scale, help) [PAGE_##NAME] = {metric, scale, help},
#include "page_gauge_tbl.h"
#undef PAGE_GAUGE
};

/* Upper bounds in microseconds and as printed; beyond the last one is +Inf. */
static const struct bound {
	uint64_t us;
	const char *text;
} bounds[SERIES_BUCKETS - 1] = {
	{100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},    {2500, "0.0025"},
	{5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"}, {50000, "0.05"},    {100000, "0.1"},
	{250000, "0.25"}, {500000, "0.5"},  {1000000, "1"},   {2500000, "2.5"},   {5000000, "5"},
	{10000000, "10"}, {30000000, "30"}, {60000000, "60"}, {300000000, "300"},
};

/* --- labels --- */

#define CUT_MARK 9 /* bytes: "~" and the value's hash */

static bool add_escaped(struct buf *b, struct slice v)
{
	size_t start = b->len;
	enum errc e = ERRC_OK;

	for (size_t i = 0; i < v.n && !e; i++) {
		if (v.p[i] == '\\' || v.p[i] == '"')
			e = buf_addf(b, "\\%c", v.p[i]);
		else if (v.p[i] == '\n')
			e = buf_addz(b, "\\n");
		else
			e = buf_addc(b, v.p[i]);
	}
	if (e)
		buf_truncate(b, start);
	return e == ERRC_OK;
}

/* Between characters of UTF-8. */
static struct slice cut_value(struct slice v, size_t max)
{
	if (v.n <= max)
		return v;
	v.n = max;
	while (v.n && ((unsigned char)v.p[v.n] & 0xc0) == 0x80)
		v.n--;
	return v;
}

/* Each value gets an even share of what the names leave. Of a longer one a part stands there, and a mark that others do not have. False: no
 * memory. */
static bool add_value(struct buf *b, struct slice v, size_t share)
{
	size_t start = b->len, max = share - CUT_MARK;

	if (v.n <= share && !add_escaped(b, v))
		return false;
	if (v.n <= share && b->len - start <= share)
		return true;
	/* Escapes make it longer. */
	for (;; max--) {
		buf_truncate(b, start);
		if (!add_escaped(b, cut_value(v, max)))
			return false;
		if (b->len - start <= share - CUT_MARK)
			break;
	}
	return buf_addf(b, "~%08x", (unsigned)(text_hash(v) & UINT32_MAX)) == ERRC_OK;
}

size_t series_labels(enum series_id id, const struct slice *values, size_t values_n, char *out)
{
	struct slice names = slice_str(rows[id].labels), name;
	size_t share = (SERIES_LABELS_MAX - names.n - 4 * values_n) / MAX_OF(values_n, (size_t)1),
	       i = 0;
	char text[SERIES_LABELS_MAX];
	struct buf b;
	size_t n;

	buf_init(&b, SERIES_LABELS_MAX * 2);
	for (; names.n && i < values_n; i++) {
		(void)slice_cut(&names, ',', &name);
		if (buf_addf(&b, "%s" SLICE_FMT "=\"", i ? "," : "", SLICE_ARG(name)) ||
		    !add_value(&b, values[i], share) || buf_addc(&b, '"'))
			break;
	}
	if (check_fails(names.n == 0 && i == values_n && b.len <= sizeof(text)))
		b.len = 0;
	n = b.len;
	if (n)
		memcpy(out, b.p, n);
	buf_fini(&b);
	return n;
}

/* --- the table --- */

static uint64_t hash_of(enum series_id id, struct slice labels)
{
	uint64_t h = (text_hash(labels) ^ ((uint64_t)id + 1)) * UINT64_C(0x9e3779b97f4a7c15);

	h ^= h >> 29;
	return h ? h : 1;
}

static void describe(struct page_series *s, enum series_id id, struct slice labels)
{
	if (atomic_load(&s->meta))
		return;
	if (labels.n)
		memcpy(s->labels, labels.p, labels.n);
	atomic_store(&s->id, id);
	atomic_store(&s->meta, (uint32_t)labels.n + 1);
}

static struct page_series *find(struct page_mem *m, enum series_id id, struct slice labels)
{
	uint64_t h = hash_of(id, labels);

	for (size_t i = 0; i < PAGE_SERIES; i++) {
		struct page_series *s = &m->series[(h + i) & (PAGE_SERIES - 1)];
		uint64_t was = atomic_load(&s->hash);

		if (was == 0) {
			if (atomic_load(&m->head.series_used) >= PAGE_SERIES - PAGE_SERIES / 8)
				return NULL;
			if (atomic_compare_exchange_strong(&s->hash, &was, h)) {
				atomic_fetch_add(&m->head.series_used, 1);
				was = h;
			}
		}
		if (was == h) {
			describe(s, id, labels);
			return s;
		}
	}
	return NULL;
}

page_u64 *series_cell(struct page *p, enum series_id id, struct slice labels)
{
	struct page_series *s = NULL;

	require((unsigned)id < SERIES_ID_COUNT && rows[id].type != HISTO);
	if (!check_fails(labels.n <= SERIES_LABELS_MAX))
		s = find(p->m, id, labels);
	if (s)
		return &s->value;
	atomic_fetch_add(&p->m->head.series_dropped, 1);
	return &p->m->head.series_spill;
}

/* Gives the series a histogram when it has none. Of two that try at once one loses its place for good, which is rare. */
static uint32_t histo_of(struct page_mem *m, struct page_series *s)
{
	uint32_t has = atomic_load(&s->histo), fresh;

	if (has || atomic_load(&m->head.histos_used) >= PAGE_HISTOS)
		return has;
	fresh = atomic_fetch_add(&m->head.histos_used, 1) + 1;
	if (fresh > PAGE_HISTOS)
		return 0;
	return atomic_compare_exchange_strong(&s->histo, &has, fresh) ? fresh : has;
}

struct series_histo *series_histo(struct page *p, enum series_id id, struct slice labels)
{
	struct page_series *s = NULL;
	uint32_t at = 0;

	require((unsigned)id < SERIES_ID_COUNT && rows[id].type == HISTO);
	if (!check_fails(labels.n <= SERIES_LABELS_MAX))
		s = find(p->m, id, labels);
	if (s)
		at = histo_of(p->m, s);
	if (at)
		return &p->m->histos[at - 1];
	atomic_fetch_add(&p->m->head.series_dropped, 1);
	return &p->m->histos[PAGE_HISTOS];
}

void series_observe_us(struct series_histo *h, uint64_t us)
{
	size_t i = 0;

	while (i < ARRAY_LEN(bounds) && us > bounds[i].us)
		i++;
	series_add(&h->bucket[i], 1);
	series_add(&h->sum_us, us);
}

/* --- printing --- */

static enum errc put_title(struct buf *out, const char *name, const char *type, const char *help)
{
	return buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static enum errc put_value(struct buf *out, const char *name, struct slice labels, int64_t v,
			   int scale)
{
	char text[TEXT_DECIMAL_MAX];
	size_t n = text_decimal_print(v, scale, 0, text);

	if (labels.n == 0)
		return buf_addf(out, "%s %.*s\n", name, (int)n, text);
	return buf_addf(out, "%s{" SLICE_FMT "} %.*s\n", name, SLICE_ARG(labels), (int)n, text);
}

static enum errc put_histo(struct buf *out, const char *name, struct slice labels,
			   struct series_histo *h)
{
	const char *comma = labels.n ? "," : "";
	char sum[TEXT_DECIMAL_MAX];
	uint64_t n = 0;
	enum errc e;

	for (size_t i = 0; i < SERIES_BUCKETS; i++) {
		n += atomic_load(&h->bucket[i]);
		e = buf_addf(out, "%s_bucket{" SLICE_FMT "%sle=\"%s\"} %llu\n", name,
			     SLICE_ARG(labels), comma,
			     i < ARRAY_LEN(bounds) ? bounds[i].text : "+Inf", (unsigned long long)n);
		if (e)
			return e;
	}
	sum[text_decimal_print((int64_t)atomic_load(&h->sum_us), 6, 0, sum)] = 0;
	if (labels.n == 0)
		return buf_addf(out, "%s_sum %s\n%s_count %llu\n", name, sum, name,
				(unsigned long long)n);
	return buf_addf(out, "%s_sum{" SLICE_FMT "} %s\n%s_count{" SLICE_FMT "} %llu\n", name,
			SLICE_ARG(labels), sum, name, SLICE_ARG(labels), (unsigned long long)n);
}

static struct slice labels_of(const struct page_series *s)
{
	return slice_of(s->labels, atomic_load(&s->meta) - 1);
}

static int by_id_and_labels(const void *a, const void *b)
{
	const struct page_series *x = *(struct page_series *const *)a,
				 *y = *(struct page_series *const *)b;
	uint32_t i = atomic_load(&x->id), j = atomic_load(&y->id);

	return i != j ? (i < j ? -1 : 1) : slice_cmp(labels_of(x), labels_of(y));
}

/* Every described series in order; owned by the caller, NULL when there is no memory. */
static struct page_series **sorted(struct page_mem *m, size_t *n)
{
	struct page_series **v = mem_new(sizeof(*v) * PAGE_SERIES);

	*n = 0;
	for (size_t i = 0; v && i < PAGE_SERIES; i++) {
		struct page_series *s = &m->series[i];

		if (atomic_load(&s->meta) && atomic_load(&s->id) < SERIES_ID_COUNT)
			v[(*n)++] = s;
	}
	if (*n)
		qsort(v, *n, sizeof(*v), by_id_and_labels);
	return v;
}

static enum errc put_series(struct page_mem *m, struct page_series *s, struct buf *out)
{
	const struct row *r = &rows[atomic_load(&s->id)];
	uint32_t at = atomic_load(&s->histo);

	if (r->type != HISTO)
		return put_value(out, r->name, labels_of(s), (int64_t)atomic_load(&s->value),
				 r->scale);
	return at ? put_histo(out, r->name, labels_of(s), &m->histos[at - 1]) : ERRC_OK;
}

static enum errc put_all_series(struct page *p, struct buf *out)
{
	uint32_t id, last = SERIES_ID_COUNT;
	enum errc e = ERRC_OK;
	size_t n;
	struct page_series **v = sorted(p->m, &n);

	if (!v)
		return ERRC_NOMEM;
	for (size_t i = 0; i < n && !e; i++) {
		id = atomic_load(&v[i]->id);
		if (id != last)
			e = put_title(out, rows[id].name, types[rows[id].type], rows[id].help);
		last = id;
		if (!e)
			e = put_series(p->m, v[i], out);
	}
	mem_free(v);
	return e;
}

enum errc series_put(struct buf *out, enum series_id id, bool title, const struct slice *values,
		     size_t values_n, int64_t v)
{
	char text[SERIES_LABELS_MAX];
	size_t n = series_labels(id, values, values_n, text);
	enum errc e = title ? put_title(out, rows[id].name, types[rows[id].type], rows[id].help)
			    : ERRC_OK;

	return e ? e : put_value(out, rows[id].name, slice_of(text, n), v, rows[id].scale);
}

static enum errc put_gauges(struct page *p, struct buf *out)
{
	enum errc e = ERRC_OK;

	for (unsigned g = 0; g < PAGE_GAUGE_COUNT && !e; g++) {
		if (!gauges[g].name)
			continue;
		e = put_title(out, gauges[g].name, "gauge", gauges[g].help);
		if (!e)
			e = put_value(out, gauges[g].name, SLICE_NONE,
				      (int64_t)atomic_load(page_gauge(p, (enum page_gauge)g)),
				      gauges[g].scale);
	}
	return e;
}

/* What living processes count in their own rows. */
static enum errc put_sums(struct page *p, struct buf *out)
{
	uint64_t inflight = 0, down = 0;
	enum errc e;

	for (unsigned i = 0; i < page_slots_high(p); i++) {
		if (!page_is_alive(p, i))
			continue;
		inflight += atomic_load(&page_proc(p, i)->inflight);
		down += atomic_load(&page_proc(p, i)->conns_down);
	}
	e = put_title(out, "aigw_inflight_requests", "gauge", "Requests running");
	if (!e)
		e = put_value(out, "aigw_inflight_requests", SLICE_NONE, (int64_t)inflight, 0);
	if (!e)
		e = put_title(out, "aigw_client_connections", "gauge", "Client connections open");
	if (!e)
		e = put_value(out, "aigw_client_connections", SLICE_NONE, (int64_t)down, 0);
	return e;
}

enum errc series_print(struct page *p, struct buf *out)
{
	enum errc e = put_all_series(p, out);

	if (!e)
		e = put_gauges(p, out);
	if (!e)
		e = put_sums(p, out);
	if (!e)
		e = put_title(out, "aigw_series_dropped_total", "counter",
			      "Series not kept because the table is full");
	if (!e)
		e = put_value(out, "aigw_series_dropped_total", SLICE_NONE,
			      (int64_t)atomic_load(&p->m->head.series_dropped), 0);
	if (!e)
		e = put_title(out, "aigw_build_info", "gauge", "Version of the program");
	if (!e)
		e = buf_addz(out, "aigw_build_info{version=\"" AIGW_VERSION "\"} 1\n");
	return e;
}
