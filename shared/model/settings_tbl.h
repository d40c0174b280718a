/* Every global setting: one row feeds the member of struct settings, the parser, the range check, the default, the printer,
 * the blob, the reload answer and the manual. Included with SETTING defined:
 *	SETTING(type, member, path, min, max, default, unit, reload, sentence)
 * type: INT, AUTO (a count; 0 is written `auto`), BYTES, MS (a time span), BOOL (on, off), RATIO (millionths; written 0.125,
 * 1/8 or 12.5%), TEXT, PATH (relative to the file that gives it), LIST (of texts), ENUM (`unit` names the choices, in the
 * order of their constants). min and max bound the number, for texts the length, for lists the count. The default is text as
 * an operator would write it. reload: LIVE (at once), CALLS (for new calls and connections), RESTART.
 * Rows of one path stay together, for the printer writes them as one mapping. No include guard: meant to be included often. */
SETTING(TEXT, region, "region", 0, 64, "", "", CALLS,
	"Name of this node's region; fills ${region} in include and overlay lists; aigwctl status "
	"shows it.")
SETTING(AUTO, workers, "workers", 0, 256, "auto", "processes", RESTART,
	"Worker processes; auto is one for each usable core.")
SETTING(TEXT, user, "user", 0, 64, "", "", RESTART,
	"User that keeper and workers run as when aigwd is started by root; empty: the user aigw "
	"if there is one, else nobody.")
SETTING(TEXT, group, "group", 0, 64, "", "", RESTART,
	"Group beside user; empty: the user's own group.")
SETTING(PATH, admin_socket, "admin.socket", 0, 100, "", "", RESTART,
	"The control socket of aigwctl; empty: /run/aigw/control.sock for root and system users, "
	"else aigw/control.sock in $XDG_RUNTIME_DIR or control.sock in the state folder.")
SETTING(TEXT, admin_http, "admin.http", 0, 128, "127.0.0.1:9464", "", RESTART,
	"Address of /metrics, /healthz and /readyz, read-only; off for none. Not port 9090, which "
	"is that of Prometheus.")
SETTING(LIST, admin_users, "admin.users", 0, 64, "", "", LIVE,
	"Users besides root and aigwd's own who may use the writing verbs of aigwctl.")
SETTING(TEXT, admin_group, "admin.group", 0, 64, "aigw", "", RESTART,
	"Group that may use the reading verbs: it owns the control socket, if such a group exists.")
SETTING(PATH, state, "state", 0, 4000, "", "", RESTART,
	"Folder of the durable ledger, made when missing and given to `user`, who need not get "
	"there by himself; empty: /var/lib/aigw for root and system users, else aigw in "
	"$XDG_STATE_HOME or ~/.local/state.")
SETTING(PATH, shared_memory, "shared_memory", 0, 4000, "", "", RESTART,
	"Folder on a tmpfs for the live store, which `user` must be able to enter; empty: "
	"/run/aigw/live for root and system users (where /run is no tmpfs, as in a container, set "
	"it), else /dev/shm/aigw-<uid>-<start of the ledger's id>.")
SETTING(BYTES, live_size_bytes, "live_size", 4194304, 68719476736, "128MiB", "bytes",
	RESTART, "Size of the live store, allocated at once when it is created; it never grows while running. "
	"A start after a clean stop makes the store anew where this is another one, and limits of rate begin at nothing; any other start keeps it. "
	"A quarter of it is for idempotency keys, which are remembered for 24 hours: about 1,280 for each "
	"MiB, of one API key half of them and never more than there is room left for. Three eighths are for end "
	"users without a definition whom limits of `*` count: some 2,700 for each MiB where each has one limit, of one "
	"account half of them.")
SETTING(ENUM, durability, "durability", 0, 0, "group", SETTINGS_DURABILITY(SETTINGS_CHOICE), RESTART,
	"When a charge is on disk: settle (before the answer ends), group (within 50 ms) or async "
	"(within 1 s).")
SETTING(MS, ledger_lag_max_ms, "ledger_lag_max", 100, 3600000, "10s", "time", LIVE,
	"New requests are refused while the oldest charge that is not on disk is older than this; "
	"with durability settle the default is 2s.")
