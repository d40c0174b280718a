#include "rows_priv.h"

#include "be.h"
#include "credit.h"

/* The fixed part, without padding; names follow. */
struct account_v1 {
	uint8_t version, mode, status, name_n, group_n, flags;
	uint16_t reserved;
	uint32_t holds, user_rules;
	uint64_t id;
	int64_t granted, balance, held, settled, uncollected, overdraft, created_s;
};
_Static_assert(sizeof(struct account_v1) == 80, "layout of stored rows");

static struct rows_key_name name_start(uint64_t account, enum rows_kind kind)
{
	struct rows_key_name k = {.n = 9};

	be_put(k.b, 8, account);
	k.b[8] = (uint8_t)kind;
	return k;
}

static void name_add(struct rows_key_name *k, struct slice s)
{
	require(s.n <= sizeof k->b - k->n);
	if (s.n)
		memcpy(k->b + k->n, s.p, s.n);
	k->n += s.n;
}

struct rows_key_name rows_name(uint64_t account, enum rows_kind kind, struct slice id)
{
	struct rows_key_name k = name_start(account, kind);

	name_add(&k, id);
	return k;
}

struct rows_key_name rows_name_scope(uint64_t account, enum rows_kind scope, const char id[ROWS_ID])
{
	return rows_name(account, scope == ROWS_ACCOUNT ? ROWS_RULES : scope, slice_of(id, ROWS_ID));
}

struct rows_key_name rows_name_state(uint64_t account, enum rows_kind scope, const char id[ROWS_ID])
{
	struct rows_key_name k = name_start(account, ROWS_STATE);

	k.b[k.n++] = (uint8_t)scope;
	name_add(&k, slice_of(id, ROWS_ID));
	return k;
}

struct rows_key_name rows_name_outbox(uint64_t n)
{
	struct rows_key_name k = name_start(ROWS_ACCOUNT_TAIL, ROWS_OUTBOX);

	be_put(k.b + k.n, 8, n);
	k.n += 8;
	return k;
}

bool rows_name_is_scope(const struct rows_key_name *name)
{
	return name->n > 8 && name->b[8] >= ROWS_RULES && name->b[8] <= ROWS_USER;
}

bool rows_name_parse(struct slice bytes, uint64_t *account, enum rows_kind *kind, struct slice *id)
{
	if (bytes.n < 9 || bytes.n > sizeof((struct rows_key_name *)0)->b)
		return false;
	if ((uint8_t)bytes.p[8] < ROWS_HEAD || (uint8_t)bytes.p[8] > ROWS_OUTBOX)
		return false;
	*account = be_get(bytes.p, 8);
	*kind = (enum rows_kind)(uint8_t)bytes.p[8];
	*id = slice_sub(bytes, 9, bytes.n - 9);
	return true;
}

void rows_user_id(struct slice tag, char id[ROWS_ID])
{
	uint8_t hash[DIGEST_SHA256];

	digest_sha256(tag, hash);
	memcpy(id, hash, ROWS_ID);
}

enum errc rows_put_account(struct buf *out, const struct rows_account *a)
{
	struct account_v1 v = {.version = ROWS_VERSION,
			       .mode = (uint8_t)a->mode,
			       .status = (uint8_t)a->status,
			       .name_n = (uint8_t)a->name.n,
			       .group_n = (uint8_t)a->group.n,
			       .flags = a->flags,
			       .holds = a->holds,
			       .user_rules = a->user_rules,
			       .id = a->id,
			       .granted = a->granted_nusd,
			       .balance = a->balance_nusd,
			       .held = a->held_nusd,
			       .settled = a->settled_nusd,
			       .uncollected = a->uncollected_nusd,
			       .overdraft = a->overdraft_nusd,
			       .created_s = a->created_s};
	enum errc rc;

	if (a->name.n > ROWS_NAME_MAX || a->group.n > ROWS_NAME_MAX)
		return ERRC_LIMIT;
	rc = buf_add(out, &v, sizeof v);
	if (!rc)
		rc = buf_adds(out, a->name);
	return rc ? rc : buf_adds(out, a->group);
}

