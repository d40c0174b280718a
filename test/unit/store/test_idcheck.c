/* What verify finds in the rows that lead from a provider's id to its charge. */
#include "rig.h"

#include <stdio.h>

#include "idcheck.h"
#include "verify.h"

#define KEY "aaaaaaaaaaaa"

static uint64_t account;

static int setup(void **state)
{
	static struct rig r;
	struct rows_scope k;

	rig_init(&r);
	rig_open(&r);
	account = rig_account(&r, "acme", RIG_DOLLAR);
	rig_key(&r, account, KEY, &k);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	return 0;
}

/* n charges with ids of their own, in one commit; the first one's number. */
static uint64_t charges(struct rig *r, uint64_t n)
{
	uint64_t first = ledger_state(r->ledger)->last_seq + 1, seq;
	char name[32];

	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	for (uint64_t i = first; i < first + n; i++) {
		struct record rec = {
			.type = RECORD_CHARGE, .account = account, .wall_ms = r->wall_ms};

		rec.charge.id = rig_id(r);
		(void)snprintf(name, sizeof name, "chatcmpl-%llu", (unsigned long long)i);
		rec.charge.upstream_id = slice_str(name);
		memcpy(rec.charge.key_id, KEY, APIKEY_ID);
		assert_int_equal(ledger_append(r->ledger, &rec, &seq), ERRC_OK);
	}
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
	return first;
}

/* All that are in memory become rows, if there are enough. */
static void checkpoint(struct rig *r)
{
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_checkpoint(r->ledger), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
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

/* UINT64_MAX: something else is wrong. */
static uint64_t bad_id(struct rig *r)
{
	struct verify_result v;
	uint64_t seq;

	assert_int_equal(verify_ledger(r->ledger, false, NULL, NULL, &v), ERRC_OK);
	seq = v.bad_id_seq;
	v.bad_id_seq = 0;
	return verify_is_good(&v) ? seq : UINT64_MAX;
}

struct stored {
	char key[16], value[4096];
	size_t key_n, value_n;
};

static struct slice key_of(const struct stored *s)
{
	return slice_of(s->key, s->key_n);
}

/* The n-th row. */
static void get_row(struct rig *r, size_t n, struct stored *s)
{
	struct slice k = SLICE_NONE, v;
	MDB_cursor *c;
	MDB_txn *txn;

	assert_int_equal(ledger_read_begin(r->ledger, &txn), ERRC_OK);
	assert_int_equal(mdb_cursor_open(txn, r->ledger->upstream, &c), 0);
	for (size_t i = 0; i <= n; i++)
		assert_int_equal(lmdbx_move(c, i ? MDB_NEXT : MDB_FIRST, &k, &v), ERRC_OK);
	assert_true(k.n <= sizeof s->key && v.n <= sizeof s->value);
	memcpy(s->key, k.p, s->key_n = k.n);
	memcpy(s->value, v.p, s->value_n = v.n);
	mdb_cursor_close(c);
	ledger_read_end(&txn);
}

static void put_row(struct rig *r, struct slice key, const void *value, size_t n)
{
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(r->ledger->env, NULL, 0, &txn), 0);
	assert_int_equal(lmdbx_put(txn, r->ledger->upstream, key, slice_of(value, n), 0), ERRC_OK);
	assert_int_equal(lmdbx_commit(txn), ERRC_OK);
}

static void remove_row(struct rig *r, struct slice key)
{
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(r->ledger->env, NULL, 0, &txn), 0);
	assert_int_equal(lmdbx_del(txn, r->ledger->upstream, key), ERRC_OK);
	assert_int_equal(lmdbx_commit(txn), ERRC_OK);
}

/* As stored: which record an entry is of. */
static uint64_t number_in(const struct stored *s, size_t entry)
{
	uint64_t v;

	memcpy(&v, s->value + 8 * entry, sizeof v);
	return v % IDINDEX_GROUP;
}

static void test_every_flipped_bit(void **state)
{
	struct rig *r = *state;
	struct stored s;
	size_t n;

	charges(r, IDINDEX_ROWS_MIN);
	checkpoint(r);
	charges(r, 3); /* in memory */
	n = rows_n(r);
	assert_int_equal(bad_id(r), 0);
	for (size_t i = 0; i < n; i += 50) {
		get_row(r, i, &s);
		for (size_t bit = 0; bit < 8 * MIN_OF(s.value_n, (size_t)16); bit++) {
			uint64_t of = number_in(&s, bit / 64);

			s.value[bit / 8] ^= (char)(1u << bit % 8);
			put_row(r, key_of(&s), s.value, s.value_n);
			s.value[bit / 8] ^= (char)(1u << bit % 8);
			/* It may be in the place of an earlier one's now. */
			assert_in_range(bad_id(r), 1, of);
		}
		put_row(r, key_of(&s), s.value, s.value_n);
	}
	assert_int_equal(bad_id(r), 0);
}

