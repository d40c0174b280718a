#include "report.h"

#include <stdio.h>
#include <stdlib.h>

#include "admin.h"
#include "arena.h"
#include "clock.h"
#include "ledger_priv.h"
#include "mem.h"
#include "retain.h"
#include "text.h"

#define NAMES_BYTES   ((size_t)256 * 1024 * 1024)
#define ACCOUNT_BYTES 512 /* more than an account's row has */
#define NAMES_KEPT    1024
#define DAY_TEXT      10
#define PARTS_MAX     2 /* days of which a span may have a part */

/* A day that is not whole in the span. Its records are among those from first_seq to last_seq. */
struct part {
	uint32_t day;
	uint64_t first_seq, last_seq; /* 0: it has none */
};

struct report {
	struct report_ask ask;
	struct ledger *ledger;
	struct live *live;
	uint64_t rolled, last_seq; /* as the transaction of the roll-ups saw them */
	struct part parts[PARTS_MAX];
	size_t parts_n;
	uint32_t only_day; /* records of this day only; ROLLUP_DAY_MAX: of any */
	bool by_tag;
	struct arena names;
	struct buf row; /* of an account, reserved */
	struct report_row *rows;
	size_t n, cap;
	uint32_t *slots; /* positions + 1 by hash; the size is a power of two */
	size_t slots_n;
	struct report_row *last[2];    /* that was added to, and taken from; NULL: look for it */
	struct report_row total, rest; /* rest: what found no room */
	bool has_rest;
	uint32_t day; /* of `day_text` */
	char day_text[CLOCK_TEXT_MAX];
	struct {
		uint64_t account;
		struct slice name; /* in `names` */
	} accounts[NAMES_KEPT];    /* by their last digits */
	struct {
		char id[ROWS_ID];
		struct slice name;
	} teams[NAMES_KEPT]; /* by a hash of their ids */
};

/* --- names --- */

static enum errc account_name(struct report *r, uint64_t account, struct slice *out)
{
	size_t at = account % NAMES_KEPT;
	struct rows_account a;

	if (r->accounts[at].account != account) {
		struct slice name;

		if (r->live && admin_account_get(r->live, account, &r->row, &a) == ERRC_OK)
			name = arena_dup(&r->names, a.name);
		else
			name = arena_fmt(&r->names, "%llu", (unsigned long long)account);
		if (!name.p)
			return ERRC_NOMEM;
		r->accounts[at].account = account;
		r->accounts[at].name = name;
	}
	*out = r->accounts[at].name;
	return ERRC_OK;
}

/* A team's name is its own only within its account. */
static enum errc team_name(struct report *r, uint64_t account, const char id[ROWS_ID],
			   struct slice *out)
{
	struct slice team = slice_of(id, ROWS_ID), of;
	size_t at = text_hash(team) % NAMES_KEPT;
	struct rows_scope t;
	enum errc rc;

	if (!id[0])
		return ERRC_OK;
	if (memcmp(r->teams[at].id, id, ROWS_ID) != 0) {
		rc = account_name(r, account, &of);
		if (rc)
			return rc;
		if (r->live && !admin_scope_get(r->live, account, ROWS_TEAM, id, &r->row, &t, NULL))
			team = t.name;
		team = arena_fmt(&r->names, SLICE_FMT "/" SLICE_FMT, SLICE_ARG(of), SLICE_ARG(team));
		if (!team.p)
			return ERRC_NOMEM;
		memcpy(r->teams[at].id, id, ROWS_ID);
		r->teams[at].name = team;
	}
	*out = r->teams[at].name;
	return ERRC_OK;
}

static struct slice day_name(struct report *r, uint32_t day)
{
	if (r->day != day) {
		clock_format_s(day * (ROLLUP_DAY_MS / 1000), r->day_text);
		r->day = day;
	}
	return slice_of(r->day_text, DAY_TEXT);
}

