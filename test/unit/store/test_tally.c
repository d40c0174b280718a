/* The rows of a report against a slow sum of the same: names, order, and what has no room. */
#include "rig.h"

#include <endian.h>
#include <stdio.h>

#include "mem.h"
#include "tally_priv.h"
#include "text.h"

#define NAMES_N  40
#define SUMS_N   20000
#define GROUPS_N 400

struct slow {
	bool used;
	int64_t requests, charge_nusd;
};

static struct text_rng rng;

static unsigned pick(unsigned n)
{
	return (unsigned)(text_rng_next(&rng) % n);
}

/* Of all lengths, many with both ends in common. */
static struct slice name_of(unsigned i, char room[64])
{
	static const char *const begins[] = {"", "x", "user-", "the same begin ", "0123456789abcde"};
	static const char *const ends[] = {"", "yz", ", the same end of a longer one"};

	if (i == 0)
		return SLICE_NONE;
	snprintf(room, 64, "%s%u%s", begins[i % ARRAY_LEN(begins)], i, ends[i % ARRAY_LEN(ends)]);
	return slice_str(room);
}

static enum errc as_it_is(void *arg, size_t column, struct slice name, struct slice *out)
{
	(void)arg;
	(void)column;
	*out = name;
	return ERRC_OK;
}

static int order(const struct report_row *a, const struct report_row *b)
{
	int c = slice_cmp(a->name[0], b->name[0]);

	return c ? c : slice_cmp(a->name[1], b->name[1]);
}

/* The second column is either one with many names, or like the first. */
static void put_names(struct tally *t, unsigned a, unsigned b, uint32_t id[REPORT_DIMS_MAX])
{
	char room[64];

	assert_int_equal(tally_name(t, 0, name_of(a, room), &id[0]), ERRC_OK);
	if (t->many == 1)
		assert_int_equal(tally_name_many(t, name_of(b, room), id), ERRC_OK);
	else
		assert_int_equal(tally_name(t, 1, name_of(b, room), &id[1]), ERRC_OK);
}

/* Adds sums of random names, and what they come to, to `slow` while there is room for their row; else to `rest`. */
static struct rollup_sums fill(struct tally *t, struct slow slow[NAMES_N][NAMES_N],
			       struct slow *rest, size_t max)
{
	struct rollup_sums total = {.requests = 0};
	size_t rows = 0;

	for (int i = 0; i < SUMS_N; i++) {
		unsigned a = pick(NAMES_N), b = pick(NAMES_N);
		int sign = pick(10) ? 1 : -1;
		struct rollup_sums s = {.first_seq = 1, .last_seq = 1, .requests = 2};
		struct slow *to = &slow[a][b];
		uint32_t id[REPORT_DIMS_MAX] = {0};

		s.charge_nusd = pick(1000);
		put_names(t, a, b, id);
		assert_int_equal(tally_add(t, id, &s, sign), ERRC_OK);
		if (sign > 0)
			rollup_sums_add(&total, &s);
		else
			rollup_sums_sub(&total, &s);
		if (!to->used && rows == max)
			to = rest;
		else
			rows += !to->used;
		to->used = true;
		to->requests += sign * s.requests;
		to->charge_nusd += sign * s.charge_nusd;
	}
	return total;
}

static void assert_tally(size_t max, size_t many)
{
	static struct slow slow[NAMES_N][NAMES_N];
	struct report_row row = {.requests = 0}, before = {.requests = 0};
	struct slow rest = {.used = false};
	struct rollup_sums total;
	struct tally t;
	size_t due = 0;
	char room[64];

	memset(slow, 0, sizeof slow);
	assert_int_equal(tally_init(&t, 2, many, (uint32_t)max), ERRC_OK);
	total = fill(&t, slow, &rest, max);
	assert_int_equal(tally_end(&t, &total, as_it_is, NULL), ERRC_OK);
	for (unsigned a = 0; a < NAMES_N; a++) {
		for (unsigned b = 0; b < NAMES_N; b++)
			due += slow[a][b].requests > 0;
	}
	assert_int_equal(tally_n(&t), due + (rest.requests > 0));
	for (size_t i = 0; i < due; i++, before = row) {
		unsigned a = 0, b = 0;

		tally_get(&t, i, &row);
		assert_true(i == 0 || order(&before, &row) < 0);
		while (a < NAMES_N && !slice_eq(name_of(a, room), row.name[0]))
			a++;
		while (b < NAMES_N && !slice_eq(name_of(b, room), row.name[1]))
			b++;
		assert_true(a < NAMES_N && b < NAMES_N);
		assert_int_equal(row.requests, slow[a][b].requests);
		assert_int_equal(row.charge_nusd, slow[a][b].charge_nusd);
	}
	if (rest.requests > 0) {
		tally_get(&t, due, &row);
		assert_int_equal(row.name[0].n + row.name[1].n, 0);
		assert_int_equal(row.requests, rest.requests);
		assert_int_equal(row.charge_nusd, rest.charge_nusd);
	}
	tally_fini(&t);
	assert_int_equal(mem_live_count(), 0);
}

