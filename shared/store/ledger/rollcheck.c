#include "rollcheck.h"

#include "ledger_priv.h"
#include "mem.h"
#include "rollup_key.h"
#include "secret.h"
#include "text.h"

static const enum rollup_cut cuts[] = {ROLLUP_DAYS, ROLLUP_MODELS, ROLLUP_PAYERS,
				       ROLLUP_KEYS, ROLLUP_TAGS,   ROLLUP_USERS};

struct rollcheck_day {
	uint32_t day;
	struct rollup_sums records, named; /* named: of those that have an end user */
	struct rollup_sums rows[ARRAY_LEN(cuts)];
	uint64_t names[ARRAY_LEN(cuts)]; /* mix() times hash_of(), of the records less of the rows */
};

struct compare {
	struct rollcheck *c;
	size_t cut; /* that is read */
};

void rollcheck_init(struct rollcheck *c, uint64_t base, money_wide removed_nusd)
{
	*c = (struct rollcheck){.base = base, .removed_nusd = removed_nusd};
	secret_random(c->seed, sizeof c->seed);
	secret_random(c->factors, sizeof c->factors);
}

void rollcheck_fini(struct rollcheck *c)
{
	mem_free(c->days);
}

/* Neighbours are mostly of the same day. */
static enum errc day_of(struct rollcheck *c, uint32_t day, struct rollcheck_day **out)
{
	for (size_t i = c->n; i-- > 0;) {
		*out = &c->days[i];
		if ((*out)->day == day)
			return ERRC_OK;
	}
	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 64;
		struct rollcheck_day *days = mem_grow(c->days, cap * sizeof *days);

		if (!days)
			return ERRC_NOMEM;
		c->days = days;
		c->cap = cap;
	}
	*out = &c->days[c->n++];
	**out = (struct rollcheck_day){.day = day};
	return ERRC_OK;
}

/* All numbers in one, which is added up as they are. */
static uint64_t mix(const struct rollcheck *c, const struct rollup_sums *s)
{
	const int64_t numbers[] = {s->requests,    s->failed,           s->input,
				   s->cached,      s->output,           s->reasoning,
				   s->charge_nusd, s->uncollected_nusd, s->cost_nusd};
	uint64_t sum = 0;

	_Static_assert(sizeof numbers == sizeof c->factors, "a factor for each number");
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		sum += (uint64_t)numbers[i] * (c->factors[i] | 1);
	return sum;
}

static uint64_t hash_of(const struct rollcheck *c, const struct rollup_key *name)
{
	return text_hash_wide(c->seed, slice_of(name->b, name->n));
}

static enum errc add(struct rollcheck *c, const struct record *charge, const struct rollup_sums *s)
{
	struct rollcheck_day *d;
	struct rollup_name name;
	struct rollup_key key;
	uint64_t mixed = mix(c, s);
	enum errc rc;

	rollup_name_of(charge, &name);
	rc = day_of(c, name.day, &d);
	if (rc)
		return rc;
	rollup_sums_add(&d->records, s);
	if (name.tag.n)
		rollup_sums_add(&d->named, s);
	/* The days' rows, which come first, have no names. */
	for (size_t i = 1; i < ARRAY_LEN(cuts) && (cuts[i] < ROLLUP_TAGS || name.tag.n); i++) {
		rollup_key_put_part(&key, cuts[i], &name);
		d->names[i] += mixed * hash_of(c, &key);
	}
	return ERRC_OK;
}

static enum errc add_reverse(struct rollcheck *c, struct ledger *l, uint64_t seq,
			     const struct record *back)
{
	struct rollup_sums s = rollup_sums_of_reverse(seq, back);
	struct record charge;
	struct buf b;
	uint64_t at;
	enum errc rc;

	buf_init(&b, RECORD_MAX);
	rc = ledger_find_seen(l, &back->change.id, &at);
	if (!rc)
		rc = ledger_get(l, at, &b);
	if (!rc && (record_decode(buf_slice(&b), &charge) || charge.type != RECORD_CHARGE))
		rc = ERRC_NOTFOUND;
	if (!rc)
		rc = add(c, &charge, &s);
	buf_fini(&b);
	if (rc != ERRC_NOTFOUND)
		return rc;
	c->reversed_nusd += back->change.amount_nusd;
	return ERRC_OK;
}

