/* The token table of aigwctl: one row feeds the parser, --help at each level, the shells' completion, the request that is
 * sent, and the section COMMANDS of the manual. Included with these defined; no include guard.
 *	GROUP(words, sentence)                          what stands before a verb
 *	COMMAND(ID, words, run, timeout_ms, sentence)   ID: the verb of control_tbl.h, or LOCAL_… for those without one;
 *	                                                run: cmd_<run>(); timeout_ms: of silence, 0 = none
 *	WORD(type, NAME, field, where, need, sentence)  an argument; need: NEEDED or MAY
 *	OPTION(type, name, VALUE, field, where, sentence)
 *	COMMAND_END(ID)
 * type: how the text is read, see command.h. where: SEND (to the daemon, as `field`) or LOCAL. VALUE of a choice lists the
 * values. The first row is no command: its options are understood with every one. */
COMMAND(LOCAL_ALL, "", none, 0, "")
OPTION(TEXT, "socket", "PATH", "socket", LOCAL,
       "The control socket; else $AIGW_SOCKET, else that of the default configuration.")
OPTION(FLAG, "json", "", "json", LOCAL, "Print one JSON object, errors too.")
OPTION(SPAN, "timeout", "TIME", "timeout_ms", LOCAL,
       "Give up after this silence of the daemon (5s, 2m, 0 = never).")
OPTION(FLAG, "wide", "", "wide", LOCAL, "Print all columns, whatever the width of the terminal.")
OPTION(FLAG, "help", "", "help", LOCAL, "Explain the command; works at each level.")
OPTION(FLAG, "version", "", "version", LOCAL, "Print the version.")
COMMAND_END(LOCAL_ALL)

/* --- the node --- */

COMMAND(STATUS, "status", plain, 15000, "Show the node: state, ledger, listeners, workers.")
COMMAND_END(STATUS)

COMMAND(RELOAD, "reload", reload, 60000,
	"Read the configuration again, wait until all processes use it, and print what changed, or "
	"all errors.")
COMMAND_END(RELOAD)

COMMAND(STOP, "stop", plain, 0, "Drain and stop the daemon, and wait for its end.")
OPTION(FLAG, "now", "", "now", SEND, "Cut running requests off instead of waiting for them.")
COMMAND_END(STOP)

GROUP("log", "The log.")
COMMAND(LOG_REOPEN, "log reopen", plain, 15000,
	"Open the log file anew, as after its rotation, and wait until all processes write to it.")
COMMAND_END(LOG_REOPEN)

GROUP("config", "The configuration.")
COMMAND(CONFIG_CHECK, "config check", config_check, 30000,
	"Check the daemon's configuration files as they are now, or FILE without a daemon.")
WORD(TEXT, "FILE", "file", LOCAL, MAY, "An aigw.yaml to check here.")
OPTION(FLAG, "strict", "", "strict", SEND, "An unset env: secret is an error, not a warning.")
COMMAND_END(CONFIG_CHECK)

COMMAND(CONFIG_SHOW, "config show", config_show, 15000,
	"Print the configuration in force, merged, secrets as ***; it parses again.")
OPTION(FLAG, "origin", "", "origin", SEND, "Add the place that each value came from.")
COMMAND_END(CONFIG_SHOW)

/* --- money --- */

