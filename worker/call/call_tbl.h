/* The way of a request, in order: name, function, what it does. A step returns MORE (go to the step it named or the next one), WAIT (until an
 * event wakes the call) or DONE. Only call_run() writes the call's step. Every end passes through SETTLE and LOG. */
CALL_STEP(START, step_start, "path, CORS, what needs no key")
CALL_STEP(AUTH, step_auth, "credential -> key, before the body is read")
CALL_STEP(OWN, step_own, "routes about models and the key's own account")
CALL_STEP(BODY, step_body, "body in, scanned as it arrives")
CALL_STEP(ROUTE, step_route, "model -> candidates, what the hold must cover")
CALL_STEP(ADMIT, step_admit, "limits and credit hold, in the turn's batch")
CALL_STEP(READ, step_read,
	  "into the neutral form, where the next candidate speaks another dialect; long bodies off "
	  "the loop")
CALL_STEP(SEND, step_send, "next candidate and key, borrow or dial, write the request")
CALL_STEP(HEAD, step_head, "the provider's head; a failure here tries the next candidate")
CALL_STEP(RELAY, step_relay, "answer out as it comes; held back until commit")
CALL_STEP(SETTLE, step_settle, "real usage -> charge, in the turn's batch; lost holds released")
CALL_STEP(DURABLE, step_durable, "durability settle: wait until the charge is on disk")
CALL_STEP(FINISH, step_finish, "last bytes, error item or error answer")
CALL_STEP(SENT, step_sent, "until the last byte is in the kernel's hands or the client is gone")
CALL_STEP(LOG, step_log, "one line, metrics")
CALL_STEP(REST, step_rest,
	  "until the provider's connection has come to its end and can be reused; reap")
