/* Rows in runs against an array of them: the same rows in the same order whatever was added in which pieces. */
#include "runs.h"

#include <stdio.h>
#include <stdlib.h>

#include "rig.h"
#include "folder.h"
#include "mem.h"
#include "text.h"

#define ROWS_N 6000
#define HEADS  4

struct entry {
	size_t n;
	uint8_t key[RUNS_KEY_MAX];
	struct rollup_sums sums;
};

struct scene {
	char dir[32];
	MDB_env *env;
	MDB_dbi db;
	struct text_rng rng;
	struct entry *e; /* sorted */
	size_t n;
};

static uint64_t pick(struct scene *s, uint64_t n)
{
	return text_rng_next(&s->rng) % n;
}

static int setup(void **state)
{
	struct scene *s = mem_new_of(struct scene);
	struct lmdbx_opts o = {.dir = s->dir, .map_bytes = 64 << 20, .readers_max = 8, .dbs_max = 2};
	MDB_txn *txn;

	snprintf(s->dir, sizeof s->dir, "/tmp/test-runs-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	o.flags = MDB_NOSYNC;
	assert_int_equal(lmdbx_open(&o, &s->env), ERRC_OK);
	assert_int_equal(mdb_txn_begin(s->env, NULL, 0, &txn), 0);
	assert_int_equal(lmdbx_db(txn, "runs", MDB_CREATE, &s->db), ERRC_OK);
	assert_int_equal(mdb_txn_commit(txn), 0);
	s->e = mem_new(ROWS_N * sizeof *s->e);
	s->rng = (struct text_rng){{3, 9}};
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	mdb_env_close(s->env);
	folder_remove("%s", s->dir);
	mem_free(s->e);
	mem_free(s);
	return 0;
}

static MDB_txn *begin(struct scene *s)
{
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(s->env, NULL, 0, &txn), 0);
	return txn;
}

/* Heads that follow each other, then a few bytes, now and then very many. */
static void make_key(struct scene *s, struct entry *e)
{
	size_t more = pick(s, 40) ? pick(s, 12) : pick(s, RUNS_KEY_MAX - RUNS_HEAD + 1);

	memset(e->key, 0, RUNS_HEAD);
	e->key[4] = (uint8_t)pick(s, HEADS);
	e->n = RUNS_HEAD + more;
	for (size_t i = RUNS_HEAD; i < e->n; i++)
		e->key[i] = i < RUNS_HEAD + 2 || i + 1 == e->n ? (uint8_t)pick(s, 256) : 'k';
}

static int64_t number(struct scene *s)
{
	static const int64_t edges[] = {0,    0,   0,   1,      -1,        127,       128,
					-128, 255, 256, -65536, INT64_MAX, INT64_MIN, 77};

	if (pick(s, 4))
		return edges[pick(s, ARRAY_LEN(edges))];
	return (int64_t)(text_rng_next(&s->rng) >> pick(s, 64));
}

/* What overflows is no matter here: a row that is there already takes small numbers only. */
static void make_sums(struct scene *s, bool is_new, struct rollup_sums *v)
{
	*v = (struct rollup_sums){.first_seq = 1 + pick(s, 1000)};
	v->last_seq = v->first_seq + pick(s, 100000);
	v->requests = 1;
	v->charge_nusd = is_new ? number(s) : 0;
	v->input = is_new ? number(s) : 0;
	v->cost_nusd = is_new ? number(s) : 0;
	v->cached = is_new ? number(s) : 0;
	v->uncollected_nusd = is_new ? number(s) : 0;
	v->failed = (int64_t)pick(s, 2);
}

static int order(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return slice_cmp(slice_of(x->key, x->n), slice_of(y->key, y->n));
}

