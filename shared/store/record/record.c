#include "record.h"

#include "json_out.h"
#include "mpack_quick.h"
#include "rows_hold.h"
#include "text.h"

#define HEAD_FIELDS    4 /* version, type, account, time */
#define ATTEMPT_FIELDS 7
#define BUDGET_FIELDS  3 /* scope, rule, window: one after the other in one array */

/* One macro a field kind and direction; the tables name the fields once. Numbers travel as int64. */
#define FIELD(kind, member, name) +1
enum {
	CHARGE_FIELDS = 0
#include "record_charge_tbl.h"
	,
	CHANGE_FIELDS = 0
#include "record_change_tbl.h"
};
#undef FIELD

/* A settlement whose record finds no room would never end: all at once, each as long as it may be. A number takes at most 9 bytes, the head of
 * a text or a list 5. */
#define NUMBER_BYTES  9
#define ERROR_MAX     64 /* short codes of ours */
#define ATTEMPT_BYTES (5 + ATTEMPT_FIELDS * NUMBER_BYTES + 2 * ROWS_HOLD_NAME_MAX + ERROR_MAX)
#define BUDGETS_BYTES (5 + BUDGET_FIELDS * NUMBER_BYTES * RECORD_BUDGETS_MAX)
#define USAGE_BYTES   (5 + 2 * NUMBER_BYTES * (USAGE_COUNT + 2))
#define CHARGE_BYTES                                                                    \
	(5 + (HEAD_FIELDS + CHARGE_FIELDS) * NUMBER_BYTES + 4 * ROWS_HOLD_NAME_MAX +    \
	 RECORD_UPSTREAM_ID_MAX + GENID_BYTES + APIKEY_ID + ROWS_ID + ROWS_TAG_MAX +    \
	 ROWS_NAME_MAX + DIGEST_SHA256 + USAGE_BYTES + LIMIT_ATTEMPTS * ATTEMPT_BYTES + \
	 BUDGETS_BYTES + RECORD_RAW_MAX + RECORD_BYTES_MAX + 2 * RECORD_FINISH_MAX)
_Static_assert(CHARGE_BYTES <= RECORD_MAX, "a record has room for all budgets");

static void put_attempts(struct mpack_out *o, const struct record_charge *c)
{
	mpack_arr(o, (uint32_t)c->attempts_n);
	for (size_t i = 0; i < c->attempts_n; i++) {
		const struct record_attempt *a = &c->attempts[i];

		mpack_arr(o, ATTEMPT_FIELDS);
		mpack_str(o, a->provider);
		mpack_str(o, a->upstream);
		mpack_i64(o, a->status);
		mpack_i64(o, a->ms);
		mpack_i64(o, a->cost_nusd);
		mpack_str(o, a->error);
		mpack_i64(o, a->start_ms);
	}
}

static void put_budgets(struct mpack_out *o, const struct record_budgets *b)
{
	mpack_arr(o, (uint32_t)b->n * BUDGET_FIELDS);
	for (size_t i = 0; i < b->n; i++) {
		mpack_i64(o, b->v[i].scope);
		mpack_i64(o, b->v[i].rule);
		mpack_i64(o, b->v[i].window);
	}
}

#define PUT_CHARS(r, m)           mpack_str(o, slice_of((r)->m, sizeof(r)->m))
#define PUT_GENID(r, m)           mpack_bin(o, slice_of((r)->m.b, GENID_BYTES))
#define PUT_INT(r, m)             mpack_i64(o, (int64_t)(r)->m)
#define PUT_END(r, m)             mpack_i64(o, (int64_t)(r)->m)
#define PUT_STR(r, m)             mpack_str(o, (r)->m)
#define PUT_BYTES(r, m)           mpack_bin(o, (r)->m)
#define PUT_ROW(r, m)             mpack_bin(o, (r)->m)
#define PUT_HASH(r, m)            mpack_bin(o, slice_of((r)->m, DIGEST_SHA256))
#define PUT_USAGE(r, m)           usage_pack(o, &(r)->m)
#define PUT_ATTEMPTS(r, m)        put_attempts(o, (r))
#define PUT_BUDGETS(r, m)         put_budgets(o, &(r)->m)
#define FIELD(kind, member, name) PUT_##kind(r, member);

