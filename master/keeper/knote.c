#include "knote.h"

#include "clock.h"
#include "keeper_state.h"
#include "log.h"
#include "mem.h"
#include "who.h"

struct knote {
	uv_work_t work;
	struct writer_job job;
	struct keeper *k;
	uint64_t generation;
	int64_t uid;
	char who[WHO_MAX];
	char *text; /* owned */
	size_t text_n;
};

static void note_free(struct knote *n)
{
	mem_free(n->text);
	mem_free(n);
}

static void count_down(struct keeper *k)
{
	if (--k->notes_n == 0)
		atomic_store(&k->proc->config_generation, k->generation);
}

static enum errc run(struct writer_job *j, struct admin *a)
{
	struct knote *n = CONTAINER_OF(j, struct knote, job);
	const struct admin_by by = {.who = slice_str(n->who),
				    .note = slice_of(n->text, n->text_n),
				    .wall_ms = clock_wall_ms(),
				    .boot_ms = clock_boot_ms()};

	return admin_note(a, &by, RECORD_RELOAD, "in force", (int64_t)n->generation);
}

static void done(struct writer_job *j, enum errc e)
{
	struct knote *n = CONTAINER_OF(j, struct knote, job);
	struct keeper *k = n->k;
	const struct msg m = {.type = MSG_RELOAD_NOTED,
			      .reload_noted = {.generation = n->generation}};

	if (!e)
		(void)!klink_send(&k->master, &m);
	else if (e != ERRC_CANCELED)
		log_error("reload_unrecorded",
			  "configuration %llu is in force, but not in the ledger: %s",
			  (unsigned long long)n->generation, errc_text(e));
	note_free(n);
	count_down(k);
}

static void find_name(uv_work_t *work)
{
	struct knote *n = CONTAINER_OF(work, struct knote, work);

	if (n->uid < 0)
		snprintf(n->who, sizeof(n->who), "SIGHUP");
	else
		who_name((uint64_t)n->uid, n->who);
}

static void name_found(uv_work_t *work, int status)
{
	struct knote *n = CONTAINER_OF(work, struct knote, work);
	struct keeper *k = n->k;

	(void)status; /* work is never cancelled */
	n->job = (struct writer_job){.run = run, .done = done};
	if (k->end == KEEPER_RUNS) {
		writer_submit(k->writer, &n->job);
	} else {
		done(&n->job, ERRC_CANCELED);
	}
	keeper_work_over(k);
}

void knote_reloaded(struct keeper *k, const struct msg_reloaded *m)
{
	struct knote *n = mem_new_of(struct knote);

	if (n)
		n->text = mem_dup(m->text.p, m->text.n);
	if (!n || !n->text) {
		mem_free(n);
		log_error("reload_unrecorded", "configuration %llu: %s",
			  (unsigned long long)m->generation, errc_text(ERRC_NOMEM));
		return;
	}
	n->text_n = m->text.n;
	n->k = k;
	n->generation = m->generation;
	n->uid = m->uid;
	k->notes_n++;
	require(uv_queue_work(&k->loop, &n->work, find_name, name_found) == 0);
	k->works_n++;
}

void knote_table(struct keeper *k, uint64_t generation)
{
	k->generation = generation;
	if (k->notes_n == 0)
		atomic_store(&k->proc->config_generation, generation);
}
