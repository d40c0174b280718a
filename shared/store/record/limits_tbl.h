/* The limits a scope can have besides money: name of the setting, text for errors, what it counts (REQUESTS, TOKENS), the
 * window's length. The order is part of stored rows: add at the end, with a new version of the row. */
LIMIT_ROW(RPM, rpm, "requests a minute", REQUESTS, WINDOW_MINUTE_MS)
LIMIT_ROW(TPM, tpm, "tokens a minute", TOKENS, WINDOW_MINUTE_MS)
LIMIT_ROW(RPD, rpd, "requests a day", REQUESTS, WINDOW_DAY_MS)
LIMIT_ROW(TPD, tpd, "tokens a day", TOKENS, WINDOW_DAY_MS)
