#include "price.h"

#include <endian.h>
#include <stddef.h>
#include <stdio.h>

#include "clock.h"

#define VERSION    4
#define FLAG_FREE  1
#define FLAG_WHEN  2
#define FLAG_ALL   3
#define HEAD_BYTES 4
#define DAY_MIN    1440
/* A request counts no more often than that; keeps the products inside 128 bits. */
#define REQUESTS_MAX 1000000

/* The side whose dearest class a class belongs to: what is of the output takes its place, for reasoning has a price of its own. */
static const enum usage_side sides[USAGE_COUNT] = {
#define USAGE(id, name, side, fallback) \
	[USAGE_##id] = USAGE_SIDE_##side == USAGE_SIDE_OF ? USAGE_SIDE_OUT : USAGE_SIDE_##side,
#include "usage_tbl.h"
#undef USAGE
};

_Static_assert(sizeof(struct price_when) == PRICE_WHEN_N * sizeof(int64_t), "is stored as numbers");

void price_init(struct price *p)
{
	*p = (struct price){.mult_ppm = PRICE_PPM};
	for (enum usage_class c = 0; c < USAGE_COUNT; c++)
		p->pusd[c] = PRICE_UNSET;
}

/* A class stands behind the one whose price it takes over, so that one pass is enough. */
static void fill(struct price *p, int64_t root)
{
	for (enum usage_class c = 0; c < USAGE_COUNT; c++) {
		enum usage_class from = usage_fallback(c);

		if (p->pusd[c] == PRICE_UNSET)
			p->pusd[c] = from == c ? root : p->pusd[from];
	}
}

static bool when_in_range(const struct price_when *w)
{
	return w->prompt_above >= 0 && w->from_s >= 0 && w->minute_from >= 0 &&
	       w->minute_from < DAY_MIN && w->minute_until >= 0 && w->minute_until < DAY_MIN &&
	       (w->prompt_upto == 0 || w->prompt_upto > w->prompt_above) &&
	       (w->until_s == 0 || w->until_s > w->from_s) && w->tier >= 0 &&
	       w->tier < USAGE_TIER_COUNT;
}

static bool in_range(const struct price *p)
{
	for (enum usage_class c = 0; c < USAGE_COUNT; c++)
		if (p->pusd[c] < 0 || p->pusd[c] > MONEY_PUSD_MAX)
			return false;
	return p->request_nusd >= 0 && p->request_nusd <= MONEY_NUSD_MAX && p->mult_ppm >= 1 &&
	       p->mult_ppm <= PRICE_PPM_MAX && when_in_range(&p->when);
}

static bool is_zero(const struct price *p)
{
	for (enum usage_class c = 0; c < USAGE_COUNT; c++)
		if (p->pusd[c])
			return false;
	return p->request_nusd == 0;
}

enum errc price_complete(struct price *p)
{
	struct price full = *p;
	bool whole = full.pusd[USAGE_INPUT] != PRICE_UNSET && full.pusd[USAGE_OUTPUT] != PRICE_UNSET;

	if (!whole && !full.free && full.request_nusd <= 0)
		return ERRC_INVAL;
	fill(&full, 0);
	if (!in_range(&full) || (is_zero(&full) && !full.free))
		return ERRC_RANGE;
	*p = full;
	return ERRC_OK;
}

bool price_eq(const struct price *a, const struct price *b)
{
	return memcmp(a->pusd, b->pusd, sizeof a->pusd) == 0 &&
	       a->request_nusd == b->request_nusd && a->mult_ppm == b->mult_ppm &&
	       a->free == b->free && memcmp(&a->when, &b->when, sizeof a->when) == 0;
}

bool price_counts_at(const struct price *p, int64_t wall_s)
{
	const struct price_when *w = &p->when;
	int64_t minute = wall_s / 60 % DAY_MIN;

	if (wall_s < w->from_s || (w->until_s && wall_s >= w->until_s))
		return false;
	if (w->minute_from <= w->minute_until)
		return w->minute_from == w->minute_until ||
		       (minute >= w->minute_from && minute < w->minute_until);
	return minute >= w->minute_from || minute < w->minute_until;
}

bool price_counts_for(const struct price *p, int64_t input, enum usage_tier tier)
{
	const struct price_when *w = &p->when;

	return (w->prompt_above == 0 || input > w->prompt_above) &&
	       (w->prompt_upto == 0 || input <= w->prompt_upto) &&
	       (w->tier == 0 || w->tier == (int64_t)MAX_OF(tier, USAGE_TIER_STANDARD));
}

/* In stored order. */
static const struct {
	const char *name;
	size_t offset;
} edges[PRICE_WHEN_N] = {
	{"prompt_above", offsetof(struct price_when, prompt_above)},
	{"prompt_upto", offsetof(struct price_when, prompt_upto)},
	{"from_s", offsetof(struct price_when, from_s)},
	{"until_s", offsetof(struct price_when, until_s)},
	{"minute_from", offsetof(struct price_when, minute_from)},
	{"minute_until", offsetof(struct price_when, minute_until)},
	{"tier", offsetof(struct price_when, tier)},
};

static int64_t *when_at(struct price_when *w, unsigned i)
{
	return (int64_t *)(void *)((char *)w + edges[i].offset);
}

const char *price_when_name(unsigned i)
{
	return edges[i].name;
}

int64_t price_when_get(const struct price *p, unsigned i)
{
	struct price_when w = p->when;

	return *when_at(&w, i);
}

size_t price_when_print(const struct price *p, char *out)
{
	const struct price_when *w = &p->when;
	char from[CLOCK_TEXT_MAX], until[CLOCK_TEXT_MAX], *at = out,
							  *end = out + PRICE_WHEN_TEXT_MAX;

	if (w->prompt_above)
		at += snprintf(at, (size_t)(end - at), ", prompts of more than %lld tokens",
			       (long long)w->prompt_above);
	if (w->prompt_upto)
		at += snprintf(at, (size_t)(end - at), ", prompts of %lld tokens at most",
			       (long long)w->prompt_upto);
	if (w->minute_from != w->minute_until)
		at += snprintf(at, (size_t)(end - at), ", %02d:%02d-%02d:%02d UTC",
			       (int)w->minute_from / 60, (int)w->minute_from % 60,
			       (int)w->minute_until / 60, (int)w->minute_until % 60);
	clock_format_s(w->from_s, from);
	clock_format_s(w->until_s, until);
	if (w->from_s)
		at += snprintf(at, (size_t)(end - at), ", from %s", from);
	if (w->until_s)
		at += snprintf(at, (size_t)(end - at), ", until %s", until);
	if (w->tier)
		at += snprintf(at, (size_t)(end - at), ", service tier %s",
			       usage_tier_name((enum usage_tier)w->tier));
	if (at == out)
		return (size_t)snprintf(out, PRICE_WHEN_TEXT_MAX, "always");
	memmove(out, out + 2, (size_t)(at - out) - 1);
	return (size_t)(at - out) - 2;
}

/* What both sums end with: the request price, the multiplier, one rounding. */
static int64_t finish(const struct price *p, money_wide pusd, int64_t requests)
{
	money_wide sum = pusd + (money_wide)p->request_nusd * MONEY_PUSD_NUSD * requests;
	money_wide scaled = sum * p->mult_ppm;

	if (p->mult_ppm == PRICE_PPM)
		return money_from_pusd(sum);
	return money_from_pusd(scaled / PRICE_PPM + (scaled % PRICE_PPM != 0));
}

int64_t price_cost(const struct price *p, const struct usage *u)
{
	int64_t reasoning = usage_reasoning(u);
	money_wide pusd = 0;

	if (p->free)
		return 0;
	for (enum usage_class c = 0; c < USAGE_COUNT; c++) {
		int64_t n = c == USAGE_REASONING ? reasoning : usage_get(u, c);

		if (c == USAGE_OUTPUT)
			n -= reasoning;
		pusd += (money_wide)n * p->pusd[c];
	}
	return finish(p, pusd, 1);
}

int64_t price_dearest(const struct price *p, enum usage_side side)
{
	int64_t max = 0;

	for (enum usage_class c = 0; c < USAGE_COUNT; c++)
		if (sides[c] == side)
			max = MAX_OF(max, p->pusd[c]);
	return max;
}

static int64_t within(int64_t n, int64_t min, int64_t max)
{
	return n < min ? min : MIN_OF(n, max);
}

int64_t price_hold(const struct price *p, const struct price_bound *b)
{
	int64_t in = within(b->input, 0, USAGE_MAX * USAGE_COUNT);
	int64_t out = within(b->output, 0, USAGE_MAX * USAGE_COUNT);
	int64_t images = within(b->images, 0, USAGE_MAX * USAGE_COUNT);
	int64_t searches = within(b->searches, 0, USAGE_MAX * USAGE_COUNT);
	money_wide pusd = (money_wide)in * price_dearest(p, USAGE_SIDE_IN) +
			  (money_wide)out * price_dearest(p, USAGE_SIDE_OUT) +
			  (money_wide)images * p->pusd[USAGE_IMAGE] +
			  (money_wide)searches * p->pusd[USAGE_WEB_SEARCH];

	return p->free ? 0 : finish(p, pusd, within(b->requests, 1, REQUESTS_MAX));
}

int64_t price_affordable(const struct price *p, const struct price_bound *beside,
			 int64_t avail_nusd, int64_t max)
{
	struct price_bound at = *beside;
	int64_t fits = -1, too_much = max;

	at.output = max;
	if (price_hold(p, &at) <= avail_nusd)
		return max;
	/* Between what fits and what does not, halving the distance. */
	while (too_much - fits > 1) {
		at.output = fits + (too_much - fits) / 2;
		if (price_hold(p, &at) <= avail_nusd)
			fits = at.output;
		else
			too_much = at.output;
	}
	return fits;
}

static uint8_t *put64(uint8_t *at, int64_t v)
{
	uint64_t u = htobe64((uint64_t)v);

	memcpy(at, &u, 8);
	return at + 8;
}

static const uint8_t *get64(const uint8_t *at, int64_t *v)
{
	uint64_t u;

	memcpy(&u, at, 8);
	*v = (int64_t)be64toh(u);
	return at + 8;
}

static bool is_always(const struct price_when *w)
{
	static const struct price_when always;

	return memcmp(w, &always, sizeof always) == 0;
}

size_t price_encode(const struct price *p, uint8_t out[PRICE_BYTES_MAX])
{
	struct price_when w = p->when;
	bool always = is_always(&w);
	uint8_t *at = out + HEAD_BYTES;

	out[0] = VERSION;
	out[1] = (uint8_t)((p->free ? FLAG_FREE : 0) | (always ? 0 : FLAG_WHEN));
	out[2] = 0;
	out[3] = USAGE_COUNT;
	for (enum usage_class c = 0; c < USAGE_COUNT; c++)
		at = put64(at, p->pusd[c]);
	at = put64(at, p->request_nusd);
	at = put64(at, p->mult_ppm);
	for (unsigned i = 0; !always && i < PRICE_WHEN_N; i++)
		at = put64(at, *when_at(&w, i));
	return (size_t)(at - out);
}

size_t price_size(struct slice bytes)
{
	const uint8_t *at = (const uint8_t *)bytes.p;

	if (bytes.n < HEAD_BYTES)
		return 0;
	return HEAD_BYTES +
	       8 * (((size_t)at[2] << 8 | at[3]) + 2 + (at[1] & FLAG_WHEN ? PRICE_WHEN_N : 0));
}

enum errc price_decode(struct slice bytes, struct price *p)
{
	const uint8_t *at = (const uint8_t *)bytes.p;
	struct price v;
	unsigned n;

	if (bytes.n < HEAD_BYTES)
		return ERRC_CORRUPT;
	if (at[0] != VERSION)
		return ERRC_VERSION;
	n = (unsigned)at[2] << 8 | at[3];
	if (n > USAGE_COUNT)
		return ERRC_VERSION;
	if (bytes.n != price_size(bytes) || at[1] > FLAG_ALL)
		return ERRC_CORRUPT;
	price_init(&v);
	v.free = at[1] & FLAG_FREE;
	bool always = !(at[1] & FLAG_WHEN);
	at += HEAD_BYTES;
	for (unsigned c = 0; c < n; c++)
		at = get64(at, &v.pusd[c]);
	at = get64(at, &v.request_nusd);
	at = get64(at, &v.mult_ppm);
	for (unsigned i = 0; !always && i < PRICE_WHEN_N; i++)
		at = get64(at, when_at(&v.when, i));
	fill(&v, 0);
	if (!in_range(&v) || always != is_always(&v.when))
		return ERRC_CORRUPT;
	*p = v;
	return ERRC_OK;
}

void price_hash(const struct price *p, uint8_t out[DIGEST_SHA256])
{
	uint8_t bytes[PRICE_BYTES_MAX];

	digest_sha256(slice_of(bytes, price_encode(p, bytes)), out);
}

void price_hash_memo(struct price_memo *m, const struct price *p, uint8_t out[DIGEST_SHA256])
{
	uint64_t mix = (uint64_t)p->pusd[USAGE_INPUT] * 31 + (uint64_t)p->pusd[USAGE_OUTPUT] +
		       (uint64_t)p->when.prompt_above * 31 + (uint64_t)p->mult_ppm;
	size_t at = mix * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (PRICE_MEMO - 1);

	if (!m->rows[at].is_known || !price_eq(&m->rows[at].price, p)) {
		m->rows[at].price = *p;
		price_hash(p, m->rows[at].hash);
		m->rows[at].is_known = true;
	}
	memcpy(out, m->rows[at].hash, DIGEST_SHA256);
}
