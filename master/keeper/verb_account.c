#include <stdio.h>

#include "clock.h"
#include "credit.h"
#include "scope_row.h"
#include "text.h"

#define ROW_FIELDS (16 + SCOPE_ROW_ACCESS)
#define WHY_MAX    256

static const char *mode_name(enum rows_mode m)
{
	return m == ROWS_POSTPAID ? "postpaid" : "prepaid";
}

/* Its status stands in its own row, its end in that of its rules. */
static const char *status_of(const struct rows_account *a, const struct rows_scope *rules)
{
	struct rows_scope k = {.status = a->status, .expires_s = rules->expires_s};

	return scope_row_status(&k, clock_wall_s());
}

static size_t fill(struct control_field f[ROW_FIELDS], const struct rows_account *a,
		   const struct rows_scope *rules)
{
	const struct rows_account own = credit_out_of_shadow(a);
	size_t n = 0;

	f[n++] = CONTROL_I("id", a->id);
	f[n++] = CONTROL_S("name", a->name);
	f[n++] = CONTROL_S("mode", slice_str(mode_name(a->mode)));
	f[n++] = CONTROL_S("status", slice_str(status_of(a, rules)));
	f[n++] = CONTROL_I("granted_nusd", a->granted_nusd);
	f[n++] = CONTROL_I("balance_nusd", a->balance_nusd);
	f[n++] = CONTROL_I("held_nusd", a->held_nusd);
	f[n++] = CONTROL_I("settled_nusd", a->settled_nusd);
	f[n++] = CONTROL_I("uncollected_nusd", a->uncollected_nusd);
	f[n++] = CONTROL_I("overdraft_nusd", a->overdraft_nusd);
	f[n++] = credit_is_limited(&own) ? CONTROL_I("available_nusd", credit_available(&own))
					 : CONTROL_N("available_nusd");
	f[n++] = a->group.n ? CONTROL_S("group", a->group) : CONTROL_N("group");
	f[n++] = CONTROL_I("holds", a->holds);
	f[n++] = CONTROL_I("created_s", a->created_s);
	return n;
}

static const char no_id[ROWS_ID];

/* What the account may do; an empty scope where it has no rules. */
static enum errc get_rules(struct verbs *v, uint64_t account, struct buf *mem, struct rows_scope *k,
			   struct rows_state *s)
{
	enum errc e = admin_scope_get(v->live, account, ROWS_ACCOUNT, no_id, mem, k, s);

	if (e == ERRC_NOTFOUND) {
		*k = (struct rows_scope){.kind = ROWS_ACCOUNT};
		e = ERRC_OK;
	}
	return e;
}

/* What the balance is the ledger says; a restriction is there to be in force, and that it is. */
static void end_not_durable(struct verbs *v)
{
	verbs_end(v, CONTROL_REFUSED, "not_durable",
		  "it is taken, but the ledger does not have it yet: it follows by itself, look "
		  "before you repeat it");
}

/* One row, and one for each rule; `durable` NULL: of a reading verb. */
static void show(struct verbs *v, uint64_t account, const bool *durable)
{
	struct control_field f[ROW_FIELDS];
	struct scope_row_texts texts;
	struct buf mem, rules;
	struct rows_account a;
	struct rows_scope k;
	struct rows_state s;
	size_t n;
	enum errc e;

	buf_init(&mem, ROWS_MAX);
	buf_init(&rules, ROWS_MAX);
	scope_row_init(&texts);
	e = admin_account_get(v->live, account, &mem, &a);
	if (!e)
		e = get_rules(v, account, &rules, &k, &s);
	if (!e) {
		n = fill(f, &a, &k);
		e = scope_row_access(f, &n, &k, &texts);
		if (durable)
			f[n++] = CONTROL_B("durable", *durable);
		require(n <= ROW_FIELDS);
		if (!e)
			e = verbs_row(v, "account", f, n);
		k.name = a.name;
	}
	if (!e)
		e = scope_row_limits(v, &k, &s);
	scope_row_fini(&texts);
	buf_fini(&rules);
	buf_fini(&mem);
	if (!e && durable && !*durable && verb_args_has(v->args, "take_nusd"))
		end_not_durable(v);
	verbs_end_errc(v, e, "account");
}

