#include "interrupt.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

static volatile sig_atomic_t came;
static sigset_t wait_mask; /* while waiting */
static bool catching;

static void on_signal(int signal_number)
{
	came = signal_number;
}

void interrupt_catch(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	const struct sigaction act = {.sa_handler = on_signal};
	struct sigaction before;
	sigset_t block;

	sigemptyset(&block);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaddset(&block, signals[i]);
	require(sigprocmask(SIG_BLOCK, &block, &wait_mask) == 0);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		sigdelset(&wait_mask, signals[i]);
		require(sigaction(signals[i], NULL, &before) == 0);
		if (before.sa_handler != SIG_IGN)
			require(sigaction(signals[i], &act, NULL) == 0);
	}
	catching = true;
}

bool interrupt_is_caught(void)
{
	return catching;
}

int interrupt_came(void)
{
	const struct timespec none = {0};

	/* One that is held back is let in. */
	if (catching && !came)
		(void)ppoll(NULL, 0, &none, &wait_mask);
	return came;
}

void interrupt_die(int signal_number)
{
	const struct sigaction act = {.sa_handler = SIG_DFL};
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, signal_number);
	require(sigaction(signal_number, &act, NULL) == 0);
	require(raise(signal_number) == 0);
	require(sigprocmask(SIG_UNBLOCK, &one, NULL) == 0);
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

enum errc interrupt_poll_last(struct pollfd *p, nfds_t n, int timeout_ms, int last_ms)
{
	enum errc e = interrupt_poll(p, n, timeout_ms);
	int r;

	if (e != ERRC_CANCELED)
		return e;
	do
		r = poll(p, n, last_ms);
	while (r < 0 && errno == EINTR);
	return r > 0 ? ERRC_OK : ERRC_CANCELED;
}
