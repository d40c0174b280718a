/* The program's error codes. A fallible function returns `enum errc` and is MUSTCHECK; results go to `*out` parameters,
 * last. Pull functions return 1 = got one, 0 = needs more input, <0 = -errc. */
#ifndef AIGW_ERRC_H
#define AIGW_ERRC_H

#include "check.h"

enum errc {
#define ERRC(name, text) ERRC_##name,
#include "errc_tbl.h"
#undef ERRC
	ERRC_COUNT
};

/* Static strings; "unknown" for a number that is no code. */
const char *errc_name(enum errc);
const char *errc_text(enum errc);

/* Translates an errno value. */
enum errc errc_from_errno(int err);

#endif
