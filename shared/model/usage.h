/* What a request used, in the gateway's own terms: disjoint token classes and pieces (usage_tbl.h), whatever
 * way the provider counts. Each number is given or "not reported": 0 and missing differ, an
 * explicit zero is the truth. Pure. */
#ifndef AIGW_USAGE_H
#define AIGW_USAGE_H

#include "errc.h"
#include "mpack_quick.h"

enum usage_side { USAGE_SIDE_IN, USAGE_SIDE_OUT, USAGE_SIDE_OF, USAGE_SIDE_EACH };

enum usage_class {
#define USAGE(id, name, side, fallback) USAGE_##id,
#include "usage_tbl.h"
#undef USAGE
	USAGE_COUNT
};

/* At which of its prices the provider ran the request; unsaid is the standard one. Stored: new ones go to the end. */
enum usage_tier {
	USAGE_TIER_NONE,
	USAGE_TIER_STANDARD,
	USAGE_TIER_FLEX,
	USAGE_TIER_PRIORITY,
	USAGE_TIER_COUNT
};

/* Numbers above are cut to it: a provider's nonsense must not overflow a sum. */
#define USAGE_MAX INT64_C(1000000000000)

struct usage {
	uint32_t have;  /* one bit a class that was reported or estimated */
	bool estimated; /* at least one number is our own estimate */
	bool undivided; /* INPUT is the total of both sides: nobody said how it divides */
	bool rest; /* INPUT and OUTPUT are what the other classes leave of a total of their side */
	enum usage_tier tier;
	int64_t n[USAGE_COUNT];
};

const char *usage_name(enum usage_class c);
enum usage_side usage_side_of(enum usage_class c);
/* The class whose price counts where a model's price names none for this one; itself for input, output and
 * pieces. */
enum usage_class usage_fallback(enum usage_class c);
/* USAGE_COUNT when there is no such name. */
enum usage_class usage_class_of(struct slice name);

/* "standard", "flex", "priority"; "" for none. */
const char *usage_tier_name(enum usage_tier t);
/* USAGE_TIER_NONE when there is no price of this name. */
enum usage_tier usage_tier_of(struct slice name);

void usage_init(struct usage *u);
/* Negative numbers count as 0, those above USAGE_MAX as that, which is an estimate. */
void usage_set(struct usage *u, enum usage_class c, int64_t n);
static inline bool usage_has(const struct usage *u, enum usage_class c)
{
	return (u->have >> c) & 1;
}
/* 0 when not reported. */
static inline int64_t usage_get(const struct usage *u, enum usage_class c)
{
	return usage_has(u, c) ? u->n[c] : 0;
}
/* True when nothing was reported. */
static inline bool usage_is_empty(const struct usage *u)
{
	return u->have == 0;
}

/* Takes every number, and the tier, that `newer` has: streams report cumulative numbers several times. A total that nobody divided says
 * nothing new to one who knows both sides. Where `newer` counts by totals (`rest`), a side is as large afterwards as it says, or as before where
 * it gives only parts of it: classes that it does not name stay, for nothing contradicts them, as far as the total and what it names leave room. */
void usage_merge(struct usage *u, const struct usage *newer);

/* Divides a total that nobody divided: as much of it is output as was `seen` (or is known), and no less than what the bound of
 * the input leaves. Nothing happens to any other usage. */
void usage_divide(struct usage *u, int64_t seen, int64_t input_bound);
/* Output of which nobody said how much is reasoning, not even that none is, has the share of it that the output which was `seen` had. */
void usage_divide_output(struct usage *u, int64_t seen, int64_t reasoning);

/* Moves as much as `n` of the output into a class of it of which nobody said how much there is, not even that there is none. */
void usage_take_output(struct usage *u, enum usage_class to, int64_t n);

/* Sums of a side, as clients and token limits count: everything read (caches included), everything
 * generated. */
int64_t usage_input_total(const struct usage *u);
int64_t usage_output_total(const struct usage *u);
int64_t usage_total(const struct usage *u);
/* Reasoning, never more than output: some providers report it beside. */
int64_t usage_reasoning(const struct usage *u);

/* One msgpack value; reading accepts fewer classes than today's (older records). */
void usage_pack(struct mpack_out *o, const struct usage *u);
MUSTCHECK
enum errc usage_unpack(struct mpack_in *r, struct usage *u);
/* The same of the common form alone, in the caller's own code (mpack_quick.h): numbers that are not there stay as they were. False: it
 * has another form, and *u is torn. */
MPACK_QUICK usage_unpack_quick(struct mpack_in *r, struct usage *u)
{
	struct mpack_in at = *r;
	uint64_t have, tier;
	uint32_t n;

	if (!mpack_quick_arr(&at, &n) || !mpack_quick_u64(&at, &have) ||
	    !mpack_quick_bool(&at, &u->estimated) || !mpack_quick_u64(&at, &tier) ||
	    have >> USAGE_COUNT || tier >= USAGE_TIER_COUNT)
		return false;
	u->have = (uint32_t)have;
	u->tier = (enum usage_tier)tier;
	u->undivided = u->rest = false;
	for (n -= 3; have; have &= have - 1, n--) {
		int64_t *number = &u->n[__builtin_ctzll(have)];

		if (!mpack_quick_i64(&at, number) || *number > USAGE_MAX)
			return false;
	}
	if (n != 0)
		return false;
	*r = at;
	return true;
}

#endif
