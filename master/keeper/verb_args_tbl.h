/* The arguments of each verb: name, `!` when it must be given or `.` when not, type (S text, I number, B yes or no). */
#define VERB_KEY_OPTIONS                                                                         \
	" name.S rpm.I tpm.I rpd.I tpd.I concurrency.I budget_nusd.I budget_period.S rolling.B zone.S " \
	"models.S expires_s.I"                                                                   \
	" ip.S clamp.B client_gone.S keepalive_ms.I suspended.B note.S"
VERB_ARGS(ACCOUNT_CREATE, "name!S credit_nusd.I postpaid.B overdraft_nusd.I group.S note.S")
VERB_ARGS(ACCOUNT_UPDATE, "account!S group.S note.S")
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
VERB_ARGS(USAGE, "since_ms.I until_ms.I by.S account.S key.S")
VERB_ARGS(REQUEST_SHOW, "id!S")
VERB_ARGS(LIMIT_EXPLAIN, "key!S")
VERB_ARGS(LEDGER_VERIFY, "charges.B")
VERB_ARGS(LEDGER_BACKUP, "")
VERB_ARGS(LEDGER_EXPORT, "since_ms.I until_ms.I changes.B seals.B")
