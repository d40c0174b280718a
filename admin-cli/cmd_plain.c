/* The commands that ask and show: the tables say everything. */
#include "view.h"

enum control_status cmd_plain(struct ctl *c)
{
	enum control_verb verb = c->p.cmd->verb;
	struct ask_answer a;
	enum control_status status = ask_command(c, &a);

	view_show(c, verb, &a);
	ask_fini(&a);
	return status;
}
