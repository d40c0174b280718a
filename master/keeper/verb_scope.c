#include "clock.h"
#include "rows_user.h"
#include "scope_row.h"
#include "user_tag.h"

#define ROW_FIELDS (6 + SCOPE_ROW_FIELDS)

/* A team, or an end user of an account. */
static bool is_team(const struct verbs *v)
{
	return verb_args_has(v->args, "team") || v->verb == CONTROL_DO_TEAM_LIST;
}

static const char *what(const struct verbs *v)
{
	return is_team(v) ? "team" : "user";
}

static enum errc send(struct verbs *v, const struct rows_scope *k, const struct rows_state *s,
		      const bool *durable)
{
	struct rows_account a = {.name = SLICE_NONE};
	struct control_field f[ROW_FIELDS];
	struct scope_row_texts texts;
	struct buf mem;
	size_t n = 0;
	enum errc e;

	buf_init(&mem, ROWS_MAX);
	scope_row_init(&texts);
	e = admin_account_get(v->live, k->account, &mem, &a);
	if (k->kind == ROWS_TEAM)
		f[n++] = CONTROL_S("id", slice_of(k->id, ROWS_ID));
	f[n++] = CONTROL_S("account", a.name);
	f[n++] = k->kind == ROWS_TEAM ? CONTROL_S("team", k->name) : CONTROL_S("user", k->name);
	f[n++] = CONTROL_S("status", slice_str(scope_row_status(k, clock_wall_s())));
	if (!e)
		e = scope_row_fill(f, &n, k, s, &texts, clock_wall_s());
	if (durable)
		f[n++] = CONTROL_B("durable", *durable);
	require(n <= ROW_FIELDS);
	if (!e)
		e = verbs_row(v, k->kind == ROWS_TEAM ? "team" : "user", f, n);
	scope_row_fini(&texts);
	buf_fini(&mem);
	return e;
}

/* Those of an end user that has none of its own are under the name of `*`, which they are changed by. */
static enum errc send_limits(struct verbs *v, const struct rows_scope *k, struct rows_state *s)
{
	struct rows_scope all;
	char every[ROWS_ID];
	struct buf mem;
	enum errc e;

	rows_user_id(SLICE_LIT(ROWS_EVERY_USER), every);
	if (k->kind != ROWS_USER || k->limits.n > 0 || memcmp(k->id, every, ROWS_ID) == 0)
		return scope_row_limits(v, k, s);
	buf_init(&mem, ROWS_MAX);
	e = admin_scope_get(v->live, k->account, ROWS_USER, every, &mem, &all, NULL);
	if (!e) {
		rows_user_join(k, &all);
		all.name = SLICE_LIT(ROWS_EVERY_USER);
		rows_state_align(s, &all.limits, true);
		e = scope_row_limits(v, &all, s);
	}
	buf_fini(&mem);
	return e == ERRC_NOTFOUND ? ERRC_OK : e;
}

static void show(struct verbs *v, uint64_t account, const char id[ROWS_ID], const bool *durable)
{
	struct rows_state s;
	struct rows_scope k;
	struct buf mem;
	enum errc e;

	buf_init(&mem, ROWS_MAX);
	e = admin_scope_get(v->live, account, is_team(v) ? ROWS_TEAM : ROWS_USER, id, &mem, &k, &s);
	if (!e)
		e = send(v, &k, &s, durable);
	if (!e)
		e = send_limits(v, &k, &s);
	buf_fini(&mem);
	verbs_end_errc(v, e, what(v));
}

static enum errc list_one(void *arg, const struct rows_scope *k, const struct rows_state *s)
{
	return send(arg, k, s, NULL);
}

static void list(struct verbs *v)
{
	struct slice name = verb_args_str(v->args, "account");
	uint64_t account = 0;
	enum errc e;

	if (name.n && !verbs_account(v, name, &account))
		return;
	e = admin_scope_each(v->live, account, is_team(v) ? ROWS_TEAM : ROWS_USER, list_one, v);
	verbs_end_errc(v, e, what(v));
}

/* The scope that the arguments name. False: END is sent. */
static bool find(struct verbs *v, uint64_t *account, char id[ROWS_ID])
{
	if (!verbs_account(v, verb_args_str(v->args, "account"), account))
		return false;
	if (is_team(v))
		return verbs_team(v, *account, verb_args_str(v->args, "team"), id);
	rows_user_id(verb_args_str(v->args, "user"), id);
	return true;
}

static void read(struct verbs *v)
{
	char id[ROWS_ID];
	uint64_t account;

	if (v->verb == CONTROL_DO_TEAM_LIST || v->verb == CONTROL_DO_USER_LIST)
		list(v);
	else if (find(v, &account, id))
		show(v, account, id, NULL);
}

void verb_team_read(struct verbs *v)
{
	read(v);
}

void verb_user_read(struct verbs *v)
{
	read(v);
}

/* --- writing --- */

