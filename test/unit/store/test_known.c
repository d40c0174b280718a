/* What a process remembers of definitions and keys never shows: whatever is changed, by it or by another process, committed or not, every
 * transaction reads what stands in the store; and what it remembers it does not search for. */
#include "rig.h"

#include <limits.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live_priv.h"

#define KEYS  600 /* some dozens of leaves */
#define ALIKE 100 /* of them with hashes that begin alike */
#define STEPS 30000

/* The program is linked so that every search passes here. */
int __real_mdb_get(MDB_txn *txn, MDB_dbi db, MDB_val *key, MDB_val *value);
int __wrap_mdb_get(MDB_txn *txn, MDB_dbi db, MDB_val *key, MDB_val *value);

static struct {
	struct rig rig;
	uint64_t account;
	int64_t is[KEYS]; /* created_s of each key; 0: there is none */
	size_t searches;
} scene;

int __wrap_mdb_get(MDB_txn *txn, MDB_dbi db, MDB_val *key, MDB_val *value)
{
	scene.searches++;
	return __real_mdb_get(txn, db, key, value);
}

static void id_of(int n, char id[ROWS_ID + 1])
{
	char text[16];

	snprintf(text, sizeof text, "key%09d", n);
	memcpy(id, text, ROWS_ID);
	id[ROWS_ID] = '\0';
}

/* By the first 8 bytes they are remembered. */
static void hash_of(int n, uint8_t hash[DIGEST_SHA256])
{
	memset(hash, n % 2, DIGEST_SHA256);
	memcpy(hash + (n < ALIKE ? 16 : 0), &n, sizeof n);
}

static void key_of(int n, int64_t created_s, struct rows_scope *k)
{
	char id[ROWS_ID + 1];

	id_of(n, id);
	rig_scope(k, scene.account, ROWS_KEY, "a key");
	memcpy(k->id, id, ROWS_ID);
	hash_of(n, k->hash);
	k->created_s = created_s;
}

static void expect(MDB_txn *txn, int n, int64_t created_s)
{
	char id[ROWS_ID + 1];
	struct rows_scope k;
	enum errc rc;

	id_of(n, id);
	rc = live_get_scope(scene.rig.live, txn, scene.account, ROWS_KEY, id, &k);
	assert_int_equal(rc, created_s ? ERRC_OK : ERRC_NOTFOUND);
	if (created_s)
		assert_int_equal(k.created_s, created_s);
}

static void expect_now(int n)
{
	MDB_txn *txn;

	assert_int_equal(live_read_begin(scene.rig.live, &txn), ERRC_OK);
	expect(txn, n, scene.is[n]);
	live_read_end(scene.rig.live);
}

static void put(MDB_txn *txn, int n, int64_t created_s)
{
	struct rows_scope k;

	key_of(n, created_s, &k);
	assert_int_equal(live_put_scope(scene.rig.live, txn, &k), ERRC_OK);
	assert_int_equal(live_index_scope(scene.rig.live, txn, &k), ERRC_OK);
}

static void drop(MDB_txn *txn, int n)
{
	struct rows_key_name name;
	char id[ROWS_ID + 1];

	id_of(n, id);
	name = rows_name_scope(scene.account, ROWS_KEY, id);
	assert_int_equal(live_row_del(scene.rig.live, txn, &name), ERRC_OK);
}

static void put_all(int64_t created_s)
{
	MDB_txn *txn;

	for (int n = 0; n < KEYS; n++) {
		assert_int_equal(live_txn_begin(scene.rig.live, &txn), ERRC_OK);
		put(txn, n, created_s + n);
		assert_int_equal(live_txn_commit(scene.rig.live, &txn), ERRC_OK);
		scene.is[n] = created_s + n;
	}
}

static int setup(void **state)
{
	(void)state;
	rig_init(&scene.rig);
	rig_open(&scene.rig);
	rig_join(&scene.rig);
	scene.account = rig_account(&scene.rig, "acme", RIG_DOLLAR);
	put_all(1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_fini(&scene.rig);
	return 0;
}

static int pick(int n)
{
	static uint64_t x = 1;

	x = x * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (int)((x >> 33) % (uint64_t)n);
}

/* Reads before and after its change, and often takes it back. */
static void change(int64_t step)
{
	int n = pick(KEYS), other = pick(KEYS);
	int64_t next = pick(3) ? step + KEYS : 0;
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(scene.rig.live, &txn), ERRC_OK);
	expect(txn, other, scene.is[other]);
	expect(txn, n, scene.is[n]);
	if (next)
		put(txn, n, next);
	else if (scene.is[n])
		drop(txn, n);
	expect(txn, n, next);
	if (other != n)
		expect(txn, other, scene.is[other]);
	if (pick(2)) {
		live_txn_abort(scene.rig.live, &txn);
		return;
	}
	assert_int_equal(live_txn_commit(scene.rig.live, &txn), ERRC_OK);
	scene.is[n] = next;
}

