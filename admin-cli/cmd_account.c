#include "view.h"

enum control_status cmd_account_create(struct ctl *c)
{
	if (parse_has(&c->p, "postpaid") && parse_has(&c->p, "overdraft_nusd"))
		return ctl_fail(c, CONTROL_USAGE, "usage", "--postpaid has no use for --overdraft");
	return cmd_plain(c);
}

enum control_status cmd_account_credit(struct ctl *c)
{
	if (parse_has(&c->p, "add_nusd") == parse_has(&c->p, "take_nusd"))
		return ctl_fail(c, CONTROL_USAGE, "usage", "one of --add and --take is needed");
	return cmd_plain(c);
}
