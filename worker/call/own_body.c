#include "own_body.h"

#include <stdio.h>

#include "clock.h"
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

static void put_limits(struct json_out *o, const struct auth_usage *u)
{
	json_out_key(o, "limits");
	json_out_arr(o);
	for (unsigned i = 0; i < ROWS_LIMIT_COUNT; i++) {
		if (u->limits.rate[i] == ROWS_NO_LIMIT)
			continue;
		json_out_obj(o);
		json_out_kstrz(o, "name", rows_limit_name((enum rows_limit)i));
		json_out_ki64(o, "limit", u->limits.rate[i]);
		json_out_ki64(o, "remaining", MAX_OF(u->limits.rate[i] - u->used[i], 0));
		json_out_obj_end(o);
	}
	if (u->limits.concurrency != ROWS_NO_LIMIT) {
		json_out_obj(o);
		json_out_kstrz(o, "name", "concurrency");
		json_out_ki64(o, "limit", u->limits.concurrency);
		json_out_ki64(o, "remaining", MAX_OF(u->limits.concurrency - (int64_t)u->holds, 0));
		json_out_obj_end(o);
	}
	json_out_arr_end(o);
}

static void put_key(struct json_out *o, const struct auth_key *key, const struct auth_usage *u)
{
	bool budget = u->limits.budget_nusd != ROWS_NO_LIMIT;
	char label[APIKEY_ID + 16];

	snprintf(label, sizeof(label), "sk-aigw-%s-...", key->id);
	json_out_kstrz(o, "label", label);
	json_out_kstrz(o, "name", key->name);
	json_out_kstrz(o, "account", key->account_name);
	if (budget) {
		put_dollars(o, "limit", u->limits.budget_nusd);
		put_dollars(o, "limit_remaining", MAX_OF(u->budget_left_nusd, 0));
		json_out_kstrz(o, "limit_reset", window_unit_name(u->limits.budget.unit));
		put_time(o, "limit_resets_at", u->budget_reset_s);
		put_dollars(o, "limit_usage", u->budget_used_nusd);
	} else {
		json_out_knull(o, "limit");
		json_out_knull(o, "limit_remaining");
		json_out_knull(o, "limit_reset");
	}
	put_dollars(o, "usage", u->charged_nusd);
	json_out_ki64(o, "requests", (int64_t)u->requests);
	json_out_ki64(o, "tokens", (int64_t)u->tokens);
	json_out_kbool(o, "is_free_tier", false);
	json_out_kbool(o, "is_management_key", false);
	put_time(o, "created_at", key->created_s);
	put_time(o, "expires_at", key->expires_s);
	put_limits(o, u);
}

static void put_credits(struct json_out *o, const struct auth_usage *u)
{
	put_dollars(o, "total_credits", u->granted_nusd);
	put_dollars(o, "total_usage", u->settled_nusd);
	put_dollars(o, "balance", u->balance_nusd);
	put_dollars(o, "held", u->held_nusd);
	put_dollars(o, "overdraft", u->overdraft_nusd);
	json_out_kbool(o, "postpaid", u->mode == ROWS_POSTPAID);
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

enum errc own_body_key(const struct auth_key *key, const struct auth_usage *u, struct buf *out)
{
	struct json_out o;

	begin(&o, out);
	put_key(&o, key, u);
	return end(&o);
}

enum errc own_body_credits(const struct auth_usage *u, struct buf *out)
{
	struct json_out o;

	begin(&o, out);
	put_credits(&o, u);
	return end(&o);
}