SETTING(INT, ledger_retain_days, "ledger.retain_days", 0, 36500, "0", "days", LIVE,
	"How many days that are over keep their records; older ones are removed, day by day, those "
	"of who changed what too, and only what they add up to stays, though not by end user. 0 is "
	"for ever.")
SETTING(BYTES, ledger_retain_bytes, "ledger.retain_bytes", 0, 1099511627776, "0", "bytes", LIVE,
	"Records and their indexes may take this much; beyond it the oldest day that is over is "
	"removed. 0 is any number.")
SETTING(LIST, alerts_budget, "alerts.budget", 0, 8, "0.8, 1", "", LIVE,
	"Shares of a budget at which a line budget_threshold is logged, some seconds later, once for "
	"each window, and again where a limit that was changed meanwhile had put the share out of "
	"reach; [] is none.")
SETTING(LIST, alerts_credit, "alerts.credit", 0, 8, "0.8, 1", "", LIVE,
	"Shares of the credit that a prepaid account had after its last grant, or that a team, a key "
	"or an end user was granted in all, at which a line credit_low is logged, once for each "
	"grant; [] is none.")
SETTING(PATH, catalog_dir, "catalog_dir", 0, 4000, "", "", LIVE,
	"Folder of the price catalog that `catalog:` refers to; empty: the one that aigwd was "
	"installed or built with.")
SETTING(TEXT, log_to, "log.to", 1, 4000, "stderr", "", LIVE,
	"Where log lines go: stderr, file:PATH or syslog.")
SETTING(ENUM, log_format, "log.format", 0, 0, "json", SETTINGS_LOG_FORMAT(SETTINGS_CHOICE), LIVE,
	"Form of a log line: text (key=value) or json, with the same names.")
SETTING(ENUM, log_level, "log.level", 0, 0, "info", SETTINGS_LOG_LEVEL(SETTINGS_CHOICE), LIVE,
	"The least important lines that are written.")
SETTING(BOOL, log_access, "log.access", 0, 1, "on", "", LIVE, "One line for each request.")
SETTING(BOOL, metrics_by_key, "metrics.by_key", 0, 1, "off", "", LIVE,
	"Count by key and account as well (aigw_key_…): 1,024 keys have series of their own, "
	"further ones share `other`.")
SETTING(LIST, cors_origins, "cors.origins", 0, 256, "*", "", CALLS,
	"Origins whose pages may call the gateway from a browser; * is all, [] switches CORS off.")
SETTING(BYTES, limit_request_line_bytes, "limits.request_line", 256, 65536, "8KiB", "bytes", CALLS,
	"Longest request line; beyond it 414.")
SETTING(BYTES, limit_head_bytes, "limits.head", 1024, 1048576, "64KiB", "bytes", CALLS,
	"Request line and header lines together; beyond it 431.")
SETTING(BYTES, limit_body_bytes, "limits.body", 1024, 1073741824, "32MiB", "bytes", CALLS,
	"A request's body after decoding; beyond it 413.")
SETTING(INT, limit_json_depth, "limits.json_depth", 8, 128, "128", "levels", CALLS,
	"Nesting of a JSON body; beyond it 400.")
SETTING(AUTO, limit_open_files, "limits.open_files", 0, 10000000, "auto", "descriptors", RESTART,
	"Open files of each process; auto is as many as the system allows.")
SETTING(INT, limit_connections, "limits.connections", 16, 1000000, "20000", "connections", LIVE,
	"Client connections of one worker; beyond it new ones wait in the listen queue.")
SETTING(INT, limit_connections_address, "limits.connections_address", 1, 1000000, "4096",
	"connections", LIVE,
	"Client connections of one address at one worker, trusted proxies excepted; beyond it new "
	"ones are closed.")
SETTING(INT, limit_calls, "limits.calls", 1, 1000000, "8192", "requests", LIVE,
	"Requests in progress at one worker; beyond it 503.")