static bool is_money(int64_t nusd, int64_t min)
{
	return nusd >= min && nusd <= MONEY_NUSD_MAX;
}

/* Within these bounds two of them can be added. */
static bool account_in_range(const struct account_v1 *v)
{
	return is_money(v->granted, -MONEY_NUSD_MAX) && is_money(v->balance, -MONEY_NUSD_MAX) &&
	       is_money(v->held, 0) && is_money(v->settled, 0) && is_money(v->uncollected, 0) &&
	       is_money(v->overdraft, 0);
}

enum errc rows_get_account(struct slice bytes, struct rows_account *a)
{
	struct account_v1 v;
	struct rows_reader r;
	enum errc rc = rows_take_head(&r, bytes, &v, sizeof v);

	if (rc)
		return rc;
	*a = (struct rows_account){.id = v.id,
				   .mode = (enum rows_mode)v.mode,
				   .status = (enum rows_status)v.status,
				   .flags = v.flags,
				   .holds = v.holds,
				   .user_rules = v.user_rules,
				   .granted_nusd = v.granted,
				   .balance_nusd = v.balance,
				   .held_nusd = v.held,
				   .settled_nusd = v.settled,
				   .uncollected_nusd = v.uncollected,
				   .overdraft_nusd = v.overdraft,
				   .created_s = v.created_s};
	if (v.mode >= ROWS_MODE_COUNT || v.status >= ROWS_STATUS_COUNT ||
	    v.name_n > ROWS_NAME_MAX || v.group_n > ROWS_NAME_MAX || v.reserved != 0 ||
	    v.user_rules > ROWS_RULE_ID_MAX || !account_in_range(&v))
		return ERRC_CORRUPT;
	return rows_take_slice(&r, &a->name, v.name_n) &&
			       rows_take_slice(&r, &a->group, v.group_n) && r.left == 0
		       ? ERRC_OK
		       : ERRC_CORRUPT;
}

const char *rows_scope_word(enum rows_kind kind)
{
	switch (kind) {
	case ROWS_ACCOUNT:
		return "account";
	case ROWS_TEAM:
		return "team";
	case ROWS_KEY:
		return "key";
	case ROWS_USER:
		return "user";
	default:
		return "";
	}
}

void rows_account_note(struct rows_account *a, const struct rows_scope *def)
{
	if (def->kind == ROWS_ACCOUNT) {
		a->flags = (uint8_t)((a->flags & ~ROWS_ACCOUNT_SHADOW) | ROWS_ACCOUNT_RULES |
				     (def->flags & ROWS_SHADOW ? ROWS_ACCOUNT_SHADOW : 0));
	} else if (def->kind == ROWS_USER) {
		a->flags |= ROWS_ACCOUNT_USERS;
		a->user_rules = MAX_OF(a->user_rules, def->limits.last_id);
	}
}

bool rows_account_is_sound(const struct rows_account *a)
{
	money_wide sum = (money_wide)a->balance_nusd + a->held_nusd + a->settled_nusd;

	if (sum != a->granted_nusd || a->held_nusd < 0 || a->settled_nusd < 0 ||
	    a->uncollected_nusd < 0)
		return false;
	if (a->holds == 0 && a->held_nusd != 0)
		return false;
	return !credit_has_floor(a) || a->balance_nusd >= -a->overdraft_nusd;
}

bool rows_models_allow(struct slice patterns, struct slice model)
{
	bool allowed = true, listed = false;
	struct slice line;

	for (bool more = patterns.n > 0; more;) {
		more = slice_cut(&patterns, '\n', &line);
		if (line.n == 0)
			continue;
		if (line.p[0] == '!') {
			if (slice_glob(slice_sub(line, 1, line.n - 1), model))
				return false;
			continue;
		}
		if (!listed)
			allowed = false;
		listed = true;
		allowed = allowed || slice_glob(line, model);
	}
	return allowed;
}

bool rows_lists_allow(struct slice lists, struct slice model)
{
	struct slice list;

	while (lists.n) {
		(void)slice_cut(&lists, '\0', &list);
		if (!rows_models_allow(list, model))
			return false;
	}
	return true;
}
