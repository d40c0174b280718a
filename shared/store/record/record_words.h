/* Administrative changes in words, for people who read the ledger: "root: granted 5.0 dollars to account acme (first
 * payment)". Pure. */
#ifndef AIGW_RECORD_WORDS_H
#define AIGW_RECORD_WORDS_H

#include "record.h"

/* Appends. `account` is the account's name, empty when it is not known. Charges have no words. */
MUSTCHECK enum errc record_words(struct buf *out, const struct record *r, struct slice account);

#endif