/* What every scope may have. */
#define SCOPE_OPTIONS                                                                                            \
	OPTION(COUNT, "rpm", "N", "rpm", SEND, "Requests a minute.")                                             \
	OPTION(COUNT, "tpm", "N", "tpm", SEND, "Tokens a minute.")                                               \
	OPTION(COUNT, "rpd", "N", "rpd", SEND, "Requests a day.")                                                \
	OPTION(COUNT, "tpd", "N", "tpd", SEND, "Tokens a day.")                                                  \
	OPTION(COUNT, "concurrency", "N", "concurrency", SEND, "Requests at the same time.")                     \
	OPTION(USD_NONE, "budget", "DOLLARS", "budget_nusd", SEND,                                               \
	       "What may be spent in each period.")                                                              \
	OPTION(CHOICE, "period", "minute|hour|day|week|month|quarter|year|total", "budget_period",               \
	       SEND, "The budget's period; default month.")                                                      \
	OPTION(SWITCH, "rolling", "on|off", "rolling",                                                           \
	       SEND, "on: a period begins with the first use after the last one ended; off: with the calendar.") \
	OPTION(TEXT, "zone", "ZONE", "zone", SEND,                                                               \
	       "Whose calendar the periods follow, such as Europe/Berlin; default UTC. Weeks "                   \
	       "begin on Monday.")                                                                               \
	OPTION(LIST, "limit", "LIMIT", "limit", SEND,                                                            \
	       "A further limit, or a change of one: 'budget=10/month models=gpt-5*', '3:raise=5 "               \
	       "windows=1'; see LIMITS in the manual. May be repeated.")                                         \
	OPTION(LIST, "limit-remove", "IDS", "limit_remove", SEND,                                                \
	       "Take the limits with these ids away, which `show` prints; may be repeated.")                     \
	OPTION(LIST, "models", "PATTERNS", "models", SEND,                                                       \
	       "Models that may be used, such as 'gpt-5*,!*-preview', as fallbacks too; may "                    \
	       "be repeated.")                                                                                   \
	OPTION(LIST, "ip", "RANGES", "ip", SEND,                                                                 \
	       "Addresses and ranges that requests may come from; may be repeated.")                             \
	OPTION(WHEN, "expires", "TIME", "expires_s", SEND,                                                       \
	       "The end: a date, a time, or a span such as 30d, none that is over; never: without an end.")      \
	OPTION(SWITCH, "shadow", "on|off", "shadow", SEND,                                                       \
	       "on: its limits, models, ip and end, of an account its credit too, refuse nothing; what "        \
	       "they would is counted and logged.")                                                              \
	OPTION(TEXT, "note", "TEXT", "note", SEND, "Why, for the ledger.")

/* Credit of what is no account: when it is made, and later. */
#define OVERDRAFT_OPTION                                            \
	OPTION(USD, "overdraft", "DOLLARS", "overdraft_nusd", SEND, \
	       "How far that credit may be overdrawn; default 0.")
#define CREDIT_OPTIONS                                                                            \
	OPTION(USD_MORE, "credit", "DOLLARS", "credit", SEND,                                     \
	       "Credit of its own, such as 5 or 0.25: what it may use in all, of its account's.") \
	OVERDRAFT_OPTION                                                                          \
	OPTION(FLAG, "postpaid", "", "postpaid", SEND,                                            \
	       "No credit of its own, as without --credit: only its account's counts.")
#define CREDIT_CHANGES                                                                     \
	OPTION(USD_MORE, "credit", "[+]DOLLARS", "credit", SEND,                           \
	       "Credit of its own: what it may use in all, of its account's; with a + so " \
	       "much more than it has. What it used stays used.")                          \
	OVERDRAFT_OPTION                                                                   \
	OPTION(SWITCH, "postpaid", "on|off", "postpaid", SEND,                             \
	       "on: no credit of its own any more, but for some models; what was used of " \
	       "it is forgotten.")

GROUP("account", "Accounts: who pays.")
COMMAND(ACCOUNT_CREATE, "account create", account_create, 15000,
	"Make an account, prepaid unless told otherwise.")
WORD(TEXT, "NAME", "name", SEND, NEEDED, "A name that no other account has.")
OPTION(USD, "credit", "DOLLARS", "credit_nusd", SEND,
       "Credit to begin with, such as 5 or 0.25; of one that is postpaid what it paid in advance, "
       "which refuses nothing when it is used up.")
OPTION(FLAG, "postpaid", "", "postpaid", SEND,
       "Used without credit, to be paid afterwards. One account is charged 4000000000 dollars at most.")
OPTION(USD, "overdraft", "DOLLARS", "overdraft_nusd", SEND,
       "How far the balance may go below zero; default 0.")
OPTION(TEXT, "group", "NAME", "group", SEND,
       "Pays the prices times the multiplier of this group in the configuration.")
OPTION(TEXT, "note", "TEXT", "note", SEND, "Why, for the ledger.")
COMMAND_END(ACCOUNT_CREATE)

