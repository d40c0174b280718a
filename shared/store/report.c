#include "report.h"

#include "admin.h"
#include "be.h"
#include "clock.h"
#include "ledger_priv.h"
#include "mem.h"
#include "report_kept.h"
#include "report_tail.h"
#include "retain.h"
#include "tally.h"

#define ACCOUNT_BYTES 512 /* more than an account's row has */
#define DAY_BYTES     4   /* of the names of columns: day; account, and a team behind it */
#define NUMBER_BYTES  8
#define DAY_TEXT      10
#define NAMED_MAX     4096
#define PARTS_MAX     2 /* days of which a span may have a part */

/* A part of a day whose records are to be read, since the span has only that part (sign 1), or all but that part (-1). The day's
 * records are among those from first_seq to last_seq. */
struct part {
	int64_t from_ms, to_ms;
	int sign;
	uint64_t first_seq, last_seq; /* 0: it has none */
};

struct report {
	struct report_ask ask;
	struct ledger *ledger;
	struct live *live;
	struct ledger_state state; /* as the transaction of the roll-ups saw it */
	uint64_t rolled;           /* likewise */
	struct report_tail tail;   /* of the outbox */
	struct part parts[PARTS_MAX];
	size_t parts_n;
	const struct part *now; /* of the records that are being read */
	bool by_tag;            /* without asking for one */
	struct tally rows;
	/* Of the row that is being added: whether it is asked for but for its end user, and the numbers of its names. */
	bool like_asked, ids_known;
	uint32_t id[REPORT_DIMS_MAX];
	struct buf row; /* of an account, reserved */
	struct rollup_sums total;
	/* What end users' rows of a day say, by the rows of nobody that it is to be taken from; those up to `taken_n` are done. */
	struct named *named;
	size_t named_n, taken_n;
};

struct named {
	uint32_t id[REPORT_DIMS_MAX];
	struct rollup_sums sums;
};

/* --- names --- */

/* What tells rows apart in this column; into `room` where it is not there as it is. */
static struct slice name_of(enum report_dim d, const struct rollup_name *n,
			    uint8_t room[NUMBER_BYTES + ROWS_ID])
{
	switch (d) {
	case REPORT_DAY:
		be_put(room, DAY_BYTES, n->day);
		return slice_of(room, DAY_BYTES);
	case REPORT_MODEL:
		return n->model;
	case REPORT_KEY:
		return slice_of(n->key_id, APIKEY_ID);
	case REPORT_ACCOUNT:
		be_put(room, NUMBER_BYTES, n->account);
		return slice_of(room, NUMBER_BYTES);
	case REPORT_PROVIDER:
		return n->provider;
	case REPORT_TEAM:
		be_put(room, NUMBER_BYTES, n->account);
		memcpy(room + NUMBER_BYTES, n->team, ROWS_ID);
		return slice_of(room, n->team[0] ? NUMBER_BYTES + ROWS_ID : 0);
	case REPORT_TAG:
		return n->tag;
	case REPORT_DIM_COUNT:
		break;
	}
	return SLICE_NONE;
}

static enum errc day_text(struct report *r, struct slice name, struct slice *out)
{
	char text[CLOCK_TEXT_MAX];

	clock_format_s((int64_t)be_get(name.p, DAY_BYTES) * (ROLLUP_DAY_MS / 1000), text);
	*out = arena_dup(&r->rows.arena, slice_of(text, DAY_TEXT));
	return out->p ? ERRC_OK : ERRC_NOMEM;
}

static enum errc account_text(struct report *r, struct slice name, struct slice *out)
{
	uint64_t account = be_get(name.p, NUMBER_BYTES);
	struct rows_account a;

	if (r->live && admin_account_get(r->live, account, &r->row, &a) == ERRC_OK)
		*out = arena_dup(&r->rows.arena, a.name);
	else
		*out = arena_fmt(&r->rows.arena, "%llu", (unsigned long long)account);
	return out->p ? ERRC_OK : ERRC_NOMEM;
}

