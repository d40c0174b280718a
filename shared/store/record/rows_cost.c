#include "rows_cost.h"

#include "rows_priv.h"

_Static_assert(ROWS_COST_ROW_MAX == ROWS_PACKED_MAX(ROWS_COST_N), "as rows_pack() has it");
_Static_assert(sizeof(struct price_when) == PRICE_WHEN_N * sizeof(int64_t), "is stored as numbers");

/* The places of the numbers behind those of the classes. */
enum { AT_REQUEST = USAGE_COUNT, AT_MULT, AT_FREE, AT_WHEN };

/* What a class has that is priced like another one; 0 where it falls back to none. */
static int64_t inherited(const struct price *p, enum usage_class c)
{
	enum usage_class from = usage_fallback(c);

	return from == c ? 0 : p->pusd[from];
}

size_t rows_cost_pack(const struct price *const *rows, size_t n, uint8_t out[ROWS_COST_MAX])
{
	static const uint8_t none[ROWS_COST_N];
	size_t len = 0;

	require(n <= TARIFF_TIERS);
	for (size_t i = 0; i < n; i++) {
		const struct price *p = rows[i];
		int64_t v[ROWS_COST_N];

		for (enum usage_class c = 0; c < USAGE_COUNT; c++)
			v[c] = p->pusd[c] == inherited(p, c) ? 0 : p->pusd[c] + 1;
		v[AT_REQUEST] = p->request_nusd;
		v[AT_MULT] = p->mult_ppm - PRICE_PPM;
		v[AT_FREE] = p->free;
		memcpy(&v[AT_WHEN], &p->when, sizeof p->when);
		len += rows_pack(out + len, v, none, ROWS_COST_N);
	}
	return len;
}

static bool is_within(int64_t n, int64_t min, int64_t max)
{
	return n >= min && n <= max;
}

static bool unpack(struct rows_reader *r, struct price *p)
{
	int64_t v[ROWS_COST_N];

	if (!rows_unpack(r, v, ROWS_COST_N))
		return false;
	/* A class stands behind the one whose price it takes over. */
	for (enum usage_class c = 0; c < USAGE_COUNT; c++) {
		if (!is_within(v[c], 0, MONEY_PUSD_MAX + 1))
			return false;
		p->pusd[c] = v[c] ? v[c] - 1 : inherited(p, c);
	}
	p->request_nusd = v[AT_REQUEST];
	p->free = v[AT_FREE];
	memcpy(&p->when, &v[AT_WHEN], sizeof p->when);
	if (!is_within(v[AT_MULT], 1 - PRICE_PPM, PRICE_PPM_MAX - PRICE_PPM))
		return false;
	p->mult_ppm = v[AT_MULT] + PRICE_PPM;
	return is_within(p->request_nusd, 0, MONEY_NUSD_MAX) && is_within(v[AT_FREE], 0, 1);
}

enum errc rows_cost_pick(struct slice bytes, int64_t input, enum usage_tier tier, struct price *out)
{
	struct rows_reader r = {bytes.p, bytes.n};

	do {
		if (!unpack(&r, out))
			return ERRC_CORRUPT;
	} while (r.left > 0 && !price_counts_for(out, input, tier));
	return ERRC_OK;
}
