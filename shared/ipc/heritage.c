#include "heritage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "buf.h"
#include "mem.h"
#include "text.h"

#define VARIABLE  "AIGW_HERITAGE"
#define VERSION   "1"
#define ENV_MAX   64
#define FDS_FIRST 3
#define FDS_MAX   (5 + HERITAGE_WORKERS_MAX)

/* The fields of the text, in order: numbers, descriptors (as their numbers in the child), texts. */
#define NUMBERS(X) \
	X(role)    \
	X(slot) X(workers) X(page_slot) X(generation) X(master_pid) X(log_format) X(log_level)
#define FDS(X)   X(chan_fd) X(page_fd) X(bell_fd) X(keeper_bell_fd) X(log_fd)
#define TEXTS(X) X(ledger_id) X(state) X(live) X(log_to)

/* What a child may see of the master's environment. Names of the loader, sanitizers and test tools are here so that a
 * whole tree of processes can be run under them; nothing here is a secret of the configuration. */
static const char *const env_kept[] = {
#ifdef AIGW_TEST_HOOKS
	"AIGW_TEST_TXN_SLEEP_US",
#endif
	"ASAN_OPTIONS",
	"FAKETIME",
	"FAKETIME_DONT_FAKE_MONOTONIC",
	"DONT_FAKE_MONOTONIC",
	"GLIBC_TUNABLES",
	"HOME",
	"LANG",
	"LC_ALL",
	"LD_LIBRARY_PATH",
	"LD_PRELOAD",
	"LOCALDOMAIN",
	"LSAN_OPTIONS",
	"PATH",
	"RES_OPTIONS",
	"SSL_CERT_DIR",
	"SSL_CERT_FILE",
	"TSAN_OPTIONS",
	"TZ",
	"TZDIR",
	"UBSAN_OPTIONS",
};
/* And whatever begins so: switches of the tests' own preloaded libraries and hooks. */
#define ENV_TEST_PREFIX "AIGW_TEST_"

struct heritage_plan {
	int exe_fd;
	int from[FDS_MAX]; /* the i-th becomes number FDS_FIRST + i */
	int fds_n;
	char name[32];
	char *argv[2];
	char *env[ENV_MAX]; /* the first is ours */
	size_t env_n;
	struct buf text;
};

const char *heritage_role_name(enum heritage_role r)
{
	static const char *const names[] = {"master", "keeper", "worker"};

	return (unsigned)r < ARRAY_LEN(names) ? names[r] : "?";
}

/* --- in the child --- */

static bool read_number(struct slice *s, int64_t *out)
{
	struct slice word;

	return slice_cut(s, ' ', &word) && text_i64(word, out);
}

/* A text is written as its length and its bytes, for paths may hold anything. */
static bool read_text(struct slice *s, char *out, size_t max)
{
	int64_t n;

	if (!read_number(s, &n) || n < 0 || (size_t)n >= max || s->n < (size_t)n + 1)
		return false;
	memcpy(out, s->p, (size_t)n);
	out[n] = 0;
	*s = slice_sub(*s, (size_t)n + 1, s->n);
	return true;
}

static bool read_fd(struct slice *s, int *out)
{
	int64_t fd;

	if (!read_number(s, &fd) || fd < -1 || fd >= FDS_FIRST + FDS_MAX)
		return false;
	*out = (int)fd;
	return fd == -1 || fcntl(*out, F_SETFD, FD_CLOEXEC) == 0;
}

static bool read_all(struct slice s, struct heritage *h)
{
	int64_t v;
	struct slice version;

	if (!slice_cut(&s, ' ', &version) || !slice_is(version, VERSION))
		return false;
#define N(member)                 \
	if (!read_number(&s, &v)) \
		return false;     \
	h->member = (__typeof__(h->member))v;
#define F(member)                     \
	if (!read_fd(&s, &h->member)) \
		return false;
#define T(member)                                         \
	if (!read_text(&s, h->member, sizeof(h->member))) \
		return false;
	NUMBERS(N)
	FDS(F)
	TEXTS(T)
#undef N
#undef F
#undef T
	for (unsigned i = 0; i < HERITAGE_WORKERS_MAX; i++)
		h->worker_bell_fds[i] = -1;
	if (h->role != HERITAGE_KEEPER && h->role != HERITAGE_WORKER)
		return false;
	for (unsigned i = 0; h->role == HERITAGE_KEEPER && i < h->workers; i++) {
		if (i >= HERITAGE_WORKERS_MAX || !read_fd(&s, &h->worker_bell_fds[i]))
			return false;
	}
	return s.n == 0;
}

