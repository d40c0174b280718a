#include "complete.h"
#include "ctl.h"

enum control_status cmd_completion(struct ctl *c)
{
	require(complete_script(&c->text, parse_local_str(&c->p, "shell")));
	return CONTROL_DONE;
}
