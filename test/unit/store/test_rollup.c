#include "rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "ledger_priv.h"
#include "mem.h"
#include "report.h"
#include "runs.h"
#include "text.h"
#include "verify.h"

#define DAY_0    INT64_C(1790035200000) /* 2026-09-22T00:00:00Z */
#define HOUR_MS  INT64_C(3600000)
#define ACCOUNTS 3
#define KEYS     5
#define CHARGES  900
#define GROUPS   4096

static const char *const models[] = {"m-one", "m-two", "m-three"};
static const char *const providers[] = {"p-one", "p-two"};
static const char *const users[] = {
	"ann", "a user whose name is long", "a user whose name is a bit longer", "d*", "cy-12345",
	""}; /* the last: nobody */

struct scene {
	struct rig rig;
	uint64_t account[ACCOUNTS];
	char team[ACCOUNTS][ROWS_ID];
	char key[KEYS][APIKEY_ID + 1];
	struct text_rng rng;
	uint64_t charges;
};

static unsigned pick(struct scene *s, unsigned n)
{
	return (unsigned)(text_rng_next(&s->rng) % n);
}

static void make_team(struct scene *s, int i)
{
	struct rows_scope t = {
		.kind = ROWS_TEAM, .account = s->account[i], .name = SLICE_LIT("dev")};
	bool durable;

	rows_limits_init(&t.limits);
	assert_int_equal(admin_team_create(&s->rig.admin, &s->rig.by, &t, &durable), ERRC_OK);
	memcpy(s->team[i], t.id, ROWS_ID);
}

static int setup(void **state)
{
	struct scene *s = mem_new_of(struct scene);
	struct rig *r = &s->rig;
	struct rows_scope k;
	char name[24];

	rig_init(r);
	rig_open(r);
	s->rng = (struct text_rng){{7, 11}};
	for (int i = 0; i < ACCOUNTS; i++) {
		snprintf(name, sizeof name, "account-%d", i);
		s->account[i] = rig_account(r, name, 1000 * RIG_DOLLAR);
		make_team(s, i);
	}
	for (int i = 0; i < KEYS; i++) {
		snprintf(name, sizeof name, "keykeykey%03d", i);
		memcpy(s->key[i], name, APIKEY_ID + 1);
		rig_key(r, s->account[i % ACCOUNTS], s->key[i], &k);
	}
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	rig_fini(&s->rig);
	mem_free(s);
	return 0;
}

static struct genid id_of(uint64_t n)
{
	struct genid id = {.b = {0}};

	memcpy(id.b, &n, sizeof n);
	return id;
}

static void make_charge(struct scene *s, int64_t wall_ms, struct record *rec)
{
	unsigned key = pick(s, KEYS);
	struct record_charge *c = &rec->charge;

	*rec = (struct record){
		.type = RECORD_CHARGE, .account = s->account[key % ACCOUNTS], .wall_ms = wall_ms};
	memcpy(c->key_id, s->key[key], APIKEY_ID);
	c->id = id_of(++s->charges);
	c->end = pick(s, 5) ? RECORD_END_DONE : RECORD_END_TIMEOUT;
	c->model_asked = slice_str(models[pick(s, 3)]);
	c->model = pick(s, 9) ? c->model_asked : SLICE_NONE;
	c->provider = slice_str(providers[pick(s, 2)]);
	if (key > 1)
		c->team = slice_of(s->team[key % ACCOUNTS], ROWS_ID);
	if (key > 2 && pick(s, 3))
		c->user = slice_str(users[pick(s, ARRAY_LEN(users) - 1)]);
	usage_init(&c->usage);
	usage_set(&c->usage, USAGE_INPUT, pick(s, 1000));
	usage_set(&c->usage, USAGE_OUTPUT, pick(s, 1000));
	c->charge_nusd = pick(s, 100000);
	c->uncollected_nusd = pick(s, 4) ? 0 : pick(s, 100000);
	c->cost_nusd = pick(s, 1000);
}

