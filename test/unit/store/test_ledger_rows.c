/* The rows of the ledger's checkpoint, each under the name that it tells of itself. */
#include "rig.h"

#include "ledger_priv.h"

#define KEY      "aaaaaaaaaaaa"
#define OTHER    0x40 /* bit of a name's last byte */
#define ROWS_MIN 3    /* an account, a key, its state */

static int setup(void **state)
{
	static struct rig r;
	struct rows_scope key;
	struct admit_done done;
	struct admit_op op;
	struct genid id;
	uint64_t account;

	rig_init(&r);
	rig_open(&r);
	rig_join(&r);
	account = rig_account(&r, "acme", RIG_DOLLAR);
	rig_key(&r, account, KEY, &key);
	assert_true(rig_hold(&r, account, KEY, &r.price, 100, &id, &op));
	rig_settle(&r, account, &id, 10, 5, &done);
	rig_drain(&r);
	assert_int_equal(ledger_begin(r.ledger), ERRC_OK);
	assert_int_equal(ledger_checkpoint(r.ledger), ERRC_OK);
	assert_int_equal(ledger_commit(r.ledger), ERRC_OK);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	return 0;
}

static enum errc load(struct rig *r)
{
	struct book *book;
	MDB_txn *txn;
	enum errc rc;

	assert_int_equal(book_new(&book), ERRC_OK);
	assert_int_equal(ledger_read_begin(r->ledger, &txn), ERRC_OK);
	rc = ledger_load_rows(txn, r->ledger->rows, book);
	ledger_read_end(&txn);
	book_free(&book);
	return rc;
}

/* Gives the row of this name another one, whose last byte differs, or gives it back. */
static void rename_row(struct rig *r, struct rows_key_name *name, uint8_t bit)
{
	MDB_val k = {name->n, name->b}, v, copy;
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(r->ledger->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_get(txn, r->ledger->rows, &k, &v), 0);
	copy = (MDB_val){v.mv_size, test_malloc(v.mv_size)};
	memcpy(copy.mv_data, v.mv_data, v.mv_size);
	assert_int_equal(mdb_del(txn, r->ledger->rows, &k, NULL), 0);
	name->b[name->n - 1] ^= bit;
	assert_int_equal(mdb_put(txn, r->ledger->rows, &k, &copy, MDB_NOOVERWRITE), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	test_free(copy.mv_data);
}

static size_t names(struct rig *r, struct rows_key_name *out, size_t max)
{
	MDB_val k, v;
	MDB_cursor *c;
	MDB_txn *txn;
	size_t n = 0;

	assert_int_equal(ledger_read_begin(r->ledger, &txn), ERRC_OK);
	assert_int_equal(mdb_cursor_open(txn, r->ledger->rows, &c), 0);
	for (; mdb_cursor_get(c, &k, &v, MDB_NEXT) == 0; n++) {
		assert_true(n < max && k.mv_size <= sizeof out->b);
		out[n].n = k.mv_size;
		memcpy(out[n].b, k.mv_data, k.mv_size);
	}
	mdb_cursor_close(c);
	ledger_read_end(&txn);
	return n;
}

/* It is not taken for its own: the next change of that would leave two of them. */
static void test_a_row_under_the_name_of_another(void **state)
{
	struct rig *r = *state;
	struct rows_key_name all[16];
	size_t n = names(r, all, ARRAY_LEN(all));

	assert_true(n >= ROWS_MIN);
	assert_int_equal(load(r), ERRC_OK);
	for (size_t i = 0; i < n; i++) {
		rename_row(r, &all[i], OTHER);
		assert_int_equal(load(r), ERRC_CORRUPT);
		rename_row(r, &all[i], OTHER);
		assert_int_equal(load(r), ERRC_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_row_under_the_name_of_another, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
