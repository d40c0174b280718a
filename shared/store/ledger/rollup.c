#include "rollup.h"

#include <stdlib.h>

#include "be.h"
#include "mem.h"
#include "rollup_key.h"
#include "secret.h"
#include "text.h"

#define NAMES_MAX   ((size_t)256 * 1024 * 1024)
#define PENDING_MAX ((size_t)256 * 1024 * 1024)
#define ROLLUP_CUTS ROLLUP_USERS

struct rollup_entry {
	uint32_t at, n;     /* its key in `names` */
	char user[ROWS_ID]; /* ROLLUP_TAGS: id of its tag */
	struct rollup_sums sums;
};

struct rollup_slot {
	uint32_t hash; /* the upper half */
	uint32_t at;   /* position + 1 of the entry, 0: empty */
};

/* A record between its append and the commit; a charge's name follows as a key of ROLLUP_TAGS. */
struct pending {
	bool reverse;
	uint32_t key_n, tag_n;
	struct genid id; /* reverse: of the charge */
	struct rollup_sums sums;
};

void rollup_init(struct rollup *r)
{
	*r = (struct rollup){.full = ROLLUP_ROWS_MIN};
	secret_random(r->seed, sizeof r->seed);
	buf_init(&r->names, NAMES_MAX);
	buf_init(&r->pending, PENDING_MAX);
}

void rollup_fini(struct rollup *r)
{
	buf_fini(&r->names);
	buf_fini(&r->pending);
	mem_free(r->entries);
	mem_free(r->slots);
}

uint32_t rollup_day_of(int64_t wall_ms)
{
	int64_t day = wall_ms > 0 ? wall_ms / ROLLUP_DAY_MS : 0;

	return (uint32_t)MIN_OF(day, (int64_t)ROLLUP_DAY_MAX - 1);
}

void rollup_name_of(const struct record *charge, struct rollup_name *out)
{
	const struct record_charge *c = &charge->charge;

	out->day = rollup_day_of(charge->wall_ms);
	out->account = charge->account;
	memcpy(out->key_id, c->key_id, APIKEY_ID);
	if (c->team.n == ROWS_ID)
		memcpy(out->team, c->team.p, ROWS_ID);
	else
		memset(out->team, 0, ROWS_ID);
	out->model = slice_sub(c->model.n ? c->model : c->model_asked, 0, ROLLUP_MODEL_MAX);
	out->provider = slice_sub(c->provider, 0, ROLLUP_PROVIDER_MAX);
	out->tag = slice_sub(c->user, 0, ROWS_TAG_MAX);
	out->same = ROLLUP_SAME_NOTHING;
}

struct rollup_sums rollup_sums_of(uint64_t seq, const struct record *charge)
{
	const struct record_charge *c = &charge->charge;

	return (struct rollup_sums){.first_seq = seq,
				    .last_seq = seq,
				    .requests = 1,
				    .failed = c->end != RECORD_END_DONE,
				    .input = usage_input_total(&c->usage),
				    .cached = usage_get(&c->usage, USAGE_CACHE_READ),
				    .output = usage_output_total(&c->usage),
				    .reasoning = usage_reasoning(&c->usage),
				    .charge_nusd = c->charge_nusd,
				    .uncollected_nusd = c->uncollected_nusd,
				    .cost_nusd = c->cost_nusd};
}

struct rollup_sums rollup_sums_of_reverse(uint64_t seq, const struct record *reverse)
{
	return (struct rollup_sums){.first_seq = seq,
				    .last_seq = seq,
				    .charge_nusd = -reverse->change.amount_nusd,
				    .uncollected_nusd = -reverse->change.uncollected_nusd};
}

void rollup_sums_add(struct rollup_sums *to, const struct rollup_sums *more)
{
	if (to->last_seq == 0 || more->first_seq < to->first_seq)
		to->first_seq = more->first_seq;
	to->last_seq = MAX_OF(to->last_seq, more->last_seq);
	rollup_sums_plus(to, more);
}

void rollup_sums_plus(struct rollup_sums *to, const struct rollup_sums *more)
{
	to->requests += more->requests;
	to->failed += more->failed;
	to->input += more->input;
	to->cached += more->cached;
	to->output += more->output;
	to->reasoning += more->reasoning;
	to->charge_nusd += more->charge_nusd;
	to->uncollected_nusd += more->uncollected_nusd;
	to->cost_nusd += more->cost_nusd;
}