/* How many rows stand before this key. */
static size_t before(const struct scene *s, const struct entry *e)
{
	size_t from = 0, to = s->n;

	while (from < to) {
		size_t mid = (from + to) / 2;

		if (order(&s->e[mid], e) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

static bool is_there(const struct scene *s, const struct entry *e)
{
	size_t i = before(s, e);

	return i < s->n && order(&s->e[i], e) == 0;
}

static void add_one(struct scene *s, const struct entry *e)
{
	size_t i = before(s, e);

	if (is_there(s, e)) {
		rollup_sums_add(&s->e[i].sums, &e->sums);
		return;
	}
	assert_true(s->n < ROWS_N);
	memmove(s->e + i + 1, s->e + i, (s->n++ - i) * sizeof *e);
	s->e[i] = *e;
}

/* Adds up to `n` rows at once, some of them there already. */
static void add(struct scene *s, size_t n)
{
	struct entry *more = mem_new(n * sizeof *more);
	struct runs_row *rows = mem_new(n * sizeof *rows);
	MDB_txn *txn = begin(s);
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (s->n && pick(s, 3) == 0)
			more[i] = s->e[pick(s, s->n)];
		else
			make_key(s, &more[i]);
	}
	qsort(more, n, sizeof *more, order);
	for (size_t i = 0; i < n; i++) {
		if (i && order(&more[i - 1], &more[i]) == 0)
			continue;
		make_sums(s, !is_there(s, &more[i]), &more[i].sums);
		rows[kept++] = (struct runs_row){slice_of(more[i].key, more[i].n), &more[i].sums};
	}
	assert_int_equal(runs_add(txn, s->db, rows, kept, NULL), ERRC_OK);
	assert_int_equal(mdb_txn_commit(txn), 0);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || order(&more[i - 1], &more[i]) != 0)
			add_one(s, &more[i]);
	}
	mem_free(rows);
	mem_free(more);
}

/* All but the sequence numbers are added and taken away. */
static void assert_counted(const struct runs_numbers *n, const struct rollup_sums *s)
{
	struct rollup_sums sums = {.first_seq = s->first_seq, .last_seq = s->last_seq};
	const struct rollup_sums none = sums;

	runs_plus(n, &sums);
	assert_memory_equal(&sums, s, sizeof sums);
	runs_minus(n, &sums);
	assert_memory_equal(&sums, &none, sizeof sums);
}

static void assert_row(const struct runs_walk *w, const struct entry *e)
{
	struct rollup_sums sums;

	runs_sums(&w->numbers, &sums);
	assert_counted(&w->numbers, &sums);
	assert_int_equal(w->key_n, e->n);
	assert_memory_equal(w->key, e->key, e->n);
	assert_memory_equal(&sums, &e->sums, sizeof e->sums);
}

/* From `key` on to the end, each row with what it shares with the one before. */
static void assert_from(struct scene *s, const struct entry *key)
{
	MDB_txn *txn = begin(s);
	struct runs_walk w;
	enum errc rc;
	size_t i = 0;

	while (i < s->n && order(&s->e[i], key) < 0)
		i++;
	assert_int_equal(runs_open(&w, txn, s->db), ERRC_OK);
	rc = runs_seek(&w, slice_of(key->key, key->n));
	for (size_t first = i; i < s->n; i++) {
		assert_int_equal(rc, ERRC_OK);
		assert_row(&w, &s->e[i]);
		if (i == first)
			assert_int_equal(w.shared, 0);
		else
			assert_memory_equal(w.key, s->e[i - 1].key, w.shared);
		rc = runs_next(&w);
	}
	assert_int_equal(rc, ERRC_NOTFOUND);
	runs_close(&w);
	mdb_txn_abort(txn);
}

static void assert_all(struct scene *s)
{
	struct entry first = {.n = RUNS_HEAD};

	assert_from(s, &first);
}

static void test_rows(void **state)
{
	struct scene *s = *state;
	struct entry key;

	assert_all(s);
	while (s->n < ROWS_N / 2) {
		add(s, 1 + pick(s, pick(s, 3) ? 9 : 600));
		assert_all(s);
		for (int i = 0; i < 20; i++) {
			make_key(s, &key);
			assert_from(s, i % 2 ? &key : &s->e[pick(s, s->n)]);
		}
	}
}

