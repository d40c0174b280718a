#include "provider_error.h"

#include "jtext.h"
#include "text.h"

/* Appends text to a field of the error: unescaped, cut, without what names the operator's account. */
static void perr_put(char *dst, size_t cap, struct slice value)
{
	struct buf b;
	struct slice s = value;

	buf_init(&b, 64 * 1024);
	if (jtext_type(value) == JSON_STRING) {
		if (jtext_str(value, &b) != ERRC_OK)
			buf_reset(&b);
		s = buf_slice(&b);
	}
	fault_text(dst, cap, s);
	buf_fini(&b);
}

static void perr_code(struct provider_error *e, struct slice val)
{
	int64_t n = 0;

	if (jtext_is_null(val))
		return;
	perr_put(e->code, sizeof(e->code), val);
	if (jtext_i64(val, &e->number))
		return;
	/* "1302": digits in a string are a number too. */
	for (const char *p = e->code; *p; p++) {
		if (*p < '0' || *p > '9' || p - e->code > 8)
			return;
		n = n * 10 + (*p - '0');
	}
	e->number = n;
}

/* A number beside `code`, whose word says more. */
static void perr_status_code(struct provider_error *e, struct slice val)
{
	if (!e->code[0])
		perr_code(e, val);
	else if (e->number == 0 && !jtext_i64(val, &e->number))
		e->number = 0;
}

/* {"detail":"…"} or {"detail":[{"msg":…}]} (Mistral, FastAPI). */
static void perr_detail(struct provider_error *e, struct slice val)
{
	struct jtext it;
	struct slice first, msg;

	if (jtext_type(val) == JSON_ARRAY) {
		it = jtext_arr(val);
		if (jtext_arr_next(&it, &first) <= 0)
			return;
		val = first;
	}
	if (jtext_type(val) == JSON_OBJECT &&
	    (jtext_member(val, "msg", &msg) || jtext_member(val, "message", &msg)))
		val = msg;
	perr_put(e->message, sizeof(e->message), val);
}

/* OpenRouter's metadata.raw holds the reason that "Provider returned error" hides. */
static void perr_raw(struct provider_error *e, struct slice object)
{
	static const char *const path[] = {"metadata", "raw", NULL};
	struct slice raw;
	size_t n = strlen(e->message);

	if (!jtext_path(object, path, &raw) || jtext_type(raw) != JSON_STRING)
		return;
	if (n + 4 >= sizeof(e->message))
		return;
	if (n) {
		memcpy(e->message + n, ": ", 3);
		n += 2;
	}
	perr_put(e->message + n, sizeof(e->message) - n, raw);
}

static void perr_members(struct provider_error *e, struct slice object)
{
	struct jtext it = jtext_obj(object);
	struct slice key, val;

	while (jtext_obj_next(&it, &key, &val) > 0) {
		if (jtext_is_null(val))
			continue;
		if (slice_is(key, "message") || slice_is(key, "Message") ||
		    slice_is(key, "status_msg") || slice_is(key, "msg"))
			perr_detail(e, val);
		else if (slice_is(key, "detail") && !e->message[0])
			perr_detail(e, val);
		else if (slice_is(key, "type") || slice_is(key, "error_type") ||
			 (slice_is(key, "status") && jtext_type(val) == JSON_STRING))
			perr_put(e->type, sizeof(e->type), val);
		else if (slice_is(key, "code"))
			perr_code(e, val);
		else if (slice_is(key, "status_code"))
			perr_status_code(e, val);
		else if (slice_is(key, "param"))
			perr_put(e->param, sizeof(e->param), val);
	}
}