void rollup_sums_sub(struct rollup_sums *from, const struct rollup_sums *less)
{
	from->requests -= less->requests;
	from->failed -= less->failed;
	from->input -= less->input;
	from->cached -= less->cached;
	from->output -= less->output;
	from->reasoning -= less->reasoning;
	from->charge_nusd -= less->charge_nusd;
	from->uncollected_nusd -= less->uncollected_nusd;
	from->cost_nusd -= less->cost_nusd;
}

/* --- what came since the rows were written --- */

static struct slice key_of(const struct rollup *r, const struct rollup_entry *e)
{
	return slice_sub(buf_slice(&r->names), e->at, e->n);
}

static enum errc grow(struct rollup *r)
{
	size_t cap = r->cap ? r->cap * 2 : 256;
	struct rollup_slot *slots = cap <= UINT32_MAX / 2 ? mem_new(2 * cap * sizeof *slots) : NULL;
	struct rollup_entry *entries;

	if (!slots)
		return ERRC_NOMEM;
	entries = mem_grow(r->entries, cap * sizeof *entries);
	if (!entries) {
		mem_free(slots);
		return ERRC_NOMEM;
	}
	mem_free(r->slots);
	r->slots = slots;
	r->entries = entries;
	r->cap = cap;
	for (uint32_t i = 0; i < r->n; i++) {
		uint64_t hash = text_hash_wide(r->seed, key_of(r, &entries[i]));
		size_t at = hash & (2 * cap - 1);

		while (slots[at].at)
			at = (at + 1) & (2 * cap - 1);
		slots[at] = (struct rollup_slot){hash >> 32, i + 1};
	}
	return ERRC_OK;
}

static void note_user(const struct rollup *r, struct rollup_entry *e)
{
	struct rollup_name name;
	enum rollup_cut cut;

	if (rollup_key_get(key_of(r, e), &cut, &name) && cut == ROLLUP_TAGS)
		rows_user_id(name.tag, e->user);
}

/* The row of a charge in one of the cuts. */
struct counted {
	struct rollup_key key;
	uint64_t hash;
	const struct rollup_sums *more; /* to be added */
};

static enum errc add_entry(struct rollup *r, const struct counted *c, size_t at)
{
	enum errc rc;

	r->entries[r->n] = (struct rollup_entry){
		.at = (uint32_t)r->names.len, .n = (uint32_t)c->key.n, .sums = *c->more};
	rc = buf_add(&r->names, c->key.b, c->key.n);
	if (rc)
		return rc;
	note_user(r, &r->entries[r->n]);
	r->slots[at] = (struct rollup_slot){c->hash >> 32, (uint32_t)++r->n};
	return ERRC_OK;
}

static enum errc count(struct rollup *r, const struct counted *c)
{
	size_t at, mask;
	enum errc rc = r->n < r->cap ? ERRC_OK : grow(r);

	if (rc)
		return rc;
	mask = 2 * r->cap - 1;
	for (at = c->hash & mask; r->slots[at].at; at = (at + 1) & mask) {
		struct rollup_entry *e = &r->entries[r->slots[at].at - 1];

		if (r->slots[at].hash == c->hash >> 32 &&
		    slice_eq(key_of(r, e), slice_of(c->key.b, c->key.n))) {
			rollup_sums_add(&e->sums, c->more);
			return ERRC_OK;
		}
	}
	return add_entry(r, c, at);
}

#define GROUP 4 /* charges counted together */

/* Charges, and the rows that they count in. */
struct group {
	size_t charges_n, n;
	struct rollup_sums charges[GROUP];
	struct counted rows[GROUP * ROLLUP_CUTS];
};

/* Of many keys each row lies anywhere in memory: all that the charges need is asked for before the first is read. */
static void fetch(const struct rollup *r, const struct counted *c, size_t n)
{
	const struct rollup_entry *e[GROUP * ROLLUP_CUTS];
	size_t mask = 2 * r->cap - 1;

	if (r->cap == 0)
		return;
	for (size_t i = 0; i < n; i++)
		mem_fetch(&r->slots[c[i].hash & mask], sizeof *r->slots);
	for (size_t i = 0; i < n; i++) {
		const struct rollup_slot *s = &r->slots[c[i].hash & mask];

		e[i] = s->at ? &r->entries[s->at - 1] : NULL;
		if (e[i])
			mem_fetch(e[i], sizeof *e[i]);
	}
	for (size_t i = 0; i < n; i++) {
		if (e[i])
			mem_fetch(r->names.p + e[i]->at, e[i]->n);
	}
}