static enum errc list_one(void *arg, const struct rows_account *a)
{
	struct control_field f[ROW_FIELDS];
	struct rows_scope k;
	struct rows_state s;
	struct buf mem;
	size_t n;
	enum errc e;

	buf_init(&mem, ROWS_MAX);
	e = get_rules(arg, a->id, &mem, &k, &s);
	if (!e) {
		n = fill(f, a, &k);
		f[n++] = CONTROL_B("shadow", a->flags & ROWS_ACCOUNT_SHADOW);
		e = verbs_row(arg, "account", f, n);
	}
	buf_fini(&mem);
	return e;
}

static void list(struct verbs *v)
{
	/* The store copies each slice before it calls: waiting for aigwctl in list_one() keeps no transaction open. */
	enum errc e = admin_account_each(v->live, list_one, v);

	verbs_end_errc(v, e, "account");
}

void verb_account_read(struct verbs *v)
{
	uint64_t account;

	if (v->verb == CONTROL_DO_ACCOUNT_LIST)
		list(v);
	else if (verbs_account(v, verb_args_str(v->args, "account"), &account))
		show(v, account, NULL);
}

/* --- writing --- */

/* As it is given; "none" is no group, nothing leaves the one that is. False, after the refusal, when it cannot be one. */
static bool read_group(struct verbs *v, struct slice *group)
{
	struct slice given = verb_args_str(v->args, "group");

	if (given.n && !admin_is_name(given)) {
		verbs_end(v, CONTROL_USAGE, "invalid",
			  "group: at most %d bytes of UTF-8 without spaces and control characters",
			  ROWS_NAME_MAX);
		return false;
	}
	if (given.n)
		*group = slice_is(given, "none") ? SLICE_NONE : given;
	return true;
}

/* Whether an argument is about what the account may do, not about its money. */
static bool has_rules(const struct verbs *v)
{
	static const char *const others[] = {"account", "group", "overdraft_nusd", "postpaid",
					     "note"};

	for (size_t i = 0; i < v->args.n; i++) {
		bool other = false;

		for (size_t k = 0; k < ARRAY_LEN(others); k++)
			other = other || slice_is(v->args.f[i].name, others[k]);
		if (!other)
			return true;
	}
	return false;
}

static bool has_money(const struct verbs *v)
{
	return verb_args_has(v->args, "group") || verb_args_has(v->args, "overdraft_nusd") ||
	       verb_args_has(v->args, "postpaid");
}

/* Beside its balance. */
static bool has_credit(const struct rows_limits *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].credit && l->v[i].models.n == 0)
			return true;
	}
	return false;
}

/* What the account may do, as it is and with the options that are given. False: END is sent. */
static bool read_rules(struct verbs *v, uint64_t account, struct rows_scope *k, struct buf *mem)
{
	char *room;

	v->failed = buf_reserve(mem, ROWS_MAX + VERB_ARGS_MEM, &room);
	if (!v->failed)
		v->failed = admin_scope_get(v->live, account, ROWS_ACCOUNT, no_id, mem, k, NULL);
	if (v->failed == ERRC_NOTFOUND) {
		*k = (struct rows_scope){.kind = ROWS_ACCOUNT,
					 .account = account,
					 .created_s = clock_wall_s(),
					 .keepalive_ms = ROWS_NO_LIMIT};
		rows_limits_init(&k->limits);
		v->failed = ERRC_OK;
	}
	if (v->failed || !verbs_options(v, k, mem))
		return false;
	if (verb_args_has(v->args, "suspended"))
		verbs_end(v, CONTROL_USAGE, "invalid",
			  "suspended: use account suspend and account resume");
	else if (has_credit(&k->limits))
		verbs_end(v, CONTROL_USAGE, "invalid",
			  "limit: an account's credit for all models is its balance: use account "
			  "credit; credit=DOLLARS models=PATTERNS is for some");
	else
		return true;
	return false;
}

