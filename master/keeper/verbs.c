#include "verbs.h"

#include <stdio.h>

#include "clock.h"

#define QUEUE_BYTES \
	(256 * 1024)  /* that may wait in the channel before a reading thread waits for aigwctl */
#define NAMED_MAX 160 /* of an object's name in a message */

static const struct {
	enum verbs_place place;
	void (*fn)(struct verbs *v);
	bool of_all; /* about every request that has ended: the outbox goes into the ledger first */
	enum rows_kind takes; /* it only takes something of one such; 0: it may give */
} rows[CONTROL_VERB_COUNT] = {
	[CONTROL_DO_ACCOUNT_CREATE] = {VERBS_ON_LEDGER, verb_account_write},
	[CONTROL_DO_ACCOUNT_UPDATE] = {VERBS_ON_LEDGER, verb_account_write},
	[CONTROL_DO_ACCOUNT_LIST] = {VERBS_READ, verb_account_read},
	[CONTROL_DO_ACCOUNT_SHOW] = {VERBS_READ, verb_account_read},
	[CONTROL_DO_ACCOUNT_CREDIT] = {VERBS_ON_LEDGER, verb_account_write},
	[CONTROL_DO_ACCOUNT_SUSPEND] = {VERBS_ON_LEDGER, verb_account_write, false, ROWS_ACCOUNT},
	[CONTROL_DO_ACCOUNT_RESUME] = {VERBS_ON_LEDGER, verb_account_write},
	[CONTROL_DO_KEY_CREATE] = {VERBS_ON_LEDGER, verb_key_write},
	[CONTROL_DO_KEY_LIST] = {VERBS_READ, verb_key_read},
	[CONTROL_DO_KEY_SHOW] = {VERBS_READ, verb_key_read},
	[CONTROL_DO_KEY_UPDATE] = {VERBS_ON_LEDGER, verb_key_write},
	[CONTROL_DO_KEY_REVOKE] = {VERBS_ON_LEDGER, verb_key_write, false, ROWS_KEY},
	[CONTROL_DO_TEAM_CREATE] = {VERBS_ON_LEDGER, verb_team_write},
	[CONTROL_DO_TEAM_LIST] = {VERBS_READ, verb_team_read},
	[CONTROL_DO_TEAM_SHOW] = {VERBS_READ, verb_team_read},
	[CONTROL_DO_TEAM_UPDATE] = {VERBS_ON_LEDGER, verb_team_write},
	[CONTROL_DO_TEAM_SUSPEND] = {VERBS_ON_LEDGER, verb_team_write, false, ROWS_TEAM},
	[CONTROL_DO_TEAM_RESUME] = {VERBS_ON_LEDGER, verb_team_write},
	[CONTROL_DO_USER_LIST] = {VERBS_READ, verb_user_read},
	[CONTROL_DO_USER_SHOW] = {VERBS_READ, verb_user_read},
	[CONTROL_DO_USER_UPDATE] = {VERBS_ON_LEDGER, verb_user_write},
	[CONTROL_DO_USER_REMOVE] = {VERBS_ON_LEDGER, verb_user_write},
	[CONTROL_DO_KEY_SUSPEND] = {VERBS_ON_LEDGER, verb_key_write, false, ROWS_KEY},
	[CONTROL_DO_KEY_RESUME] = {VERBS_ON_LEDGER, verb_key_write},
	[CONTROL_DO_KEY_ROTATE] = {VERBS_ON_LEDGER, verb_key_write},
	[CONTROL_DO_KEY_IMPORT] = {VERBS_ON_LEDGER, verb_import},
	[CONTROL_DO_PEPPER_LIST] = {VERBS_READ, verb_pepper_read},
	[CONTROL_DO_PEPPER_ROTATE] = {VERBS_ON_LEDGER, verb_pepper_write},
	[CONTROL_DO_USAGE] = {VERBS_READ, verb_usage, true},
	[CONTROL_DO_REQUEST_SHOW] = {VERBS_READ, verb_request},
	[CONTROL_DO_LIMIT_EXPLAIN] = {VERBS_READ, verb_limit},
	[CONTROL_DO_LEDGER_VERIFY] = {VERBS_REPORT, verb_verify, true},
	[CONTROL_DO_LEDGER_BACKUP] = {VERBS_REPORT, verb_backup, true},
	[CONTROL_DO_LEDGER_EXPORT] = {VERBS_REPORT, verb_export, true},
};

enum verbs_place verbs_place_of(enum control_verb v)
{
	return (unsigned)v < CONTROL_VERB_COUNT && rows[v].fn ? rows[v].place : VERBS_NOT_OURS;
}

/* On the ledger thread. What the ledger cannot take now waits in the outbox; the rest can be told all the same. */
static void take_outbox(struct verbs *v)
{
	const struct ledger_state *s = ledger_state(v->admin->ledger);
	uint64_t taken, first, last;

	v->failed = store_drain_outbox(v->admin->live, v->admin->ledger, v->admin->batch, &taken);
	v->taken = true;
	if (!v->failed)
		return;
	/* What is there already and could only not be deleted is told too. */
	taken = s->taken_epoch == live_head(v->admin->live)->epoch ? s->taken_n : 0;
	if (outbox_range(v->admin->live, &first, &last))
		v->not_taken_n = -1;
	else if (last > taken)
		v->not_taken_n = (int64_t)(last - taken);
	if (v->not_taken_n != 0)
		v->not_taken = v->failed;
}