static void put_charge(struct mpack_out *o, const struct record_charge *r)
{
#include "record_charge_tbl.h"
}

static void put_change(struct mpack_out *o, const struct record_change *r)
{
#include "record_change_tbl.h"
}
#undef FIELD

static bool fits(const struct record *r)
{
	return r->type == RECORD_CHARGE ? r->charge.attempts_n <= LIMIT_ATTEMPTS &&
						  r->charge.budgets.n <= RECORD_BUDGETS_MAX &&
						  r->charge.raw_usage.n <= RECORD_RAW_MAX &&
						  r->charge.idem.n <= RECORD_BYTES_MAX &&
						  r->charge.finish.n <= RECORD_FINISH_MAX &&
						  r->charge.native_finish.n <= RECORD_FINISH_MAX
					: r->change.budgets.n <= RECORD_BUDGETS_MAX &&
						  r->change.idem.n <= RECORD_BYTES_MAX;
}

enum errc record_encode(struct buf *out, const struct record *r)
{
	struct mpack_out o;
	size_t before = out->len;
	enum errc rc;

	if (r->type >= RECORD_TYPE_COUNT || !fits(r))
		return ERRC_INVAL;
	mpack_out_init(&o, out);
	mpack_arr(&o, HEAD_FIELDS + (r->type == RECORD_CHARGE ? CHARGE_FIELDS : CHANGE_FIELDS));
	mpack_i64(&o, RECORD_VERSION);
	mpack_i64(&o, r->type);
	mpack_u64(&o, r->account);
	mpack_i64(&o, r->wall_ms);
	if (r->type == RECORD_CHARGE)
		put_charge(&o, &r->charge);
	else
		put_change(&o, &r->change);
	rc = mpack_out_end(&o);
	if (!rc && out->len - before > RECORD_MAX)
		rc = ERRC_LIMIT;
	if (rc)
		buf_truncate(out, before);
	return rc;
}

static enum errc get_int(struct mpack_in *in, int64_t min, int64_t max, int64_t *out)
{
	enum errc rc = mpack_read_i64(in, out);

	if (rc)
		return rc;
	return *out >= min && *out <= max ? ERRC_OK : ERRC_CORRUPT;
}

static enum errc get_chars(struct mpack_in *in, char *out, size_t n)
{
	struct slice s;
	enum errc rc = mpack_read_str(in, &s);

	if (rc)
		return rc;
	if (s.n != n)
		return ERRC_CORRUPT;
	memcpy(out, s.p, n);
	return ERRC_OK;
}

static enum errc get_attempt(struct mpack_in *in, struct record_attempt *a)
{
	uint32_t n;
	int64_t status = 0;
	enum errc rc = mpack_read_arr(in, &n);

	if (!rc && n < ATTEMPT_FIELDS)
		rc = ERRC_CORRUPT;
	if (!rc)
		rc = mpack_read_str(in, &a->provider);
	if (!rc)
		rc = mpack_read_str(in, &a->upstream);
	if (!rc)
		rc = get_int(in, 0, UINT16_MAX, &status);
	if (!rc)
		rc = mpack_read_i64(in, &a->ms);
	if (!rc)
		rc = mpack_read_i64(in, &a->cost_nusd);
	if (!rc)
		rc = mpack_read_str(in, &a->error);
	if (!rc)
		rc = mpack_read_i64(in, &a->start_ms);
	a->status = (uint16_t)status;
	for (uint32_t i = ATTEMPT_FIELDS; !rc && i < n; i++)
		rc = mpack_skip(in, NULL);
	return rc;
}

static enum errc get_attempts(struct mpack_in *in, struct record_charge *c)
{
	uint32_t n;
	enum errc rc = mpack_read_arr(in, &n);

