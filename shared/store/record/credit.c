#include "credit.h"

#include "money.h"

bool credit_has_floor(const struct rows_account *a)
{
	return a->mode == ROWS_PREPAID && !(a->flags & ROWS_ACCOUNT_SHADOW);
}

int64_t credit_limit(const struct rows_account *a)
{
	int64_t overdraft = credit_has_floor(a) ? a->overdraft_nusd : MONEY_NUSD_MAX;

	return MIN_OF(a->granted_nusd + overdraft, MONEY_NUSD_MAX);
}

int64_t credit_available(const struct rows_account *a)
{
	money_wide left = (money_wide)credit_limit(a) - a->settled_nusd - a->held_nusd;

	return left < -MONEY_NUSD_MAX ? -MONEY_NUSD_MAX : (int64_t)left;
}

bool credit_is_limited(const struct rows_account *a)
{
	return credit_has_floor(a) || credit_available(a) < MONEY_NUSD_MAX / 2;
}

struct rows_account credit_out_of_shadow(const struct rows_account *a)
{
	struct rows_account out = *a;

	out.flags &= (uint8_t)~ROWS_ACCOUNT_SHADOW;
	return out;
}
