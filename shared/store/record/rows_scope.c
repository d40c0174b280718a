#include "rows_priv.h"

#include "zones.h"

/* The fixed parts, without padding; names and lists follow. */
struct scope_v1 {
	uint8_t version, kind, status, flags, name_n, nets_n, rules_n, reserved;
	uint16_t models_n, reserved2;
	uint16_t keepalive; /* seconds + 1; 0: not set */
	uint16_t pepper;
	uint64_t account;
	char id[ROWS_ID], team[ROWS_ID];
	uint8_t hash[DIGEST_SHA256];
	int64_t created_s, expires_s, old_until_s;
	uint32_t last_rule, reserved3;
};
_Static_assert(ROWS_ID == 12 && DIGEST_SHA256 == 32, "layout of stored rows");
_Static_assert(sizeof(struct scope_v1) == 112, "layout of stored rows");

struct rule_v1 {
	uint32_t id;
	uint16_t models_n;
	uint8_t kind, shadow, window_unit, window_rolling, zone_n, reserved[5];
	int64_t limit, raise, raise_until_s;
};
_Static_assert(sizeof(struct rule_v1) == 40, "layout of stored rows");

#define NET_BYTES 17 /* address, bits */

static uint16_t put_keepalive(const struct rows_scope *s)
{
	return (uint16_t)(s->keepalive_ms < 0 ? 0 : s->keepalive_ms / 1000 + 1);
}

static void put_window(struct rule_v1 *v, const struct window_spec *w)
{
	v->window_unit = (uint8_t)w->unit;
	v->window_rolling = w->rolling;
}

static bool get_window(const struct rule_v1 *v, struct window_spec *w)
{
	*w = (struct window_spec){.unit = (enum window_unit)v->window_unit,
				  .rolling = v->window_rolling == 1};
	return v->window_unit < WINDOW_COUNT && v->window_rolling <= 1;
}

static enum errc put_rule(struct buf *out, const struct rows_rule *r)
{
	struct rule_v1 v = {.id = r->id,
			    .models_n = (uint16_t)r->models.n,
			    .kind = (uint8_t)r->kind,
			    .shadow = r->shadow,
			    .zone_n = (uint8_t)r->zone.n,
			    .limit = r->limit,
			    .raise = r->raise,
			    .raise_until_s = r->raise_until_s};
	enum errc rc;

	if (r->models.n > ROWS_MODELS_MAX || r->zone.n > ZONES_NAME_MAX)
		return ERRC_LIMIT;
	put_window(&v, &r->window);
	rc = buf_add(out, &v, sizeof v);
	if (!rc)
		rc = buf_adds(out, r->zone);
	return rc ? rc : buf_adds(out, r->models);
}

static enum errc put_net(struct buf *out, const struct ipnet *n)
{
	uint8_t net[NET_BYTES];

	memcpy(net, n->addr, 16);
	net[16] = n->bits;
	return buf_add(out, net, sizeof net);
}

static bool is_too_large(const struct rows_scope *s)
{
	size_t name_max = s->kind == ROWS_USER ? ROWS_TAG_MAX : ROWS_NAME_MAX;

	return s->name.n > name_max || s->models.n > ROWS_MODELS_MAX || s->nets_n > ROWS_NETS_MAX ||
	       s->limits.n > ROWS_RULES_MAX || s->keepalive_ms > LIMIT_KEEPALIVE_MS;
}

static enum errc put_old(struct buf *out, const struct rows_scope *s)
{
	enum errc rc = buf_add(out, s->old_hash, sizeof s->old_hash);

	return rc ? rc : buf_add(out, &s->old_pepper, sizeof s->old_pepper);
}

enum errc rows_put_scope(struct buf *out, const struct rows_scope *s)
{
	struct scope_v1 v = {.version = ROWS_VERSION,
			     .kind = (uint8_t)s->kind,
			     .status = (uint8_t)s->status,
			     .flags = s->flags,
			     .name_n = (uint8_t)s->name.n,
			     .nets_n = (uint8_t)s->nets_n,
			     .rules_n = (uint8_t)s->limits.n,
			     .models_n = (uint16_t)s->models.n,
			     .last_rule = s->limits.last_id,
			     .keepalive = put_keepalive(s),
			     .pepper = s->pepper,
			     .account = s->account,
			     .created_s = s->created_s,
			     .expires_s = s->expires_s,
			     .old_until_s = s->old_until_s};
	enum errc rc;