static const size_t room_for[] = {100000, NAMES_N *NAMES_N, 700, 65, 64, 17, 16, 1};

static void test_tally(void **state)
{
	(void)state;
	rng = (struct text_rng){{5, 6}};
	for (size_t i = 0; i < ARRAY_LEN(room_for); i++) {
		assert_tally(room_for[i], TALLY_ALL);
		assert_tally(room_for[i], 1);
	}
}

/* --- many rows that have a name in common --- */

/* Numbers as rows have them: all of eight bytes, their sign last. */
struct stored {
	uint64_t v[2 + sizeof(struct rollup_sums) / sizeof(uint64_t)];
};

static struct runs_numbers store(struct stored *to, const struct rollup_sums *s)
{
	int64_t v[sizeof *s / sizeof(int64_t)];
	uint64_t widths = 0;

	memcpy(v, s, sizeof v);
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		to->v[i] = htole64((uint64_t)v[i] << 1 ^ (v[i] < 0 ? UINT64_MAX : 0));
		widths |= UINT64_C(8) << (4 * i);
	}
	return (struct runs_numbers){(const uint8_t *)to->v, widths};
}

/* A row of nobody, whose sums are known once those of its users have been added. */
static void fill_group(struct tally *t, struct slow slow[NAMES_N][NAMES_N], struct stored *stored,
		       struct rollup_sums *total)
{
	unsigned a = pick(NAMES_N), users = pick(100);
	struct rollup_sums *nobody;
	uint32_t id[REPORT_DIMS_MAX] = {0};
	char room[64];

	assert_int_equal(tally_name(t, 0, name_of(a, room), &id[0]), ERRC_OK);
	assert_int_equal(tally_open(t, id, 1, &nobody), ERRC_OK);
	assert_true(nobody || t->n + t->waiting >= t->max);
	for (unsigned i = 0; i < users; i++) {
		unsigned b = 1 + pick(NAMES_N - 1);
		struct rollup_sums s = {.requests = 1, .charge_nusd = pick(1000) - 100};
		struct runs_numbers n = store(&stored[i], &s);

		if (tally_has_many(t) || pick(2))
			assert_int_equal(tally_add_many(t, name_of(b, room), &n), ERRC_OK);
		rollup_sums_add(total, &s);
		slow[a][b].requests += s.requests;
		slow[a][b].charge_nusd += s.charge_nusd;
	}
	if (nobody)
		*nobody = (struct rollup_sums){.requests = users, .charge_nusd = -7};
	total->requests += users;
	total->charge_nusd -= 7;
	slow[a][0].requests += users;
	slow[a][0].charge_nusd -= 7;
}

/* A row has all that is its own or is not there. */
static void assert_same(const struct tally *t, struct slow slow[NAMES_N][NAMES_N],
			struct rollup_sums rest, size_t due)
{
	size_t n = tally_n(t);
	struct report_row row;
	char room[64];

	assert_int_equal(n, due);
	for (size_t i = 0; i < n; i++) {
		unsigned a = 0, b = 0;

		tally_get(t, i, &row);
		if (t->has_rest && i + 1 == n)
			break;
		while (a < NAMES_N && !slice_eq(name_of(a, room), row.name[0]))
			a++;
		while (b < NAMES_N && !slice_eq(name_of(b, room), row.name[1]))
			b++;
		assert_true(a < NAMES_N && b < NAMES_N);
		assert_int_equal(row.requests, slow[a][b].requests);
		assert_int_equal(row.charge_nusd, slow[a][b].charge_nusd);
		rest.requests -= (int64_t)row.requests;
		rest.charge_nusd -= row.charge_nusd;
	}
	if (t->has_rest) {
		assert_int_equal(row.requests, rest.requests);
		assert_int_equal(row.charge_nusd, rest.charge_nusd);
	} else {
		assert_int_equal(rest.requests, 0);
		assert_int_equal(rest.charge_nusd, 0);
	}
}

