/* What scopes have used, wherever it stands: many of an account come and go, grow and shrink, and each is read as it was written last, from the
 * row of several or from its own, never from both. */
#include "rig.h"

#include <stdio.h>

#include "live_states.h"
#include "mem.h"

#define SCOPES 40
#define STEPS  20000

static struct {
	struct rig rig;
	uint64_t account;
	bool there[SCOPES];
	struct rows_state is[SCOPES];
} scene;

static int setup(void **state)
{
	(void)state;
	rig_init(&scene.rig);
	rig_open(&scene.rig);
	rig_join(&scene.rig);
	scene.account = rig_account(&scene.rig, "acme", RIG_DOLLAR);
	memset(scene.there, 0, sizeof scene.there);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_fini(&scene.rig);
	return 0;
}

static uint64_t seed = 1;

static unsigned pick(unsigned n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static enum rows_kind kind_of(size_t i)
{
	static const enum rows_kind kinds[] = {ROWS_TEAM, ROWS_KEY, ROWS_USER};

	return i == 0 ? ROWS_ACCOUNT : kinds[i % 3];
}

static const char *id_of(size_t i, char id[ROWS_ID + 1])
{
	memset(id, 0, ROWS_ID + 1);
	if (i > 0)
		snprintf(id, ROWS_ID + 1, "scope%07zu",
			 i % (SCOPES - 3)); /* some differ by their kind */
	return id;
}

static struct rows_state some_state(unsigned rules)
{
	struct rows_state s = {.holds = pick(3), .requests = pick(1000), .used_s = pick(100000)};

	for (s.n = 0; s.n < rules; s.n++) {
		struct rows_counter *c = &s.counters[s.n];

		*c = (struct rows_counter){.id = (uint32_t)s.n + 1, .kind = ROWS_BUDGET};
		c->budget.cur.id = pick(1 << 30);
		c->budget.cur.used_nusd = pick(1 << 30);
	}
	return s;
}

static void expect(MDB_txn *txn, size_t i)
{
	char id[ROWS_ID + 1];
	struct rows_state s;
	struct slice row;

	assert_int_equal(
		live_state_row(scene.rig.live, txn, scene.account, kind_of(i), id_of(i, id), &row),
		scene.there[i] ? ERRC_OK : ERRC_NOTFOUND);
	assert_int_equal(live_get_state(scene.rig.live, txn, scene.account, kind_of(i), id, &s),
			 ERRC_OK);
	if (!scene.there[i])
		scene.is[i] = (struct rows_state){0};
	assert_int_equal(s.holds, scene.is[i].holds);
	assert_int_equal(s.requests, scene.is[i].requests);
	assert_int_equal(s.used_s, scene.is[i].used_s);
	assert_int_equal(s.n, scene.is[i].n);
	for (size_t c = 0; c < s.n; c++) {
		assert_int_equal(s.counters[c].budget.cur.id, scene.is[i].counters[c].budget.cur.id);
		assert_int_equal(s.counters[c].budget.cur.used_nusd,
				 scene.is[i].counters[c].budget.cur.used_nusd);
	}
}

/* How many stand in the row of several; the others in `own`. */
static size_t count(size_t *own)
{
	struct rows_key_name from = rows_name_states(scene.account);
	struct slice key = live_name(&from), value, id;
	struct rows_states w;
	size_t several = 0;
	enum rows_kind kind;
	uint64_t account;
	MDB_cursor *c;
	MDB_txn *txn;
	enum errc rc;

	*own = 0;
	assert_int_equal(live_read_begin(scene.rig.live, &txn), ERRC_OK);
	assert_int_equal(mdb_cursor_open(txn, scene.rig.live->rows, &c), 0);
	rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);
	for (; !rc; rc = lmdbx_move(c, MDB_NEXT, &key, &value)) {
		assert_true(rows_name_parse(key, &account, &kind, &id));
		if (account != scene.account || kind != ROWS_STATE)
			break;
		assert_true(id.n > 0 || (value.n > ROWS_STATES_EMPTY && value.n <= ROWS_STATES_MAX));
		assert_int_equal(rows_states_begin(&w, id, value), ERRC_OK);
		while (!(rc = rows_states_next(&w)))
			*(id.n > 0 ? own : &several) += 1;
		assert_int_equal(rc, ERRC_NOTFOUND);
		rc = ERRC_OK;
	}
	mdb_cursor_close(c);
	live_read_end(scene.rig.live);
	return several;
}

static void expect_all(void)
{
	size_t own, n = 0;
	MDB_txn *txn;

	assert_int_equal(live_read_begin(scene.rig.live, &txn), ERRC_OK);
	for (size_t i = 0; i < SCOPES; i++) {
		expect(txn, i);
		n += scene.there[i];
	}
	live_read_end(scene.rig.live);
	assert_int_equal(count(&own) + own, n);
}

