#include "shrink.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "folder.h"
#include "mem.h"

#define SECONDS_MAX 45      /* for looking for a shorter list */
#define STEPS_LONG  1000000 /* with AIGW_LONG=1 */

/* What a child tells. */
struct told {
	char dir[128];
	size_t at;
};

static FILE *notes; /* where steps are told; NULL: nowhere */
static unsigned long noted;

void shrink_note(const char *format, ...)
{
	va_list ap;

	if (!notes)
		return;
	fprintf(notes, "# step %lu: ", noted);
	va_start(ap, format);
	vfprintf(notes, format, ap);
	va_end(ap);
	fputc('\n', notes);
	fflush(notes);
}

static unsigned long from_env(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : otherwise;
}

unsigned long shrink_seed(unsigned long otherwise)
{
	uint32_t any;

	if (from_env("AIGW_LONG", 0) == 0)
		return from_env("AIGW_TEST_SEED", otherwise);
	require(getrandom(&any, sizeof any, 0) == sizeof any);
	return from_env("AIGW_TEST_SEED", any);
}

static void make_list(struct shrink *s)
{
	const char *only = getenv("AIGW_TEST_ONLY");
	char *end;

	s->seed = shrink_seed(s->seed);
	s->steps = from_env("AIGW_TEST_STEPS", from_env("AIGW_LONG", 0) ? STEPS_LONG : s->steps);
	s->n = 0;
	s->list = mem_new(s->steps * sizeof *s->list);
	require(s->list);
	while (only && *only && s->n < s->steps) {
		s->list[s->n++] = strtoul(only, &end, 10);
		require(end > only);
		only = *end ? end + 1 : end;
	}
	for (; !only && s->n < s->steps; s->n++)
		s->list[s->n] = s->n;
}

static void run(struct shrink *s, const unsigned long *list, size_t n, struct told *told)
{
	const char *dir = s->begin();

	snprintf(told->dir, sizeof told->dir, "%s", dir);
	for (size_t i = 0; i < n; i++) {
		struct text_rng rng = {{s->seed, list[i] ^ UINT64_C(0x9e3779b97f4a7c15)}};

		for (int k = 0; k < 8; k++) /* neighbours have little in common from here on */
			(void)text_rng_next(&rng);
		told->at = i;
		noted = list[i];
		s->step(&rng, list[i]);
		if (i % s->every == s->every - 1)
			s->check(false);
	}
	s->check(true);
	s->end();
}

void shrink_run(struct shrink *s)
{
	struct told told;

	make_list(s);
	printf("# seed %lu, %zu steps\n", s->seed, s->n);
	fflush(stdout);
	notes = getenv("AIGW_TEST_ONLY") ? stdout : NULL;
	s->running = true;
	s->at = s->n;
	run(s, s->list, s->n, &told);
	s->running = false;
	mem_free(s->list);
}

/* True: these steps fail. */
static bool fails(struct shrink *s, const unsigned long *list, size_t n, struct told *told,
		  FILE *out)
{
	int status;
	pid_t pid;

	told->dir[0] = '\0';
	fflush(NULL);
	pid = fork();
	require(pid >= 0);
	if (pid == 0) {
		/* A failed assertion goes on with cmocka in the child, which ends with its number of failures. */
		notes = out;
		require(freopen("/dev/null", "w", stderr) && freopen("/dev/null", "w", stdout));
		run(s, list, n, told);
		_exit(0);
	}
	require(waitpid(pid, &status, 0) == pid);
	if (status != 0 && told->dir[0])
		folder_remove("%s", told->dir);
	return status != 0;
}

static size_t without(const unsigned long *list, size_t n, size_t from, size_t len,
		      unsigned long *out)
{
	size_t to = MIN_OF(from + len, n);

	memcpy(out, list, from * sizeof *list);
	memcpy(out + from, list + to, (n - to) * sizeof *list);
	return n - (to - from);
}

/* Halves first, then ever smaller pieces. */
static size_t shorten(struct shrink *s, size_t n, struct told *told)
{
	unsigned long *shorter = mem_new(n * sizeof *shorter);
	int64_t until_ms = clock_boot_ms() + SECONDS_MAX * 1000;

	require(shorter);
	for (size_t len = (n + 1) / 2; len > 0; len = len > 1 ? (len + 1) / 2 : 0) {
		for (size_t from = 0; from < n && clock_boot_ms() < until_ms;) {
			size_t left = without(s->list, n, from, len, shorter);

			if (fails(s, shorter, left, told, NULL)) {
				n = left;
				memcpy(s->list, shorter, n * sizeof *shorter);
			} else {
				from += len;
			}
		}
	}
	mem_free(shorter);
	return n;
}

void shrink_failed(struct shrink *s)
{
	struct told *told =
		mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	FILE *out;

	if (!s->running)
		return;
	s->end();
	out = fdopen(dup(STDOUT_FILENO), "w");
	require(told != MAP_FAILED && out);
	if (!fails(s, s->list, s->n, told, NULL)) {
		printf("# it does not fail again\n");
	} else {
		s->n = shorten(s, MIN_OF(told->at + 1, s->n), told);
		printf("# %zu steps fail: AIGW_TEST_SEED=%lu AIGW_TEST_STEPS=%lu AIGW_TEST_ONLY=",
		       s->n, s->seed, s->steps);
		for (size_t i = 0; i < s->n; i++)
			printf("%s%lu", i ? "," : "", s->list[i]);
		putchar('\n');
		(void)fails(s, s->list, s->n, told, out);
	}
	fclose(out);
	munmap(told, sizeof *told);
	mem_free(s->list);
}
