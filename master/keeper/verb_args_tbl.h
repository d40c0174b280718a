/* The control verbs that the keeper serves: arguments and rows, as fields of control.h. An argument that is absent is not
 * given; money comes in nano-dollars, times in wall seconds (_s) or milliseconds (_ms), lists as one text with commas. A
 * field that has no value is there with type NONE.
 *
 * `account` as an argument is a name or a number, `key` a public id or the whole key as people paste it. Every writing verb
 * takes `note` (text). Its row also has `durable` B: false means in force, but not on disk yet ("in force, not durable").
 *
 *   account create    name, [credit_nusd I >= 0], [postpaid B], [overdraft_nusd I >= 0], [group] -> account
 *   account update    account, [group: its new group, "none" for no one], [overdraft_nusd I], [postpaid B], SCOPEOPTS
 *                                                                                             -> account, limit*
 *   account list                                                                              -> account*
 *   account show      account                                                                 -> account, limit*
 *   account credit    account, add_nusd I > 0 | take_nusd I > 0 (exactly one)                 -> account, limit*
 *   account suspend   account                                                                 -> account, limit*
 *   account resume    account                                                                 -> account, limit*
 *   team create       account, team: its name, PARTYOPTS                                       -> team, limit*
 *   team list         [account]                                                               -> team*
 *   team show         account, team: name or id                                               -> team, limit*
 *   team update       account, team, PARTYOPTS; what is not given stays                        -> team, limit*
 *   team suspend      account, team                                                           -> team, limit*
 *   team resume       account, team                                                           -> team, limit*
 *   user list         [account]                                                               -> user*
 *   user show         account, user: its tag, * for every other                               -> user, limit*
 *   user update       account, user, PARTYOPTS; makes one that is not there                    -> user, limit*
 *   user remove       account, user
 *   key create        account, KEYOPTS                            -> key, with the field `key`: the secret, once; limit*
 *   key list          [account]                                                               -> key*
 *   key show          key                                                                     -> key, limit*
 *   key update        key, KEYOPTS; what is not given stays                                    -> key, limit*
 *   key revoke        key, [now B: running requests are cancelled too]                        -> key, limit*
 *   key suspend       key                                                                     -> key, limit*
 *   key resume        key                                                                     -> key, limit*
 *   key rotate        key, [grace_ms I >= 0, default a day: so long the old secret stays good]  -> key, with the field `key` likewise; limit*
 *   key import        keys: control_pack() of a part of a file, for each line account, KEYOPTS, [key: a secret to be taken
 *                     over]; [check B: nothing is made]                     -> imported*, or bad*
 *   pepper list                                                                               -> pepper*
 *   pepper rotate     answered once all workers know the new one                              -> pepper*
 *   usage             [since_ms I], [until_ms I], [by: "day,model,key,account,provider,team,tag", at most four]; only those of
 *                     [account], [team: name or id, with its account, or "account/team"], [key], [model], [provider], [tag;
 *                     empty: requests that name no end user]; [limit I: rows at most; -1: all], [page: what page said before]
 *                                                                                              -> usage*, total, page
 *   request show      id: generation id or the provider's id                                  -> request, attempt*, class*, bill, price
 *   limit explain     key, [user: a tag]                                                      -> limit*
 *   ledger backup                                            -> PROGRESS frames, backup, data*: the bytes of the ledger's file;
 *                                                               checked, finding*: as of verify, without the charges
 *   ledger verify     [charges B]                           -> PROGRESS frames, verify, finding*; END 6 when there are findings
 *   ledger export     [since_ms I], [until_ms I], [changes B | seals B]      -> PROGRESS frames, lines* (text: see export.h)
 *
 * SCOPEOPTS (all optional): rpm, tpm, rpd, tpd, concurrency I; budget_nusd I; budget_period: minute, hour, day, week, month
 * (default), quarter, year, total; rolling B; zone: whose calendar; limit: further ones, in the words of rule_args.h;
 * limit_remove: ids of those that go; models: patterns, `!` before those that deny; expires_s I, 0: never; ip: addresses and
 * ranges; shadow B: all of this refuses nothing; suspended B (not of an account). A number of -1, and an empty text for models and ip, take a limit away.
 * PARTYOPTS: these and credit: dollars as text, which were granted in all, or with a + in front what is added; overdraft_nusd I >= 0:
 * how far that may be overdrawn; postpaid B: true takes both away and forgets what was used of them.
 * KEYOPTS: these and name; team, empty: none; clamp B; client_gone: abort, drain, node; keepalive_ms I.
 *
 * Rows:
 *   account   id I, name, mode (prepaid, postpaid), status (active, suspended), granted_nusd, balance_nusd, held_nusd,
 *             settled_nusd, uncollected_nusd, overdraft_nusd, available_nusd (balance + overdraft, in shadow maybe below 0;
 *             NONE when postpaid and further than half from the end of what can be counted, MONEY_NUSD_MAX charged in all),
 *             group (NONE: none), holds I, created_s, shadow B: its credit, too, is only counted; but in a list models, ip, expires_s
 *   team      id, account (name), team (name), and as a key from status on, but without clamp, client_gone, keepalive_ms
 *   user      account (name), user (tag), likewise
 *   imported  line I, id, account, name, key (the secret, once; absent where it was given)
 *   bad       line I, text: why this key cannot be made
 *   pepper    pepper I (its id), newest B, made_s, keys I (that need it)
 *   key       id, account (name), team (NONE), name, status (active, suspended, revoked, expired), rpm, tpm, rpd, tpd, concurrency (NONE:
 *             no limit), budget_nusd (NONE), budget_period, rolling B, zone, models, ip, shadow B, clamp B, client_gone,
 *             expires_s (NONE: never), created_s, used_s (NONE: never used), requests, tokens, charged_nusd, holds, budget_used_nusd,
 *             budget_held_nusd, budget_left_nusd (NONE), budget_reset_s (NONE), credit_nusd, overdraft_nusd, credit_used_nusd,
 *             credit_held_nusd, credit_left_nusd (NONE: no credit of its own)
 *   usage     one text for each name in `by`, in that order; requests, failed, input, cached, output, reasoning,
 *             charge_nusd, uncollected_nusd, cost_nusd
 *   total     the numbers of usage, of all rows, sent or not
 *   page      row_count I: how many there are in all; has_more B: some are left out behind those sent; next_page (NONE)
 *   request   id, seq I, hash (where it stands in the chain; NONE: not in the ledger yet), account, key, team, user, group, front,
 *             stream B, status I, end, finish, native_finish, model_asked, model, provider, upstream, upstream_id, admitted_ms, first_byte_ms (NONE),
 *             total_ms (NONE), settled_ms, input, cached, output, reasoning, tier (NONE), estimated B, raw_usage, hold_nusd, charge_nusd,
 *             uncollected_nusd, cost_nusd, margin_nusd, charged B, capped B (at the hold), price (hash as hexadecimal text),
 *             reversed B
 *   attempt   provider, upstream, status I, ms, cost_nusd, error
 *   class     class (input, cache_read, …, request), tokens I (or pieces), price_pusd (a token; NONE: of a piece or request,
 *             or price row not found), each and amount (exact dollars as text; absent without the price row)
 *   bill      sum, multiplier, exact (texts), rounded_nusd: what the lines add up to. Absent without the price row
 *   price     that row: price (its hash), when (text: where it counts), free B, a price for each class (input_pusd, …, of
 *             pieces image_nusd, web_search_nusd), request_nusd, mult_ppm
 *   scope     scope, name, status (as of a key), models, ip, shadow B, expires_s (NONE: never)
 *   limit     scope (account, team, key, user), name (of the scope), id I (NONE: the account's credit), limit (credit, rpm, …,
 *             concurrency, budget), text (for people), unit (nusd, requests, tokens), max (NONE: none; raise and overdraft included),
 *             used, held (NONE), remaining (NONE), reset_s (NONE), granted, overdraft (NONE: no credit, or postpaid), raise (NONE),
 *             raise_until_s (NONE), shadow B
 *   verify    first_seq I (older records have been removed), records, charges I (recomputed ones), seals I (compared), accounts, granted_nusd, settled_nusd, uncollected_nusd, imbalance_nusd
 *             (live store), good B
 *   backup    ledger_id, records, bytes I (about), pepper (all of them, peppers_encode(), hexadecimal), missing_records I (that the
 *             ledger could not take before; -1: how many cannot be told), missing_why (0: none)
 *   data      data: some bytes of the file
 *   checked   good B: the records, and what is made of them, are in order
 *   finding   what (chain, record, charge, account, rollup, claim, seal, head, unread, live, agree, lost, damaged, claims), at I (number of the record or account; NONE), text
 *
 * Errors (END): 2 invalid; 4 not_found; 1 exists, refused, unavailable, ledger_unavailable, not_in_force,
 * not_durable (account credit: what it took is in force only), partly (account update: its first part was done), incomplete, busy, internal; 5 not_allowed.
 *
 * Below, for each verb: name of the argument, `!` when it must be given or `.` when not, type (S text, I number, B yes or no).
 * No include guard. */
