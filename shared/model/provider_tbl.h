/* What a provider's mapping holds. Rows as in settings_tbl.h, included with FIELD defined:
 *	FIELD(type, member, path, min, max, default, unit, sentence)
 * A row of type NODE is read by code of its own (its member is not written; `unit` says what is expected). */
FIELD(NODE, base_url, "catalog", 0, 0, "", "the name of a catalog file",
      "Takes dialect, base_url, settings and models from the shipped catalog of that name.")
FIELD(ENUM, dialect, "dialect", 0, 0, "openai", "openai|anthropic|", "How the provider speaks.")
FIELD(TEXT, base_url, "base_url", 1, 2000, "", "",
      "Where it is reached, version included: https://api.openai.com/v1.")
FIELD(LIST, keys, "keys", 0, 64, "", "",
      "Credentials, used in turn: env:NAME, file:PATH, with ? at the end when it may be missing. "
      "None: no credential is sent.")
FIELD(ENUM, auth, "auth", 0, 0, "auto", "auto|bearer|x-api-key|api-key|",
      "Header of the credential; auto is x-api-key for anthropic, api-key for azure, else bearer.")
FIELD(NODE, base_url, "headers", 0, 0, "", "a mapping of header names to texts",
      "Headers added to every request, in visible ASCII, of 8 KiB in all; a value may be env:NAME or "
      "file:PATH.")
FIELD(NODE, base_url, "models", 0, 0, "", "a list of patterns",
      "With catalog: which of its models are offered, such as [\"gpt-5*\", \"!*-preview\"].")
FIELD(NODE, base_url, "markup", 0, 0, "1", "a number above 0",
      "With catalog: what the list prices are multiplied with for the client's price; the list "
      "price is the cost.")
FIELD(BOOL, azure, "azure", 0, 1, "off", "",
      "Azure's paths (/openai/deployments/MODEL/...) and header api-key.")
FIELD(TEXT, api_version, "api_version", 0, 64, "", "",
      "Sent as api-version in the query, as Azure wants it.")
FIELD(TEXT, anthropic_version, "anthropic_version", 1, 64, "2023-06-01", "",
      "Value of the header anthropic-version.")
FIELD(BOOL, usage_option, "usage_option", 0, 1, "on", "",
      "Understands stream_options.include_usage.")
FIELD(BOOL, embeddings_base64, "embeddings_base64", 0, 1, "on", "",
      "Understands encoding_format base64 for embeddings.")
FIELD(BOOL, reasoning_outside, "reasoning_outside", 0, 1, "off", "",
      "Counts reasoning beside completion_tokens, not within.")
FIELD(INT, reasoning_beside, "reasoning_beside", 0, 10000000, "0", "tokens",
      "Reasoning that the cap on the output does not bound there, at most (81920 at DashScope): held "
      "beside the cap where a model has reasoning or a request asks for it, or the request's "
      "thinking_budget if that is less.")
FIELD(BOOL, forward_own_fields, "forward_own_fields", 0, 1, "off", "",
      "Understands the fields models, provider, route, transforms, usage and session_id, which are "
      "then passed on. With them a client chooses other models and providers there, whose price you "
      "pay while it pays that of the model here: only for clients that you trust.")
FIELD(ENUM, cap_field, "cap_field", 0, 0, "client", "client|max_tokens|max_completion_tokens|",
      "Field that carries the cap on the output; client is the one that the client used, else "
      "max_tokens.")
FIELD(PATH, ca_file, "ca_file", 1, 4000, "", "",
      "Certificates that its chain is verified against, instead of upstream.ca_file.")
FIELD(INT, max_inflight, "max_inflight", 0, 1000000, "0", "requests",
      "Requests in progress there, of the whole node; beyond it the next candidate is tried. 0 is no "
      "limit.")
FIELD(INT, max_connections, "connections", 0, 100000, "0", "connections",
      "Connections of one worker; 0 is upstream.connections.")
FIELD(MS, connect_ms, "timeouts.connect", 10, 3600000, "", "",
      "As the global one, for this provider; so are the others.")
FIELD(MS, tls_ms, "timeouts.tls", 10, 3600000, "", "", "A TLS handshake.")
FIELD(MS, first_byte_stream_ms, "timeouts.first_byte", 10, 86400000, "", "",
      "First byte of a stream.")
FIELD(MS, first_byte_whole_ms, "timeouts.first_byte_whole", 10, 86400000, "", "",
      "First byte of a whole answer.")
FIELD(MS, between_ms, "timeouts.between", 10, 86400000, "", "", "Between two chunks.")
FIELD(MS, total_stream_ms, "timeouts.total", 10, 604800000, "", "", "A whole stream.")
FIELD(MS, total_whole_ms, "timeouts.total_whole", 10, 604800000, "", "", "A whole answer.")