COMMAND(ACCOUNT_UPDATE, "account update", update,
	15000, "Change an account; what is not given stays. The value none takes a limit, models or ip away.")
WORD(TEXT, "NAME", "account", SEND, NEEDED, "The account's name or number.")
OPTION(SWITCH, "postpaid", "on|off", "postpaid", SEND,
       "on: used without credit, to be paid afterwards.")
OPTION(USD, "overdraft", "DOLLARS", "overdraft_nusd", SEND, "How far the balance may go below zero.")
OPTION(TEXT, "group", "NAME", "group", SEND,
       "Pays the prices times the multiplier of this group in the configuration, from the next "
       "request on; none: the prices as they are listed.")
SCOPE_OPTIONS
COMMAND_END(ACCOUNT_UPDATE)

COMMAND(ACCOUNT_LIST, "account list", plain, 15000, "List the accounts with their balances.")
COMMAND_END(ACCOUNT_LIST)

COMMAND(ACCOUNT_SHOW, "account show", plain, 15000, "Show one account.")
WORD(TEXT, "NAME", "account", SEND, NEEDED, "The account's name or number.")
COMMAND_END(ACCOUNT_SHOW)

COMMAND(ACCOUNT_CREDIT, "account credit", account_credit, 15000,
	"Give credit to an account, or take it away.")
WORD(TEXT, "NAME", "account", SEND, NEEDED, "The account's name or number.")
OPTION(USD, "add", "DOLLARS", "add_nusd", SEND, "Add this much.")
OPTION(USD, "take", "DOLLARS", "take_nusd", SEND,
       "Take this much; refused where the balance would go below its floor, which an account that is "
       "postpaid or in shadow has not.")
OPTION(TEXT, "note", "TEXT", "note", SEND, "Why, for the ledger.")
COMMAND_END(ACCOUNT_CREDIT)

COMMAND(ACCOUNT_SUSPEND, "account suspend", plain, 15000,
	"Refuse new requests of an account; running ones end normally.")
WORD(TEXT, "NAME", "account", SEND, NEEDED, "The account's name or number.")
OPTION(TEXT, "note", "TEXT", "note", SEND, "Why, for the ledger.")
COMMAND_END(ACCOUNT_SUSPEND)

COMMAND(ACCOUNT_RESUME, "account resume", plain, 15000,
	"Admit requests of a suspended account again.")
WORD(TEXT, "NAME", "account", SEND, NEEDED, "The account's name or number.")
OPTION(TEXT, "note", "TEXT", "note", SEND, "Why, for the ledger.")
COMMAND_END(ACCOUNT_RESUME)

GROUP("team", "Teams: keys of one account that share limits.")
COMMAND(TEAM_CREATE, "team create", of_account, 15000, "Make a team in an account.")
WORD(TEXT, "NAME", "team", SEND, NEEDED, "A name that no other team of the account has.")
OPTION(TEXT, "account", "NAME", "account", SEND, "The account that pays (needed).")
CREDIT_OPTIONS
SCOPE_OPTIONS
COMMAND_END(TEAM_CREATE)

COMMAND(TEAM_LIST, "team list", plain, 15000, "List the teams.")
OPTION(TEXT, "account", "NAME", "account", SEND, "Only those of this account.")
COMMAND_END(TEAM_LIST)

COMMAND(TEAM_SHOW, "team show", of_account, 15000,
	"Show one team with its limits and what it has used.")
WORD(TEXT, "NAME", "team", SEND, NEEDED, "The team's name or id.")
OPTION(TEXT, "account", "NAME", "account", SEND, "Its account (needed).")
COMMAND_END(TEAM_SHOW)

COMMAND(TEAM_UPDATE, "team update", of_account_update, 15000,
	"Change a team; what is not given stays. The value none takes a limit, models or ip away.")
WORD(TEXT, "NAME", "team", SEND, NEEDED, "The team's name or id.")
OPTION(TEXT, "account", "NAME", "account", SEND, "Its account (needed).")
CREDIT_CHANGES
SCOPE_OPTIONS
COMMAND_END(TEAM_UPDATE)

COMMAND(TEAM_SUSPEND, "team suspend", of_account, 15000,
	"Refuse new requests of a team's keys; running ones end normally.")