static void read_error(struct slice body, struct provider_error *e)
{
	struct slice val, list = body;
	struct jtext it;

	memset(e, 0, sizeof(*e));
	if (jtext_type(body) == JSON_ARRAY) {
		it = jtext_arr(list);
		if (jtext_arr_next(&it, &body) <= 0)
			return;
	}
	if (jtext_type(body) == JSON_STRING) {
		perr_put(e->message, sizeof(e->message), body);
	} else if (jtext_member(body, "error", &val) && jtext_type(val) == JSON_OBJECT) {
		perr_members(e, val);
		perr_raw(e, val);
	} else if (jtext_member(body, "error", &val) && jtext_type(val) == JSON_STRING) {
		perr_members(e, body);
		perr_put(e->message, sizeof(e->message), val);
	} else if (jtext_member(body, "base_resp", &val)) {
		perr_members(e, val);
	} else if (jtext_type(body) == JSON_OBJECT) {
		perr_members(e, body);
	}
	e->found = e->message[0] || e->code[0] || e->type[0];
}

/* ---- kinds ---- */

enum perr_kind {
	PERR_OTHER,
	PERR_CONTEXT,
	PERR_BILLING,
	PERR_AUTH,
	PERR_POLICY,
	PERR_OVERLOAD,
	PERR_RATE,
	PERR_MISSING,
	PERR_UNSUPPORTED,
	PERR_NOT_FOUND,
	PERR_BAD,
};

#define PERR_WORD_MAX \
	48 /* of a code or type: below FAULT_WORD_MAX, so that what was cut is too long */
#define PERR_BY_FAR 4 /* bounds are at most three times the truth for most requests */

struct perr_word {
	const char *word;
	enum perr_kind kind;
	bool in_message; /* a part of the message, letters in any case; else all of type or code */
};

/* The first that matches decides, so the narrow ones stand first. */
static const struct perr_word perr_words[] = {
	{"context_length_exceeded", PERR_CONTEXT, false},
	{"exceed_context_size_error", PERR_CONTEXT, false},
	{"maximum context length", PERR_CONTEXT, true},
	{"prompt is too long", PERR_CONTEXT, true},
	{"exceed context limit", PERR_CONTEXT, true},
	{"exceeds the context window", PERR_CONTEXT, true},
	{"context length exceeded", PERR_CONTEXT, true},
	{"insufficient_quota", PERR_BILLING, false},
	{"exceeded_current_quota_error", PERR_BILLING, false},
	{"insufficient_balance_error", PERR_BILLING, false},
	{"insufficient_balance", PERR_BILLING, false},
	{"billing_error", PERR_BILLING, false},
	{"1113", PERR_BILLING, false},
	{"1008", PERR_BILLING, false},
	{"insufficient balance", PERR_BILLING, true},
	{"insufficient credit", PERR_BILLING, true},
	{"credit balance is too low", PERR_BILLING, true},
	{"content_filter", PERR_POLICY, false},
	{"content_policy_violation", PERR_POLICY, false},
	{"data_inspection_failed", PERR_POLICY, false},
	{"1301", PERR_POLICY, false},
	{"input was flagged", PERR_POLICY, true},
	{"invalid_api_key", PERR_AUTH, false},
	{"authentication_error", PERR_AUTH, false},
	{"API_KEY_INVALID", PERR_AUTH, false},
	{"incorrect api key", PERR_AUTH, true},
	{"invalid api key", PERR_AUTH, true},
	{"1302", PERR_RATE, false},
	{"rate_limit_exceeded", PERR_RATE, false},
	{"rate_limit_error", PERR_RATE, false},
	{"1305", PERR_OVERLOAD, false},
	{"overloaded_error", PERR_OVERLOAD, false},
	{"engine_overloaded_error", PERR_OVERLOAD, false},
	{"missing_required_parameter", PERR_MISSING, false},
	{"unsupported_parameter", PERR_UNSUPPORTED, false},
	{"unsupported_value", PERR_UNSUPPORTED, false},
	{"unknown_parameter", PERR_UNSUPPORTED, false},
	{"not_supported_error", PERR_UNSUPPORTED, false},
	{"model_not_found", PERR_NOT_FOUND, false},
	{"not_found_error", PERR_NOT_FOUND, false},
	{"invalid_request_error", PERR_BAD, false},
	{"BadRequestError", PERR_BAD, false},
};