/* A team's name is its own only within its account. */
static enum errc team_text(struct report *r, struct slice name, struct slice *out)
{
	uint64_t account = be_get(name.p, NUMBER_BYTES);
	struct slice team = slice_sub(name, NUMBER_BYTES, ROWS_ID), of;
	struct rows_scope t;
	enum errc rc = account_text(r, name, &of);

	if (rc)
		return rc;
	if (r->live && !admin_scope_get(r->live, account, ROWS_TEAM, team.p, &r->row, &t, NULL))
		team = t.name;
	*out = arena_fmt(&r->rows.arena, SLICE_FMT "/" SLICE_FMT, SLICE_ARG(of), SLICE_ARG(team));
	return out->p ? ERRC_OK : ERRC_NOMEM;
}

static enum errc readable(void *arg, size_t column, struct slice name, struct slice *out)
{
	struct report *r = arg;

	*out = name;
	switch (r->ask.by[column]) {
	case REPORT_DAY:
		return day_text(r, name, out);
	case REPORT_ACCOUNT:
		return account_text(r, name, out);
	case REPORT_TEAM:
		return team_text(r, name, out);
	default:
		return ERRC_OK;
	}
}

/* --- rows --- */

/* The numbers of the row's names; of a row like the one before only the end user is looked up. */
static enum errc ids_of(struct report *r, const struct rollup_name *n, uint32_t id[REPORT_DIMS_MAX])
{
	uint8_t room[NUMBER_BYTES + ROWS_ID];
	bool again = n->again && r->ids_known;
	enum errc rc = ERRC_OK;

	for (size_t i = 0; !rc && i < r->ask.by_n; i++) {
		if (i != r->rows.many && (!again || r->ask.by[i] == REPORT_TAG))
			rc = tally_name(&r->rows, i, name_of(r->ask.by[i], n, room), &r->id[i]);
	}
	r->ids_known = !rc;
	memcpy(id, r->id, sizeof r->id);
	return rc || r->rows.many == TALLY_ALL ? rc : tally_name_many(&r->rows, n->tag, id);
}

static enum errc add(struct report *r, const struct rollup_name *n, const struct rollup_sums *s,
		     int sign)
{
	uint32_t id[REPORT_DIMS_MAX] = {0};
	enum errc rc;

	if (sign > 0)
		rollup_sums_add(&r->total, s);
	else
		rollup_sums_sub(&r->total, s);
	if (r->ask.by_n == 0)
		return ERRC_OK;
	rc = ids_of(r, n, id);
	return rc ? rc : tally_add(&r->rows, id, s, sign);
}

/* --- records --- */

static bool is_same(struct slice asked, struct slice name)
{
	return !asked.p || slice_eq(asked, name);
}

static bool is_same_id(const char *asked, const char *id)
{
	return !asked || memcmp(asked, id, ROWS_ID) == 0;
}

static bool is_asked(struct report *r, const struct rollup_name *n)
{
	const struct report_ask *a = &r->ask;

	if (!n->again) {
		r->ids_known = false;
		r->like_asked = (!a->account || a->account == n->account) &&
				is_same_id(a->key_id, n->key_id) && is_same_id(a->team, n->team) &&
				is_same(a->model, n->model) && is_same(a->provider, n->provider);
	}
	return r->like_asked && is_same(a->tag, n->tag);
}

static enum errc add_charge(struct report *r, const struct record *charge,
			    const struct rollup_sums *s)
{
	struct rollup_name n;

	if (charge->wall_ms < r->now->from_ms || charge->wall_ms >= r->now->to_ms)
		return ERRC_OK;
	rollup_name_of(charge, &n);
	return is_asked(r, &n) ? add(r, &n, s, r->now->sign) : ERRC_OK;
}

/* A reversal takes its charge back where that was counted: one that is no longer kept is not among what is read. */
static enum errc add_reverse(struct report *r, uint64_t seq, const struct record *back)
{
	struct rollup_sums s = rollup_sums_of_reverse(seq, back);
	struct slice waiting = report_tail_charge(&r->tail, &back->change.id);
	struct record rec;
	struct buf b;
	uint64_t at;
	enum errc rc = ERRC_OK;

