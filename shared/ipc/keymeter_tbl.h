/* What is counted of each key beside its tokens by class: name, metric (SERIES_…), the last label's value ("": it has none). Cells of
 * one metric stand together. */
KEYMETER(REQUESTS_2XX, KEY_REQUESTS, "2xx")
KEYMETER(REQUESTS_4XX, KEY_REQUESTS, "4xx")
KEYMETER(REQUESTS_5XX, KEY_REQUESTS, "5xx")
KEYMETER(REQUESTS_GONE, KEY_REQUESTS, "none")
KEYMETER(CHARGED, KEY_CHARGED, "")
