#include "intake.h"

#include <sys/eventfd.h>

#include "clock.h"
#include "log.h"
#include "progress.h"
#include "seal.h"
#include "writer.h"

#define BATCH_ROWS    1024 /* a live read transaction: about a third of a millisecond */
#define ROUND_BATCHES 16   /* taken with one commit */

static void set_gauge(struct intake *in, enum page_gauge g, int64_t v)
{
	atomic_store(page_gauge(in->page, g), (uint64_t)v);
}

enum errc intake_init(struct intake *in, const struct heritage *h, struct page *page,
		      enum settings_durability durability)
{
	*in = (struct intake){.h = h, .page = page, .durability = durability};
	return outbox_batch_init(&in->batch, BATCH_ROWS);
}

void intake_fini(struct intake *in)
{
	outbox_batch_fini(&in->batch);
}

/* --- what is known of it --- */

/* The last record of the live store's epoch that the ledger has. */
static uint64_t taken_of(const struct intake *in)
{
	const struct ledger_state *s = ledger_state(in->admin.ledger);

	return s->taken_epoch == live_head(in->admin.live)->epoch ? s->taken_n : 0;
}

/* What is on disk is visible to all who wait for it. */
static void publish(struct intake *in)
{
	uint64_t epoch = live_head(in->admin.live)->epoch, n = taken_of(in);

	if (epoch == in->durable_epoch && n == in->durable_n)
		return;
	in->durable_epoch = epoch;
	in->durable_n = n;
	page_durable_set(in->page, epoch, n);
	if (in->durability != SETTINGS_DURABILITY_SETTLE)
		return; /* nobody waits */
	for (unsigned i = 0; i < in->h->workers; i++)
		(void)!eventfd_write(in->h->worker_bell_fds[i], 1);
}

void intake_opened(struct intake *in, struct live *live, struct ledger *ledger)
{
	in->admin = (struct admin){.live = live, .ledger = ledger, .batch = &in->batch};
	progress_set_ledger_failed(live_progress(live), false);
	set_gauge(in, PAGE_LEDGER_STATE, PAGE_LEDGER_GOOD);
	set_gauge(in, PAGE_EPOCH, (int64_t)ledger_state(ledger)->epoch);
	publish(in);
	in->leftover = true;
}

/* --- the outbox --- */

/* With the transaction open: batch after batch, the first of which has been read. */
static enum errc take_batches(struct intake *in, uint64_t epoch)
{
	enum errc e = ERRC_OK;

	for (unsigned i = 0; !e && in->batch.n > 0; i++) {
		uint64_t last = in->batch.rows[in->batch.n - 1].n;

		e = ledger_take(in->admin.ledger, epoch, &in->batch);
		/* The rest is of a later day and waits no longer than this commit. */
		if (e == ERRC_AGAIN) {
			pace_ring(&in->pace);
			return ERRC_OK;
		}
		if (e || i + 1 == ROUND_BATCHES)
			break;
		e = outbox_read(in->admin.live, last, &in->batch);
	}
	return e;
}

static enum errc commit(struct intake *in, bool checkpoint, bool *took)
{
	uint64_t epoch = live_head(in->admin.live)->epoch;
	enum errc e = outbox_read(in->admin.live, taken_of(in), &in->batch);

	*took = in->batch.n > 0;
	if (e || (!*took && !checkpoint))
		return e;
	e = ledger_begin(in->admin.ledger);
	if (!e)
		e = take_batches(in, epoch);
	if (!e && checkpoint)
		e = ledger_checkpoint(in->admin.ledger);
	if (!e)
		e = ledger_commit(in->admin.ledger);
	ledger_abort(in->admin.ledger);
	return e;
}

/* Each transaction waits for those of the workers: after a while the next commit comes first. */
enum errc intake_delete(struct intake *in)
{
	uint64_t taken = taken_of(in);
	bool more = true;
	enum errc e = ERRC_OK;

	do
		e = outbox_delete(in->admin.live, taken, &more);
	while (!e && more && !pace_is_due(&in->pace, clock_boot_ms()));
	if (!e)
		in->leftover = more;
	return e;
}

