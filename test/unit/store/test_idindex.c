#include "rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "ledger_priv.h"
#include "mem.h"

#define KEY_A  "aaaaaaaaaaaa"
#define KEY_B  "bbbbbbbbbbbb"
#define DAY_MS INT64_C(86400000)

static uint64_t account;

static int setup(void **state)
{
	static struct rig r;
	struct rows_scope k;

	rig_init(&r);
	rig_open(&r);
	account = rig_account(&r, "acme", RIG_DOLLAR);
	rig_key(&r, account, KEY_A, &k);
	rig_key(&r, account, KEY_B, &k);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	return 0;
}

static struct idindex *index_of(struct rig *r)
{
	return &r->ledger->idindex;
}

/* In the open transaction. The number of the record. */
static uint64_t charge(struct rig *r, const char *upstream_id, const char *key_id)
{
	struct record rec = {.type = RECORD_CHARGE, .account = account, .wall_ms = r->wall_ms};
	uint64_t seq = 0;

	rec.charge.id = rig_id(r);
	rec.charge.upstream_id = slice_str(upstream_id);
	memcpy(rec.charge.key_id, key_id, APIKEY_ID);
	assert_int_equal(ledger_append(r->ledger, &rec, &seq), ERRC_OK);
	return seq;
}

static uint64_t charge_alone(struct rig *r, const char *upstream_id, const char *key_id)
{
	uint64_t seq;

	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	seq = charge(r, upstream_id, key_id);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
	return seq;
}

static void name_nth(char out[32], uint64_t i)
{
	snprintf(out, 32, "chatcmpl-%llu", (unsigned long long)i);
}

/* n charges "chatcmpl-<i>" of the key, i from `from` on, in one commit; the first one's number. */
static uint64_t charges(struct rig *r, uint64_t from, uint64_t n, const char *key_id)
{
	uint64_t first = ledger_state(r->ledger)->last_seq + 1;
	char name[32];

	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	for (uint64_t i = from; i < from + n; i++) {
		name_nth(name, i);
		charge(r, name, key_id);
	}
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
	return first;
}

static void checkpoint(struct rig *r)
{
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_checkpoint(r->ledger), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
}

/* 0: there is none. */
static uint64_t find(struct rig *r, const char *upstream_id, const char *key_id)
{
	uint64_t seq = 0;
	enum errc rc = ledger_find_upstream(r->ledger, slice_str(upstream_id), key_id, &seq);

	assert_true(rc == ERRC_OK || rc == ERRC_NOTFOUND);
	return rc ? 0 : seq;
}

/* The generation id that stands in the record leads to it. */
static void assert_own_id_found(struct ledger *l, uint64_t seq)
{
	struct record rec;
	uint64_t found = 0;
	struct buf b;

	buf_init(&b, RECORD_MAX);
	assert_int_equal(ledger_get(l, seq, &b), ERRC_OK);
	assert_int_equal(record_decode(buf_slice(&b), &rec), ERRC_OK);
	assert_int_equal(ledger_find(l, &rec.charge.id, &found), ERRC_OK);
	assert_int_equal(found, seq);
	rec.charge.id.b[GENID_BYTES - 1] ^= 0x80;
	rec.charge.id.b[0] ^= 0x80;
	assert_int_equal(ledger_find(l, &rec.charge.id, &found), ERRC_NOTFOUND);
	buf_fini(&b);
}

/* Of very many some, spread over all. */
static void assert_all_found(struct rig *r, uint64_t from, uint64_t n, uint64_t first)
{
	char name[32];

	for (uint64_t i = 0; i < n; i += 1 + n / 2500) {
		name_nth(name, from + i);
		assert_int_equal(find(r, name, KEY_A), first + i);
		assert_int_equal(find(r, name, NULL), first + i);
		assert_int_equal(find(r, name, KEY_B), 0);
		assert_own_id_found(r->ledger, first + i);
	}
	assert_int_equal(find(r, "chatcmpl-x", NULL), 0);
}

static size_t rows_n(struct rig *r)
{
	MDB_txn *txn;
	MDB_stat st;

	assert_int_equal(ledger_read_begin(r->ledger, &txn), ERRC_OK);
	assert_int_equal(mdb_stat(txn, r->ledger->upstream, &st), 0);
	ledger_read_end(&txn);
	return st.ms_entries;
}