static enum errc name_of(struct report *r, enum report_dim d, const struct rollup_name *n,
			 struct slice *out)
{
	*out = SLICE_NONE;
	switch (d) {
	case REPORT_DAY:
		*out = day_name(r, n->day);
		break;
	case REPORT_MODEL:
		*out = n->model;
		break;
	case REPORT_KEY:
		*out = slice_of(n->key_id, APIKEY_ID);
		break;
	case REPORT_ACCOUNT:
		return account_name(r, n->account, out);
	case REPORT_PROVIDER:
		*out = n->provider;
		break;
	case REPORT_TEAM:
		return team_name(r, n->account, n->team, out);
	case REPORT_TAG:
		*out = n->tag;
		break;
	case REPORT_DIM_COUNT:
		break;
	}
	return ERRC_OK;
}

/* --- rows --- */

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
	r->last[0] = r->last[1] = NULL;
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

static void add_sums(struct report_row *row, const struct rollup_sums *s, int sign)
{
	row->requests += sign * s->requests;
	row->failed += sign * s->failed;
	row->input += sign * s->input;
	row->cached += sign * s->cached;
	row->output += sign * s->output;
	row->reasoning += sign * s->reasoning;
	row->charge_nusd += sign * s->charge_nusd;
	row->uncollected_nusd += sign * s->uncollected_nusd;
	row->cost_nusd += sign * s->cost_nusd;
}

static enum errc add_named(struct report *r, const struct rollup_name *n,
			   const struct rollup_sums *s, int sign)
{
	struct slice names[REPORT_DIMS_MAX];
	struct report_row **last = &r->last[sign < 0], *row = *last;
	enum errc rc = ERRC_OK;

	for (size_t i = 0; !rc && i < r->ask.by_n; i++)
		rc = name_of(r, r->ask.by[i], n, &names[i]);
	if (!rc && !(row && names_eq(r, row->name, names)))
		rc = row_of(r, names, &row);
	if (rc)
		return rc;
	*last = row;
	if (!row) {
		row = &r->rest;
		r->has_rest = true;
	}
	add_sums(row, s, sign);
	return ERRC_OK;
}

static enum errc add(struct report *r, const struct rollup_name *n, const struct rollup_sums *s,
		     int sign)
{
	add_sums(&r->total, s, sign);
	return r->ask.by_n == 0 ? ERRC_OK : add_named(r, n, s, sign);
}

/* --- records --- */

static bool is_asked_key(const struct report *r, const char key_id[APIKEY_ID])
{
	return !r->ask.key_id || memcmp(key_id, r->ask.key_id, APIKEY_ID) == 0;
}

static bool is_asked(const struct report *r, const struct record *charge)
{
	if (charge->wall_ms < r->ask.since_ms || charge->wall_ms >= r->ask.until_ms)
		return false;
	if (r->only_day != ROLLUP_DAY_MAX && rollup_day_of(charge->wall_ms) != r->only_day)
		return false;
	if (r->ask.account != 0 && charge->account != r->ask.account)
		return false;
	return is_asked_key(r, charge->charge.key_id);
}

/* A reversal takes its charge back where that was counted. The request itself stays counted. */
static enum errc add_reverse(struct report *r, const struct record *back)
{
	struct record rec;
	struct buf b;
	uint64_t seq;
	enum errc rc;

	buf_init(&b, RECORD_MAX);
	rc = ledger_find(r->ledger, &back->change.id, &seq);
	if (!rc)
		rc = ledger_get(r->ledger, seq, &b);
	if (!rc)
		rc = record_decode(buf_slice(&b), &rec);
	if (!rc && rec.type != RECORD_CHARGE)
		rc = ERRC_CORRUPT;
	if (!rc && is_asked(r, &rec)) {
		struct rollup_sums s = {.charge_nusd = back->change.amount_nusd};
		struct rollup_name n = rollup_name_of(&rec);

		rc = add(r, &n, &s, -1);
	}
	buf_fini(&b);
	return rc == ERRC_NOTFOUND ? ERRC_CORRUPT : rc;
}

static enum errc on_item(void *arg, const struct ledger_item *item)
{
	struct report *r = arg;
	struct record rec;
	enum errc rc = record_decode(item->record, &rec);

	if (rc)
		return rc;
	if (rec.type == RECORD_CHARGE && is_asked(r, &rec)) {
		struct rollup_sums s = rollup_sums_of(item->seq, &rec);
		struct rollup_name n = rollup_name_of(&rec);

		return add(r, &n, &s, 1);
	}
	return rec.type == RECORD_REVERSE ? add_reverse(r, &rec) : ERRC_OK;
}

