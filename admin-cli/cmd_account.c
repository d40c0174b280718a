#include "view.h"

enum control_status cmd_account_create(struct ctl *c)
{
	if (parse_has(&c->p, "postpaid") && parse_has(&c->p, "overdraft_nusd"))
		return ctl_fail(c, CONTROL_USAGE, "usage", "--postpaid has no use for --overdraft");
	return cmd_plain(c);
}

enum control_status cmd_account_credit(struct ctl *c)
{
	bool add = parse_has(&c->p, "add_nusd"), take = parse_has(&c->p, "take_nusd");

	if (add == take)
		return ctl_fail(c, CONTROL_USAGE, "usage",
				add ? "--add and --take exclude each other"
				    : "--add DOLLARS or --take DOLLARS is needed");
	return cmd_plain(c);
}