static void test_from_memory_to_rows(void **state)
{
	struct rig *r = *state;
	uint64_t first = charges(r, 0, IDINDEX_ROWS_MIN - 1, KEY_A);

	assert_all_found(r, 0, IDINDEX_ROWS_MIN - 1, first);
	/* Too few for rows: a checkpoint leaves them where they are. */
	checkpoint(r);
	assert_int_equal(rows_n(r), 0);
	r->wall_ms += DAY_MS;
	charge_alone(r, "chatcmpl-2047", KEY_A);
	checkpoint(r);
	assert_int_equal(index_of(r)->durable_n, 0);
	assert_in_range(rows_n(r), 200, 256); /* chance may leave some slices empty */
	assert_all_found(r, 0, IDINDEX_ROWS_MIN, first);
	/* Beside the rows, newer ones in memory again; days later. */
	r->wall_ms += 40 * DAY_MS;
	assert_int_equal(charges(r, 5000, 10, KEY_A), first + 2048);
	assert_all_found(r, 5000, 10, first + 2048);
	assert_all_found(r, 0, 100, first);
	assert_int_equal(find(r, "", NULL), 0);
}

static void test_many_wait_for_no_checkpoint(void **state)
{
	struct rig *r = *state;
	uint64_t first = charges(r, 0, IDINDEX_ROWS_MAX - 1, KEY_A);

	charges(r, IDINDEX_ROWS_MAX - 1, 1, KEY_A);
	assert_int_equal(rows_n(r), 0);
	charges(r, IDINDEX_ROWS_MAX, 5, KEY_A);
	assert_int_equal(rows_n(r), 256);
	assert_int_equal(index_of(r)->durable_n, 5);
	assert_all_found(r, 0, IDINDEX_ROWS_MAX + 5, first);
}

static void test_newest_of_the_key(void **state)
{
	struct rig *r = *state;
	uint64_t a, b;

	for (int round = 0; round < 3; round++) {
		a = charge_alone(r, "same", KEY_A);
		b = charge_alone(r, "same", KEY_B);
		assert_int_equal(find(r, "same", KEY_A), a);
		assert_int_equal(find(r, "same", KEY_B), b);
		assert_int_equal(find(r, "same", NULL), b);
		charges(r, 10000, IDINDEX_ROWS_MIN, KEY_A);
		checkpoint(r);
		assert_int_equal(index_of(r)->durable_n, 0);
		assert_int_equal(find(r, "same", KEY_A), a);
		assert_int_equal(find(r, "same", KEY_B), b);
		assert_int_equal(find(r, "same", NULL), b);
	}
}

/* Other ids, and other keys, of which the index keeps the same. */
static void test_collisions(void **state)
{
	struct rig *r = *state;
	uint64_t one = charge_alone(r, "one", KEY_A), two = charge_alone(r, "two", KEY_A),
		 three = charge_alone(r, "one", KEY_B);
	struct idindex_entry *e = index_of(r)->entries;

	assert_int_equal(index_of(r)->durable_n, 3);
	e[1].name = e[2].name = e[0].name;
	assert_int_equal(find(r, "one", KEY_A), one);
	assert_int_equal(find(r, "one", NULL), three);
	assert_int_equal(find(r, "two", KEY_A), 0); /* by its own hash, of which nothing is left */
	e[0].name.hash ^= 1;
	e[1].name = e[0].name;
	charges(r, 0, IDINDEX_ROWS_MIN, KEY_A);
	e = index_of(r)->entries;
	for (int i = 0; i < 100; i++) /* more than are compared in one transaction */
		e[i + 3].name = e[2].name;
	checkpoint(r);
	assert_int_equal(index_of(r)->durable_n, 0);
	assert_int_equal(find(r, "one", KEY_A), 0);
	assert_int_equal(find(r, "one", NULL), three);
	assert_int_equal(two, one + 1);
}

static void test_aborted(void **state)
{
	struct rig *r = *state;
	uint64_t first = charges(r, 0, IDINDEX_ROWS_MIN, KEY_A);

	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	charge(r, "never", KEY_A);
	assert_int_equal(find(r, "never", KEY_A), 0);
	assert_int_equal(ledger_checkpoint(r->ledger), ERRC_OK);
	ledger_abort(r->ledger);
	assert_int_equal(rows_n(r), 0);
	assert_int_equal(find(r, "never", KEY_A), 0);
	assert_all_found(r, 0, IDINDEX_ROWS_MIN, first);
	/* The number of the aborted one is another's now. */
	assert_int_equal(charge_alone(r, "then", KEY_A), first + IDINDEX_ROWS_MIN);
	checkpoint(r);
	assert_int_equal(find(r, "then", KEY_A), first + IDINDEX_ROWS_MIN);
	assert_int_equal(find(r, "never", KEY_A), 0);
}

