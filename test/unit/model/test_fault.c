/* The error table against contract A3: statuses, words, retry rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fault.h"

static void statuses_decide_about_retries(void **state)
{
	for (unsigned k = 1; k < FAULT_COUNT; k++) {
		const struct fault_row *row = fault_row((enum fault_kind)k);
		struct fault f = {.kind = (enum fault_kind)k};
		int s = row->status;

		assert_true(row->openai_type[0] && row->openai_code[0] && row->anthropic_type[0] &&
			    row->text[0]);
		assert_string_equal(fault_message(&f), row->text);
		/* Some clients go by the status alone: permanent is 4xx but not 408, 409, 429. */
		if (s < 500 && s != 408 && s != 409 && s != 429) {
			assert_false(fault_should_retry(&f));
			assert_int_equal(fault_wait_ms(&f), 0);
		} else if (s != 504) {
			assert_true(fault_should_retry(&f));
		}
		if (s == 429 || s == 409 || s == 503)
			assert_int_equal(fault_wait_ms(&f), 1000);
		else
			assert_int_equal(fault_wait_ms(&f), 0);
	}
}

static void waits_and_attempts_change_the_advice(void **state)
{
	struct fault f = {.kind = FAULT_RATE_LIMIT, .retry_after_ms = 60000};

	assert_true(fault_should_retry(&f));
	assert_int_equal(fault_wait_ms(&f), 60000);
	f.retry_after_ms = 60001;
	assert_false(fault_should_retry(&f));
	f = (struct fault){.kind = FAULT_UPSTREAM, .attempts_made = 1};
	assert_true(fault_should_retry(&f));
	f.attempts_made = 2;
	assert_false(fault_should_retry(&f));
	f = (struct fault){.kind = FAULT_UPSTREAM_TIMEOUT};
	assert_false(fault_should_retry(&f));
}

static void the_first_fault_wins(void **state)
{
	struct fault f = {0};

	fault_field(&f, FAULT_INVALID_VALUE, "n", "'%s' is bad.", "n");
	fault_set(&f, FAULT_INTERNAL, "later");
	fault_errc(&f, ERRC_NOMEM, "later");
	assert_int_equal(f.kind, FAULT_INVALID_VALUE);
	assert_string_equal(f.param, "n");
	assert_string_equal(fault_message(&f), "'n' is bad.");
	f.status = 418;
	assert_int_equal(fault_status(&f), 418);
}

static void texts_are_cut_between_characters(void **state)
{
	char out[6];
	struct fault f = {0};
	char text[2 * FAULT_MESSAGE_MAX + 1];

	fault_text(out, sizeof(out), SLICE_LIT("ab\xe2\x82\xac\xe2\x82\xac"));
	assert_string_equal(out, "ab\xe2\x82\xac");
	fault_text(out, sizeof(out), SLICE_LIT("a\nb\x7f"));
	assert_string_equal(out, "a b ");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	fault_set(&f, FAULT_INTERNAL, "%s", text);
	assert_int_equal(strlen(f.message), FAULT_MESSAGE_MAX - 1);
}

static void a_credential_is_hidden_wherever_it_stands(void **state)
{
	struct fault f = {.provider_code = "key-0123456789", .param = "a.key-0123456789"};

	fault_set(&f, FAULT_UPSTREAM, "wrong key %s", "key-0123456789");
	fault_hide(&f, SLICE_LIT("key-0123456789"));
	assert_string_equal(f.message, "wrong key **************");
	assert_string_equal(f.provider_code, "**************");
	assert_string_equal(f.param, "a.**************");
}

static void our_own_errors_have_faults(void **state)
{
	struct fault f = {0};

	fault_errc(&f, ERRC_NOMEM, "x");
	assert_int_equal(fault_status(&f), 503);
	f = (struct fault){0};
	fault_errc(&f, ERRC_SYNTAX, "x");
	assert_int_equal(fault_status(&f), 500);
}

static void waits_are_told_in_seconds(void **state)
{
	char out[FAULT_AGAIN_MAX];

	assert_string_equal(fault_again(0, out), "try again in 1 second");
	assert_string_equal(fault_again(1000, out), "try again in 1 second");
	assert_string_equal(fault_again(1001, out), "try again in 2 seconds");
	assert_string_equal(fault_again(60000, out), "try again in 60 seconds");
	assert_string_equal(fault_again(INT64_MAX, out), "try again in 9223372036854776 seconds");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statuses_decide_about_retries),
		cmocka_unit_test(waits_and_attempts_change_the_advice),
		cmocka_unit_test(waits_are_told_in_seconds),
		cmocka_unit_test(the_first_fault_wins),
		cmocka_unit_test(texts_are_cut_between_characters),
		cmocka_unit_test(a_credential_is_hidden_wherever_it_stands),
		cmocka_unit_test(our_own_errors_have_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