	if (!rc && n > LIMIT_ATTEMPTS)
		rc = ERRC_CORRUPT;
	c->attempts_n = rc ? 0 : n;
	for (uint32_t i = 0; !rc && i < n; i++)
		rc = get_attempt(in, &c->attempts[i]);
	return rc;
}

static enum errc get_budget(struct mpack_in *in, struct record_budget *b)
{
	int64_t scope = 0, rule = 0;
	enum errc rc = get_int(in, 0, UINT8_MAX, &scope);

	if (!rc && rows_scope_word((enum rows_kind)scope)[0] == '\0')
		rc = ERRC_CORRUPT;
	if (!rc)
		rc = get_int(in, 1, ROWS_RULE_ID_MAX, &rule);
	if (!rc)
		rc = mpack_read_i64(in, &b->window);
	b->scope = (enum rows_kind)scope;
	b->rule = (uint32_t)rule;
	return rc;
}

static enum errc get_budgets(struct mpack_in *in, struct record_budgets *b)
{
	uint32_t n;
	enum errc rc = mpack_read_arr(in, &n);

	if (!rc && (n % BUDGET_FIELDS != 0 || n / BUDGET_FIELDS > RECORD_BUDGETS_MAX))
		rc = ERRC_CORRUPT;
	b->n = rc ? 0 : n / BUDGET_FIELDS;
	for (size_t i = 0; !rc && i < b->n; i++)
		rc = get_budget(in, &b->v[i]);
	return rc;
}

static enum errc get_bytes(struct mpack_in *in, struct slice *out)
{
	enum errc rc = mpack_read_bin(in, out);

	return !rc && out->n > RECORD_BYTES_MAX ? ERRC_CORRUPT : rc;
}

/* The range of an integer member follows from its type. */
#define MAX_INT(m)                          \
	_Generic((m), uint8_t               \
		 : INT64_C(0xff), uint16_t  \
		 : INT64_C(0xffff), int64_t \
		 : INT64_MAX, uint64_t      \
		 : INT64_MAX)
#define MIN_INT(m) _Generic((m), int64_t : INT64_MIN, default : INT64_C(0))
#define GET_INT(r, m)                                                   \
	do {                                                            \
		rc = get_int(in, MIN_INT((r)->m), MAX_INT((r)->m), &v); \
		if (!rc)                                                \
			(r)->m = (__typeof__((r)->m))v;                 \
	} while (0)
#define GET_END(r, m)                                          \
	do {                                                   \
		rc = get_int(in, 0, RECORD_END_COUNT - 1, &v); \
		if (!rc)                                       \
			(r)->m = (enum record_end)v;           \
	} while (0)
#define GET_CHARS(r, m)    rc = get_chars(in, (r)->m, sizeof(r)->m)
#define GET_GENID(r, m)    rc = mpack_read_fixed(in, (r)->m.b, GENID_BYTES)
#define GET_STR(r, m)      rc = mpack_read_str(in, &(r)->m)
#define GET_BYTES(r, m)    rc = get_bytes(in, &(r)->m)
#define GET_ROW(r, m)      rc = mpack_read_bin(in, &(r)->m)
#define GET_HASH(r, m)     rc = mpack_read_fixed(in, (r)->m, DIGEST_SHA256)
#define GET_USAGE(r, m)    rc = usage_unpack(in, &(r)->m)
#define GET_ATTEMPTS(r, m) rc = get_attempts(in, (r))
#define GET_BUDGETS(r, m)  rc = get_budgets(in, &(r)->m)
#define FIELD(kind, member, name) \
	if (!rc)                  \
		GET_##kind(r, member);

static enum errc get_charge(struct mpack_in *in, struct record_charge *r)
{
	enum errc rc = ERRC_OK;
	int64_t v;

#include "record_charge_tbl.h"
	return rc;
}

static enum errc get_change(struct mpack_in *in, struct record_change *r)
{
	enum errc rc = ERRC_OK;
	int64_t v;

#include "record_change_tbl.h"
	return rc;
}

