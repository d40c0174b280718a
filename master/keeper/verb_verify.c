#include "scan.h"
#include "verbs.h"
#include "verify.h"

#define SLICE_ACCOUNTS 64

struct shown {
	struct verbs *v;
	int permille;
};

/* At most a hundred frames, however large the ledger is. */
static void on_progress(void *arg, int permille)
{
	struct shown *s = arg;

	if (permille < s->permille + 10 && permille < 1000)
		return;
	s->permille = permille;
	/* Whether somebody still reads is found with the rows. */
	(void)!control_send_progress(s->v->chan, "%d.%d %% of the ledger", permille / 10,
				     permille % 10);
}

static enum errc finding(struct verbs *v, const char *what, uint64_t at, const char *text)
{
	const struct control_field f[] = {CONTROL_S("what", slice_str(what)),
					  at ? CONTROL_I("at", at) : CONTROL_N("at"),
					  CONTROL_S("text", slice_str(text))};

	return verbs_row(v, "finding", f, ARRAY_LEN(f));
}

static enum errc send_findings(struct verbs *v, const struct verify_result *r, const struct scan *s)
{
	enum errc e = ERRC_OK;

	if (r->bad_chain_seq)
		e = finding(v, "chain", r->bad_chain_seq,
			    "the first record whose hash does not follow from the one before");
	if (!e && r->bad_record_seq)
		e = finding(v, "record", r->bad_record_seq,
			    "the first record that cannot be read, contradicts those before it or "
			    "settles a request twice");
	if (!e && r->bad_charge_seq)
		e = finding(v, "charge", r->bad_charge_seq,
			    "the first charge that does not follow from its usage and price");
	if (!e && r->bad_account)
		e = finding(v, "account", r->bad_account,
			    "the first account whose balance is not the sum of its records");
	if (!e && r->bad_head)
		e = finding(v, "head", 0, "the chain does not end where the ledger says");
	if (!e && s->broken_accounts)
		e = finding(v, "live", s->first_broken,
			    "the first account whose sums in the live store do not add up");
	return e;
}

static enum errc send_result(struct verbs *v, const struct verify_result *r, const struct scan *s,
			     bool good)
{
	const struct control_field f[] = {CONTROL_I("records", r->records),
					  CONTROL_I("charges", r->charges),
					  CONTROL_I("accounts", s->accounts),
					  CONTROL_I("granted_nusd", r->granted_nusd),
					  CONTROL_I("settled_nusd", r->settled_nusd),
					  CONTROL_I("uncollected_nusd", r->uncollected_nusd),
					  CONTROL_I("imbalance_nusd", s->imbalance_nusd),
					  CONTROL_B("good", good)};

	return verbs_row(v, "verify", f, ARRAY_LEN(f));
}

static enum errc scan_live(struct verbs *v, struct scan *s)
{
	enum errc e = ERRC_OK;

	while (!e && !s->done)
		e = scan_slice(v->live, s, SLICE_ACCOUNTS);
	return e;
}

void verb_verify(struct verbs *v)
{
	struct shown shown = {.v = v, .permille = -10};
	struct verify_result r;
	struct scan s = {.done = false};
	bool good = false;
	enum errc e = verify_ledger(v->ledger, verb_args_bool(v->args, "charges"), on_progress,
				    &shown, &r);

	if (!e)
		e = scan_live(v, &s);
	if (!e) {
		good = verify_is_good(&r) && s.broken_accounts == 0 && s.imbalance_nusd == 0;
		e = send_result(v, &r, &s, good);
	}
	if (!e)
		e = send_findings(v, &r, &s);
	if (!e && !good)
		verbs_end(v, CONTROL_FINDINGS, "findings", "the ledger is not in order");
	verbs_end_errc(v, e, "ledger");
}
