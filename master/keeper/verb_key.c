#include "clock.h"
#include "secret.h"
#include "verbs.h"

#define ROW_FIELDS 32

static void put_limit(struct control_field *f, const char *name, int64_t v)
{
	*f = (struct control_field){.name = slice_str(name),
				    .type = v == ROWS_NO_LIMIT ? CONTROL_T_NONE : CONTROL_T_I64,
				    .i = v};
}

static void put_time(struct control_field *f, const char *name, int64_t s)
{
	*f = (struct control_field){.name = slice_str(name),
				    .i = s,
				    .type = s <= 0 || s == WINDOW_NEVER ? CONTROL_T_NONE
									: CONTROL_T_I64};
}

static const char *status_name(const struct rows_scope *k, int64_t now_s)
{
	if (k->status == ROWS_REVOKED)
		return "revoked";
	if (k->expires_s && k->expires_s <= now_s)
		return "expired";
	return k->status == ROWS_SUSPENDED ? "suspended" : "active";
}

/* "10.0.0.0/8, fd00::/8" and "gpt-*, !gpt-4*", appended to `mem`; *out stays valid until the next change of it. */
static enum errc list_nets(const struct rows_scope *k, struct buf *mem)
{
	char text[IPNET_TEXT_MAX];
	enum errc e = ERRC_OK;

	for (size_t i = 0; !e && i < k->nets_n; i++) {
		size_t n = ipnet_print(&k->nets[i], text);

		e = i ? buf_addz(mem, ", ") : ERRC_OK;
		if (!e)
			e = buf_add(mem, text, n);
	}
	return e;
}

static enum errc list_models(const struct rows_scope *k, struct buf *mem)
{
	struct slice rest = k->models, one;
	enum errc e = ERRC_OK;

	for (size_t i = 0; !e && rest.n; i++) {
		(void)slice_cut(&rest, '\n', &one);
		e = i ? buf_addz(mem, ", ") : ERRC_OK;
		if (!e)
			e = buf_adds(mem, one);
	}
	return e;
}

static const struct rows_rule *budget_of(const struct rows_scope *k)
{
	for (size_t i = 0; i < k->limits.n; i++) {
		const struct rows_rule *r = &k->limits.v[i];

		if (r->kind == ROWS_BUDGET && !r->shadow && r->models.n == 0)
			return r;
	}
	return NULL;
}

static size_t fill_limits(struct control_field *f, const struct rows_scope *k)
{
	const struct rows_rule *b = budget_of(k);
	size_t n = 0;

	for (unsigned i = 0; i < ROWS_LIMIT_COUNT; i++)
		put_limit(&f[n++], verb_args_limit((enum rows_limit)i),
			  rows_limits_get(&k->limits, (enum rows_limit)i));
	put_limit(&f[n++], "concurrency", rows_limits_get(&k->limits, ROWS_CONCURRENCY));
	put_limit(&f[n++], "budget_nusd", b ? b->limit : ROWS_NO_LIMIT);
	f[n++] = CONTROL_S("budget_period",
			   slice_str(window_unit_name(b ? b->window.unit : WINDOW_MONTH)));
	f[n++] = CONTROL_B("rolling", b && b->window.rolling);
	f[n++] = CONTROL_S("zone", b && b->zone.n ? b->zone : SLICE_LIT("UTC"));
	return n;
}

static size_t fill_used(struct control_field *f, const struct rows_scope *k,
			const struct rows_state *s, int64_t now_s)
{
	const struct rows_rule *b = budget_of(k);
	struct rows_rule_now now = {0};
	size_t n = 0;

	put_time(&f[n++], "used_s", s->used_s);
	f[n++] = CONTROL_I("requests", s->requests);
	f[n++] = CONTROL_I("tokens", s->tokens);
	f[n++] = CONTROL_I("charged_nusd", s->charged_nusd);
	f[n++] = CONTROL_I("holds", s->holds);
	if (b)
		rows_rule_look(b, rows_state_counter(s, b), s->holds, 0, now_s * 1000, &now);
	f[n++] = CONTROL_I("budget_used_nusd", now.used);
	f[n++] = CONTROL_I("budget_held_nusd", now.held);
	f[n++] = b ? CONTROL_I("budget_left_nusd", now.limit - now.used - now.held)
		   : CONTROL_N("budget_left_nusd");
	put_time(&f[n++], "budget_reset_s", now.reset_s);
	return n;
}

/* What a row shows besides the key itself. */
struct key_extra {
	struct slice secret; /* of a new one */
	const bool *durable;
};