static void begin(struct rows_scope *k, enum rows_kind kind, uint64_t account, struct slice name)
{
	*k = (struct rows_scope){.kind = kind,
				 .account = account,
				 .status = ROWS_ACTIVE,
				 .created_s = clock_wall_s(),
				 .keepalive_ms = ROWS_NO_LIMIT,
				 .name = name};
	rows_limits_init(&k->limits);
}

/* What is changed: its status, or what the options say. False: END is sent. */
static bool change(struct verbs *v, struct rows_scope *k, struct buf *mem)
{
	if (v->verb == CONTROL_DO_TEAM_SUSPEND)
		k->status = ROWS_SUSPENDED;
	else if (v->verb == CONTROL_DO_TEAM_RESUME)
		k->status = ROWS_ACTIVE;
	else
		return verbs_options(v, k, mem);
	return true;
}

static void create_team(struct verbs *v, struct buf *mem)
{
	struct slice name = verb_args_str(v->args, "team");
	struct admin_by by = verbs_by(v);
	char why[VERB_ARGS_WHY];
	struct rows_scope k;
	uint64_t account;
	bool durable = false;

	if (!admin_is_new_name(name)) {
		verbs_end(v, CONTROL_USAGE, "invalid",
			  "team: at most %d bytes of UTF-8 without spaces, slashes and control "
			  "characters",
			  ROWS_NAME_MAX);
		return;
	}
	/* No key could be put in it, and one that should be would be in no team. */
	if (slice_is(name, "none")) {
		verbs_end(v, CONTROL_USAGE, "invalid", "team: 'none' stands for no team");
		return;
	}
	if (!verbs_account(v, verb_args_str(v->args, "account"), &account))
		return;
	begin(&k, ROWS_TEAM, account, name);
	if (!verbs_options(v, &k, mem))
		return;
	if (!verb_args_is_new(&k, why)) {
		verbs_end(v, CONTROL_USAGE, "invalid", "%s", why);
		return;
	}
	v->failed = admin_team_create(v->admin, &by, &k, &durable);
	if (!v->failed)
		show(v, account, k.id, &durable);
	verbs_end_write(v, durable, "team");
}

static void update_team(struct verbs *v, struct buf *mem)
{
	struct admin_by by = verbs_by(v);
	char id[ROWS_ID];
	struct rows_scope k;
	uint64_t account;
	bool durable = false;

	if (!find(v, &account, id))
		return;
	v->failed = admin_scope_get(v->live, account, ROWS_TEAM, id, mem, &k, NULL);
	if (v->failed || !change(v, &k, mem))
		return;
	v->failed = admin_team_update(v->admin, &by, &k, &durable);
	if (!v->failed)
		show(v, account, id, &durable);
	verbs_end_write(v, durable, "team");
}

/* One that has no definition yet gets one. */
static void update_user(struct verbs *v, struct buf *mem)
{
	struct slice tag = verb_args_str(v->args, "user");
	struct admin_by by = verbs_by(v);
	char id[ROWS_ID];
	struct rows_scope k;
	uint64_t account;
	bool durable = false;

	if (!user_tag_is_good(tag)) {
		verbs_end(v, CONTROL_USAGE, "invalid", "user: %s", USER_TAG_RULES);
		return;
	}
	if (!find(v, &account, id))
		return;
	v->failed = admin_scope_get(v->live, account, ROWS_USER, id, mem, &k, NULL);
	if (v->failed == ERRC_NOTFOUND) {
		begin(&k, ROWS_USER, account, tag);
		v->failed = ERRC_OK;
	}
	if (v->failed || !change(v, &k, mem))
		return;
	v->failed = admin_user_set(v->admin, &by, &k, &durable);
	if (!v->failed)
		show(v, account, id, &durable);
	verbs_end_write(v, durable, "user");
}

static void remove_user(struct verbs *v)
{
	struct admin_by by = verbs_by(v);
	uint64_t account;
	bool durable = false;

	if (!verbs_account(v, verb_args_str(v->args, "account"), &account))
		return;
	v->failed =
		admin_user_remove(v->admin, &by, account, verb_args_str(v->args, "user"), &durable);
	verbs_end_write(v, durable, "user");
}

static void write_scope(struct verbs *v, void (*fn)(struct verbs *v, struct buf *mem))
{
	struct buf mem;
	char *room;

	/* The row that is read and what is written behind it: all the room at once, for slices point into it. */
	buf_init(&mem, ROWS_MAX + VERB_ARGS_MEM);
	v->failed = buf_reserve(&mem, ROWS_MAX + VERB_ARGS_MEM, &room);
	if (!v->failed)
		fn(v, &mem);
	buf_fini(&mem);
	verbs_end_errc(v, v->failed, what(v));
}

void verb_team_write(struct verbs *v)
{
	write_scope(v, v->verb == CONTROL_DO_TEAM_CREATE ? create_team : update_team);
}

void verb_user_write(struct verbs *v)
{
	if (v->verb == CONTROL_DO_USER_REMOVE)
		remove_user(v);
	else
		write_scope(v, update_user);
}
