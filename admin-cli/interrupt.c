#include "interrupt.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

static volatile sig_atomic_t came;
static sigset_t wait_mask; /* while waiting */
static bool catching;

static void on_signal(int signal_number)
{
	(void)signal_number;
	came = 1;
}

void interrupt_catch(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	const struct sigaction act = {.sa_handler = on_signal};
	sigset_t block;

	sigemptyset(&block);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaddset(&block, signals[i]);
	require(sigprocmask(SIG_BLOCK, &block, &wait_mask) == 0);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		sigdelset(&wait_mask, signals[i]);
		require(sigaction(signals[i], &act, NULL) == 0);
	}
	catching = true;
}

enum errc interrupt_poll(struct pollfd *p, nfds_t n, int timeout_ms)
{
	const struct timespec t = {.tv_sec = timeout_ms / 1000,
				   .tv_nsec = timeout_ms % 1000 * 1000000L};
	int r;

	do {
		if (came)
			return ERRC_CANCELED;
		r = ppoll(p, n, timeout_ms > 0 ? &t : NULL, catching ? &wait_mask : NULL);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return errc_from_errno(errno);
	return r == 0 ? ERRC_TIMEOUT : ERRC_OK;
}
