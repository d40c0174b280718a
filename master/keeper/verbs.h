/* The control verbs that the keeper serves: arguments and rows, as fields of control.h. An argument that is absent is not
 * given; money comes in nano-dollars, times in wall seconds (_s) or milliseconds (_ms), lists as one text with commas. A
 * field that has no value is there with type NONE.
 *
 * `account` as an argument is a name or a number, `key` a public id or the whole key as people paste it. Every writing verb
 * takes `note` (text). Its row also has `durable` B: false means in force, but not on disk yet ("in force, not durable").
 *
 *   account create    name, [credit_nusd I >= 0], [postpaid B], [overdraft_nusd I >= 0], [group] -> account
 *   account update    account, [group: its new group, "none" for no one]                       -> account
 *   account list                                                                              -> account*
 *   account show      account                                                                 -> account
 *   account credit    account, add_nusd I > 0 | take_nusd I > 0 (exactly one)                 -> account
 *   account suspend   account                                                                 -> account
 *   account resume    account                                                                 -> account
 *   key create        account, KEYOPTS                                    -> key, with the field `key`: the secret, once
 *   key list          [account]                                                               -> key*
 *   key show          key                                                                     -> key
 *   key update        key, KEYOPTS; what is not given stays                                    -> key
 *   key revoke        key, [now B: running requests are cancelled too]                        -> key
 *   usage             [since_ms I], [until_ms I], [by: "day,model,key,account,provider,team,tag", at most four], [account], [key]
 *                                                                                             -> usage*, total
 *   request show      id: generation id or the provider's id                                  -> request, attempt*, class*, bill, price
 *   limit explain     key                                                                     -> limit*
 *   ledger backup                                            -> PROGRESS frames, backup, data*: the bytes of the ledger's file
 *   ledger verify     [charges B]                           -> PROGRESS frames, verify, finding*; END 6 when there are findings
 *   ledger export     [since_ms I], [until_ms I], [changes B | seals B]      -> PROGRESS frames, lines* (text: see export.h)
 *
 * KEYOPTS (all optional): name; rpm, tpm, rpd, tpd, concurrency I; budget_nusd I; budget_period: minute, hour, day, week,
 * month (default), quarter, year, total; rolling B; zone: whose calendar; models: patterns, `!` before those that deny; expires_s I, 0: never;
 * ip: addresses and ranges; clamp B; client_gone: abort, drain, node; suspended B. A number of -1, and an empty text for models and ip, take a limit away.
 *
 * Rows:
 *   account   id I, name, mode (prepaid, postpaid), status (active, suspended), granted_nusd, balance_nusd, held_nusd,
 *             settled_nusd, uncollected_nusd, overdraft_nusd, available_nusd (balance + overdraft; NONE when postpaid),
 *             group (NONE: none), holds I, created_s
 *   key       id, account (name), name, status (active, suspended, revoked, expired), rpm, tpm, rpd, tpd, concurrency (NONE:
 *             no limit), budget_nusd (NONE), budget_period, rolling B, zone, models, ip, clamp B, client_gone,
 *             expires_s (NONE: never), created_s, used_s (NONE: never used), requests, tokens, charged_nusd, holds, budget_used_nusd,
 *             budget_held_nusd, budget_left_nusd (NONE), budget_reset_s (NONE)
 *   usage     one text for each name in `by`, in that order; requests, failed, input, cached, output, reasoning,
 *             charge_nusd, uncollected_nusd, cost_nusd
 *   total     the numbers of usage
 *   request   id, seq I, hash (where it stands in the chain; NONE: not in the ledger yet), account, key, front, stream B,
 *             status I, end, model_asked, model, provider, upstream, upstream_id, admitted_ms, first_byte_ms (NONE),
 *             total_ms (NONE), settled_ms, input, cached, output, reasoning, estimated B, hold_nusd, charge_nusd,
 *             uncollected_nusd, cost_nusd, margin_nusd, charged B, capped B (at the hold), price (hash as hexadecimal text),
 *             reversed B
 *   attempt   provider, upstream, status I, ms, cost_nusd, error
 *   class     class (input, cache_read, …, request), tokens I, price_pusd (a token; NONE: of a request, or price row not
 *             found), each and amount (exact dollars as text; absent without the price row)
 *   bill      sum, multiplier, exact (texts), rounded_nusd: what the lines add up to. Absent without the price row
 *   price     that row: free B, a price for each class (input_pusd, …), request_nusd, mult_ppm
 *   limit     scope (account, team, key), name (of the scope), limit (credit, rpm, …, concurrency, budget), text (for
 *             people), unit (nusd, requests, tokens), max (NONE: none), used, held (NONE), remaining (NONE), reset_s (NONE)
 *   verify    first_seq I (older records have been removed), records, charges I (recomputed ones), seals I (compared), accounts, granted_nusd, settled_nusd, uncollected_nusd, imbalance_nusd
 *             (live store), good B
 *   backup    ledger_id, records, bytes I (about), pepper (hexadecimal)
 *   data      data: some bytes of the file
 *   finding   what (chain, record, charge, account, rollup, seal, head, live, agree), at I (number of the record or account; NONE), text
 *
 * Errors (END): 2 invalid; 4 not_found; 1 exists, refused, ledger_unavailable, not_in_force,
 * incomplete, busy, internal; 5 not_allowed. */
