/* Every message between our processes and with aigwctl.
 * MSG(NAME, name, who may receive it, largest payload, largest number of descriptors)
 * MSG_FIELD(name, KIND, field) in the order of the wire; kinds: U64, I64, STR (text), BIN (bytes)
 * MSG_END(name)
 * A message that comes to somebody who is not named, or is malformed, ends that peer. New rows are added at the end. */

/* Master to both kinds of children. */
MSG(PREPARE, prepare, MSG_AT_WORKER | MSG_AT_KEEPER, LIMIT_FRAME_IPC,
    0) /* decode and check; answer PREPARED or REJECTED */
MSG_FIELD(prepare, U64, generation)
MSG_FIELD(prepare, BIN, blob) /* of config_blob(); wiped after decoding */
MSG_END(prepare)
MSG(COMMIT, commit, MSG_AT_WORKER | MSG_AT_KEEPER, 64, 0) /* take the prepared table */
MSG_FIELD(commit, U64, generation)
MSG_END(commit)
MSG(ABORT, abort, MSG_AT_WORKER | MSG_AT_KEEPER, 64, 0) /* drop the prepared table */
MSG_FIELD(abort, U64, generation)
MSG_END(abort)
MSG(DRAIN, drain, MSG_AT_WORKER | MSG_AT_KEEPER, 64,
    0) /* to all workers at once, without a copy of their sockets left: accept until EAGAIN, close, finish; keeper: all in, exit */
MSG_FIELD(drain, I64, deadline_ms) /* boot clock; streams that still run then get the error item */
MSG_END(drain)
MSG(LOG_REOPEN, log_reopen, MSG_AT_WORKER | MSG_AT_KEEPER, 64,
    1) /* with the file opened anew; none: target is not a file */
MSG_END(log_reopen)
MSG(CONTROL, control, MSG_AT_WORKER | MSG_AT_KEEPER, LIMIT_FRAME_CONTROL + 1024,
    1) /* with aigwctl's socket: serve this request */
MSG_FIELD(control, U64, uid)
MSG_FIELD(control, U64, gid)
MSG_FIELD(control, U64, pid)
MSG_FIELD(control, U64, rights)  /* CONTROL_MAY_… */
MSG_FIELD(control, BIN, request) /* payload of the REQUEST frame */
MSG_END(control)

/* Master to workers. */
MSG(LISTEN, listen, MSG_AT_WORKER, 1024, 1) /* accept on this socket once a table is committed */
MSG_FIELD(listen, STR,
	  address) /* as in the settings: the key of its listener row, or of admin.http */
MSG_FIELD(listen, U64, admin) /* 1: the admin listener */
MSG_FIELD(listen, U64, slot)  /* whose socket it is: the own slot's, or one lent by an empty slot */
MSG_END(listen)
MSG(UNLISTEN, unlisten, MSG_AT_WORKER, 1024, 0) /* accept until EAGAIN, then close that socket */
MSG_FIELD(unlisten, STR, address)
MSG_FIELD(unlisten, U64, slot)
MSG_FIELD(unlisten, U64, last) /* 1: nobody else serves with it, the address is given up */
MSG_END(unlisten)
MSG(TICKET_KEY, ticket_key, MSG_AT_WORKER, 256,
    0) /* the key for new TLS tickets; the one before stays good for opening */
MSG_FIELD(ticket_key, BIN, name) /* 4 bytes */
MSG_FIELD(ticket_key, BIN, key)  /* 32 bytes */
MSG_FIELD(ticket_key, U64, lifetime_s)
MSG_END(ticket_key)
MSG(KEEPER_LINK, keeper_link, MSG_AT_WORKER, 64,
    1) /* the socket to the (new) keeper; replaces an older one */
MSG_END(keeper_link)

/* Master to keeper. */
MSG(WORKER_LINK, worker_link, MSG_AT_KEEPER, 64,
    1) /* the socket to a (new) worker; replaces an older one of that slot */
MSG_FIELD(worker_link, U64, slot)
MSG_FIELD(worker_link, U64, pid)
MSG_END(worker_link)
MSG(CHILD_DIED, child_died, MSG_AT_KEEPER, 64, 0) /* clear stale readers, settle its holds */
MSG_FIELD(child_died, U64, slot)
MSG_FIELD(child_died, U64, pid)
MSG_END(child_died)

/* Children to master. */
MSG(READY, ready, MSG_AT_MASTER, 64,
    0) /* keeper: stores open, lock held; worker: table committed and accepting */
MSG_END(ready)
MSG(PREPARED, prepared, MSG_AT_MASTER, 64, 0)
MSG_FIELD(prepared, U64, generation)
MSG_END(prepared)
MSG(REJECTED, rejected, MSG_AT_MASTER, 4096, 0)
MSG_FIELD(rejected, U64, generation)
MSG_FIELD(rejected, STR, text)
MSG_END(rejected)
MSG(DRAINED, drained, MSG_AT_MASTER, 64, 0) /* the last word of a draining worker; it exits 0 */
MSG_FIELD(drained, U64, finished)           /* requests ended in their own way since DRAIN */
MSG_FIELD(drained, U64, cut)                /* requests ended by the deadline */
MSG_END(drained)
MSG(FAILED, failed, MSG_AT_MASTER, 4096,
    0) /* why the child exits now; for logs and for who waits on a start */
MSG_FIELD(failed, STR, text)
MSG_END(failed)
MSG(STORE_RENEWED, store_renewed, MSG_AT_MASTER, 64,
    0) /* keeper made a new live store: every worker must be replaced */
MSG_FIELD(store_renewed, U64, epoch)
MSG_END(store_renewed)