static void add_row(struct group *g, enum rollup_cut cut, const struct rollup_name *name)
{
	struct counted *c = &g->rows[g->n++];

	rollup_key_put_part(&c->key, cut, name);
	c->more = &g->charges[g->charges_n - 1];
}

/* There is room. */
static void add_charge(struct group *g, const struct rollup_name *name,
		       const struct rollup_sums *sums)
{
	enum rollup_cut last = name->tag.n ? ROLLUP_USERS : ROLLUP_KEYS;

	g->charges[g->charges_n++] = *sums;
	for (enum rollup_cut cut = ROLLUP_DAYS; cut <= last; cut++)
		add_row(g, cut, name);
}

/* Leaves the group empty. */
static enum errc count_all(struct rollup *r, struct group *g)
{
	enum errc rc = ERRC_OK;

	for (size_t i = 0; i < g->n; i++)
		g->rows[i].hash =
			text_hash_wide(r->seed, slice_of(g->rows[i].key.b, g->rows[i].key.n));
	fetch(r, g->rows, g->n);
	for (size_t i = 0; !rc && i < g->n; i++)
		rc = count(r, &g->rows[i]);
	g->charges_n = g->n = 0;
	return rc;
}

bool rollup_find_tag(const struct rollup *r, uint64_t account, const char id[ROWS_ID],
		     struct slice *tag)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct rollup_entry *e = &r->entries[i];
		struct rollup_name name;
		enum rollup_cut cut;

		if (memcmp(e->user, id, ROWS_ID) != 0 ||
		    !rollup_key_get(key_of(r, e), &cut, &name) || cut != ROLLUP_TAGS ||
		    name.account != account)
			continue;
		*tag = name.tag;
		return true;
	}
	return false;
}

/* --- records --- */

enum errc rollup_add(struct rollup *r, uint64_t seq, const struct record *rec)
{
	struct pending p = {.reverse = rec->type == RECORD_REVERSE};
	size_t before = r->pending.len;
	struct rollup_key k = {.n = 0};
	enum errc rc;

	if (rec->type == RECORD_CHARGE) {
		struct rollup_name name;

		rollup_name_of(rec, &name);
		rollup_key_put(&k, ROLLUP_TAGS, &name);
		p.sums = rollup_sums_of(seq, rec);
	} else if (p.reverse) {
		p.id = rec->change.id;
		p.sums = rollup_sums_of_reverse(seq, rec);
	} else {
		return ERRC_OK;
	}
	p.key_n = (uint32_t)k.n;
	rc = buf_add(&r->pending, &p, sizeof p);
	if (!rc)
		rc = buf_add(&r->pending, k.b, k.n);
	if (rc)
		buf_truncate(&r->pending, before);
	return rc;
}