/* The same generation id twice is a defect that verify must see: the last one counts, wherever the two are. */
static void test_same_generation_id(void **state)
{
	struct rig *r = *state;
	struct record rec = {.type = RECORD_CHARGE, .account = account, .wall_ms = r->wall_ms};
	uint64_t seq[3], found;

	rec.charge.id = rig_id(r);
	memcpy(rec.charge.key_id, KEY_A, APIKEY_ID);
	for (int round = 0; round < 4; round++) {
		assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
		for (int i = 0; i < 3; i++)
			assert_int_equal(ledger_append(r->ledger, &rec, &seq[i]), ERRC_OK);
		assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
		assert_int_equal(ledger_find(r->ledger, &rec.charge.id, &found), ERRC_OK);
		assert_int_equal(found, seq[2]);
		if (round % 2 == 0)
			continue;
		charges(r, 0, IDINDEX_ROWS_MIN, KEY_A);
		checkpoint(r);
		assert_int_equal(index_of(r)->durable_n, 0);
		assert_int_equal(ledger_find(r->ledger, &rec.charge.id, &found), ERRC_OK);
		assert_int_equal(found, seq[2]);
	}
}

/* As verify opens the ledger of a stopped node. */
static void test_read_only(void **state)
{
	struct rig *r = *state;
	struct ledger_opts o = {
		.dir = r->opts.state_dir, .map_bytes = r->opts.ledger_map_bytes, .read_only = true};
	uint64_t first = charges(r, 0, IDINDEX_ROWS_MIN, KEY_A), seq;
	struct ledger *l = NULL;

	checkpoint(r);
	charges(r, IDINDEX_ROWS_MIN, IDINDEX_ROWS_MAX - 1, KEY_A);
	charges(r, IDINDEX_ROWS_MAX, 10,
		KEY_A); /* together more than wait in memory while writing is allowed */
	assert_int_equal(index_of(r)->durable_n, IDINDEX_ROWS_MAX + 9);
	rig_close(r);
	assert_int_equal(ledger_open(&o, &l), ERRC_OK);
	assert_int_equal(l->idindex.durable_n, IDINDEX_ROWS_MAX + 9);
	for (seq = first; seq <= ledger_state(l)->last_seq; seq++)
		assert_own_id_found(l, seq);
	assert_int_equal(ledger_find_upstream(l, SLICE_LIT("chatcmpl-5"), KEY_A, &seq), ERRC_OK);
	assert_int_equal(seq, first + 5);
	ledger_close(&l);
}

/* Closed as a crash leaves it: what was not written is read from the records. */
static void test_start_anew(void **state)
{
	struct rig *r = *state;
	uint64_t first = charges(r, 0, IDINDEX_ROWS_MIN, KEY_A);

	rig_close(r);
	rig_open(r);
	assert_int_equal(rows_n(r), 0);
	assert_int_equal(index_of(r)->durable_n, IDINDEX_ROWS_MIN);
	assert_all_found(r, 0, IDINDEX_ROWS_MIN, first);
	checkpoint(r);
	charges(r, IDINDEX_ROWS_MIN, 7, KEY_A);
	rig_close(r);
	rig_open(r);
	assert_int_equal(index_of(r)->durable_n, 7);
	assert_all_found(r, 0, IDINDEX_ROWS_MIN + 7, first);
}

/* A ledger of before: the tree holds rows of another form, or there is none of it. */
static void test_made_anew(void **state)
{
	struct rig *r = *state;
	uint64_t n = 2 * IDINDEX_ROWS_MAX + 9, first = charges(r, 0, n, KEY_A);
	struct ledger *l = r->ledger;
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(l->env, NULL, 0, &txn), 0);
	assert_int_equal(lmdbx_del(txn, l->meta, SLICE_LIT("indexed")), ERRC_OK);
	for (uint8_t i = 0; i < 100; i++) {
		uint8_t key[12] = {0, 0, 80, i}, value[8] = {0};

		assert_int_equal(lmdbx_put(txn, l->upstream, slice_of(key, sizeof key),
					   slice_of(value, sizeof value), 0),
				 ERRC_OK);
	}
	assert_int_equal(mdb_txn_commit(txn), 0);
	rig_close(r);
	rig_open(r);
	assert_int_equal(rows_n(r), 512);
	assert_int_equal(index_of(r)->durable_n, 9);
	assert_all_found(r, 0, 300, first);
	assert_all_found(r, n - 300, 300, first + n - 300);
}