	buf_init(&b, RECORD_MAX);
	if (!waiting.n)
		rc = ledger_find(r->ledger, &back->change.id, &at);
	if (!rc && !waiting.n)
		rc = ledger_get(r->ledger, at, &b);
	if (!rc)
		rc = record_decode(waiting.n ? waiting : buf_slice(&b), &rec);
	if (!rc && rec.type != RECORD_CHARGE)
		rc = ERRC_CORRUPT;
	if (!rc)
		rc = add_charge(r, &rec, &s);
	buf_fini(&b);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

static enum errc add_record(struct report *r, uint64_t seq, struct slice record)
{
	struct record rec;
	enum errc rc = record_decode_used(record, &rec);

	if (rc)
		return rc;
	if (rec.type == RECORD_CHARGE) {
		struct rollup_sums s = rollup_sums_of(seq, &rec);

		return add_charge(r, &rec, &s);
	}
	return rec.type == RECORD_REVERSE ? add_reverse(r, seq, &rec) : ERRC_OK;
}

static enum errc on_item(void *arg, const struct ledger_item *item)
{
	return add_record(arg, item->seq, item->record);
}

/* Its number is one that it may get; reports do not tell numbers. */
static enum errc on_waiting(void *arg, struct slice record)
{
	struct report *r = arg;

	return add_record(r, r->state.last_seq + 1, record);
}

static enum errc add_records(struct report *r, const struct part *p)
{
	uint64_t seq = p->first_seq;

	r->now = p;
	return seq <= p->last_seq ? ledger_walk(r->ledger, &seq, p->last_seq, on_item, r) : ERRC_OK;
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

static enum errc add_part(struct report *r, MDB_txn *txn, int64_t from_ms, int64_t to_ms, int sign)
{
	struct part *p = &r->parts[r->parts_n++];
	uint32_t day = rollup_day_of(from_ms);
	struct rollup_ask ask = {.cut = ROLLUP_DAYS, .from = day, .to = day};

	*p = (struct part){.from_ms = from_ms, .to_ms = to_ms, .sign = sign};
	return rollup_walk(txn, r->ledger->rollups, &ask, on_part, p);
}

/* The part of one day from one time to another, both within the day: *whole if the day comes from its roll-ups, less what is not
 * in the part. */
static enum errc divide_day(struct report *r, MDB_txn *txn, int64_t from_ms, int64_t to_ms,
			    bool *whole)
{
	int64_t begin = from_ms - from_ms % ROLLUP_DAY_MS, end = begin + ROLLUP_DAY_MS;
	enum errc rc = ERRC_OK;

	*whole = to_ms - from_ms > ROLLUP_DAY_MS / 2;
	if (!*whole)
		return from_ms < to_ms ? add_part(r, txn, from_ms, to_ms, 1) : ERRC_OK;
	if (begin < from_ms)
		rc = add_part(r, txn, begin, from_ms, -1);
	if (!rc && to_ms < end)
		rc = add_part(r, txn, to_ms, end, -1);
	return rc;
}

/* The days that come from their roll-ups: *from <= day <= *to; none when *from > *to. Others are put down as parts. */
static enum errc divide(struct report *r, MDB_txn *txn, int64_t *from, int64_t *to)
{
	int64_t since = MAX_OF(r->ask.since_ms, 0), until = MAX_OF(r->ask.until_ms, 0);
	int64_t first_end = (since / ROLLUP_DAY_MS + 1) * ROLLUP_DAY_MS;
	enum errc rc = ERRC_OK;
	bool whole;

	*from = rollup_day_of(since);
	*to = rollup_day_of(until);
	if (since % ROLLUP_DAY_MS != 0) {
		rc = divide_day(r, txn, since, MIN_OF(first_end, until), &whole);
		*from += !whole;
		if (until <= first_end) {
			*to = rollup_day_of(since);
			return rc;
		}
	}
	if (*to == ROLLUP_DAY_MAX - 1)
		return rc; /* for ever */
	if (!rc)
		rc = divide_day(r, txn, until - until % ROLLUP_DAY_MS, until, &whole);
	*to -= !whole;
	return rc;
}

static enum errc on_rollup(void *arg, const struct rollup_name *n, const struct rollup_sums *s)
{
	struct report *r = arg;