WORD(TEXT, "NAME", "team", SEND, NEEDED, "The team's name or id.")
OPTION(TEXT, "account", "NAME", "account", SEND, "Its account (needed).")
OPTION(TEXT, "note", "TEXT", "note", SEND, "Why, for the ledger.")
COMMAND_END(TEAM_SUSPEND)

COMMAND(TEAM_RESUME, "team resume", of_account, 15000, "Admit requests of a suspended team again.")
WORD(TEXT, "NAME", "team", SEND, NEEDED, "The team's name or id.")
OPTION(TEXT, "account", "NAME", "account", SEND, "Its account (needed).")
OPTION(TEXT, "note", "TEXT", "note", SEND, "Why, for the ledger.")
COMMAND_END(TEAM_RESUME)

GROUP("user", "End users of an account, by the tag that their requests carry.")
COMMAND(USER_LIST, "user list", plain, 15000, 
	"List the end users of whom anything is said: limits, models, an end, a suspension.")
OPTION(TEXT, "account", "NAME", "account", SEND, "Only those of this account.")
COMMAND_END(USER_LIST)

COMMAND(USER_SHOW, "user show", of_account, 15000, "Show what one end user may do and has used.")
WORD(TEXT, "TAG", "user", SEND, NEEDED, 
     "The tag; '*' is every user that has no limits of its own.")
OPTION(TEXT, "account", "NAME", "account", SEND, "The account (needed).")
COMMAND_END(USER_SHOW)

COMMAND(USER_UPDATE, "user update", of_account_update, 15000,
	"Give limits to an end user, or change them; what is not given stays.")
WORD(TEXT, "TAG", "user", SEND, NEEDED,
     "The tag; '*' gives these limits to each user that has none of its own.")
OPTION(TEXT, "account", "NAME", "account", SEND, "The account (needed).")
CREDIT_CHANGES
SCOPE_OPTIONS
OPTION(SWITCH, "suspended", "on|off", "suspended", SEND,
       "on: refuse requests with this tag until it is off again.")
COMMAND_END(USER_UPDATE)

COMMAND(USER_REMOVE, "user remove", of_account, 15000,
	"Take away all that is said of an end user, a suspension too; '*' counts for it then.")
WORD(TEXT, "TAG", "user", SEND, NEEDED, "The tag.")
OPTION(TEXT, "account", "NAME", "account", SEND, "The account (needed).")
OPTION(TEXT, "note", "TEXT", "note", SEND, "Why, for the ledger.")
COMMAND_END(USER_REMOVE)

#define KEY_OPTIONS                                                                               \
	OPTION(TEXT, "name", "TEXT", "name", SEND, "A name for people.")                          \
	OPTION(LIST, "team", "NAME", "team", SEND,                                                \
	       "The team of the account that the key belongs to, whose limits count too; none.")  \
	SCOPE_OPTIONS                                                                             \
	OPTION(SWITCH, "clamp", "on|off", "clamp", SEND,                                          \
	       "on: lower max_tokens to what the credit covers instead of refusing the request, " \
	       "but not below the model's min_output.")                                           \
	OPTION(CHOICE, "client-gone", "abort|drain|node", "client_gone", SEND,                    \
	       "What becomes of an answer whose client leaves; node: what the node's "            \
	       "client_gone.policy says.")                                                        \
	OPTION(SPAN_NONE, "keepalive", "TIME", "keepalive_ms",                                    \
	       SEND, "A sign of life in streams after this silence, in whole seconds; 0 = off, none = the node's.")

GROUP("key", "API keys, which act for an account within their limits.")
COMMAND(KEY_CREATE, "key create", key_create, 15000,
	"Make a key and print it: the only time that it is seen.")
OPTION(TEXT, "account", "NAME", "account", SEND, "The account that pays (needed).")
CREDIT_OPTIONS
KEY_OPTIONS
COMMAND_END(KEY_CREATE)

COMMAND(KEY_LIST, "key list", plain, 15000, "List the keys.")
OPTION(TEXT, "account", "NAME", "account", SEND, "Only those of this account.")
COMMAND_END(KEY_LIST)