/* --- the index alone, against a list --- */

#define MODEL_N   5000
#define MODEL_IDS 40

struct model {
	struct idindex ix;
	uint64_t seq[MODEL_N];
	int id[MODEL_N];
	bool b[MODEL_N]; /* of KEY_B */
	size_t n;
};

/* All that the search gives must be the list's, from the newest on. */
static void assert_search(struct rig *r, struct model *m, int id, const char *key)
{
	size_t at = m->n, found = 0;
	struct idindex_search s;
	uint64_t seq = 0;
	char name[32];
	enum errc rc;

	name_nth(name, (uint64_t)id);
	idindex_search_init(&m->ix, slice_str(name), key, &s);
	do {
		MDB_txn *txn;

		rc = idindex_recent(&m->ix, &s, &seq) ? ERRC_OK : ERRC_NOTFOUND;
		if (rc) {
			assert_int_equal(ledger_read_begin(r->ledger, &txn), ERRC_OK);
			rc = idindex_stored(txn, r->ledger->upstream, &s, &seq);
			ledger_read_end(&txn);
		}
		if (rc)
			continue;
		do
			at--;
		while (m->id[at] != id || (key && m->b[at] != (key[0] == 'b')));
		assert_int_equal(seq, m->seq[at]);
		found++;
	} while (rc == ERRC_OK || rc == ERRC_AGAIN);
	assert_int_equal(rc, ERRC_NOTFOUND);
	for (size_t i = 0; i < m->n; i++)
		found -= m->id[i] == id && (!key || m->b[i] == (key[0] == 'b'));
	assert_int_equal(found, 0);
}

static void add(struct idindex *ix, uint64_t seq, const char *upstream_id, const char *key_id)
{
	struct record_charge c = {.upstream_id = slice_str(upstream_id)};

	memcpy(c.key_id, key_id, APIKEY_ID);
	memcpy(c.id.b, &seq, sizeof seq);
	assert_int_equal(idindex_add(ix, seq, &c), ERRC_OK);
}

static void write_model(struct rig *r, struct model *m, bool commit)
{
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(r->ledger->env, NULL, 0, &txn), 0);
	assert_int_equal(idindex_write(&m->ix, txn, r->ledger->ids, r->ledger->upstream), ERRC_OK);
	if (!commit) {
		mdb_txn_abort(txn);
		idindex_aborted(&m->ix);
		return;
	}
	assert_int_equal(mdb_txn_commit(txn), 0);
	idindex_committed(&m->ix);
}

static void test_groups_and_gaps(void **state)
{
	struct rig *r = *state;
	struct model *m = mem_new_of(struct model);
	uint64_t seq = 0, random = 7;

	assert_non_null(m);
	idindex_init(&m->ix);
	idindex_seed(&m->ix, (const uint8_t *)"0123456789abcdef");
	assert_search(r, m, 1, NULL);
	while (m->n < MODEL_N) {
		char name[32];

		random = random * UINT64_C(6364136223846793005) + 1;
		/* Mostly the next number; now and then a gap of up to 64 groups. */
		seq += random >> 56 ? 1 : 1 + (random >> 20 & 0x3ffffff);
		m->seq[m->n] = seq;
		m->id[m->n] = (int)(random >> 40 & 0xffff) % MODEL_IDS;
		m->b[m->n] = random >> 39 & 1;
		name_nth(name, (uint64_t)m->id[m->n]);
		add(&m->ix, seq, name, m->b[m->n] ? KEY_B : KEY_A);
		m->n++;
		if (m->n % 97 == 0)
			idindex_committed(&m->ix);
		if (m->n % (7 * 97) == 0)
			write_model(r, m, m->n % (14 * 97) == 0);
	}
	idindex_committed(&m->ix);
	for (int id = 0; id < MODEL_IDS + 3; id++) {
		assert_search(r, m, id, NULL);
		assert_search(r, m, id, KEY_A);
		assert_search(r, m, id, KEY_B);
	}
	idindex_fini(&m->ix);
	mem_free(m);
}