	if (is_too_large(s))
		return ERRC_LIMIT;
	memcpy(v.id, s->id, sizeof v.id);
	memcpy(v.team, s->team, sizeof v.team);
	memcpy(v.hash, s->hash, sizeof v.hash);
	rc = buf_add(out, &v, sizeof v);
	/* Most keys have no old secret. */
	if (!rc && s->old_until_s)
		rc = put_old(out, s);
	if (!rc)
		rc = buf_adds(out, s->name);
	if (!rc)
		rc = buf_adds(out, s->models);
	for (size_t i = 0; !rc && i < s->nets_n; i++)
		rc = put_net(out, &s->nets[i]);
	for (size_t i = 0; !rc && i < s->limits.n; i++)
		rc = put_rule(out, &s->limits.v[i]);
	return rc;
}

static bool take_net(struct rows_reader *r, struct ipnet *out)
{
	uint8_t net[NET_BYTES];

	if (!rows_take(r, net, sizeof net) || net[16] > 128)
		return false;
	memcpy(out->addr, net, 16);
	out->bits = net[16];
	return true;
}

static bool take_rule(struct rows_reader *r, struct rows_rule *out)
{
	static const uint8_t none[sizeof((struct rule_v1 *)0)->reserved];
	struct rule_v1 v;

	if (!rows_take(r, &v, sizeof v) || v.shadow > 1 ||
	    memcmp(v.reserved, none, sizeof none) != 0 || v.models_n > ROWS_MODELS_MAX ||
	    v.zone_n > ZONES_NAME_MAX || !get_window(&v, &out->window) ||
	    !rows_take_slice(r, &out->zone, v.zone_n))
		return false;
	if (out->zone.n)
		out->window.zone = zones_get(out->zone);
	out->id = v.id;
	out->kind = (enum rows_limit)v.kind;
	out->shadow = v.shadow == 1;
	out->limit = v.limit;
	out->raise = v.raise;
	out->raise_until_s = v.raise_until_s;
	return rows_take_slice(r, &out->models, v.models_n);
}

/* What stands in the fixed part; false: it cannot be. */
static bool take_fixed(const struct scope_v1 *v, struct rows_scope *s)
{
	if (v->kind < ROWS_ACCOUNT || v->kind > ROWS_USER || v->kind == ROWS_RULES ||
	    v->status >= ROWS_STATUS_COUNT || v->models_n > ROWS_MODELS_MAX ||
	    v->name_n > (v->kind == ROWS_USER ? ROWS_TAG_MAX : ROWS_NAME_MAX) ||
	    v->nets_n > ROWS_NETS_MAX || v->rules_n > ROWS_RULES_MAX ||
	    v->keepalive > LIMIT_KEEPALIVE_MS / 1000 + 1 || v->reserved != 0 || v->reserved2 != 0 ||
	    v->reserved3 != 0)
		return false;
	s->kind = (enum rows_kind)v->kind;
	s->account = v->account;
	memcpy(s->id, v->id, sizeof s->id);
	memcpy(s->team, v->team, sizeof s->team);
	memcpy(s->hash, v->hash, sizeof s->hash);
	s->status = (enum rows_status)v->status;
	s->flags = v->flags;
	s->created_s = v->created_s;
	s->expires_s = v->expires_s;
	s->old_until_s = v->old_until_s;
	s->pepper = v->pepper;
	s->old_pepper = 0;
	memset(s->old_hash, 0, sizeof s->old_hash);
	s->keepalive_ms = v->keepalive ? (v->keepalive - 1) * INT64_C(1000) : ROWS_NO_LIMIT;
	s->nets_n = v->nets_n;
	s->limits.n = v->rules_n;
	s->limits.last_id = v->last_rule;
	return true;
}

enum errc rows_get_scope(struct slice bytes, struct rows_scope *s)
{
	struct scope_v1 v;
	struct rows_reader r;
	enum errc rc = rows_take_head(&r, bytes, &v, sizeof v);

	if (rc)
		return rc;
	if (!take_fixed(&v, s) ||
	    (v.old_until_s && (!rows_take(&r, s->old_hash, sizeof s->old_hash) ||
			       !rows_take(&r, &s->old_pepper, sizeof s->old_pepper))) ||
	    !rows_take_slice(&r, &s->name, v.name_n) || !rows_take_slice(&r, &s->models, v.models_n))
		return ERRC_CORRUPT;
	for (size_t i = 0; i < s->nets_n; i++) {
		if (!take_net(&r, &s->nets[i]))
			return ERRC_CORRUPT;
	}
	for (size_t i = 0; i < s->limits.n; i++) {
		if (!take_rule(&r, &s->limits.v[i]))
			return ERRC_CORRUPT;
	}
	return r.left == 0 && rows_limits_are_valid(&s->limits) ? ERRC_OK : ERRC_CORRUPT;
}