static void take(struct scene *s, const struct record *rec)
{
	const struct ledger_state *st = ledger_state(s->rig.ledger);
	struct outbox_row row;
	struct outbox_batch b = {.rows = &row, .n = 1};
	struct buf bytes;

	buf_init(&bytes, RECORD_MAX);
	assert_int_equal(record_encode(&bytes, rec), ERRC_OK);
	row = (struct outbox_row){.n = (st->taken_epoch == st->epoch ? st->taken_n : 0) + 1,
				  .record = buf_slice(&bytes)};
	assert_int_equal(ledger_begin(s->rig.ledger), ERRC_OK);
	assert_int_equal(ledger_take(s->rig.ledger, st->epoch, &b), ERRC_OK);
	assert_int_equal(ledger_commit(s->rig.ledger), ERRC_OK);
	buf_fini(&bytes);
}

static void checkpoint(struct ledger *l)
{
	assert_int_equal(ledger_begin(l), ERRC_OK);
	assert_int_equal(ledger_checkpoint(l), ERRC_OK);
	assert_int_equal(ledger_commit(l), ERRC_OK);
}

/* A few days of charges and reversals, with a checkpoint now and then. */
static void fill(struct scene *s)
{
	struct record rec, back;

	for (int i = 0; i < CHARGES; i++) {
		make_charge(s, DAY_0 + i * (72 * HOUR_MS / CHARGES) + pick(s, 1000), &rec);
		take(s, &rec);
		if (pick(s, 40) == 0) {
			back = (struct record){.type = RECORD_REVERSE,
					       .account = rec.account,
					       .wall_ms = rec.wall_ms + 2000};
			memcpy(back.change.key_id, rec.charge.key_id, APIKEY_ID);
			back.change.id = rec.charge.id;
			back.change.amount_nusd = rec.charge.charge_nusd;
			back.change.uncollected_nusd = rec.charge.uncollected_nusd;
			take(s, &back);
		}
		if (pick(s, 100) == 0)
			checkpoint(s->rig.ledger);
	}
}

/* --- the same from the records alone --- */

struct group {
	char name[256];
	struct report_row sums;
};

struct naive {
	struct scene *s;
	const struct report_ask *ask;
	struct group groups[GROUPS];
	size_t n;
};

static void name_part(const struct record *rec, enum report_dim d, char *out, size_t room)
{
	const struct record_charge *c = &rec->charge;
	struct slice s = SLICE_NONE;
	char text[CLOCK_TEXT_MAX];

	if (d == REPORT_DAY) {
		clock_format_s(rec->wall_ms / 1000, text);
		s = slice_of(text, 10);
	} else if (d == REPORT_MODEL) {
		s = c->model.n ? c->model : c->model_asked;
	} else if (d == REPORT_PROVIDER) {
		s = c->provider;
	} else if (d == REPORT_KEY) {
		s = slice_of(c->key_id, APIKEY_ID);
	} else if (d == REPORT_ACCOUNT) {
		snprintf(text, sizeof text, "account-%d", (int)(c->key_id[11] - '0') % ACCOUNTS);
		s = slice_str(text);
	} else if (d == REPORT_TEAM && c->team.n) {
		snprintf(text, sizeof text, "account-%d/dev", (int)(c->key_id[11] - '0') % ACCOUNTS);
		s = slice_str(text);
	} else if (d == REPORT_TAG) {
		s = c->user;
	}
	snprintf(out + strlen(out), room - strlen(out), SLICE_FMT "\1", SLICE_ARG(s));
}

static struct report_row *group_of(struct naive *v, const struct record *rec)
{
	char name[256] = "";

	for (size_t i = 0; i < v->ask->by_n; i++)
		name_part(rec, v->ask->by[i], name, sizeof name);
	for (size_t i = 0; i < v->n; i++) {
		if (strcmp(v->groups[i].name, name) == 0)
			return &v->groups[i].sums;
	}
	assert_true(v->n < GROUPS);
	memcpy(v->groups[v->n].name, name, sizeof name);
	return &v->groups[v->n++].sums;
}

static bool wanted(const struct naive *v, const struct record *rec)
{
	const struct report_ask *a = v->ask;
	const struct record_charge *c = &rec->charge;

	return rec->wall_ms >= a->since_ms && rec->wall_ms < a->until_ms &&
	       (!a->account || rec->account == a->account) &&
	       (!a->key_id || memcmp(a->key_id, c->key_id, APIKEY_ID) == 0) &&
	       (!a->team || slice_eq(slice_of(a->team, ROWS_ID), c->team)) &&
	       (!a->model.p || slice_eq(a->model, c->model.n ? c->model : c->model_asked)) &&
	       (!a->provider.p || slice_eq(a->provider, c->provider)) &&
	       (!a->tag.p || slice_eq(a->tag, c->user));
}

