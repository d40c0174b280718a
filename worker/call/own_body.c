#include "own_body.h"

#include <stdio.h>

#include "clock.h"
#include "credit.h"
#include "json_out.h"

static void put_dollars(struct json_out *o, const char *key, int64_t nusd)
{
	json_out_key(o, key);
	json_out_decimal(o, nusd, 9, 1);
}

static void put_time(struct json_out *o, const char *key, int64_t wall_s)
{
	char text[CLOCK_TEXT_MAX];

	if (wall_s > 0 && wall_s != WINDOW_NEVER)
		json_out_kstr(o, key, slice_of(text, clock_format_s(wall_s, text)));
	else
		json_out_knull(o, key);
}

/* A number in the unit of the rule. */
static void put_amount(struct json_out *o, const char *key, bool money, int64_t v)
{
	if (money)
		put_dollars(o, key, v);
	else
		json_out_ki64(o, key, v);
}

static void put_rule(struct json_out *o, const struct auth_rule *r)
{
	bool money = r->kind == ROWS_BUDGET;

	json_out_obj(o);
	json_out_kstrz(o, "scope", rows_scope_word(r->scope));
	json_out_kstrz(o, "name", r->kind == ROWS_CONCURRENCY ? rows_limit_word(r->kind) : r->text);
	json_out_kstrz(o, "unit",
		       money                           ? "usd"
		       : rows_limit_is_tokens(r->kind) ? "tokens"
						       : "requests");
	if (r->models[0])
		json_out_kstrz(o, "models", r->models);
	put_amount(o, "limit", money, r->now.limit);
	if (r->credit)
		put_dollars(o, "overdraft", r->now.raise);
	put_amount(o, "used", money, r->now.used);
	if (money)
		put_dollars(o, "held", r->now.held);
	put_amount(o, "remaining", money, r->now.remaining);
	if (money)
		put_time(o, "resets_at", r->now.reset_s);
	json_out_obj_end(o);
}

/* Every rule that may refuse a request of this key. Those that are only counted are the operator's affair. */
static void put_limits(struct json_out *o, const struct auth_usage *u)
{
	json_out_key(o, "limits");
	json_out_arr(o);
	for (size_t i = 0; i < u->rules_n; i++)
		if (!u->rules[i].shadow)
			put_rule(o, &u->rules[i]);
	json_out_arr_end(o);
}

static void put_spent(struct json_out *o, const struct own_usage_spent *s)
{
	static const char *const names[] = {"usage_daily", "usage_weekly", "usage_monthly"};
	const int64_t nusd[] = {s ? s->day_nusd : 0, s ? s->week_nusd : 0, s ? s->month_nusd : 0};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (s)
			put_dollars(o, names[i], nusd[i]);
		else
			json_out_knull(o, names[i]);
	}
}

/* The words that OpenRouter's clients know, and others of their kind; NULL: it never begins anew. */
static const char *reset_word(enum window_unit u)
{
	static const char *const words[WINDOW_COUNT] = {
		[WINDOW_MINUTE] = "minutely", [WINDOW_HOUR] = "hourly",
		[WINDOW_DAY] = "daily",       [WINDOW_WEEK] = "weekly",
		[WINDOW_MONTH] = "monthly",   [WINDOW_QUARTER] = "quarterly",
		[WINDOW_YEAR] = "yearly"};

	return words[u];
}

/* What only OpenRouter has, but its official client insists on. */
static void put_foreign(struct json_out *o)
{
	static const char *const zeros[] = {"byok_usage", "byok_usage_daily", "byok_usage_weekly",
					    "byok_usage_monthly"};
	static const char *const counts[] = {"limit", "used", "remaining"};
	static const char *const absent[] = {"creator_user_id", "organization_id", "workspace_id"};

	for (size_t i = 0; i < ARRAY_LEN(zeros); i++)
		put_dollars(o, zeros[i], 0);
	json_out_kbool(o, "include_byok_in_limit", false);
	json_out_kbool(o, "is_provisioning_key", false);
	for (size_t i = 0; i < ARRAY_LEN(absent); i++)
		json_out_knull(o, absent[i]);
	json_out_key(o, "allowed_data_regions");
	json_out_arr(o);
	json_out_arr_end(o);
	json_out_key(o, "free_model_daily_requests");
	json_out_obj(o);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		json_out_ki64(o, counts[i], 0);
	json_out_obj_end(o);
	json_out_key(o, "rate_limit");
	json_out_obj(o);
	json_out_ki64(o, "requests", -1);
	json_out_kstrz(o, "interval", "10s");
	json_out_kstrz(o, "note", "see `limits`");
	json_out_obj_end(o);
}

