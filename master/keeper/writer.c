#include "writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "intake.h"
#include "log.h"
#include "mem.h"
#include "oldstore.h"
#include "progress.h"
#include "renew.h"
#include "text.h"
#include "verify.h"

#define WRITER_MAGIC 0x57524954u
#define LOCK_POLL_MS 5
#define OLD_POLL_MS  5
#define WAIT_MAX_MS  1000

struct writer {
	unsigned magic;
	struct writer_opts o;
	pthread_t thread;
	uv_async_t *async; /* owned by the loop once closed */

	/* The ledger thread's own. */
	struct intake in;
	char shared_dir[PATH_MAX];
	uint8_t ledger_id[LIVE_ID];
	int lock_fd, wake_fd;
	bool renewing, over; /* over: the last job is done */

	pthread_mutex_t lock; /* guards the rest */
	struct list jobs, done;
	bool stop, renew;
	struct store_started started;
	bool tell_started, tell_failed, tell_renewed;
	enum errc failure;
	const char *failed_at;
};

static void set_gauge(struct writer *w, enum page_gauge g, int64_t v)
{
	atomic_store(page_gauge(w->o.page, g), (uint64_t)v);
}

/* --- waiting and telling --- */

static bool is_stopped(struct writer *w)
{
	bool stop;

	pthread_mutex_lock(&w->lock);
	stop = w->stop;
	pthread_mutex_unlock(&w->lock);
	return stop;
}

static bool has_work(struct writer *w)
{
	bool yes;

	pthread_mutex_lock(&w->lock);
	yes = w->stop || !list_is_empty(&w->jobs);
	pthread_mutex_unlock(&w->lock);
	return yes;
}

static void wake(struct writer *w)
{
	(void)!eventfd_write(w->wake_fd, 1);
}

/* Until somebody rings, the loop wants something, or the time is over. True when the bell was rung. */
static bool wait_for(struct writer *w, int64_t ms)
{
	struct pollfd p[2] = {{.fd = w->wake_fd, .events = POLLIN},
			      {.fd = w->o.h->bell_fd, .events = POLLIN}};
	eventfd_t n;

	if (poll(p, 2, (int)MIN_OF(ms, WAIT_MAX_MS)) <= 0)
		return false;
	if (p[0].revents)
		(void)!eventfd_read(w->wake_fd, &n);
	return p[1].revents && eventfd_read(w->o.h->bell_fd, &n) == 0;
}

static void fail(struct writer *w, enum errc e, const char *what)
{
	if (e == ERRC_IO)
		set_gauge(w, PAGE_LEDGER_STATE, PAGE_LEDGER_READ_ONLY);
	if (e == ERRC_IO && w->in.admin.live)
		progress_set_ledger_failed(live_progress(w->in.admin.live), true);
	pthread_mutex_lock(&w->lock);
	w->tell_failed = true;
	w->failure = e;
	w->failed_at = what;
	pthread_mutex_unlock(&w->lock);
	uv_async_send(w->async);
}

/* --- start --- */

static enum errc try_lock(struct writer *w)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (w->lock_fd < 0) {
		w->lock_fd =
			open(HERITAGE_STATE_DIR "/keeper.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (w->lock_fd < 0)
			return errc_from_errno(errno);
	}
	if (fcntl(w->lock_fd, F_OFD_SETLK, &l) == 0)
		return ERRC_OK;
	return errno == EAGAIN || errno == EACCES ? ERRC_AGAIN : errc_from_errno(errno);
}

/* The keeper before may still be at its last commit. */
static enum errc take_lock(struct writer *w)
{
	enum errc e = try_lock(w);

	if (e == ERRC_AGAIN)
		log_info("keeper_waits", "another keeper holds %s/keeper.lock", w->o.h->state);
	while (e == ERRC_AGAIN && !is_stopped(w)) {
		(void)wait_for(w, LOCK_POLL_MS);
		e = try_lock(w);
	}
	return e;
}

/* The keeper before ended because the disk failed: nothing is written before all of the ledger could be read and is right. */
static enum errc verify_first(struct writer *w)
{
	if (atomic_load(page_gauge(w->o.page, PAGE_LEDGER_STATE)) != PAGE_LEDGER_READ_ONLY)
		return ERRC_OK;
	log_warn("ledger_verify",
		 "the disk failed under the keeper before: the ledger is verified");
	return verify_folder(HERITAGE_STATE_DIR, &w->started.fault);
}

