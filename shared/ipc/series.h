/* Metric series in the shared page: an open-addressed table keyed by metric and label text, found once and then counted
 * by pointer at memory speed. Counters so survive the death of every process but a reboot. Pointers are valid while the
 * page is mapped. */
#ifndef AIGW_SERIES_H
#define AIGW_SERIES_H

#include "buf.h"
#include "page.h"

#define SERIES_LABELS_MAX 224 /* bytes of label text */
#define SERIES_BUCKETS    20  /* of a histogram, the last one is +Inf */

enum series_id {
#define SERIES(NAME, text, type, scale, labels, help) SERIES_##NAME,
#include "series_tbl.h"
#undef SERIES
	SERIES_ID_COUNT
};

struct series_histo {
	page_u64 bucket[SERIES_BUCKETS]; /* not cumulative */
	page_u64 sum_us;
};

/* Label text for a metric: the values in the order of its row, quoted and escaped; of values that do not fit the
 * beginning and a hash stand there.
 * `out` holds SERIES_LABELS_MAX bytes; returns the length. values_n must be the row's number of labels. */
size_t series_labels(enum series_id id, const struct slice *values, size_t values_n, char *out);

/* The counter (or gauge) of that metric with these labels, made when new. Never NULL: when the table is full a shared
 * cell that is not printed, and aigw_series_dropped_total counts. */
page_u64 *series_cell(struct page *p, enum series_id id, struct slice labels);
struct series_histo *series_histo(struct page *p, enum series_id id, struct slice labels);

static inline void series_add(page_u64 *c, uint64_t n)
{
	atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}
void series_observe_us(struct series_histo *h, uint64_t us);

/* Everything as Prometheus text: series, gauges of the page, sums over living processes, build info. */
MUSTCHECK enum errc series_print(struct page *p, struct buf *out);

/* One line of a metric that is computed, for series that are not kept; `title` puts its help and type before it. */
MUSTCHECK enum errc series_put(struct buf *out, enum series_id id, bool title,
			       const struct slice *values, size_t values_n, int64_t v);

#endif
