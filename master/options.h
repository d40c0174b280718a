/* The command line of aigwd. */
#ifndef AIGW_OPTIONS_H
#define AIGW_OPTIONS_H

#include "errc.h"

enum options_action {
	OPTIONS_RUN,
	OPTIONS_CHECK,
	OPTIONS_PRINT,
	OPTIONS_VERSIONS,
	OPTIONS_VERSION,
	OPTIONS_HELP
};

struct options {
	enum options_action action;
	const char *config; /* borrowed from argv; NULL: the default path or none */
	bool strict, origin;
};

/* ERRC_INVAL when the line is wrong; then a sentence that says why is on stderr. */
MUSTCHECK enum errc options_parse(int argc, char **argv, struct options *out);
extern const char options_help[];

#endif
