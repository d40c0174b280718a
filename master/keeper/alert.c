#include "alert.h"

#include "log.h"

static bool passes(const struct book_use *u, int percent)
{
	money_wide at = (money_wide)u->limit_nusd * percent / 100;

	return u->before_nusd < at && u->after_nusd >= at;
}

int alert_passed(const struct book_use *u, int percent)
{
	if (passes(u, 100))
		return 100;
	return percent > 0 && passes(u, percent) ? percent : 0;
}

void alert_use(void *arg, const struct book_use *u)
{
	struct alert *a = arg;
	int passed = alert_passed(u, atomic_load(&a->percent));
	const struct log_field f[] = {LOG_S("account", u->account_name),
				      LOG_Z("scope", rows_scope_word(u->scope)),
				      LOG_S("name", u->name),
				      LOG_Z("rule", u->rule),
				      LOG_Z("models", u->models),
				      LOG_I("percent", passed),
				      LOG_NUSD("limit_usd", u->limit_nusd),
				      LOG_NUSD("used_usd", u->after_nusd)};

	if (passed && log_wants(LOG_WARN))
		log_line(LOG_WARN, "budget_threshold", f, ARRAY_LEN(f));
}