static enum errc open_pepper(struct writer *w)
{
	return pepper_open(w->o.pepper, HERITAGE_STATE_DIR);
}

/* The pepper is made after the ledger, and what the page shows of it is from an earlier keeper of this node. */
static bool had_ledger(struct writer *w)
{
	return pepper_newest(w->o.pepper) != 0 ||
	       atomic_load(page_gauge(w->o.page, PAGE_EPOCH)) != 0;
}

static void on_removed(void *arg)
{
	struct writer *w = arg;

	oldstore_kill(w->o.page, 0);
}

static void store_opts_of(struct writer *w, struct store_opts *o)
{
	struct page_proc *p = page_proc(w->o.page, w->o.h->page_slot);

	*o = (struct store_opts){.state_dir = HERITAGE_STATE_DIR,
				 .shared_dir = w->shared_dir,
				 .ledger_id = w->ledger_id,
				 .trust = w->o.trust,
				 .live_bytes = w->o.live_bytes,
				 .regions = w->o.regions,
				 .slots = w->o.slots,
				 .on_removed = on_removed,
				 .arg = w,
				 .had_ledger = had_ledger(w),
				 .watch = {.wants = &p->wants, .has = &p->has, .done = &p->done}};
}

static enum errc open_stores(struct writer *w)
{
	struct store_opts o;
	struct live *live = NULL;
	enum errc e;

	store_opts_of(w, &o);
	e = store_start(&o, &live, &w->o.stores->ledger, &w->started);
	if (e)
		return e;
	stores_put(w->o.stores, live);
	ledger_watch(w->o.stores->ledger, &w->o.upkeep->alerts);
	intake_opened(&w->in, live, w->o.stores->ledger);
	return ERRC_OK;
}

static void tell_no_space(struct writer *w, uint64_t live_needs)
{
	if (live_needs)
		log_error("live_size_small",
			  "the live store has no room for the accounts, keys and limits that the "
			  "ledger has: raise live_size to %llu MiB and restart",
			  (unsigned long long)(live_needs >> 20));
	else
		log_error("ledger_no_space",
			  "no space for the stores in %s or %s; tried again each second",
			  w->o.h->state, w->o.h->live);
}

static enum errc open_patiently(struct writer *w)
{
	enum errc e = intake_init(&w->in, w->o.h, w->o.page, w->o.durability);

	if (!e)
		e = open_stores(w);
	while (e == ERRC_NOSPACE && !is_stopped(w)) {
		tell_no_space(w, w->started.live_needs_bytes);
		(void)wait_for(w, PACE_RETRY_MS);
		e = open_stores(w);
	}
	return e ? e : pepper_make(w->o.pepper, HERITAGE_STATE_DIR, &w->in.admin);
}

/* *what was being done when it failed. */
static enum errc start(struct writer *w, const char **what)
{
	static const struct {
		enum errc (*step)(struct writer *w);
		const char *what;
	} steps[] = {{take_lock, "locking keeper.lock"},
		     {verify_first, "verifying the ledger after a failure of the disk"},
		     {open_pepper, "reading the file pepper"},
		     {open_patiently, "the start of the stores"}};
	enum errc e = ERRC_OK;

	for (size_t i = 0; !e && i < ARRAY_LEN(steps); i++) {
		*what = steps[i].what;
		e = steps[i].step(w);
	}
	if (!e)
		pace_init(&w->in.pace, w->o.durability, clock_boot_ms(),
			  ledger_tail(w->in.admin.ledger));
	return e;
}

/* --- jobs --- */

static struct writer_job *next_job(struct writer *w)
{
	struct list *n;

	pthread_mutex_lock(&w->lock);
	n = list_pop_front(&w->jobs);
	pthread_mutex_unlock(&w->lock);
	return n ? list_entry(n, struct writer_job, node) : NULL;
}

static void job_over(struct writer *w, struct writer_job *j)
{
	pthread_mutex_lock(&w->lock);
	list_push_back(&w->done, &j->node);
	pthread_mutex_unlock(&w->lock);
	uv_async_send(w->async);
}

static enum errc run_jobs(struct writer *w)
{
	struct writer_job *j;
	enum errc e = ERRC_OK;

