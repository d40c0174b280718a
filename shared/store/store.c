#include "store.h"

#include <limits.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "admin_priv.h"
#include "agree_lost.h"
#include "clean.h"
#include "clock.h"
#include "idem_priv.h"
#include "log.h"
#include "scan.h"
#include "text.h"
#include "trust.h"

#define DRAIN_ROWS 4096

struct start {
	const struct store_opts *o;
	struct store_started *out;
	struct ledger *ledger;
	struct live *live;
	struct outbox_batch batch;
	char dir[PATH_MAX];
	bool restored; /* the ledger was, and no epoch of it has begun since */
	bool clean;    /* what cannot be used had nothing that the ledger lacks */
};

static uint64_t taken_of(const struct live *live, const struct ledger *ledger)
{
	const struct ledger_state *s = ledger_state(ledger);

	return s->taken_epoch == live_head(live)->epoch ? s->taken_n : 0;
}

/* Up to what is there now: workers that go on do not keep us. */
static enum errc take_outbox(struct live *live, struct ledger *ledger, struct outbox_batch *b,
			     uint64_t *taken)
{
	uint64_t first, last, before = taken_of(live, ledger);
	enum errc rc = outbox_range(live, &first, &last);

	while (!rc && taken_of(live, ledger) < last) {
		rc = outbox_read(live, taken_of(live, ledger), b);
		if (!rc)
			rc = ledger_begin(ledger);
		if (!rc)
			rc = ledger_take(ledger, live_head(live)->epoch, b);
		if (!rc || rc == ERRC_AGAIN)
			rc = ledger_commit(ledger);
		ledger_abort(ledger);
		if (!rc && b->n == 0)
			rc = ERRC_CORRUPT; /* the range said that there is more */
	}
	*taken = taken_of(live, ledger) - before;
	return rc;
}

enum errc store_drain_outbox(struct live *live, struct ledger *ledger, struct outbox_batch *b,
			     uint64_t *taken)
{
	bool more = true;
	enum errc rc = take_outbox(live, ledger, b, taken);

	/* Also what an earlier keeper took and did not come to delete. */
	while (!rc && more)
		rc = outbox_delete(live, taken_of(live, ledger), &more);
	return rc;
}

static bool name_live(const struct store_opts *o, const uint8_t *id, char dir[STORE_LIVE_DIR])
{
	char hex[2 * LIVE_ID + 1];
	int n;

	text_hex(id, LIVE_ID, hex);
	if (o->shared_dir && o->shared_dir[0])
		n = snprintf(dir, STORE_LIVE_DIR, "%s/%s", o->shared_dir, hex);
	else
		n = snprintf(dir, STORE_LIVE_DIR, "/dev/shm/aigw-%u-%.8s/%s", (unsigned)getuid(),
			     hex, hex);
	return n >= 0 && n < STORE_LIVE_DIR;
}

static enum errc live_dir(struct start *s)
{
	if (!name_live(s->o, ledger_state(s->ledger)->id, s->out->live_dir))
		return ERRC_LIMIT;
	memcpy(s->dir, s->out->live_dir, sizeof s->out->live_dir);
	return ERRC_OK;
}

/* A live store is made once the ledger is on disk. */
static bool had_ledger(const struct store_opts *o)
{
	char dir[STORE_LIVE_DIR], path[STORE_LIVE_DIR + sizeof "/data.mdb"];

	if (o->had_ledger || !o->ledger_id)
		return o->had_ledger;
	if (!name_live(o, o->ledger_id, dir))
		return false;
	snprintf(path, sizeof path, "%s/data.mdb", dir);
	return access(path, F_OK) == 0;
}

static void live_opts_of(const struct start *s, struct live_opts *o)
{
	*o = (struct live_opts){.dir = s->dir,
				.watch = s->o->watch,
				.epoch = ledger_state(s->ledger)->epoch,
				.size_bytes = s->o->live_bytes,
				.regions = s->o->regions,
				.slots = s->o->slots,
				.any_filesystem = s->o->any_filesystem};
	memcpy(o->ledger_id, ledger_state(s->ledger)->id, LIVE_ID);
}

/* Whether the store that could be opened continues this ledger: NULL, or what speaks against it. *is_ahead: it has seen what the ledger
 * lacks and nothing tells of any more. */
static enum errc judge(struct start *s, const char **reason, bool *is_ahead)
{
	const struct ledger_state *st = ledger_state(s->ledger);
	uint64_t taken = st->taken_epoch == st->epoch ? st->taken_n : 0, first, last, admin_seq;
	MDB_txn *txn;
	enum errc rc = outbox_range(s->live, &first, &last);