	return is_asked(r, n) ? add(r, n, s, 1) : ERRC_OK;
}

/* What is left of it is taken away by itself. */
static enum errc flush_named(struct report *r)
{
	enum errc rc = ERRC_OK;

	for (; !rc && r->taken_n < r->named_n; r->taken_n++)
		rc = tally_add(&r->rows, r->named[r->taken_n].id, &r->named[r->taken_n].sums, -1);
	r->named_n = r->taken_n = 0;
	return rc;
}

/* The row of nobody that the end user's row with these names is also in. */
static enum errc begin_named(struct report *r, const uint32_t user_id[REPORT_DIMS_MAX])
{
	uint32_t id[REPORT_DIMS_MAX];
	enum errc rc = ERRC_OK;

	for (size_t i = 0; i < REPORT_DIMS_MAX; i++) {
		bool user = i < r->ask.by_n && r->ask.by[i] == REPORT_TAG;

		id[i] = user ? TALLY_EMPTY : user_id[i];
	}
	if (r->named_n > 0 && memcmp(r->named[r->named_n - 1].id, id, sizeof id) == 0)
		return ERRC_OK;
	if (r->named_n == NAMED_MAX)
		rc = flush_named(r);
	memcpy(r->named[r->named_n].id, id, sizeof id);
	r->named[r->named_n++].sums = (struct rollup_sums){.requests = 0};
	return rc;
}

/* An end user's row, which its key's row has too: that one is nobody's, and has it no longer. */
static enum errc on_tag(void *arg, const struct rollup_name *n, const struct rollup_sums *s)
{
	struct report *r = arg;
	uint32_t id[REPORT_DIMS_MAX] = {0};
	enum errc rc;

	if (!is_asked(r, n))
		return ERRC_OK;
	rc = ids_of(r, n, id);
	if (!rc)
		rc = tally_add(&r->rows, id, s, 1);
	if (!rc && (!n->again || r->named_n == 0))
		rc = begin_named(r, id);
	if (!rc)
		rollup_sums_add(&r->named[r->named_n - 1].sums, s);
	return rc;
}

/* Both kinds of rows come in the same order, so what is to be taken from a row is mostly the next that there is. */
static enum errc on_less_named(void *arg, const struct rollup_name *n, const struct rollup_sums *s)
{
	struct report *r = arg;
	struct rollup_sums rest = *s;
	uint32_t id[REPORT_DIMS_MAX] = {0};
	enum errc rc;

	if (!is_asked(r, n))
		return ERRC_OK;
	rollup_sums_add(&r->total, s);
	rc = ids_of(r, n, id);
	if (!rc && r->taken_n < r->named_n && memcmp(r->named[r->taken_n].id, id, sizeof id) == 0)
		rollup_sums_sub(&rest, &r->named[r->taken_n++].sums);
	return rc ? rc : tally_add(&r->rows, id, &rest, 1);
}

/* Of requests that name nobody: what they are less by. */
static enum errc on_named(void *arg, const struct rollup_name *n, const struct rollup_sums *s)
{
	struct rollup_name nobody = *n;
	struct report *r = arg;

	nobody.tag = SLICE_NONE;
	return is_asked(r, &nobody) ? add(r, &nobody, s, -1) : ERRC_OK;
}

/* The one with the fewest rows that knows what is asked for. */
static enum rollup_cut cut_of(const struct report_ask *a)
{
	bool payer = a->account || a->key_id || a->team, model = a->model.p || a->provider.p;

