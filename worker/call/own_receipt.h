/* What is told of one settled request to the key that made it: the whole receipt of GET /v1/receipts/{id}, and the body of GET
 * /v1/generation, which holds it beside the fields that OpenRouter's clients read. Pure; what is written goes behind what
 * `out` holds. What a request cost the operator is never in it. */
#ifndef AIGW_OWN_RECEIPT_H
#define AIGW_OWN_RECEIPT_H

#include "buf.h"
#include "msg.h"

/* `found` is the keeper's answer with status ERRC_OK, `account` the account's name. ERRC_NOTFOUND: it is no charge;
 * ERRC_CORRUPT, ERRC_VERSION. */
MUSTCHECK enum errc own_receipt(const struct msg_found *found, const char *account, struct buf *out);
MUSTCHECK enum errc own_receipt_generation(const struct msg_found *found, const char *account,
					   struct buf *out);

#endif
