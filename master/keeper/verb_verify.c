#include "agree.h"
#include "agree_claims.h"
#include "agree_lost.h"
#include "clock.h"
#include "mem.h"
#include "scan.h"
#include "text.h"
#include "verbs.h"
#include "verify.h"

#include <stdio.h>

#define SCAN_ACCOUNTS 64 /* a read transaction */
#define STEP_SLICES   4  /* compared before the ledger thread sees to its commits again */

/* Three parts: the records and the live store are recomputed as a report; both are compared on the ledger thread, a few
 * accounts at a time; the answer is sent. */
struct work {
	struct verify_result records;
	struct scan live;
	struct agree agree;
	struct agree_lost lost;
	struct agree_claims claims;
	int permille; /* last told */
	struct verbs *v;
};

/* At most a hundred frames, however large the ledger is. */
static void on_progress(void *arg, int permille)
{
	struct work *w = arg;

	if (permille < w->permille + 10 && permille < 1000)
		return;
	w->permille = permille;
	/* Whether somebody still reads is found with the rows. */
	(void)!control_send_progress(w->v->chan, "%d.%d %% of the ledger", permille / 10,
				     permille % 10);
}

static enum errc recompute(struct verbs *v, struct work *w)
{
	enum errc e = verify_ledger(v->ledger, verb_args_bool(v->args, "charges"), on_progress, w,
				    &w->records);

	while (!e && !w->live.done)
		e = scan_slice(v->live, &w->live, SCAN_ACCOUNTS);
	return e;
}

static enum errc compare(struct verbs *v, struct work *w)
{
	enum errc e = ERRC_OK;

	for (int i = 0; !e && !w->agree.done && i < STEP_SLICES; i++)
		e = agree_slice(v->admin, &w->agree);
	for (int i = 0; !e && w->agree.done && !w->lost.done && i < STEP_SLICES; i++)
		e = agree_lost_slice(v->admin, &w->lost, false, clock_wall_s());
	for (int i = 0; !e && w->lost.done && !w->claims.done && i < STEP_SLICES; i++)
		e = agree_claims_slice(v->admin, &w->claims);
	v->failed = e;
	return e;
}

/* --- the answer --- */

static enum errc finding(struct verbs *v, bool found, const char *what, uint64_t at,
			 const char *text)
{
	const struct control_field f[] = {CONTROL_S("what", slice_str(what)),
					  at ? CONTROL_I("at", at) : CONTROL_N("at"),
					  CONTROL_S("text", slice_str(text))};

	return found ? verbs_row(v, "finding", f, ARRAY_LEN(f)) : ERRC_OK;
}

static enum errc price_finding(struct verbs *v, const struct verify_result *r)
{
	char hex[2 * DIGEST_SHA256 + 1], text[sizeof hex + 80];

	text_hex(r->bad_price, DIGEST_SHA256, hex);
	(void)snprintf(text, sizeof text, "price row %s has other bytes than its hash says", hex);
	return finding(v, r->bad_prices_n, "price", 0, text);
}

enum errc verb_verify_findings(struct verbs *v, const struct verify_result *r)
{
	enum errc e = finding(v, r->bad_chain_seq, "chain", r->bad_chain_seq,
			      "the first record whose hash does not follow from the one before");

	if (!e)
		e = finding(v, r->bad_record_seq, "record", r->bad_record_seq,
			    "the first record that cannot be read, contradicts those before it, "
			    "settles a request twice or takes a charge back twice");
	if (!e)
		e = finding(v, r->bad_charge_seq, "charge", r->bad_charge_seq,
			    "the first charge that does not follow from its usage and price");
	if (!e)
		e = finding(
			v, r->bad_account, "account", r->bad_account,
			"the first account of which a row is not what its records make: its own, "
			"or that of a team, a key or an end user");
	if (!e)
		e = finding(v, r->bad_day != ROLLUP_DAY_MAX, "rollup", r->bad_day,
			    "the first day, counted from 1970, whose roll-ups are not the sum of "
			    "its records");
	if (!e)
		e = finding(v, r->bad_seal_seq, "seal", r->bad_seal_seq,
			    "the last record of the first day whose seal is not what its records "
			    "add up to, or what was noted when they were removed");
	if (!e)
		e = finding(v, r->bad_claim_seq, "claim", r->bad_claim_seq,
			    "the first record that the list of idempotency keys does not agree "
			    "with");
	if (!e)
		e = finding(v, r->bad_id_seq, "id", r->bad_id_seq,
			    "the first record that the list of providers' ids does not agree with");
	if (!e)
		e = price_finding(v, r);
	if (!e)
		e = finding(
			v, r->bad_base, "base", 0,
			"what removed records came to cannot be read; nothing was compared with "
			"it");
	if (!e)
		e = finding(v, r->bad_head, "head", 0,
			    "the chain does not end where the ledger says");
	return e;
}