/* Without a seed all names have one hash: rows are told apart by what they are. */
static void assert_many(size_t max, bool seeded)
{
	static struct slow slow[NAMES_N][NAMES_N];
	static struct stored stored[GROUPS_N][100];
	struct rollup_sums total = {.requests = 0};
	struct tally t;
	size_t rows = 0;

	memset(slow, 0, sizeof slow);
	assert_int_equal(tally_init(&t, 2, 1, (uint32_t)max), ERRC_OK);
	if (!seeded)
		memset(t.seed, 0, sizeof t.seed);
	for (size_t i = 0; i < GROUPS_N; i++)
		fill_group(&t, slow, stored[i], &total);
	assert_int_equal(tally_flush(&t), ERRC_OK);
	assert_int_equal(tally_end(&t, &total, as_it_is, NULL), ERRC_OK);
	for (unsigned a = 0; a < NAMES_N; a++) {
		for (unsigned b = 0; b < NAMES_N; b++)
			rows += slow[a][b].requests > 0;
	}
	assert_same(&t, slow, total, rows > max ? max + 1 : rows);
	tally_fini(&t);
	assert_int_equal(mem_live_count(), 0);
}

static void test_many(void **state)
{
	(void)state;
	rng = (struct text_rng){{8, 9}};
	for (size_t i = 0; i < ARRAY_LEN(room_for); i++) {
		assert_many(room_for[i], true);
		assert_many(room_for[i], false);
	}
}

static void add_user(struct tally *t, const char *name)
{
	static struct stored stored[3];
	struct rollup_sums s = {.requests = 1}, *nobody;
	struct runs_numbers n = store(&stored[t->many_waiting], &s);
	uint32_t id[REPORT_DIMS_MAX] = {0};

	assert_int_equal(tally_name(t, 0, SLICE_LIT("all"), &id[0]), ERRC_OK);
	assert_int_equal(tally_open(t, id, 1, &nobody), ERRC_OK);
	assert_non_null(nobody);
	nobody->requests = 1;
	assert_int_equal(tally_add_many(t, slice_str(name), &n), ERRC_OK);
}

/* All that has no room is one user: what is told by a bit alone is not forgotten. */
static void test_one_lacks(void **state)
{
	struct rollup_sums total = {.requests = 6};
	struct report_row row;
	struct tally t;

	(void)state;
	assert_int_equal(tally_init(&t, 2, 1, 2), ERRC_OK);
	add_user(&t, "first");
	assert_int_equal(tally_flush(&t), ERRC_OK);
	add_user(&t, "first");
	assert_int_equal(tally_add_waiting(&t), ERRC_OK);
	assert_non_null(t.sieve);
	add_user(&t, "second");
	assert_int_equal(tally_flush(&t), ERRC_OK);
	assert_int_equal(tally_end(&t, &total, as_it_is, NULL), ERRC_OK);
	assert_int_equal(tally_n(&t), 3);
	tally_get(&t, 2, &row);
	assert_int_equal(row.requests, 1);
	assert_int_equal(row.name[0].n + row.name[1].n, 0);
	tally_fini(&t);
}

static enum errc add_one(struct tally *t, unsigned i)
{
	static struct stored stored[300];
	struct rollup_sums s = {.first_seq = 1, .last_seq = 1, .requests = 1};
	struct runs_numbers n = store(&stored[i], &s);
	uint32_t id[REPORT_DIMS_MAX] = {0};
	struct rollup_sums *nobody;
	char room[64];
	enum errc e = tally_name(t, 0, name_of(i, room), &id[0]);

	if (e || t->many == TALLY_ALL)
		return e ? e : tally_add(t, id, &s, 1);
	e = tally_open(t, id, 1, &nobody);
	if (!e && nobody)
		nobody->requests = 1;
	return e ? e : tally_add_many(t, name_of(i + 1, room), &n);
}

static void run_out(size_t many)
{
	struct rollup_sums s = {.requests = 300};
	unsigned n = 0;
	enum errc e;

	do {
		struct tally t;

		e = tally_init(&t, 2, many, 1000);
		mem_fail_after(++n);
		for (unsigned i = 0; !e && i < 300; i++)
			e = add_one(&t, i);
		if (!e && many != TALLY_ALL)
			e = tally_flush(&t);
		if (!e)
			e = tally_end(&t, &s, as_it_is, NULL);
		mem_fail_after(0);
		assert_true(e == ERRC_OK ? tally_n(&t) == (many == TALLY_ALL ? 300 : 600)
					 : e == ERRC_NOMEM);
		tally_fini(&t);
		assert_int_equal(mem_live_count(), 0);
	} while (e);
	assert_true(n > 10);
}

static void test_no_memory(void **state)
{
	(void)state;
	run_out(TALLY_ALL);
	run_out(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tally),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_one_lacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
