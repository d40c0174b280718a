/* Stored rows and records: the first byte chooses the reader. What one accepts can be written again, and is read again as the
 * same. */
#include "fuzz.h"
#include "rollup.h"
#include "rows_hold.h"
#include "rows_states.h"

static void account(struct slice in, struct buf *b)
{
	struct rows_account a;

	if (rows_get_account(in, &a) != ERRC_OK)
		return;
	(void)rows_account_is_sound(&a);
	require(rows_put_account(b, &a) == ERRC_OK && slice_eq(in, buf_slice(b)));
}

static void scope(struct slice in, struct buf *b)
{
	const uint8_t addr[16] = {0};
	struct rows_scope k;

	if (rows_get_scope(in, &k) != ERRC_OK)
		return;
	(void)rows_models_allow(k.models, SLICE_LIT("gpt-5.2"));
	(void)ipnet_any_has(k.nets, k.nets_n, addr);
	require(rows_put_scope(b, &k) == ERRC_OK && rows_get_scope(buf_slice(b), &k) == ERRC_OK);
	require(b->len == in.n);
}

static void state(struct slice in, struct buf *b)
{
	struct rows_state s, again;

	if (rows_get_state(in, &s) != ERRC_OK)
		return;
	/* Numbers may stand in more bytes than they need. */
	require(rows_put_state(b, &s) == ERRC_OK &&
		rows_get_state(buf_slice(b), &again) == ERRC_OK && again.n == s.n &&
		again.holds == s.holds && again.requests == s.requests &&
		again.tokens == s.tokens && again.charged_nusd == s.charged_nusd);
}

/* As many tokens as there may be: no sum overflows. */
static void hold_cost(const struct rows_hold *h, const struct rows_candidate *c)
{
	int64_t nusd;
	struct usage u;

	usage_init(&u);
	for (enum usage_class k = 0; k < USAGE_COUNT; k++)
		usage_set(&u, k, USAGE_MAX);
	if (rows_hold_cost(h, c, &u, &nusd) == ERRC_OK)
		require(nusd >= 0 && nusd <= MONEY_NUSD_MAX);
}

static void hold(struct slice in, struct buf *b)
{
	struct rows_hold h, again;
	enum errc rc;

	if (rows_get_hold(in, &h) != ERRC_OK)
		return;
	rc = rows_put_hold(b, &h);
	require(rc == ERRC_OK || rc == ERRC_LIMIT);
	if (rc)
		return;
	require(rows_get_hold(buf_slice(b), &again) == ERRC_OK &&
		again.candidates_n == h.candidates_n);
	for (size_t i = 0; i < h.candidates_n; i++) {
		require(h.candidates[i].price < h.prices_n &&
			slice_eq(h.candidates[i].model, again.candidates[i].model) &&
			slice_eq(h.candidates[i].cost, again.candidates[i].cost));
		hold_cost(&h, &h.candidates[i]);
	}
}

/* What reports read of a charge is what all of it says. */
static void used(struct slice in, const struct record *all)
{
	struct record r;
	struct rollup_sums a, b;

	if (record_decode_used(in, &r) != ERRC_OK) {
		require(!all);
		return;
	}
	if (!all || all->type != RECORD_CHARGE)
		return;
	a = rollup_sums_of(1, &r);
	b = rollup_sums_of(1, all);
	require(memcmp(&a, &b, sizeof a) == 0);
	require(slice_eq(r.charge.user, all->charge.user) &&
		slice_eq(r.charge.model, all->charge.model));
}

static void record(struct slice in, struct buf *b)
{
	struct record r, again;
	struct buf json;
	bool whole = record_decode(in, &r) == ERRC_OK;

	used(in, whole ? &r : NULL);
	if (!whole)
		return;
	buf_init(&json, 16 * in.n + 8192);
	require(record_json(&json, 1, &r) == ERRC_OK);
	buf_fini(&json);
	if (record_encode(b, &r) != ERRC_OK)
		return; /* too large once written our way */
	require(record_decode(buf_slice(b), &again) == ERRC_OK && again.type == r.type &&
		again.account == r.account);
}

static void name(struct slice in, struct buf *b)
{
	enum rows_kind kind;
	uint64_t account_id;
	struct slice id;

	(void)b;
	if (rows_name_parse(in, &account_id, &kind, &id))
		require(id.n == in.n - 9);
}

/* As of the row of several: one that is read whole is written as the same bytes. */
static void states(struct slice in, struct buf *b)
{
	struct rows_states w;
	enum errc rc = rows_states_begin(&w, SLICE_NONE, in);

	require(rows_states_start(b) == ERRC_OK);
	while (!rc && !(rc = rows_states_next(&w)))
		require(rows_states_add(b, w.kind, w.id, w.state) == ERRC_OK);
	if (rc == ERRC_NOTFOUND)
		require(slice_eq(in, buf_slice(b)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static void (*const readers[])(struct slice, struct buf *) = {account, scope, state, hold,
								      record,  name,  states};
	struct buf b;

	if (n == 0 || data[0] >= ARRAY_LEN(readers))
		return 0;
	buf_init(&b, 4 * ROWS_MAX);
	readers[data[0]](slice_of(data + 1, n - 1), &b);
	buf_fini(&b);
	return 0;
}