	while (!e && !w->over && (j = next_job(w)) != NULL) {
		intake_run(&w->in, j);
		e = j->result;
		w->over = !e && j->last;
		job_over(w, j);
		e = intake_ran(&w->in, e);
	}
	return e;
}

/* The last job waits. */
static bool is_to_end(struct writer *w)
{
	bool yes = false;

	pthread_mutex_lock(&w->lock);
	list_each (it, &w->jobs)
		yes |= list_entry(it, struct writer_job, node)->last;
	pthread_mutex_unlock(&w->lock);
	return yes;
}

/* --- another live store --- */

static enum errc replace_live(struct writer *w)
{
	struct store_opts o;
	struct store_started s;
	struct live *live = NULL;
	enum errc e;

	store_opts_of(w, &o);
	e = store_renew(&o, w->o.stores->ledger, &live, &s);
	if (e == ERRC_NOSPACE)
		tell_no_space(w, s.live_needs_bytes);
	if (e)
		return e;
	stores_put(w->o.stores, live);
	intake_opened(&w->in, live, w->o.stores->ledger);
	w->renewing = false;
	pthread_mutex_lock(&w->lock);
	w->renew = false;
	w->tell_renewed = true;
	pthread_mutex_unlock(&w->lock);
	uv_async_send(w->async);
	return ERRC_OK;
}

static enum errc renew_step(struct writer *w)
{
	bool empty;
	enum errc e = renew_take(&w->in.admin, clock_boot_ms(), clock_wall_ms(), &empty);

	intake_wrote(&w->in);
	if (!e && empty)
		e = replace_live(w);
	if (!e || !intake_may_pass(e))
		return e;
	intake_failed(&w->in, e);
	/* The new store may never come, where the ledger is gone as well: the end does not wait for it. */
	if (is_to_end(w))
		return run_jobs(w);
	(void)wait_for(w, PACE_RETRY_MS);
	return ERRC_OK;
}

static void look_for_renew(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->renewing = w->renew;
	pthread_mutex_unlock(&w->lock);
}

/* --- the thread --- */

/* What fails for want of room is tried again; whether the ledger takes records is for those to find out. */
static enum errc keep_up(struct writer *w)
{
	uint64_t last = ledger_state(w->in.admin.ledger)->last_seq;
	enum errc e = ERRC_OK;

	trust_save(w->o.trust, HERITAGE_STATE_DIR);
	alerts_tell(&w->o.upkeep->alerts);
	if (!w->in.pace.retry_ms && upkeep_wait_ms(w->o.upkeep, clock_boot_ms()) == 0)
		e = upkeep_step(w->o.upkeep, &w->in.admin, clock_boot_ms(), clock_wall_ms(),
				trust_now_ms(w->o.trust));
	if (ledger_state(w->in.admin.ledger)->last_seq != last)
		intake_wrote(&w->in);
	return intake_may_pass(e) ? ERRC_OK : e;
}

static int64_t wait_ms(const struct writer *w)
{
	int64_t now = clock_boot_ms(), ms = pace_wait_ms(&w->in.pace, now);

	if (w->renewing)
		return OLD_POLL_MS;
	return w->in.pace.retry_ms ? ms : MIN_OF(ms, upkeep_wait_ms(w->o.upkeep, now));
}

static enum errc serve(struct writer *w)
{
	enum errc e = ERRC_OK;

	while (!e && !w->over && !is_stopped(w)) {
		int64_t ms = wait_ms(w);

		if (!(has_work(w) && !w->renewing) && ms > 0 && wait_for(w, ms))
			pace_ring(&w->in.pace);
		look_for_renew(w);
		if (w->renewing) {
			e = renew_step(w);
			continue;
		}
		e = intake_seal(&w->in, clock_wall_ms());
		if (!e)
			e = run_jobs(w);
		if (w->over)
			break;
		if (!e && pace_is_due(&w->in.pace, clock_boot_ms()))
			e = intake_round(&w->in, clock_boot_ms());
		if (!e)
			e = keep_up(w);
	}
	return e;
}

