#include "rows_priv.h"

#include "zones.h"

/* The fixed parts, without padding; names and lists follow. Definitions are read with each request, those of many accounts from anywhere in
 * memory: what most scopes and rules do not have takes no room in them. */
struct scope_v1 {
	uint8_t version, kind, status, flags, name_n, nets_n, rules_n, reserved;
	uint16_t models_n;
	uint16_t keepalive; /* seconds + 1; 0: not set */
	uint32_t last_rule;
	uint64_t account;
	int64_t created_s, expires_s;
	char id[ROWS_ID];
	uint32_t reserved2;
};
_Static_assert(sizeof(struct scope_v1) == 56, "layout of stored rows");

/* Of keys. */
struct key_v1 {
	int64_t old_until_s;
	char team[ROWS_ID];
	uint16_t pepper, reserved;
	uint8_t hash[DIGEST_SHA256];
};
_Static_assert(ROWS_ID == 12 && DIGEST_SHA256 == 32, "layout of stored rows");
_Static_assert(sizeof(struct key_v1) == 56, "layout of stored rows");

/* Then what `flags` says is there: struct raise_v1, a zone with its length, struct carry_v1. */
struct rule_v1 {
	int64_t limit;
	uint32_t id;
	uint16_t models_n;
	uint8_t kind;  /* and RULE_BY_WINDOW */
	uint8_t flags; /* and in those of RULE_UNITS the unit of the window */
};
_Static_assert(sizeof(struct rule_v1) == 16, "layout of stored rows");

enum {
	RULE_SHADOW = 1 << 0,
	RULE_ROLLING = 1 << 1, /* of a total, which cannot roll: it is credit */
	RULE_RAISED = 1 << 2,
	RULE_ZONED = 1 << 3,
	RULE_CARRIES = 1 << 7
};
#define RULE_BY_WINDOW 0x80 /* beside the kind: there is no flag left */
#define RULE_UNIT      4
#define RULE_UNITS     7

_Static_assert(WINDOW_COUNT <= RULE_UNITS + 1, "units of windows");
_Static_assert(ROWS_LIMIT_END <= RULE_BY_WINDOW, "kinds of limits");

struct raise_v1 {
	int64_t amount, until_s;
};

/* Of a window that was changed. */
struct carry_v1 {
	int64_t from_s, until_s;
};

#define NET_BYTES 17 /* address, bits */

/* Everything at once, each as long as it may be. */
#define RULE_BYTES                                                               \
	(sizeof(struct rule_v1) + sizeof(struct raise_v1) + 1 + ZONES_NAME_MAX + \
	 sizeof(struct carry_v1))
_Static_assert(sizeof(struct scope_v1) + sizeof(struct key_v1) + DIGEST_SHA256 + sizeof(uint16_t) +
			       ROWS_TAG_MAX + ROWS_MODELS_MAX + ROWS_NETS_MAX * NET_BYTES +
			       ROWS_RULES_MAX * RULE_BYTES + ROWS_PATTERNS_MAX <=
		       ROWS_MAX,
	       "a row has room for all rules");
_Static_assert(ROWS_RULES_MAX <= UINT8_MAX, "how many rules there are is told in a byte");

static uint16_t put_keepalive(const struct rows_scope *s)
{
	return (uint16_t)(s->keepalive_ms < 0 ? 0 : s->keepalive_ms / 1000 + 1);
}

static bool is_raised(const struct rows_rule *r)
{
	return r->raise != 0 || r->raise_until_s != 0;
}

static uint8_t rule_flags(const struct rows_rule *r)
{
	return (uint8_t)((r->shadow ? RULE_SHADOW : 0) |
			 (r->window.rolling || r->credit ? RULE_ROLLING : 0) |
			 (is_raised(r) ? RULE_RAISED : 0) | (r->zone.n ? RULE_ZONED : 0) |
			 (r->window.carry_until_s ? RULE_CARRIES : 0) |
			 (unsigned)r->window.unit << RULE_UNIT);
}

static enum errc put_zone(struct buf *out, struct slice zone)
{
	uint8_t n = (uint8_t)zone.n;
	enum errc rc = buf_add(out, &n, sizeof n);

	return rc ? rc : buf_adds(out, zone);
}

static enum errc put_rule(struct buf *out, const struct rows_rule *r)
{
	struct rule_v1 v = {.limit = r->limit,
			    .id = r->id,
			    .models_n = (uint16_t)r->models.n,
			    .kind = (uint8_t)(r->kind | (r->raise_by_window ? RULE_BY_WINDOW : 0)),
			    .flags = rule_flags(r)};
	struct raise_v1 raise = {r->raise, r->raise_until_s};
	struct carry_v1 carry = {r->window.carry_from_s, r->window.carry_until_s};
	enum errc rc;

	if (r->models.n > ROWS_MODELS_MAX || r->zone.n > ZONES_NAME_MAX)
		return ERRC_LIMIT;
	rc = buf_add(out, &v, sizeof v);
	if (!rc && is_raised(r))
		rc = buf_add(out, &raise, sizeof raise);
	if (!rc && r->zone.n)
		rc = put_zone(out, r->zone);
	if (!rc && carry.until_s)
		rc = buf_add(out, &carry, sizeof carry);
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
	       s->limits.n > ROWS_RULES_MAX ||
	       rows_limits_patterns(&s->limits) > ROWS_PATTERNS_MAX ||
	       s->keepalive_ms > LIMIT_KEEPALIVE_MS;
}

