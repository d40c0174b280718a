#include "nudge.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static _Atomic pid_t waiting[NUDGE_WAITING]; /* thread ids; 0: free */
static _Thread_local pid_t self;

/* That it comes is all: the wait ends with EINTR, since the handler asks for no restart, and goes on where the lock is taken. Only what
 * came to the process is passed on. */
static void nudged(int signum, siginfo_t *info, void *context)
{
	pid_t pid = getpid(), me = (pid_t)syscall(SYS_gettid);
	int saved = errno;

	(void)context;
	for (size_t i = 0; info->si_code == SI_USER && i < NUDGE_WAITING; i++) {
		pid_t tid = atomic_load(&waiting[i]);

		if (tid && tid != me)
			(void)syscall(SYS_tgkill, pid, tid, signum);
	}
	errno = saved;
}

void nudge_take(void)
{
	const struct sigaction a = {.sa_sigaction = nudged, .sa_flags = SA_SIGINFO};

	require(sigaction(NUDGE_SIGNAL, &a, NULL) == 0);
}

int nudge_begin(void)
{
	if (!self)
		self = (pid_t)syscall(SYS_gettid);
	for (int i = 0; i < NUDGE_WAITING; i++) {
		pid_t none = 0;

		if (atomic_load_explicit(&waiting[i], memory_order_relaxed) == 0 &&
		    atomic_compare_exchange_strong(&waiting[i], &none, self))
			return i;
	}
	return -1;
}

void nudge_end(int place)
{
	if (place >= 0)
		atomic_store_explicit(&waiting[place], 0, memory_order_release);
}