static enum errc add_records(struct report *r, uint64_t first, uint64_t last, uint32_t day)
{
	uint64_t seq = first;

	r->only_day = day;
	r->last[0] = r->last[1] = NULL;
	return first <= last ? ledger_walk(r->ledger, &seq, last, on_item, r) : ERRC_OK;
}

/* --- roll-ups --- */

static enum errc on_part(void *arg, const struct rollup_name *n, const struct rollup_sums *s)
{
	struct part *p = arg;

	(void)n;
	p->first_seq = s->first_seq;
	p->last_seq = s->last_seq;
	return ERRC_OK;
}

static enum errc add_part(struct report *r, MDB_txn *txn, uint32_t day)
{
	struct part *p = &r->parts[r->parts_n++];
	struct rollup_ask ask = {.cut = ROLLUP_DAYS, .from = day, .to = day};

	*p = (struct part){.day = day};
	return rollup_walk(txn, r->ledger->rollups, &ask, on_part, p);
}

/* The days that are whole in the span: from <= day <= to; none when from > to. Others are put down as parts. */
static enum errc divide(struct report *r, MDB_txn *txn, uint32_t *from, uint32_t *to)
{
	int64_t since = MAX_OF(r->ask.since_ms, 0), until = MAX_OF(r->ask.until_ms, 0);
	enum errc rc = ERRC_OK;

	*from = rollup_day_of(since);
	*to = rollup_day_of(until);
	if (since % ROLLUP_DAY_MS != 0) {
		rc = add_part(r, txn, *from);
		if (*from == *to)
			*from = ROLLUP_DAY_MAX; /* all of the span */
		else
			(*from)++;
	}
	if (!rc && *to == ROLLUP_DAY_MAX - 1)
		return ERRC_OK; /* for ever */
	if (!rc && *from != ROLLUP_DAY_MAX && until % ROLLUP_DAY_MS != 0)
		rc = add_part(r, txn, *to);
	if (*to == 0)
		*from = ROLLUP_DAY_MAX;
	else
		(*to)--;
	return rc;
}

static enum errc on_rollup(void *arg, const struct rollup_name *n, const struct rollup_sums *s)
{
	struct report *r = arg;

	return is_asked_key(r, n->key_id) ? add(r, n, s, 1) : ERRC_OK;
}

/* What an end user's row says is in its key's row too, where nobody is named. */
static enum errc on_tag(void *arg, const struct rollup_name *n, const struct rollup_sums *s)
{
	struct rollup_name nobody = *n;
	struct report *r = arg;
	enum errc rc;

	if (!is_asked_key(r, n->key_id))
		return ERRC_OK;
	rc = add(r, n, s, 1);
	nobody.tag = SLICE_NONE;
	return rc ? rc : add(r, &nobody, s, -1);
}

/* The one with the fewest rows that knows what is asked for. */
static enum rollup_cut cut_of(const struct report_ask *a)
{
	bool payer = a->account || a->key_id, model = false;

	for (size_t i = 0; i < a->by_n; i++) {
		model |= a->by[i] == REPORT_MODEL || a->by[i] == REPORT_PROVIDER;
		payer |= a->by[i] == REPORT_ACCOUNT || a->by[i] == REPORT_KEY ||
			 a->by[i] == REPORT_TEAM;
	}
	if (payer)
		return model ? ROLLUP_KEYS : ROLLUP_PAYERS;
	return model ? ROLLUP_MODELS : ROLLUP_DAYS;
}

static enum errc add_days(struct report *r, MDB_txn *txn, uint32_t from, uint32_t to)
{
	struct rollup_ask ask = {.cut = cut_of(&r->ask),
				 .from = from,
				 .to = to,
				 .account = r->ask.account,
				 .key_id = r->ask.account ? r->ask.key_id : NULL};
	enum errc rc;

	rc = rollup_walk(txn, r->ledger->rollups, &ask, on_rollup, r);
	ask.cut = ROLLUP_TAGS;
	if (!rc && r->by_tag)
		rc = rollup_walk(txn, r->ledger->rollups, &ask, on_tag, r);
	return rc;
}

