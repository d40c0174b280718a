#include "view.h"

/* The one time that the key is seen: on its own line, so that nobody overlooks or truncates it. */
static void show_new_key(struct ctl *c, const struct ask_answer *a)
{
	const struct ask_row *r = ask_row_of(a, "key");
	struct put note;

	if (!r)
		return;
	view_sheet(c, r, "key");
	view_part(c, c->p.cmd->verb, a, "limit", "limits");
	put_z(&c->text, "\n");
	term_put(&c->out, &c->text, TERM_BOLD, ask_str(r, "key"));
	put_z(&c->text, "\n");
	if (!ctl_flush(c))
		return;
	put_init(&note);
	put_z(&note, "Keep this key now: it is stored nowhere and will not be shown again.\n");
	(void)!put_flush(&note, c->err.fd);
	put_fini(&note);
}

enum control_status cmd_key_create(struct ctl *c)
{
	struct ask_answer a;
	enum control_status status;

	if (c->p.cmd->verb == CONTROL_DO_KEY_CREATE && !parse_has(&c->p, "account"))
		return ctl_fail(c, CONTROL_USAGE, "usage",
				"--account NAME is needed: the account that pays");
	status = ask_command(c, &a);
	if (status == CONTROL_DONE && !c->json)
		show_new_key(c, &a);
	else
		view_show(c, c->p.cmd->verb, &a);
	ask_fini(&a);
	return status;
}