	*reason = NULL;
	*is_ahead = false;
	if (rc)
		return rc;
	rc = live_read_begin(s->live, &txn);
	if (rc)
		return rc;
	rc = live_get_admin_seq(s->live, txn, &admin_seq);
	live_read_end(s->live);
	*is_ahead = taken + 1 < first || admin_seq > st->last_seq;
	if (live_head(s->live)->epoch != st->epoch)
		*reason = "the live store is of another epoch";
	else if (taken + 1 < first || taken > last)
		*reason = "the ledger's last record is not in the live store's outbox";
	else if (admin_seq > st->last_seq)
		*reason = "the live store knows changes that the ledger does not";
	return rc;
}

/* What the rejected store holds that the ledger may lack. */
static int64_t at_risk(struct live *l, const struct ledger *ledger)
{
	struct scan scan = {0};
	struct outbox_batch b;
	uint64_t after = taken_of(l, ledger);
	int64_t sum;

	while (!scan.done) {
		if (scan_slice(l, &scan, 1000))
			return -1;
	}
	sum = scan.held_nusd;
	if (outbox_batch_init(&b, 256))
		return -1;
	while (outbox_read(l, after, &b) == ERRC_OK && b.n > 0) {
		for (size_t i = 0; i < b.n; i++) {
			struct record r;

			if (record_decode(b.rows[i].record, &r) == ERRC_OK &&
			    r.type == RECORD_CHARGE)
				sum += r.charge.charge_nusd;
		}
		after = b.rows[b.n - 1].n;
	}
	outbox_batch_fini(&b);
	return sum;
}

/* A store that cannot be read is the one of the clean stop if nothing was written to it since: the ledger may be an older one. */
static bool was_clean(struct start *s, bool is_there)
{
	uint64_t then, now;

	if (!clean_is_marked(s->ledger, &then))
		return false;
	return !is_there || (live_peek_txn(s->dir, &now) == ERRC_OK && now == then);
}

/* Whether there is room for a store of that size in its folder, and in it for twice what the store has: who tries finds out only when the
 * old one is gone. */
static enum errc has_room(struct start *s, size_t wanted, bool *yes)
{
	size_t is = s->live->size_bytes, room = 0;
	struct statvfs fs;
	MDB_txn *txn;
	enum errc rc = live_read_begin(s->live, &txn);

	if (rc)
		return rc;
	rc = live_room(s->live, txn, &room);
	live_read_end(s->live);
	*yes = statvfs(s->dir, &fs) == 0 && wanted / 2 >= is - room &&
	       (wanted <= is || (wanted - is) / fs.f_frsize < fs.f_bavail);
	return rc;
}

/* A store that continues the ledger, of another size than it is to have: after a clean stop it can be made anew, else it stays. */
static enum errc judge_size(struct start *s)
{
	size_t is = s->live->size_bytes, wanted = live_size_of(s->o->live_bytes);
	uint64_t then, now;
	bool fits = true;
	enum errc rc = live_last_txn(s->live, &now);

	if (rc || is == wanted)
		return rc;
	s->clean = clean_is_marked(s->ledger, &then) && then == now;
	if (s->clean)
		rc = has_room(s, wanted, &fits);
	if (rc)
		return rc;
	s->clean = s->clean && fits;
	if (!fits)
		log_warn("live_size_waits",
			 "the live store keeps its %zu bytes, and live_size is %zu: shared_memory "
			 "has no room for so many, or what the store holds would fill more than "
			 "half "
			 "of them",
			 is, wanted);
	else if (s->clean)
		s->out->reason = "live_size is another one";
	else
		log_warn(
			"live_size_waits",
			"the live store keeps its %zu bytes, and live_size is %zu: it is made anew "
			"by a start after a clean stop, which this is not: stop the node once more "
			"(SIGTERM), and start it",
			is, wanted);
	return ERRC_OK;
}

/* Opens what is there and judges it. s->live stays NULL when it is not to be used. */
static enum errc find(struct start *s)
{
	struct live_opts o;
	bool is_ahead;
	enum errc rc;

