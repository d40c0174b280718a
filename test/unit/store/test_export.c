/* export.c: everything is there once, in order, and what it is made of proves itself. */
#include "rig.h"

#include <stdio.h>

#include "digest.h"
#include "export.h"
#include "json.h"
#include "mem.h"
#include "retain.h"
#include "seal.h"
#include "text.h"

#define KEY_A  "aaaaaaaaaaaa"
#define LINES  400
#define DAY_MS INT64_C(86400000)

struct got {
	struct buf text;
	unsigned chunks, progress, fail_at;
	int permille;
};

static enum errc on_lines(void *arg, struct slice text)
{
	struct got *g = arg;

	assert_true(text.n > 0 && text.n <= 512 * 1024 && text.p[text.n - 1] == '\n');
	if (++g->chunks == g->fail_at)
		return ERRC_CONNRESET;
	return buf_adds(&g->text, text);
}

static void on_progress(void *arg, int permille)
{
	struct got *g = arg;

	assert_true(permille > g->permille && permille <= 1000);
	g->permille = permille;
	g->progress++;
}

static enum errc run(struct rig *r, const struct export_ask *ask, struct got *g)
{
	const struct export_sink sink = {on_lines, on_progress, g};

	g->permille = -1;
	g->chunks = 0;
	buf_init(&g->text, 64 * 1024 * 1024);
	return export_ledger(r->ledger, ask, &sink);
}

static const struct export_ask all = {.until_ms = INT64_MAX};

/* --- reading lines --- */

struct lines {
	struct json_doc *doc[LINES];
	const struct json *v[LINES];
	size_t n;
};

static void read_lines(const struct got *g, struct lines *l)
{
	struct slice left = buf_slice(&g->text), one;

	for (l->n = 0; left.n; l->n++) {
		assert_true(l->n < LINES);
		(void)slice_cut(&left, '\n', &one);
		assert_int_equal(json_parse(one, NULL, &l->doc[l->n]), ERRC_OK);
		l->v[l->n] = json_root(l->doc[l->n]);
	}
}

static void free_lines(struct lines *l)
{
	for (size_t i = 0; i < l->n; i++)
		json_free(&l->doc[i]);
}

static int64_t number(const struct json *v, const char *name)
{
	int64_t n = -1;

	assert_true(json_i64(json_obj_get(v, name), &n));
	return n;
}

static bool has(const struct json *v, const char *name)
{
	return json_obj_get(v, name) != NULL;
}

static void bytes_of(const struct json *v, struct buf *b)
{
	buf_reset(b);
	assert_int_equal(text_unbase64(b, json_str(json_obj_get(v, "bytes"))), ERRC_OK);
}

static void hash_of(const struct json *v, const char *name, uint8_t out[DIGEST_SHA256])
{
	assert_true(text_unhex(json_str(json_obj_get(v, name)), out, DIGEST_SHA256));
}

/* --- a ledger --- */

static int setup(void **state)
{
	struct rig *r = mem_new_of(struct rig);

	*state = r;
	rig_init(r);
	rig_open(r);
	rig_join(r);
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	rig_close(r);
	rig_fini(r);
	mem_free(r);
	return 0;
}

static void spend(struct rig *r, uint64_t acc, const struct price *price)
{
	struct admit_done done;
	struct genid id;
	struct admit_op op;

	assert_true(rig_hold(r, acc, KEY_A, price, 10, &id, &op));
	rig_settle(r, acc, &id, 20, 7, &done);
}

/* An account, a key, `n` charges at two prices; the checkpoint knows the first of them. */
static uint64_t books(struct rig *r, unsigned n)
{
	const struct price *prices[] = {&r->price, &r->per_request};
	uint64_t acc = rig_account(r, "acme", 10 * RIG_DOLLAR);
	struct rows_scope k;

	rig_key(r, acc, KEY_A, &k);
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_put_prices(r->ledger, prices, 2), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
	for (unsigned i = 0; i < n; i++) {
		r->wall_ms += 1000;
		spend(r, acc, prices[i % 2]);
		rig_drain(r);
		if (i != n / 2)
			continue;
		assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
		assert_int_equal(ledger_checkpoint(r->ledger), ERRC_OK);
		assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
	}
	return acc;
}