#undef FIELD

/* --- what reports use ---
 * Fields in their common form are taken one after the other by a cursor in a register; any other goes the general way, like a field
 * that reports pass over, which is only to be there. */

MPACK_QUICK quick_chars(struct mpack_in *at, char *out, size_t n)
{
	struct mpack_in in = *at;
	struct slice s;

	if (!mpack_quick_str(&in, &s) || s.n != n)
		return false;
	memcpy(out, s.p, n);
	*at = in;
	return true;
}

MPACK_QUICK quick_end(struct mpack_in *at, enum record_end *end)
{
	struct mpack_in in = *at;
	uint64_t v;

	if (!mpack_quick_u64(&in, &v) || v >= RECORD_END_COUNT)
		return false;
	*end = (enum record_end)v;
	*at = in;
	return true;
}

MPACK_QUICK pass_attempts(struct mpack_in *at)
{
	struct mpack_in in = *at;
	uint32_t n, fields;

	if (!mpack_quick_arr(&in, &n))
		return false;
	for (; n; n--) {
		if (!mpack_quick_arr(&in, &fields) || fields != ATTEMPT_FIELDS ||
		    !mpack_pass_str(&in) || !mpack_pass_str(&in) || !mpack_pass_int(&in) ||
		    !mpack_pass_int(&in) || !mpack_pass_int(&in) || !mpack_pass_str(&in) ||
		    !mpack_pass_int(&in))
			return false;
	}
	*at = in;
	return true;
}

MPACK_QUICK pass_budgets(struct mpack_in *at)
{
	struct mpack_in in = *at;
	uint32_t n;

	if (!mpack_quick_arr(&in, &n))
		return false;
	for (; n; n--) {
		if (!mpack_pass_int(&in))
			return false;
	}
	*at = in;
	return true;
}

#define PASS_INT(at)          mpack_pass_int(at)
#define PASS_STR(at)          mpack_pass_str(at)
#define PASS_BYTES(at)        mpack_pass_bin(at)
#define PASS_GENID(at)        mpack_pass_fixed(at, GENID_BYTES)
#define PASS_HASH(at)         mpack_pass_fixed(at, DIGEST_SHA256)
#define PASS_ATTEMPTS(at)     pass_attempts(at)
#define PASS_BUDGETS(at)      pass_budgets(at)
#define QUICK_CHARS(at, r, m) quick_chars(at, (r)->m, sizeof(r)->m)
#define QUICK_INT(at, r, m)   mpack_quick_i64(at, &(r)->m)
#define QUICK_END(at, r, m)   quick_end(at, &(r)->m)
#define QUICK_STR(at, r, m)   mpack_quick_str(at, &(r)->m)
#define QUICK_USAGE(at, r, m) usage_unpack_quick(at, &(r)->m)
#define FIELD(kind, member, name)                   \
	if (!PASS_##kind(&at)) {                    \
		*in = at;                           \
		rc = rc ? rc : mpack_skip_n(in, 1); \
		at = *in;                           \
	}
#define USED(kind, member, name)               \
	if (!QUICK_##kind(&at, r, member)) {   \
		*in = at;                      \
		if (!rc)                       \
			GET_##kind(r, member); \
		at = *in;                      \
	}

static enum errc get_used(struct mpack_in *in, struct record_charge *r)
{
	struct mpack_in at = *in; /* its address goes nowhere */
	enum errc rc = ERRC_OK;
	int64_t v;

#include "record_charge_tbl.h"
	*in = at;
	return rc;
}
#undef FIELD

static enum errc get_record(struct mpack_in *in, struct record *r,
			    enum errc (*charge)(struct mpack_in *in, struct record_charge *r))
{
	uint32_t n, known;
	int64_t v;
	enum errc rc = mpack_read_arr(in, &n);

