#include "report.h"

#include <stdio.h>
#include <stdlib.h>

#include "admin.h"
#include "arena.h"
#include "clock.h"
#include "mem.h"
#include "text.h"

#define NAMES_BYTES   ((size_t)256 * 1024 * 1024)
#define ACCOUNT_BYTES 512 /* more than an account's row has */
#define DAY_TEXT      10

struct report {
	struct report_ask ask;
	struct ledger *ledger;
	struct live *live;
	bool in_order; /* the records: the first one that is too late ends it */
	struct arena names;
	struct buf row; /* of an account, reserved */
	struct report_row *rows;
	size_t n, cap;
	uint32_t *slots; /* positions + 1 by hash; the size is a power of two */
	size_t slots_n;
	struct report_row total, rest; /* rest: what found no room */
	bool has_rest;
	uint64_t named_account; /* of `account_name` */
	char account_name[ROWS_NAME_MAX + 24];
	size_t account_name_n;
};

static struct slice account_name(struct report *r, uint64_t account)
{
	struct rows_account a;

	if (r->named_account == account)
		return slice_of(r->account_name, r->account_name_n);
	if (r->live && admin_account_get(r->live, account, &r->row, &a) == ERRC_OK) {
		memcpy(r->account_name, a.name.p, a.name.n);
		r->account_name_n = a.name.n;
	} else {
		r->account_name_n = (size_t)snprintf(r->account_name, sizeof r->account_name,
						     "%llu", (unsigned long long)account);
	}
	r->named_account = account;
	return slice_of(r->account_name, r->account_name_n);
}

static struct slice name_of(struct report *r, enum report_dim d, const struct record *rec,
			    char day[CLOCK_TEXT_MAX])
{
	switch (d) {
	case REPORT_DAY:
		clock_format_s(rec->wall_ms / 1000, day);
		return slice_of(day, DAY_TEXT);
	case REPORT_MODEL:
		return rec->charge.model.n ? rec->charge.model : rec->charge.model_asked;
	case REPORT_KEY:
		return slice_of(rec->charge.key_id, APIKEY_ID);
	case REPORT_ACCOUNT:
		return account_name(r, rec->account);
	case REPORT_PROVIDER:
		return rec->charge.provider;
	default:
		return SLICE_NONE;
	}
}

static bool names_eq(const struct report *r, const struct slice *a, const struct slice *b)
{
	for (size_t i = 0; i < r->ask.by_n; i++) {
		if (!slice_eq(a[i], b[i]))
			return false;
	}
	return true;
}

static uint64_t names_hash(const struct report *r, const struct slice *names)
{
	uint64_t h = 0;

	for (size_t i = 0; i < r->ask.by_n; i++)
		h = h * UINT64_C(0x9e3779b97f4a7c15) + text_hash(names[i]);
	return h ^ h >> 29;
}

static enum errc grow(struct report *r)
{
	size_t cap = r->cap ? r->cap * 2 : 64, slots_n = cap * 4;
	struct report_row *rows = mem_grow(r->rows, cap * sizeof *rows);
	uint32_t *slots;

	if (!rows)
		return ERRC_NOMEM;
	r->rows = rows;
	r->cap = cap;
	slots = mem_new(slots_n * sizeof *slots);
	if (!slots)
		return ERRC_NOMEM;
	mem_free(r->slots);
	r->slots = slots;
	r->slots_n = slots_n;
	for (uint32_t i = 0; i < r->n; i++) {
		size_t at = names_hash(r, r->rows[i].name) & (slots_n - 1);

		while (slots[at])
			at = (at + 1) & (slots_n - 1);
		slots[at] = i + 1;
	}
	return ERRC_OK;
}

/* The row of these names, made if it is the first time; NULL: no room for another one. */
static enum errc row_of(struct report *r, const struct slice *names, struct report_row **out)
{
	struct report_row *row;
	size_t at;
	enum errc rc;

	if (r->n == r->cap) {
		rc = grow(r);
		if (rc)
			return rc;
	}
	for (at = names_hash(r, names) & (r->slots_n - 1); r->slots[at];
	     at = (at + 1) & (r->slots_n - 1)) {
		*out = &r->rows[r->slots[at] - 1];
		if (names_eq(r, (*out)->name, names))
			return ERRC_OK;
	}
	*out = NULL;
	if (r->n == REPORT_ROWS_MAX)
		return ERRC_OK;
	row = &r->rows[r->n];
	*row = (struct report_row){0};
	for (size_t i = 0; i < r->ask.by_n; i++) {
		row->name[i] = arena_dup(&r->names, names[i]);
		if (!row->name[i].p)
			return ERRC_NOMEM;
	}
	r->slots[at] = (uint32_t)++r->n;
	*out = row;
	return ERRC_OK;
}

static void add(struct report_row *row, const struct record_charge *c)
{
	row->requests++;
	row->failed += c->end != RECORD_END_DONE;
	row->input += usage_input_total(&c->usage);
	row->cached += usage_get(&c->usage, USAGE_CACHE_READ);
	row->output += usage_output_total(&c->usage);
	row->reasoning += usage_reasoning(&c->usage);
	row->charge_nusd += c->charge_nusd;
	row->uncollected_nusd += c->uncollected_nusd;
	row->cost_nusd += c->cost_nusd;
}

static bool is_asked(const struct report *r, const struct record *charge)
{
	if (charge->wall_ms < r->ask.since_ms || charge->wall_ms >= r->ask.until_ms)
		return false;
	if (r->ask.account != 0 && charge->account != r->ask.account)
		return false;
	return !r->ask.key_id || memcmp(charge->charge.key_id, r->ask.key_id, APIKEY_ID) == 0;
}

