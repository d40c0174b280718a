/* How the rows of each verb's answer are shown: verb, kind of row, shape, key in JSON, columns of the text table ('' = all
 * fields as they came; + before those that a narrow terminal may leave out, =FIELD behind those that are shown only where some
 * row has another value there than in FIELD).
 *	SELF    the fields of the one row are the answer itself (JSON), a sheet (text)
 *	ONE     one row: an object below its key, a sheet of the named fields
 *	MANY    any number: an array, a table in the order of the daemon
 *	SORTED  the same, sorted by its columns from the left
 * No include guard. */
#define VIEW_LIMITS \
	"id text max used remaining +reset_s +held +unit +granted=raise +overdraft=raise +raise +raise_until_s"
VIEW(STATUS, "node", ONE, "node",
     "version state pid uptime_ms region config config_generation last_reload_ok ledger_id "
     "state_folder live_folder workers "
     "workers_ready providers models offers")
VIEW(STATUS, "ledger", ONE, "ledger", "")
VIEW(STATUS, "listener", MANY, "listeners", "")
VIEW(STATUS, "keeper", ONE, "keeper", "pid state uptime_ms")
VIEW(STATUS, "worker", MANY, "workers",
     "slot pid state uptime_ms inflight requests +conns_down +conns_up +config_generation")
VIEW(WORKER_LIST, "keeper", ONE, "keeper", "pid state uptime_ms early_deaths")
VIEW(WORKER_LIST, "worker", MANY, "workers",
     "slot pid state uptime_ms inflight requests +conns_down +conns_up +conns_up_idle "
     "+config_generation +early_deaths")

VIEW(LEDGER_BACKUP, "backup", SELF, "", "")
VIEW(LEDGER_BACKUP, "finding", MANY, "findings", "what at text")

VIEW(RELOAD, "message", MANY, "messages", "level file line column text")
VIEW(RELOAD, "change", MANY, "changes", "change path waits_for_restart")
VIEW(CONFIG_CHECK, "message", MANY, "messages", "level file line column text")

VIEW(PROVIDER_LIST, "provider", SORTED, "providers",
     "name dialect state keys_good keys offers_closed offers inflight +conns_used +conns_idle "
     "+host +port")
VIEW(PROVIDER_SHOW, "provider", SELF, "", "")
VIEW(PROVIDER_SHOW, "key", MANY, "keys", "source state wait_ms status")
VIEW(PROVIDER_SHOW, "offer", MANY, "offers",
     "upstream priority weight breaker +wait_ms +ttft_ms +tokens_per_s")
VIEW(PROVIDER_TEST, "test", MANY, "tests", "provider key ok status time_ms error")
VIEW(MODEL_LIST, "model", SORTED,
     "models", "name free input_pusd cache_read_pusd output_pusd request_nusd offers +price_rows +fallbacks +context +max_output +owned_by")
VIEW(MODEL_SHOW, "model", SELF, "", "")
VIEW(MODEL_SHOW, "offer", MANY, "offers",
     "provider upstream priority weight breaker +wait_ms +ttft_ms +tokens_per_s")
VIEW(MODEL_SHOW, "fallback", MANY, "fallbacks", "name")
VIEW(MODEL_PRICE, "choice", SELF, "", "")
VIEW(MODEL_PRICE, "class", MANY, "lines", "class tokens price_pusd each amount")
VIEW(MODEL_PRICE, "bill", ONE, "bill", "")
VIEW(MODEL_PRICE, "price", MANY, "price_rows",
     "when input_pusd cache_read_pusd output_pusd request_nusd price +mult_ppm +cache_write_5m_pusd "
     "+cache_write_1h_pusd +reasoning_pusd +input_audio_pusd=input_pusd "
     "+input_image_pusd=input_pusd +output_audio_pusd=output_pusd "
     "+output_image_pusd=output_pusd +image_nusd +web_search_nusd")

VIEW(ACCOUNT_CREATE, "account", SELF, "", "")
VIEW(ACCOUNT_UPDATE, "account", SELF, "", "")
VIEW(ACCOUNT_UPDATE, "limit", MANY, "limits", VIEW_LIMITS)
VIEW(ACCOUNT_SHOW, "account", SELF, "", "")
VIEW(ACCOUNT_SHOW, "limit", MANY, "limits", VIEW_LIMITS)
VIEW(ACCOUNT_CREDIT, "account", SELF, "", "")
VIEW(ACCOUNT_SUSPEND, "account", SELF, "", "")
VIEW(ACCOUNT_RESUME, "account", SELF, "", "")
VIEW(ACCOUNT_LIST, "account", SORTED, "accounts",
     "name mode status balance_nusd held_nusd +shadow +settled_nusd +granted_nusd +overdraft_nusd "
     "+uncollected_nusd +holds +created_s")