	live_opts_of(s, &o);
	rc = live_open(&o, &s->live);
	switch (rc) {
	case ERRC_OK:
		rc = judge(s, &s->out->reason, &is_ahead);
		if (!rc && !s->out->reason)
			rc = judge_size(s);
		if (rc == ERRC_CORRUPT)
			s->out->reason = "the live store is damaged";
		else if (rc)
			return rc;
		if (!s->out->reason)
			return ERRC_OK;
		s->out->at_risk_nusd = s->clean         ? 0
				       : rc || is_ahead ? -1
							: at_risk(s->live, s->ledger);
		live_close(&s->live);
		return ERRC_OK;
	case ERRC_NOTFOUND:
		s->out->reason = "there is no live store";
		s->clean = was_clean(s, false);
		break;
	case ERRC_STALE:
		s->out->reason = "the live store was made for another ledger, boot or file, or was "
				 "not finished";
		break;
	case ERRC_VERSION:
		s->out->reason = "the live store was made by another version of aigwd";
		s->clean = was_clean(s, true);
		break;
	case ERRC_CORRUPT:
		s->out->reason = "the live store is damaged";
		break;
	case ERRC_PERM:
		s->out->reason = "the live store's files are somebody else's";
		break;
	default:
		return rc;
	}
	s->out->at_risk_nusd = s->clean ? 0 : -1;
	return ERRC_OK;
}

/* Later than any epoch of any life of this ledger, the one that was replaced included: those count up by one from a time that is
 * past. */
static uint64_t least_epoch(const struct start *s)
{
	return s->restored ? (uint64_t)clock_wall_ms() : 0;
}

/* It happened while no keeper was there: the first one after it tells. */
static enum errc note_restore(struct start *s)
{
	struct record r = {.type = RECORD_RESTORE, .wall_ms = clock_wall_ms()};
	char mem[LEDGER_RESTORED_MAX], note[LEDGER_RESTORED_MAX];
	struct ledger_restored by;
	uint64_t seq;

	ledger_restored_read(s->o->state_dir, mem, &by);
	snprintf(note, sizeof note, "of " SLICE_FMT ", put in place " SLICE_FMT, SLICE_ARG(by.made),
		 SLICE_ARG(by.put));
	r.change.who = by.who;
	r.change.what = SLICE_LIT("restored from a backup");
	r.change.note = slice_str(note);
	return ledger_append(s->ledger, &r, &seq);
}

static enum errc raise_epoch(struct start *s)
{
	const struct ledger_state *st = ledger_state(s->ledger);
	struct record gap = {.type = RECORD_GAP, .wall_ms = clock_wall_ms()};
	char boot[LIVE_BOOT_ID];
	enum errc rc = live_boot_id(boot);

	if (rc)
		return rc;
	if (st->epoch == 0)
		s->out->outcome = STORE_FIRST;
	else if (s->restored)
		s->out->outcome = STORE_RESTORED;
	else if (memcmp(st->boot_id, boot, 36) != 0)
		s->out->outcome = STORE_REBOOT;
	else if (s->clean)
		s->out->outcome = STORE_CLEAN;
	else
		s->out->outcome = STORE_REBUILT;
	if (s->out->outcome == STORE_FIRST)
		s->out->at_risk_nusd = 0;
	gap.change.what = slice_str(s->out->outcome == STORE_REBOOT ? "reboot" : s->out->reason);
	gap.change.amount_nusd = s->out->at_risk_nusd;
	if (s->clean)
		gap.change.note = SLICE_LIT("after a clean stop");
	rc = ledger_begin(s->ledger);
	if (!rc && s->out->outcome == STORE_RESTORED)
		rc = note_restore(s);
	if (!rc)
		rc = ledger_raise_epoch(s->ledger, boot, least_epoch(s),
					s->out->outcome == STORE_FIRST ? NULL : &gap);
	if (!rc)
		rc = ledger_commit(s->ledger);
	ledger_abort(s->ledger);
	return rc;
}

static enum errc fill(struct start *s)
{
	int64_t wall_ms = s->o->trust ? trust_now_ms(s->o->trust) : clock_wall_ms();
	struct admin_filled f;
	enum errc rc = admin_fill(s->live, ledger_book(s->ledger),
				  ledger_state(s->ledger)->last_seq, wall_ms / 1000, &f);

	s->out->live_needs_bytes = f.needs_bytes;
	if (!rc)
		rc = idem_fill(s->live, s->ledger, wall_ms);
	if (!rc && f.left_out)
		log_error("live_size_small",
			  "the live store has no room for what %llu end users without a definition "
			  "have used: these and new ones of their accounts are refused until their "
			  "budgets are over; raise live_size to %llu MiB and restart",
			  (unsigned long long)f.left_out, (unsigned long long)(f.needs_bytes >> 20));
	return rc;
}