static enum errc set_money(struct verbs *v, uint64_t account, bool *durable)
{
	struct admin_by by = verbs_by(v);
	struct rows_account a;
	struct buf mem;
	enum errc e;

	buf_init(&mem, ROWS_MAX);
	e = admin_account_get(v->live, account, &mem, &a);
	if (!e && read_group(v, &a.group)) {
		a.overdraft_nusd = verb_args_i64(v->args, "overdraft_nusd", a.overdraft_nusd);
		if (verb_args_has(v->args, "postpaid"))
			a.mode = verb_args_bool(v->args, "postpaid") ? ROWS_POSTPAID : ROWS_PREPAID;
		e = admin_account_update(v->admin, &by, &a, durable);
	}
	if (e == ERRC_STATE)
		verbs_end(v, CONTROL_REFUSED, "refused",
			  "the balance is further below zero than that allows");
	buf_fini(&mem);
	return e;
}

/* Why the rules could not be set. ERRC_STATE: the account would leave shadow with a balance below its floor. */
static void why_not_rules(struct verbs *v, uint64_t account, enum errc e, char out[WHY_MAX])
{
	char more[MONEY_TEXT_MAX];
	struct rows_account a;
	int64_t nusd = 0;
	struct buf mem;

	buf_init(&mem, ROWS_MAX);
	snprintf(out, WHY_MAX, "%s", errc_text(e));
	if (e == ERRC_STATE && !admin_account_get(v->live, account, &mem, &a) &&
	    money_add(a.balance_nusd, a.overdraft_nusd, &nusd) && nusd < 0) {
		money_print(-nusd, 2, more);
		snprintf(
			out, WHY_MAX,
			"out of shadow its credit counts, and its balance is $%s below what it may "
			"be, running requests included: grant $%s first, or give it more overdraft "
			"or postpaid on",
			more, more);
	} else if (e == ERRC_STATE) {
		snprintf(
			out, WHY_MAX,
			"running requests held more than the credit that counts out of shadow; try "
			"again");
	}
	buf_fini(&mem);
}

/* In shadow the balance may be anywhere: an account that goes there does so before it pays in another way. */
static enum errc update_in_shadow(struct verbs *v, uint64_t account, const struct rows_scope *k,
				  bool *durable)
{
	struct admin_by by = verbs_by(v);
	struct slice group;
	enum errc e;

	if (!read_group(v, &group))
		return ERRC_OK;
	e = admin_rules_set(v->admin, &by, k, durable);
	if (e && !*durable)
		return e;
	if (!e)
		e = set_money(v, account, durable);
	if (e)
		verbs_end(v, CONTROL_REFUSED, "partly",
			  "the limits were changed, group, overdraft and payment were not: %s",
			  errc_text(e));
	return e;
}

static enum errc update(struct verbs *v, uint64_t account, bool *durable)
{
	char why[WHY_MAX];
	struct admin_by by = verbs_by(v);
	/* A note alone is kept too. */
	bool rules = has_rules(v), money = has_money(v) || !rules,
	     goes_in = rules && money && verb_args_bool(v->args, "shadow");
	struct rows_scope k;
	struct buf mem;
	enum errc e = ERRC_OK;

	buf_init(&mem, ROWS_MAX + VERB_ARGS_MEM);
	if (rules && !read_rules(v, account, &k, &mem))
		e = v->failed;
	else if (goes_in)
		e = update_in_shadow(v, account, &k, durable);
	else if (money)
		e = set_money(v, account, durable);
	if (!e && !v->ended && rules && !goes_in) {
		bool money_durable = *durable;

		/* Where the ledger takes this it takes all that was done before with it. */
		e = admin_rules_set(v->admin, &by, &k, durable);
		if (e)
			why_not_rules(v, account, e, why);
		if (e && money && !*durable)
			verbs_end(
				v, CONTROL_REFUSED,
				"partly", "group, overdraft and payment were changed%s, the limits were not: %s",
				money_durable ? "" : " (in force, not durable yet)", why);
		else if (e == ERRC_STATE)
			verbs_end(v, CONTROL_REFUSED, "refused", "the account stays in shadow: %s",
				  why);
	}
	buf_fini(&mem);
	return e;
}