/* Hashes, numbers and order of all lines, as somebody would check them who has nothing else. */
static void check(const struct lines *l, bool summed)
{
	uint8_t at[DIGEST_SHA256], want[DIGEST_SHA256], got[DIGEST_SHA256];
	uint64_t seq = (uint64_t)number(l->v[0], "first_seq"), records = 0, prices = 0, sums = 0;
	struct digest d;
	struct buf b;

	buf_init(&b, RECORD_MAX);
	hash_of(l->v[0], "before", at);
	for (size_t i = 1; i + 1 < l->n; i++) {
		if (has(l->v[i], "price") && !has(l->v[i], "seq")) {
			bytes_of(l->v[i], &b);
			digest_sha256(buf_slice(&b), want);
			hash_of(l->v[i], "price", got);
			assert_memory_equal(want, got, DIGEST_SHA256);
			prices++;
		} else if (has(l->v[i], "seal")) {
			hash_of(l->v[i], "head", got);
			if (number(l->v[i], "last_seq") == (int64_t)seq - 1)
				assert_memory_equal(at, got, DIGEST_SHA256);
			else
				assert_true(number(l->v[i], "last_seq") < (int64_t)seq - 1);
		} else if (has(l->v[i], "sealed") || has(l->v[i], "opening")) {
			assert_true(number(l->v[i], "at_seq") <= (int64_t)seq - 1);
		} else if (has(l->v[i], "sums")) {
			assert_int_equal(number(l->v[i], "at_seq"), number(l->v[0], "last_seq"));
			sums++;
		} else {
			assert_int_equal(number(l->v[i], "seq"), seq++);
			bytes_of(l->v[i], &b);
			digest_init(&d);
			digest_add(&d, slice_of(at, DIGEST_SHA256));
			digest_add(&d, buf_slice(&b));
			digest_final(&d, at);
			hash_of(l->v[i], "hash", got);
			assert_memory_equal(at, got, DIGEST_SHA256);
			records++;
		}
	}
	assert_int_equal(number(l->v[l->n - 1], "records"), records);
	hash_of(l->v[l->n - 1], "head", got);
	assert_memory_equal(at, got, DIGEST_SHA256);
	assert_int_equal(seq - 1, number(l->v[0], "last_seq"));
	assert_int_equal(sums, summed ? 1 : 0);
	assert_true(prices <= 2);
	buf_fini(&b);
}

static void test_whole(void **state)
{
	struct rig *r = *state;
	static struct lines l;
	struct got g = {.fail_at = 0};
	size_t price_at = 0;

	books(r, 60);
	assert_int_equal(run(r, &all, &g), ERRC_OK);
	assert_true(g.chunks > 1 && g.progress > 1);
	assert_int_equal(g.permille, 1000);
	read_lines(&g, &l);
	check(&l, true);
	assert_int_equal(number(l.v[0], "last_seq"), ledger_state(r->ledger)->last_seq);
	/* A price row stands before the first charge that names it. */
	while (!slice_is(json_str(json_obj_get(l.v[price_at], "type")), "charge"))
		price_at++;
	assert_true(slice_eq(json_str(json_obj_get(l.v[price_at - 1], "price")),
			     json_str(json_obj_get(l.v[price_at], "price"))));
	assert_true(slice_is(json_str(json_obj_get(l.v[price_at], "account_name")), "acme"));
	free_lines(&l);
	buf_fini(&g.text);
}

static void test_empty(void **state)
{
	struct got g = {.fail_at = 0};
	static struct lines l;

	assert_int_equal(run(*state, &all, &g), ERRC_OK);
	read_lines(&g, &l);
	assert_int_equal(l.n, 2);
	check(&l, false);
	free_lines(&l);
	buf_fini(&g.text);
}

