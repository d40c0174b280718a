/* The file of the peppers: made once, kept, refused when it is damaged; what a rotation leaves, and what keeps a pepper. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pepper.h"

struct folder {
	char dir[32], path[64];
	struct pepper p;
};

static void open_again(struct folder *f)
{
	pepper_fini(&f->p);
	pepper_init(&f->p);
	assert_int_equal(pepper_open(&f->p, f->dir), ERRC_OK);
	if (pepper_newest(&f->p) == 0)
		assert_int_equal(pepper_first(&f->p, f->dir), ERRC_OK);
}

static int setup(void **state)
{
	struct folder *f = test_malloc(sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/aigw-pepper-XXXXXX");
	if (!mkdtemp(f->dir))
		return 1;
	snprintf(f->path, sizeof(f->path), "%s/pepper", f->dir);
	pepper_init(&f->p);
	*state = f;
	/* Its file says that there has been a ledger: it is not there before it is asked for. */
	return pepper_open(&f->p, f->dir) != ERRC_OK || pepper_newest(&f->p) != 0 ||
	       access(f->path, F_OK) == 0 || pepper_first(&f->p, f->dir) != ERRC_OK;
}

static int teardown(void **state)
{
	struct folder *f = *state;

	pepper_fini(&f->p);
	(void)unlink(f->path);
	if (rmdir(f->dir) != 0)
		return 1; /* nothing else is left there */
	test_free(f);
	return 0;
}

/* The hash of one and the same text, with the pepper in use. */
static uint16_t hash(struct folder *f, uint8_t out[DIGEST_SHA256])
{
	static const char text[] =
		"sk-aigw-abcdefghijkl-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE";
	uint16_t id;

	pepper_hash(&f->p, slice_str(text), out, &id);
	return id;
}

static void test_made_once(void **state)
{
	uint8_t first[DIGEST_SHA256], again[DIGEST_SHA256];
	struct folder *f = *state;
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(hash(f, first), 1);
	open_again(f);
	assert_int_equal(hash(f, again), 1);
	assert_memory_equal(first, again, sizeof(first));

	for (int i = -1; i <= 1; i += 2) {
		assert_int_equal(truncate(f->path, st.st_size + i), 0);
		assert_int_equal(pepper_open(&f->p, f->dir), ERRC_CORRUPT);
	}
	assert_int_equal(unlink(f->path), 0);
	open_again(f);
	assert_int_equal(hash(f, again), 1);
	assert_memory_not_equal(first, again, sizeof(first));
	assert_int_equal(pepper_open(&f->p, "/tmp/aigw-pepper-none"), ERRC_NOTFOUND);
}

static struct pepper_use needs(size_t n, const uint16_t *ids)
{
	struct pepper_use use = {.n = n};

	for (size_t i = 0; i < n; i++) {
		use.v[i].id = (uint16_t)(n - i);
		use.v[i].keys = ids[i];
	}
	return use;
}

/* A new one comes into use once the workers know it, also when the keeper ended in between; the old one stays. */
static void test_rotated(void **state)
{
	const struct pepper_use use = needs(1, (uint16_t[]){7});
	uint8_t before[DIGEST_SHA256], now[DIGEST_SHA256];
	struct folder *f = *state;
	struct stat st;

	(void)hash(f, before);
	assert_int_equal(pepper_rotate(&f->p, f->dir, 5, &use), ERRC_OK);
	assert_int_equal(pepper_newest(&f->p), 2);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(hash(f, now), 1);
		assert_memory_equal(before, now, sizeof(now));
		open_again(f);
	}
	pepper_known(&f->p, 1); /* word of an older one changes nothing */
	assert_int_equal(hash(f, now), 1);
	assert_false(pepper_has_old(&f->p));
	pepper_known(&f->p, 2);
	assert_true(pepper_has_old(&f->p));
	assert_int_equal(hash(f, now), 2);
	assert_memory_not_equal(before, now, sizeof(now));
}

