#include "admit_priv.h"

#include "log.h"

#define REQUESTS false
#define TOKENS   true
const int64_t admit_limit_len_ms[ROWS_LIMIT_COUNT] = {
#define LIMIT_ROW(id, name, text, counts, len_ms) len_ms,
#include "limits_tbl.h"
#undef LIMIT_ROW
};
const bool admit_limit_is_tokens[ROWS_LIMIT_COUNT] = {
#define LIMIT_ROW(id, name, text, counts, len_ms) counts,
#include "limits_tbl.h"
#undef LIMIT_ROW
};

enum errc admit_load_account(struct admit_run *b, uint64_t account, struct admit_rows *r)
{
	enum errc rc = live_get_account(b->l, b->txn, account, &r->account);

	if (rc)
		return rc;
	/* Copied, for the page that it lies in moves its rows when another one is written. */
	memcpy(r->account_name, r->account.name.p, r->account.name.n);
	r->account_name[r->account.name.n] = '\0';
	r->account.name.p = r->account_name;
	return ERRC_OK;
}

enum errc admit_load_state(struct admit_run *b, uint64_t account, struct admit_scope *s)
{
	return live_get_state(b->l, b->txn, account, s->kind, slice_of(s->id, sizeof s->id),
			      &s->state);
}

enum errc admit_store(struct admit_run *b, const struct admit_rows *r)
{
	enum errc rc;

	if (check_fails(rows_account_is_sound(&r->account))) {
		log_error("imbalance",
			  "the sums of account %llu do not hold, the operation is refused",
			  (unsigned long long)r->account.id);
		return ERRC_INTERNAL;
	}
	rc = live_put_account(b->l, b->txn, &r->account);
	for (size_t i = 0; !rc && i < r->scopes_n; i++) {
		const struct admit_scope *s = &r->scopes[i];

		rc = live_put_state(b->l, b->txn, r->account.id, s->kind,
				    slice_of(s->id, sizeof s->id), &s->state);
	}
	return rc;
}

enum errc admit_next_n(struct admit_run *b, uint64_t *n)
{
	if (b->outbox_last == 0) {
		enum errc rc = live_outbox_last(b->l, b->txn, &b->outbox_last);

		if (rc)
			return rc;
	}
	*n = ++b->outbox_last;
	return ERRC_OK;
}

static enum errc run_one(struct admit_run *b, struct admit_op *op, bool *wrote)
{
	switch (op->kind) {
	case ADMIT_HOLD:
		return admit_hold(b, op, wrote);
	case ADMIT_SETTLE:
		return admit_settle(b, op, wrote);
	case ADMIT_RELEASE:
		return admit_release(b, op, wrote);
	case ADMIT_REVERSE:
		return admit_reverse(b, op, wrote);
	}
	return ERRC_INVAL;
}

static enum errc run_all(struct admit_run *b, struct admit_op *const *ops, size_t n)
{
	enum errc rc = live_txn_begin(b->l, &b->txn);

	if (rc)
		return rc;
	for (size_t i = 0; !rc && i < n; i++) {
		bool wrote = false;

		ops[i]->rc = run_one(b, ops[i], &wrote);
		if (ops[i]->rc && wrote)
			rc = ops[i]->rc;
	}
	if (!rc)
		rc = live_txn_commit(b->l, &b->txn);
	live_txn_abort(b->l, &b->txn);
	return rc;
}

enum errc admit_batch(struct live *l, const struct admit_rules *rules, struct admit_op *const *ops,
		      size_t n)
{
	struct admit_run b = {.l = l, .rules = rules};
	int cleared = 0;
	enum errc rc;

	require(n >= 1 && n <= LIMIT_TXN_OPS);
	rc = run_all(&b, ops, n);
	if (rc == ERRC_NOSPACE && live_readers_check(l, &cleared) == ERRC_OK && cleared > 0) {
		/* A dead reader kept the pages that became free. */
		b = (struct admit_run){.l = l, .rules = rules};
		rc = run_all(&b, ops, n);
	}
	if (rc == ERRC_NOSPACE) {
		/* Settlements have their room; it was an admission that found the store full. */
		b = (struct admit_run){.l = l, .rules = rules, .gate = ADMIT_GATE_SPACE};
		rc = run_all(&b, ops, n);
	}
	if (!rc && b.holds != 0)
		progress_count_holds(l->progress, b.holds);
	return rc;
}

const char *admit_reason_text(enum admit_reason r)
{
	static const char *const texts[] = {
#define ADMIT_REASON(id, sentence) sentence,
#include "admit_tbl.h"
#undef ADMIT_REASON
	};

	return (size_t)r < ARRAY_LEN(texts) ? texts[r] : "unknown";
}
