/* aigwd: picks the role. Without a heritage it is the command that an operator starts, or the master. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "config.h"
#include "drop.h"
#include "heritage.h"
#include "keeper.h"
#include "master.h"
#include "options.h"
#include "versions.h"
#include "worker.h"

static const char *config_path(const struct options *o)
{
	static char path[PATH_MAX];

	if (o->config)
		return o->config;
	return config_default_path(environ, path, sizeof(path)) ? path : NULL;
}

static int check(const struct options *o)
{
	const struct config_opts c = {.path = config_path(o), .env = environ, .strict = o->strict};
	struct buf messages;
	enum errc e;

	buf_init(&messages, CONFIG_MESSAGES_MAX);
	e = config_check(&c, &messages);
	fputs(messages.len && buf_cstr(&messages) ? messages.p : "", e ? stderr : stdout);
	if (e && messages.len == 0)
		fprintf(stderr, "aigwd: %s\n", errc_text(e));
	buf_fini(&messages);
	return e ? 1 : 0;
}

static int print(const struct options *o)
{
	const struct config_opts c = {.path = config_path(o), .env = environ};
	struct config *conf = NULL;
	struct buf messages, text;
	enum errc e;

	buf_init(&messages, CONFIG_MESSAGES_MAX);
	buf_init(&text, CONFIG_PRINT_MAX);
	e = config_load(&c, &messages, &conf);
	if (!e)
		e = config_print(conf, o->origin, &text);
	fputs(messages.len && buf_cstr(&messages) ? messages.p : "", stderr);
	if (!e && fwrite(text.p, 1, text.len, stdout) != text.len)
		e = ERRC_IO;
	if (e && messages.len == 0)
		fprintf(stderr, "aigwd: %s\n", errc_text(e));
	config_free(&conf);
	buf_fini(&messages);
	buf_fini(&text);
	return e ? 1 : 0;
}

static int command(int argc, char **argv)
{
	struct options o;

	if (options_parse(argc, argv, &o))
		return 2;
	switch (o.action) {
	case OPTIONS_CHECK:
		return check(&o);
	case OPTIONS_PRINT:
		return print(&o);
	case OPTIONS_VERSIONS:
		return versions_print(stdout) ? 0 : 1;
	case OPTIONS_VERSION:
		puts("aigwd " AIGW_VERSION);
		return 0;
	case OPTIONS_HELP:
		fputs(options_help, stdout);
		return 0;
	case OPTIONS_RUN:
		break;
	}
	return versions_check(stderr) ? master_main(&o) : 1;
}

/* A child gives up again what exec gave back. */
static int child(const struct heritage *h)
{
	(void)prctl(PR_SET_NAME, h->role == HERITAGE_KEEPER ? "aigwd-keeper" : "aigwd-worker", 0, 0,
		    0);
	if (drop_harden()) {
		fprintf(stderr, "aigwd: %s: cannot give up privileges\n",
			heritage_role_name(h->role));
		return 1;
	}
	return h->role == HERITAGE_KEEPER ? keeper_main(h) : worker_main(h);
}

int main(int argc, char **argv)
{
	static struct heritage h;

	if (heritage_take(&h)) {
		fprintf(stderr, "aigwd: the heritage is not one of this version\n");
		return 1;
	}
	return h.role == HERITAGE_MASTER ? command(argc, argv) : child(&h);
}