/* Up to four that differ, put or taken away. */
static void change(MDB_txn *txn, bool there[SCOPES], struct rows_state is[SCOPES])
{
	struct live_state of[ROWS_SCOPES_MAX];
	char ids[ROWS_SCOPES_MAX][ROWS_ID + 1];
	size_t n = 0, at[ROWS_SCOPES_MAX], most = 1 + pick(ROWS_SCOPES_MAX);

	for (size_t i = pick(SCOPES); n < most && i < SCOPES; i += 1 + pick(8)) {
		there[i] = pick(4) > 0;
		is[i] = some_state(pick(20)); /* some are longer than a byte says */
		of[n] = (struct live_state){kind_of(i), id_of(i, ids[n]), there[i] ? &is[i] : NULL};
		at[n++] = i;
	}
	if (n == 1 && there[at[0]])
		assert_int_equal(live_put_state(scene.rig.live, txn, scene.account, of[0].kind,
						of[0].id, of[0].state),
				 ERRC_OK);
	else if (n == 1)
		assert_int_equal(
			live_del_state(scene.rig.live, txn, scene.account, of[0].kind, of[0].id),
			ERRC_OK);
	else
		assert_int_equal(live_put_states(scene.rig.live, txn, scene.account, of, n),
				 ERRC_OK);
}

static void test_come_and_go(void **state)
{
	size_t own, both = 0;

	(void)state;
	for (size_t step = 0; step < STEPS; step++) {
		bool there[SCOPES];
		struct rows_state is[SCOPES];
		MDB_txn *txn;

		memcpy(there, scene.there, sizeof there);
		memcpy(is, scene.is, sizeof is);
		assert_int_equal(live_txn_begin(scene.rig.live, &txn), ERRC_OK);
		for (unsigned n = pick(3) + 1; n > 0; n--)
			change(txn, there, is);
		if (pick(4) == 0) {
			live_txn_abort(scene.rig.live, &txn);
		} else {
			assert_int_equal(live_txn_commit(scene.rig.live, &txn), ERRC_OK);
			memcpy(scene.there, there, sizeof there);
			memcpy(scene.is, is, sizeof is);
		}
		if (step % 16 == 0)
			expect_all();
		both += step % 16 == 0 && count(&own) > 0 && own > 0;
	}
	assert_true(both > STEPS / 32);
	for (size_t i = 0; i < SCOPES; i++) {
		char id[ROWS_ID + 1];
		MDB_txn *txn;

		scene.there[i] = false;
		assert_int_equal(live_txn_begin(scene.rig.live, &txn), ERRC_OK);
		assert_int_equal(live_del_state(scene.rig.live, txn, scene.account, kind_of(i),
						id_of(i, id)),
				 ERRC_OK);
		assert_int_equal(live_txn_commit(scene.rig.live, &txn), ERRC_OK);
		expect_all();
	}
	assert_int_equal(count(&own), 0);
}

/* The states of a request are one row. */
static void test_those_of_a_request(void **state)
{
	static const enum rows_kind kinds[] = {ROWS_ACCOUNT, ROWS_TEAM, ROWS_KEY, ROWS_USER};
	struct rows_state s = some_state(6);
	struct live_state of[ROWS_SCOPES_MAX];
	size_t own;
	MDB_txn *txn;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		of[i] = (struct live_state){kinds[i], "abcdefghijkl", &s};
	assert_int_equal(live_txn_begin(scene.rig.live, &txn), ERRC_OK);
	assert_int_equal(live_put_states(scene.rig.live, txn, scene.account, of, ARRAY_LEN(of)),
			 ERRC_OK);
	assert_int_equal(live_txn_commit(scene.rig.live, &txn), ERRC_OK);
	assert_int_equal(count(&own), ARRAY_LEN(of));
	assert_int_equal(own, 0);
}

static size_t bytes_of(const struct rows_state *s)
{
	struct buf b;
	size_t n;

	buf_init(&b, ROWS_MAX);
	assert_int_equal(rows_put_state(&b, s), ERRC_OK);
	n = b.len;
	buf_fini(&b);
	return n;
}

/* A state of exactly so many bytes: as many counters as there is room for, then numbers that take a byte more. */
static struct rows_state sized(size_t bytes)
{
	struct rows_state s = {.n = 0};

	for (; bytes_of(&s) <= bytes; s.n++) {
		s.counters[s.n] =
			(struct rows_counter){.id = (uint32_t)s.n + 1, .kind = ROWS_BUDGET};
		s.counters[s.n].budget.cur.used_nusd = INT64_C(1) << 32;
	}
	s.n--;
	for (size_t i = 0; bytes_of(&s) < bytes; i = (i + 1) % s.n)
		s.counters[i].budget.cur.used_nusd <<= 8;
	assert_int_equal(bytes_of(&s), bytes);
	return s;
}