VIEW(TEAM_CREATE, "team", SELF, "", "")
VIEW(TEAM_CREATE, "limit", MANY, "limits", VIEW_LIMITS)
VIEW(TEAM_SHOW, "team", SELF, "", "")
VIEW(TEAM_SHOW, "limit", MANY, "limits", VIEW_LIMITS)
VIEW(TEAM_UPDATE, "team", SELF, "", "")
VIEW(TEAM_UPDATE, "limit", MANY, "limits", VIEW_LIMITS)
VIEW(TEAM_SUSPEND, "team", SELF, "", "")
VIEW(TEAM_SUSPEND, "limit", MANY, "limits", VIEW_LIMITS)
VIEW(TEAM_RESUME, "team", SELF, "", "")
VIEW(TEAM_RESUME, "limit", MANY, "limits", VIEW_LIMITS)
VIEW(TEAM_LIST, "team", SORTED, "teams",
     "account team status charged_nusd +requests +budget_left_nusd +credit_left_nusd +used_s +expires_s +tokens +rpm "
     "+tpm +concurrency +models")
VIEW(USER_SHOW, "user", SELF, "", "")
VIEW(USER_SHOW, "limit", MANY, "limits", "name " VIEW_LIMITS)
VIEW(USER_UPDATE, "user", SELF, "", "")
VIEW(USER_UPDATE, "limit", MANY, "limits", "name " VIEW_LIMITS)
VIEW(USER_LIST, "user", SORTED, "users",
     "account user status charged_nusd +requests +budget_left_nusd +credit_left_nusd +used_s +expires_s +tokens +rpm "
     "+tpm +concurrency +models")
VIEW(KEY_CREATE, "key", SELF, "", "")
VIEW(KEY_CREATE, "limit", MANY, "limits", VIEW_LIMITS)
VIEW(KEY_SHOW, "key", SELF, "", "")
VIEW(KEY_SHOW, "limit", MANY, "limits", VIEW_LIMITS)
VIEW(KEY_UPDATE, "key", SELF, "", "")
VIEW(KEY_UPDATE, "limit", MANY, "limits", VIEW_LIMITS)
VIEW(KEY_REVOKE, "key", SELF, "", "")
VIEW(KEY_REVOKE, "limit", MANY, "limits", VIEW_LIMITS)
VIEW(KEY_SUSPEND, "key", SELF, "", "")
VIEW(KEY_SUSPEND, "limit", MANY, "limits", VIEW_LIMITS)
VIEW(KEY_RESUME, "key", SELF, "", "")
VIEW(KEY_RESUME, "limit", MANY, "limits", VIEW_LIMITS)
VIEW(KEY_ROTATE, "key", SELF, "", "")
VIEW(KEY_ROTATE, "limit", MANY, "limits", VIEW_LIMITS)
VIEW(KEY_LIST, "key", MANY, "keys",
     "id account +team name status charged_nusd +requests +budget_left_nusd +credit_left_nusd +used_s +expires_s +tokens "
     "+rpm +tpm +concurrency +models")

VIEW(PEPPER_LIST, "pepper", MANY, "peppers", "pepper newest made_s keys")
VIEW(PEPPER_ROTATE, "pepper", MANY, "peppers", "pepper newest made_s keys")

VIEW(USAGE, "usage", MANY, "rows", "")
VIEW(USAGE, "total", ONE, "total", "")
VIEW(USAGE, "page", SELF, "", "")
VIEW(REQUEST_SHOW, "request", SELF, "", "")
VIEW(REQUEST_SHOW, "attempt", MANY, "attempts",
     "provider upstream status start_ms ms cost_nusd error")
VIEW(REQUEST_SHOW, "class", MANY, "tokens", "class tokens price_pusd each amount")
VIEW(REQUEST_SHOW, "bill", ONE, "bill", "")
VIEW(REQUEST_SHOW, "price", ONE, "price_row", "")
VIEW(LIMIT_EXPLAIN, "scope", MANY, "scopes", "")
VIEW(LIMIT_EXPLAIN, "limit", MANY, "limits", "scope name " VIEW_LIMITS)
VIEW(LEDGER_VERIFY, "verify", SELF, "", "")
VIEW(LEDGER_VERIFY, "finding", MANY, "findings", "what at text")

VIEW(TOP, "node", ONE, "node", "")
VIEW(TOP, "ledger", ONE, "ledger", "")
VIEW(TOP, "listener", MANY, "listeners", "")
VIEW(TOP, "keeper", ONE, "keeper", "")
VIEW(TOP, "worker", MANY, "workers",
     "slot pid state uptime_ms requests_per_s inflight +conns_down +conns_up +requests")
VIEW(TOP, "provider", SORTED, "providers",
     "name state inflight keys_good keys offers_closed offers +conns_used +conns_idle")
VIEW(TOP, "account", MANY, "accounts",
     "name status balance_nusd held_nusd +settled_nusd +holds +mode")
#undef VIEW_LIMITS
