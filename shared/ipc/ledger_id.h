/* The node's ledger_id: 32 hexadecimal digits in the text file state/ledger_id, made once by the master before anything
 * else exists, so that the live folder can be named without opening the ledger. */
#ifndef AIGW_LEDGER_ID_H
#define AIGW_LEDGER_ID_H

#include "errc.h"

#define LEDGER_ID_DIGITS 32

/* Reads state/ledger_id, or makes it, whole and on disk, see files_put(): the caller has the state folder's master.lock. `out`
 * holds LEDGER_ID_DIGITS + 1 bytes. ERRC_CORRUPT when the file is not 32 digits. */
MUSTCHECK enum errc ledger_id_open(const char *state, char *out);

#endif