#ifndef AIGW_VERBS_H
#define AIGW_VERBS_H

#include <stdatomic.h>

#include "admin.h"
#include "control.h"
#include "stores.h"
#include "verb_args.h"

/* Where a verb is served: those that write on the ledger thread, one after the other; short reads on a thread of the loop's
 * pool; reports that read the ledger from end to end likewise, but one at a time. */
enum verbs_place { VERBS_ON_LEDGER, VERBS_READ, VERBS_REPORT, VERBS_NOT_OURS };
enum verbs_place verbs_place_of(enum control_verb v);

/* A request under way, with all that its function may use; borrowed. */
struct verbs {
	enum control_verb verb;
	struct verb_args args;
	struct chan *chan;
	struct stores *stores; /* for verbs_run() */
	struct live *live;     /* held while the request is served */
	struct ledger *ledger;
	struct admin *admin; /* on the ledger thread; else NULL */
	const struct digest_key *pepper;
	const char *who;             /* unix user */
	const atomic_bool *cancel;   /* the keeper ends */
	char revoked[APIKEY_ID + 1]; /* result: this key's running requests are to be cancelled */
	enum errc failed;            /* result: the ledger did; for the writer */
	bool ended;                  /* END is sent or queued */
	bool taken;                  /* the outbox was to be taken over before the report */
	enum errc not_taken;         /* why some of it is not in the ledger; ERRC_OK: all is */
	/* A function that is not done yet says where it goes on; what it needs there is in `state`, which is freed with the
	 * request (mem_free). */
	enum verbs_place next;
	void *state;
};

/* Serves the request, to its END when v->next is VERBS_NOT_OURS afterwards. */
void verbs_run(struct verbs *v);

/* For the functions. Once the peer has gone they give its error: the function gives up. */
MUSTCHECK enum errc verbs_row(struct verbs *v, const char *kind, const struct control_field *f,
			      size_t n);
/* Statuses and codes as above; does nothing after the first. */
void verbs_end(struct verbs *v, enum control_status status, const char *code, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* The END of a store's code: done, not_found, exists, … `what` names the object in the message. */
void verbs_end_errc(struct verbs *v, enum errc e, const char *what);
/* The same for a change that v->failed tells about; `durable` as admin.h says. */
void verbs_end_write(struct verbs *v, bool durable, const char *what);
/* The end of a report that is right as far as it goes; says so when the ledger could not take all that has ended. */
void verbs_end_report(struct verbs *v);
/* Who changes what, when. */
struct admin_by verbs_by(const struct verbs *v);
/* By name or number; on failure END is sent and the result is false. */
bool verbs_account(struct verbs *v, struct slice name, uint64_t *account);
/* The public id in the argument `key`; as above. */
bool verbs_key(struct verbs *v, char id[APIKEY_ID + 1]);

/* The functions, by file. */
void verb_account_write(struct verbs *v);
void verb_account_read(struct verbs *v);
void verb_key_write(struct verbs *v);
void verb_key_read(struct verbs *v);
void verb_usage(struct verbs *v);
void verb_request(struct verbs *v);
void verb_limit(struct verbs *v);
void verb_backup(struct verbs *v);
void verb_verify(struct verbs *v);
void verb_export(struct verbs *v);

#endif