/* Most keys have no old secret. */
static enum errc put_key(struct buf *out, const struct rows_scope *s)
{
	struct key_v1 v = {.old_until_s = s->old_until_s, .pepper = s->pepper};
	enum errc rc;

	memcpy(v.team, s->team, sizeof v.team);
	memcpy(v.hash, s->hash, sizeof v.hash);
	rc = buf_add(out, &v, sizeof v);
	if (rc || s->old_until_s == 0)
		return rc;
	rc = buf_add(out, s->old_hash, sizeof s->old_hash);
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
			     .account = s->account,
			     .created_s = s->created_s,
			     .expires_s = s->expires_s};
	enum errc rc;

	if (is_too_large(s))
		return ERRC_LIMIT;
	memcpy(v.id, s->id, sizeof v.id);
	rc = buf_add(out, &v, sizeof v);
	if (!rc && s->kind == ROWS_KEY)
		rc = put_key(out, s);
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

/* What only some rules have. */
static bool take_more(struct rows_reader *r, unsigned flags, struct rows_rule *out)
{
	struct raise_v1 raise;
	struct carry_v1 carry;
	uint8_t zone_n;

	if (flags & RULE_RAISED) {
		if (!rows_take(r, &raise, sizeof raise) || (raise.amount == 0 && raise.until_s == 0))
			return false;
		out->raise = raise.amount;
		out->raise_until_s = raise.until_s;
	}
	if (flags & RULE_ZONED) {
		if (!rows_take(r, &zone_n, sizeof zone_n) || zone_n == 0 ||
		    zone_n > ZONES_NAME_MAX || !rows_take_slice(r, &out->zone, zone_n))
			return false;
		out->window.zone = zones_get(out->zone);
	}
	if (flags & RULE_CARRIES) {
		if (!rows_take(r, &carry, sizeof carry) || carry.until_s == 0)
			return false;
		out->window.carry_from_s = carry.from_s;
		out->window.carry_until_s = carry.until_s;
	}
	return true;
}

static bool take_rule(struct rows_reader *r, struct rows_rule *out)
{
	struct rule_v1 v;

	if (!rows_take(r, &v, sizeof v) || v.models_n > ROWS_MODELS_MAX ||
	    (v.flags >> RULE_UNIT & RULE_UNITS) >= WINDOW_COUNT)
		return false;
	out->id = v.id;
	out->kind = (enum rows_limit)(v.kind & ~RULE_BY_WINDOW);
	out->raise_by_window = v.kind & RULE_BY_WINDOW;
	out->shadow = v.flags & RULE_SHADOW;
	out->limit = v.limit;
	out->window =
		(struct window_spec){.unit = (enum window_unit)(v.flags >> RULE_UNIT & RULE_UNITS)};
	out->credit = (v.flags & RULE_ROLLING) && out->window.unit == WINDOW_TOTAL;
	out->window.rolling = (v.flags & RULE_ROLLING) && !out->credit;
	out->zone = slice_of(r->p, 0);
	out->raise = out->raise_until_s = 0;
	if (v.flags & (RULE_RAISED | RULE_ZONED | RULE_CARRIES) && !take_more(r, v.flags, out))
		return false;
	return rows_take_slice(r, &out->models, v.models_n);
}

static bool take_key(struct rows_reader *r, struct rows_scope *s)
{
	struct key_v1 v;

	if (!rows_take(r, &v, sizeof v) || v.reserved != 0)
		return false;
	memcpy(s->team, v.team, sizeof s->team);
	memcpy(s->hash, v.hash, sizeof s->hash);
	s->old_until_s = v.old_until_s;
	s->pepper = v.pepper;
	return v.old_until_s == 0 || (rows_take(r, s->old_hash, sizeof s->old_hash) &&
				      rows_take(r, &s->old_pepper, sizeof s->old_pepper));
}

/* What stands in the fixed part; false: it cannot be. */
static bool take_fixed(const struct scope_v1 *v, struct rows_scope *s)
{
	if (v->kind < ROWS_ACCOUNT || v->kind > ROWS_USER || v->kind == ROWS_RULES ||
	    v->status >= ROWS_STATUS_COUNT || v->models_n > ROWS_MODELS_MAX ||
	    v->name_n > (v->kind == ROWS_USER ? ROWS_TAG_MAX : ROWS_NAME_MAX) ||
	    v->nets_n > ROWS_NETS_MAX || v->rules_n > ROWS_RULES_MAX ||
	    v->keepalive > LIMIT_KEEPALIVE_MS / 1000 + 1 || v->reserved != 0 || v->reserved2 != 0)
		return false;
	s->kind = (enum rows_kind)v->kind;
	s->account = v->account;
	memcpy(s->id, v->id, sizeof s->id);
	memset(s->team, 0, sizeof s->team);
	memset(s->hash, 0, sizeof s->hash);
	s->status = (enum rows_status)v->status;
	s->flags = v->flags;
	s->created_s = v->created_s;
	s->expires_s = v->expires_s;
	s->old_until_s = 0;
	s->pepper = s->old_pepper = 0;
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
	if (!take_fixed(&v, s) || (v.kind == ROWS_KEY && !take_key(&r, s)) ||
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
