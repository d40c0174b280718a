/* Gauges of the node in the shared page, written by the keeper unless said otherwise: name, metric (NULL: not exported),
 * decimal places to shift when printed, help. */
PAGE_GAUGE(HOLDS, "aigw_holds", 0, "Holds that are out")
PAGE_GAUGE(HELD_NUSD, "aigw_held_usd", 9, "Credit held by running requests, dollars")
PAGE_GAUGE(LIVE_BYTES, "aigw_live_bytes", 0, "Bytes of the live store in use")
PAGE_GAUGE(LIVE_BYTES_MAX, NULL, 0, "Bytes of the live store's map")
PAGE_GAUGE(HOLD_AGE_MS, "aigw_hold_age_seconds", 3, "Age of the oldest hold")
PAGE_GAUGE(OUTBOX_RECORDS, "aigw_outbox_records", 0, "Records that wait for the ledger")
PAGE_GAUGE(LEDGER_LAG_MS, "aigw_ledger_lag_seconds", 3,
	   "Age of the oldest record that waits for the ledger")
PAGE_GAUGE(IMBALANCE_NUSD, "aigw_ledger_imbalance_nanousd", 0,
	   "Sum by which the books are out of balance; must be 0")
PAGE_GAUGE(LEDGER_STATE, NULL, 0, "enum page_ledger: 0 good, 1 last commit failed, 2 read-only")
PAGE_GAUGE(EPOCH, NULL, 0, "Epoch of the ledger")
PAGE_GAUGE(CONFIG_GENERATION, "aigw_config_generation", 0,
	   "Generation of the configuration in force; written by the master")
PAGE_GAUGE(CONFIG_LAST_RELOAD, "aigw_config_last_reload_success", 0,
	   "1 when the last reload was accepted; written by the master")
