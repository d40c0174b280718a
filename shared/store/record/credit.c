#include "credit.h"

#include "money.h"

int64_t credit_limit(const struct rows_account *a)
{
	int64_t overdraft = a->mode == ROWS_POSTPAID ? MONEY_NUSD_MAX : a->overdraft_nusd;

	return MIN_OF(a->granted_nusd + overdraft, MONEY_NUSD_MAX);
}

int64_t credit_available(const struct rows_account *a)
{
	money_wide left = (money_wide)credit_limit(a) - a->settled_nusd - a->held_nusd;

	return left < -MONEY_NUSD_MAX ? -MONEY_NUSD_MAX : (int64_t)left;
}

bool credit_is_limited(const struct rows_account *a)
{
	return a->mode == ROWS_PREPAID || credit_available(a) < MONEY_NUSD_MAX / 2;
}
