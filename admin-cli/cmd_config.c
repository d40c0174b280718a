#include "view.h"

#include <stdio.h>
#include <unistd.h>

#include "config.h"
#include "config_message.h"
#include "messages.h"
#include "json_out.h"

/* --- check --- */

/* Checks a file here, with this environment; makes the answer that a daemon would give. */
static enum control_status check_here(struct ctl *c, const char *path, struct ask_answer *a)
{
	struct config_opts o = {.path = path, .env = c->env, .strict = parse_has(&c->p, "strict")};
	struct config_message first = {.text = SLICE_LIT("refused")};
	struct slice lines;
	struct buf messages;
	enum errc checked, e;

	buf_init(&messages, CONFIG_MESSAGES_MAX);
	checked = config_check(&o, &messages);
	lines = buf_slice(&messages);
	if (!checked)
		a->message = arena_dup(&a->arena, config_message_cut_last(&lines));
	e = messages_add(a, lines);
	if (e)
		a->status = ctl_fail(c, CONTROL_REFUSED, "failed", "%s", errc_text(e));
	else if (checked) {
		(void)config_message_first_error(lines, &first);
		a->status = ctl_fail(c, CONTROL_FINDINGS, "invalid_config", SLICE_FMT,
				     SLICE_ARG(first.text));
		snprintf(c->fail.file, sizeof(c->fail.file), SLICE_FMT, SLICE_ARG(first.file));
		c->fail.line = (unsigned)first.line;
	}
	buf_fini(&messages);
	return a->status;
}

static size_t errors_in(const struct ask_answer *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n; i++)
		n += slice_is(ask_str(&a->rows[i], "level"), "error");
	return n;
}

/* The errors were printed as messages already: the last line only counts them. */
static void count_errors(struct ctl *c, const struct ask_answer *a, const char *what)
{
	size_t n = errors_in(a);

	if (c->json || n == 0 || !c->fail.code[0])
		return;
	c->fail.file[0] = '\0';
	snprintf(c->fail.message, sizeof(c->fail.message), "%s: %zu error%s", what, n,
		 n == 1 ? "" : "s");
}

enum control_status cmd_config_check(struct ctl *c)
{
	struct slice file = parse_local_str(&c->p, "file");
	struct ask_answer a;
	enum control_status status;

	if (file.p) {
		ask_init(&a);
		status = check_here(c, file.p, &a); /* argv's: a NUL stands behind it */
	} else
		status = ask_command(c, &a);
	if (c->json)
		view_show(c, CONTROL_DO_CONFIG_CHECK, &a);
	else {
		messages_put(&a, &c->out, &c->text);
		put_safe(&c->text, a.message);
		put_z(&c->text, a.message.n ? "\n" : "");
	}
	count_errors(c, &a, "the configuration is not valid");
	ask_fini(&a);
	return status;
}

/* --- reload --- */

enum control_status cmd_reload(struct ctl *c)
{
	struct ask_answer a;
	enum control_status status = ask_command(c, &a);
	struct put p;

	if (c->json) {
		view_show(c, CONTROL_DO_RELOAD, &a);
	} else {
		put_init(&p);
		messages_put(&a, &c->err, &p);
		if (put_flush(&p, c->err.fd))
			ctl_fail(c, CONTROL_REFUSED, "output", "the messages could not be written");
		put_fini(&p);
		view_part(c, CONTROL_DO_RELOAD, &a, "change", NULL);
		put_safe(&c->text, a.message);
		put_z(&c->text, a.message.n ? "\n" : "");
	}
	count_errors(c, &a, "nothing was changed");
	ask_fini(&a);
	return status;
}

/* --- show --- */

static void json_text(struct ctl *c, const struct ask_answer *a)
{
	struct put all;
	struct json_out o;
	enum errc e;

	put_init(&all);
	for (size_t i = 0; i < a->n; i++)
		put_s(&all, ask_str(&a->rows[i], "text"));
	json_out_init(&o, &c->text.b);
	json_out_obj(&o);
	json_out_kstr(&o, "yaml", buf_slice(&all.b));
	json_out_obj_end(&o);
	e = json_out_end(&o);
	put_fail(&c->text, e ? e : all.err);
	put_z(&c->text, "\n");
	put_fini(&all);
}

enum control_status cmd_config_show(struct ctl *c)
{
	struct ask_answer a;
	enum control_status status = ask_command(c, &a);

	if (status == CONTROL_DONE && c->json)
		json_text(c, &a);
	for (size_t i = 0; i < a.n && !c->json; i++)
		put_s(&c->text, ask_str(&a.rows[i], "text"));
	ask_fini(&a);
	return status;
}