static void put_key(struct json_out *o, const struct auth_key *key, const struct auth_usage *u,
		    const struct own_usage_spent *spent)
{
	const struct auth_rule *budget = auth_usage_find(u, ROWS_KEY, ROWS_BUDGET);
	char label[APIKEY_ID + 16];

	snprintf(label, sizeof(label), "sk-aigw-%s-...", key->id);
	json_out_kstrz(o, "label", label);
	json_out_kstrz(o, "name", key->name);
	json_out_kstrz(o, "account", key->account_name);
	json_out_kstrz(o, "team", key->team_name[0] ? key->team_name : NULL);
	if (budget) {
		put_dollars(o, "limit", budget->now.limit);
		put_dollars(o, "limit_remaining", budget->now.remaining);
		json_out_kstrz(o, "limit_reset", reset_word(budget->window.unit));
		put_time(o, "limit_resets_at", budget->now.reset_s);
		put_dollars(o, "limit_usage", budget->now.used);
	} else {
		json_out_knull(o, "limit");
		json_out_knull(o, "limit_remaining");
		json_out_knull(o, "limit_reset");
	}
	put_dollars(o, "usage", u->charged_nusd);
	put_spent(o, spent);
	json_out_ki64(o, "requests", (int64_t)u->requests);
	json_out_ki64(o, "tokens", (int64_t)u->tokens);
	json_out_kbool(o, "is_free_tier", false);
	json_out_kbool(o, "is_management_key", false);
	put_time(o, "created_at", key->created_s);
	put_time(o, "expires_at", key->expires_s);
	put_foreign(o);
	put_limits(o, u);
}

static void put_credits(struct json_out *o, const struct auth_usage *u)
{
	int64_t left = own_body_left_nusd(u);

	put_dollars(o, "total_credits", u->granted_nusd);
	put_dollars(o, "total_usage", u->settled_nusd);
	put_dollars(o, "balance", u->balance_nusd);
	put_dollars(o, "held", u->held_nusd);
	put_dollars(o, "overdraft", u->overdraft_nusd);
	json_out_kbool(o, "postpaid", u->mode == ROWS_POSTPAID);
	if (left == OWN_BODY_NO_END)
		json_out_knull(o, "available");
	else
		put_dollars(o, "available", left);
	put_limits(o, u);
}

int64_t own_body_left_nusd(const struct auth_usage *u)
{
	const struct rows_account a = {.mode = u->mode,
				       .flags = u->in_shadow ? ROWS_ACCOUNT_SHADOW : 0,
				       .granted_nusd = u->granted_nusd,
				       .held_nusd = u->held_nusd,
				       .settled_nusd = u->settled_nusd,
				       .overdraft_nusd = u->overdraft_nusd};
	int64_t left = OWN_BODY_NO_END;

	if (credit_is_limited(&a))
		left = MAX_OF(credit_available(&a), INT64_C(0));
	for (size_t i = 0; i < u->rules_n; i++) {
		const struct auth_rule *r = &u->rules[i];

		if (r->kind == ROWS_BUDGET && !r->shadow && !r->models[0])
			left = MIN_OF(left, r->now.remaining);
	}
	return left;
}

/* {"data":{ … */
static void begin(struct json_out *o, struct buf *out)
{
	json_out_init(o, out);
	json_out_obj(o);
	json_out_key(o, "data");
	json_out_obj(o);
}

static enum errc end(struct json_out *o)
{
	json_out_obj_end(o);
	json_out_obj_end(o);
	return json_out_end(o);
}

enum errc own_body_key(const struct auth_key *key, const struct auth_usage *u,
		       const struct own_usage_spent *spent, struct buf *out)
{
	struct json_out o;

	begin(&o, out);
	put_key(&o, key, u, spent);
	return end(&o);
}

enum errc own_body_credits(const struct auth_usage *u, struct buf *out)
{
	struct json_out o;

	begin(&o, out);
	put_credits(&o, u);
	return end(&o);
}