SETTING(INT, limit_calls_address, "limits.calls_address", 1, 1000000, "4096", "requests",
	LIVE, "Requests in progress of one address at one worker, trusted proxies excepted; beyond it 429.")
SETTING(BYTES, limit_body_memory_bytes, "limits.body_memory", 1048576, 1099511627776, "256MiB",
	"bytes", LIVE, "All request bodies that one worker holds; beyond it 503.")
SETTING(BYTES, limit_answer_memory_bytes, "limits.answer_memory", 1048576, 1099511627776, "256MiB",
	"bytes", LIVE,
	"All answers that one worker keeps until they may be sent; beyond it those of more than "
	"256 KiB get 503.")
SETTING(BYTES, limit_answer_buffer_bytes, "limits.answer_buffer", 4096, 67108864, "1MiB", "bytes",
	CALLS,
	"Whole answers up to this size are received before the head is sent; longer ones are "
	"passed on as they come, unless durability is settle.")
SETTING(BYTES, limit_body_rate_bytes, "limits.body_rate", 0, 1073741824, "1KiB", "bytes a second",
	CALLS,
	"A body that comes slower than this once timeouts.head has passed is given up with 408; 0 "
	"is no limit.")
SETTING(MS, timeout_head_ms, "timeouts.head", 100, 3600000, "15s", "time", CALLS,
	"From the first byte of a request to the end of its head; beyond it 408.")
SETTING(MS, timeout_idle_ms, "timeouts.idle", 1000, 3600000, "75s", "time", CALLS,
	"How long an idle client connection is kept; announced in keep-alive.")
SETTING(MS, timeout_send_ms, "timeouts.send", 1000, 86400000, "2m", "time", CALLS,
	"A client that takes no byte of its answer for this long is given up.")
SETTING(MS, timeout_connect_ms, "timeouts.connect", 10, 3600000, "5s", "time", CALLS,
	"Connecting to a provider.")
SETTING(MS, timeout_tls_ms, "timeouts.tls", 10, 3600000, "5s", "time", CALLS,
	"A TLS handshake, with clients and with providers.")
SETTING(MS, timeout_first_byte_ms, "timeouts.first_byte", 10, 86400000, "120s", "time", CALLS,
	"From the request to the first byte of a provider's stream.")
SETTING(MS, timeout_first_byte_whole_ms, "timeouts.first_byte_whole", 10, 86400000, "590s", "time",
	CALLS, "From the request to the first byte of a provider's whole answer.")
SETTING(MS, timeout_between_ms, "timeouts.between", 10, 86400000, "120s", "time", CALLS,
	"Between two chunks of a provider's answer.")
SETTING(MS, timeout_total_ms, "timeouts.total", 10, 604800000, "60m", "time", CALLS,
	"A whole stream, all attempts together.")
SETTING(MS, timeout_total_whole_ms, "timeouts.total_whole", 10, 604800000, "590s", "time", CALLS,
	"A whole answer, all attempts together.")
SETTING(MS, head_after_ms, "timeouts.head_after", 0, 3600000, "15s", "time", CALLS,
	"A stream's head goes out after this time even if no content has come; 0 is never early.")
SETTING(MS, keepalive_ms, "timeouts.keepalive", 0, 3600000, "15s", "time", CALLS,
	"A sign of life goes out whenever a stream was silent for this long; 0 is off. An API key "
	"may have its own.")
SETTING(MS, drain_delay_ms, "timeouts.drain_delay", 0, 3600000, "0s", "time",
	LIVE, "How long the listeners go on accepting after a drain began, /readyz being 503 from its start.")
SETTING(MS, drain_timeout_ms, "timeouts.drain_timeout", 0, 86400000, "10m", "time", LIVE,
	"How long streams may run on in a drain before they get the error item.")
SETTING(MS, upstream_idle_ms, "upstream.idle", 100, 3600000, "55s", "time", CALLS,
	"How long an idle connection to a provider is kept.")
SETTING(MS, upstream_age_ms, "upstream.age", 1000, 86400000, "30m", "time", CALLS,
	"A connection to a provider is not used again once it is this old.")