static bool perr_contains(struct slice text, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= text.n; i++)
		if (slice_ieq(slice_of(text.p + i, n), slice_of(word, n)))
			return true;
	return false;
}

/* Providers repeat what they refuse, behind a colon or in quotes or brackets. What a client wrote there must not speak about the gateway's key or
 * account: its next request would take the key away from everybody. */
static struct slice perr_own_words(const char *message)
{
	return slice_of(message, strcspn(message, ":'\"`=([{<"));
}

static bool perr_says(const char *message, const struct perr_word *w)
{
	bool ours = w->kind == PERR_AUTH || w->kind == PERR_BILLING;

	return perr_contains(ours ? perr_own_words(message) : slice_str(message), w->word);
}

static enum perr_kind perr_kind_of(const struct provider_error *e)
{
	for (size_t i = 0; i < ARRAY_LEN(perr_words); i++) {
		const struct perr_word *w = &perr_words[i];

		if (w->in_message ? perr_says(e->message, w)
				  : !strcmp(e->type, w->word) || !strcmp(e->code, w->word))
			return w->kind;
	}
	return PERR_OTHER;
}

/* The number behind the word, "30,000" too; 0: there is none. */
static int64_t perr_number_behind(const char *text, const char *word)
{
	const char *p = strstr(text, word);
	int64_t n = 0;

	for (p = p ? p + strlen(word) : ""; (*p >= '0' && *p <= '9') || *p == ','; p++)
		if (*p != ',' && n < INT64_MAX / 16)
			n = n * 10 + (*p - '0');
	return n;
}

/* What was asked for is more than the account may ever have in a minute: no rest of the key would help it, and one client that goes on asking would
 * take the key from all others. OpenAI and those who follow it name both numbers. Anthropic names its limit, also where others have
 * used it up: then a request counts as too big that is so by far, for our count of its tokens is a bound. */
static bool perr_is_too_big(const struct dialect_answer *a, const char *message, int status)
{
	int64_t limit = perr_number_behind(message, "Limit "), of_minute = 0;

	if (status != 429 && status != 413)
		return false;
	if (limit > 0 && perr_number_behind(message, "Requested ") > limit)
		return true;
	if (strstr(message, " input tokens per minute"))
		of_minute = perr_number_behind(message, " of ");
	return of_minute > 0 && a->input_bound / PERR_BY_FAR > of_minute;
}

/* Words that name the operator's account do not reach clients. */
static void perr_redact(char *text)
{
	static const char *const marks[] = {"sk-", "org-", "proj_", "acct_", "xai-", "gsk_"};

	for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
		size_t n = strlen(marks[i]);

		for (char *p = strstr(text, marks[i]); p; p = strstr(p + n, marks[i])) {
			if (p > text && ((p[-1] | 0x20) >= 'a' && (p[-1] | 0x20) <= 'z'))
				continue;
			for (p += n; *p && !strchr(" \t,.;:)'\"`", *p); p++)
				*p = '*';
			p -= n;
		}
	}
}

/* ---- waits ---- */

static int64_t perr_days(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool perr_2digits(const char *p, int64_t *out)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return false;
	*out = (p[0] - '0') * 10 + (p[1] - '0');
	return true;
}

/* "Wed, 21 Oct 2026 07:28:00 GMT" in seconds of the epoch. */
static bool perr_http_date(struct slice s, int64_t *out)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int64_t d, hi, lo, h, mi, sec, m;

	if (s.n != 29 || s.p[3] != ',')
		return false;
	for (m = 0; m < 12 && memcmp(months + 3 * m, s.p + 8, 3); m++)
		;
	if (m == 12 || !perr_2digits(s.p + 5, &d) || !perr_2digits(s.p + 12, &hi) ||
	    !perr_2digits(s.p + 14, &lo) || !perr_2digits(s.p + 17, &h) ||
	    !perr_2digits(s.p + 20, &mi) || !perr_2digits(s.p + 23, &sec))
		return false;
	*out = perr_days(hi * 100 + lo, m + 1, d) * 86400 + h * 3600 + mi * 60 + sec;
	return true;
}

