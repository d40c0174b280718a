/* relay.c with whole answers that are too long to be kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mem.h"
#include "relay.h"

struct fixture {
	struct arena arena;
	struct dialect_facts facts;
	struct dialect_env env;
	struct ptable_provider provider;
	struct relay relay;
};

static int64_t cost(void *arg, const struct usage *u)
{
	(void)arg;
	return usage_total(u) * 1000;
}

static bool is_paid(void *arg)
{
	(void)arg;
	return true;
}

static void setup(struct fixture *f, size_t whole_bytes)
{
	struct relay_opts o = {.front = dialect_front(DIALECT_FRONT_OPENAI),
			       .back = dialect_back(PTABLE_OPENAI),
			       .facts = &f->facts,
			       .env = &f->env,
			       .provider = &f->provider,
			       .arena = &f->arena,
			       .whole_bytes = whole_bytes,
			       .out_max = 1 << 22};

	memset(f, 0, sizeof(*f));
	arena_init(&f->arena, 1 << 20);
	f->env = (struct dialect_env){.now_s = 1, .cost = cost, .is_paid = is_paid};
	f->facts = (struct dialect_facts){.n = 1, .best_of = 1, .copies = 1};
	f->provider = (struct ptable_provider){.name = SLICE_LIT("p"), .dialect = PTABLE_OPENAI};
	assert_int_equal(relay_init(&f->relay, &o), ERRC_OK);
}

static void teardown(struct fixture *f)
{
	relay_fini(&f->relay);
	arena_fini(&f->arena);
}

static void push(struct fixture *f, const char *p, size_t n)
{
	char *copy = mem_dup(p, n); /* a read's bytes are gone after it */

	relay_push(&f->relay, slice_of(copy, n), &f->arena, NULL);
	memset(copy, 'x', n);
	mem_free(copy);
}

#define LONG_OF(message)                                                      \
	"{\"id\":\"c1\",\"choices\":[{\"index\":0,\"message\":" message       \
	",\"finish_reason\":\"max_tokens\"}],\"usage\":{\"prompt_tokens\":7," \
	"\"completion_tokens\":900,\"total_tokens\":907},\"service_tier\":\"priority\"}"
#define TEXT_90                                                                                  \
	"\"012345678901234567890123456789012345678901234567890123456789012345678901234567890123" \
	"456789\""

static void check_same(const struct relay *r, const struct relay *want)
{
	assert_true(r->ended && want->ended && r->finish && want->finish);
	assert_int_equal(r->content_events, want->content_events);
	assert_int_equal(r->content_bytes, want->content_bytes);
	assert_int_equal(r->reasoning_events, want->reasoning_events);
	assert_int_equal(r->reasoning_bytes, want->reasoning_bytes);
	assert_int_equal(r->media_events, want->media_events);
	assert_int_equal(r->sounds, want->sounds);
	assert_int_equal(r->sound_bytes, want->sound_bytes);
	assert_int_equal(r->pictures, want->pictures);
	assert_memory_equal(&r->usage, &want->usage, sizeof(r->usage));
	assert_int_equal(r->usage.tier, USAGE_TIER_PRIORITY);
	assert_int_equal(r->finish_kind, want->finish_kind);
	assert_int_equal(r->finish_word_n, want->finish_word_n);
	assert_true(slice_eq(r->upstream_id, want->upstream_id));
}

/* A whole answer that is too long to be kept tells the same as one that is, however it comes. */
static void test_long_tells_as_kept(void **state)
{
	static const char *const answers[] = {
		LONG_OF("{\"content\":" TEXT_90 "}"),
		LONG_OF("{\"content\":" TEXT_90 ",\"reasoning_content\":" TEXT_90 "}"),
		LONG_OF("{\"reasoning_content\":" TEXT_90 ",\"reasoning\":\"ten bytes.\"}"),
		LONG_OF("{\"content\":null,\"images\":[{\"image_url\":{\"url\":" TEXT_90 "}}]}"),
		LONG_OF("{\"content\":\"hi\",\"images\":[" TEXT_90 "," TEXT_90 "]}"),
		LONG_OF("{\"audio\":{\"data\":" TEXT_90 "}}"),
		LONG_OF("{\"audio\":{\"data\":" TEXT_90 ",\"transcript\":" TEXT_90 "}}"),
		LONG_OF("{\"content\":\"\"}"),
	};
	struct fixture kept, f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		size_t len = strlen(answers[i]);

		setup(&kept, 1 << 20);
		push(&kept, answers[i], len);
		relay_finish(&kept.relay, &kept.arena, NULL);
		for (size_t step = 1; step <= len; step++) {
			setup(&f, 20);
			for (size_t at = 0; at < len; at += step)
				push(&f, answers[i] + at, MIN_OF(step, len - at));
			relay_finish(&f.relay, &f.arena, NULL);
			check_same(&f.relay, &kept.relay);
			teardown(&f);
		}
		teardown(&kept);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_tells_as_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
