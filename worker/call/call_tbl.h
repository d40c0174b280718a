/* The way of a request, in order. A step that says MORE goes on with the row below it, unless it names another by call_goto(); WAIT stays until an
 * event wakes the call; DONE gives it to the reaper. call_end() ends the request and goes on at SETTLE, which every end passes, as it passes
 * LOG. Only call_run() writes the call's step.
 *
 * Columns: name, function, where it may go besides the next row, the ends it may give the call (call_cancel() may end it before SETTLE with
 * CLIENT_GONE, REVOKED or DRAIN besides), what it does. */
CALL_STEP(START, step_start, TO(SENT), END(CLIENT_GONE) | END(REJECTED),
	  "path, CORS, what needs no key")
CALL_STEP(AUTH, step_auth, TO(BODY), END(REJECTED) | END(INTERNAL),
	  "credential -> key, before the body is read")
CALL_STEP(OWN, step_own, 0, END(DONE) | END(REJECTED),
	  "routes about models and the key's own account")
CALL_STEP(BODY, step_body, 0, END(REJECTED), "body in, scanned as it arrives")
CALL_STEP(ROUTE, step_route, 0, END(REJECTED) | END(INTERNAL),
	  "model -> candidates, what the hold must cover")
CALL_STEP(ADMIT, step_admit, 0, END(REJECTED), "limits and credit hold, in the turn's batch")
CALL_STEP(READ, step_read, 0, END(REJECTED) | END(INTERNAL),
	  "into the neutral form, where the next candidate speaks another dialect; long bodies off "
	  "the loop")
CALL_STEP(SEND, step_send, TO(READ),
	  END(REJECTED) | END(INTERNAL) | END(UPSTREAM_ERROR) | END(TIMEOUT),
	  "next candidate and key, borrow or dial, write the request")
CALL_STEP(HEAD, step_head, TO(SEND),
	  END(CLIENT_GONE) | END(REJECTED) | END(INTERNAL) | END(UPSTREAM_ERROR) | END(TIMEOUT),
	  "the provider's head; a failure here tries the next candidate")
CALL_STEP(RELAY, step_relay, TO(SEND),
	  END(DONE) | END(CLIENT_GONE) | END(CLIENT_SLOW) | END(REJECTED) | END(INTERNAL) |
		  END(UPSTREAM_ERROR) | END(TIMEOUT),
	  "answer out as it comes; held back until commit")
CALL_STEP(SETTLE, step_settle, TO(FINISH), 0,
	  "real usage -> charge, in the turn's batch; lost holds released")
CALL_STEP(DURABLE, step_durable, 0, 0,
	  "durability settle: wait until the charge is on disk, or take it back")
CALL_STEP(FINISH, step_finish, 0, 0, "last bytes, error item or error answer")
CALL_STEP(SENT, step_sent, 0, 0,
	  "until the last byte is in the kernel's hands or the client is gone")
CALL_STEP(LOG, step_log, 0, 0, "one line, metrics")
CALL_STEP(REST, step_rest, 0, 0,
	  "until the provider's connection has come to its end and can be reused")
CALL_STEP(OWE, step_owe, 0, 0,
	  "a settlement that the store refused is asked for again until it is taken; reap")