/* The old store is gone, the new one has everything of the ledger, and is valid only once all of it is in. */
static enum errc rebuild(struct start *s)
{
	struct live_opts o;
	enum errc rc = live_remove(s->dir);

	if (!rc && s->o->on_removed && ledger_state(s->ledger)->epoch != 0)
		s->o->on_removed(s->o->arg);
	if (!rc)
		rc = raise_epoch(s);
	if (!rc && s->restored)
		rc = ledger_restored_done(s->o->state_dir);
	if (rc)
		return rc;
	live_opts_of(s, &o);
	rc = live_create(&o, &s->live);
	if (!rc)
		rc = fill(s);
	return rc ? rc : live_seal(s->live);
}

/* A limit whose definition the live store has lost would refuse nobody. */
static enum errc put_back_lost(struct start *s)
{
	struct admin a = {.live = s->live, .ledger = s->ledger, .batch = &s->batch};
	struct agree_lost lost = {.at = 0};
	enum errc rc = ERRC_OK;

	while (!rc && !lost.done)
		rc = agree_lost_slice(&a, &lost, true, clock_wall_s());
	agree_lost_tell(&lost); /* rows that cannot be read are told by who looks all the time */
	return rc;
}

static enum errc run(struct start *s)
{
	enum errc rc = live_dir(s);

	s->restored = ledger_is_restored(s->o->state_dir);
	if (s->restored) {
		s->out->reason = "the ledger was restored from a backup";
		s->out->at_risk_nusd = -1;
	} else if (!rc) {
		rc = find(s);
	}
	if (rc)
		return rc;
	if (!s->live)
		return rebuild(s);
	s->out->outcome = STORE_ACCEPTED;
	/* It is deleted later, beside what workers do: for now somebody waits. */
	rc = take_outbox(s->live, s->ledger, &s->batch, &s->out->taken);
	if (!rc)
		rc = clean_forget(s->ledger);
	if (!rc)
		rc = admin_catch_up(s->live, s->ledger);
	return rc ? rc : put_back_lost(s);
}

enum errc store_start(const struct store_opts *o, struct live **live, struct ledger **ledger,
		      struct store_started *out)
{
	struct start s = {.o = o, .out = out};
	struct ledger_opts lo = {.dir = o->state_dir,
				 .id = o->ledger_id,
				 .map_bytes = o->ledger_map_bytes,
				 .was_there = had_ledger(o),
				 .fault = &out->fault};
	enum errc rc;

	*out = (struct store_started){0};
	rc = outbox_batch_init(&s.batch, DRAIN_ROWS);
	if (!rc)
		rc = ledger_open(&lo, &s.ledger);
	if (!rc && o->trust)
		ledger_trust(s.ledger, o->trust, o->state_dir);
	if (!rc)
		rc = run(&s);
	outbox_batch_fini(&s.batch);
	if (rc) {
		live_close(&s.live);
		ledger_close(&s.ledger);
		return rc;
	}
	if (out->outcome == STORE_REBUILT)
		log_error("live_store_rebuilt",
			  "%s: rebuilt from the ledger; charges of running requests may be lost",
			  out->reason);
	if (out->outcome == STORE_CLEAN)
		log_info("live_store_anew",
			 "%s: made anew from the ledger; after a clean stop no charge is lost",
			 out->reason);
	*live = s.live;
	*ledger = s.ledger;
	return ERRC_OK;
}

enum errc store_renew(const struct store_opts *o, struct ledger *ledger, struct live **live,
		      struct store_started *out)
{
	struct start s = {.o = o, .out = out, .ledger = ledger};
	enum errc rc;

	*out = (struct store_started){
		.reason = "the live store was removed or replaced while it was in use"};
	rc = live_dir(&s);
	if (!rc)
		rc = rebuild(&s);
	if (rc)
		live_close(&s.live);
	else
		*live = s.live;
	return rc;
}

/* In this order: who has charged before the number was read, and is gone, has left it in the outbox. */
enum errc store_mark_clean(struct live *live, struct ledger *ledger)
{
	uint64_t txn, first, last;
	struct live_owner one;
	size_t owners = 0;
	enum errc rc = live_last_txn(live, &txn);

	if (!rc)
		rc = live_instances(live, &one, 1, &owners);
	if (!rc)
		rc = outbox_range(live, &first, &last);
	if (!rc && owners == 0 && last == taken_of(live, ledger))
		clean_mark(ledger, txn);
	return rc;
}
