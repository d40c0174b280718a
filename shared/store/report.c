#include "report.h"

#include "admin.h"
#include "be.h"
#include "clock.h"
#include "ledger_priv.h"
#include "mem.h"
#include "report_kept.h"
#include "report_tail.h"
#include "retain.h"
#include "rollup_read.h"
#include "tally.h"

#define ACCOUNT_BYTES 512 /* more than an account's row has */
#define DAY_BYTES     4   /* of the names of columns: day; account, and a team behind it */
#define NUMBER_BYTES  8
#define DAY_TEXT      10
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
	size_t column[REPORT_DIM_COUNT]; /* SIZE_MAX: has none */
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
	bool of_all; /* every row is asked for */
	/* Of the row before, like which the next one may be in part: whether its names are asked for, and what numbers they have, those of
	 * its day, account, key and team first, then all but its end user. */
	bool like_key, like_model, key_known, model_known;
	uint32_t id[REPORT_DIMS_MAX];
	struct buf row; /* of an account, reserved */
	struct rollup_sums total;
	bool total_known; /* what the roll-ups come to is in it */
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

static enum errc look_up(struct report *r, enum report_dim d, struct slice name)
{
	return tally_name(&r->rows, r->column[d], name, &r->id[r->column[d]]);
}

/* The numbers of the names that tell one key's rows from another's. */
static enum errc key_ids(struct report *r, const struct rollup_name *n)
{
	static const enum report_dim dims[] = {REPORT_DAY, REPORT_ACCOUNT, REPORT_KEY, REPORT_TEAM};
	uint8_t room[NUMBER_BYTES + ROWS_ID];
	enum errc rc = ERRC_OK;

	for (size_t i = 0; !rc && i < ARRAY_LEN(dims); i++) {
		if (r->column[dims[i]] != SIZE_MAX)
			rc = look_up(r, dims[i], name_of(dims[i], n, room));
	}
	return rc;
}

/* The numbers of the row's names but that of its end user; what it has of the row before is not looked up again. */
static enum errc base_of(struct report *r, const struct rollup_name *n)
{
	enum errc rc = ERRC_OK;

	if (r->model_known)
		return ERRC_OK;
	if (!r->key_known)
		rc = key_ids(r, n);
	if (!rc && r->column[REPORT_MODEL] != SIZE_MAX)
		rc = look_up(r, REPORT_MODEL, n->model);
	if (!rc && r->column[REPORT_PROVIDER] != SIZE_MAX)
		rc = look_up(r, REPORT_PROVIDER, n->provider);
	r->key_known = r->model_known = !rc;
	return rc;
}

/* Where what a row with these names comes to is to be put; NULL: nowhere. */
static enum errc open_row(struct report *r, const struct rollup_name *n, int sign,
			  struct rollup_sums **to)
{
	enum errc rc = base_of(r, n);

	if (!rc && r->rows.many != TALLY_ALL && (n->tag.n || r->id[r->rows.many] != TALLY_EMPTY))
		rc = tally_name_many(&r->rows, n->tag, r->id);
	*to = NULL;
	return rc || r->ask.by_n == 0 ? rc : tally_open(&r->rows, r->id, sign, to);
}