#define PERR_WAIT_MAX_MS INT64_C(86400000) /* a provider must not take a key out for longer */

static int64_t perr_wait_ms(const struct dialect_answer *a)
{
	struct slice s = slice_trim(a->retry_after);
	int64_t ms = 0, at;

	if (text_decimal(slice_trim(a->retry_after_ms), 0, &ms) == ERRC_OK && ms > 0)
		return MIN_OF(ms, PERR_WAIT_MAX_MS);
	if (text_decimal(s, 3, &ms) == ERRC_OK)
		return ms > 0 ? MIN_OF(ms, PERR_WAIT_MAX_MS) : 0;
	if (perr_http_date(s, &at) && at > a->now_s)
		return MIN_OF((at - a->now_s) * 1000, PERR_WAIT_MAX_MS);
	return 0;
}

/* ---- classification ---- */

/* The status that counts: the answer's, or the one inside an error that came under 200. */
static int perr_status(const struct dialect_answer *a, const struct provider_error *e,
		       enum perr_kind k)
{
	static const int by_kind[] = {
		[PERR_CONTEXT] = 400, [PERR_BILLING] = 402,     [PERR_AUTH] = 401,
		[PERR_POLICY] = 400,  [PERR_OVERLOAD] = 529,    [PERR_RATE] = 429,
		[PERR_MISSING] = 400, [PERR_UNSUPPORTED] = 400, [PERR_NOT_FOUND] = 404,
		[PERR_BAD] = 400,
	};

	if (a->status >= 400)
		return a->status;
	if (e->number >= 400 && e->number < 600)
		return (int)e->number;
	return (unsigned)k < ARRAY_LEN(by_kind) ? by_kind[k] : 0;
}

/* About the request itself: final, with the provider's status. */
static bool perr_is_final(int status, enum perr_kind k)
{
	if (k == PERR_BILLING || k == PERR_AUTH)
		return false;
	if (k == PERR_CONTEXT || k == PERR_POLICY)
		return true;
	return status == 400 || status == 404 || status == 413 || status == 422 ||
	       (status == 501 && k == PERR_UNSUPPORTED);
}

static enum fault_kind perr_final_kind(int status, enum perr_kind k, bool has_param)
{
	switch (k) {
	case PERR_CONTEXT:
		return FAULT_CONTEXT_TOO_LONG;
	case PERR_POLICY:
		return FAULT_CONTENT_POLICY;
	case PERR_MISSING:
		return FAULT_MISSING_FIELD;
	case PERR_UNSUPPORTED:
		return FAULT_UNSUPPORTED_FIELD;
	default:
		break;
	}
	switch (status) {
	case 404:
		return k == PERR_NOT_FOUND ? FAULT_MODEL_UNKNOWN : FAULT_NOT_FOUND;
	case 413:
		return FAULT_TOO_LARGE;
	case 422:
		return FAULT_UNPROCESSABLE;
	default:
		return has_param ? FAULT_INVALID_VALUE : FAULT_BAD_REQUEST;
	}
}

/* What goes into the record and the log: a code and no sentence, for the prompt may be in one. */
static struct slice perr_word_of(const struct provider_error *e)
{
	struct slice code = slice_str(e->code), type = slice_str(e->type);

	if (text_is_word(code, PERR_WORD_MAX))
		return code;
	if (text_is_word(type, PERR_WORD_MAX))
		return type;
	return code.n || type.n ? SLICE_LIT("other") : SLICE_NONE;
}

static void perr_details(const struct dialect_answer *a, const struct provider_error *e,
			 struct fault *f)
{
	if (a->provider)
		fault_text(f->provider, sizeof(f->provider), a->provider->name);
	fault_text(f->provider_code, sizeof(f->provider_code), perr_word_of(e));
	f->provider_status = a->status;
}