static enum errc create(struct verbs *v, uint64_t *account, bool *durable)
{
	struct admin_account_spec spec = {
		.name = verb_args_str(v->args, "name"),
		.mode = verb_args_bool(v->args, "postpaid") ? ROWS_POSTPAID : ROWS_PREPAID,
		.credit_nusd = verb_args_i64(v->args, "credit_nusd", 0),
		.overdraft_nusd = verb_args_i64(v->args, "overdraft_nusd", 0)};
	struct admin_by by = verbs_by(v);
	uint64_t number;

	/* A name that is a number would hide the account with that number. */
	if (!admin_is_new_name(spec.name)) {
		verbs_end(v, CONTROL_USAGE, "invalid",
			  "name: at most %d bytes of UTF-8 without spaces, slashes and control "
			  "characters",
			  ROWS_NAME_MAX);
		return ERRC_OK;
	}
	if (text_u64(spec.name, &number)) {
		verbs_end(v, CONTROL_USAGE, "invalid", "name: '" SLICE_FMT "' is a number",
			  SLICE_ARG(spec.name));
		return ERRC_OK;
	}
	if (!read_group(v, &spec.group))
		return ERRC_OK;
	return admin_account_create(v->admin, &by, &spec, account, durable);
}

static void refuse_take(struct verbs *v, uint64_t account)
{
	char room[MONEY_TEXT_MAX];
	struct rows_account a;
	int64_t nusd = 0;
	struct buf mem;

	buf_init(&mem, ROWS_MAX);
	if (!admin_account_get(v->live, account, &mem, &a) &&
	    money_add(a.balance_nusd, a.overdraft_nusd, &nusd)) {
		money_print(MAX_OF(nusd, 0), 2, room);
		verbs_end(v, CONTROL_REFUSED, "refused",
			  "the account '" SLICE_FMT
			  "' has no more than $%s to take: its balance and its overdraft",
			  SLICE_ARG(a.name), room);
	}
	verbs_end(v, CONTROL_REFUSED, "refused", "the account has less than that to take");
	buf_fini(&mem);
}

static enum errc credit(struct verbs *v, uint64_t account, bool *durable)
{
	int64_t add = verb_args_i64(v->args, "add_nusd", 0),
		take = verb_args_i64(v->args, "take_nusd", 0);
	struct admin_by by = verbs_by(v);
	enum errc e;

	if ((add > 0) == (take > 0) || add < 0 || take < 0) {
		verbs_end(v, CONTROL_USAGE, "invalid",
			  "account credit takes one amount above 0, to add or to take");
		return ERRC_OK;
	}
	if (add > 0)
		return admin_account_credit(v->admin, &by, account, add, durable);
	e = admin_account_take(v->admin, &by, account, take, durable);
	if (e == ERRC_STATE)
		refuse_take(v, account);
	return e;
}

static enum errc write_account(struct verbs *v, uint64_t *account, bool *durable)
{
	struct admin_by by = verbs_by(v);

	if (v->verb == CONTROL_DO_ACCOUNT_CREATE)
		return create(v, account, durable);
	if (!verbs_account(v, verb_args_str(v->args, "account"), account))
		return ERRC_OK;
	if (v->verb == CONTROL_DO_ACCOUNT_UPDATE)
		return update(v, *account, durable);
	if (v->verb == CONTROL_DO_ACCOUNT_CREDIT)
		return credit(v, *account, durable);
	return admin_account_set_status(
		v->admin, &by, *account,
		v->verb == CONTROL_DO_ACCOUNT_SUSPEND ? ROWS_SUSPENDED : ROWS_ACTIVE, durable);
}

void verb_account_write(struct verbs *v)
{
	uint64_t account = 0;
	bool durable = false;

	v->failed = write_account(v, &account, &durable);
	if (v->failed == ERRC_RANGE && !v->ended) {
		verbs_end(v, CONTROL_USAGE, "invalid",
			  "nobody can be granted more than $4000000000, or have as much taken, in "
			  "all");
		return;
	}
	if (!v->failed && !v->ended)
		show(v, account, &durable);
	verbs_end_write(v, durable, "account");
}