enum errc rollcheck_add(struct rollcheck *c, struct ledger *l, uint64_t seq, const struct record *r)
{
	struct rollup_sums s;

	if (r->type == RECORD_REVERSE)
		return add_reverse(c, l, seq, r);
	if (r->type != RECORD_CHARGE)
		return ERRC_OK;
	s = rollup_sums_of(seq, r);
	return add(c, r, &s);
}

static enum errc on_row(void *arg, const struct rollup_name *n, const struct rollup_sums *s)
{
	struct compare *x = arg;
	struct rollcheck_day *d;
	struct rollup_key key;
	enum errc rc = day_of(x->c, n->day, &d);

	if (rc)
		return rc;
	rollup_sums_add(&d->rows[x->cut], s);
	if (x->cut == 0)
		return ERRC_OK;
	rollup_key_put(&key, cuts[x->cut], n);
	d->names[x->cut] -= mix(x->c, s) * hash_of(x->c, &key);
	return ERRC_OK;
}

/* What the row says of its records is not enough, for whoever changed one may have changed the other. */
static bool lacks_records(const struct rollcheck *c, const struct rollcheck_day *d)
{
	return d->day < c->forgotten && d->rows[0].first_seq > 0 && d->rows[0].first_seq <= c->base;
}

static bool is_same(const struct rollcheck *c, const struct rollcheck_day *d)
{
	if (lacks_records(c, d))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		const struct rollup_sums *all = cuts[i] < ROLLUP_TAGS ? &d->records : &d->named;

		if (cuts[i] >= ROLLUP_TAGS && d->day < c->forgotten)
			continue;
		if (memcmp(all, &d->rows[i], sizeof *all) != 0 || d->names[i] != 0)
			return false;
	}
	return true;
}

/* What stands of removed records in the days' rows is what they were charged; a reversal of one, made since, is in it or came too
 * late to be. */
static bool is_whole(const struct rollcheck *c)
{
	money_wide sum = 0;

	for (size_t i = 0; i < c->n; i++)
		sum += c->days[i].rows[0].charge_nusd - (money_wide)c->days[i].records.charge_nusd;
	return sum <= c->removed_nusd && sum >= c->removed_nusd - c->reversed_nusd;
}

/* The first day that differs. Where none does but the sum of all, it is one of those that are not looked at by themselves. */
static uint32_t differs(const struct rollcheck *c)
{
	uint32_t day = ROLLUP_DAY_MAX, removed = ROLLUP_DAY_MAX;

	for (size_t i = 0; i < c->n; i++) {
		const struct rollcheck_day *d = &c->days[i];

		if (!is_same(c, d))
			day = MIN_OF(day, d->day);
		if (lacks_records(c, d))
			removed = MIN_OF(removed, d->day);
	}
	if (day != ROLLUP_DAY_MAX || is_whole(c))
		return day;
	return removed == ROLLUP_DAY_MAX ? 0 : removed;
}

static enum errc compare(struct rollcheck *c, struct ledger *l, MDB_txn *txn, uint32_t *day)
{
	struct compare x = {.c = c};
	enum errc rc = ERRC_OK;

	for (; !rc && x.cut < ARRAY_LEN(cuts); x.cut++) {
		struct rollup_ask ask = {.cut = cuts[x.cut], .to = ROLLUP_DAY_MAX - 1};

		rc = rollup_walk(txn, l->rollups, &ask, on_row, &x);
	}
	if (!rc)
		*day = differs(c);
	if (rc != ERRC_CORRUPT)
		return rc;
	*day = 0;
	return ERRC_OK;
}

enum errc rollcheck_compare(struct rollcheck *c, struct ledger *l, uint64_t seq, uint64_t *upto,
			    uint32_t *day)
{
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(l, &txn);

	if (!rc)
		rc = ledger_rolled_upto(l, txn, upto);
	if (!rc && *upto == seq)
		rc = compare(c, l, txn, day);
	ledger_read_end(&txn);
	return rc;
}
