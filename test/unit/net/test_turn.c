#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mem.h"
#include "text.h"
#include "turn.h"

struct fixture {
	uv_loop_t loop;
	struct turn *turn;
};

static int setup(void **state)
{
	struct fixture *f = mem_new_of(struct fixture);

	*state = f;
	assert_non_null(f);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(turn_new(&f->loop, &f->turn), ERRC_OK);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	turn_free(&f->turn);
	assert_null(f->turn);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	mem_free(f);
	assert_int_equal(mem_live_count(), 0);
	return 0;
}

/* --- tasks --- */

struct job {
	struct turn_task task, again;
	struct turn_hook hook;
	int runs, order, *clock;
	struct job *wakes;
};

static void job_run(struct turn_task *k)
{
	struct job *j = CONTAINER_OF(k, struct job, task);

	j->runs++;
	j->order = ++*j->clock;
	if (j->wakes)
		turn_wake(&j->wakes->task);
}

static void test_waking_twice_runs_once(void **state)
{
	struct fixture *f = *state;
	int clock = 0;
	struct job a = {.clock = &clock}, b = {.clock = &clock};

	turn_task_init(&a.task, f->turn, job_run);
	turn_task_init(&b.task, f->turn, job_run);
	turn_wake(&a.task);
	turn_wake(&b.task);
	turn_wake(&a.task);
	turn_step(f->turn);
	assert_int_equal(a.runs, 1);
	assert_int_equal(a.order, 1);
	assert_int_equal(b.order, 2);
	turn_wake(&a.task);
	turn_task_fini(&a.task);
	turn_step(f->turn);
	assert_int_equal(a.runs, 1);
}

static void hook_run(struct turn_hook *h)
{
	struct job *j = CONTAINER_OF(h, struct job, hook);

	j->order = ++*j->clock;
	j->runs++;
	if (j->runs == 1 && j->wakes)
		turn_wake(&j->wakes->task);
}

/* What a batch finished goes on in the same turn, and the flush comes behind all of it, the reap last. */
static void test_order_of_a_turn(void **state)
{
	struct fixture *f = *state;
	int clock = 0;
	struct job first = {.clock = &clock}, second = {.clock = &clock},
		   hook = {.clock = &clock, .wakes = &second};
	struct job flush = {.clock = &clock}, reap = {.clock = &clock};

	turn_task_init(&first.task, f->turn, job_run);
	turn_task_init(&second.task, f->turn, job_run);
	turn_task_init(&flush.task, f->turn, job_run);
	turn_task_init(&reap.task, f->turn, job_run);
	turn_hook_init(&hook.hook, f->turn, hook_run);
	turn_reap(&reap.task);
	turn_flush(&flush.task);
	turn_wake(&first.task);
	turn_step(f->turn);
	assert_int_equal(first.order, 1);
	assert_int_equal(second.order, 3);
	assert_int_equal(hook.runs, 2);
	assert_int_equal(hook.order, 4);
	assert_int_equal(flush.order, 5);
	assert_int_equal(reap.order, 6);
	turn_hook_fini(&hook.hook);
}

/* A flush that wakes a task: it runs in the same turn. */
static void test_flush_wakes(void **state)
{
	struct fixture *f = *state;
	int clock = 0;
	struct job woken = {.clock = &clock}, flush = {.clock = &clock, .wakes = &woken};

	turn_task_init(&woken.task, f->turn, job_run);
	turn_task_init(&flush.task, f->turn, job_run);
	turn_flush(&flush.task);
	turn_step(f->turn);
	assert_int_equal(flush.runs, 1);
	assert_int_equal(woken.runs, 1);
}

static void forever_run(struct turn_task *k)
{
	struct job *j = CONTAINER_OF(k, struct job, task);

	j->runs++;
	turn_wake(&j->task);
}

static void test_endless_work_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct job j = {.runs = 0};
	struct turn_stats st;

	turn_task_init(&j.task, f->turn, forever_run);
	turn_wake(&j.task);
	turn_step(f->turn);
	assert_in_range(j.runs, 1, 100000);
	turn_stats_get(f->turn, &st);
	assert_int_equal(st.turns, 1);
	turn_task_fini(&j.task);
}

