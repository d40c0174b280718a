#include "usage.h"

#include "money.h"

static const struct row {
	const char *name;
	enum usage_side side;
	enum usage_class fallback;
} rows[USAGE_COUNT] = {
#define USAGE(id, name, side, fallback) [USAGE_##id] = {#name, USAGE_SIDE_##side, USAGE_##fallback},
#include "usage_tbl.h"
#undef USAGE
};

const char *usage_name(enum usage_class c)
{
	return rows[c].name;
}

enum usage_side usage_side_of(enum usage_class c)
{
	return rows[c].side;
}

enum usage_class usage_fallback(enum usage_class c)
{
	return rows[c].fallback;
}

enum usage_class usage_class_of(struct slice name)
{
	enum usage_class c = 0;

	while (c < USAGE_COUNT && !slice_is(name, rows[c].name))
		c++;
	return c;
}

static const char *const tiers[USAGE_TIER_COUNT] = {"", "standard", "flex", "priority"};

const char *usage_tier_name(enum usage_tier t)
{
	return tiers[t];
}

enum usage_tier usage_tier_of(struct slice name)
{
	for (enum usage_tier t = USAGE_TIER_STANDARD; t < USAGE_TIER_COUNT; t++)
		if (slice_is(name, tiers[t]))
			return t;
	return USAGE_TIER_NONE;
}

void usage_init(struct usage *u)
{
	memset(u, 0, sizeof *u);
}

void usage_set(struct usage *u, enum usage_class c, int64_t n)
{
	u->have |= UINT32_C(1) << c;
	u->n[c] = n < 0 ? 0 : MIN_OF(n, USAGE_MAX);
	u->estimated |= n > USAGE_MAX;
}

static int64_t total(const struct usage *u, enum usage_side side)
{
	int64_t sum = 0;

	for (enum usage_class c = 0; c < USAGE_COUNT; c++)
		if (rows[c].side == side)
			sum += usage_get(u, c);
	return sum;
}

/* The parts of one side within its total, the newer ones first; `of` is what is left of it. A total that neither has bounds nothing. */
static void merge_side(struct usage *u, const struct usage *newer, enum usage_side side,
		       enum usage_class of)
{
	bool is_new = usage_has(newer, of), has_total = is_new || usage_has(u, of);
	int64_t left = has_total ? total(is_new ? newer : u, side) : USAGE_MAX, n;

	for (int old = 0; old <= 1; old++)
		for (enum usage_class c = 0; c < USAGE_COUNT; c++) {
			const struct usage *from = old ? u : newer;

			if (rows[c].side != side || c == of || !usage_has(from, c) ||
			    (old && usage_has(newer, c)))
				continue;
			n = MIN_OF(from->n[c], left);
			usage_set(u, c, n);
			left -= n;
		}
	if (has_total)
		usage_set(u, of, left);
}

void usage_merge(struct usage *u, const struct usage *newer)
{
	if (newer->tier)
		u->tier = newer->tier;
	if (newer->undivided && usage_has(u, USAGE_OUTPUT) && !u->undivided)
		return;
	if (usage_has(newer, USAGE_INPUT))
		u->undivided = newer->undivided;
	if (newer->rest) {
		merge_side(u, newer, USAGE_SIDE_IN, USAGE_INPUT);
		merge_side(u, newer, USAGE_SIDE_OUT, USAGE_OUTPUT);
	}
	for (enum usage_class c = 0; c < USAGE_COUNT; c++)
		if (usage_has(newer, c) && !(newer->rest && rows[c].side <= USAGE_SIDE_OUT))
			usage_set(u, c, newer->n[c]);
	u->estimated |= newer->estimated;
}

void usage_divide(struct usage *u, int64_t seen, int64_t input_bound)
{
	int64_t all = usage_get(u, USAGE_INPUT), output;

	if (!u->undivided)
		return;
	output = usage_has(u, USAGE_OUTPUT) ? usage_get(u, USAGE_OUTPUT) : seen;
	output = MIN_OF(MAX_OF(output, all - input_bound), all);
	usage_set(u, USAGE_OUTPUT, output);
	usage_set(u, USAGE_INPUT, all - usage_get(u, USAGE_OUTPUT));
	u->undivided = false;
	u->estimated = true;
}

void usage_divide_output(struct usage *u, int64_t seen, int64_t reasoning)
{
	int64_t output = usage_get(u, USAGE_OUTPUT);

	reasoning = MIN_OF(reasoning, seen);
	if (usage_has(u, USAGE_REASONING) || reasoning <= 0 || output == 0)
		return;
	usage_set(u, USAGE_REASONING, (int64_t)((money_wide)output * reasoning / seen));
	u->estimated = true;
}

void usage_take_output(struct usage *u, enum usage_class to, int64_t n)
{
	n = MIN_OF(n, usage_get(u, USAGE_OUTPUT));
	if (usage_has(u, to) || n <= 0)
		return;
	usage_set(u, to, n);
	usage_set(u, USAGE_OUTPUT, usage_get(u, USAGE_OUTPUT) - n);
	u->estimated = true;
}

int64_t usage_input_total(const struct usage *u)
{
	return total(u, USAGE_SIDE_IN);
}

int64_t usage_output_total(const struct usage *u)
{
	return total(u, USAGE_SIDE_OUT);
}

int64_t usage_total(const struct usage *u)
{
	return usage_input_total(u) + usage_output_total(u);
}

int64_t usage_reasoning(const struct usage *u)
{
	return MIN_OF(usage_get(u, USAGE_REASONING), usage_get(u, USAGE_OUTPUT));
}

/* [classes as bits, estimated, tier, one number a class that is there]. */
void usage_pack(struct mpack_out *o, const struct usage *u)
{
	mpack_arr(o, 3 + (uint32_t)__builtin_popcount(u->have));
	mpack_u64(o, u->have);
	mpack_bool(o, u->estimated);
	mpack_u64(o, u->tier);
	for (enum usage_class c = 0; c < USAGE_COUNT; c++)
		if (usage_has(u, c))
			mpack_i64(o, u->n[c]);
}

enum errc usage_unpack(struct mpack_in *r, struct usage *u)
{
	const uint8_t *from = r->p;
	struct usage v;
	uint64_t have, tier = 0;
	uint32_t n;
	enum errc e = mpack_read_arr(r, &n);

	usage_init(&v);
	if (!e)
		e = mpack_read_u64(r, &have);
	if (!e)
		e = mpack_read_bool(r, &v.estimated);
	if (!e)
		e = mpack_read_u64(r, &tier);
	if (!e && (have >> USAGE_COUNT || tier >= USAGE_TIER_COUNT))
		e = ERRC_VERSION;
	v.tier = (enum usage_tier)tier;
	if (!e && n != 3 + (uint32_t)__builtin_popcountll(have))
		e = ERRC_CORRUPT;
	for (enum usage_class c = 0; !e && c < USAGE_COUNT; c++) {
		int64_t number;

		if (!(have >> c & 1))
			continue;
		e = mpack_read_i64(r, &number);
		if (!e && (number < 0 || number > USAGE_MAX))
			e = ERRC_CORRUPT;
		if (!e)
			usage_set(&v, c, number);
	}
	if (e)
		r->p = from;
	else
		*u = v;
	return e;
}
