/* The records of the ledger: name, sentence. The order is part of stored records: add at the end. */
RECORD_TYPE(CHARGE, "charge", "a request that was settled")
RECORD_TYPE(REVERSE, "reverse", "a charge taken back before it was durable")
RECORD_TYPE(ACCOUNT, "account", "an account was created or changed")
RECORD_TYPE(GRANT, "grant", "credit was added")
RECORD_TYPE(TAKE, "take", "credit was taken")
RECORD_TYPE(KEY, "key", "a key was created, changed or revoked")
RECORD_TYPE(GAP, "gap", "the live store was lost and rebuilt")