/* Part of a chain begins with the hash before it; the span is inside, with some slack at either end. */
static void test_span(void **state)
{
	struct rig *r = *state;
	int64_t begun = r->wall_ms;
	static struct lines l;
	struct got g = {.fail_at = 0};
	struct export_ask ask = {.since_ms = begun + 100000, .until_ms = begun + 110000};

	books(r, 300);
	assert_int_equal(run(r, &ask, &g), ERRC_OK);
	read_lines(&g, &l);
	check(&l, false);
	assert_true(number(l.v[0], "first_seq") > 30 && number(l.v[0], "last_seq") < 290);
	for (size_t i = 1; i + 1 < l.n; i++) {
		int64_t ms;

		if (!has(l.v[i], "seq"))
			continue;
		ms = number(l.v[i], "wall_ms");
		assert_true(ms >= ask.since_ms - 2 * LEDGER_SLACK_MS &&
			    ms < ask.until_ms + 2 * LEDGER_SLACK_MS);
	}
	free_lines(&l);
	buf_fini(&g.text);
	ask = (struct export_ask){.since_ms = r->wall_ms + 10 * LEDGER_SLACK_MS,
				  .until_ms = INT64_MAX};
	assert_int_equal(run(r, &ask, &g), ERRC_OK);
	read_lines(&g, &l);
	assert_int_equal(l.n, 2);
	assert_int_equal(number(l.v[1], "records"), 0);
	free_lines(&l);
	buf_fini(&g.text);
}

static void test_changes(void **state)
{
	struct rig *r = *state;
	const struct export_ask ask = {.until_ms = INT64_MAX, .changes = true};
	uint64_t acc = books(r, 20);
	struct got g = {.fail_at = 0};
	static struct lines l;
	bool durable;

	assert_int_equal(admin_account_take(&r->admin, &r->by, acc, RIG_DOLLAR, &durable), ERRC_OK);
	assert_int_equal(admin_account_set_status(&r->admin, &r->by, acc, ROWS_SUSPENDED, &durable),
			 ERRC_OK);
	assert_int_equal(admin_key_revoke(&r->admin, &r->by, KEY_A, false, &durable), ERRC_OK);
	assert_int_equal(run(r, &ask, &g), ERRC_OK);
	read_lines(&g, &l);
	for (size_t i = 1; i + 1 < l.n; i++)
		assert_true(has(l.v[i], "words") && has(l.v[i], "who"));
	assert_true(slice_find(buf_slice(&g.text),
			       SLICE_LIT("gave 10.00 dollars to account acme")) >= 0);
	assert_true(slice_find(buf_slice(&g.text), SLICE_LIT("took 1.00 dollars from")) >= 0);
	assert_true(slice_find(buf_slice(&g.text), SLICE_LIT("suspend account acme: prepaid")) >= 0);
	assert_true(slice_find(buf_slice(&g.text), SLICE_LIT("revoke key " KEY_A " of")) >= 0);
	assert_true(slice_find(buf_slice(&g.text), SLICE_LIT("\"type\":\"charge\"")) < 0);
	free_lines(&l);
	buf_fini(&g.text);
}

static size_t count(const struct lines *l, const char *name)
{
	size_t n = 0;

	for (size_t i = 1; i < l->n; i++)
		n += has(l->v[i], name);
	return n;
}

