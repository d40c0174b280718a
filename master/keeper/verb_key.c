#include "clock.h"
#include "scope_row.h"
#include "secret.h"

#define DAY_MS       INT64_C(86400000)
#define GRACE_MAX_MS (366 * DAY_MS)
#define ROW_FIELDS   (15 + SCOPE_ROW_FIELDS)

/* What a row shows besides the key itself. */
struct key_extra {
	struct slice secret; /* of a new one */
	const bool *durable;
};

static enum errc team_name(struct verbs *v, const struct rows_scope *k, struct buf *mem,
			   struct slice *name)
{
	static const char none[ROWS_ID];
	struct rows_scope team = {.name = SLICE_NONE};
	enum errc e = ERRC_OK;

	if (memcmp(k->team, none, ROWS_ID) != 0)
		e = admin_scope_get(v->live, k->account, ROWS_TEAM, k->team, mem, &team, NULL);
	*name = team.name;
	return e;
}

static size_t fill_key(struct control_field *f, const struct rows_scope *k, struct slice account,
		       struct slice team, struct slice secret)
{
	size_t n = 0;

	f[n++] = CONTROL_S("id", slice_of(k->id, APIKEY_ID));
	f[n++] = CONTROL_S("account", account);
	f[n++] = team.n ? CONTROL_S("team", team) : CONTROL_N("team");
	f[n++] = CONTROL_S("name", k->name);
	f[n++] = CONTROL_S("status", slice_str(scope_row_status(k, clock_wall_s())));
	if (secret.n)
		f[n++] = CONTROL_S("key", secret);
	f[n++] = CONTROL_B("clamp", k->flags & ROWS_KEY_CLAMP);
	f[n++] = CONTROL_S("client_gone", k->flags & ROWS_KEY_DRAIN   ? SLICE_LIT("drain")
					  : k->flags & ROWS_KEY_ABORT ? SLICE_LIT("abort")
								      : SLICE_LIT("node"));
	f[n++] = scope_row_number("old_until_s", k->old_until_s, k->old_until_s > clock_wall_s());
	f[n++] = CONTROL_I("pepper", k->pepper);
	f[n++] = scope_row_number("keepalive_ms", k->keepalive_ms, k->keepalive_ms != ROWS_NO_LIMIT);
	return n;
}

static enum errc send(struct verbs *v, const struct rows_scope *k, const struct rows_state *s,
		      const struct key_extra *x)
{
	struct rows_account a = {.name = SLICE_NONE};
	struct control_field f[ROW_FIELDS];
	struct scope_row_texts texts;
	struct slice team;
	struct buf account, mem;
	size_t n = 0;
	enum errc e;

	buf_init(&account, ROWS_MAX);
	buf_init(&mem, ROWS_MAX);
	scope_row_init(&texts);
	e = admin_account_get(v->live, k->account, &account, &a);
	if (!e)
		e = team_name(v, k, &mem, &team);
	if (!e) {
		n = fill_key(f, k, a.name, team, x->secret);
		e = scope_row_fill(f, &n, k, s, &texts, clock_wall_s());
	}
	if (x->durable)
		f[n++] = CONTROL_B("durable", *x->durable);
	require(n <= ROW_FIELDS);
	if (!e)
		e = verbs_row(v, "key", f, n);
	scope_row_fini(&texts);
	buf_fini(&mem);
	buf_fini(&account);
	return e;
}

static void show(struct verbs *v, const char id[APIKEY_ID + 1], const struct key_extra *x)
{
	struct rows_state s;
	struct rows_scope k;
	struct buf mem;
	enum errc e;

	buf_init(&mem, ROWS_MAX);
	e = admin_key_get(v->live, id, &mem, &k, &s);
	if (!e)
		e = send(v, &k, &s, x);
	if (!e)
		e = scope_row_limits(v, &k, &s);
	buf_fini(&mem);
	verbs_end_errc(v, e, "key");
}

