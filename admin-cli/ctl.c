#include "ctl.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "help.h"
#include "interrupt.h"
#include "json_out.h"

enum control_status ctl_fail(struct ctl *c, enum control_status status, const char *code,
			     const char *fmt, ...)
{
	va_list ap;

	if (c->fail.code[0])
		return status;
	c->fail.status = status;
	snprintf(c->fail.code, sizeof(c->fail.code), "%s", code);
	va_start(ap, fmt);
	(void)vsnprintf(c->fail.message, sizeof(c->fail.message), fmt, ap);
	va_end(ap);
	return status;
}

bool ctl_flush(struct ctl *c)
{
	enum errc e = put_flush(&c->text, c->out.fd);

	if (e)
		ctl_fail(c, CONTROL_REFUSED, "output", "the output could not be written: %s",
			 errc_text(e));
	return e == ERRC_OK;
}

/* --- the socket --- */

static bool socket_path(struct ctl *c, char *out, size_t n)
{
	const char *from_env = term_env(c->env, "AIGW_SOCKET");
	struct slice path = parse_local_str(&c->p, "socket");

	if (!path.p && from_env && from_env[0])
		path = slice_str(from_env);
	if (!path.p)
		return config_default_socket(c->env, out, n);
	if (path.n >= n)
		return false;
	memcpy(out, path.p, path.n);
	out[path.n] = '\0';
	return true;
}

static int connect_failed(struct ctl *c, const char *path, int err)
{
	if (err == EACCES || err == EPERM)
		c->connect_status = ctl_fail(
			c, CONTROL_NOT_ALLOWED, "not_allowed",
			"%s: %s: the control socket is for root, the user of aigwd, and its group",
			path, strerror(err));
	else
		c->connect_status = ctl_fail(c, CONTROL_NO_DAEMON, "no_daemon",
					     "no aigwd answers on %s: %s (--socket PATH or "
					     "AIGW_SOCKET names another socket)",
					     path, strerror(err));
	return -1;
}

int ctl_connect(struct ctl *c)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd, err;

	if (!socket_path(c, a.sun_path, sizeof(a.sun_path))) {
		c->connect_status = ctl_fail(c, CONTROL_USAGE, "usage",
					     "the path of the control socket is too long");
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	err = errno;
	if (fd >= 0)
		close(fd);
	return connect_failed(c, a.sun_path, err);
}

/* --- the end --- */

static void fail_json(struct ctl *c, struct put *p)
{
	struct json_out o;
	enum errc e;

	json_out_init(&o, &p->b);
	json_out_obj(&o);
	json_out_key(&o, "error");
	json_out_obj(&o);
	json_out_kstrz(&o, "code", c->fail.code);
	json_out_kstrz(&o, "message", c->fail.message);
	json_out_kstrz(&o, "file", c->fail.file[0] ? c->fail.file : NULL);
	if (c->fail.line)
		json_out_ki64(&o, "line", c->fail.line);
	else
		json_out_knull(&o, "line");
	json_out_obj_end(&o);
	json_out_obj_end(&o);
	e = json_out_end(&o);
	put_fail(p, e);
	put_z(p, "\n");
}

static void fail_text(struct ctl *c, struct put *p)
{
	const char *named = c->p.cmd ? c->p.cmd->words : c->p.group ? c->p.group->words : NULL;

	term_put(&c->err, p, TERM_BAD, SLICE_LIT("aigwctl:"));
	put_z(p, " ");
	if (c->fail.file[0]) {
		put_safe(p, slice_str(c->fail.file));
		put_f(p, ":%u: ", c->fail.line);
	}
	put_safe(p, slice_str(c->fail.message));
	put_z(p, "\n");
	if (c->fail.status != CONTROL_USAGE)
		return;
	help_usage(p, c->p.group, c->p.cmd);
	put_f(p, "'aigwctl%s%s --help' explains it.\n", named ? " " : "", named ? named : "");
}

static void print_fail(struct ctl *c)
{
	struct put p;

	if (!c->fail.code[0])
		return;
	put_init(&p);
	if (c->json)
		fail_json(c, &p);
	else
		fail_text(c, &p);
	(void)!put_flush(&p, c->err.fd);
	put_fini(&p);
}

/* Said even though the line was not understood to its end. */
static bool wants_json(int argc, char *const *argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--json") == 0)
			return true;
	}
	return false;
}

static enum control_status run(struct ctl *c, int argc, char *const *argv)
{
	enum errc e = parse_args(&c->p, argc, argv);

	c->json = wants_json(argc, argv);
	if (e == ERRC_INVAL)
		return ctl_fail(c, CONTROL_USAGE, "usage", "%s", c->p.error);
	if (e)
		return ctl_fail(c, CONTROL_REFUSED, "failed", "%s", errc_text(e));
	if (c->p.want == PARSE_HELP)
		help_show(&c->text, &c->out, c->p.group, c->p.cmd, c->out.width);
	else if (c->p.want == PARSE_VERSION)
		put_z(&c->text, "aigwctl " AIGW_VERSION "\n");
	else
		return c->p.cmd->run(c);
	return CONTROL_DONE;
}

int ctl_main(int argc, char *const *argv, char *const *env, int out_fd, int err_fd,
	     int (*connect_fn)(struct ctl *))
{
	struct ctl c = {.env = env, .connect = connect_fn, .connect_status = CONTROL_REFUSED};
	enum control_status status;

	parse_init(&c.p, clock_wall_ms());
	put_init(&c.text);
	term_init(&c.out, out_fd, env);
	term_init(&c.err, err_fd, env);
	status = run(&c, argc > 0 ? argc - 1 : 0, argv + (argc > 0));
	if (!ctl_flush(&c) && status == CONTROL_DONE)
		status = CONTROL_REFUSED;
	print_fail(&c);
	put_fini(&c.text);
	parse_fini(&c.p);
	if (c.die_of)
		interrupt_die(c.die_of);
	return (int)status;
}
