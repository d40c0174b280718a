/* How a request ended: name in logs and records, sentence. The order is part of stored records: add at the end. */
RECORD_END(DONE, "done", "answered in full")
RECORD_END(CLIENT_GONE, "client_gone", "the client left")
RECORD_END(UPSTREAM_ERROR, "upstream_error",
	   "all candidates failed, or the stream broke after its first content")
RECORD_END(REJECTED, "rejected", "a provider refused the request itself")
RECORD_END(TIMEOUT, "timeout", "too slow")
RECORD_END(DRAIN, "drain", "cut off at the end of a drain")
RECORD_END(WORKER_DIED, "worker_died", "the worker died; settled from its last progress")
RECORD_END(REVOKED, "revoked", "cancelled because its key was revoked")
RECORD_END(INTERNAL, "internal", "our fault")
RECORD_END(LEDGER, "ledger_unavailable", "the ledger could not take the charge in time")
RECORD_END(CLIENT_SLOW, "client_slow",
	   "the answer broke off after the client had kept its provider waiting")
