/* What a model's mapping holds; see provider_tbl.h. */
FIELD(TEXT, display_name, "name", 0, 256, "", "",
      "A name for people; the model's own when it is missing.")
FIELD(TEXT, owned_by, "owned_by", 0, 256, "", "",
      "Told to clients; the first offer's provider when it is missing.")
FIELD(NODE, price, "created", 0, 0, "", "a date such as 2025-12-11", "When it was released.")
FIELD(INT, context, "context", 1, 1000000000, "131072", "tokens", "Input and output together.")
FIELD(INT, max_output, "max_output", 0, 1000000000, "16384", "tokens",
      "The most that it writes; when it is missing, the default or the context if that is smaller.")
FIELD(INT, min_output, "min_output", 0, 10000000, "0", "tokens",
      "Instead of the global min_output or min_output_reasoning; 0 is those.")
FIELD(INT, image_tokens, "image_tokens", 0, 10000000, "2000", "tokens",
      "The most that one image counts as input; more than the default also beyond the context, as "
      "of models that charge images by a factor.")
FIELD(INT, output_image_tokens, "output_image_tokens", 1, 10000000, "6240", "tokens",
      "What one image that it writes counts where its provider does not say and the request's cap leaves as much; the default is that of a "
      "large one of high quality at OpenAI.")
FIELD(INT, media_tokens_per_kib, "media_tokens_per_kib", 0, 1000000, "0", "tokens",
      "The most that 1 KiB of audio or document counts as input; 0 is 64 of audio, while a "
      "document "
      "counts as the whole context, for few bytes may be many pages.")
FIELD(INT, input_overhead, "input_overhead", 0, 1000000, "96", "tokens",
      "What a provider adds to any input, at most.")
FIELD(LIST, capabilities, "capabilities", 0, 16, "", "",
      "Of chat, embeddings, reasoning, tools, json_schema. Missing: all but reasoning, and but chat "
      "where max_output is 0. A request that needs another skips the model.")
FIELD(LIST, in, "modalities.input", 0, 16, "", "",
      "Of text, image, audio, video, pdf. Missing: all.")
FIELD(LIST, out, "modalities.output", 0, 16, "", "",
      "Of text, image, audio, embedding, as /v1/models tells it. Missing: text. A request for "
      "audio "
      "skips a model that does not have it here; one for images skips none, and what comes costs "
      "what output_image does.")
FIELD(NODE, price, "price", 0, 0, "", "a mapping of prices, a list of such rows, or free",
      "What the client pays, see PRICES.")
FIELD(NODE, price, "cost", 0, 0, "", "a mapping of prices, a list of such rows, or free",
      "What its offers cost you unless they say so themselves; only for the margin.")
FIELD(NODE, node, "offers", 0, 0, "", "a mapping of provider/model to its settings",
      "Where it is to be had, see OFFERS.")
FIELD(LIST, fallbacks, "fallbacks", 0, 16, "", "",
      "Models that take over, in this order, when no offer succeeds, each at its own price; only "
      "those that the key may use. "
      "Limits with models= are those of the model that was asked for, see LIMITS in aigwctl(1).")