static enum errc row_for(struct report *r, const struct record *rec, struct report_row **out)
{
	struct slice names[REPORT_DIMS_MAX];
	char day[CLOCK_TEXT_MAX];
	enum errc rc;

	*out = &r->total;
	if (r->ask.by_n == 0)
		return ERRC_OK;
	for (size_t i = 0; i < r->ask.by_n; i++)
		names[i] = name_of(r, r->ask.by[i], rec, day);
	rc = row_of(r, names, out);
	if (!rc && !*out) {
		*out = &r->rest;
		r->has_rest = true;
	}
	return rc;
}

static enum errc add_charge(struct report *r, const struct record *rec)
{
	struct report_row *row;
	enum errc rc = row_for(r, rec, &row);

	if (rc)
		return rc;
	add(row, &rec->charge);
	if (row != &r->total)
		add(&r->total, &rec->charge);
	return ERRC_OK;
}

/* A reversal takes its charge back where that was counted. The request itself stays counted. */
static enum errc add_reverse(struct report *r, const struct record *back)
{
	struct report_row *row;
	struct record rec;
	struct buf b;
	uint64_t seq;
	enum errc rc;

	buf_init(&b, RECORD_MAX);
	rc = ledger_find(r->ledger, &back->change.id, &seq);
	if (!rc)
		rc = ledger_get(r->ledger, seq, &b);
	if (rc == ERRC_NOTFOUND)
		rc = ERRC_CORRUPT;
	if (!rc)
		rc = record_decode(buf_slice(&b), &rec);
	if (!rc && rec.type != RECORD_CHARGE)
		rc = ERRC_CORRUPT;
	if (!rc && is_asked(r, &rec))
		rc = row_for(r, &rec, &row);
	else
		row = NULL;
	if (!rc && row) {
		row->charge_nusd -= back->change.amount_nusd;
		if (row != &r->total)
			r->total.charge_nusd -= back->change.amount_nusd;
	}
	buf_fini(&b);
	return rc;
}

static enum errc on_item(void *arg, const struct ledger_item *item)
{
	struct report *r = arg;
	struct record rec;
	enum errc rc = record_decode(item->record, &rec);

	if (rc)
		return rc;
	if (r->in_order && rec.wall_ms - LEDGER_SLACK_MS >= r->ask.until_ms)
		return ERRC_EOF;
	if (rec.type == RECORD_CHARGE && is_asked(r, &rec))
		return add_charge(r, &rec);
	return rec.type == RECORD_REVERSE ? add_reverse(r, &rec) : ERRC_OK;
}

static int compare(const void *a, const void *b)
{
	const struct report_row *x = a, *y = b;
	int c = 0;

	for (size_t i = 0; c == 0 && i < REPORT_DIMS_MAX; i++)
		c = slice_cmp(x->name[i], y->name[i]);
	return c;
}

static enum errc finish(struct report *r)
{
	if (r->n > 1)
		qsort(r->rows, r->n, sizeof *r->rows, compare);
	if (!r->has_rest || r->ask.by_n == 0)
		return ERRC_OK;
	if (r->n == r->cap) {
		enum errc rc = grow(r);

		if (rc)
			return rc;
	}
	r->rows[r->n++] = r->rest;
	return ERRC_OK;
}

enum errc report_new(struct ledger *l, struct live *names, const struct report_ask *ask,
		     struct report **out)
{
	struct report *r;
	struct ledger_state s;
	uint64_t seq;
	enum errc rc;
	char *room;

	if (ask->by_n > REPORT_DIMS_MAX)
		return ERRC_INVAL;
	r = mem_new_of(struct report);
	if (!r)
		return ERRC_NOMEM;
	r->ask = *ask;
	r->ledger = l;
	r->live = names;
	arena_init(&r->names, NAMES_BYTES);
	buf_init(&r->row, ROWS_MAX);
	rc = buf_reserve(&r->row, ACCOUNT_BYTES, &room);
	if (!rc)
		rc = ledger_read_state(l, &s);
	if (!rc)
		rc = ledger_seek(l, MAX_OF(ask->since_ms, 0), &seq, &r->in_order);
	if (!rc)
		rc = ledger_walk(l, &seq, s.last_seq, on_item, r);
	if (!rc || rc == ERRC_EOF)
		rc = finish(r);
	if (rc)
		report_free(&r);
	else
		*out = r;
	return rc;
}

void report_free(struct report **rp)
{
	struct report *r = *rp;

	if (!r)
		return;
	arena_fini(&r->names);
	buf_fini(&r->row);
	mem_free(r->rows);
	mem_free(r->slots);
	mem_free(r);
	*rp = NULL;
}

size_t report_rows_n(const struct report *r)
{
	return r->n;
}

const struct report_row *report_row_at(const struct report *r, size_t i)
{
	require(i < r->n);
	return &r->rows[i];
}

const struct report_row *report_total(const struct report *r)
{
	return &r->total;
}

static const char *const dim_names[] = {
#define REPORT_DIM(id, name) #name,
#include "report_dim_tbl.h"
#undef REPORT_DIM
};

const char *report_dim_name(enum report_dim d)
{
	return (size_t)d < ARRAY_LEN(dim_names) ? dim_names[d] : "unknown";
}

enum report_dim report_dim_of(struct slice name)
{
	size_t i = 0;

	while (i < ARRAY_LEN(dim_names) && !slice_is(name, dim_names[i]))
		i++;
	return (enum report_dim)i;
}
