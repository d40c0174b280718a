#include "abuild.h"
#include "text.h"

static void chat_tier(struct abuild *b)
{
	if (b->s->tier[0])
		abuild_put(b, "\"service_tier\":\"%s\",", b->s->tier);
}

static void chat_open(struct abuild *b)
{
	abuild_put(b, "data: {\"id\":\"chatcmpl-sim%llu\",\"object\":\"%s\",\"created\":%lld,",
		   (unsigned long long)b->ask->serial,
		   b->ask->api == ANSWER_CHAT ? "chat.completion.chunk" : "text_completion",
		   (long long)b->ask->now_s);
	abuild_put_model(b);
	chat_tier(b);
}

static void chat_usage(struct abuild *b, const char *before)
{
	bool zero = !strcmp(b->s->usage, "zero");
	int64_t in = zero ? 0 : abuild_prompt_tokens(b), out = zero ? 0 : b->output;

	if (abuild_usage_is(b, "total")) {
		abuild_put(b, "%s\"usage\":{\"total_tokens\":%lld}", before, (long long)(in + out));
		return;
	}
	abuild_put(b,
		   "%s\"usage\":{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"total_"
		   "tokens\":%lld,"
		   "\"prompt_tokens_details\":{\"cached_tokens\":%lld,\"cache_write_tokens\":%lld},"
		   "\"completion_tokens_details\":{\"reasoning_tokens\":%lld}",
		   before, (long long)in, (long long)out, (long long)(in + out),
		   (long long)b->s->cached, (long long)b->s->cache_write,
		   (long long)(b->s->reasoning + b->s->hidden));
	abuild_put_searches(b);
	abuild_puts(b, "}");
}

static void chat_delta(struct abuild *b, int64_t choice, const char *open)
{
	chat_open(b);
	abuild_put(b, "\"choices\":[{\"index\":%lld,%s", (long long)choice, open);
}

/* One content event; where the script wants a fault in it, the body ends or goes wrong here. */
static void chat_token(struct abuild *b, int64_t choice, int64_t i, bool reasoning)
{
	size_t start = b->body.len;
	bool text = b->ask->api == ANSWER_COMPLETIONS;

	b->content++;
	b->output++;
	chat_delta(b, choice,
		   text        ? "\"text\":\""
		   : reasoning ? "\"delta\":{\"reasoning_content\":\""
			       : "\"delta\":{\"content\":\"");
	if (abuild_faults(b, SCRIPT_UTF8) && b->content == MAX_OF(b->s->at, 1)) {
		abuild_puts(b, "\xe6\xbc\xa2");
		abuild_cut(b, b->body.len - 1, ANSWER_CLOSE);
	}
	abuild_put_token(b, i);
	abuild_puts(b, text ? "\",\"finish_reason\":null}]" : "\"},\"finish_reason\":null}]");
	if (abuild_usage_is(b, "every"))
		chat_usage(b, ",");
	abuild_puts(b, "}");
	if (abuild_faults(b, SCRIPT_JSON) && b->content == MAX_OF(b->s->at, 1))
		abuild_cut(b, start + (b->body.len - start) * 2 / 3, ANSWER_CLOSE);
	abuild_close(b, abuild_token_ms(b));
}

static void chat_tools(struct abuild *b, int64_t choice)
{
	for (int64_t i = 0; i < b->s->tools; i++) {
		chat_delta(b, choice, "\"delta\":{\"tool_calls\":[{");
		abuild_put(b,
			   "\"index\":%lld,\"id\":\"call_sim%lld\",\"type\":\"function\","
			   "\"function\":{\"name\":\"tool%lld\",\"arguments\":\"\"}}]},"
			   "\"finish_reason\":null}]}",
			   (long long)i, (long long)i, (long long)i);
		abuild_close(b, 0);
		chat_delta(b, choice, "\"delta\":{\"tool_calls\":[{");
		abuild_put(b,
			   "\"index\":%lld,\"function\":{\"arguments\":\"{\\\"n\\\":%lld}\"}}]},"
			   "\"finish_reason\":null}]}",
			   (long long)i, (long long)i);
		b->content++;
		b->output++;
		abuild_close(b, abuild_token_ms(b));
	}
}

static void chat_finish(struct abuild *b, int64_t choice)
{
	chat_open(b);
	if (b->ask->api == ANSWER_COMPLETIONS)
		abuild_put(b, "\"choices\":[{\"index\":%lld,\"text\":\"\",\"finish_reason\":\"%s\"",
			   (long long)choice, abuild_finish_word(b, "stop", "stop", "length"));
	else
		abuild_put(b, "\"choices\":[{\"index\":%lld,\"delta\":{},\"finish_reason\":\"%s\"",
			   (long long)choice, abuild_finish_word(b, "stop", "tool_calls", "length"));
	if (abuild_usage_is(b, "choice"))
		chat_usage(b, ",");
	abuild_puts(b, "}]");
	if (abuild_usage_is(b, "finish") || abuild_usage_is(b, "twice") ||
	    abuild_usage_is(b, "every"))
		chat_usage(b, ",");
	abuild_puts(b, "}");
	abuild_close(b, b->s->late);
}