static void next_day(struct rig *r)
{
	r->wall_ms += DAY_MS;
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_true(seal_is_due(r->ledger, r->wall_ms));
	assert_int_equal(seal_day(r->ledger, r->wall_ms), ERRC_OK);
	assert_int_equal(ledger_checkpoint(r->ledger), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
}

/* Four days with charges, three of them sealed. */
static uint64_t days(struct rig *r)
{
	uint64_t acc = books(r, 4);

	for (int d = 0; d < 3; d++) {
		next_day(r);
		for (int i = 0; i < 4; i++)
			spend(r, acc, &r->price);
		rig_drain(r);
	}
	return acc;
}

/* A seal stands behind the last record of its day, with what every account had come to. */
static void test_seals(void **state)
{
	struct rig *r = *state;
	struct got g = {.fail_at = 0};
	static struct lines l;

	days(r);
	assert_int_equal(run(r, &all, &g), ERRC_OK);
	read_lines(&g, &l);
	check(&l, true);
	assert_int_equal(count(&l, "seal"), 3);
	assert_int_equal(count(&l, "sealed"), 3);
	assert_int_equal(number(l.v[l.n - 1], "seals"), 3);
	for (size_t i = 1; i < l.n; i++)
		if (has(l.v[i], "seal")) {
			assert_int_equal(number(l.v[i - 1], "seq"), number(l.v[i], "last_seq"));
			assert_int_equal(number(l.v[i], "accounts"), 1);
			assert_int_equal(number(l.v[i + 1], "at_seq"), number(l.v[i], "last_seq"));
		}
	free_lines(&l);
	buf_fini(&g.text);
}

static void test_seals_alone(void **state)
{
	struct rig *r = *state;
	struct export_ask ask = {.until_ms = INT64_MAX, .seals = true};
	struct got g = {.fail_at = 0};
	static struct lines l;
	int64_t begun = r->wall_ms;

	days(r);
	assert_int_equal(run(r, &ask, &g), ERRC_OK);
	read_lines(&g, &l);
	assert_int_equal(count(&l, "seal"), 3);
	assert_int_equal(count(&l, "seq"), 0);
	free_lines(&l);
	buf_fini(&g.text);
	ask.since_ms = begun + DAY_MS;
	ask.until_ms = begun + DAY_MS + 1;
	assert_int_equal(run(r, &ask, &g), ERRC_OK);
	read_lines(&g, &l);
	assert_int_equal(count(&l, "seal"), 1);
	free_lines(&l);
	buf_fini(&g.text);
}

/* What was removed is told by its seals and by what it added up to: the rest can be summed up behind that. */
static void test_behind_retention(void **state)
{
	struct rig *r = *state;
	const struct retain_keep keep = {.days = 1};
	struct got g = {.fail_at = 0};
	static struct lines l;
	bool more = true;

	days(r);
	while (more)
		assert_int_equal(retain_step(r->ledger, &keep, r->wall_ms, &more), ERRC_OK);
	assert_int_equal(run(r, &all, &g), ERRC_OK);
	read_lines(&g, &l);
	check(&l, true);
	assert_true(number(l.v[0], "first_seq") > 1);
	assert_true(has(l.v[1], "opening") && has(l.v[2], "seal"));
	assert_int_equal(number(l.v[1], "at_seq"), number(l.v[0], "first_seq") - 1);
	assert_int_equal(count(&l, "seal"), 3);
	free_lines(&l);
	buf_fini(&g.text);
}

/* A reader that goes away ends it, at whatever chunk. */
static void test_reader_goes(void **state)
{
	struct rig *r = *state;
	struct got g = {.fail_at = 1};

	books(r, 120);
	while (run(r, &all, &g) == ERRC_CONNRESET) {
		buf_fini(&g.text);
		g.fail_at++;
	}
	assert_true(g.fail_at > 2);
	buf_fini(&g.text);
}

/* However many accounts there are, what goes out at a time stays small. */
static void test_many_accounts(void **state)
{
	struct rig *r = *state;
	struct got g = {.fail_at = 0};
	char name[32];

	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "account-%d", i);
		rig_account(r, name, RIG_DOLLAR);
	}
	assert_int_equal(run(r, &all, &g), ERRC_OK);
	assert_true(slice_find(buf_slice(&g.text), SLICE_LIT("{\"sums\":2000,")) > 0);
	assert_true(g.chunks > 20);
	buf_fini(&g.text);
}

static void test_every_allocation(void **state)
{
	struct rig *r = *state;
	struct got g = {.fail_at = 0};
	enum errc e = ERRC_NOMEM;
	size_t before;

	days(r);
	before = mem_live_count();
	for (unsigned n = 1; e == ERRC_NOMEM; n++) {
		mem_fail_after(n);
		e = run(r, &all, &g);
		mem_fail_after(0);
		buf_fini(&g.text);
		assert_int_equal(mem_live_count(), before);
	}
	assert_int_equal(e, ERRC_OK);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_span, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seals_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_behind_retention, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reader_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_accounts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_allocation, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