static enum errc count(void *arg, const struct ledger_item *item)
{
	struct naive *v = arg;
	struct record rec, charge;
	struct buf b;
	uint64_t seq;

	assert_int_equal(record_decode(item->record, &rec), ERRC_OK);
	if (rec.type == RECORD_CHARGE && wanted(v, &rec)) {
		struct report_row *g = group_of(v, &rec);

		g->requests++;
		g->failed += rec.charge.end != RECORD_END_DONE;
		g->input += usage_input_total(&rec.charge.usage);
		g->output += usage_output_total(&rec.charge.usage);
		g->charge_nusd += rec.charge.charge_nusd;
		g->uncollected_nusd += rec.charge.uncollected_nusd;
		g->cost_nusd += rec.charge.cost_nusd;
	} else if (rec.type == RECORD_REVERSE) {
		buf_init(&b, RECORD_MAX);
		assert_int_equal(ledger_find(v->s->rig.ledger, &rec.change.id, &seq), ERRC_OK);
		assert_int_equal(ledger_get(v->s->rig.ledger, seq, &b), ERRC_OK);
		assert_int_equal(record_decode(buf_slice(&b), &charge), ERRC_OK);
		if (wanted(v, &charge)) {
			struct report_row *g = group_of(v, &charge);

			g->charge_nusd -= rec.change.amount_nusd;
			g->uncollected_nusd -= rec.change.uncollected_nusd;
		}
		buf_fini(&b);
	}
	return ERRC_OK;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct group *)a)->name, ((const struct group *)b)->name);
}

static void assert_rows_equal(const struct report_row *a, const struct report_row *b)
{
	assert_int_equal(a->requests, b->requests);
	assert_int_equal(a->failed, b->failed);
	assert_int_equal(a->input, b->input);
	assert_int_equal(a->output, b->output);
	assert_int_equal(a->charge_nusd, b->charge_nusd);
	assert_int_equal(a->uncollected_nusd, b->uncollected_nusd);
	assert_int_equal(a->cost_nusd, b->cost_nusd);
}

static void assert_report(struct scene *s, const struct report_ask *ask)
{
	struct naive *v = mem_new_of(struct naive);
	struct report *rep = NULL;
	struct report_row total;
	uint64_t seq = 1;

	v->s = s;
	v->ask = ask;
	assert_int_equal(ledger_walk(s->rig.ledger, &seq, UINT64_MAX, count, v), ERRC_OK);
	qsort(v->groups, v->n, sizeof *v->groups, by_name);
	assert_int_equal(report_new(s->rig.ledger, s->rig.live, ask, &rep), ERRC_OK);
	if (ask->by_n == 0) {
		static const struct report_row none;

		total = report_total(rep);
		assert_rows_equal(&total, v->n ? &v->groups[0].sums : &none);
	} else {
		assert_int_equal(report_rows_n(rep), v->n);
		for (size_t i = 0; i < v->n; i++) {
			struct report_row row = report_row_at(rep, i);
			char name[256] = "";

			for (size_t d = 0; d < ask->by_n; d++)
				snprintf(name + strlen(name), sizeof name - strlen(name),
					 SLICE_FMT "\1", SLICE_ARG(row.name[d]));
			assert_string_equal(name, v->groups[i].name);
			assert_rows_equal(&row, &v->groups[i].sums);
		}
	}
	report_free(&rep);
	mem_free(v);
}

static struct slice some(struct scene *s, const char *const *names, unsigned n)
{
	return pick(s, 4) ? SLICE_NONE : slice_str(names[pick(s, n)]);
}

/* Up to three dimensions, each once. */
static void choose_by(struct scene *s, unsigned d, struct report_ask *ask)
{
	const enum report_dim by[] = {(enum report_dim)(d / REPORT_DIM_COUNT),
				      (enum report_dim)(d % REPORT_DIM_COUNT),
				      (enum report_dim)pick(s, REPORT_DIM_COUNT)};
	size_t most = pick(s, 4);

	ask->by_n = 0;
	for (size_t i = 0; i < most; i++) {
		bool there = false;

		for (size_t k = 0; k < ask->by_n; k++)
			there |= ask->by[k] == by[i];
		if (!there)
			ask->by[ask->by_n++] = by[i];
	}
}

