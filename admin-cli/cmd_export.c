#include "ask.h"

/* Lines go out as they come: the whole may be larger than any memory. */
static enum errc write_lines(void *arg, const struct ask_row *r)
{
	struct ctl *c = arg;

	put_s(&c->text, ask_str(r, "text"));
	return ctl_flush(c) ? ERRC_OK : ERRC_IO;
}

enum control_status cmd_ledger_export(struct ctl *c)
{
	struct ask_answer a;
	enum control_status status = ask_command_each(c, write_lines, c, &a);

	ask_fini(&a);
	return status;
}