static void test_every_change_shows(void **state)
{
	(void)state;
	for (int64_t step = 1; step <= STEPS; step++) {
		if (pick(8) == 0)
			change(step);
		expect_now(pick(KEYS));
	}
}

/* A worker that reads while the keeper changes, as another process. */
static void test_changes_of_another_process(void **state)
{
	struct live_opts o = {.any_filesystem = true};
	char dir[PATH_MAX];
	int status, go[2];
	char one = 0;
	pid_t pid;

	(void)state;
	snprintf(dir, sizeof dir, "%s", scene.rig.live->dir);
	memcpy(o.ledger_id, live_head(scene.rig.live)->ledger_id, LIVE_ID);
	o.dir = dir;
	rig_close(&scene.rig); /* nothing is open across the fork */
	assert_int_equal(pipe(go), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(go[1]);
		require(read(go[0], &one, 1) == 1);
		require(live_open(&o, &scene.rig.live) == ERRC_OK);
		put_all(500000);
		live_close(&scene.rig.live);
		_exit(0);
	}
	close(go[0]);
	rig_open(&scene.rig);
	assert_int_equal(scene.rig.started.outcome, STORE_ACCEPTED);
	for (int n = 0; n < KEYS; n++)
		expect_now(n);
	assert_int_equal(write(go[1], &one, 1), 1);
	close(go[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (int n = 0; n < KEYS; n++) {
		scene.is[n] = 500000 + n;
		expect_now(n);
	}
}

static enum auth_result look_up(const uint8_t hash[DIGEST_SHA256], int64_t created_s)
{
	enum auth_result result;
	uint8_t addr[16] = {0};
	struct auth_key key;

	assert_int_equal(auth_lookup(scene.rig.live, hash, addr, 1, &result, &key), ERRC_OK);
	if (result == AUTH_OK)
		assert_int_equal(key.created_s, created_s);
	return result;
}

static void expect_key(int n, int64_t created_s)
{
	uint8_t hash[DIGEST_SHA256];

	hash_of(n, hash);
	assert_int_equal(look_up(hash, created_s), created_s ? AUTH_OK : AUTH_UNKNOWN);
}

static void test_the_row_counts(void **state)
{
	struct rows_scope k;
	MDB_txn *txn;

	(void)state;
	put_all(1);
	for (int n = 0; n < KEYS; n++) /* some are taken for each other */
		expect_key(n, 1 + n);
	/* The secret of one becomes that of another; then both are gone. */
	expect_key(3, 4);
	assert_int_equal(live_txn_begin(scene.rig.live, &txn), ERRC_OK);
	put(txn, 3, 4);
	key_of(3, 4, &k);
	hash_of(KEYS, k.hash);
	assert_int_equal(live_put_scope(scene.rig.live, txn, &k), ERRC_OK);
	key_of(5, 77, &k);
	hash_of(3, k.hash);
	assert_int_equal(live_put_scope(scene.rig.live, txn, &k), ERRC_OK);
	assert_int_equal(live_index_scope(scene.rig.live, txn, &k), ERRC_OK);
	assert_int_equal(live_txn_commit(scene.rig.live, &txn), ERRC_OK);
	expect_key(3, 77);
	expect_key(5, 0);
	assert_int_equal(live_txn_begin(scene.rig.live, &txn), ERRC_OK);
	drop(txn, 3);
	drop(txn, 5);
	assert_int_equal(live_txn_commit(scene.rig.live, &txn), ERRC_OK);
	expect_key(3, 0);
}

/* One that is remembered under the name of another. */
static void test_another_row(void **state)
{
	struct live *l = scene.rig.live;
	struct rows_key_name name, other;
	char id[ROWS_ID + 1];
	struct slice row;
	MDB_txn *txn;

	(void)state;
	put_all(1);
	id_of(1, id);
	name = rows_name_scope(scene.account, ROWS_KEY, id);
	id_of(2, id);
	other = rows_name_scope(scene.account, ROWS_KEY, id);
	assert_int_equal(live_read_begin(l, &txn), ERRC_OK);
	expect(txn, 2, 3);
	assert_int_equal(live_row_get(l, txn, &other, &row), ERRC_OK);
	assert_int_not_equal(l->defs_version[0], 0);
	known_add_row(l->known, l->defs_version[0], &name, row);
	expect(txn, 1, 2);
	expect(txn, 2, 3);
	live_read_end(l);
}

static size_t searches_of(int n)
{
	scene.searches = 0;
	expect_key(n, 1 + n);
	return scene.searches;
}

static void test_it_does_not_search(void **state)
{
	(void)state;
	put_all(1);
	assert_int_equal(searches_of(ALIKE), 4); /* version of the tree, hash, key, account */
	assert_int_equal(searches_of(ALIKE), 2); /* version of the tree, account */
	put_all(1);
	assert_int_equal(searches_of(ALIKE), 3); /* its row may stand elsewhere */
	assert_int_equal(searches_of(ALIKE), 2);
}

#define MANY 10000

/* Places of rows: nothing reads them. */
static const char somewhere[UINT16_MAX + 1];

static struct rows_key_name name_of(int n)
{
	char id[ROWS_ID + 1];

	id_of(n, id);
	return rows_name_scope((uint64_t)n / 4 + 1, ROWS_KEY, id);
}

static struct slice row_at(int n)
{
	return slice_of(somewhere + n, (size_t)n % 1000 + 1);
}

static int rows_known(struct known *k, uint64_t version)
{
	int found = 0;

	for (int n = 0; n < 4 * MANY; n++) {
		struct rows_key_name name = name_of(n);
		struct slice row;

		if (!known_row(k, version, &name, &row))
			continue;
		assert_ptr_equal(row.p, row_at(n).p);
		assert_int_equal(row.n, row_at(n).n);
		found++;
	}
	return found;
}

static void hash_many(int n, uint8_t hash[DIGEST_SHA256])
{
	digest_sha256(slice_of((const char *)&n, sizeof n), hash);
}

static struct known_key key_at(int n)
{
	struct known_key key = {.account = (uint64_t)n + 1, .row = row_at(n)};
	char id[ROWS_ID + 1];

	id_of(n, id);
	memcpy(key.id, id, APIKEY_ID);
	return key;
}

static bool is_hash_known(struct known *k, int n)
{
	struct known_key is, want = key_at(n);
	uint8_t hash[DIGEST_SHA256];

	hash_many(n, hash);
	if (!known_hash(k, 1, hash, &is) || is.account != want.account)
		return false; /* or that of one like it */
	assert_memory_equal(is.id, want.id, APIKEY_ID);
	assert_ptr_equal(is.row.p, want.row.p);
	assert_int_equal(is.row.n, want.row.n);
	return true;
}

/* As who asks for them does: what is not known is made known. */
static void add_many(struct known *k, int keys)
{
	for (int n = 0; n < 4 * keys; n++) {
		struct rows_key_name name = name_of(n);
		struct slice row;

		if (!known_row(k, 1, &name, &row))
			known_add_row(k, 1, &name, row_at(n));
	}
	for (int n = 0; n < keys; n++) {
		struct known_key key = key_at(n);
		uint8_t hash[DIGEST_SHA256];

		hash_many(n, hash);
		if (!is_hash_known(k, n))
			known_add_hash(k, 1, hash, &key);
	}
}

static int hashes_known(struct known *k)
{
	int found = 0;

	for (int n = 0; n < MANY; n++)
		found += is_hash_known(k, n);
	return found;
}

/* Ten thousand keys in four scopes each do not push each other out. */
static void test_many_are_known(void **state)
{
	size_t before = mem_live_count();
	struct known *k;

	(void)state;
	assert_int_equal(known_new(&k), ERRC_OK);
	add_many(k, 200);
	assert_int_equal(mem_live_count(), before + 1); /* few have a small table */
	assert_int_equal(rows_known(k, 1), 4 * 200);
	assert_in_range(hashes_known(k), 190, 200);
	add_many(k, MANY);
	assert_int_equal(mem_live_count(), before + 2);
	add_many(k, MANY); /* what was in the small one */
	assert_true(rows_known(k, 1) > 4 * MANY * 99 / 100);
	assert_true(hashes_known(k) > MANY * 98 / 100);
	known_free(&k);
	assert_int_equal(mem_live_count(), before);
}

/* However often what few keys have is found anew. */
static void test_few_stay_small(void **state)
{
	size_t before = mem_live_count();
	struct known *k;

	(void)state;
	assert_int_equal(known_new(&k), ERRC_OK);
	for (uint64_t version = 1; version < 200; version++) {
		for (int n = 0; n < 100; n++) {
			struct rows_key_name name = name_of(n);

			known_add_row(k, version, &name, row_at(n));
		}
	}
	assert_int_equal(mem_live_count(), before + 1);
	known_free(&k);
}

static void test_without_memory_some_are_known(void **state)
{
	struct known *k;

	(void)state;
	assert_int_equal(known_new(&k), ERRC_OK);
	mem_fail_after(1);
	add_many(k, MANY);
	mem_fail_after(0);
	assert_in_range(rows_known(k, 1), 1000, MANY);
	assert_in_range(hashes_known(k), 500, MANY);
	known_free(&k);
}

/* Whose a hash is, is known over changes of the tree, where the row stands is not. */
static void test_the_row_of_a_hash_is_of_one_version(void **state)
{
	const uint64_t last = 2 * UINT16_MAX; /* ages came round */
	struct known_key is, key = key_at(1), none = {.account = 7};
	uint8_t hash[DIGEST_SHA256], other[DIGEST_SHA256];
	struct known *k;

	(void)state;
	hash_many(1, hash);
	hash_many(2, other);
	assert_int_equal(known_new(&k), ERRC_OK);
	assert_false(known_hash(k, 1, hash, &is));
	known_add_hash(k, 1, hash, &key);
	assert_true(is_hash_known(k, 1));
	assert_false(known_hash(k, 1, other, &is));
	for (uint64_t version = 2; version < last; version++) {
		if (known_hash(k, version, hash, &is))
			assert_int_equal(is.row.n, 0);
		else
			known_add_hash(k, 1, hash, &key); /* of one that is over */
	}
	assert_true(known_hash(k, last, hash, &is));
	assert_int_equal(is.account, key.account);
	assert_int_equal(is.row.n, 0);
	known_add_hash(k, last, hash, &key);
	assert_true(known_hash(k, last, hash, &is));
	assert_ptr_equal(is.row.p, key.row.p);
	assert_true(known_hash(k, 0, hash, &is));
	assert_int_equal(is.row.n, 0);
	assert_true(known_hash(k, last - 1, hash, &is));
	assert_int_equal(is.row.n, 0);
	/* One that is too long to be kept, one in a transaction that changes the tree. */
	key.row = slice_of(somewhere, UINT16_MAX + 1);
	known_add_hash(k, last, hash, &key);
	assert_true(known_hash(k, last, hash, &is));
	assert_int_equal(is.row.n, 0);
	known_add_hash(k, 0, other, &none);
	assert_true(known_hash(k, last, other, &is));
	assert_int_equal(is.account, 7);
	assert_int_equal(is.row.n, 0);
	known_free(&k);
}

/* However many changes there were between, and whoever still reads what was there before. */
static void test_a_row_is_of_one_version(void **state)
{
	struct rows_key_name first = name_of(1), second = name_of(2);
	struct slice row;
	struct known *k;

	(void)state;
	assert_int_equal(known_new(&k), ERRC_OK);
	known_add_row(k, 1, &first, slice_of(somewhere, 1));
	assert_true(known_row(k, 1, &first, &row));
	for (uint64_t version = 2; version < 3 * UINT16_MAX; version++)
		assert_false(known_row(k, version, &first, &row));
	known_add_row(k, 3 * UINT16_MAX, &second, slice_of(somewhere, 2));
	known_add_row(k, 7, &first, slice_of(somewhere, 1));
	assert_false(known_row(k, 7, &first, &row));
	assert_false(known_row(k, 7, &second, &row));
	assert_false(known_row(k, 3 * UINT16_MAX, &first, &row));
	assert_true(known_row(k, 3 * UINT16_MAX, &second, &row));
	/* One that is too long to be kept. */
	known_add_row(k, 3 * UINT16_MAX, &first, slice_of(somewhere, UINT16_MAX + 1));
	assert_false(known_row(k, 3 * UINT16_MAX, &first, &row));
	known_free(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_change_shows),
		cmocka_unit_test(test_changes_of_another_process),
		cmocka_unit_test(test_the_row_counts),
		cmocka_unit_test(test_another_row),
		cmocka_unit_test(test_it_does_not_search),
		cmocka_unit_test(test_many_are_known),
		cmocka_unit_test(test_few_stay_small),
		cmocka_unit_test(test_without_memory_some_are_known),
		cmocka_unit_test(test_the_row_of_a_hash_is_of_one_version),
		cmocka_unit_test(test_a_row_is_of_one_version),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