void answer_chat_stream(struct abuild *b)
{
	for (int64_t i = 0; i < b->s->comments; i++)
		abuild_put(b, ": PROCESSING%s%s", abuild_nl(b), abuild_nl(b));
	for (int64_t c = 0; c < b->ask->n; c++) {
		if (b->ask->api == ANSWER_COMPLETIONS)
			break;
		chat_delta(
			b,
			c, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}");
		if (abuild_faults(b, SCRIPT_LIFECYCLE))
			abuild_cut(b, b->body.len / 2, ANSWER_CLOSE);
		abuild_close(b, b->s->first);
	}
	abuild_between(b);
	for (int64_t c = 0; c < b->ask->n; c++) {
		for (int64_t i = 0; i < b->s->reasoning; i++, abuild_between(b))
			chat_token(b, c, i, true);
		for (int64_t i = 0; i < abuild_count_tokens(b); i++, abuild_between(b))
			chat_token(b, c, i, false);
		chat_tools(b, c);
		chat_finish(b, c);
		if (abuild_faults(b, SCRIPT_DUP_FINISH))
			chat_finish(b, c);
	}
	if (abuild_faults(b, SCRIPT_AFTER_FINISH))
		abuild_cut(b, b->body.len, ANSWER_CLOSE);
	if (b->ask->include_usage &&
	    (abuild_usage_is(b, "") || abuild_usage_is(b, "last") || abuild_usage_is(b, "twice") ||
	     abuild_usage_is(b, "zero") || abuild_usage_is(b, "total"))) {
		chat_open(b);
		abuild_puts(b, "\"choices\":[]");
		chat_usage(b, ",");
		abuild_puts(b, "}");
		abuild_close(b, 0);
	}
	if (b->s->done) {
		abuild_puts(b, "data: [DONE]");
		abuild_close(b, 0);
	}
}

static void chat_message(struct abuild *b, int64_t choice)
{
	bool text = b->ask->api == ANSWER_COMPLETIONS;

	abuild_put(b, "%s{\"index\":%lld,%s", choice ? "," : "", (long long)choice,
		   text ? "\"text\":\"" : "\"message\":{\"role\":\"assistant\",\"content\":\"");
	for (int64_t i = 0; i < abuild_count_tokens(b); i++)
		abuild_put_token(b, i);
	b->output += abuild_count_tokens(b) + b->s->reasoning + b->s->tools;
	abuild_puts(b, "\"");
	if (b->s->reasoning > 0 && !text)
		abuild_puts(b, ",\"reasoning_content\":\"thinking\"");
	if (b->s->tools > 0 && !text) {
		abuild_puts(b, ",\"tool_calls\":[");
		for (int64_t i = 0; i < b->s->tools; i++)
			abuild_put(b,
				   "%s{\"id\":\"call_sim%lld\",\"type\":\"function\",\"function\":{"
				   "\"name\":\"tool%lld\",\"arguments\":\"{\\\"n\\\":%lld}\"}}",
				   i ? "," : "", (long long)i, (long long)i, (long long)i);
		abuild_puts(b, "]");
	}
	abuild_put(b, "%s,\"finish_reason\":\"%s\"}", text ? "" : "}",
		   abuild_finish_word(b, "stop", text ? "stop" : "tool_calls", "length"));
}

void answer_chat_whole(struct abuild *b)
{
	abuild_put(b, "{\"id\":\"chatcmpl-sim%llu\",\"object\":\"%s\",\"created\":%lld,",
		   (unsigned long long)b->ask->serial,
		   b->ask->api == ANSWER_CHAT ? "chat.completion" : "text_completion",
		   (long long)b->ask->now_s);
	abuild_put_model(b);
	chat_tier(b);
	abuild_puts(b, "\"choices\":[");
	for (int64_t c = 0; c < b->ask->n; c++)
		chat_message(b, c);
	abuild_puts(b, "]");
	if (!abuild_usage_is(b, "none"))
		chat_usage(b, ",");
	abuild_puts(b, "}");
}

void answer_embeddings(struct abuild *b)
{
	static const float v[4] = {0.25f, -0.5f, 0.125f, 1.0f};

	abuild_puts(b, "{\"object\":\"list\",\"data\":[");
	for (int64_t i = 0; i < b->ask->inputs; i++) {
		abuild_put(b, "%s{\"object\":\"embedding\",\"index\":%lld,\"embedding\":",
			   i ? "," : "", (long long)i);
		if (b->ask->base64) {
			abuild_puts(b, "\"");
			if (!b->e)
				b->e = text_base64(&b->body, v, sizeof(v));
			abuild_puts(b, "\"}");
		} else {
			abuild_puts(b, "[0.25,-0.5,0.125,1.0]}");
		}
	}
	abuild_puts(b, "],");
	abuild_put_model(b);
	abuild_put(b, "\"usage\":{\"prompt_tokens\":%lld,\"total_tokens\":%lld}}",
		   (long long)abuild_prompt_tokens(b), (long long)abuild_prompt_tokens(b));
}
