/* Every member of a provider's usage object that the gateway knows: the object that it stands in, its name, and the count that is read
 * from it, or why it is not read. A recorded answer with a member that is not here fails the wire tests, for it might bear money. No
 * include guard: whoever includes it defines the macros that it wants. Rules of what is not read:
 *	PART    of a number that is read, at its price
 *	TIME    measures time, speed or place
 *	COST    the provider's own price of the request
 *	SHUT    would bear money; what causes it is refused by name (chat_field_tbl.h), or refused to be configured
 * CHAT_GROUP gives the names of the objects inside of an OpenAI usage object, and where they stand. */
/* clang-format off */
#ifndef CHAT_GROUP
#define CHAT_GROUP(within, group, name)
#endif
#ifndef CHAT_READ
#define CHAT_READ(group, name, count)
#endif
#ifndef CHAT_KNOWN
#define CHAT_KNOWN(group, name, rule, why)
#endif
#ifndef ANTHROPIC_READ
#define ANTHROPIC_READ(within, name, count)
#endif
#ifndef ANTHROPIC_KNOWN
#define ANTHROPIC_KNOWN(within, name, rule, why)
#endif
CHAT_GROUP(TOP, IN, "prompt_tokens_details")
CHAT_GROUP(TOP, IN, "input_tokens_details")
CHAT_GROUP(TOP, IN, "prompt_token_details")
CHAT_GROUP(TOP, OUT, "completion_tokens_details")
CHAT_GROUP(TOP, OUT, "output_tokens_details")
CHAT_GROUP(TOP, SERVER, "server_tool_use")
CHAT_GROUP(TOP, SERVER, "server_tool_use_details")
CHAT_GROUP(TOP, CACHE, "cache_creation")
CHAT_GROUP(IN, CACHE, "cache_creation")
CHAT_GROUP(IN, CACHE, "cache_creation_token_details")
CHAT_READ(TOP, "prompt_tokens", prompt)
CHAT_READ(TOP, "completion_tokens", completion)
CHAT_READ(TOP, "total_tokens", total)
CHAT_READ(TOP, "input_tokens", prompt)
CHAT_READ(TOP, "output_tokens", completion)
CHAT_READ(TOP, "prompt_cache_hit_tokens", hit)
CHAT_READ(TOP, "cached_tokens", cached_flat)
CHAT_READ(TOP, "num_cached_tokens", cached_flat)
CHAT_READ(TOP, "num_search_queries", searches)
CHAT_READ(TOP, "reasoning_tokens", reasoning_flat)
CHAT_READ(TOP, "cache_creation_input_tokens", written)
CHAT_READ(TOP, "cache_read_input_tokens", cached_flat)
CHAT_READ(IN, "cached_tokens", cached)
CHAT_READ(IN, "cache_write_tokens", written)
CHAT_READ(IN, "cache_creation_tokens", written)
CHAT_READ(IN, "cache_creation_input_tokens", written)
CHAT_READ(IN, "audio_tokens", in_audio)
CHAT_READ(IN, "image_tokens", in_image)
CHAT_READ(CACHE, "ephemeral_5m_input_tokens", written_5m)
CHAT_READ(CACHE, "ephemeral_1h_input_tokens", written_1h)
CHAT_READ(OUT, "reasoning_tokens", reasoning)
CHAT_READ(OUT, "audio_tokens", out_audio)
CHAT_READ(OUT, "image_tokens", out_image)
CHAT_READ(SERVER, "web_search_requests", searches)
CHAT_KNOWN(TOP, "prompt_cache_miss_tokens", PART, "input that was not read from the cache")
CHAT_KNOWN(TOP, "audio_prompt_tokens", PART, "stands in the details too")
CHAT_KNOWN(TOP, "draft_tokens", PART, "guesses at output, which is counted where they are right")
CHAT_KNOWN(TOP, "draft_tokens_acceptance", PART, "the same")
CHAT_KNOWN(TOP, "request_count", PART, "of a batch of embeddings, which are charged by the token")
CHAT_KNOWN(IN, "text_tokens", PART, "what is left of the input")
CHAT_KNOWN(IN, "video_tokens", PART, "input; its price has no class of its own")
CHAT_KNOWN(IN, "cache_type", PART, "a word for how it is cached")
CHAT_KNOWN(OUT, "text_tokens", PART, "what is left of the output")
CHAT_KNOWN(OUT, "accepted_prediction_tokens", PART, "output")
CHAT_KNOWN(OUT, "rejected_prediction_tokens", PART, "output, held beside the cap")
CHAT_KNOWN(SERVER, "tool_calls_requested", PART, "searches are counted apart")
CHAT_KNOWN(SERVER, "tool_calls_executed", PART, "searches are counted apart")
CHAT_KNOWN(SERVER, "web_fetch_requests", PART, "what is fetched is input")
CHAT_KNOWN(TOP, "queue_time", TIME, "")
CHAT_KNOWN(TOP, "prompt_time", TIME, "")
CHAT_KNOWN(TOP, "completion_time", TIME, "")
CHAT_KNOWN(TOP, "total_time", TIME, "")
CHAT_KNOWN(TOP, "tokens_per_second", TIME, "")
CHAT_KNOWN(TOP, "prompt_tokens_per_second", TIME, "")
CHAT_KNOWN(TOP, "time_per_output_token_ms", TIME, "")
CHAT_KNOWN(TOP, "time_to_first_token_ms", TIME, "")
CHAT_KNOWN(TOP, "latency_checkpoint", TIME, "")
CHAT_KNOWN(TOP, "cost", COST, "")
CHAT_KNOWN(TOP, "cost_details", COST, "")
CHAT_KNOWN(TOP, "is_byok", COST, "")
CHAT_KNOWN(TOP, "cost_in_usd_ticks", COST, "")
CHAT_KNOWN(TOP, "market_cost", COST, "")
CHAT_KNOWN(TOP, "service_tier", PART, "chooses the price row")
CHAT_KNOWN(TOP, "search_context_size", SHUT, "a model's `web_search` is the price of the largest")
CHAT_KNOWN(TOP, "num_sources_used", SHUT, "search_parameters is refused")
CHAT_KNOWN(TOP, "num_server_side_tools_used", SHUT, "tools that a provider runs are refused")
CHAT_KNOWN(TOP, "prompt_audio_seconds", SHUT, "a model that charges audio by the second has no price here")
ANTHROPIC_READ("", "input_tokens", input)
ANTHROPIC_READ("", "cache_read_input_tokens", cache_read)
ANTHROPIC_READ("", "cache_creation_input_tokens", write)
ANTHROPIC_READ("", "output_tokens", output)
ANTHROPIC_READ("cache_creation", "ephemeral_5m_input_tokens", write_5m)
ANTHROPIC_READ("cache_creation", "ephemeral_1h_input_tokens", write_1h)
ANTHROPIC_READ("output_tokens_details", "thinking_tokens", reasoning)
ANTHROPIC_READ("server_tool_use", "web_search_requests", searches)
ANTHROPIC_KNOWN("server_tool_use", "web_fetch_requests", PART, "what is fetched is input")
ANTHROPIC_KNOWN("", "cost", COST, "")
ANTHROPIC_KNOWN("", "cost_details", COST, "")
ANTHROPIC_KNOWN("", "is_byok", COST, "")
ANTHROPIC_KNOWN("", "inference_geo", SHUT, "inference_geo is refused but for `global`")
ANTHROPIC_KNOWN("", "service_tier", PART, "chooses the price row")
ANTHROPIC_KNOWN("", "speed", SHUT, "speed is refused but for `standard`")
ANTHROPIC_KNOWN("", "iterations", SHUT, "other models are asked by tools that a provider runs, which are refused")
#undef CHAT_GROUP
#undef CHAT_READ
#undef CHAT_KNOWN
#undef ANTHROPIC_READ
#undef ANTHROPIC_KNOWN
/* clang-format on */
