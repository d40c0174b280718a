#include "bill.h"

static void add(struct bill *b, const char *unit, int64_t n, money_wide price_pusd)
{
	struct bill_line *l = &b->lines[b->n++];

	*l = (struct bill_line){unit, n, price_pusd, n * price_pusd};
	b->sum_pusd += l->amount_pusd;
}

void bill_make(const struct price *p, const struct usage *u, struct bill *out)
{
	int64_t reasoning = usage_reasoning(u);

	*out = (struct bill){.n = 0};
	for (enum usage_class c = 0; c < USAGE_COUNT; c++) {
		int64_t n = c == USAGE_REASONING ? reasoning : usage_get(u, c);

		if (!usage_has(u, c))
			continue;
		if (c == USAGE_OUTPUT)
			n -= reasoning;
		add(out, usage_name(c), n, p->free ? 0 : p->pusd[c]);
	}
	if (p->request_nusd && !p->free)
		add(out, "request", 1, (money_wide)p->request_nusd * MONEY_PUSD_NUSD);
	out->scaled_ausd = out->sum_pusd * p->mult_ppm;
	out->total_nusd = price_cost(p, u);
}

size_t bill_print(money_wide v, unsigned scale, char *out)
{
	char digits[BILL_TEXT_MAX], *end = digits + sizeof(digits), *p = end;
	size_t whole, frac = scale, n;

	require(v >= 0 && scale >= 1 && scale <= BILL_AUSD);
	for (; v || (size_t)(end - p) <= frac; v /= 10)
		*--p = (char)('0' + (int)(v % 10));
	whole = (size_t)(end - p) - frac;
	for (; frac > 1 && end[-1] == '0'; frac--)
		end--;
	memcpy(out, p, whole);
	out[whole] = '.';
	memcpy(out + whole + 1, p + whole, frac);
	n = whole + 1 + frac;
	out[n] = '\0';
	return n;
}