/* True: it goes on elsewhere first. */
static bool goes_first(struct verbs *v)
{
	if (!rows[v->verb].of_all || v->taken)
		return false;
	v->next = v->admin ? rows[v->verb].place : VERBS_ON_LEDGER;
	if (v->admin)
		take_outbox(v);
	return true;
}

/* The live store has all that the ledger has of what this request takes from. One that it does not know may be what waits. */
static enum errc catch_up_of(struct verbs *v, enum rows_kind kind)
{
	char id[APIKEY_ID + 1] = "";
	uint64_t account = 0;
	enum errc e = ERRC_OK;

	if (kind == ROWS_KEY && !verb_args_key_id(verb_args_str(v->args, "key"), id))
		return ERRC_OK; /* it is refused for that */
	if (kind != ROWS_KEY)
		e = admin_account_find(v->live, verb_args_str(v->args, "account"), &account);
	if (!e && kind == ROWS_TEAM)
		e = admin_team_find(v->live, account, verb_args_str(v->args, "team"), id);
	return e ? e : admin_catch_up_of(v->admin->live, v->admin->ledger, account, kind, id);
}

/* What is changed is made from what the live store says, which first says all that the ledger has: else a grant that waits would
 * be written over. What only takes need not wait for changes of other scopes. False: END is sent. */
static bool may_change(struct verbs *v)
{
	enum rows_kind takes = rows[v->verb].takes;

	if (!v->admin || rows[v->verb].place != VERBS_ON_LEDGER)
		return true;
	v->failed = admin_catch_up(v->admin->live, v->admin->ledger);
	if (v->failed && takes && !catch_up_of(v, takes))
		v->failed = ERRC_OK;
	if (v->failed)
		verbs_end(v, CONTROL_REFUSED, "unavailable",
			  "the live store cannot take a change that was made before (%s): this one "
			  "was not made; try again",
			  errc_text(v->failed));
	return !v->failed;
}

void verbs_run(struct verbs *v)
{
	char why[VERB_ARGS_WHY];

	v->next = VERBS_NOT_OURS;
	v->live = stores_hold(v->stores);
	v->ledger = v->stores->ledger;
	if (!verb_args_check(v->verb, v->args, why))
		verbs_end(v, CONTROL_USAGE, "invalid", "%s: %s", control_verb_row(v->verb)->text,
			  why);
	else if (!goes_first(v) && may_change(v))
		rows[v->verb].fn(v);
	if (v->next == VERBS_NOT_OURS)
		verbs_end(v, CONTROL_DONE, "", "%s", "");
	stores_drop(v->stores, v->live);
}

/* A thread that may wait does so, so that memory stays bounded however long the answer is. */
static enum errc make_room(struct verbs *v)
{
	size_t before;
	enum errc e;

	if (v->admin || v->chan->out_bytes < QUEUE_BYTES)
		return ERRC_OK;
	do {
		before = v->chan->out_bytes;
		e = chan_drain(v->chan, VERBS_STALL_MS);
	} while (e == ERRC_TIMEOUT && v->chan->out_bytes < before);
	return e;
}

enum errc verbs_row(struct verbs *v, const char *kind, const struct control_field *f, size_t n)
{
	enum errc e = make_room(v);

	if (!e && atomic_load_explicit(v->cancel, memory_order_relaxed))
		e = ERRC_CANCELED;
	return e ? e : control_send_row(v->chan, kind, f, n);
}

void verbs_end(struct verbs *v, enum control_status status, const char *code, const char *fmt, ...)
{
	struct buf b;
	va_list ap;
	enum errc e;

	if (v->ended)
		return;
	v->ended = true;
	buf_init(&b, 8192);
	va_start(ap, fmt);
	e = buf_addvf(&b, fmt, ap);
	va_end(ap);
	if (!e)
		e = control_send_end(v->chan, status, code, buf_slice(&b), NULL, 0);
	buf_fini(&b);
	(void)e; /* the peer has gone, then nobody is there to read it */
}

/* " 'acme'": how the request names the object; of a key its public id only. Empty: it does not. */
static const char *named(const struct verbs *v, const char *what, char out[NAMED_MAX])
{
	struct slice s = verb_args_str(v->args, what);
	char id[APIKEY_ID + 1];

	if (s.n && strcmp(what, "key") == 0)
		s = verb_args_key_id(s, id) ? slice_str(id) : SLICE_NONE;
	if (s.n == 0)
		s = verb_args_str(v->args, strcmp(what, "request") == 0 ? "id" : "name");
	out[0] = '\0';
	if (s.n)
		snprintf(out, NAMED_MAX, " '" SLICE_FMT "'",
			 SLICE_ARG(slice_sub(s, 0, NAMED_MAX - 4)));
	return out;
}