static void *run(void *arg)
{
	struct writer *w = arg;
	const char *what;
	enum errc e;

	require_magic(w, WRITER_MAGIC);
	e = start(w, &what);
	if (e) {
		fail(w, e, what);
		return NULL;
	}
	pthread_mutex_lock(&w->lock);
	w->tell_started = true;
	pthread_mutex_unlock(&w->lock);
	uv_async_send(w->async);
	e = intake_delete(&w->in); /* what the start took over need not fill the outbox any longer */
	if (!e || intake_may_pass(e))
		e = serve(w);
	if (e)
		fail(w, e, "writing the ledger");
	return NULL;
}

/* --- the loop's side --- */

static void end_jobs(struct list *done)
{
	struct list *n;

	while ((n = list_pop_front(done)) != NULL) {
		struct writer_job *j = list_entry(n, struct writer_job, node);

		j->done(j, j->result);
	}
}

static void on_async(uv_async_t *a)
{
	struct writer *w = a->data;
	bool started, failed, renewed;
	struct list done;

	if (!w)
		return;
	list_init(&done);
	pthread_mutex_lock(&w->lock);
	list_splice_back(&done, &w->done);
	started = w->tell_started;
	failed = w->tell_failed;
	renewed = w->tell_renewed;
	w->tell_started = w->tell_failed = w->tell_renewed = false;
	pthread_mutex_unlock(&w->lock);
	if (started)
		w->o.ev->started(w->o.arg, &w->started);
	end_jobs(&done);
	if (renewed)
		w->o.ev->renewed(w->o.arg);
	if (failed)
		w->o.ev->failed(w->o.arg, w->failure, w->failed_at, w->started.fault);
}

static void on_closed(uv_handle_t *h)
{
	mem_free(h);
}

static void release(struct writer *w)
{
	if (w->lock_fd >= 0)
		close(w->lock_fd);
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	intake_fini(&w->in);
	pthread_mutex_destroy(&w->lock);
	mem_free(w);
}

/* The folder above the live store's: that of all ledgers. */
static enum errc name_folders(struct writer *w)
{
	const char *end = strrchr(w->o.h->live, '/');

	if (!end || end == w->o.h->live ||
	    !text_unhex(slice_str(w->o.h->ledger_id), w->ledger_id, LIVE_ID))
		return ERRC_PROTOCOL;
	memcpy(w->shared_dir, w->o.h->live, (size_t)(end - w->o.h->live));
	return ERRC_OK;
}

enum errc writer_new(uv_loop_t *loop, const struct writer_opts *o, struct writer **out)
{
	struct writer *w = mem_new_of(struct writer);
	enum errc e;

	if (!w)
		return ERRC_NOMEM;
	*w = (struct writer){.magic = WRITER_MAGIC, .o = *o, .lock_fd = -1};
	list_init(&w->jobs);
	list_init(&w->done);
	pthread_mutex_init(&w->lock, NULL);
	w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	e = w->wake_fd < 0 ? ERRC_SYSTEM : name_folders(w);
	w->async = e ? NULL : mem_new_of(uv_async_t);
	if (!e && (!w->async || uv_async_init(loop, w->async, on_async))) {
		mem_free(w->async);
		e = ERRC_NOMEM;
	}
	if (e) {
		release(w);
		return e;
	}
	w->async->data = w;
	if (pthread_create(&w->thread, NULL, run, w)) {
		uv_close((uv_handle_t *)w->async, on_closed);
		release(w);
		return ERRC_SYSTEM;
	}
	*out = w;
	return ERRC_OK;
}

void writer_free(struct writer **wp)
{
	struct writer *w = *wp;
	struct list over;

	*wp = NULL;
	if (!w)
		return;
	require_magic(w, WRITER_MAGIC);
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_mutex_unlock(&w->lock);
	wake(w);
	pthread_join(w->thread, NULL);
	list_init(&over);
	list_splice_back(&over, &w->done);
	list_each (it, &w->jobs)
		list_entry(it, struct writer_job, node)->result = ERRC_CANCELED;
	list_splice_back(&over, &w->jobs);
	end_jobs(&over);
	w->async->data = NULL;
	uv_close((uv_handle_t *)w->async, on_closed);
	release(w);
}

void writer_submit(struct writer *w, struct writer_job *j)
{
	pthread_mutex_lock(&w->lock);
	list_push_back(&w->jobs, &j->node);
	pthread_mutex_unlock(&w->lock);
	wake(w);
}

void writer_renew(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->renew = true;
	pthread_mutex_unlock(&w->lock);
	wake(w);
}