COMMAND(KEY_SHOW, "key show", plain, 15000, "Show one key with its limits and what it has used.")
WORD(SECRET, "KEY", "key", SEND, NEEDED, "The public id, or the whole key.")
COMMAND_END(KEY_SHOW)

COMMAND(KEY_UPDATE, "key update", update, 15000,
	"Change a key; what is not given stays. The value none takes a limit, models or ip away.")
WORD(SECRET, "KEY", "key", SEND, NEEDED, "The public id, or the whole key.")
CREDIT_CHANGES
KEY_OPTIONS
OPTION(SWITCH, "suspended", "on|off", "suspended", SEND,
       "on: refuse requests with this key until it is off again.")
COMMAND_END(KEY_UPDATE)
#undef KEY_OPTIONS
#undef SCOPE_OPTIONS
#undef CREDIT_OPTIONS
#undef CREDIT_CHANGES
#undef OVERDRAFT_OPTION

COMMAND(KEY_REVOKE, "key revoke", plain, 15000, "End a key for good; running requests end normally.")
WORD(SECRET, "KEY", "key", SEND, NEEDED, "The public id, or the whole key.")
OPTION(FLAG, "now", "", "now", SEND, "Cancel its running requests too.")
OPTION(TEXT, "note", "TEXT", "note", SEND, "Why, for the ledger.")
COMMAND_END(KEY_REVOKE)

COMMAND(KEY_SUSPEND, "key suspend", plain, 15000,
	"Refuse new requests with a key until it is resumed; running ones end normally.")
WORD(SECRET, "KEY", "key", SEND, NEEDED, "The public id, or the whole key.")
OPTION(TEXT, "note", "TEXT", "note", SEND, "Why, for the ledger.")
COMMAND_END(KEY_SUSPEND)

COMMAND(KEY_RESUME, "key resume", plain, 15000, "Admit requests with a suspended key again.")
WORD(SECRET, "KEY", "key", SEND, NEEDED, "The public id, or the whole key.")
OPTION(TEXT, "note", "TEXT", "note", SEND, "Why, for the ledger.")
COMMAND_END(KEY_RESUME)

COMMAND(KEY_ROTATE, "key rotate", key_create, 15000,
	"Give a key a new secret and print it: the only time that it is seen. Id, limits and usage stay.")
WORD(SECRET, "KEY", "key", SEND, NEEDED, "The public id, or the whole key.")
OPTION(SPAN, "grace", "TIME", "grace_ms", SEND,
       "So long the secret before stays good too; 0: it ends at once; default 24h. One before that has ended.")
OPTION(TEXT, "note", "TEXT", "note", SEND, "Why, for the ledger.")
COMMAND_END(KEY_ROTATE)

COMMAND(KEY_IMPORT, "key import", key_import, 60000,
	"Make many keys, one for each line of a file, and print one JSON object with the secret for "
	"each; see IMPORTING KEYS in the manual.")
WORD(TEXT, "FILE", "file", LOCAL, NEEDED, "JSON objects, one a line; - reads standard input.")
OPTION(COUNT, "from", "LINE", "from", LOCAL, "Begin with this line: those before it are made already.")
OPTION(TEXT, "note", "TEXT", "note", SEND, "Why, for the ledger.")
COMMAND_END(KEY_IMPORT)

GROUP("pepper", "What the secrets of keys are hashed with.")
COMMAND(PEPPER_LIST, "pepper list", plain, 15000, "List the peppers and how many keys need each.")
COMMAND_END(PEPPER_LIST)

COMMAND(PEPPER_ROTATE, "pepper rotate", plain, 30000,
	"Make a new pepper for the keys to come; older ones go once no key needs them. In force in all "
	"workers when this ends.")
COMMAND_END(PEPPER_ROTATE)

COMMAND(USAGE, "usage", usage, 300000,
	"Add up requests, tokens and money of all requests that have ended.")
OPTION(SINCE, "since", "TIME", "since_ms", SEND,
       "From here on: a date, a time, or a span before now such as 24h or 7d.")
OPTION(SINCE, "until", "TIME", "until_ms", SEND, "Up to here, likewise; default no end.")
OPTION(CHOICES, "by", "day|model|key|account|provider|team|tag", "by", SEND,
       "One row for each; up to four, with commas. The model is the one that answered, or that was asked for where none did.")