/* Worker and keeper. Durability is not a message: an eventfd each way and page_durable_*(). */
MSG(LOOKUP, lookup, MSG_AT_KEEPER_FROM_WORKER, 1024, 0) /* answered by FOUND with the same seq */
MSG_FIELD(lookup, U64, seq)
MSG_FIELD(lookup, STR, id)  /* generation id, or the provider's id */
MSG_FIELD(lookup, STR, key) /* public id of the key that asks: only its own records are found */
MSG_END(lookup)
MSG(FOUND, found, MSG_AT_WORKER_FROM_KEEPER, LIMIT_FRAME_CONTROL, 0)
MSG_FIELD(found, U64, seq)
MSG_FIELD(found, U64, status) /* an errc: OK, NOTFOUND, … */
MSG_FIELD(found, BIN, record) /* stored form of the charge record */
MSG_FIELD(found, U64, at)     /* its number in the ledger; 0: not durable yet */
MSG_FIELD(found, BIN, hash)   /* of the chain there; "" when it is not */
MSG_FIELD(found, BIN, price)  /* its price row as it is stored; "" without one */
MSG_FIELD(found, U64, reversed)
MSG_END(found)

MSG(PEPPER, pepper, MSG_AT_WORKER_FROM_KEEPER, 2048,
    0) /* the first message on every link, and whenever there are others: what client keys are hashed with */
MSG_FIELD(pepper, BIN, secret) /* peppers_encode() */
MSG_END(pepper)

/* aigwctl and whoever serves it (control.h). */
MSG(REQUEST, request, MSG_AT_SERVER, LIMIT_FRAME_CONTROL, 0)
MSG_FIELD(request, U64, version) /* CONTROL_VERSION */
MSG_FIELD(request, STR, verb)
MSG_FIELD(request, BIN, args) /* fields, see control.h */
MSG_END(request)
MSG(ROW, row, MSG_AT_CTL, LIMIT_FRAME_CONTROL, 0)
MSG_FIELD(row, STR, kind) /* which table of the answer */
MSG_FIELD(row, BIN, fields)
MSG_END(row)
MSG(PROGRESS, progress, MSG_AT_CTL, 8192, 0)
MSG_FIELD(progress, STR, text)
MSG_END(progress)
MSG(END, end, MSG_AT_CTL, LIMIT_FRAME_CONTROL, 0) /* the last frame of an answer */
MSG_FIELD(end, U64, status)                       /* exit status of aigwctl, contract B2 */
MSG_FIELD(end, STR, code)                         /* "" when done */
MSG_FIELD(end, STR, message)
MSG_FIELD(end, STR, file)
MSG_FIELD(end, U64, line)
MSG_END(end)

/* Child to master. */
MSG(LOG_REOPENED, log_reopened, MSG_AT_MASTER, 64, 0) /* the answer to LOG_REOPEN */
MSG_END(log_reopened)

/* Worker and keeper again. */
MSG(REPORT, report, MSG_AT_KEEPER_FROM_WORKER, 4096, 0) /* answered by REPORTED with the same seq */
MSG_FIELD(report, U64, seq)
MSG_FIELD(report, U64, account)
MSG_FIELD(report, STR, key) /* public id of the key that asks: only its own use is added up */
MSG_FIELD(report, I64, since_ms)
MSG_FIELD(report, I64, until_ms)
MSG_FIELD(report, STR, by) /* "day,model": of report_dim_tbl.h, with commas */
MSG_FIELD(report, STR, model) /* only what this one answered; "": any; likewise the others */
MSG_FIELD(report, STR, provider)
MSG_FIELD(report, STR, team) /* name or id */
MSG_FIELD(report, STR, tag)
MSG_FIELD(report, U64, limit) /* rows at most; 0: as many as fit */
MSG_FIELD(report, STR, page)  /* the cursor of report_page.h; "": from the first row on */
MSG_FIELD(report, U64, no_model) /* 1: only what no model answered, `model` is ""; likewise the others */
MSG_FIELD(report, U64, no_provider)
MSG_FIELD(report, U64, no_tag)
MSG_END(report)
MSG(REPORTED, reported, MSG_AT_WORKER_FROM_KEEPER, LIMIT_FRAME_CONTROL, 0)
MSG_FIELD(reported, U64, seq)
MSG_FIELD(reported, U64, status) /* an errc: OK; INVAL: no such dimension; SYNTAX: no such page; … */
MSG_FIELD(reported, BIN, rows)   /* report_pack() */
MSG_FIELD(reported, STR, next)   /* the cursor of the rows that are left out; "": there are none */
MSG_END(reported)
MSG(PEPPERED, peppered, MSG_AT_KEEPER_FROM_WORKER, 64, 0) /* the answer to PEPPER: keys of that one are known from here on */
MSG_FIELD(peppered, U64, id)                              /* of the newest */
MSG_END(peppered)

/* Master and keeper again. */
MSG(RELOADED, reloaded, MSG_AT_KEEPER, 8192, 0) /* before the COMMIT that it is about: for the ledger */
MSG_FIELD(reloaded, U64, life) /* of the master, whose generations count from 1 */
MSG_FIELD(reloaded, U64, generation)
MSG_FIELD(reloaded, I64, uid)  /* who asked for it; -1: a signal */
MSG_FIELD(reloaded, STR, text) /* what changed */
MSG_END(reloaded)
MSG(RELOAD_NOTED, reload_noted, MSG_AT_MASTER, 64, 0) /* the ledger has it */
MSG_FIELD(reload_noted, U64, generation)
MSG_END(reload_noted)
