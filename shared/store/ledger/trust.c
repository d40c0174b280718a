#include "trust.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "files.h"
#include "ledger_priv.h"
#include "live_priv.h"
#include "log.h"

#define FORM     "aigw-clock 1"
#define TEXT_MAX 256
#define SAVE_MS  INT64_C(600000)
#define TIME_MAX (INT64_C(1) << 53)

void trust_init(struct trust *t)
{
	*t = (struct trust){.step_ms = TRUST_STEP_MS};
	pthread_mutex_init(&t->lock, NULL);
}

void trust_fini(struct trust *t)
{
	pthread_mutex_destroy(&t->lock);
}

/* --- the file --- */

/* What stands there. */
struct kept {
	char boot[LIVE_BOOT_ID];
	int64_t believed_ms, apart_ms;
	int64_t lasts_ms; /* for so long it has been `jump_ms` instead; < 0: it is not */
	int64_t jump_ms;
};

/* Sums of two of them are in range. */
static bool is_time(int64_t v)
{
	return v > -TIME_MAX && v < TIME_MAX;
}

static bool read_text(const char *path, char text[TEXT_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, TEXT_MAX - 1);

	if (fd >= 0)
		close(fd);
	text[MAX_OF(n, 0)] = '\0';
	return n > 0;
}

_Static_assert(LIVE_BOOT_ID == 37, "the width that is read");

/* False: there is no file, or none of this form; *out is as it was. */
static bool read_kept(const char *state, struct kept *out)
{
	char path[PATH_MAX], text[TEXT_MAX];
	struct kept k;

	if (snprintf(path, sizeof path, "%s/" TRUST_NAME, state) >= (int)sizeof path ||
	    !read_text(path, text))
		return false;
	if (sscanf(text, FORM " %36s %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64, k.boot,
		   &k.believed_ms, &k.apart_ms, &k.lasts_ms, &k.jump_ms) != 5 ||
	    !is_time(k.believed_ms) || !is_time(k.apart_ms) || !is_time(k.lasts_ms) ||
	    !is_time(k.jump_ms))
		return false;
	*out = k;
	return true;
}

/* In the same boot both clocks are as they were; in another nobody knows for how long there was no power. */
static void take(struct trust *t, const struct kept *k, int64_t boot_ms)
{
	char boot[LIVE_BOOT_ID];

	t->known = true;
	if (live_boot_id(boot) == ERRC_OK && strcmp(boot, k->boot) == 0) {
		t->apart_ms = k->apart_ms;
		t->jumped = k->lasts_ms >= 0;
		t->jump_ms = k->jump_ms;
		t->since_ms = boot_ms - MAX_OF(k->lasts_ms, 0);
		return;
	}
	t->apart_ms = k->believed_ms - boot_ms;
	t->step_ms = TRUST_OFF_MS;
	t->spent_ms = MAX_OF(k->lasts_ms, 0);
}

void trust_open(struct trust *t, const char *state, int64_t boot_ms, int64_t newest_ms)
{
	struct kept k = {.believed_ms = newest_ms};

	pthread_mutex_lock(&t->lock);
	if (!t->opened && (read_kept(state, &k) || newest_ms > 0))
		take(t, &k, boot_ms);
	t->opened = t->changed = true;
	pthread_mutex_unlock(&t->lock);
}

static enum errc put(const char *state, const struct kept *k)
{
	char text[TEXT_MAX];
	int n = snprintf(text, sizeof text,
			 FORM " %s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", k->boot,
			 k->believed_ms, k->apart_ms, k->lasts_ms, k->jump_ms);
	int dir = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum errc e = dir < 0 ? errc_from_errno(errno)
			      : files_put(dir, TRUST_NAME, 0600, slice_of(text, (size_t)n),
					  FILES_REPLACE);

	if (dir >= 0)
		close(dir);
	return e;
}

void trust_save(struct trust *t, const char *state)
{
	int64_t boot_ms = clock_age_ms();
	struct kept k = {.believed_ms = trust_now_ms(t)};
	bool due;
	enum errc e;

	pthread_mutex_lock(&t->lock);
	due = t->changed || boot_ms - t->saved_ms >= SAVE_MS;
	t->changed = false;
	t->saved_ms = boot_ms;
	k.apart_ms = t->apart_ms;
	k.lasts_ms = t->jumped ? MAX_OF(boot_ms - t->since_ms, 0) : -1;
	k.jump_ms = t->jump_ms;
	pthread_mutex_unlock(&t->lock);
	if (!due)
		return;
	e = live_boot_id(k.boot);
	if (!e)
		e = put(state, &k);
	if (e)
		log_warn("clock_not_kept",
			 "the file " TRUST_NAME " in the state folder cannot be written: %s",
			 errc_text(e));
}

/* --- looking --- */

static bool is_near(int64_t a_ms, int64_t b_ms, int64_t step_ms)
{
	return a_ms - b_ms <= step_ms && b_ms - a_ms <= step_ms;
}

static void tell_jump(const struct trust *t)
{
	if (t->jump_ms < t->apart_ms)
		return; /* then the wall clock is the earlier one */
	log_warn("clock_jumped",
		 "the wall clock is %" PRId64
		 " s later than by the time that this node knows to have "
		 "passed: it was set, or there was no power; nothing is removed for an age that it "
		 "has only by this clock before it has stayed so for a day",
		 (t->jump_ms - t->apart_ms) / 1000);
}

static void begin_jump(struct trust *t, int64_t boot_ms)
{
	t->jumped = t->changed = true;
	t->since_ms = boot_ms - t->spent_ms;
	t->spent_ms = 0;
	tell_jump(t);
}

static void believe(struct trust *t)
{
	t->apart_ms = t->jump_ms;
	t->changed |= t->jumped || t->step_ms != TRUST_STEP_MS;
	t->jumped = false;
	t->step_ms = TRUST_STEP_MS;
	t->spent_ms = 0;
}

int64_t trust_look(struct trust *t, int64_t boot_ms, int64_t wall_ms)
{
	int64_t apart_ms = wall_ms - boot_ms, now_ms;
	bool same;

	pthread_mutex_lock(&t->lock);
	same = t->jumped && is_near(apart_ms, t->jump_ms, TRUST_STEP_MS);
	t->jump_ms = apart_ms;
	if (!t->known || is_near(apart_ms, t->apart_ms, t->step_ms))
		believe(t);
	else if (!same)
		begin_jump(t, boot_ms);
	if (t->jumped && boot_ms - t->since_ms >= TRUST_LASTS_MS) {
		log_info(
			"clock_believed",
			"the wall clock has stayed so for a day: what is too old by it is removed");
		believe(t);
	}
	t->known = true;
	now_ms = MIN_OF(wall_ms, boot_ms + t->apart_ms);
	pthread_mutex_unlock(&t->lock);
	return now_ms;
}

int64_t trust_now_ms(struct trust *t)
{
	return trust_look(t, clock_age_ms(), clock_wall_ms());
}

void ledger_trust(struct ledger *l, struct trust *t, const char *state)
{
	trust_open(t, state, clock_age_ms(), l->newest_ms);
	l->trust = t;
}

int64_t ledger_believed_ms(struct ledger *l, int64_t wall_ms)
{
	return l->trust ? MIN_OF(wall_ms, trust_now_ms(l->trust)) : wall_ms;
}