	if (rc || n < HEAD_FIELDS)
		return ERRC_CORRUPT;
	rc = get_int(in, 0, INT64_MAX, &v);
	if (rc || v != RECORD_VERSION)
		return rc ? ERRC_CORRUPT : ERRC_VERSION;
	rc = get_int(in, 0, RECORD_TYPE_COUNT - 1, &v);
	if (rc)
		return rc;
	r->type = (enum record_type)v;
	known = HEAD_FIELDS +
		(r->type == RECORD_CHARGE ? (uint32_t)CHARGE_FIELDS : (uint32_t)CHANGE_FIELDS);
	if (n < known)
		return ERRC_CORRUPT;
	rc = mpack_read_u64(in, &r->account);
	if (!rc)
		rc = mpack_read_i64(in, &r->wall_ms);
	if (!rc)
		rc = r->type == RECORD_CHARGE ? charge(in, &r->charge) : get_change(in, &r->change);
	for (uint32_t i = known; !rc && i < n; i++)
		rc = mpack_skip(in, NULL);
	return rc;
}

static enum errc decode(struct slice bytes, struct record *r,
			enum errc (*charge)(struct mpack_in *in, struct record_charge *r))
{
	struct mpack_in in;
	enum errc rc;

	mpack_in_init(&in, bytes);
	rc = get_record(&in, r, charge);
	if (rc == ERRC_VERSION)
		return rc;
	return rc || !mpack_is_end(&in) ? ERRC_CORRUPT : ERRC_OK;
}

enum errc record_decode(struct slice bytes, struct record *r)
{
	return decode(bytes, r, get_charge);
}

/* The head of a charge with no more fields than are known. */
static inline bool quick_head(struct mpack_in *in, struct record *r)
{
	uint64_t version, type;
	uint32_t n;

	if (!mpack_quick_arr(in, &n) || n != HEAD_FIELDS + CHARGE_FIELDS ||
	    !mpack_quick_u64(in, &version) || version != RECORD_VERSION ||
	    !mpack_quick_u64(in, &type) || type != RECORD_CHARGE)
		return false;
	r->type = RECORD_CHARGE;
	return mpack_quick_u64(in, &r->account) && mpack_quick_i64(in, &r->wall_ms);
}

enum errc record_decode_used(struct slice bytes, struct record *r)
{
	struct mpack_in in;

	mpack_in_init(&in, bytes);
	if (!quick_head(&in, r))
		return decode(bytes, r, get_used);
	return get_used(&in, &r->charge) || !mpack_is_end(&in) ? ERRC_CORRUPT : ERRC_OK;
}

enum errc record_peek(struct slice bytes, enum record_type *type)
{
	struct mpack_in in;
	int64_t version, v;
	uint32_t n;

	mpack_in_init(&in, bytes);
	if (mpack_read_arr(&in, &n) || mpack_read_i64(&in, &version) ||
	    get_int(&in, 0, RECORD_TYPE_COUNT - 1, &v))
		return ERRC_CORRUPT;
	*type = (enum record_type)v;
	return version == RECORD_VERSION ? ERRC_OK : ERRC_VERSION;
}

static void json_usage(struct json_out *o, const struct usage *u)
{
	json_out_obj(o);
	for (int c = 0; c < USAGE_COUNT; c++) {
		if (usage_has(u, (enum usage_class)c))
			json_out_ki64(o, usage_name((enum usage_class)c),
				      usage_get(u, (enum usage_class)c));
	}
	json_out_kbool(o, "estimated", u->estimated);
	json_out_kstrz(o, "tier", usage_tier_name(u->tier));
	json_out_obj_end(o);
}

static void json_attempts(struct json_out *o, const struct record_charge *c)
{
	json_out_arr(o);
	for (size_t i = 0; i < c->attempts_n; i++) {
		const struct record_attempt *a = &c->attempts[i];

		json_out_obj(o);
		json_out_kstr(o, "provider", a->provider);
		json_out_kstr(o, "upstream", a->upstream);
		json_out_ki64(o, "status", a->status);
		json_out_ki64(o, "start_ms", a->start_ms);
		json_out_ki64(o, "ms", a->ms);
		json_out_ki64(o, "cost_nusd", a->cost_nusd);
		if (a->error.n)
			json_out_kstr(o, "error", a->error);
		json_out_obj_end(o);
	}
	json_out_arr_end(o);
}