/* Nearly always less than all of them, and some that nothing has. */
static void choose_filters(struct scene *s, struct report_ask *ask)
{
	ask->account = pick(s, 3) ? 0 : s->account[pick(s, ACCOUNTS)];
	ask->key_id = pick(s, 3) ? NULL : s->key[pick(s, KEYS)];
	ask->team = pick(s, 4) ? NULL : s->team[pick(s, ACCOUNTS)];
	ask->model = some(s, models, ARRAY_LEN(models));
	ask->provider = some(s, providers, ARRAY_LEN(providers));
	ask->tag = some(s, users, ARRAY_LEN(users));
}

/* Choices of up to three dimensions and of filters, over spans with and without whole days, of which less or more than half
 * is asked for. */
static void assert_reports(struct scene *s)
{
	static const int64_t borders[] = {0, 2, 22, 24, 30, 41, 47, 48, 72, 100000};

	for (size_t a = 0; a < ARRAY_LEN(borders); a++) {
		for (size_t b = a; b < ARRAY_LEN(borders); b++) {
			struct report_ask ask = {.since_ms = DAY_0 + borders[a] * HOUR_MS,
						 .until_ms = b + 1 == ARRAY_LEN(borders)
								     ? INT64_MAX
								     : DAY_0 + borders[b] * HOUR_MS,
						 .by_n = 2};

			for (unsigned d = pick(s, 3); d < REPORT_DIM_COUNT * REPORT_DIM_COUNT;
			     d += 1 + pick(s, 6)) {
				choose_by(s, d, &ask);
				choose_filters(s, &ask);
				assert_report(s, &ask);
			}
		}
	}
}

static void reopen(struct scene *s)
{
	rig_close(&s->rig);
	rig_open(&s->rig);
}

static void test_reports_are_those_of_the_records(void **state)
{
	struct scene *s = *state;

	fill(s);
	assert_reports(s);
	reopen(s);
	assert_reports(s);
	checkpoint(s->rig.ledger);
	checkpoint(s->rig.ledger);
	assert_int_equal(s->rig.ledger->rollup.n, 0);
	assert_reports(s);
}

/* Users of one account, or of one model, are many rows away from those of another. */
static void test_many_users(void **state)
{
	struct scene *s = *state;
	struct record rec;
	char name[64];

	for (int i = 0; i < 1200; i++) {
		make_charge(s, DAY_0 + i % 2 * 24 * HOUR_MS, &rec);
		snprintf(name, sizeof name, "user %u%s", pick(s, 500),
			 i % 3 ? "" : " of a long name");
		if (pick(s, 10))
			rec.charge.user = slice_str(name);
		take(s, &rec);
	}
	checkpoint(s->rig.ledger);
	checkpoint(s->rig.ledger);
	assert_int_equal(s->rig.ledger->rollup.n, 0);
	for (unsigned i = 0; i < 200; i++) {
		struct report_ask ask = {.until_ms = INT64_MAX};

		choose_by(s, pick(s, REPORT_DIM_COUNT * REPORT_DIM_COUNT), &ask);
		if (ask.by_n == 0 || ask.by[0] != REPORT_TAG)
			ask.by[ask.by_n++] = REPORT_TAG;
		for (size_t k = 1; k + 1 < ask.by_n; k++) {
			if (ask.by[k] == REPORT_TAG)
				ask.by_n--;
		}
		choose_filters(s, &ask);
		ask.tag = SLICE_NONE;
		assert_report(s, &ask);
	}
}

static void verify(struct scene *s, struct verify_result *v)
{
	assert_int_equal(verify_ledger(s->rig.ledger, false, NULL, NULL, v), ERRC_OK);
}