static void perr_final(const struct dialect_answer *a, struct provider_error *e, int status,
		       enum perr_kind k, struct fault *f)
{
	perr_redact(e->message);
	fault_set(f, perr_final_kind(status, k, e->param[0] != 0), "%s",
		  e->message[0] ? e->message : "The provider refused the request.");
	if (fault_row(f->kind)->status != status)
		f->status = k == PERR_CONTEXT || k == PERR_POLICY || status == 501 ? 400 : status;
	fault_text(f->param, sizeof(f->param), slice_str(e->param));
	perr_details(a, e, f);
}

static void perr_too_big(const struct dialect_answer *a, struct provider_error *e, struct fault *f,
			 struct dialect_verdict *v)
{
	v->too_big = true;
	perr_redact(e->message);
	fault_set(f, FAULT_TOO_LARGE, "%s", e->message);
	perr_details(a, e, f);
}

/* The key's or the provider's trouble: another candidate is tried, the client learns little. */
static void perr_other(const struct dialect_answer *a, int status, enum perr_kind k,
		       struct fault *f, struct dialect_verdict *v)
{
	int64_t wait = perr_wait_ms(a);
	char again[FAULT_AGAIN_MAX];

	if (k == PERR_BILLING || status == 402) {
		v->drop_key = v->billing = true;
		fault_set(f, FAULT_UPSTREAM, "The provider does not accept the gateway's account.");
	} else if (k == PERR_AUTH || status == 401 || status == 403) {
		v->drop_key = true;
		fault_set(f, FAULT_UPSTREAM, "The provider does not accept the gateway's key.");
	} else if (status == 429) {
		v->cool_key = true;
		v->cool_ms = wait;
		fault_set(f, FAULT_UPSTREAM_RATE, "The provider is at its limits; %s.",
			  fault_again(wait, again));
		f->retry_after_ms = wait;
	} else if (status == 529 || k == PERR_OVERLOAD) {
		v->cool_key = true;
		v->cool_ms = wait;
		fault_set(f, FAULT_OVERLOADED, "The provider is overloaded.");
		f->retry_after_ms = wait;
	} else if (status == 408 || status == 504) {
		v->breaks = true;
		fault_set(f, FAULT_UPSTREAM, "The provider timed out (%d).", status);
	} else {
		v->breaks = true;
		fault_set(f, FAULT_UPSTREAM,
			  status ? "The provider failed (%d)." : "The provider failed.", status);
	}
}

void provider_error_classify(const struct dialect_answer *a, struct fault *f,
			     struct dialect_verdict *v)
{
	struct provider_error e;
	enum perr_kind k;
	int status;

	memset(f, 0, sizeof(*f));
	memset(v, 0, sizeof(*v));
	if (a->status >= 300 && a->status < 400) {
		/* Whatever its body says, it is no word on the request, and it is never followed. */
		provider_error_broken(a->provider, f, v,
				      "The provider answered with a redirection.");
		f->provider_status = a->status;
		return;
	}
	read_error(a->body, &e);
	k = perr_kind_of(&e);
	status = perr_status(a, &e, k);
	if (perr_is_too_big(a, e.message, status)) {
		perr_too_big(a, &e, f, v);
		return;
	}
	if (perr_is_final(status, k)) {
		v->final = true;
		v->larger = k == PERR_CONTEXT;
		perr_final(a, &e, status, k, f);
		return;
	}
	perr_other(a, status, k, f, v);
	perr_details(a, &e, f);
}

void provider_error_broken(const struct ptable_provider *p, struct fault *f,
			   struct dialect_verdict *v, const char *what)
{
	memset(f, 0, sizeof(*f));
	memset(v, 0, sizeof(*v));
	v->breaks = true;
	fault_set(f, FAULT_UPSTREAM, "%s", what);
	if (p)
		fault_text(f->provider, sizeof(f->provider), p->name);
}
