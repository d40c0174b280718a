#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

const char options_help[] =
	"usage: aigwd [-c FILE] [-t [--strict] | -T [--origin] | -V]\n"
	"\n"
	"  -c, --config FILE   the configuration; default $AIGW_CONFIG, else /etc/aigw/aigw.yaml, "
	"else none:\n"
	"                      127.0.0.1:8080 and every provider whose customary environment "
	"variable is set\n"
	"  -t, --check         check the configuration and exit (0: good, 1: not)\n"
	"      --strict        with -t: secrets that are not set are errors\n"
	"  -T, --print         print the merged configuration (secrets as ***) and exit\n"
	"      --origin        with -T: where each value comes from\n"
	"  -V, --versions      print the versions of all libraries and exit (1: a bad one)\n"
	"      --version       print the version and exit\n"
	"  -h, --help          print this and exit\n"
	"\n"
	"Signals: HUP reload, TERM and QUIT drain, INT drain and, again, stop now, USR1 reopen "
	"logs.\n";

static const struct option longs[] = {
	{"config", required_argument, NULL, 'c'},
	{"check", no_argument, NULL, 't'},
	{"strict", no_argument, NULL, 's'},
	{"print", no_argument, NULL, 'T'},
	{"origin", no_argument, NULL, 'o'},
	{"versions", no_argument, NULL, 'V'},
	{"version", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static bool take(struct options *o, int c)
{
	switch (c) {
	case 'c':
		o->config = optarg;
		return true;
	case 's':
		o->strict = true;
		return true;
	case 'o':
		o->origin = true;
		return true;
	case 't':
		o->action = OPTIONS_CHECK;
		return true;
	case 'T':
		o->action = OPTIONS_PRINT;
		return true;
	case 'V':
		o->action = OPTIONS_VERSIONS;
		return true;
	case 'v':
		o->action = OPTIONS_VERSION;
		return true;
	case 'h':
		o->action = OPTIONS_HELP;
		return true;
	default:
		return false;
	}
}

enum errc options_parse(int argc, char **argv, struct options *out)
{
	int c;

	*out = (struct options){.action = OPTIONS_RUN};
	while ((c = getopt_long(argc, argv, "c:tTVh", longs, NULL)) != -1) {
		if (!take(out, c)) {
			fputs("'aigwd --help' explains the options.\n", stderr);
			return ERRC_INVAL;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "aigwd: unexpected argument '%s'\n", argv[optind]);
		return ERRC_INVAL;
	}
	if (out->strict && out->action != OPTIONS_CHECK && out->action != OPTIONS_RUN) {
		fprintf(stderr, "aigwd: --strict goes with -t\n");
		return ERRC_INVAL;
	}
	return ERRC_OK;
}