SETTING(INT, upstream_connections, "upstream.connections", 1, 100000, "1024", "connections", CALLS,
	"Connections of one worker to one provider, unless the provider says otherwise; calls "
	"beyond it go to the next candidate.")
SETTING(INT, upstream_idle_connections, "upstream.idle_connections", 0, 100000, "256",
	"connections", CALLS, "Idle ones among them that are kept.")
SETTING(PATH, upstream_ca_file, "upstream.ca_file", 0, 4000, "", "", LIVE,
	"Certificates that providers' chains are verified against; empty: the system's.")
SETTING(MS, dns_max_age_ms, "dns_max_age", 1000, 86400000, "30s", "time", LIVE,
	"Age at which a provider's addresses are asked for again, in the background.")
SETTING(RATIO, uncapped_share_ppm, "uncapped_share", 1, 1000000, "0.125", "share", CALLS,
	"A request without a cap on its output gets what this share of the available credit pays "
	"for, at least min_output.")
SETTING(INT, min_output, "min_output", 1, 10000000, "1024", "tokens", CALLS,
	"The least output that such a request is given, but never above the model's max_output.")
SETTING(INT, min_output_reasoning, "min_output_reasoning", 1, 10000000, "4096", "tokens", CALLS,
	"As min_output, for models that reason.")
SETTING(ENUM, client_gone, "client_gone.policy", 0, 0, "abort",
	SETTINGS_CLIENT_GONE(SETTINGS_CHOICE), CALLS,
	"What becomes of the provider's answer when the client leaves: abort it at once and charge "
	"what "
	"was seen, by which reasoning that the provider does not show is lost; or drain it, so "
	"that "
	"its usage is known, up to client_gone.time, .cap and .tokens and to what the request's "
	"hold "
	"pays. One whose announced time is over is told so, and has left. A key may have its own "
	"policy.")
SETTING(MS, client_gone_time_ms, "client_gone.time", 0, 3600000, "60s", "time", CALLS,
	"How long drain reads after the client left; 0: until the request's total time is over.")
SETTING(BYTES, client_gone_cap_bytes, "client_gone.cap", 0, 1073741824, "1MiB", "bytes", CALLS,
	"How much content drain reads after the client left.")
SETTING(INT, client_gone_tokens, "client_gone.tokens", 0, 100000000, "0", "tokens", CALLS,
	"How many tokens of output drain reads after the client left; 0: no such cap.")
SETTING(INT, breaker_failures, "breaker.failures", 1, 32, "5", "failures", LIVE,
	"Failures within breaker.window that open an offer's breaker.")
SETTING(INT, breaker_requests, "breaker.requests", 1, 32, "20", "requests", LIVE,
	"The last requests among which they are counted.")
SETTING(MS, breaker_window_ms, "breaker.window", 100, 86400000, "60s", "time", LIVE,
	"Older outcomes do not count.")
SETTING(MS, breaker_cool_ms, "breaker.cool_down", 10, 86400000, "5s", "time", LIVE,
	"First cool-down of an open breaker; it doubles with each failed probe, with jitter.")
SETTING(MS, breaker_cool_max_ms, "breaker.cool_down_max", 10, 86400000, "5m", "time", LIVE,
	"The longest cool-down.")
SETTING(MS, breaker_slow_start_ms, "breaker.slow_start", 0, 86400000, "30s", "time", LIVE,
	"Time over which an offer's share rises to its full value after its breaker closed; where "
	"no "
	"other offer or fallback is left it is used at once.")
SETTING(MS, key_cool_ms, "breaker.key_cool_down", 10, 86400000, "10s", "time", LIVE,
	"Cool-down of a provider key after a 429 or 529 that names no time.")
SETTING(INT, retry_attempts, "retry.attempts", 1, 8, "4", "attempts", CALLS,
	"Attempts for one request, the first one included.")
SETTING(RATIO, retry_share_ppm, "retry.share", 0, 1000000, "0.2", "share", LIVE,
	"Retries of a provider may be this share of its requests...")
SETTING(INT, retry_minimum, "retry.minimum", 0, 1000000, "10", "retries a minute", LIVE,
	"...or this many a minute, whichever is more.")