void verbs_end_errc(struct verbs *v, enum errc e, const char *what)
{
	char name[NAMED_MAX];

	switch (e) {
	case ERRC_OK:
		verbs_end(v, CONTROL_DONE, "", "%s", "");
		break;
	case ERRC_NOTFOUND:
		verbs_end(v, CONTROL_NOT_FOUND, "not_found", "there is no %s%s", what,
			  named(v, what, name));
		break;
	case ERRC_EXISTS:
		verbs_end(v, CONTROL_REFUSED, "exists", "the %s%s is there already", what,
			  named(v, what, name));
		break;
	case ERRC_INVAL:
	case ERRC_RANGE:
	case ERRC_LIMIT:
		verbs_end(v, CONTROL_USAGE, "invalid", "%s: %s", what, errc_text(e));
		break;
	case ERRC_STATE:
		verbs_end(v, CONTROL_REFUSED, "refused", "%s: %s", what, errc_text(e));
		break;
	case ERRC_CANCELED:
		verbs_end(v, CONTROL_REFUSED, "unavailable", "the keeper is ending; try again");
		break;
	case ERRC_FULL:
		verbs_end(v, CONTROL_REFUSED, "full",
			  "the live store has no room for it: raise live_size and restart");
		break;
	case ERRC_NOSPACE:
	case ERRC_IO:
	case ERRC_MOVED:
	case ERRC_READONLY:
		verbs_end(v, CONTROL_REFUSED, "ledger_unavailable",
			  "the ledger cannot be written: %s", errc_text(e));
		break;
	default:
		verbs_end(v, CONTROL_REFUSED, "internal", "%s: %s", what, errc_text(e));
		break;
	}
}

void verbs_end_write(struct verbs *v, bool durable, const char *what)
{
	if (v->failed && durable)
		verbs_end(v, CONTROL_REFUSED, "not_in_force",
			  "the ledger has it, but it is not in force yet (%s): it follows by "
			  "itself, look before you repeat it",
			  errc_text(v->failed));
	verbs_end_errc(v, v->failed, what);
}

void verbs_end_report(struct verbs *v)
{
	if (v->not_taken)
		verbs_end(v, CONTROL_REFUSED, "incomplete",
			  "the ledger cannot be written (%s): what has ended since is not in it",
			  errc_text(v->not_taken));
	verbs_end(v, CONTROL_DONE, "", "%s", "");
}

struct admin_by verbs_by(const struct verbs *v)
{
	return (struct admin_by){.who = slice_str(v->who),
				 .note = verb_args_str(v->args, "note"),
				 .wall_ms = clock_wall_ms(),
				 .boot_ms = clock_boot_ms()};
}

bool verbs_account(struct verbs *v, struct slice name, uint64_t *account)
{
	enum errc e = admin_account_find(v->live, name, account);

	if (e == ERRC_NOTFOUND)
		verbs_end(v, CONTROL_NOT_FOUND, "not_found", "there is no account '" SLICE_FMT "'",
			  SLICE_ARG(slice_sub(name, 0, ROWS_NAME_MAX)));
	else if (e)
		verbs_end_errc(v, e, "account");
	return e == ERRC_OK;
}

bool verbs_team(struct verbs *v, uint64_t account, struct slice name, char id[ROWS_ID])
{
	enum errc e = admin_team_find(v->live, account, name, id);

	if (e == ERRC_NOTFOUND)
		verbs_end(v, CONTROL_NOT_FOUND, "not_found",
			  "the account has no team '" SLICE_FMT "'",
			  SLICE_ARG(slice_sub(name, 0, ROWS_NAME_MAX)));
	else if (e)
		verbs_end_errc(v, e, "team");
	return e == ERRC_OK;
}

/* What is used of a scope; nothing of one that is still to be made. */
static enum errc used_of(struct verbs *v, const struct rows_scope *k, struct rows_state *s)
{
	struct rows_scope now;
	struct buf mem;
	enum errc e;

	memset(s, 0, sizeof *s);
	buf_init(&mem, ROWS_MAX);
	e = admin_scope_get(v->live, k->account, k->kind, k->id, &mem, &now, s);
	buf_fini(&mem);
	return e == ERRC_NOTFOUND ? ERRC_OK : e;
}

bool verbs_options(struct verbs *v, struct rows_scope *k, struct buf *mem)
{
	char why[VERB_ARGS_WHY];
	struct rows_state s;
	enum errc e = used_of(v, k, &s);

	if (!e && verb_args_scope(v->args, &s, k, mem, why))
		return true;
	if (e)
		verbs_end_errc(v, e, "scope");
	else
		verbs_end(v, CONTROL_USAGE, "invalid", "%s", why);
	return false;
}

bool verbs_key(struct verbs *v, char id[APIKEY_ID + 1])
{
	if (verb_args_key_id(verb_args_str(v->args, "key"), id))
		return true;
	verbs_end(v, CONTROL_USAGE, "invalid",
		  "a key is named by its public id (12 letters and digits) or by the whole key");
	return false;
}