static enum errc add(struct report *r, const struct rollup_name *n, const struct rollup_sums *s,
		     int sign)
{
	struct rollup_sums *to;
	enum errc rc = open_row(r, n, sign, &to);

	if (sign > 0)
		rollup_sums_add(&r->total, s);
	else
		rollup_sums_sub(&r->total, s);
	if (!rc && to)
		*to = *s;
	return rc;
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

static bool is_of_all(const struct report_ask *a)
{
	return !a->account && !a->key_id && !a->team && !a->model.p && !a->provider.p && !a->tag.p;
}

static bool is_asked(struct report *r, const struct rollup_name *n)
{
	const struct report_ask *a = &r->ask;

	r->key_known &= n->same != ROLLUP_SAME_NOTHING;
	r->model_known &= n->same == ROLLUP_SAME_MODEL;
	if (r->of_all)
		return true;
	if (n->same == ROLLUP_SAME_NOTHING) {
		r->like_key = (!a->account || a->account == n->account) &&
			      is_same_id(a->key_id, n->key_id) && is_same_id(a->team, n->team);
	}
	if (n->same != ROLLUP_SAME_MODEL) {
		r->like_model = r->like_key && is_same(a->model, n->model) &&
				is_same(a->provider, n->provider);
	}
	return r->like_model && is_same(a->tag, n->tag);
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
		rc = ledger_find_seen(r->ledger, &back->change.id, &at);
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

/* The rows of a cut as they are. */
static enum errc add_cut(struct report *r, MDB_txn *txn, const struct rollup_ask *ask)
{
	struct rollup_read all;
	enum errc rc = rollup_read_open(&all, txn, r->ledger->rollups, ask);

	if (rc)
		return rc;
	while (!rc && !(rc = rollup_read_next(&all))) {
		struct rollup_sums *to;

		if (!is_asked(r, &all.name))
			continue;
		if (!r->total_known)
			runs_plus(&all.walk.numbers, &r->total);
		rc = open_row(r, &all.name, 1, &to);
		if (!rc && to)
			runs_plus(&all.walk.numbers, to);
	}
	rollup_read_close(&all);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

/* A row whose requests are those of its end users, who have rows too, and of nobody: what the others leave. */
static enum errc add_users(struct report *r, const struct rollup_read *row,
			   struct rollup_read_users *users)
{
	struct rollup_sums *rest;
	struct slice tag;
	enum errc rc = open_row(r, &row->name, 1, &rest);

	if (!r->total_known)
		runs_plus(&row->walk.numbers, &r->total);
	if (!rc && rest)
		runs_plus(&row->walk.numbers, rest);
	if (rc || !tally_has_many(&r->rows))
		return rc;
	rc = rollup_read_users_of(users, row);
	while (!rc && !(rc = rollup_read_users_next(users, &tag))) {
		if (rest)
			runs_minus(&users->walk.numbers, rest);
		rc = tally_add_many(&r->rows, tag, &users->walk.numbers);
	}
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

/* By end user: two cuts side by side, in the same order. */
static enum errc add_by_user(struct report *r, MDB_txn *txn, struct rollup_ask *ask)
{
	struct rollup_read all;
	struct rollup_read_users users;
	enum errc rc;

	if (ask->cut == ROLLUP_MODELS)
		ask->cut = ROLLUP_KEYS; /* the users' rows are in that order */
	rc = rollup_read_open(&all, txn, r->ledger->rollups, ask);
	if (rc)
		return rc;
	rc = rollup_read_users_open(&users, txn, r->ledger->rollups, ask->cut);
	if (rc)
		goto out;
	while (!rc && !(rc = rollup_read_next(&all))) {
		if (is_asked(r, &all.name))
			rc = add_users(r, &all, &users);
	}
	if (rc == ERRC_NOTFOUND)
		rc = tally_flush(&r->rows);
	rollup_read_users_close(&users);
out:
	rollup_read_close(&all);
	return rc;
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

static enum errc on_total(void *arg, const struct rollup_name *n, const struct rollup_sums *s)
{
	struct report *r = arg;

	(void)n;
	rollup_sums_add(&r->total, s);
	return ERRC_OK;
}

/* What all rows come to stands in those of the days: few. */
static enum errc add_total(struct report *r, MDB_txn *txn, const struct rollup_ask *like)
{
	struct rollup_ask days = {.cut = ROLLUP_DAYS, .from = like->from, .to = like->to};

	r->total_known = true;
	return rollup_walk(txn, r->ledger->rollups, &days, on_total, r);
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

	if (all != ROLLUP_DAYS && r->of_all) {
		rc = add_total(r, txn, &ask);
		if (rc)
			return rc;
	}
	if (r->by_tag)
		return add_by_user(r, txn, &ask);
	rc = add_cut(r, txn, &ask);
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

	for (size_t i = 0; i < REPORT_DIM_COUNT; i++)
		r->column[i] = SIZE_MAX;
	for (size_t i = 0; i < ask->by_n; i++)
		r->column[ask->by[i]] = i;
	if (r->column[REPORT_TAG] != SIZE_MAX)
		many = r->column[REPORT_TAG];
	r->of_all = is_of_all(ask);
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
	mem_free(r);
	*rp = NULL;
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
