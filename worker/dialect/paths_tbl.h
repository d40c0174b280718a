/* Routes of contract A1: id, methods, family, served by this version, path (without /v1; {id} takes
 * one segment, {rest} all that follows), what to use instead of a route that is not
 * served yet: never empty there. */
PATHS(ROOT, PATHS_GET, PATHS_FOR_OWN, 1, "/", "")
PATHS(HELLO, PATHS_GET, PATHS_FOR_OWN, 1, "/api/hello", "")
PATHS(HEALTHZ, PATHS_GET, PATHS_FOR_OWN, 1, "/healthz", "")
PATHS(READYZ, PATHS_GET, PATHS_FOR_OWN, 1, "/readyz", "")
PATHS(CHAT, PATHS_POST, PATHS_FOR_OPENAI, 1, "/chat/completions", "")
PATHS(COMPLETIONS, PATHS_POST, PATHS_FOR_OPENAI, 1, "/completions", "")
PATHS(EMBEDDINGS, PATHS_POST, PATHS_FOR_OPENAI, 1, "/embeddings", "")
PATHS(MODELS, PATHS_GET, PATHS_FOR_OPENAI, 1, "/models", "")
PATHS(MODEL, PATHS_GET, PATHS_FOR_OPENAI, 1, "/models/{rest}", "")
PATHS(KEY, PATHS_GET, PATHS_FOR_OWN, 1, "/key", "")
PATHS(CREDITS, PATHS_GET, PATHS_FOR_OWN, 1, "/credits", "")
PATHS(GENERATION, PATHS_GET, PATHS_FOR_OWN, 1, "/generation", "")
PATHS(RECEIPT, PATHS_GET, PATHS_FOR_OWN, 1, "/receipts/{id}", "")
PATHS(USAGE, PATHS_GET, PATHS_FOR_OWN, 1, "/usage", "")
PATHS(BILLING_SUBSCRIPTION, PATHS_GET, PATHS_FOR_OWN, 1, "/dashboard/billing/subscription", "")
PATHS(BILLING_USAGE, PATHS_GET, PATHS_FOR_OWN, 1, "/dashboard/billing/usage", "")
PATHS(RESPONSES, PATHS_POST, PATHS_FOR_OPENAI, 0, "/responses", "/v1/chat/completions")
PATHS(RESPONSE, PATHS_GET | PATHS_POST | PATHS_DELETE, PATHS_FOR_OPENAI, 0, "/responses/{rest}",
      "/v1/chat/completions")
PATHS(MESSAGES, PATHS_POST, PATHS_FOR_ANTHROPIC, 0, "/messages", "/v1/chat/completions")
PATHS(COUNT_TOKENS, PATHS_POST, PATHS_FOR_ANTHROPIC, 0, "/messages/count_tokens",
      "/v1/chat/completions, whose `usage` counts the tokens")
PATHS(MODERATIONS, PATHS_POST, PATHS_FOR_OPENAI, 0, "/moderations",
      "/v1/chat/completions with a model that judges texts")
PATHS(IMAGES, PATHS_POST, PATHS_FOR_OPENAI, 0, "/images/generations",
      "/v1/chat/completions with a model that makes images (`modalities`)")
PATHS(IMAGE_EDITS, PATHS_POST, PATHS_FOR_OPENAI, 0, "/images/edits",
      "/v1/chat/completions with a model that makes images (`modalities`)")
PATHS(IMAGE_VARIATIONS, PATHS_POST, PATHS_FOR_OPENAI, 0, "/images/variations",
      "/v1/chat/completions with a model that makes images (`modalities`)")
PATHS(SPEECH, PATHS_POST, PATHS_FOR_OPENAI, 0, "/audio/speech",
      "/v1/chat/completions with a model that speaks (`modalities`, `audio`)")
PATHS(TRANSCRIPTIONS, PATHS_POST, PATHS_FOR_OPENAI, 0, "/audio/transcriptions",
      "/v1/chat/completions with a model that hears (`input_audio` parts)")
PATHS(TRANSLATIONS, PATHS_POST, PATHS_FOR_OPENAI, 0, "/audio/translations",
      "/v1/chat/completions with a model that hears (`input_audio` parts)")
PATHS(RERANK, PATHS_POST, PATHS_FOR_OPENAI, 0, "/rerank", "/v1/embeddings and compare the vectors")
PATHS(VIDEOS, PATHS_GET | PATHS_POST, PATHS_FOR_OPENAI, 0, "/videos",
      "the provider's own API: nothing here makes videos yet")
PATHS(VIDEO, PATHS_GET | PATHS_POST | PATHS_DELETE, PATHS_FOR_OPENAI, 0, "/videos/{rest}",
      "the provider's own API: nothing here makes videos yet")
PATHS(FILES, PATHS_GET | PATHS_POST, PATHS_FOR_OPENAI, 0, "/files",
      "`file` parts with `file_data` in the messages of /v1/chat/completions")
PATHS(FILE, PATHS_GET | PATHS_DELETE, PATHS_FOR_OPENAI, 0, "/files/{rest}",
      "`file` parts with `file_data` in the messages of /v1/chat/completions")
PATHS(BATCHES, PATHS_GET | PATHS_POST, PATHS_FOR_OPENAI, 0, "/batches",
      "/v1/chat/completions, one request each")
PATHS(BATCH, PATHS_GET | PATHS_POST, PATHS_FOR_OPENAI, 0, "/batches/{rest}",
      "/v1/chat/completions, one request each")
PATHS(REALTIME, PATHS_GET, PATHS_FOR_OPENAI, 0, "/realtime", "/v1/chat/completions with `stream`")
PATHS(GEMINI, PATHS_GET | PATHS_POST, PATHS_FOR_GEMINI, 0, "/v1beta/models/{rest}",
      "/v1/chat/completions")
PATHS(PRICING, PATHS_GET, PATHS_FOR_OWN, 0, "/api/pricing", "/v1/models")