static void stop_run(struct turn_task *k)
{
	job_run(k);
	uv_stop(turn_loop(k->turn));
}

/* A task woken before the poll runs without anything to poll for. */
static void test_loop_runs_what_was_woken(void **state)
{
	struct fixture *f = *state;
	int clock = 0;
	struct job a = {.clock = &clock};

	turn_task_init(&a.task, f->turn, stop_run);
	turn_wake(&a.task);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(a.runs, 1);
}

/* --- timers --- */

#define TIMERS 500

struct alarm {
	struct turn_timer timer;
	int64_t due_ms, fired_ms;
	int fired;
};

static int64_t last_fired_ms;

static void alarm_run(struct turn_timer *m)
{
	struct alarm *a = CONTAINER_OF(m, struct alarm, timer);

	a->fired++;
	a->fired_ms = turn_now_ms(m->turn);
	assert_false(turn_timer_is_set(m));
	last_fired_ms = a->fired_ms;
}

static void test_timers_against_a_plain_list(void **state)
{
	struct fixture *f = *state;
	static struct alarm alarms[TIMERS];
	struct text_rng rng = {{1, 2}};
	int64_t now_ms = 1000;

	turn_fake_clock(f->turn, now_ms);
	memset(alarms, 0, sizeof(alarms));
	for (int i = 0; i < TIMERS; i++) {
		turn_timer_init(&alarms[i].timer, f->turn, alarm_run);
		alarms[i].due_ms = -1;
	}
	for (int step = 0; step < 2000; step++) {
		for (int k = 0; k < 20; k++) {
			struct alarm *a = &alarms[text_rng_next(&rng) % TIMERS];

			if (text_rng_next(&rng) % 4 == 0) {
				turn_timer_clear(&a->timer);
				a->due_ms = -1;
			} else {
				a->due_ms = now_ms + (int64_t)(text_rng_next(&rng) % 300);
				turn_timer_set(&a->timer, a->due_ms);
			}
			a->fired = 0;
		}
		now_ms += (int64_t)(text_rng_next(&rng) % 10);
		turn_fake_clock(f->turn, now_ms);
		turn_step(f->turn);
		for (int i = 0; i < TIMERS; i++) {
			bool due = alarms[i].due_ms >= 0 && alarms[i].due_ms <= now_ms;

			assert_int_equal(alarms[i].fired, due ? 1 : 0);
			if (due) {
				alarms[i].due_ms = -1;
				alarms[i].fired = 0;
			}
		}
	}
	for (int i = 0; i < TIMERS; i++)
		turn_timer_clear(&alarms[i].timer);
}

static void again_run(struct turn_timer *m)
{
	struct alarm *a = CONTAINER_OF(m, struct alarm, timer);

	a->fired++;
	turn_timer_set(m, turn_now_ms(m->turn));
}

static void test_timer_that_sets_itself_does_not_hang(void **state)
{
	struct fixture *f = *state;
	struct alarm a = {.fired = 0};

	turn_fake_clock(f->turn, 5);
	turn_timer_init(&a.timer, f->turn, again_run);
	turn_timer_set(&a.timer, 5);
	turn_step(f->turn);
	assert_in_range(a.fired, 1, 100000);
	turn_timer_clear(&a.timer);
}

/* With the real clock: the loop wakes for a timer, not before it is due. */
static void test_loop_wakes_for_a_timer(void **state)
{
	struct fixture *f = *state;
	struct alarm a = {.fired = 0};
	int64_t start_ms = turn_now_ms(f->turn);

	turn_timer_init(&a.timer, f->turn, alarm_run);
	turn_timer_set(&a.timer, start_ms + 10);
	while (a.fired == 0)
		uv_run(&f->loop, UV_RUN_ONCE);
	assert_true(a.fired_ms >= start_ms + 10);
	assert_true(a.fired_ms < start_ms + 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_waking_twice_runs_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order_of_a_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flush_wakes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endless_work_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loop_runs_what_was_woken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timers_against_a_plain_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer_that_sets_itself_does_not_hang, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_loop_wakes_for_a_timer, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