OPTION(TEXT, "account", "NAME", "account", SEND, "Only this account.")
OPTION(TEXT, "team", "NAME", "team", SEND, "Only this team, with --account; or ACCOUNT/TEAM.")
OPTION(SECRET, "key", "KEY", "key", SEND, "Only this key.")
OPTION(TEXT, "model", "MODEL", "model", SEND, "Only this model, likewise; no request is without one.")
OPTION(TEXT, "provider", "NAME", "provider", SEND, "Only what this provider answered; an empty one: what none did.")
OPTION(TEXT, "tag", "TAG", "tag", SEND,
       "Only requests of this end user; an empty one: those that name none.")
OPTION(COUNT, "limit", "N", "limit", SEND, "So many rows at most; the total is of all.")
OPTION(TEXT, "page", "PAGE", "page", SEND,
       "Go on behind a page: what it said to be next, with the same --by.")
OPTION(FLAG, "margin", "", "margin", LOCAL,
       "Show what it cost us too, which --csv and --json always have, attempts given up by "
       "failover included, which count where the answer came from; and add the difference.")
OPTION(FLAG, "csv", "", "csv", LOCAL,
       "Print comma-separated values. A text that begins with = + - @ or ' has one more ' before it, so that no "
       "spreadsheet runs it; numbers stay as they are.")
COMMAND_END(USAGE)

GROUP("request", "Single requests.")
COMMAND(REQUEST_SHOW, "request show", plain, 30000,
	"Show the record of one request: attempts, tokens, prices, charge.")
WORD(TEXT, "ID", "id", SEND, NEEDED, "The request id (gen_…), or the provider's id.")
COMMAND_END(REQUEST_SHOW)

GROUP("limit", "Limits.")
COMMAND(LIMIT_EXPLAIN, "limit explain", plain, 15000,
	"Show what a request with this key meets: its scopes, whether they admit it, and every limit with what is "
	"left of it.")
WORD(SECRET, "KEY", "key", SEND, NEEDED, "The public id, or the whole key.")
OPTION(TEXT, "user", "TAG", "user", SEND, "The end user that the request names; a tag that a request can have.")
COMMAND_END(LIMIT_EXPLAIN)

GROUP("ledger", "The books.")
COMMAND(LEDGER_VERIFY, "ledger verify", plain, 0,
	"Recompute the hash chain, all sums, the lists beside the records and the hashes of "
	"price rows; exit status 6 if something is wrong.")
OPTION(FLAG, "charges", "", "charges", SEND,
       "Recompute each charge from its usage and prices as well.")
COMMAND_END(LEDGER_VERIFY)

COMMAND(LEDGER_EXPORT, "ledger export", ledger_export, 0,
	"Print the ledger, one JSON object a line: records, price rows, sums; verify_export.py "
	"recomputes it from that alone.")
OPTION(SINCE, "since", "TIME", "since_ms", SEND,
       "From here on: a date, a time, or a span before now such as 24h or 7d.")
OPTION(SINCE, "until", "TIME", "until_ms", SEND, "Up to here, likewise; default no end.")
OPTION(FLAG, "changes", "", "changes", SEND,
       "Only what people changed: accounts, credit, keys; who, when and, in words, what.")
OPTION(FLAG, "seals", "", "seals",
       SEND, "Only the seals of the days: the chain's hash and every account's sums, to be kept elsewhere.")
COMMAND_END(LEDGER_EXPORT)

COMMAND(LEDGER_BACKUP, "ledger backup", ledger_backup, 0,
	"Copy the ledger as it is now, while the node serves, and the pepper that its keys need, "
	"into a new folder, and look through its records; exit status 6 if something is wrong.")
WORD(TEXT, "FOLDER", "dir", LOCAL, NEEDED,
     "The folder to be made, closed to others; it appears once it is complete.")
COMMAND_END(LEDGER_BACKUP)

COMMAND(LOCAL_RESTORE, "ledger restore", ledger_restore, 0,
	"Put a backup in the place of a stopped node's ledger, which is kept beside it; what was "
	"charged "
	"since the backup is not in it.")