static enum errc send(struct verbs *v, const struct rows_scope *k, const struct rows_state *s,
		      const struct key_extra *x)
{
	int64_t now_s = clock_wall_s();
	struct rows_account a = {.name = SLICE_NONE};
	struct control_field f[ROW_FIELDS];
	struct buf mem, models, nets;
	size_t n = 0;
	enum errc e;

	buf_init(&mem, ROWS_MAX);
	buf_init(&models, 4 * ROWS_MODELS_MAX);
	buf_init(&nets, ROWS_NETS_MAX * (IPNET_TEXT_MAX + 2));
	e = admin_account_get(v->live, k->account, &mem, &a);
	if (!e)
		e = list_models(k, &models);
	if (!e)
		e = list_nets(k, &nets);
	f[n++] = CONTROL_S("id", slice_of(k->id, APIKEY_ID));
	f[n++] = CONTROL_S("account", a.name);
	f[n++] = CONTROL_S("name", k->name);
	f[n++] = CONTROL_S("status", slice_str(status_name(k, now_s)));
	if (x->secret.n)
		f[n++] = CONTROL_S("key", x->secret);
	n += fill_limits(f + n, k);
	f[n++] = CONTROL_S("models", buf_slice(&models));
	f[n++] = CONTROL_S("ip", buf_slice(&nets));
	f[n++] = CONTROL_B("clamp", k->flags & ROWS_KEY_CLAMP);
	f[n++] = CONTROL_S("client_gone", k->flags & ROWS_KEY_DRAIN   ? SLICE_LIT("drain")
					  : k->flags & ROWS_KEY_ABORT ? SLICE_LIT("abort")
								      : SLICE_LIT("node"));
	put_limit(&f[n++], "keepalive_ms", k->keepalive_ms);
	put_time(&f[n++], "expires_s", k->expires_s);
	f[n++] = CONTROL_I("created_s", k->created_s);
	n += fill_used(f + n, k, s, now_s);
	if (x->durable)
		f[n++] = CONTROL_B("durable", *x->durable);
	require(n <= ROW_FIELDS);
	if (!e)
		e = verbs_row(v, "key", f, n);
	buf_fini(&nets);
	buf_fini(&models);
	buf_fini(&mem);
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

/* The options that are given, into `k`. False: END is sent. */
static bool put_options(struct verbs *v, struct rows_scope *k, struct buf *mem)
{
	char why[VERB_ARGS_WHY];

	if (verb_args_key(v->args, k, mem, why))
		return true;
	verbs_end(v, CONTROL_USAGE, "invalid", "%s", why);
	return false;
}

static void create(struct verbs *v, struct buf *mem)
{
	struct rows_scope k = {.kind = ROWS_KEY,
			       .status = ROWS_ACTIVE,
			       .created_s = clock_wall_s(),
			       .keepalive_ms = ROWS_NO_LIMIT};
	struct admin_by by = verbs_by(v);
	struct apikey secret;
	bool durable = false;

	rows_limits_init(&k.limits);
	if (!verbs_account(v, verb_args_str(v->args, "account"), &k.account) ||
	    !put_options(v, &k, mem))
		return;
	if (k.status != ROWS_ACTIVE) {
		verbs_end(v, CONTROL_USAGE, "invalid", "suspended: a new key is active");
		return;
	}
	apikey_make(&secret);
	memcpy(k.id, secret.id, APIKEY_ID);
	apikey_hash(v->pepper, slice_str(secret.text), k.hash);
	v->failed = admin_key_create(v->admin, &by, &k, &durable);
	if (!v->failed)
		show(v, secret.id,
		     &(struct key_extra){.secret = slice_str(secret.text), .durable = &durable});
	verbs_end_write(v, durable, "key");
	apikey_fini(&secret);
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
	if (v->failed || !put_options(v, &k, mem))
		return;
	v->failed = admin_key_update(v->admin, &by, &k, &durable);
	if (v->failed == ERRC_STATE)
		verbs_end(v, CONTROL_REFUSED, "refused", "the key is revoked");
	if (!v->failed)
		show(v, id, &(struct key_extra){.durable = &durable});
	verbs_end_write(v, durable, "key");
}

static void revoke(struct verbs *v)
{
	struct admin_by by = verbs_by(v);
	char id[APIKEY_ID + 1];
	bool durable = false;

	if (!verbs_key(v, id))
		return;
	v->failed = admin_key_revoke(v->admin, &by, id, &durable);
	if (v->failed)
		return;
	if (verb_args_bool(v->args, "now"))
		memcpy(v->revoked, id, sizeof(v->revoked));
	show(v, id, &(struct key_extra){.durable = &durable});
}

void verb_key_write(struct verbs *v)
{
	struct buf mem;

	/* The row that is read and the patterns that are written behind it. */
	buf_init(&mem, ROWS_MAX + 2 * ROWS_MODELS_MAX);
	if (v->verb == CONTROL_DO_KEY_CREATE)
		create(v, &mem);
	else if (v->verb == CONTROL_DO_KEY_UPDATE)
		update(v, &mem);
	else
		revoke(v);
	buf_fini(&mem);
	verbs_end_errc(v, v->failed, "key");
}
