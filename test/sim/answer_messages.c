#include "abuild.h"

#include <stdio.h>

static void msg_usage(struct abuild *b, bool whole)
{
	bool zero = abuild_usage_is(b, "zero");
	int64_t in = zero ? 0
			  : MAX_OF(abuild_prompt_tokens(b) - b->s->cached - b->s->cache_write, 0);

	abuild_put(b,
		   "\"usage\":{\"input_tokens\":%lld,\"cache_read_input_tokens\":%lld,\"cache_"
		   "creation_input_tokens\":%lld,\"output_tokens\":%lld",
		   (long long)in, (long long)b->s->cached, (long long)b->s->cache_write,
		   (long long)(zero    ? 0
			       : whole ? b->output
				       : 1));
	if (whole)
		abuild_put_searches(b);
	if (b->s->tier[0])
		abuild_put(b, ",\"service_tier\":\"%s\"", b->s->tier);
	abuild_puts(b, "}");
}

static void msg_event(struct abuild *b, const char *type)
{
	abuild_put(b, "event: %s%sdata: {\"type\":\"%s\"", type, abuild_nl(b), type);
}

static void msg_block(struct abuild *b, int64_t index, const char *delta, int64_t n)
{
	for (int64_t i = 0; i < n; i++, abuild_between(b)) {
		size_t start = b->body.len;

		b->content++;
		b->output++;
		msg_event(b, "content_block_delta");
		abuild_put(b, ",\"index\":%lld,\"delta\":%s", (long long)index, delta);
		if (abuild_faults(b, SCRIPT_UTF8) && b->content == MAX_OF(b->s->at, 1)) {
			abuild_puts(b, "\xe6\xbc\xa2");
			abuild_cut(b, b->body.len - 1, ANSWER_CLOSE);
		}
		abuild_put_token(b, i);
		abuild_puts(b, "\"}}");
		if (abuild_faults(b, SCRIPT_JSON) && b->content == MAX_OF(b->s->at, 1))
			abuild_cut(b, start + (b->body.len - start) * 2 / 3, ANSWER_CLOSE);
		abuild_close(b, abuild_token_ms(b));
	}
}

static void msg_stop_block(struct abuild *b, int64_t index)
{
	msg_event(b, "content_block_stop");
	abuild_put(b, ",\"index\":%lld}", (long long)index);
	abuild_close(b, 0);
}

static void msg_start_block(struct abuild *b, int64_t index, const char *block)
{
	msg_event(b, "content_block_start");
	abuild_put(b, ",\"index\":%lld,\"content_block\":%s}", (long long)index, block);
	abuild_close(b, 0);
}

static void msg_tools(struct abuild *b, int64_t index)
{
	for (int64_t i = 0; i < b->s->tools; i++, index++) {
		char block[160];

		snprintf(block, sizeof(block),
			 "{\"type\":\"tool_use\",\"id\":\"toolu_sim%lld\",\"name\":\"tool%lld\","
			 "\"input\":{}}",
			 (long long)i, (long long)i);
		msg_start_block(b, index, block);
		b->content++;
		b->output++;
		msg_event(b, "content_block_delta");
		abuild_put(b,
			   ",\"index\":%lld,\"delta\":{\"type\":\"input_json_delta\",\"partial_"
			   "json\":\"{\\\"n\\\":%lld}\"}}",
			   (long long)index, (long long)i);
		abuild_close(b, abuild_token_ms(b));
		msg_stop_block(b, index);
	}
}

static void msg_finish(struct abuild *b)
{
	msg_event(b, "message_delta");
	abuild_put(b, ",\"delta\":{\"stop_reason\":\"%s\",\"stop_sequence\":null}",
		   abuild_finish_word(b, "end_turn", "tool_use", "max_tokens"));
	if (!abuild_usage_is(b, "none")) {
		abuild_puts(b, ",");
		msg_usage(b, true);
	}
	abuild_puts(b, "}");
	abuild_close(b, b->s->late);
}

void answer_messages_stream(struct abuild *b)
{
	int64_t index = 0;

	msg_event(b, "message_start");
	abuild_put(b,
		   ",\"message\":{\"id\":\"msg_sim%llu\",\"type\":\"message\",\"role\":"
		   "\"assistant\",",
		   (unsigned long long)b->ask->serial);
	abuild_put_model(b);
	abuild_puts(b, "\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,");
	if (abuild_usage_is(b, "none"))
		abuild_puts(b, "\"usage\":{}");
	else
		msg_usage(b, false);
	abuild_puts(b, "}}");
	if (abuild_faults(b, SCRIPT_LIFECYCLE))
		abuild_cut(b, b->body.len / 2, ANSWER_CLOSE);
	abuild_close(b, b->s->first);
	abuild_puts(b, "event: ping\ndata: {\"type\": \"ping\"}\n\n");
	abuild_mark(b, 0);
	abuild_between(b);
	if (b->s->reasoning > 0) {
		msg_start_block(b, index,
				"{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
		msg_block(b, index, "{\"type\":\"thinking_delta\",\"thinking\":\"", b->s->reasoning);
		msg_event(b, "content_block_delta");
		abuild_put(
			b, ",\"index\":%lld,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"c2lt\"}}",
			(long long)index);
		abuild_close(b, 0);
		msg_stop_block(b, index++);
	}
	msg_start_block(b, index, "{\"type\":\"text\",\"text\":\"\"}");
	msg_block(b, index, "{\"type\":\"text_delta\",\"text\":\"", abuild_count_tokens(b));
	msg_stop_block(b, index++);
	msg_tools(b, index);
	msg_finish(b);
	if (abuild_faults(b, SCRIPT_DUP_FINISH))
		msg_finish(b);
	if (abuild_faults(b, SCRIPT_AFTER_FINISH))
		abuild_cut(b, b->body.len, ANSWER_CLOSE);
	if (b->s->done) {
		msg_event(b, "message_stop");
		abuild_puts(b, "}");
		abuild_close(b, 0);
	}
}

void answer_messages_whole(struct abuild *b)
{
	abuild_put(b, "{\"id\":\"msg_sim%llu\",\"type\":\"message\",\"role\":\"assistant\",",
		   (unsigned long long)b->ask->serial);
	abuild_put_model(b);
	abuild_puts(b, "\"content\":[");
	if (b->s->reasoning > 0)
		abuild_puts(b, "{\"type\":\"thinking\",\"thinking\":\"thinking\",\"signature\":"
			       "\"c2lt\"},");
	abuild_puts(b, "{\"type\":\"text\",\"text\":\"");
	for (int64_t i = 0; i < abuild_count_tokens(b); i++)
		abuild_put_token(b, i);
	abuild_puts(b, "\"}");
	for (int64_t i = 0; i < b->s->tools; i++)
		abuild_put(b,
			   ",{\"type\":\"tool_use\",\"id\":\"toolu_sim%lld\",\"name\":\"tool%lld\","
			   "\"input\":{\"n\":%lld}}",
			   (long long)i, (long long)i, (long long)i);
	b->output += abuild_count_tokens(b) + b->s->reasoning + b->s->tools;
	abuild_put(b, "],\"stop_reason\":\"%s\",\"stop_sequence\":null",
		   abuild_finish_word(b, "end_turn", "tool_use", "max_tokens"));
	if (!abuild_usage_is(b, "none")) {
		abuild_puts(b, ",");
		msg_usage(b, true);
	}
	abuild_puts(b, "}");
}