	for (size_t i = 0; i < a->by_n; i++) {
		model |= a->by[i] == REPORT_MODEL || a->by[i] == REPORT_PROVIDER;
		payer |= a->by[i] == REPORT_ACCOUNT || a->by[i] == REPORT_KEY ||
			 a->by[i] == REPORT_TEAM;
	}
	if (payer)
		return model ? ROLLUP_KEYS : ROLLUP_PAYERS;
	return model ? ROLLUP_MODELS : ROLLUP_DAYS;
}

struct days {
	struct report *r;
	MDB_txn *txn;
	struct rollup_ask all, named;
};

/* One that there are rows of. */
static enum errc on_day(void *arg, const struct rollup_name *n, const struct rollup_sums *s)
{
	struct days *d = arg;
	MDB_dbi db = d->r->ledger->rollups;
	enum errc rc;

	(void)s;
	d->all.from = d->all.to = d->named.from = d->named.to = n->day;
	rc = rollup_walk(d->txn, db, &d->named, on_tag, d->r);
	if (!rc)
		rc = rollup_walk(d->txn, db, &d->all, on_less_named, d->r);
	return rc ? rc : flush_named(d->r);
}

/* By end user and more: day by day, so that little has to be remembered. */
static enum errc add_named_days(struct report *r, MDB_txn *txn, const struct rollup_ask *all,
				enum rollup_cut users)
{
	struct days d = {.r = r, .txn = txn, .all = *all, .named = *all};
	struct rollup_ask days = {.cut = ROLLUP_DAYS, .from = all->from, .to = all->to};

	d.named.cut = users;
	r->named = mem_new(NAMED_MAX * sizeof *r->named);
	return r->named ? rollup_walk(txn, r->ledger->rollups, &days, on_day, &d) : ERRC_NOMEM;
}

/* The end users' rows are added or taken away where they are asked for. */
static enum errc add_days(struct report *r, MDB_txn *txn, int64_t from, int64_t to)
{
	enum rollup_cut all = cut_of(&r->ask);
	enum rollup_cut users = all == ROLLUP_DAYS ? ROLLUP_USERS : ROLLUP_TAGS;
	struct rollup_ask ask = {.cut = r->ask.tag.n ? users : all,
				 .from = (uint32_t)from,
				 .to = (uint32_t)to,
				 .account = r->ask.account,
				 .key_id = r->ask.account ? r->ask.key_id : NULL};
	enum errc rc;

	if (r->by_tag)
		return add_named_days(r, txn, &ask, users);
	rc = rollup_walk(txn, r->ledger->rollups, &ask, on_rollup, r);
	if (!rc && r->ask.tag.p && !r->ask.tag.n) {
		ask.cut = users;
		rc = rollup_walk(txn, r->ledger->rollups, &ask, on_named, r);
	}
	return rc;
}

/* In one read transaction, so that roll-ups and tail fit together. It keeps the writer from using again the pages that it
 * frees meanwhile, some a commit: little beside what a report's own records would take to read. */
static enum errc add_rollups(struct report *r)
{
	int64_t from, to;
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(r->ledger, &txn);

	if (!rc)
		rc = ledger_get_state(r->ledger, txn, &r->state);
	if (!rc)
		rc = ledger_rolled_upto(r->ledger, txn, &r->rolled);
	if (!rc)
		rc = divide(r, txn, &from, &to);
	if (!rc && from <= to)
		rc = add_days(r, txn, from, to);
	ledger_read_end(&txn);
	return rc;
}

/* To the records that may be in the part, or take back what is. */
static enum errc narrow(const struct report *r, struct part *p)
{
	bool in_order;
	uint64_t seq;
	enum errc rc = ledger_seek(r->ledger, p->from_ms, &seq, &in_order);

	p->last_seq = MIN_OF(p->last_seq, r->rolled);
	if (rc || !in_order)
		return rc;
	p->first_seq = MAX_OF(p->first_seq, seq);
	if (p->to_ms % ROLLUP_DAY_MS == 0)
		return ERRC_OK;
	rc = ledger_seek(r->ledger, p->to_ms + 4 * LEDGER_SLACK_MS, &seq, &in_order);
	if (!rc && in_order)
		p->last_seq = MIN_OF(p->last_seq, seq - 1);
	return rc;
}

/* The records of a part; ERRC_RANGE when some of its day were not there to be read. */
static enum errc sum_part(struct report *r, struct part *p)
{
	uint64_t first = p->first_seq;
	struct retain_base base;
	enum errc rc;

