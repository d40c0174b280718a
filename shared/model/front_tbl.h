/* The routes that ask a model: name in the code (DIALECT_…), name in logs, metrics and reports. The order is part of stored records: new
 * ones go to the end. Included with FRONT defined. */
/* clang-format off */
FRONT(CHAT, "chat.completions")
FRONT(COMPLETIONS, "completions")
FRONT(EMBEDDINGS, "embeddings")
/* clang-format on */
