#include <unistd.h>

#include "accept.h"
#include "childlog.h"
#include "log.h"
#include "probe.h"
#include "table.h"
#include "worker_state.h"

static void on_ticket_key(struct worker *w, const struct msg_ticket_key *m)
{
	struct tls_ticket_key k;
	enum errc e = ERRC_PROTOCOL;

	if (m->name.n == sizeof(k.name) && m->key.n == sizeof(k.key)) {
		memcpy(k.name, m->name.p, sizeof(k.name));
		memcpy(k.key, m->key.p, sizeof(k.key));
		e = tls_set_ticket_key(w->tls, &k);
		secret_wipe(&k, sizeof(k));
	}
	if (e)
		log_warn("ticket_key", "the new key for TLS tickets is not usable: %s",
			 errc_text(e));
}

static void on_keeper_link(struct worker *w, struct msg *m)
{
	int fd = msg_take_fd(m, 0);
	enum errc e;

	link_close(&w->keeper);
	e = link_open(&w->keeper, &w->loop, fd, MSG_AT_WORKER_FROM_KEEPER, LIMIT_FRAME_CONTROL);
	if (e)
		log_error("keeper_link", "no link to the keeper: %s", errc_text(e));
}

void worker_on_master(void *arg, struct msg *m)
{
	struct worker *w = arg;

	require_magic(w, WORKER_MAGIC);
	switch (m->type) {
	case MSG_PREPARE:
		table_prepare(w->table, m->prepare.generation, m->prepare.blob);
		break;
	case MSG_COMMIT:
		table_commit(w->table, m->commit.generation);
		break;
	case MSG_ABORT:
		table_abort(w->table, m->abort.generation);
		break;
	case MSG_LISTEN:
		accept_add(w->accept, m->listen.address, m->listen.admin != 0,
			   (unsigned)m->listen.slot, msg_take_fd(m, 0));
		worker_check_ready(w);
		break;
	case MSG_UNLISTEN:
		accept_remove(w->accept, m->unlisten.address, (unsigned)m->unlisten.slot,
			      m->unlisten.last != 0);
		break;
	case MSG_TICKET_KEY:
		on_ticket_key(w, &m->ticket_key);
		break;
	case MSG_KEEPER_LINK:
		on_keeper_link(w, m);
		break;
	case MSG_LOG_REOPEN:
		if (childlog_reopen(m))
			log_warn("log_target", "the log file cannot be taken over");
		(void)!link_send(&w->master, &(struct msg){.type = MSG_LOG_REOPENED});
		break;
	case MSG_DRAIN:
		worker_drain(w, m->drain.deadline_ms, true);
		break;
	case MSG_CONTROL:
		probe_serve(w, m);
		break;
	default:
		worker_fail(w, "unexpected message %s from the master", msg_name(m->type));
	}
}

void worker_on_master_end(void *arg, enum errc e)
{
	struct worker *w = arg;

	/* The next master raises the generation in the page; until then requests are served as before. */
	log_warn("master_gone", "the master is gone (%s); serving goes on", errc_text(e));
	(void)w;
}

static void on_peppers(struct worker *w, struct slice set)
{
	struct msg m = {.type = MSG_PEPPERED};
	struct peppers next;

	if (peppers_decode(set, &next)) {
		worker_fail(w, "the keeper's peppers cannot be read");
		return;
	}
	peppers_fini(&w->peppers);
	w->peppers = next;
	peppers_fini(&next);
	accept_pepper(w->accept);
	worker_check_ready(w);
	m.peppered.id = w->peppers.v[0].id;
	(void)!link_send(&w->keeper, &m); /* a keeper that is gone asks again with its next link */
}

void worker_on_keeper(void *arg, struct msg *m)
{
	struct worker *w = arg;

	require_magic(w, WORKER_MAGIC);
	switch (m->type) {
	case MSG_PEPPER:
		on_peppers(w, m->pepper.secret);
		break;
	case MSG_FOUND:
		call_host_found(w->calls, &m->found);
		break;
	case MSG_REPORTED:
		call_host_reported(w->calls, &m->reported);
		break;
	default:
		log_warn("keeper_message", "unexpected message %s from the keeper",
			 msg_name(m->type));
	}
}

void worker_on_keeper_end(void *arg, enum errc e)
{
	(void)arg;
	log_warn("keeper_gone",
		 "the keeper is gone (%s); requests are served while the outbox has room",
		 errc_text(e));
}
