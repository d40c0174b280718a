#include "view.h"

/* The first `named` fields say what is changed; there must be more. */
static enum control_status update(struct ctl *c, size_t named)
{
	if (c->p.send.n <= named)
		return ctl_fail(c, CONTROL_USAGE, "usage", "nothing to change is given");
	return cmd_plain(c);
}

static enum control_status no_account(struct ctl *c)
{
	return ctl_fail(c, CONTROL_USAGE, "usage",
			"--account NAME is needed: the account that it belongs to");
}

enum control_status cmd_update(struct ctl *c)
{
	return update(c, 1);
}

enum control_status cmd_of_account(struct ctl *c)
{
	return parse_has(&c->p, "account") ? cmd_plain(c) : no_account(c);
}

enum control_status cmd_of_account_update(struct ctl *c)
{
	return parse_has(&c->p, "account") ? update(c, 2) : no_account(c);
}