	if (!first)
		return ERRC_OK;
	rc = narrow(r, p);
	if (!rc)
		rc = add_records(r, p);
	if (!rc)
		rc = retain_base(r->ledger, &base, NULL);
	return !rc && first <= base.seq ? ERRC_RANGE : rc;
}

static enum errc sum_up(struct report *r)
{
	struct part tail = {.from_ms = r->ask.since_ms, .to_ms = r->ask.until_ms, .sign = 1};
	enum errc rc = ERRC_OK;

	if (r->ask.since_ms >= r->ask.until_ms)
		return ERRC_OK;
	if (r->ask.waiting)
		rc = report_tail_read(r->live, r->ledger, r->ask.key_id, &r->tail);
	if (!rc)
		rc = add_rollups(r);
	for (size_t i = 0; !rc && i < r->parts_n; i++)
		rc = sum_part(r, &r->parts[i]);
	tail.first_seq = r->rolled + 1;
	tail.last_seq = r->state.last_seq;
	if (!rc)
		rc = add_records(r, &tail);
	if (!rc)
		rc = report_kept_check(r->ledger, &r->ask);
	return rc ? rc : report_tail_each(&r->tail, &r->state, on_waiting, r);
}

/* --- the end --- */

static enum errc init(struct report *r, struct ledger *l, struct live *names,
		      const struct report_ask *ask)
{
	size_t many = TALLY_ALL;
	enum errc rc;
	char *room;

	for (size_t i = 0; i < ask->by_n; i++) {
		if (ask->by[i] == REPORT_TAG)
			many = i;
	}
	rc = tally_init(&r->rows, ask->by_n, many, REPORT_ROWS_MAX);
	buf_init(&r->row, ROWS_MAX);
	r->ledger = l;
	r->live = names;
	r->ask = *ask;
	r->ask.model = slice_sub(ask->model, 0, ROLLUP_MODEL_MAX);
	r->ask.provider = slice_sub(ask->provider, 0, ROLLUP_PROVIDER_MAX);
	r->ask.tag = slice_sub(ask->tag, 0, ROWS_TAG_MAX);
	r->by_tag = many != TALLY_ALL && !ask->tag.p;
	return rc ? rc : buf_reserve(&r->row, ACCOUNT_BYTES, &room);
}

enum errc report_new(struct ledger *l, struct live *names, const struct report_ask *ask,
		     struct report **out)
{
	struct report *r = mem_new_of(struct report);
	enum errc rc;

	if (!r)
		return ERRC_NOMEM;
	rc = init(r, l, names, ask);
	if (!rc)
		rc = sum_up(r);
	if (!rc)
		rc = tally_end(&r->rows, &r->total, readable, r);
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
	tally_fini(&r->rows);
	report_tail_fini(&r->tail);
	buf_fini(&r->row);
	mem_free(r->named);
	mem_free(r);
	*rp = NULL;
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

enum errc report_put_by(struct report_ask *ask, struct slice text)
{
	struct slice one;

	for (bool more = text.n > 0; more;) {
		enum report_dim dim;

		more = slice_cut(&text, ',', &one);
		dim = report_dim_of(slice_trim(one));
		if (dim == REPORT_DIM_COUNT)
			return ERRC_NOTFOUND;
		for (size_t i = 0; i < ask->by_n; i++) {
			if (ask->by[i] == dim)
				return ERRC_EXISTS;
		}
		if (ask->by_n == REPORT_DIMS_MAX)
			return ERRC_LIMIT;
		ask->by[ask->by_n++] = dim;
	}
	return ERRC_OK;
}

size_t report_rows_n(const struct report *r)
{
	return tally_n(&r->rows);
}

struct report_row report_row_at(const struct report *r, size_t i)
{
	struct report_row row;

	tally_get(&r->rows, i, &row);
	return row;
}

struct report_row report_total(const struct report *r)
{
	struct report_row row = {.requests = 0};

	tally_numbers(&r->total, &row);
	return row;
}
