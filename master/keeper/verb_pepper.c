#include "clock.h"
#include "heritage.h"
#include "log.h"
#include "verbs.h"

static void end_errc(struct verbs *v, enum errc e)
{
	switch (e) {
	case ERRC_BUSY:
		verbs_end(v, CONTROL_REFUSED, "busy",
			  "a backup is being made, and has the peppers as they are now: try again "
			  "when it is done");
		break;
	case ERRC_LIMIT:
		verbs_end(v, CONTROL_REFUSED, "full",
			  "keys need all of the %d peppers that there may be at a time: rotate or "
			  "revoke those of the oldest one ('pepper list', 'key list')",
			  PEPPERS_MAX);
		break;
	case ERRC_IO:
	case ERRC_NOSPACE:
		verbs_end(v, CONTROL_REFUSED, "failed",
			  "the file of the peppers cannot be written: %s", errc_text(e));
		break;
	default:
		verbs_end_errc(v, e, "pepper");
	}
}

static enum errc list(struct verbs *v)
{
	struct pepper_use use;
	enum errc e = pepper_count(v->pepper, v->live, trust_now_ms(v->trust) / 1000, &use);

	for (size_t i = 0; !e && i < use.n; i++) {
		const struct control_field f[] = {
			CONTROL_I("pepper", use.v[i].id), CONTROL_B("newest", i == 0),
			CONTROL_I("made_s", use.v[i].made_s), CONTROL_I("keys", use.v[i].keys)};

		e = verbs_row(v, "pepper", f, ARRAY_LEN(f));
	}
	return e;
}

void verb_pepper_read(struct verbs *v)
{
	verbs_end_errc(v, list(v), "pepper");
}

/* On the ledger thread again: all workers have it. */
static void end_rotation(struct verbs *v)
{
	struct admin_by by = verbs_by(v);

	v->failed = admin_note(v->admin, &by, RECORD_PEPPER, "in use", pepper_newest(v->pepper));
	if (v->failed)
		verbs_end(v, CONTROL_REFUSED, "ledger_unavailable",
			  "the new pepper is in use, but the ledger has no record of that: %s",
			  errc_text(v->failed));
	v->next = VERBS_READ;
}

/* The ledger has it before anything is done: what stands there and does not happen is followed by a record that it did not. */
static enum errc begin_rotation(struct verbs *v)
{
	struct admin_by by = verbs_by(v);
	uint16_t next = (uint16_t)(pepper_newest(v->pepper) + 1);
	struct pepper_use use;
	enum errc e = admin_catch_up(v->admin->live, v->admin->ledger);

	if (!e)
		e = pepper_count(v->pepper, v->live, trust_now_ms(v->trust) / 1000, &use);
	if (!e)
		e = pepper_may_rotate(v->pepper, &use);
	if (e)
		return e;
	e = pepper_note_removal(v->pepper, v->admin, &by, &use);
	if (!e)
		e = admin_note(v->admin, &by, RECORD_PEPPER, "made", next);
	if (e) {
		v->failed = e;
		return e;
	}
	e = pepper_rotate(v->pepper, HERITAGE_STATE_DIR, clock_wall_s(), &use);
	if (e)
		v->failed = admin_note(v->admin, &by, RECORD_PEPPER, "not made", next);
	return e;
}

/* Keys may be made with the new one, and its answer is sent, once all workers have it. */
void verb_pepper_write(struct verbs *v)
{
	enum errc e;

	if (!v->admin) {
		verb_pepper_read(v);
		return;
	}
	if (v->known) {
		end_rotation(v);
		return;
	}
	e = begin_rotation(v);
	if (e) {
		end_errc(v, e);
		return;
	}
	log_info("pepper_rotated", "pepper %u is new, by %s; keys of older ones stay as they are",
		 pepper_newest(v->pepper), v->who);
	v->peppers = true;
	v->next = VERBS_ON_LEDGER;
}