/* What waits in the outbox may be of that day: whoever takes it seals the day behind it. */
static enum errc seal(struct intake *in, int64_t wall_ms)
{
	uint64_t first, last;
	enum errc e = outbox_range(in->admin.live, &first, &last);

	if (e || last > taken_of(in))
		return e;
	e = ledger_begin(in->admin.ledger);
	if (!e)
		e = seal_day(in->admin.ledger, wall_ms);
	if (!e)
		e = ledger_commit(in->admin.ledger);
	ledger_abort(in->admin.ledger);
	return e;
}

enum errc intake_seal(struct intake *in, int64_t wall_ms)
{
	enum errc e = ERRC_OK;

	if (!in->pace.retry_ms && seal_is_due(in->admin.ledger, wall_ms))
		e = seal(in, wall_ms);
	return intake_may_pass(e) ? ERRC_OK : e;
}

bool intake_may_pass(enum errc e)
{
	return e == ERRC_NOSPACE || e == ERRC_NOMEM || e == ERRC_MOVED;
}

void intake_failed(struct intake *in, enum errc e)
{
	if (!in->pace.retry_ms) {
		log_error("ledger_failed",
			  "the ledger takes no records: %s; tried again each second", errc_text(e));
		progress_set_ledger_failed(live_progress(in->admin.live), true);
		set_gauge(in, PAGE_LEDGER_STATE, PAGE_LEDGER_FAILED);
	}
	pace_failed(&in->pace, clock_boot_ms());
}

static void note_success(struct intake *in)
{
	if (in->pace.retry_ms == 0)
		return;
	log_info("ledger_good", "the ledger takes records again");
	progress_set_ledger_failed(live_progress(in->admin.live), false);
	set_gauge(in, PAGE_LEDGER_STATE, PAGE_LEDGER_GOOD);
}

/* A change that came no further than the ledger; what the live store cannot take now it may later. */
static enum errc catch_up(struct intake *in)
{
	enum errc e = admin_catch_up(in->admin.live, in->admin.ledger);

	in->behind = e != ERRC_OK;
	return intake_may_pass(e) ? ERRC_OK : e;
}

enum errc intake_round(struct intake *in, int64_t now_ms)
{
	bool checkpoint = pace_wants_checkpoint(&in->pace, now_ms), took = false;
	enum errc e;

	pace_begin(&in->pace, now_ms);
	e = commit(in, checkpoint, &took);
	/* Nothing to write is no proof that the disk takes something again. */
	if (!e && in->pace.retry_ms && !took && !checkpoint) {
		checkpoint = true;
		e = commit(in, checkpoint, &took);
	}
	if (!e) {
		note_success(in);
		pace_good(&in->pace, now_ms, took, checkpoint);
		in->leftover |= took;
		publish(in);
	}
	if (!e && in->leftover)
		e = intake_delete(in);
	if (!e && in->behind)
		e = catch_up(in);
	if (!intake_may_pass(e))
		return e;
	intake_failed(in, e);
	return ERRC_OK;
}

/* --- jobs --- */

void intake_wrote(struct intake *in)
{
	in->pace.dirty = in->leftover = true;
	publish(in);
}

/* Of what a job may meet only these say that the disk or the order of things is broken. */
static bool ends_keeper(enum errc e)
{
	return e == ERRC_IO || e == ERRC_CORRUPT || e == ERRC_STALE || e == ERRC_VERSION;
}

void intake_run(struct intake *in, struct writer_job *j)
{
	in->admin.not_durable = ERRC_OK;
	j->result = j->run(j, &in->admin);
	intake_wrote(in);
}

enum errc intake_ran(struct intake *in, enum errc result)
{
	enum errc e = result ? result : in->admin.not_durable;

	in->behind |= result != ERRC_OK;
	if (ends_keeper(e))
		return e;
	return in->behind ? catch_up(in) : ERRC_OK; /* the next job reads there what it changes */
}