static void test_kept_while_needed(void **state)
{
	struct folder *f = *state;
	struct pepper_use use;
	uint64_t changes;

	use = needs(1, (uint16_t[]){0});
	assert_int_equal(pepper_rotate(&f->p, f->dir, 5, &use), ERRC_OK);
	pepper_known(&f->p, 2);
	changes = pepper_changes(&f->p);
	/* Needed by one key. */
	use = needs(2, (uint16_t[]){0, 1});
	assert_int_equal(pepper_prune(&f->p, f->dir, &use), ERRC_OK);
	assert_int_equal(pepper_changes(&f->p), changes);
	/* Needed by none, but a backup has it. */
	use = needs(2, (uint16_t[]){0, 0});
	pepper_pin(&f->p);
	assert_int_equal(pepper_prune(&f->p, f->dir, &use), ERRC_OK);
	assert_int_equal(pepper_rotate(&f->p, f->dir, 5, &use), ERRC_BUSY);
	assert_int_equal(pepper_changes(&f->p), changes);
	pepper_unpin(&f->p);
	assert_int_equal(pepper_prune(&f->p, f->dir, &use), ERRC_OK);
	assert_int_equal(pepper_changes(&f->p), changes + 1);
	open_again(f);
	assert_int_equal(f->p.set.n, 1);
	assert_int_equal(pepper_newest(&f->p), 2);
}

/* The one that new keys are made with is never taken away, whatever is counted. */
static void test_many(void **state)
{
	struct folder *f = *state;
	uint16_t all[PEPPERS_MAX] = {1, 1, 1, 1, 1, 1, 1, 1};
	uint8_t h[DIGEST_SHA256];
	struct pepper_use use;

	for (uint16_t i = 1; i < PEPPERS_MAX; i++) {
		use = needs(i, all);
		assert_int_equal(pepper_rotate(&f->p, f->dir, 5, &use), ERRC_OK);
	}
	use = needs(PEPPERS_MAX, all);
	assert_int_equal(pepper_rotate(&f->p, f->dir, 5, &use), ERRC_LIMIT);
	memset(all, 0, sizeof(all));
	use = needs(PEPPERS_MAX, all);
	assert_int_equal(hash(f, h), 1);
	assert_int_equal(pepper_rotate(&f->p, f->dir, 5, &use), ERRC_OK);
	assert_int_equal(f->p.set.n, 3); /* the new one, the newest before it, that in use */
	assert_int_equal(hash(f, h), 1);
	assert_int_equal(pepper_newest(&f->p), PEPPERS_MAX + 1);
}

static void put(const char *path, const void *bytes, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
}

/* The set of a restored ledger takes the place of the node's own, once and whole: damaged it changes nothing. */
static void test_restored(void **state)
{
	struct folder *f = *state;
	char ledger[64], from[96], aside[96], room[PEPPERS_BYTES_MAX];
	struct buf own = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
	uint8_t before[DIGEST_SHA256], other[DIGEST_SHA256], now[DIGEST_SHA256];

	(void)hash(f, before);
	assert_int_equal(pepper_encode(&f->p, &own), ERRC_OK);
	snprintf(ledger, sizeof(ledger), "%s/ledger", f->dir);
	snprintf(from, sizeof(from), "%s/pepper", ledger);
	snprintf(aside, sizeof(aside), "%s/pepper.new", ledger);
	assert_int_equal(mkdir(ledger, 0700), 0);
	put(aside, room, 3);
	open_again(f); /* none came with it */
	assert_int_not_equal(access(aside, F_OK), 0);
	assert_int_equal(rename(f->path, aside), 0);
	open_again(f);
	(void)hash(f, other);
	assert_memory_not_equal(before, other, sizeof(other));
	for (size_t n = 0; n < own.len; n++) {
		put(from, room, n);
		assert_int_equal(pepper_open(&f->p, f->dir), ERRC_CORRUPT);
		assert_int_equal(rename(from, aside), 0);
		open_again(f);
		(void)hash(f, now);
		assert_memory_equal(other, now, sizeof(now));
	}
	put(from, room, own.len);
	for (int i = 0; i < 2; i++) {
		open_again(f);
		assert_int_not_equal(access(from, F_OK), 0);
		(void)hash(f, now);
		assert_memory_equal(before, now, sizeof(now));
	}
	assert_int_equal(rmdir(ledger), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_made_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restored, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rotated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept_while_needed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
