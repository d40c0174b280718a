#include "table.h"

#include <stdio.h>

#include "accept.h"
#include "childlog.h"
#include "log.h"
#include "mem.h"
#include "worker_state.h"

struct table_job {
	uv_work_t work;
	struct table *t; /* NULL: nobody waits any more */
	uint64_t generation;
	char *blob; /* owned, wiped */
	size_t blob_n;
	struct ptable *out;
	enum errc e;
};

struct table {
	struct worker *w;
	struct table_job *job;
	struct ptable *current, *next;
	uint64_t next_generation;
};

static void job_run(uv_work_t *work)
{
	struct table_job *j = CONTAINER_OF(work, struct table_job, work);

	j->e = ptable_decode(slice_of(j->blob, j->blob_n), &j->out);
	secret_wipe(j->blob, j->blob_n);
}

static void reject(struct worker *w, uint64_t generation, const char *why)
{
	struct msg m = {.type = MSG_REJECTED,
			.rejected = {.generation = generation, .text = slice_str(why)}};

	log_warn("table_rejected", "table %llu: %s", (unsigned long long)generation, why);
	(void)!link_send(&w->master, &m);
}

static void job_done(uv_work_t *work, int status)
{
	struct table_job *j = CONTAINER_OF(work, struct table_job, work);
	struct table *t = j->t;
	char why[256];
	enum errc e = status < 0 ? ERRC_CANCELED : j->e;

	if (t) {
		struct msg m = {.type = MSG_PREPARED, .prepared = {.generation = j->generation}};

		t->job = NULL;
		snprintf(why, sizeof(why), "the table cannot be decoded: %s", errc_text(e));
		if (!e)
			e = call_host_prepare(t->w->calls, j->out, why, sizeof(why));
		if (!e)
			e = accept_prepare(t->w->accept, &j->out->set, why, sizeof(why));
		if (e) {
			call_host_abort(t->w->calls);
			reject(t->w, j->generation, why);
		} else {
			t->next = j->out;
			j->out = NULL;
			t->next_generation = j->generation;
			(void)!link_send(&t->w->master, &m);
		}
	}
	ptable_drop(&j->out);
	mem_free(j->blob);
	mem_free(j);
}

enum errc table_new(struct worker *w, struct table **out)
{
	struct table *t = mem_new_of(struct table);

	if (!t)
		return ERRC_NOMEM;
	t->w = w;
	*out = t;
	return ERRC_OK;
}

static void forget(struct table *t)
{
	if (t->job)
		t->job->t = NULL;
	t->job = NULL;
	if (t->next) {
		call_host_abort(t->w->calls);
		accept_abort(t->w->accept);
		ptable_drop(&t->next);
	}
}

void table_free(struct table **tp)
{
	struct table *t = *tp;

	*tp = NULL;
	if (!t)
		return;
	forget(t);
	ptable_drop(&t->current);
	mem_free(t);
}

void table_prepare(struct table *t, uint64_t generation, struct slice blob)
{
	struct table_job *j;

	forget(t);
	j = mem_new_of(struct table_job);
	if (j)
		j->blob = mem_dup(blob.p, blob.n);
	if (!j || !j->blob) {
		mem_free(j);
		reject(t->w, generation, errc_text(ERRC_NOMEM));
		return;
	}
	j->blob_n = blob.n;
	j->t = t;
	j->generation = generation;
	t->job = j;
	if (uv_queue_work(&t->w->loop, &j->work, job_run, job_done)) {
		t->job = NULL;
		secret_wipe(j->blob, j->blob_n);
		mem_free(j->blob);
		mem_free(j);
		reject(t->w, generation, errc_text(ERRC_NOMEM));
	}
}

static void apply(struct worker *w, const struct settings *set)
{
	struct down_opts o = DOWN_OPTS_DEFAULT;

	o.line_max = (size_t)set->limit_request_line_bytes;
	o.head_max = (size_t)set->limit_head_bytes;
	o.body_max = (size_t)set->limit_body_bytes;
	o.idle_ms = set->timeout_idle_ms;
	o.head_ms = set->timeout_head_ms;
	o.body_grace_ms = set->timeout_head_ms;
	o.body_rate_min = set->limit_body_rate_bytes;
	o.send_ms = set->timeout_send_ms;
	down_host_set_opts(w->clients, &o);
	dns_set_max_age(w->dns, set->dns_max_age_ms);
	if (childlog_apply(set))
		log_warn("log_target", "the new log target cannot be opened; the old one stays");
}

void table_commit(struct table *t, uint64_t generation)
{
	struct worker *w = t->w;

	if (!t->next || t->next_generation != generation) {
		worker_fail(w, "COMMIT of table %llu, which is not prepared",
			    (unsigned long long)generation);
		return;
	}
	ptable_drop(&t->current);
	t->current = t->next;
	t->next = NULL;
	call_host_commit(w->calls);
	apply(w, &t->current->set);
	accept_commit(w->accept, &t->current->set);
	atomic_store(&w->proc->config_generation, generation);
	worker_check_ready(w);
}

void table_abort(struct table *t, uint64_t generation)
{
	(void)generation;
	forget(t);
}

struct ptable *table_current(const struct table *t)
{
	return t->current;
}
