/* What a ledger is opened with, and what may be wrong with its file. */
#ifndef AIGW_LEDGER_OPTS_H
#define AIGW_LEDGER_OPTS_H

#include <stdbool.h>
#include <stdint.h>

#define LEDGER_LAYOUT    14
#define LEDGER_MAP_BYTES (UINT64_C(1) << 40)
#define LEDGER_MAP_LEAST (UINT64_C(1) << 30)

/* With ERRC_CORRUPT. GONE: there is no file, or nothing is in it, though there was a ledger. SHORT: its
 * end is missing. */
enum ledger_fault { LEDGER_NO_FAULT, LEDGER_GONE, LEDGER_SHORT };

struct ledger_opts {
	const char *dir; /* borrowed during the call; the file is `<dir>/ledger/data.mdb` */
	const uint8_t *id; /* LIVE_ID bytes: the identity of a new ledger, and that of the one that is there; NULL: a random
			       one, or any */
	bool read_only;     /* ledger verify on a stopped node */
	bool was_there;     /* this state folder has had a ledger: none is made in its place */
	uint64_t map_bytes; /* 0: LEDGER_MAP_BYTES (sparse), less where addresses are short */
	enum ledger_fault *fault; /* NULL, or where it is told what is wrong */
};

#endif