WORD(TEXT, "FOLDER", "dir", LOCAL, NEEDED, "What 'ledger backup' made.")
OPTION(TEXT, "state", "FOLDER", "state", LOCAL,
       "The node's state folder; else that of the configuration.")
OPTION(TEXT, "config", "FILE", "config", LOCAL,
       "The node's aigw.yaml, where it is not the default one.")
OPTION(FLAG, "force", "", "force", LOCAL,
       "Put back a ledger too that was not in order when the backup was made.")
COMMAND_END(LOCAL_RESTORE)

/* --- where requests go --- */

GROUP("provider", "Providers.")
COMMAND(PROVIDER_LIST, "provider list", plain, 15000, "List the providers in use.")
COMMAND_END(PROVIDER_LIST)

COMMAND(PROVIDER_SHOW, "provider show", plain, 15000,
	"Show one provider, its keys and offers, and which of them are out.")
WORD(TEXT, "NAME", "name", SEND, NEEDED, "The provider's name.")
COMMAND_END(PROVIDER_SHOW)

COMMAND(PROVIDER_TEST, "provider test", plain, 120000,
	"Ask a provider for its models with each of its keys, and tell what came.")
WORD(TEXT, "NAME", "provider", SEND, NEEDED, "The provider's name.")
COMMAND_END(PROVIDER_TEST)

GROUP("model", "Models, as clients name them.")
COMMAND(MODEL_LIST, "model list", plain, 15000, "List the models with their prices.")
COMMAND_END(MODEL_LIST)

COMMAND(MODEL_SHOW, "model show", plain, 15000, "Show one model, its offers and fallbacks.")
WORD(TEXT, "NAME", "name", SEND, NEEDED, "The model's name.")
COMMAND_END(MODEL_SHOW)

COMMAND(MODEL_PRICE, "model price", plain, 15000,
	"Show what so much usage would be charged, line by line, and why at this price. "
	"Without usage: the rows of the price.")
WORD(TEXT, "MODEL", "model", SEND, NEEDED, "The model's name, or an offer as provider/model.")
OPTION(LIST, "usage", "CLASS=TOKENS,...", "usage", SEND,
       "What was used, such as input=1000,cache_read=200,output=50,image=2,tier=flex; reasoning is a part "
       "of output; may be repeated.")
OPTION(WHEN, "at", "TIME", "at_s", SEND,
       "When it is admitted: a date, a time, or a span from now on such as 2h; default now.")
OPTION(TEXT, "group", "NAME", "group", SEND, "For the accounts of this group.")
COMMAND_END(MODEL_PRICE)

GROUP("worker", "Worker processes.")
COMMAND(WORKER_LIST, "worker list", plain, 15000, "List the keeper and the workers.")
COMMAND_END(WORKER_LIST)

/* --- for people --- */

COMMAND(LOCAL_CHAT, "chat", chat, 600000,
	"Send one message to a model through the gateway and print the answer as it comes.")
WORD(TEXT, "MODEL", "model", LOCAL, NEEDED, "The model's name.")
WORD(TEXT, "TEXT", "text", LOCAL, NEEDED, "The message; - reads it from standard input.")
OPTION(SECRET, "key", "KEY", "key", LOCAL, "The API key; else $AIGW_API_KEY.")
OPTION(TEXT, "url", "URL", "url", LOCAL,
       "The gateway, such as http://127.0.0.1:8080; else the daemon on the socket is asked.")
OPTION(TEXT, "system", "TEXT", "system", LOCAL, "Instructions to the model.")
OPTION(COUNT, "max-tokens", "N", "max_tokens", LOCAL, "The longest answer.")
COMMAND_END(LOCAL_CHAT)

COMMAND(LOCAL_TOP, "top", top,
	5000, "Watch the node, renewed every second until q or Ctrl-C; printed once where there is no terminal.")
COMMAND_END(LOCAL_TOP)

COMMAND(LOCAL_COMPLETION, "completion", completion, 0,
	"Print the completion of a shell, to be sourced or installed.")
WORD(CHOICE, "bash|zsh|fish", "shell", LOCAL, NEEDED, "The shell.")
COMMAND_END(LOCAL_COMPLETION)
