#include "ktable.h"

#include <stdio.h>

#include "childlog.h"
#include "keeper_state.h"
#include "knote.h"
#include "log.h"
#include "mem.h"

/* One table on its way: decoded on the pool, its prices written on the ledger thread. */
struct ktable_job {
	uv_work_t work;
	struct writer_job prices;
	struct keeper *k;
	struct ktable *t; /* NULL: nobody waits any more */
	uint64_t generation;
	char *blob; /* owned, wiped */
	size_t blob_n;
	struct ptable *out;
	enum errc e;
};

struct ktable {
	struct keeper *k;
	struct ktable_job *job; /* under way */
	bool waits;             /* ...for the stores */
	struct ptable *current, *next;
	uint64_t next_generation;
};

static void job_free(struct ktable_job *j)
{
	if (j->blob)
		secret_wipe(j->blob, j->blob_n);
	mem_free(j->blob);
	ptable_drop(&j->out);
	mem_free(j);
}

static void reject(struct keeper *k, uint64_t generation, const char *what, enum errc e)
{
	struct msg m = {.type = MSG_REJECTED};
	char text[256];

	snprintf(text, sizeof(text), "%s: %s", what, errc_text(e));
	log_warn("table_rejected", "table %llu: %s", (unsigned long long)generation, text);
	m.rejected = (struct msg_rejected){.generation = generation, .text = slice_str(text)};
	(void)!klink_send(&k->master, &m);
}

static void prepared(struct ktable *t, struct ktable_job *j)
{
	struct msg m = {.type = MSG_PREPARED, .prepared = {.generation = j->generation}};

	ptable_drop(&t->next);
	t->next = j->out;
	j->out = NULL;
	t->next_generation = j->generation;
	(void)!klink_send(&t->k->master, &m);
}

/* The rows as the accounts of a group pay them. */
static enum errc put_multiplied(struct admin *a, const struct ptable *t, int64_t mult_ppm)
{
	enum errc e = ERRC_OK;

	for (size_t i = 0; !e && i < t->prices_n; i++) {
		struct price p = *t->prices[i];
		const struct price *row = &p;

		p.mult_ppm = mult_ppm;
		e = ledger_put_prices(a->ledger, &row, 1);
	}
	return e;
}

static enum errc put_prices(struct writer_job *wj, struct admin *a)
{
	struct ktable_job *j = CONTAINER_OF(wj, struct ktable_job, prices);
	const struct ptable *t = j->out;
	enum errc e = ledger_begin(a->ledger);

	if (!e)
		e = ledger_put_prices(a->ledger, t->prices, t->prices_n);
	for (size_t i = 0; !e && i < t->groups_n; i++)
		e = put_multiplied(a, t, t->groups[i].mult_ppm);
	if (!e)
		e = ledger_commit(a->ledger);
	ledger_abort(a->ledger);
	return e;
}

static void prices_done(struct writer_job *wj, enum errc e)
{
	struct ktable_job *j = CONTAINER_OF(wj, struct ktable_job, prices);
	struct ktable *t = j->t;

	if (t) {
		t->job = NULL;
		if (e)
			reject(t->k, j->generation, "the prices cannot be written to the ledger", e);
		else
			prepared(t, j);
	}
	job_free(j);
}

static void submit_prices(struct ktable *t)
{
	t->waits = false;
	t->job->prices = (struct writer_job){.run = put_prices, .done = prices_done};
	writer_submit(t->k->writer, &t->job->prices);
}

static void decode(uv_work_t *work)
{
	struct ktable_job *j = CONTAINER_OF(work, struct ktable_job, work);

	j->e = ptable_decode(slice_of(j->blob, j->blob_n), &j->out);
	secret_wipe(j->blob, j->blob_n);
}

static void decoded(uv_work_t *work, int status)
{
	struct ktable_job *j = CONTAINER_OF(work, struct ktable_job, work);
	struct keeper *k = j->k;
	struct ktable *t = j->t;
	enum errc e = status < 0 ? ERRC_CANCELED : j->e;

	if (t && e) {
		t->job = NULL;
		reject(k, j->generation, "the table cannot be decoded", e);
	} else if (t && !k->writer && (e = keeper_open(k, &j->out->set))) {
		t->job = NULL;
		keeper_fail(k, "the ledger thread cannot start: %s", errc_text(e));
	}
	if (!t || e) {
		job_free(j);
	} else {
		t->waits = !k->started;
		if (!t->waits)
			submit_prices(t);
	}
	keeper_work_over(k);
}

enum errc ktable_new(struct keeper *k, struct ktable **out)
{
	struct ktable *t = mem_new_of(struct ktable);

	if (!t)
		return ERRC_NOMEM;
	t->k = k;
	*out = t;
	return ERRC_OK;
}

/* A job that a thread is at frees itself later; one that waits for the stores is with nobody. */
static void forget(struct ktable *t)
{
	struct ktable_job *j = t->job;

	t->job = NULL;
	if (j) {
		j->t = NULL;
		if (t->waits)
			job_free(j);
	}
	t->waits = false;
	ptable_drop(&t->next);
}

void ktable_free(struct ktable **tp)
{
	struct ktable *t = *tp;

	*tp = NULL;
	if (!t)
		return;
	forget(t);
	ptable_drop(&t->current);
	mem_free(t);
}

void ktable_prepare(struct ktable *t, uint64_t generation, struct slice blob)
{
	struct ktable_job *j = mem_new_of(struct ktable_job);

	forget(t);
	if (j)
		j->blob = mem_dup(blob.p, blob.n);
	if (!j || !j->blob) {
		mem_free(j);
		reject(t->k, generation, "the table cannot be decoded", ERRC_NOMEM);
		return;
	}
	j->blob_n = blob.n;
	j->k = t->k;
	j->t = t;
	j->generation = generation;
	require(uv_queue_work(&t->k->loop, &j->work, decode, decoded) == 0);
	t->job = j;
	t->k->works_n++;
}

void ktable_started(struct ktable *t)
{
	if (t->job && t->waits)
		submit_prices(t);
}

void ktable_commit(struct ktable *t, uint64_t generation)
{
	if (!t->next || t->next_generation != generation) {
		keeper_fail(t->k, "COMMIT of table %llu, which is not prepared",
			    (unsigned long long)generation);
		return;
	}
	ptable_drop(&t->current);
	t->current = t->next;
	t->next = NULL;
	if (childlog_apply(&t->current->set))
		log_warn("log_target", "the new log target cannot be opened; the old one stays");
	upkeep_set(&t->k->upkeep, &t->current->set);
	knote_table(t->k, generation);
	keeper_check_ready(t->k);
}

void ktable_abort(struct ktable *t, uint64_t generation)
{
	if (t->next_generation == generation || (t->job && t->job->generation == generation))
		forget(t);
}

struct ptable *ktable_current(const struct ktable *t)
{
	return t->current;
}
