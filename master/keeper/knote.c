#include "knote.h"

#include "clock.h"
#include "keeper_state.h"
#include "log.h"
#include "mem.h"
#include "who.h"

#define AGAIN_MS 1000

/* A record that is to be written, in its place of k->notes. */
struct knote {
	struct list node;
	uv_work_t work;
	struct writer_job job;
	struct keeper *k;
	uint64_t life, generation;
	int64_t uid;
	bool named, tried;
	char who[WHO_MAX];
	char *text; /* owned */
	size_t text_n;
};

static void note_free(struct knote *n)
{
	mem_free(n->text);
	mem_free(n);
}

/* Nobody waits longer than for one try. */
static void was_tried(struct knote *n)
{
	struct keeper *k = n->k;

	if (n->tried)
		return;
	n->tried = true;
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

	return admin_note_reload(a, &by, n->life, n->generation);
}

static void done(struct writer_job *j, enum errc e);

/* One at a time, in the order of the generations. */
static void write_next(struct keeper *k)
{
	struct knote *n;

	if (k->note_busy || list_is_empty(&k->notes) || k->end != KEEPER_RUNS)
		return;
	n = list_entry(k->notes.next, struct knote, node);
	if (!n->named)
		return;
	k->note_busy = true;
	n->job = (struct writer_job){.run = run, .done = done};
	writer_submit(k->writer, &n->job);
}

static void done(struct writer_job *j, enum errc e)
{
	struct knote *n = CONTAINER_OF(j, struct knote, job);
	struct keeper *k = n->k;
	const struct msg m = {.type = MSG_RELOAD_NOTED,
			      .reload_noted = {.generation = n->generation}};

	k->note_busy = false;
	if (e == ERRC_CANCELED)
		return;
	if (e && !n->tried)
		log_error("reload_unrecorded",
			  "configuration %llu is in force, but not in the ledger: %s; tried again "
			  "each second",
			  (unsigned long long)n->generation, errc_text(e));
	was_tried(n);
	if (e) {
		k->note_due_ms = clock_boot_ms() + AGAIN_MS;
		return;
	}
	(void)!klink_send(&k->master, &m);
	list_remove(&n->node);
	note_free(n);
	write_next(k);
}

void knote_tick(struct keeper *k, int64_t now_ms)
{
	if (now_ms >= k->note_due_ms)
		write_next(k);
}

void knote_fini(struct keeper *k)
{
	struct list *n;

	while ((n = list_pop_front(&k->notes)) != NULL)
		note_free(list_entry(n, struct knote, node));
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
	n->named = true;
	write_next(k);
	keeper_work_over(k);
}

void knote_reloaded(struct keeper *k, const struct msg_reloaded *m)
{
	struct knote *n;

	if (m->generation <= k->note_last)
		return;
	n = mem_new_of(struct knote);
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
	n->life = m->life;
	n->generation = m->generation;
	n->uid = m->uid;
	k->note_last = m->generation;
	list_push_back(&k->notes, &n->node);
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