static enum errc take_back(struct rollup *r, const struct pending *p,
			   enum errc (*find)(void *arg, const struct genid *id, struct buf *b),
			   void *arg)
{
	struct record charge;
	struct buf b;
	enum errc rc;

	buf_init(&b, RECORD_MAX);
	rc = find(arg, &p->id, &b);
	if (!rc && (record_decode(buf_slice(&b), &charge) || charge.type != RECORD_CHARGE))
		rc = ERRC_NOTFOUND; /* it is for verify to say so */
	if (!rc) {
		struct rollup_name name;
		struct group g;

		g.charges_n = g.n = 0;
		rollup_name_of(&charge, &name);
		add_charge(&g, &name, &p->sums);
		rc = count_all(r, &g);
	}
	buf_fini(&b);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

static void forget(struct rollup *r)
{
	if (r->n > 0)
		memset(r->slots, 0, 2 * r->cap * sizeof *r->slots);
	r->n = 0;
	buf_reset(&r->names);
}

enum errc rollup_committed(struct rollup *r,
			   enum errc (*find)(void *arg, const struct genid *id, struct buf *b),
			   void *arg)
{
	enum errc rc = ERRC_OK;
	struct pending p;
	struct group g;

	g.charges_n = g.n = 0;
	if (r->written)
		forget(r);
	r->written = false;
	for (size_t at = 0; !rc && at < r->pending.len; at += sizeof p + p.key_n) {
		struct rollup_name name;
		enum rollup_cut cut;

		memcpy(&p, r->pending.p + at, sizeof p);
		if (p.reverse) {
			rc = count_all(r, &g);
			if (!rc)
				rc = take_back(r, &p, find, arg);
			continue;
		}
		require(rollup_key_get(slice_of(r->pending.p + at + sizeof p, p.key_n), &cut,
				       &name));
		add_charge(&g, &name, &p.sums);
		if (g.charges_n == GROUP)
			rc = count_all(r, &g);
	}
	if (!rc)
		rc = count_all(r, &g);
	buf_reset(&r->pending);
	return rc;
}

void rollup_aborted(struct rollup *r)
{
	r->written = false;
	buf_reset(&r->pending);
}

/* --- rows --- */

/* A row to be sorted: most are told apart by what stands here, without a look at their keys. */
struct sorted {
	uint64_t first[2]; /* bytes of the key */
	const char *key;
	uint32_t key_n, at;
};

_Static_assert(ROLLUP_KEY_HEAD >= 2 * sizeof(uint64_t), "every key has its first bytes");

static int by_key(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;

	for (size_t i = 0; i < ARRAY_LEN(x->first); i++) {
		if (x->first[i] != y->first[i])
			return x->first[i] < y->first[i] ? -1 : 1;
	}
	return slice_cmp(slice_of(x->key, x->key_n), slice_of(y->key, y->key_n));
}

static void sort(const struct rollup *r, struct sorted *s, struct runs_row *rows)
{
	for (size_t i = 0; i < r->n; i++) {
		struct slice key = key_of(r, &r->entries[i]);

		s[i] = (struct sorted){{be_get(key.p, 8), be_get(key.p + 8, 8)},
				       key.p,
				       (uint32_t)key.n,
				       (uint32_t)i};
	}
	qsort(s, r->n, sizeof *s, by_key);
	for (size_t i = 0; i < r->n; i++)
		rows[i] = (struct runs_row){slice_of(s[i].key, s[i].key_n),
					    &r->entries[s[i].at].sums};
}

bool rollup_is_full(const struct rollup *r)
{
	return r->n >= r->full;
}

/* What the rows took this time they are taken to do the next time. */
static void note_written(struct rollup *r, size_t runs)
{
	size_t full = r->n * ROLLUP_RUNS / MAX_OF(runs, (size_t)1);

	r->full = MIN_OF(MAX_OF(full, (size_t)ROLLUP_ROWS_MIN), (size_t)ROLLUP_ROWS_MAX);
	r->written = true;
}

enum errc rollup_write(struct rollup *r, MDB_txn *txn, MDB_dbi db)
{
	struct runs_row *rows;
	struct sorted *s;
	size_t runs;
	enum errc rc = ERRC_NOMEM;

	require(!r->written);
	if (r->n == 0)
		return ERRC_OK;
	rows = mem_new(r->n * sizeof *rows);
	s = mem_new(r->n * sizeof *s);
	if (!rows || !s)
		goto out;
	sort(r, s, rows);
	rc = runs_add(txn, db, rows, r->n, &runs);
	if (!rc)
		note_written(r, runs);
out:
	mem_free(s);
	mem_free(rows);
	return rc;
}

static enum errc forget_cut(MDB_txn *txn, MDB_dbi db, enum rollup_cut cut, uint32_t day,
			    size_t *left)
{
	struct rollup_key from, to;

	rollup_key_put_head(&from, cut, &(struct rollup_name){.day = 0});
	rollup_key_put_head(&to, cut, &(struct rollup_name){.day = day});
	return runs_forget(txn, db, from.b, to.b, left);
}

enum errc rollup_forget_tags(MDB_txn *txn, MDB_dbi db, uint32_t day, size_t max, bool *more)
{
	enum errc rc = forget_cut(txn, db, ROLLUP_TAGS, day, &max);

	if (!rc)
		rc = forget_cut(txn, db, ROLLUP_USERS, day, &max);
	*more = !rc && max == 0;
	return rc;
}
