#include "record_words.h"

/* The account's name, or its number. */
static enum errc put_account(struct buf *out, const struct record *r, struct slice account)
{
	return account.n ? buf_addf(out, "account " SLICE_FMT, SLICE_ARG(account))
			 : buf_addf(out, "account %llu", (unsigned long long)r->account);
}

static enum errc put_money(struct buf *out, const char *verb, const struct record *r,
			   const char *to, struct slice account)
{
	char dollars[MONEY_TEXT_MAX];
	enum errc e;

	money_print(r->change.amount_nusd, 2, dollars);
	e = buf_addf(out, "%s %s dollars %s ", verb, dollars, to);
	return e ? e : put_account(out, r, account);
}

static enum errc put_definition(struct buf *out, const struct record *r, struct slice account)
{
	struct rows_account row;
	char overdraft[MONEY_TEXT_MAX];
	enum errc e;

	if (rows_get_account(r->change.row, &row))
		return put_account(out, r, account);
	money_print(row.overdraft_nusd, 2, overdraft);
	e = buf_addf(out, SLICE_FMT " account " SLICE_FMT ": %s, %s", SLICE_ARG(r->change.what),
		     SLICE_ARG(row.name), row.mode == ROWS_POSTPAID ? "postpaid" : "prepaid",
		     row.status == ROWS_SUSPENDED ? "suspended" : "active");
	return e || row.overdraft_nusd == 0 ? e : buf_addf(out, ", overdraft %s dollars", overdraft);
}

static enum errc put_key(struct buf *out, const struct record *r, struct slice account)
{
	static const char *const statuses[ROWS_STATUS_COUNT] = {"active", "suspended", "revoked"};
	struct rows_key row;
	enum errc e = buf_addf(out, SLICE_FMT " key %.*s of ", SLICE_ARG(r->change.what), APIKEY_ID,
			       r->change.key_id);

	if (!e)
		e = put_account(out, r, account);
	if (e || rows_get_key(r->change.row, &row))
		return e;
	return buf_addf(out, ": %s%s" SLICE_FMT, statuses[row.status], row.name.n ? ", name " : "",
			SLICE_ARG(row.name));
}

static enum errc put_reversal(struct buf *out, const struct record *r, struct slice account)
{
	char id[GENID_TEXT + 1];
	enum errc e;

	genid_print(&r->change.id, id);
	e = put_money(out, "gave back", r, "to", account);
	return e ? e : buf_addf(out, ": the charge of request %s is void", id);
}

static enum errc put_gap(struct buf *out, const struct record *r)
{
	char dollars[MONEY_TEXT_MAX];

	money_print(r->change.amount_nusd, 2, dollars);
	return buf_addf(out,
			"the live store was lost (" SLICE_FMT
			") and made anew, epoch %llu; %s dollars were in holds",
			SLICE_ARG(r->change.what), (unsigned long long)r->change.epoch, dollars);
}

static enum errc put_what(struct buf *out, const struct record *r, struct slice account)
{
	switch (r->type) {
	case RECORD_ACCOUNT:
		return put_definition(out, r, account);
	case RECORD_GRANT:
		return put_money(out, "gave", r, "to", account);
	case RECORD_TAKE:
		return put_money(out, "took", r, "from", account);
	case RECORD_KEY:
		return put_key(out, r, account);
	case RECORD_REVERSE:
		return put_reversal(out, r, account);
	case RECORD_GAP:
		return put_gap(out, r);
	default:
		return ERRC_OK;
	}
}

enum errc record_words(struct buf *out, const struct record *r, struct slice account)
{
	enum errc e = ERRC_OK;

	if (r->type == RECORD_CHARGE)
		return ERRC_OK;
	if (r->change.who.n)
		e = buf_addf(out, SLICE_FMT ": ", SLICE_ARG(r->change.who));
	if (!e)
		e = put_what(out, r, account);
	if (!e && r->change.note.n)
		e = buf_addf(out, " (" SLICE_FMT ")", SLICE_ARG(r->change.note));
	return e;
}