static enum errc list_one(void *arg, const struct rows_scope *k, const struct rows_state *s)
{
	return send(arg, k, s, &(struct key_extra){.durable = NULL});
}

static void list(struct verbs *v)
{
	struct slice name = verb_args_str(v->args, "account");
	uint64_t account = 0;
	enum errc e;

	if (name.n && !verbs_account(v, name, &account))
		return;
	e = admin_scope_each(v->live, account, ROWS_KEY, list_one, v);
	verbs_end_errc(v, e, "key");
}

void verb_key_read(struct verbs *v)
{
	char id[APIKEY_ID + 1];

	if (v->verb == CONTROL_DO_KEY_LIST)
		list(v);
	else if (verbs_key(v, id))
		show(v, id, &(struct key_extra){.durable = NULL});
}

/* --- writing --- */

/* The options that are given, into `k`; a team is named, or taken away by an empty name. False: END is sent. */
static bool put_options(struct verbs *v, struct rows_scope *k, struct buf *mem)
{
	struct slice team = verb_args_str(v->args, "team");
	static const char none[ROWS_ID];

	if (!verbs_options(v, k, mem))
		return false;
	if (!verb_args_has(v->args, "team"))
		return true;
	memcpy(k->team, none, ROWS_ID);
	return team.n == 0 || verbs_team(v, k->account, team, k->team);
}

static void create(struct verbs *v, struct buf *mem)
{
	struct rows_scope k = {.kind = ROWS_KEY,
			       .status = ROWS_ACTIVE,
			       .created_s = clock_wall_s(),
			       .keepalive_ms = ROWS_NO_LIMIT};
	struct admin_by by = verbs_by(v);
	char why[VERB_ARGS_WHY];
	struct apikey secret;
	bool durable = false;

	rows_limits_init(&k.limits);
	if (!verbs_account(v, verb_args_str(v->args, "account"), &k.account) ||
	    !put_options(v, &k, mem))
		return;
	if (!verb_args_is_new(&k, why)) {
		verbs_end(v, CONTROL_USAGE, "invalid", "%s", why);
		return;
	}
	apikey_make(&secret);
	memcpy(k.id, secret.id, APIKEY_ID);
	pepper_hash(v->pepper, slice_str(secret.text), k.hash, &k.pepper);
	v->failed = admin_key_create(v->admin, &by, &k, &durable);
	if (!v->failed)
		show(v, secret.id,
		     &(struct key_extra){.secret = slice_str(secret.text), .durable = &durable});
	verbs_end_write(v, durable, "key");
	apikey_fini(&secret);
}

static void end_update(struct verbs *v, const char id[APIKEY_ID + 1], bool durable)
{
	if (v->failed == ERRC_STATE)
		verbs_end(v, CONTROL_REFUSED, "refused", "the key is revoked");
	if (!v->failed)
		show(v, id, &(struct key_extra){.durable = &durable});
	verbs_end_write(v, durable, "key");
}

/* The pepper of a key that expired long ago may be gone: given more time it would still open nothing. False: END is sent. */
static bool has_pepper(struct verbs *v, const struct rows_scope *k)
{
	bool ended = k->status == ROWS_REVOKED || (k->expires_s && k->expires_s <= clock_wall_s());

	if (ended || pepper_has(v->pepper, k->pepper))
		return true;
	verbs_end(v, CONTROL_REFUSED, "refused",
		  "the key expired so long ago that its secret can no longer be checked: give it a "
		  "new one first, with 'key rotate'");
	return false;
}