#define VERB_SCOPE_OPTIONS                                                                       \
	" rpm.I tpm.I rpd.I tpd.I concurrency.I budget_nusd.I budget_period.S rolling.B zone.S " \
	"limit.S limit_remove.S models.S expires_s.I ip.S shadow.B suspended.B note.S"
#define VERB_PARTY_OPTIONS VERB_SCOPE_OPTIONS " credit.S overdraft_nusd.I postpaid.B"
#define VERB_KEY_OPTIONS   VERB_PARTY_OPTIONS " name.S team.S clamp.B client_gone.S keepalive_ms.I"
VERB_ARGS(ACCOUNT_CREATE, "name!S credit_nusd.I postpaid.B overdraft_nusd.I group.S note.S")
VERB_ARGS(ACCOUNT_UPDATE, "account!S group.S overdraft_nusd.I postpaid.B" VERB_SCOPE_OPTIONS)
VERB_ARGS(ACCOUNT_LIST, "")
VERB_ARGS(ACCOUNT_SHOW, "account!S")
VERB_ARGS(ACCOUNT_CREDIT, "account!S add_nusd.I take_nusd.I note.S")
VERB_ARGS(ACCOUNT_SUSPEND, "account!S note.S")
VERB_ARGS(ACCOUNT_RESUME, "account!S note.S")
VERB_ARGS(KEY_CREATE, "account!S" VERB_KEY_OPTIONS)
VERB_ARGS(KEY_LIST, "account.S")
VERB_ARGS(KEY_SHOW, "key!S")
VERB_ARGS(KEY_UPDATE, "key!S" VERB_KEY_OPTIONS)
VERB_ARGS(KEY_REVOKE, "key!S now.B note.S")
VERB_ARGS(KEY_SUSPEND, "key!S note.S")
VERB_ARGS(KEY_RESUME, "key!S note.S")
VERB_ARGS(KEY_ROTATE, "key!S grace_ms.I note.S")
VERB_ARGS(KEY_IMPORT, "keys!S check.B note.S")
VERB_ARGS(PEPPER_LIST, "")
VERB_ARGS(PEPPER_ROTATE, "")
VERB_ARGS(
	USAGE,
	"since_ms.I until_ms.I by.S account.S team.S key.S model.S provider.S tag.S limit.I page.S")
VERB_ARGS(REQUEST_SHOW, "id!S")
VERB_ARGS(TEAM_CREATE, "account!S team!S" VERB_PARTY_OPTIONS)
VERB_ARGS(TEAM_LIST, "account.S")
VERB_ARGS(TEAM_SHOW, "account!S team!S")
VERB_ARGS(TEAM_UPDATE, "account!S team!S" VERB_PARTY_OPTIONS)
VERB_ARGS(TEAM_SUSPEND, "account!S team!S note.S")
VERB_ARGS(TEAM_RESUME, "account!S team!S note.S")
VERB_ARGS(USER_LIST, "account.S")
VERB_ARGS(USER_SHOW, "account!S user!S")
VERB_ARGS(USER_UPDATE, "account!S user!S" VERB_PARTY_OPTIONS)
VERB_ARGS(USER_REMOVE, "account!S user!S note.S")
VERB_ARGS(LIMIT_EXPLAIN, "key!S user.S")
VERB_ARGS(LEDGER_VERIFY, "charges.B")
VERB_ARGS(LEDGER_BACKUP, "")
VERB_ARGS(LEDGER_EXPORT, "since_ms.I until_ms.I changes.B seals.B")