/* A row of each cut that lies about its day. */
static void test_verify_finds_a_wrong_row(void **state)
{
	static const enum rollup_cut cuts[] = {ROLLUP_DAYS, ROLLUP_MODELS, ROLLUP_PAYERS,
					       ROLLUP_KEYS, ROLLUP_TAGS,   ROLLUP_USERS};
	struct scene *s = *state;
	struct ledger *l = s->rig.ledger;
	struct verify_result v;

	fill(s);
	verify(s, &v);
	assert_int_equal(v.bad_day, ROLLUP_DAY_MAX);
	checkpoint(l);
	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		uint8_t from[RUNS_HEAD] = {cuts[i]};
		MDB_txn *txn;

		for (int times = 0; times < 2; times++) {
			struct rollup_sums lie;
			struct runs_row row;
			struct runs_walk w;

			assert_int_equal(mdb_txn_begin(l->env, NULL, 0, &txn), 0);
			assert_int_equal(runs_open(&w, txn, l->rollups), ERRC_OK);
			assert_int_equal(runs_seek(&w, slice_of(from, sizeof from)), ERRC_OK);
			runs_close(&w);
			runs_sums(&w.numbers, &lie);
			lie = (struct rollup_sums){.first_seq = lie.first_seq,
						   .last_seq = lie.last_seq,
						   .charge_nusd = times ? -1 : 1};
			row = (struct runs_row){slice_of(w.key, w.key_n), &lie};
			assert_int_equal(runs_add(txn, l->rollups, &row, 1, NULL), ERRC_OK);
			assert_int_equal(mdb_txn_commit(txn), 0);
			verify(s, &v);
			assert_int_equal(v.bad_day, times ? ROLLUP_DAY_MAX : DAY_0 / ROLLUP_DAY_MS);
			assert_int_equal(verify_is_good(&v), times);
		}
	}
}

/* A row of each cut but the days' whose numbers stand in one of another name: the day has the same as before. */
static void test_verify_finds_a_row_of_another_name(void **state)
{
	static const enum rollup_cut cuts[] = {ROLLUP_MODELS, ROLLUP_PAYERS, ROLLUP_KEYS,
					       ROLLUP_TAGS, ROLLUP_USERS};
	struct scene *s = *state;
	struct ledger *l = s->rig.ledger;
	struct verify_result v;

	fill(s);
	checkpoint(l);
	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		uint8_t from[RUNS_HEAD] = {cuts[i]}, other[RUNS_KEY_MAX];
		struct rollup_sums sums;
		struct runs_walk w;
		MDB_txn *txn;

		assert_int_equal(mdb_txn_begin(l->env, NULL, 0, &txn), 0);
		assert_int_equal(runs_open(&w, txn, l->rollups), ERRC_OK);
		assert_int_equal(runs_seek(&w, slice_of(from, sizeof from)), ERRC_OK);
		runs_close(&w);
		runs_sums(&w.numbers, &sums);
		memcpy(other, w.key, w.key_n);
		other[w.key_n - 1]++;
		mdb_txn_abort(txn);
		for (int times = 0; times < 2; times++) {
			struct rollup_sums less = {.first_seq = sums.first_seq,
						   .last_seq = sums.last_seq};
			const struct runs_row rows[] = {
				{slice_of(w.key, w.key_n), times ? &sums : &less},
				{slice_of(other, w.key_n), times ? &less : &sums}};

			rollup_sums_sub(&less, &sums);
			assert_int_equal(mdb_txn_begin(l->env, NULL, 0, &txn), 0);
			for (size_t r = 0; r < ARRAY_LEN(rows); r++)
				assert_int_equal(runs_add(txn, l->rollups, &rows[r], 1, NULL),
						 ERRC_OK);
			assert_int_equal(mdb_txn_commit(txn), 0);
			verify(s, &v);
			assert_int_equal(v.bad_day, times ? ROLLUP_DAY_MAX : DAY_0 / ROLLUP_DAY_MS);
		}
	}
}

/* What an aborted transaction added or wrote is not there, nor twice once it is repeated. */
static void test_aborted(void **state)
{
	struct scene *s = *state;
	struct ledger *l = s->rig.ledger;
	const struct report_ask ask = {.until_ms = INT64_MAX, .by = {REPORT_DAY}, .by_n = 1};
	struct record never = {.type = RECORD_CHARGE,
			       .account = s->account[0],
			       .wall_ms = DAY_0,
			       .charge = {.charge_nusd = 5, .model = SLICE_LIT("m")}};
	uint64_t seq;

	memcpy(never.charge.key_id, s->key[0], APIKEY_ID);
	usage_init(&never.charge.usage);
	fill(s);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ledger_begin(l), ERRC_OK);
		assert_int_equal(ledger_checkpoint(l), ERRC_OK);
		assert_int_equal(ledger_append(l, &never, &seq), ERRC_OK);
		ledger_abort(l);
		assert_report(s, &ask);
	}
	for (int i = 0; i < 2; i++) {
		checkpoint(l);
		assert_report(s, &ask);
	}
}