/* 0: all rows can be read. */
static uint64_t damaged_account(const struct work *w)
{
	return w->live.damaged    ? w->live.first_damaged
	       : w->agree.damaged ? w->agree.first_damaged
	       : w->lost.damaged  ? w->lost.first_damaged
				  : 0;
}

static enum errc send_live_findings(struct verbs *v, const struct work *w)
{
	enum errc e = finding(v, w->live.broken_accounts, "live", w->live.first_broken,
			      "the first account whose sums in the live store do not add up");

	if (!e)
		e = finding(v, w->agree.different, "agree", w->agree.first_different,
			    "the first account that live store and ledger disagree about");
	if (!e)
		e = finding(v, w->agree.missing, "agree", 0,
			    "there are accounts that only one of live store and ledger has");
	if (!e)
		e = finding(v, w->lost.lost, "lost", w->lost.first_account,
			    "the first account of which the live store has lost something that "
			    "the ledger has: a definition, or what was used of a budget");
	if (!e)
		e = finding(v, damaged_account(w), "damaged", damaged_account(w),
			    "the first account of which rows of the live store cannot be read");
	if (!e)
		e = finding(v, w->claims.different, "claims", 0,
			    "there are idempotency keys in the live store without their charge or "
			    "hold");
	return e;
}

static enum errc send_result(struct verbs *v, const struct work *w, bool good)
{
	const struct verify_result *r = &w->records;
	const struct control_field f[] = {CONTROL_I("first_seq", r->first_seq),
					  CONTROL_I("records", r->records),
					  CONTROL_I("charges", r->charges),
					  CONTROL_I("seals", r->seals),
					  CONTROL_I("accounts", w->live.accounts),
					  CONTROL_I("granted_nusd", r->granted_nusd),
					  CONTROL_I("settled_nusd", r->settled_nusd),
					  CONTROL_I("uncollected_nusd", r->uncollected_nusd),
					  CONTROL_I("imbalance_nusd", w->live.imbalance_nusd),
					  CONTROL_B("good", good)};

	return verbs_row(v, "verify", f, ARRAY_LEN(f));
}

static enum errc answer(struct verbs *v, const struct work *w)
{
	bool good = verify_is_good(&w->records) && w->live.broken_accounts == 0 &&
		    w->live.imbalance_nusd == 0 && w->agree.different == 0 &&
		    w->agree.missing == 0 && w->lost.lost == 0 && damaged_account(w) == 0 &&
		    w->claims.different == 0;
	enum errc e = send_result(v, w, good);

	if (!e)
		e = verb_verify_findings(v, &w->records);
	if (!e)
		e = send_live_findings(v, w);
	if (!e && !good)
		verbs_end(v, CONTROL_FINDINGS, "findings", "the ledger is not in order");
	return e;
}

static enum errc step(struct verbs *v)
{
	struct work *w = v->state;
	enum errc e;

	if (!w) {
		v->state = w = mem_new_of(struct work);
		if (!w)
			return ERRC_NOMEM;
		*w = (struct work){.permille = -10, .v = v};
		e = recompute(v, w);
		v->next = VERBS_ON_LEDGER;
	} else if (!w->claims.done) {
		e = compare(v, w);
		v->next = w->claims.done ? VERBS_REPORT : VERBS_ON_LEDGER;
	} else {
		e = answer(v, w);
	}
	return e;
}

void verb_verify(struct verbs *v)
{
	enum errc e = step(v);

	if (!e)
		return;
	v->next = VERBS_NOT_OURS;
	verbs_end_errc(v, e, "ledger");
}