enum errc heritage_take(struct heritage *out)
{
	const char *text = getenv(VARIABLE);
	bool ok;

	*out = (struct heritage){.role = HERITAGE_MASTER};
	if (!text)
		return ERRC_OK;
	ok = read_all(slice_str(text), out);
	unsetenv(VARIABLE);
	return ok ? ERRC_OK : ERRC_PROTOCOL;
}

/* --- in the master --- */

/* The number that fd will have in the child. */
static int plan_fd(struct heritage_plan *p, int fd)
{
	if (fd < 0)
		return -1;
	p->from[p->fds_n] = fd;
	return FDS_FIRST + p->fds_n++;
}

static enum errc write_text(struct buf *b, const char *s)
{
	return buf_addf(b, "%zu %s ", strlen(s), s);
}

static enum errc write_all(struct heritage_plan *p, const struct heritage *h)
{
	enum errc e = buf_addz(&p->text, VARIABLE "=" VERSION " ");

#define N(member) \
	if (!e)   \
		e = buf_addf(&p->text, "%lld ", (long long)h->member);
#define F(member) \
	if (!e)   \
		e = buf_addf(&p->text, "%d ", plan_fd(p, h->member));
#define T(member) \
	if (!e)   \
		e = write_text(&p->text, h->member);
	NUMBERS(N)
	FDS(F)
	TEXTS(T)
#undef N
#undef F
#undef T
	for (unsigned i = 0; !e && h->role == HERITAGE_KEEPER && i < h->workers; i++)
		e = buf_addf(&p->text, "%d ", plan_fd(p, h->worker_bell_fds[i]));
	if (!e && !buf_cstr(&p->text))
		e = ERRC_NOMEM;
	return e;
}

static bool env_is_kept(const char *var)
{
	size_t n = strcspn(var, "=");

	if (strncmp(var, ENV_TEST_PREFIX, sizeof(ENV_TEST_PREFIX) - 1) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(env_kept); i++) {
		if (strlen(env_kept[i]) == n && memcmp(env_kept[i], var, n) == 0)
			return true;
	}
	return false;
}

static void plan_env(struct heritage_plan *p)
{
	p->env[p->env_n++] = p->text.p;
	for (char **v = environ; v && *v && p->env_n < ENV_MAX - 1; v++) {
		if (env_is_kept(*v))
			p->env[p->env_n++] = *v;
	}
	p->env[p->env_n] = NULL;
}

enum errc heritage_plan(const struct heritage *h, int exe_fd, struct heritage_plan **out)
{
	struct heritage_plan *p = mem_new_of(struct heritage_plan);
	enum errc e;

	if (!p)
		return ERRC_NOMEM;
	require(h->workers <= HERITAGE_WORKERS_MAX);
	p->exe_fd = exe_fd;
	buf_init(&p->text, 64 * 1024);
	e = write_all(p, h);
	if (e) {
		heritage_plan_free(&p);
		return e;
	}
	if (h->role == HERITAGE_WORKER)
		snprintf(p->name, sizeof(p->name), "aigwd: worker %u", h->slot);
	else
		snprintf(p->name, sizeof(p->name), "aigwd: %s", heritage_role_name(h->role));
	p->argv[0] = p->name;
	plan_env(p);
	*out = p;
	return ERRC_OK;
}

/* First all out of the way, above every number that is used, then each to its place: no order can overwrite one that is
 * still needed. Calls nothing but system calls. */
void heritage_exec(struct heritage_plan *p)
{
	int low = FDS_FIRST + p->fds_n + 1, exe;

	exe = fcntl(p->exe_fd, F_DUPFD, low);
	for (int i = 0; i < p->fds_n; i++) {
		p->from[i] = fcntl(p->from[i], F_DUPFD, low);
		if (p->from[i] < 0)
			return;
	}
	for (int i = 0; i < p->fds_n; i++) {
		if (dup2(p->from[i], FDS_FIRST + i) < 0)
			return;
	}
	if (exe < 0 || dup2(exe, FDS_FIRST + p->fds_n) < 0)
		return;
	exe = FDS_FIRST + p->fds_n;
	(void)fcntl(exe, F_SETFD, FD_CLOEXEC);
	(void)syscall(SYS_close_range, exe + 1, ~0U, 0);
	(void)syscall(SYS_execveat, exe, "", p->argv, p->env, AT_EMPTY_PATH);
}

void heritage_plan_free(struct heritage_plan **p)
{
	if (!*p)
		return;
	buf_fini(&(*p)->text);
	mem_free(*p);
	*p = NULL;
}