/* More kinds of rows than memory keeps: they go to disk between two checkpoints, and again on a start that has them all to
 * do. */
static void test_many_rows(void **state)
{
	struct scene *s = *state;
	struct ledger *l = s->rig.ledger;
	const struct report_ask ask = {.until_ms = INT64_MAX, .by = {REPORT_MODEL}, .by_n = 1};
	struct report *rep = NULL;
	struct record rec;
	char name[32];
	MDB_txn *txn;
	uint64_t rolled;

	for (int i = 0; i < 50; i++) {
		uint64_t seq;

		assert_int_equal(ledger_begin(l), ERRC_OK);
		for (int k = 0; k < 200; k++) {
			make_charge(s, DAY_0, &rec);
			snprintf(name, sizeof name, "model %d", i * 200 + k);
			rec.charge.model = slice_str(name);
			assert_int_equal(ledger_append(l, &rec, &seq), ERRC_OK);
		}
		assert_int_equal(ledger_commit(l), ERRC_OK);
		assert_true(l->rollup.n < ROLLUP_ROWS_MAX + 610);
	}
	/* They are neighbours: more of them may wait the next time. */
	assert_int_equal(l->rollup.full, ROLLUP_ROWS_MAX);
	assert_int_equal(ledger_read_begin(l, &txn), ERRC_OK);
	assert_int_equal(ledger_rolled_upto(l, txn, &rolled), ERRC_OK);
	ledger_read_end(&txn);
	assert_true(rolled > 0 && rolled < ledger_state(l)->last_seq);
	/* As if none of them had been written. */
	assert_int_equal(mdb_txn_begin(l->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_drop(txn, l->rollups, 0), 0);
	assert_int_equal(lmdbx_del(txn, l->meta, SLICE_LIT("rolled")), ERRC_OK);
	assert_int_equal(mdb_txn_commit(txn), 0);
	reopen(s);
	l = s->rig.ledger;
	assert_true(l->rollup.n < ROLLUP_ROWS_MAX);
	assert_int_equal(report_new(l, NULL, &ask, &rep), ERRC_OK);
	assert_int_equal(report_rows_n(rep), 10000);
	assert_int_equal(report_total(rep).requests, 10000);
	report_free(&rep);
}

/* How many rows may wait goes by how many runs those before were in. */
static void test_full(void **state)
{
	struct scene *s = *state;
	struct ledger *l = s->rig.ledger;
	struct record rec;
	char name[32];

	for (int round = 0; round < 2; round++) {
		uint64_t seq;

		assert_int_equal(l->rollup.full, ROLLUP_ROWS_MIN);
		assert_int_equal(ledger_begin(l), ERRC_OK);
		for (int i = 0; i < 3000; i++) {
			make_charge(s, DAY_0, &rec);
			snprintf(name, sizeof name, "model %d %d", round, i);
			rec.charge.model = slice_str(name);
			assert_int_equal(ledger_append(l, &rec, &seq), ERRC_OK);
		}
		assert_int_equal(ledger_commit(l), ERRC_OK);
		assert_int_equal(rollup_is_full(&l->rollup), l->rollup.n >= ROLLUP_ROWS_MIN);
		checkpoint(l);
		assert_int_equal(l->rollup.n, 0);
		assert_int_equal(l->rollup.full, ROLLUP_ROWS_MAX);
		/* One row in each run. */
		assert_int_equal(ledger_begin(l), ERRC_OK);
		assert_int_equal(ledger_append(l, &rec, &seq), ERRC_OK);
		assert_int_equal(ledger_commit(l), ERRC_OK);
		checkpoint(l);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_reports_are_those_of_the_records),
		T(test_many_users),
		T(test_verify_finds_a_wrong_row),
		T(test_verify_finds_a_row_of_another_name),
		T(test_aborted),
		T(test_many_rows),
		T(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
