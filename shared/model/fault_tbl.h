/* Every failure that a client can see (contract A3): name, HTTP status, OpenAI type, OpenAI code, Anthropic type, rule of
 * x-should-retry and retry-after, the text used when nobody wrote a better one. 0 is FAULT_NONE. Rules: NEVER = false, no wait;
 * ALWAYS = true, no wait; WAIT = true up to 60 s, else false, with the wait; ATTEMPTS = false once two attempts were made. */
FAULT(NONE, 0, "", "", "", NEVER, "")
FAULT(INVALID_VALUE, 400, "invalid_request_error", "invalid_value", "invalid_request_error", NEVER,
      "A field has a value that is not allowed.")
FAULT(MISSING_FIELD, 400, "invalid_request_error", "missing_required_parameter",
      "invalid_request_error", NEVER, "A required field is missing.")
FAULT(UNSUPPORTED_FIELD, 400, "invalid_request_error", "unsupported_parameter",
      "invalid_request_error", NEVER, "A field is not supported here.")
FAULT(INVALID_JSON, 400, "invalid_request_error", "invalid_json", "invalid_request_error", NEVER,
      "The body is not valid JSON.")
FAULT(BAD_REQUEST, 400, "invalid_request_error", "bad_request", "invalid_request_error", NEVER,
      "The request is malformed.")
FAULT(CONTEXT_TOO_LONG, 400, "invalid_request_error", "context_length_exceeded",
      "invalid_request_error", NEVER, "The input is longer than the model's context.")
FAULT(CONTENT_POLICY, 400, "invalid_request_error", "content_filter", "invalid_request_error",
      NEVER, "The provider's content filter refused the request.")
FAULT(KEY_INVALID, 401, "invalid_request_error", "invalid_api_key", "authentication_error", NEVER,
      "No valid API key was given.")
FAULT(CREDIT, 402, "insufficient_quota", "insufficient_credit", "billing_error", NEVER,
      "The account's credit does not cover this request: add credit.")
FAULT(BUDGET, 402, "insufficient_quota", "budget_exceeded", "billing_error", NEVER,
      "The budget is used up.")
FAULT(SUSPENDED, 403, "permission_error", "account_suspended", "permission_error", NEVER,
      "The account is suspended.")
FAULT(MODEL_DENIED, 403, "permission_error", "model_not_allowed", "permission_error", NEVER,
      "This key may not use this model.")
FAULT(IP_DENIED, 403, "permission_error", "ip_not_allowed", "permission_error", NEVER,
      "This key may not be used from this address.")
FAULT(ROUTE_DENIED, 403, "permission_error", "route_not_allowed", "permission_error", NEVER,
      "This key may not use this route.")
FAULT(MODEL_UNKNOWN, 404, "invalid_request_error", "model_not_found", "not_found_error", NEVER,
      "There is no such model.")
FAULT(URL_UNKNOWN, 404, "invalid_request_error", "unknown_url", "not_found_error", NEVER,
      "There is no such route.")
FAULT(NOT_FOUND, 404, "invalid_request_error", "not_found", "not_found_error", NEVER,
      "There is no such object.")
FAULT(METHOD, 405, "invalid_request_error", "method_not_allowed", "invalid_request_error", NEVER,
      "The route does not take this method.")
FAULT(REQUEST_TIMEOUT, 408, "invalid_request_error", "request_timeout", "invalid_request_error",
      ALWAYS, "The request did not arrive in time.")
FAULT(IDEMPOTENCY_RUNNING, 409, "invalid_request_error", "idempotency_in_progress",
      "invalid_request_error", WAIT, "The request with this idempotency key is still running.")
FAULT(TOO_LARGE, 413, "invalid_request_error", "request_too_large", "request_too_large", NEVER,
      "The body is too large.")
FAULT(URI_TOO_LONG, 414, "invalid_request_error", "uri_too_long", "invalid_request_error", NEVER,
      "The request line is too long.")
FAULT(ENCODING, 415, "invalid_request_error", "unsupported_media_type", "invalid_request_error",
      NEVER, "The content type or encoding is not supported.")
FAULT(EXPECTATION, 417, "invalid_request_error", "expectation_failed", "invalid_request_error",
      NEVER, "Only `100-continue` is understood in `expect`.")
FAULT(UNPROCESSABLE, 422, "invalid_request_error", "unprocessable", "invalid_request_error", NEVER,
      "The provider could not process the request.")
FAULT(IDEMPOTENCY_COMPLETED, 422, "invalid_request_error", "idempotency_completed",
      "invalid_request_error", NEVER,
      "The request with this idempotency key was answered and charged.")
FAULT(IDEMPOTENCY_MISMATCH, 422, "invalid_request_error", "idempotency_mismatch",
      "invalid_request_error", NEVER, "This idempotency key was used with another request.")
FAULT(HEADERS_TOO_LARGE, 431, "invalid_request_error", "headers_too_large", "invalid_request_error",
      NEVER, "The request's headers are too large.")
FAULT(RATE_LIMIT, 429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error", WAIT,
      "Too many requests.")
FAULT(CREDIT_HELD, 429, "rate_limit_error", "credit_held", "rate_limit_error", WAIT,
      "Running requests hold what this one needs.")
FAULT(IDEMPOTENCY_FULL, 429, "rate_limit_error", "idempotency_full", "rate_limit_error", WAIT,
      "There is no room for another idempotency key.")
FAULT(UPSTREAM_RATE, 429, "rate_limit_error", "upstream_rate_limited", "rate_limit_error", WAIT,
      "All providers of this model are at their limits.")
FAULT(INTERNAL, 500, "server_error", "internal_error", "api_error", ALWAYS, "The gateway failed.")
FAULT(UPSTREAM, 502, "server_error", "upstream_error", "api_error", ATTEMPTS, "The provider failed.")
FAULT(OVERLOADED, 503, "server_error", "overloaded", "overloaded_error", WAIT,
      "No provider of this model is available.")
FAULT(LEDGER, 503, "server_error", "ledger_unavailable", "api_error", WAIT,
      "The ledger cannot take charges.")
FAULT(BUSY, 503, "server_error", "overloaded", "overloaded_error", WAIT,
      "The gateway has no room for this request.")
FAULT(UPSTREAM_TIMEOUT, 504, "server_error", "upstream_timeout", "timeout_error", NEVER,
      "The provider was too slow.")