/* In one read transaction, so that roll-ups and tail fit together. It keeps the writer from using again the pages that it
 * frees meanwhile, some a commit: little beside what a report's own records would take to read. */
static enum errc add_rollups(struct report *r)
{
	struct ledger_state s;
	uint32_t from, to;
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(r->ledger, &txn);

	if (!rc)
		rc = ledger_get_state(r->ledger, txn, &s);
	if (!rc)
		rc = ledger_rolled_upto(r->ledger, txn, &r->rolled);
	r->last_seq = s.last_seq;
	if (!rc)
		rc = divide(r, txn, &from, &to);
	if (!rc && from <= to)
		rc = add_days(r, txn, from, to);
	ledger_read_end(&txn);
	return rc;
}

/* The records of the day that may be in the span, or take back what is. */
static enum errc narrow(struct report *r, const struct part *p, uint64_t *first, uint64_t *last)
{
	bool in_order;
	uint64_t seq;
	enum errc rc = ledger_seek(r->ledger, r->ask.since_ms, &seq, &in_order);

	*first = p->first_seq;
	*last = MIN_OF(p->last_seq, r->rolled);
	if (rc || !in_order)
		return rc;
	*first = MAX_OF(*first, seq);
	if (rollup_day_of(r->ask.until_ms) != p->day)
		return ERRC_OK;
	rc = ledger_seek(r->ledger, r->ask.until_ms + 4 * LEDGER_SLACK_MS, &seq, &in_order);
	if (!rc && in_order)
		*last = MIN_OF(*last, seq - 1);
	return rc;
}

/* Whether all of its records were there to be read. */
static enum errc check_part(struct report *r, const struct part *p)
{
	struct retain_base base;
	enum errc rc = retain_base(r->ledger, &base, NULL);

	return !rc && p->first_seq && p->first_seq <= base.seq ? ERRC_RANGE : rc;
}

static enum errc sum_up(struct report *r)
{
	enum errc rc = r->ask.since_ms < r->ask.until_ms ? add_rollups(r) : ERRC_OK;

	for (size_t i = 0; !rc && i < r->parts_n; i++) {
		const struct part *p = &r->parts[i];
		uint64_t first, last;

		if (!p->first_seq)
			continue;
		rc = narrow(r, p, &first, &last);
		if (!rc)
			rc = add_records(r, first, last, p->day);
		if (!rc)
			rc = check_part(r, p);
	}
	return rc ? rc : add_records(r, r->rolled + 1, r->last_seq, ROLLUP_DAY_MAX);
}

/* --- the end --- */

static int compare(const void *a, const void *b)
{
	const struct report_row *x = a, *y = b;
	int c = 0;

	for (size_t i = 0; c == 0 && i < REPORT_DIMS_MAX; i++)
		c = slice_cmp(x->name[i], y->name[i]);
	return c;
}

/* All requests of a key named a user: then nobody's row says nothing. */
static void drop_empty(struct report *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++) {
		if (r->rows[i].requests > 0)
			r->rows[n++] = r->rows[i];
	}
	r->n = n;
}

static enum errc finish(struct report *r)
{
	if (r->by_tag)
		drop_empty(r);
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

static enum errc init(struct report *r, struct ledger *l, struct live *names,
		      const struct report_ask *ask)
{
	char *room;

	r->ask = *ask;
	r->ledger = l;
	r->live = names;
	r->day = ROLLUP_DAY_MAX;
	for (size_t i = 0; i < ask->by_n; i++)
		r->by_tag |= ask->by[i] == REPORT_TAG;
	arena_init(&r->names, NAMES_BYTES);
	buf_init(&r->row, ROWS_MAX);
	return buf_reserve(&r->row, ACCOUNT_BYTES, &room);
}

enum errc report_new(struct ledger *l, struct live *names, const struct report_ask *ask,
		     struct report **out)
{
	struct report *r;
	enum errc rc;

	if (ask->by_n > REPORT_DIMS_MAX)
		return ERRC_INVAL;
	r = mem_new_of(struct report);
	if (!r)
		return ERRC_NOMEM;
	rc = init(r, l, names, ask);
	if (!rc)
		rc = sum_up(r);
	if (!rc)
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