/* Each key below all others, one at a time: the first run of a head takes it. */
static void test_backwards(void **state)
{
	struct scene *s = *state;
	struct rollup_sums one = {.first_seq = 1, .last_seq = 1, .requests = 1};
	MDB_txn *txn = begin(s);
	struct runs_walk w;
	MDB_stat st;

	for (int i = 999; i >= 0; i--) {
		uint8_t key[RUNS_HEAD + 2] = {0, 0, 0, 0, 1, (uint8_t)(i >> 8), (uint8_t)i};
		struct runs_row row = {slice_of(key, sizeof key), &one};

		assert_int_equal(runs_add(txn, s->db, &row, 1, NULL), ERRC_OK);
	}
	assert_int_equal(runs_open(&w, txn, s->db), ERRC_OK);
	for (int i = 0; i < 1000; i++) {
		const uint8_t from[RUNS_HEAD] = {0};

		assert_int_equal(i ? runs_next(&w) : runs_seek(&w, slice_of(from, sizeof from)),
				 ERRC_OK);
		assert_int_equal(w.key[RUNS_HEAD] << 8 | w.key[RUNS_HEAD + 1], i);
	}
	assert_int_equal(runs_next(&w), ERRC_NOTFOUND);
	runs_close(&w);
	assert_int_equal(mdb_stat(txn, s->db, &st), 0);
	assert_true(st.ms_entries < 30);
	mdb_txn_abort(txn);
}

static void test_forget(void **state)
{
	const uint8_t from[RUNS_HEAD] = {0}, to[RUNS_HEAD] = {0, 0, 0, 0, 1};
	struct scene *s = *state;
	size_t gone = 0, left, calls = 0;

	while (s->n < ROWS_N / 4)
		add(s, 500);
	while (gone < s->n && s->e[gone].key[4] <= 1)
		gone++;
	assert_true(gone > 0);
	do {
		MDB_txn *txn = begin(s);

		left = 3;
		assert_int_equal(runs_forget(txn, s->db, from, to, &left), ERRC_OK);
		assert_int_equal(mdb_txn_commit(txn), 0);
		calls++;
	} while (left == 0);
	assert_true(calls > 3);
	memmove(s->e, s->e + gone, (s->n - gone) * sizeof *s->e);
	s->n -= gone;
	assert_all(s);
	add(s, 500);
	assert_all(s);
}

/* A value of other bytes than were written is an error or other rows, read within its bounds. */
static void test_corrupt(void **state)
{
	struct scene *s = *state;
	MDB_txn *txn;
	MDB_cursor *c;
	struct slice key = SLICE_NONE, value;
	uint8_t *cut;

	add(s, 60);
	for (size_t n = 0;; n++) {
		struct runs_walk w;
		enum errc rc;
		uint8_t flip = (uint8_t)(1 + pick(s, 255));

		txn = begin(s);
		assert_int_equal(mdb_cursor_open(txn, s->db, &c), 0);
		assert_int_equal(lmdbx_move(c, MDB_FIRST, &key, &value), ERRC_OK);
		if (n == 2 * value.n) {
			mdb_cursor_close(c);
			mdb_txn_abort(txn);
			break;
		}
		cut = mem_new(value.n);
		assert_non_null(cut);
		memcpy(cut, value.p, value.n);
		if (n >= value.n)
			cut[n - value.n] ^= flip;
		assert_int_equal(
			lmdbx_cursor_put(c, key, slice_of(cut, n < value.n ? n : value.n), 0),
			ERRC_OK);
		mdb_cursor_close(c);
		mem_free(cut);
		assert_int_equal(runs_open(&w, txn, s->db), ERRC_OK);
		rc = runs_seek(&w, slice_of("\0\0\0\0\0", RUNS_HEAD));
		while (!rc)
			rc = runs_next(&w);
		assert_true(rc == ERRC_CORRUPT || rc == ERRC_NOTFOUND);
		runs_close(&w);
		mdb_txn_abort(txn);
	}
}

static void test_no_memory(void **state)
{
	struct scene *s = *state;
	struct rollup_sums one = {.first_seq = 1, .last_seq = 1, .requests = 1};
	struct runs_row row = {SLICE_LIT("abcdef"), &one};
	MDB_txn *txn = begin(s);

	mem_fail_after(1);
	assert_int_equal(runs_add(txn, s->db, &row, 1, NULL), ERRC_NOMEM);
	mem_fail_after(0);
	assert_int_equal(runs_add(txn, s->db, &row, 1, NULL), ERRC_OK);
	mdb_txn_abort(txn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_backwards, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_corrupt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
