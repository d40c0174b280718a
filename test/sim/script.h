/* The scripted model name: what an answer holds, how fast it comes, how it goes wrong. Pure. */
#ifndef AIGW_SCRIPT_H
#define AIGW_SCRIPT_H

#include "errc.h"
#include "slice.h"

enum script_fault {
#define SCRIPT_FAULT(id, word, text) SCRIPT_##id,
#include "script_fault_tbl.h"
#undef SCRIPT_FAULT
	SCRIPT_FAULT_COUNT
};

#define SCRIPT_WORD 48

struct script {
#define SCRIPT_CTYPE_NUM(m)        int64_t m
#define SCRIPT_CTYPE_MS(m)         int64_t m
#define SCRIPT_CTYPE_WORD(m)       char m[SCRIPT_WORD]
#define SCRIPT(m, type, def, text) SCRIPT_CTYPE_##type(m);
#include "script_tbl.h"
#undef SCRIPT
	enum script_fault kind; /* of `fault` */
	int64_t at;             /* its @N, 0 without */
};

/* Reads "anything" (all defaults) or "name?key=value&…". ERRC_SYNTAX names the offending part in `bad`. */
MUSTCHECK enum errc script_parse(struct slice model, struct script *out, struct slice *bad);
/* The table of parameters and faults, for --help. */
void script_help(void);

#endif