static void test_rows(void **state)
{
	struct rig *r = *state;
	struct stored s;
	char other[16];
	uint64_t last;

	charges(r, IDINDEX_ROWS_MIN);
	checkpoint(r);
	charges(r, IDINDEX_ROWS_MIN);
	checkpoint(r);
	assert_int_equal(bad_id(r), 0);
	for (size_t i = 0; i < rows_n(r); i += 77) {
		get_row(r, i, &s);
		remove_row(r, key_of(&s));
		assert_int_equal(bad_id(r), number_in(&s, 0));
		/* Of another group, in another slice beside its own row, from behind its entry on. */
		for (size_t at = 0; at < 6; at++) {
			memcpy(other, s.key, s.key_n);
			if (at < 5)
				other[at] ^= 0x40;
			if (at == 4)
				other[s.key_n - 1]--;
			if (at == 5)
				be_put((uint8_t *)other + 5, 8, number_in(&s, 0) + 1);
			put_row(r, slice_of(other, s.key_n), s.value, s.value_n);
			assert_in_range(bad_id(r), 1, number_in(&s, 0));
			remove_row(r, slice_of(other, s.key_n));
		}
		/* Less of it, more of it, none. */
		put_row(r, key_of(&s), s.value, s.value_n - 8);
		assert_int_equal(bad_id(r), s.value_n > 8 ? number_in(&s, s.value_n / 8 - 1) : 1);
		memcpy(s.value + s.value_n, s.value, 8);
		put_row(r, key_of(&s), s.value, s.value_n + 8);
		assert_in_range(bad_id(r), 1, ledger_state(r->ledger)->last_seq);
		put_row(r, key_of(&s), s.value, s.value_n);
		assert_int_equal(bad_id(r), 0);
	}
	/* Of a record that has none, and behind the end. */
	last = ledger_state(r->ledger)->last_seq;
	for (int i = 0; i < 2; i++) {
		uint64_t of = i ? last + 1 : 1, v = of;

		memset(other, 0, sizeof other);
		be_put((uint8_t *)other + 5, 8, of);
		put_row(r, slice_of(other, s.key_n), &v, sizeof v);
		assert_int_equal(bad_id(r), 1);
		remove_row(r, slice_of(other, s.key_n));
	}
	assert_int_equal(bad_id(r), 0);
}

static enum errc check_item(void *arg, const struct ledger_item *item)
{
	struct record rec;

	assert_int_equal(record_decode(item->record, &rec), ERRC_OK);
	return idcheck_add(arg, item->seq, &rec);
}

static uint64_t bad_from(struct rig *r, uint64_t seq)
{
	struct idcheck c;
	uint64_t bad;

	idcheck_init(&c, r->ledger);
	assert_int_equal(
		ledger_walk(r->ledger, &seq, ledger_state(r->ledger)->last_seq, check_item, &c),
		ERRC_OK);
	bad = c.bad_seq;
	idcheck_fini(&c);
	return bad;
}

/* The walk comes from one group of numbers into the next. */
static void test_groups(void **state)
{
	struct rig *r = *state;
	uint64_t first, low = 0, high = 0;
	struct stored s;

	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	r->ledger->next.last_seq = IDINDEX_GROUP - 1001;
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
	first = charges(r, IDINDEX_ROWS_MIN);
	assert_int_equal(first, IDINDEX_GROUP - 1000);
	checkpoint(r);
	assert_int_equal(r->ledger->idindex.durable_n, 0);
	assert_int_equal(bad_from(r, first), 0);
	for (size_t i = rows_n(r); i-- > 0;) {
		bool is_low;

		get_row(r, i, &s);
		is_low = be_get((uint8_t *)s.key, 4) == 0;
		if (is_low ? low++ : high++)
			continue;
		remove_row(r, key_of(&s));
		assert_int_equal(bad_from(r, first),
				 (is_low ? 0 : IDINDEX_GROUP) + number_in(&s, 0));
		/* What is sought from behind it on does not miss it. */
		assert_int_equal(bad_from(r, IDINDEX_GROUP),
				 is_low ? 0 : IDINDEX_GROUP + number_in(&s, 0));
		put_row(r, key_of(&s), s.value, s.value_n);
	}
	assert_in_range(low, 200, 256);
	assert_in_range(high, 200, 256);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_every_flipped_bit),
		T(test_rows),
		T(test_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
