#include "rig.h"

#include "live_states.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "folder.h"
#include "verify.h"

static const struct admit_rules rules = {.ledger_lag_max_ms = 10000};

void rig_init(struct rig *r)
{
	*r = (struct rig){.boot_ms = 1000000, .wall_ms = INT64_C(1790000000000)};
	snprintf(r->dir, sizeof r->dir, "%s/aigw-test-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(r->dir));
	r->by = (struct admin_by){.who = SLICE_LIT("tester"), .note = SLICE_LIT("a note")};
	price_init(&r->price);
	r->price.pusd[USAGE_INPUT] = 1000000;
	r->price.pusd[USAGE_OUTPUT] = 2000000;
	assert_int_equal(price_complete(&r->price), ERRC_OK);
	price_init(&r->per_request);
	r->per_request.request_nusd = RIG_DOLLAR / 100;
	assert_int_equal(price_complete(&r->per_request), ERRC_OK);
}

static char state_dir[160], shared_dir[160];

void rig_open(struct rig *r)
{
	snprintf(state_dir, sizeof state_dir, "%s/state", r->dir);
	snprintf(shared_dir, sizeof shared_dir, "%s/live", r->dir);
	r->opts.state_dir = state_dir;
	r->opts.shared_dir = shared_dir;
	r->opts.any_filesystem = true;
	r->opts.ledger_map_bytes = UINT64_C(1) << 30;
	if (r->opts.live_bytes == 0)
		r->opts.live_bytes = 16 * 1024 * 1024;
	r->opts.regions = 8;
	r->opts.slots = 256;
	assert_int_equal(outbox_batch_init(&r->batch, 512), ERRC_OK);
	assert_int_equal(store_start(&r->opts, &r->live, &r->ledger, &r->started), ERRC_OK);
	r->admin = (struct admin){.live = r->live, .ledger = r->ledger, .batch = &r->batch};
}

void rig_close(struct rig *r)
{
	live_close(&r->live);
	ledger_close(&r->ledger);
	outbox_batch_fini(&r->batch);
}

void rig_fini(struct rig *r)
{
	if (r->live || r->ledger)
		rig_close(r);
	folder_remove("%s", r->dir);
}

void rig_join(struct rig *r)
{
	assert_int_equal(live_join(r->live), ERRC_OK);
}

static void now(struct rig *r)
{
	r->by.wall_ms = r->wall_ms;
	r->by.boot_ms = r->boot_ms;
}

uint64_t rig_account(struct rig *r, const char *name, int64_t credit_nusd)
{
	struct admin_account_spec spec = {
		.name = slice_str(name), .mode = ROWS_PREPAID, .credit_nusd = credit_nusd};
	uint64_t account = 0;
	bool durable = false;

	now(r);
	assert_int_equal(admin_account_create(&r->admin, &r->by, &spec, &account, &durable),
			 ERRC_OK);
	assert_true(durable);
	return account;
}

void rig_key(struct rig *r, uint64_t account, const char *id, struct rows_scope *k)
{
	bool durable = false;

	now(r);
	memset(k, 0, sizeof *k);
	k->kind = ROWS_KEY;
	k->account = account;
	memcpy(k->id, id, APIKEY_ID);
	digest_sha256(slice_of(id, APIKEY_ID), k->hash);
	k->created_s = r->wall_ms / 1000;
	k->name = SLICE_LIT("a key");
	rows_limits_init(&k->limits);
	assert_int_equal(admin_key_create(&r->admin, &r->by, k, &durable), ERRC_OK);
	assert_true(durable);
}

void rig_scope(struct rows_scope *s, uint64_t account, enum rows_kind kind, const char *name)
{
	memset(s, 0, sizeof *s);
	s->kind = kind;
	s->account = account;
	s->name = slice_str(name);
	s->keepalive_ms = ROWS_NO_LIMIT;
	rows_limits_init(&s->limits);
}

enum errc rig_try_put(struct rig *r, struct rows_scope *s, bool *durable)
{
	static const char none[ROWS_ID];

	now(r);
	if (s->kind == ROWS_ACCOUNT)
		return admin_rules_set(&r->admin, &r->by, s, durable);
	if (s->kind == ROWS_USER)
		return admin_user_set(&r->admin, &r->by, s, durable);
	if (s->kind == ROWS_KEY)
		return admin_key_update(&r->admin, &r->by, s, durable);
	if (memcmp(s->id, none, ROWS_ID) == 0)
		return admin_team_create(&r->admin, &r->by, s, durable);
	return admin_team_update(&r->admin, &r->by, s, durable);
}

void rig_put(struct rig *r, struct rows_scope *s)
{
	bool durable = false;

	assert_int_equal(rig_try_put(r, s, &durable), ERRC_OK);
	assert_true(durable);
}

void rig_limit(struct rows_scope *s, enum rows_limit kind, int64_t limit)
{
	assert_int_equal(rows_limits_set(&s->limits, kind, limit), ERRC_OK);
}

void rig_budget(struct rows_scope *s, int64_t nusd, struct window_spec window)
{
	rig_limit(s, ROWS_BUDGET, nusd);
	rows_limits_find(&s->limits, ROWS_BUDGET)->window = window;
}

void rig_usage(struct rig *r, uint64_t account, const char *key_id, struct auth_usage *u)
{
	assert_int_equal(auth_usage(r->live, account, key_id, SLICE_NONE, r->boot_ms, r->wall_ms, u),
			 ERRC_OK);
}

void rig_state(struct rig *r, uint64_t account, enum rows_kind kind, const char id[ROWS_ID],
	       struct rows_state *out)
{
	MDB_txn *txn;

	assert_int_equal(live_read_begin(r->live, &txn), ERRC_OK);
	assert_int_equal(live_get_state(r->live, txn, account, kind, id, out), ERRC_OK);
	live_read_end(r->live);
}

struct rows_rule_now rig_rule(const struct auth_usage *u, enum rows_limit kind)
{
	const struct auth_rule *r = auth_usage_find(u, ROWS_KEY, kind);

	return r ? r->now : (struct rows_rule_now){0};
}

struct genid rig_id(struct rig *r)
{
	struct genid id = {{0}};

	r->ids++;
	for (int i = 0; i < 6; i++)
		id.b[i] = (uint8_t)(r->wall_ms >> (40 - 8 * i));
	for (int i = 0; i < 8; i++)
		id.b[8 + i] = (uint8_t)(r->ids >> (56 - 8 * i));
	return id;
}

void rig_ask(struct rig *r, struct admit_op *op, struct hold_candidate *c, uint64_t account,
	     const char *key_id, const struct price *price, int64_t cap)
{
	*c = (struct hold_candidate){.price = {price},
				     .tiers = 1,
				     .offer = 7,
				     .provider = SLICE_LIT("mock"),
				     .model = SLICE_LIT("m1"),
				     .upstream = SLICE_LIT("up-m1"),
				     .input_bound = 100,
				     .max_output = 4096,
				     .min_output = 1024};
	*op = (struct admit_op){.kind = ADMIT_HOLD};
	op->ask = (struct admit_ask){.account = account,
				     .id = rig_id(r),
				     .boot_ms = r->boot_ms,
				     .wall_ms = r->wall_ms,
				     .model = SLICE_LIT("m1"),
				     .tokens_estimate = RIG_ESTIMATE,
				     .slot = PROGRESS_NO_SLOT,
				     .hold = {.candidates = c,
					      .n = 1,
					      .cap = cap,
					      .choices = 1,
					      .requests = 1,
					      .uncapped_share_ppm = 125000}};
	memcpy(op->ask.key_id, key_id, APIKEY_ID);
}

void rig_settle_op(struct rig *r, struct admit_op *op, uint64_t account, const struct genid *id,
		   int64_t in, int64_t out)
{
	*op = (struct admit_op){.kind = ADMIT_SETTLE};
	op->settle = (struct admit_settle){.account = account,
					   .id = *id,
					   .candidate = 0,
					   .charged = true,
					   .boot_ms = r->boot_ms,
					   .wall_ms = r->wall_ms,
					   .end = RECORD_END_DONE,
					   .status = 200,
					   .first_byte_ms = 5,
					   .total_ms = 10,
					   .upstream_id = SLICE_LIT("chatcmpl-1")};
	usage_init(&op->settle.usage);
	usage_set(&op->settle.usage, USAGE_INPUT, in);
	usage_set(&op->settle.usage, USAGE_OUTPUT, out);
}

void rig_run(struct rig *r, struct admit_op *op)
{
	assert_int_equal(admit_batch(r->live, &rules, &op, 1), ERRC_OK);
}

bool rig_hold(struct rig *r, uint64_t account, const char *key_id, const struct price *price,
	      int64_t cap, struct genid *id, struct admit_op *op)
{
	struct hold_candidate c;

	rig_ask(r, op, &c, account, key_id, price, cap);
	*id = op->ask.id;
	rig_run(r, op);
	assert_int_equal(op->rc, ERRC_OK);
	return op->reason == ADMIT_NONE;
}

void rig_settle(struct rig *r, uint64_t account, const struct genid *id, int64_t in, int64_t out,
		struct admit_done *done)
{
	struct admit_op op;

	rig_settle_op(r, &op, account, id, in, out);
	rig_run(r, &op);
	assert_int_equal(op.rc, ERRC_OK);
	*done = op.done;
}

static void end(struct rig *r, struct admit_op *op)
{
	rig_run(r, op);
	assert_int_equal(op->rc, ERRC_OK);
	assert_true(op->done.settled);
}

void rig_release(struct rig *r, uint64_t account, const struct genid *id)
{
	struct admit_op op;

	rig_settle_op(r, &op, account, id, 0, 0);
	op.kind = ADMIT_RELEASE;
	end(r, &op);
}

void rig_reverse(struct rig *r, uint64_t account, const struct genid *id, uint64_t outbox_n)
{
	struct admit_op op;

	rig_settle_op(r, &op, account, id, 0, 0);
	op.kind = ADMIT_REVERSE;
	op.outbox_n = outbox_n;
	end(r, &op);
}

bool rig_same(const struct rows_account *a, const struct rows_account *b)
{
	return a->id == b->id && a->mode == b->mode && a->status == b->status &&
	       a->flags == b->flags && a->holds == b->holds && a->granted_nusd == b->granted_nusd &&
	       a->balance_nusd == b->balance_nusd && a->held_nusd == b->held_nusd &&
	       a->settled_nusd == b->settled_nusd && a->uncollected_nusd == b->uncollected_nusd &&
	       a->overdraft_nusd == b->overdraft_nusd && a->created_s == b->created_s;
}

void rig_get_account(struct rig *r, uint64_t account, struct rows_account *a)
{
	struct buf mem;

	buf_init(&mem, ROWS_MAX);
	assert_int_equal(admin_account_get(r->live, account, &mem, a), ERRC_OK);
	buf_fini(&mem);
	a->name = SLICE_NONE;
}

void rig_check(struct rig *r, struct scan *s)
{
	*s = (struct scan){0};
	while (!s->done)
		assert_int_equal(scan_slice(r->live, s, 3), ERRC_OK);
	assert_int_equal(s->imbalance_nusd, 0);
	assert_int_equal(s->broken_accounts, 0);
}

uint64_t rig_drain(struct rig *r)
{
	uint64_t taken;

	assert_int_equal(store_drain_outbox(r->live, r->ledger, &r->batch, &taken), ERRC_OK);
	return taken;
}

void rig_check_books(struct rig *r)
{
	const struct book *book;
	struct verify_result v;
	struct scan s;

	rig_drain(r);
	rig_check(r, &s);
	book = ledger_book(r->ledger);
	assert_int_equal(s.accounts, book_accounts_n(book));
	for (size_t i = 0; i < book_accounts_n(book); i++) {
		const struct rows_account *b = book_account_at(book, i);
		struct rows_account a;

		rig_get_account(r, b->id, &a);
		assert_int_equal(a.granted_nusd, b->granted_nusd);
		assert_int_equal(a.settled_nusd, b->settled_nusd);
		assert_int_equal(a.status, b->status);
		assert_int_equal(a.flags, b->flags);
		assert_int_equal(a.balance_nusd + a.held_nusd, b->balance_nusd);
	}
	assert_int_equal(verify_ledger(r->ledger, false, NULL, NULL, &v), ERRC_OK);
	assert_true(verify_is_good(&v));
}