static void update(struct verbs *v, struct buf *mem)
{
	struct slice account = verb_args_str(v->args, "account");
	struct admin_by by = verbs_by(v);
	char id[APIKEY_ID + 1];
	struct rows_scope k;
	bool durable = false;

	if (account.n) {
		verbs_end(v, CONTROL_USAGE, "invalid", "account: a key stays with its account");
		return;
	}
	if (!verbs_key(v, id))
		return;
	v->failed = admin_key_get(v->admin->live, id, mem, &k, NULL);
	if (v->failed || !put_options(v, &k, mem) || !has_pepper(v, &k))
		return;
	v->failed = admin_key_update(v->admin, &by, &k, &durable);
	end_update(v, id, durable);
}

static void set_status(struct verbs *v, enum rows_status status, struct buf *mem)
{
	struct admin_by by = verbs_by(v);
	char id[APIKEY_ID + 1];
	struct rows_scope k;
	bool durable = false;

	if (!verbs_key(v, id))
		return;
	v->failed = admin_key_get(v->admin->live, id, mem, &k, NULL);
	if (!v->failed && k.status != ROWS_REVOKED)
		k.status = status;
	if (!v->failed)
		v->failed = admin_key_update(v->admin, &by, &k, &durable);
	end_update(v, id, durable);
}

static void rotate(struct verbs *v)
{
	int64_t grace_ms = verb_args_i64(v->args, "grace_ms", DAY_MS);
	int64_t until_s = grace_ms ? (clock_wall_ms() + grace_ms + 999) / 1000 : 0;
	struct admin_by by = verbs_by(v);
	uint8_t hash[DIGEST_SHA256];
	struct apikey secret;
	char id[APIKEY_ID + 1];
	bool durable = false;
	uint16_t pepper;

	if (!verbs_key(v, id))
		return;
	if (grace_ms < 0 || grace_ms > GRACE_MAX_MS) {
		verbs_end(v, CONTROL_USAGE, "invalid", "grace: from 0 to 366 days");
		return;
	}
	apikey_make_for(&secret, id);
	pepper_hash(v->pepper, slice_str(secret.text), hash, &pepper);
	v->failed = admin_key_rotate(v->admin, &by, id, hash, pepper, until_s, &durable);
	if (v->failed == ERRC_STATE)
		verbs_end(v, CONTROL_REFUSED, "refused", "the key is revoked");
	if (!v->failed)
		show(v, id,
		     &(struct key_extra){.secret = slice_str(secret.text), .durable = &durable});
	verbs_end_write(v, durable, "key");
	apikey_fini(&secret);
}

static void revoke(struct verbs *v)
{
	bool now = verb_args_bool(v->args, "now");
	struct admin_by by = verbs_by(v);
	char id[APIKEY_ID + 1];
	bool durable = false;

	if (!verbs_key(v, id))
		return;
	v->failed = admin_key_revoke(v->admin, &by, id, now, &durable);
	if (v->failed)
		return;
	if (now)
		memcpy(v->revoked, id, sizeof(v->revoked));
	show(v, id, &(struct key_extra){.durable = &durable});
}

void verb_key_write(struct verbs *v)
{
	struct buf mem;
	char *room;

	/* The row that is read and what is written behind it: all the room at once, for slices point into it. */
	buf_init(&mem, ROWS_MAX + VERB_ARGS_MEM);
	v->failed = buf_reserve(&mem, ROWS_MAX + VERB_ARGS_MEM, &room);
	if (!v->failed && v->verb == CONTROL_DO_KEY_CREATE)
		create(v, &mem);
	else if (!v->failed && v->verb == CONTROL_DO_KEY_UPDATE)
		update(v, &mem);
	else if (!v->failed && v->verb == CONTROL_DO_KEY_SUSPEND)
		set_status(v, ROWS_SUSPENDED, &mem);
	else if (!v->failed && v->verb == CONTROL_DO_KEY_RESUME)
		set_status(v, ROWS_ACTIVE, &mem);
	else if (!v->failed && v->verb == CONTROL_DO_KEY_ROTATE)
		rotate(v);
	else if (!v->failed)
		revoke(v);
	buf_fini(&mem);
	verbs_end_errc(v, v->failed, "key");
}
