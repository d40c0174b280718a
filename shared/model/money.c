#include "money.h"

#include "text.h"

bool money_add(int64_t a, int64_t b, int64_t *out)
{
	int64_t sum;

	if (__builtin_add_overflow(a, b, &sum) || sum > MONEY_NUSD_MAX || sum < -MONEY_NUSD_MAX)
		return false;
	*out = sum;
	return true;
}

bool money_sub(int64_t a, int64_t b, int64_t *out)
{
	int64_t diff;

	if (__builtin_sub_overflow(a, b, &diff) || diff > MONEY_NUSD_MAX || diff < -MONEY_NUSD_MAX)
		return false;
	*out = diff;
	return true;
}

int64_t money_from_pusd(money_wide pusd)
{
	money_wide nusd;

	require(pusd >= 0);
	if (pusd <= INT64_MAX) /* nearly all: 128 bits are divided by a function */
		nusd = (int64_t)pusd / MONEY_PUSD_NUSD + ((int64_t)pusd % MONEY_PUSD_NUSD != 0);
	else
		nusd = pusd / MONEY_PUSD_NUSD + (pusd % MONEY_PUSD_NUSD != 0);
	return nusd > MONEY_NUSD_MAX ? MONEY_NUSD_MAX : (int64_t)nusd;
}

size_t money_print(int64_t nusd, int min_frac, char *out)
{
	return text_decimal_print(nusd, 9, min_frac, out);
}

enum errc money_parse(struct slice text, int64_t *nusd)
{
	int64_t v = 0;
	enum errc e = text_decimal(text, 9, &v);

	if (e)
		return e;
	if (v > MONEY_NUSD_MAX || v < -MONEY_NUSD_MAX)
		return ERRC_RANGE;
	*nusd = v;
	return ERRC_OK;
}
