#include "tally_priv.h"

#include <stdlib.h>

#include "mem.h"

struct place {
	struct slice name;
	uint32_t id;
};

static int by_name(const void *a, const void *b)
{
	return slice_cmp(((const struct place *)a)->name, ((const struct place *)b)->name);
}

/* Sorts the names; rank[id] is a name's place among them. */
static enum errc rank_names(const struct tally_names *c, uint32_t *rank)
{
	struct place *p = mem_new(c->n * sizeof *p);

	if (!p)
		return ERRC_NOMEM;
	for (uint32_t i = 0; i < c->n; i++)
		p[i] = (struct place){c->name[i].name, i};
	qsort(p, c->n, sizeof *p, by_name);
	for (uint32_t i = 0; i < c->n; i++)
		rank[p[i].id] = i;
	mem_free(p);
	return ERRC_OK;
}

/* One pass of a radix sort: puts the rows in order of this column; those equal in it stay as they stand. */
static enum errc sort_column(struct tally *r, size_t column, uint32_t n)
{
	const struct tally_names *c = &r->names[column];
	uint32_t *rank = mem_new((c->n + 1) * sizeof *rank);
	uint32_t *begins =
		mem_new((c->n + 2) * sizeof *begins); /* the empty name may be the first */
	uint32_t *sorted = mem_new(n * sizeof *sorted);
	enum errc rc = rank && begins && sorted ? rank_names(c, rank) : ERRC_NOMEM;

	for (uint32_t i = 0; !rc && i < n; i++)
		begins[rank[r->sums[r->order[i]].id[column]] + 1]++;
	for (uint32_t i = 1; !rc && i <= c->n; i++)
		begins[i] += begins[i - 1];
	for (uint32_t i = 0; !rc && i < n; i++)
		sorted[begins[rank[r->sums[r->order[i]].id[column]]]++] = r->order[i];
	if (!rc)
		memcpy(r->order, sorted, n * sizeof *sorted);
	mem_free(rank);
	mem_free(begins);
	mem_free(sorted);
	return rc;
}

/* What is not in the rows, those included that are dropped. */
static void find_rest(struct tally *r, const struct rollup_sums *total)
{
	r->rest = *total;
	for (uint32_t i = 0; i < r->n; i++)
		rollup_sums_sub(&r->rest, &r->sums[i].sums);
	r->has_rest = r->rest.requests > 0;
}

enum errc tally_end(struct tally *r, const struct rollup_sums *total,
		    enum errc (*readable)(void *arg, size_t column, struct slice name,
					  struct slice *out),
		    void *arg)
{
	enum errc rc = tally_add_waiting(r);
	uint32_t n = 0;

	for (size_t i = 0; i < r->by_n; i++) {
		struct tally_names *c = &r->names[i];

		for (uint32_t k = TALLY_EMPTY + 1; !rc && k < c->n; k++)
			rc = readable(arg, i, c->name[k].name, &c->name[k].name);
	}
	if (!rc && r->has_rest)
		find_rest(r, total);
	if (rc || r->n == 0)
		return rc;
	r->order = mem_new(r->n * sizeof *r->order);
	if (!r->order)
		return ERRC_NOMEM;
	for (uint32_t i = 0; i < r->n; i++) {
		if (r->sums[i].sums.requests > 0)
			r->order[n++] = i;
	}
	r->n = n;
	for (size_t i = r->by_n; !rc && n > 1 && i-- > 0;)
		rc = sort_column(r, i, n);
	return rc;
}

void tally_numbers(const struct rollup_sums *s, struct report_row *out)
{
	out->requests = (uint64_t)s->requests;
	out->failed = (uint64_t)s->failed;
	out->input = s->input;
	out->cached = s->cached;
	out->output = s->output;
	out->reasoning = s->reasoning;
	out->charge_nusd = s->charge_nusd;
	out->uncollected_nusd = s->uncollected_nusd;
	out->cost_nusd = s->cost_nusd;
}

size_t tally_n(const struct tally *r)
{
	return r->n + r->has_rest;
}

void tally_get(const struct tally *r, size_t i, struct report_row *out)
{
	const struct rollup_sums *s = &r->rest;

	require(i < tally_n(r));
	*out = (struct report_row){.requests = 0};
	if (i < r->n) {
		const struct tally_sum *sum = &r->sums[r->order[i]];

		for (size_t c = 0; c < r->by_n; c++) {
			if (sum->id[c] != TALLY_EMPTY)
				out->name[c] = r->names[c].name[sum->id[c]].name;
		}
		s = &sum->sums;
	}
	tally_numbers(s, out);
}
