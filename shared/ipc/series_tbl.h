/* Metrics kept as series (contract B4): name, text, type, decimal places of the stored integer, labels, help. Histograms
 * store microseconds. */
SERIES(REQUESTS, "aigw_requests_total", COUNTER, 0, "front,model,provider,code", "Requests answered")
SERIES(REQUEST_DURATION, "aigw_request_duration_seconds", HISTO, 6, "front,model,provider",
       "From the request's first byte to its end")
SERIES(TTFT, "aigw_time_to_first_token_seconds", HISTO, 6, "front,model,provider",
       "From the request's end to the first content sent")
SERIES(GATEWAY_DURATION, "aigw_gateway_duration_seconds", HISTO, 6, "",
       "Time of a request spent in the gateway itself")
SERIES(TOKENS, "aigw_tokens_total", COUNTER, 0, "model,provider,class", "Tokens by class")
SERIES(COST, "aigw_cost_usd_total", COUNTER, 9, "model,provider", "What providers cost us, dollars")
SERIES(CHARGED, "aigw_charged_usd_total", COUNTER, 9, "model,provider",
       "What clients were charged, dollars")
SERIES(UNCOLLECTED, "aigw_uncollected_usd_total", COUNTER, 9, "",
       "Charges that the credit did not cover, dollars")
SERIES(ATTEMPTS, "aigw_upstream_attempts_total", COUNTER, 0, "provider,result",
       "Attempts at providers")
SERIES(SHADOW_REFUSALS, "aigw_shadow_refusals_total", COUNTER, 0, "scope",
       "Requests that limits which only count would have refused")
SERIES(LATE_SETTLEMENTS, "aigw_late_settlements_total", COUNTER, 0, "result",
       "Settlements that the store refused until after the answer: late, then settled or left to the keeper")
SERIES(WORKER_RESTARTS, "aigw_worker_restarts_total", COUNTER, 0, "reason", "Workers started again")
/* Not kept: computed when they are asked for, see series_put(); those by key from keymeter.h. */
SERIES(UPSTREAM_CONNECTIONS, "aigw_upstream_connections", GAUGE, 0, "provider,state",
       "Connections to providers, used and idle")
SERIES(OFFER_STATE, "aigw_offer_state", GAUGE, 0, "model,provider",
       "0 good, 1 slow start, 2 half open, 3 open; the worst of the pair's offers")
SERIES(KEY_REQUESTS, "aigw_key_requests_total", COUNTER, 0, "account,key,code", "Requests by API key")
SERIES(KEY_TOKENS, "aigw_key_tokens_total", COUNTER, 0, "account,key,class",
       "Tokens by API key and class")
SERIES(KEY_CHARGED, "aigw_key_charged_usd_total", COUNTER, 9, "account,key",
       "What API keys were charged, dollars")