/* To the last byte, and not one more. */
static void test_room(void **state)
{
	static const char *const ids[] = {"aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"};
	size_t own, left = ROWS_STATES_MAX - ROWS_STATES_EMPTY, each;
	struct rows_state s;
	MDB_txn *txn;

	(void)state;
	each = left / 3 - ROWS_STATES_ENTRY(0);
	for (size_t more = 0; more < 2; more++) {
		assert_int_equal(live_txn_begin(scene.rig.live, &txn), ERRC_OK);
		for (size_t i = 0; i < 3; i++) {
			s = sized(i < 2 ? each
					: left - 2 * ROWS_STATES_ENTRY(each) -
						  ROWS_STATES_ENTRY(0) + more);
			assert_int_equal(live_put_state(scene.rig.live, txn, scene.account,
							ROWS_KEY, ids[i], &s),
					 ERRC_OK);
		}
		assert_int_equal(live_txn_commit(scene.rig.live, &txn), ERRC_OK);
		assert_int_equal(count(&own), 3 - more);
		assert_int_equal(own, more);
	}
}

static void put_several(struct slice row)
{
	struct rows_key_name name = rows_name_states(scene.account);
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(scene.rig.live, &txn), ERRC_OK);
	assert_int_equal(live_row_put(scene.rig.live, txn, &name, row, 0), ERRC_OK);
	assert_int_equal(live_txn_commit(scene.rig.live, &txn), ERRC_OK);
}

/* Nothing is written beside a row that cannot be read. */
static void expect_damaged(enum errc want)
{
	static const struct rows_state none = {.n = 0};
	struct rows_state s;
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(scene.rig.live, &txn), ERRC_OK);
	assert_int_equal(
		live_get_state(scene.rig.live, txn, scene.account, ROWS_USER, "zzzzzzzzzzzz", &s),
		want);
	assert_int_equal(live_put_state(scene.rig.live, txn, scene.account, ROWS_USER,
					"zzzzzzzzzzzz", &none),
			 want);
	live_txn_abort(scene.rig.live, &txn);
}

static void test_damage(void **state)
{
	struct rows_state s = some_state(3);
	struct buf one, b;
	size_t first;

	(void)state;
	buf_init(&one, ROWS_MAX);
	buf_init(&b, ROWS_MAX);
	assert_int_equal(rows_put_state(&one, &s), ERRC_OK);
	assert_int_equal(rows_states_start(&b), ERRC_OK);
	assert_int_equal(rows_states_add(&b, ROWS_KEY, "abcdefghijkl", buf_slice(&one)), ERRC_OK);
	first = b.len;
	assert_int_equal(rows_states_add(&b, ROWS_TEAM, "abcdefghijkl", buf_slice(&one)), ERRC_OK);
	for (size_t n = 1; n < b.len; n++) {
		if (n == first)
			continue;
		put_several(slice_of(b.p, n));
		expect_damaged(ERRC_CORRUPT);
	}
	b.p[0]++;
	put_several(buf_slice(&b));
	expect_damaged(ERRC_VERSION);
	b.p[0]--;
	for (int kind = 0; kind < 256; kind++) {
		bool good = kind == ROWS_ACCOUNT || (kind >= ROWS_TEAM && kind <= ROWS_USER);

		b.p[first] = (char)kind;
		put_several(buf_slice(&b));
		if (!good)
			expect_damaged(ERRC_CORRUPT);
	}
	buf_fini(&b);
	buf_fini(&one);
}

/* Without memory nothing is written, or all. */
static void test_no_memory(void **state)
{
	struct rows_state s = some_state(8);
	struct live_state of[ROWS_SCOPES_MAX];
	char ids[ROWS_SCOPES_MAX][ROWS_ID + 1];
	enum errc rc = ERRC_NOMEM;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(of); i++)
		of[i] = (struct live_state){kind_of(i), id_of(i, ids[i]), &s};
	for (unsigned n = 1; rc == ERRC_NOMEM; n++) {
		MDB_txn *txn;

		buf_fini(&scene.rig.live->scratch);
		buf_fini(&scene.rig.live->several);
		assert_int_equal(live_txn_begin(scene.rig.live, &txn), ERRC_OK);
		mem_fail_after(n);
		rc = live_put_states(scene.rig.live, txn, scene.account, of, ARRAY_LEN(of));
		mem_fail_after(0);
		assert_true(n > 1 || rc == ERRC_NOMEM);
		if (!rc) {
			assert_int_equal(live_txn_commit(scene.rig.live, &txn), ERRC_OK);
			for (size_t i = 0; i < ARRAY_LEN(of); i++) {
				scene.there[i] = true;
				scene.is[i] = s;
			}
		}
		live_txn_abort(scene.rig.live, &txn);
		expect_all();
	}
	assert_int_equal(rc, ERRC_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_come_and_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_those_of_a_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