static void json_budgets(struct json_out *o, const struct record_budgets *b)
{
	json_out_arr(o);
	for (size_t i = 0; i < b->n; i++) {
		json_out_obj(o);
		json_out_kstrz(o, "scope", rows_scope_word(b->v[i].scope));
		json_out_ki64(o, "rule", b->v[i].rule);
		json_out_ki64(o, "window", b->v[i].window);
		json_out_obj_end(o);
	}
	json_out_arr_end(o);
}

static void json_hex(struct json_out *o, const void *p, size_t n)
{
	char hex[2 * RECORD_BYTES_MAX + 1];

	require(n <= RECORD_BYTES_MAX);
	text_hex(p, n, hex);
	json_out_strz(o, hex);
}

static void json_genid(struct json_out *o, const struct genid *id)
{
	char text[GENID_TEXT + 1];

	genid_print(id, text);
	json_out_strz(o, text);
}

static void json_row(struct json_out *o, struct slice row)
{
	struct buf b;

	buf_init(&b, 2 * ROWS_MAX);
	if (text_base64(&b, row.p, row.n) == ERRC_OK)
		json_out_str(o, buf_slice(&b));
	else
		o->err = ERRC_NOMEM;
	buf_fini(&b);
}

#define JSON_CHARS(r, m)    json_out_str(o, slice_of((r)->m, strnlen((r)->m, sizeof(r)->m)))
#define JSON_GENID(r, m)    json_genid(o, &(r)->m)
#define JSON_INT(r, m)      json_out_i64(o, (int64_t)(r)->m)
#define JSON_END(r, m)      json_out_strz(o, record_end_name((r)->m))
#define JSON_BYTES(r, m)    json_hex(o, (r)->m.p, (r)->m.n)
#define JSON_STR(r, m)      json_out_str(o, (r)->m)
#define JSON_ROW(r, m)      json_row(o, (r)->m)
#define JSON_HASH(r, m)     json_hex(o, (r)->m, DIGEST_SHA256)
#define JSON_USAGE(r, m)    json_usage(o, &(r)->m)
#define JSON_ATTEMPTS(r, m) json_attempts(o, (r))
#define JSON_BUDGETS(r, m)  json_budgets(o, &(r)->m)
#define FIELD(kind, member, name) \
	json_out_key(o, name);    \
	JSON_##kind(r, member);

static void json_charge(struct json_out *o, const struct record_charge *r)
{
#include "record_charge_tbl.h"
}

static const char *type_name(enum record_type t)
{
	static const char *const names[] = {
#define RECORD_TYPE(id, name, text) name,
#include "record_type_tbl.h"
#undef RECORD_TYPE
	};

	return (size_t)t < ARRAY_LEN(names) ? names[t] : "unknown";
}

static void json_change(struct json_out *o, const struct record_change *r)
{
#include "record_change_tbl.h"
}
#undef FIELD

enum errc record_json(struct buf *out, uint64_t seq, const struct record *r)
{
	struct json_out o;

	json_out_init(&o, out);
	json_out_obj(&o);
	json_out_key(&o, "seq");
	json_out_u64(&o, seq);
	json_out_kstrz(&o, "type", type_name(r->type));
	json_out_key(&o, "account");
	json_out_u64(&o, r->account);
	json_out_ki64(&o, "wall_ms", r->wall_ms);
	if (r->type == RECORD_CHARGE)
		json_charge(&o, &r->charge);
	else
		json_change(&o, &r->change);
	json_out_obj_end(&o);
	return json_out_end(&o);
}

const char *record_end_name(enum record_end e)
{
	static const char *const names[] = {
#define RECORD_END(id, name, text) name,
#include "record_end_tbl.h"
#undef RECORD_END
	};

	return (size_t)e < ARRAY_LEN(names) ? names[e] : "unknown";
}