static void test_damaged_rows(void **state)
{
	struct rig *r = *state;
	uint8_t key[13] = {0, 0, 0, 0, 0xff}, few[7] = {1};
	MDB_txn *txn;

	charges(r, 0, IDINDEX_ROWS_MIN, KEY_A);
	checkpoint(r);
	assert_int_equal(mdb_txn_begin(r->ledger->env, NULL, 0, &txn), 0);
	for (unsigned s = 0; s < 256; s++) {
		key[4] = (uint8_t)s;
		key[12] = 0;
		assert_int_equal(lmdbx_put(txn, r->ledger->upstream, slice_of(key, sizeof key),
					   slice_of(few, sizeof few), 0),
				 ERRC_OK);
	}
	assert_int_equal(lmdbx_put(txn, r->ledger->upstream, slice_of(key, 1), SLICE_LIT("x"), 0),
			 ERRC_OK);
	assert_int_equal(mdb_txn_commit(txn), 0);
	assert_true(find(r, "chatcmpl-77", KEY_A) > 0);
}

static void test_no_memory(void **state)
{
	struct rig *r = *state;
	struct record_charge c = {.upstream_id = SLICE_LIT("id")};
	struct idindex ix;
	MDB_txn *txn;
	enum errc rc = ERRC_NOMEM;

	idindex_init(&ix);
	for (unsigned n = 1; rc == ERRC_NOMEM; n++) {
		mem_fail_after(n);
		rc = idindex_add(&ix, 1, &c);
		mem_fail_after(0);
		assert_int_equal(ix.n, rc ? 0 : 1);
	}
	idindex_committed(&ix);
	assert_int_equal(mdb_txn_begin(r->ledger->env, NULL, 0, &txn), 0);
	rc = ERRC_NOMEM;
	for (unsigned n = 1; rc == ERRC_NOMEM; n++) {
		mem_fail_after(n);
		rc = idindex_write(&ix, txn, r->ledger->ids, r->ledger->upstream);
		mem_fail_after(0);
		assert_int_equal(ix.written_n, rc ? 0 : 1);
	}
	assert_int_equal(rc, ERRC_OK);
	mdb_txn_abort(txn);
	idindex_fini(&ix);
}

/* --- searches beside the writer --- */

struct race {
	struct rig *r;
	_Atomic uint64_t upto; /* these are committed */
	atomic_bool over;
	uint64_t first, looked;
};

static void *search(void *arg)
{
	struct race *x = arg;
	uint64_t random = 1;

	while (!atomic_load(&x->over)) {
		uint64_t upto = atomic_load(&x->upto), i, seq = 0;
		char name[32];

		random = random * UINT64_C(6364136223846793005) + 1;
		i = upto - 1 - (random >> 40) % MIN_OF(upto, UINT64_C(4000));
		name_nth(name, i);
		if (ledger_find_upstream(x->r->ledger, slice_str(name), KEY_A, &seq) ||
		    seq != x->first + i)
			return x; /* missed */
		x->looked++;
	}
	return NULL;
}

static void test_search_beside_writer(void **state)
{
	struct rig *r = *state;
	struct race x = {.r = r, .upto = 300, .first = charges(r, 0, 300, KEY_A)};
	pthread_t thread;
	void *missed;

	assert_int_equal(pthread_create(&thread, NULL, search, &x), 0);
	for (int i = 0; i < 200; i++) {
		uint64_t upto = atomic_load(&x.upto);

		charges(r, upto, 300, KEY_A);
		atomic_store(&x.upto, upto + 300);
		if (i % 5 == 0)
			checkpoint(r);
	}
	atomic_store(&x.over, true);
	assert_int_equal(pthread_join(thread, &missed), 0);
	assert_null(missed);
	assert_true(rows_n(r) > 256 && x.looked > 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_from_memory_to_rows),
		T(test_many_wait_for_no_checkpoint),
		T(test_newest_of_the_key),
		T(test_collisions),
		T(test_aborted),
		T(test_same_generation_id),
		T(test_read_only),
		T(test_start_anew),
		T(test_made_anew),
		T(test_groups_and_gaps),
		T(test_damaged_rows),
		T(test_no_memory),
		T(test_search_beside_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
